"""What a run leaves besides its journal."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from fltui.exchange.visible import visible
from fltui.server.books import MetricsTable, write_metrics
from tests.console.books import hello

ACTING = "\x1b]0;title\x07\x9b2J\u202egpj.\x00\r\n0,,accuracy,9\u2028"


def test_a_name_that_acts_is_one_harmless_cell(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path)
    table.add(0, "a", {ACTING: 0.5, '="1"': 1.0, "精度, 変数": 2.0})
    table.close()
    text = path.read_text(encoding="utf-8")
    assert visible(text.replace("\n", " ")) == text.replace("\n", " ")
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["round", "site", "metric", "value"],
            ["0", "a", visible(ACTING), "0.5"],
            ["0", "a", '="1"', "1.0"],
            ["0", "a", "精度, 変数", "2.0"],
        ]


def test_names_are_written_whatever_the_locale_is(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fltui.server.books import MetricsTable\n"
        "MetricsTable(Path(sys.argv[1])).add(0, 'a', {'\\u7cbe': 1.0})"
    )
    settings = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.csv")], env=settings, check=True)
    assert "0,a,精,1.0" in (tmp_path / "m.csv").read_text(encoding="utf-8")


def test_the_table_is_made_again_from_the_finished_rounds(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    book.ask(1)
    table = write_metrics(tmp_path / "metrics.csv", book.folder.state())
    table.add(1, "", {"accuracy": 6.0})
    table.close()
    rows = (tmp_path / "metrics.csv").read_text().splitlines()[1:]
    assert rows == ["0,site-0,accuracy,5.0", "0,site-1,accuracy,5.0", "0,,accuracy,5.0", "1,,accuracy,6.0"]
