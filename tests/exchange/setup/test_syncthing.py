"""What is written for Syncthing, and what people are told to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.exchange.layout import SERVER, ExchangeFolder
from fltui.exchange.publish import open_site
from fltui.exchange.setup.advice import Advice, Setup
from fltui.exchange.setup.carriers import Carrier, prepare


def advised(folder: Path, me: str = SERVER, sites: tuple[str, ...] = ("a", "b")) -> Advice:
    """What is prepared and said at the server, or at a site."""
    exchange = ExchangeFolder(folder)
    for name in sites:
        open_site(exchange.site(name), "server" if me == SERVER else "site")
    return prepare(Carrier.SYNCTHING, Setup(exchange, sites, me))


def details(advice: Advice, who: str) -> str:
    """The commands of one machine."""
    return "\n".join(line for step in advice.steps if step.who == who for line in step.details)


def test_each_way_is_a_folder_of_its_own(tmp_path: Path) -> None:
    server, site = advised(tmp_path / "server"), advised(tmp_path / "site", "a", ("a",))
    for folder, path, sends in (("fltui-a-tasks", "a/tasks", True), ("fltui-a", "a", False)):
        for advice, who, where, kind in (
            (server, SERVER, "server", "sendonly" if sends else "receiveonly"),
            (site, "a", "site", "receiveonly" if sends else "sendonly"),
        ):
            assert f"--id {folder} --path {tmp_path / where / path} --type {kind} --ignore-perms " in details(
                advice, who
            )
    assert "--id fltui-b --path" in details(server, SERVER)
    assert "fltui exchange init DIR --as b --for syncthing" in details(server, "b")
    assert {step.who for step in site.steps} == {"a"}


def test_the_tasks_are_left_out_of_the_sites_folder(tmp_path: Path) -> None:
    ignores = [tmp_path / name / ".stignore" for name in ("a", "b")]
    assert advised(tmp_path).written == [str(path) for path in ignores]
    before = [path.read_text() for path in ignores]
    assert all(text.splitlines()[-1] == "/tasks" for text in before)
    assert advised(tmp_path).written == []
    assert [path.read_text() for path in ignores] == before


def test_a_persons_own_lines_stay_and_are_told_of(tmp_path: Path) -> None:
    open_site(ExchangeFolder(tmp_path).site("a"), "server")
    ignore = tmp_path / "a" / ".stignore"
    ignore.write_text("// mine\n!/tasks\n*.bak\n")
    advice = advised(tmp_path, sites=("a",))
    assert ignore.read_text().splitlines()[1:] == ["/tasks", "// mine", "!/tasks", "*.bak"]
    assert advice.written == [str(ignore)]
    assert advice.notes[0].startswith(
        f"{ignore} has lines of your own below '/tasks', which stay as they are: '!/tasks', "
    )


def test_an_ignore_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    open_site(ExchangeFolder(tmp_path).site("a"), "server")
    (tmp_path / "a" / ".stignore").symlink_to(tmp_path / "other")
    with pytest.raises(BadInputError, match=r"\.stignore"):
        advised(tmp_path, sites=("a",))
    assert not (tmp_path / "other").exists()
