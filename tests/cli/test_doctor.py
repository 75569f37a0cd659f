"""``fltui doctor``, as a person or a program types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fltui.cli.doctor import _size, doctor
from fltui.errors import BadInputError
from fltui.exchange.publish import open_exchange, open_site
from tests.jobs import fltui


def test_a_good_folder_is_told_so_and_is_as_it_was(tmp_path: Path) -> None:
    open_site(open_exchange(tmp_path / "exchange").site("site-1"), "server")
    before = sorted(tmp_path.rglob("*"))
    done = fltui(tmp_path, "doctor", "exchange", "--model-size", "1MB")
    assert done.code == 0, done.out + done.err
    lines = done.out.splitlines()
    assert any(line.startswith("ok      rename           200 renames") for line in lines)
    assert lines[-1].startswith("nothing unsafe, ")
    assert all(len(line) <= 120 for line in lines)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_open_folder_is_unsafe_named_and_has_a_fix(tmp_path: Path) -> None:
    site = open_exchange(tmp_path / "exchange").site("site-1")
    open_site(site, "site")
    site.results.chmod(0o777)
    for folder in (tmp_path, tmp_path / "exchange", site.root):
        folder.chmod(0o755)
    done = fltui(tmp_path, "doctor", "exchange", "--json")
    assert done.code == 1, done.err
    (found,) = [one for one in done.events if one.get("level") == "unsafe"]
    assert "everybody can write in site-1/results (mode 0777)" in found["seen"]
    assert found["fix"]
    assert done.last["safe"] is False
    assert done.last["unsafe"] == 1
    assert done.last["as"] == "server"


def test_bad_input_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fltui(tmp_path, "doctor", "file")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {tmp_path / 'file'} is not a folder, so it cannot be an exchange\n"


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_folder(tmp_path: Path, name: str) -> None:
    done = fltui(tmp_path, "doctor", name)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: no exchange folder is named")


@pytest.mark.parametrize("place", ["/proc", "/sys", "/proc/exchange"])
def test_where_nothing_can_be_made_is_unsafe_and_told(tmp_path: Path, place: str) -> None:
    if not Path(place).parent.is_dir() or not Path("/proc/self").is_dir():
        pytest.skip("this system has no such folder")
    done = fltui(tmp_path, "doctor", place)
    assert (done.code, done.err) == (1, "")


@pytest.mark.parametrize(
    ("side", "size", "says"),
    [
        ("../x", "", "site name '../x' cannot be used"),
        ("", "many", "--model-size is 'many', expected a number with a unit"),
    ],
)
def test_a_side_or_a_size_that_is_none_is_refused_before_anything_is_tried(
    tmp_path: Path, side: str, size: str, says: str
) -> None:
    with pytest.raises(BadInputError, match=says):
        doctor(tmp_path, side=side, model_size=size)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("1000", 1000), ("500MB", 500_000_000), ("4 gb", 4_000_000_000), ("1.5k", 1500), ("4GiB", 4 << 30)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert _size(text) == size


@pytest.mark.parametrize("text", ["GB", "-1GB", "1e9", "4ib", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        _size(text)


STOPPED = """
import os, signal, sys
from pathlib import Path
from fltui.exchange.doctor import probes
sent = getattr(signal, sys.argv.pop())
def told(*_, **__):
    assert list(Path("exchange").glob(probes.PROBE + "*"))
    os.kill(os.getpid(), sent)
probes.put_bytes = told
from fltui.cli import main
main()
"""


@pytest.mark.parametrize(("sent", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_being_told_to_stop_it_clears_away_and_says_so(tmp_path: Path, sent: str, code: int) -> None:
    open_exchange(tmp_path / "exchange")
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, "doctor", "exchange", sent],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, f"error: stopped by {sent}\n")
    assert sorted(tmp_path.rglob("*")) == before
