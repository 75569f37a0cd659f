"""What is written for rclone, and what people are told to do. tests/engines runs the script."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.exchange.doctor.contents import leftovers
from fltui.exchange.doctor.finding import Level
from fltui.exchange.layout import SERVER, ExchangeFolder
from fltui.exchange.publish import open_site
from fltui.exchange.setup.advice import Advice, Setup
from fltui.exchange.setup.carriers import Carrier, prepare


def advised(folder: Path, me: str = SERVER, sites: tuple[str, ...] = ("a", "b"), remote: str = "hub:fl/ex/") -> Advice:
    """What is prepared and said at the server, or at a site."""
    exchange = ExchangeFolder(folder)
    for name in sites:
        open_site(exchange.site(name), "server" if me == SERVER else "site")
    return prepare(Carrier.RCLONE, Setup(exchange, sites, me, remote))


def settings(script: Path) -> dict[str, str]:
    """The settings as a shell reads them."""
    head = script.read_text().partition("\nEVERY=")[0]
    shown = f'{head}\nprintf \'%s\\n\' "$SIDE" "$SITES" "$LOCAL" "$REMOTE"\n'
    done = subprocess.run(["sh", "-c", shown], check=True, capture_output=True, text=True)
    return dict(zip(("SIDE", "SITES", "LOCAL", "REMOTE"), done.stdout.splitlines(), strict=True))


@pytest.mark.skipif(shutil.which("sh") is None, reason="a POSIX shell")
def test_each_side_has_a_script_with_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "it's; $(touch here)"
    server = advised(folder)
    assert server.written == [str(folder / "rclone.sh"), str(folder / "rclone.filter")]
    assert settings(folder / "rclone.sh") == {
        "SIDE": "server",
        "SITES": "a b",
        "LOCAL": str(folder),
        "REMOTE": "hub:fl/ex",
    }
    advised(tmp_path / "a", "a", ("a",), "hub:two words")
    assert settings(tmp_path / "a" / "rclone.sh") == {
        "SIDE": "a",
        "SITES": "a",
        "LOCAL": str(tmp_path / "a"),
        "REMOTE": "hub:two words",
    }
    assert subprocess.run(["sh", "-n", folder / "rclone.sh"], check=False).returncode == 0


def test_people_are_told_what_to_run(tmp_path: Path) -> None:
    server, site = advised(tmp_path / "server"), advised(tmp_path / "site", "a", ("a",))
    assert [step.who for step in server.steps] == [SERVER, SERVER, SERVER, "a", "b"]
    assert server.steps[1].details == [f"sh {tmp_path}/server/rclone.sh"]
    assert server.steps[4].details == ["fltui exchange init DIR --as b --for rclone --remote NAME:PATH"]
    assert {step.who for step in site.steps} == {"a"}
    assert site.steps[-1].details == [f"fltui client SCRIPT --site a --exchange {tmp_path}/site"]


def test_a_script_that_a_person_changed_stays(tmp_path: Path) -> None:
    advised(tmp_path)
    script, filters = tmp_path / "rclone.sh", tmp_path / "rclone.filter"
    assert advised(tmp_path).notes == advised(tmp_path).notes[-1:]
    script.write_text("# mine\n")
    filters.write_text("- *.log\n")
    again = advised(tmp_path)
    assert again.written == []
    assert again.notes[0] == f"{script} is there and stays as it is; remove it to have it written anew"
    assert (script.read_text(), filters.read_text()) == ("# mine\n", "- *.log\n")


@pytest.mark.parametrize(
    ("remote", "said"),
    [
        ("", "rclone needs a place that all sides reach: --remote NAME:PATH"),
        ("/srv/there", "expected NAME:PATH"),
        ("--config:x", "expected NAME:PATH"),
        ("hub:a\nREMOTE=b", "expected NAME:PATH"),
        ("hub:", "has no path"),
        ("hub://", "has no path"),
    ],
)
def test_what_is_no_remote_is_refused(tmp_path: Path, remote: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        advised(tmp_path, remote=remote)
    assert not (tmp_path / "rclone.sh").exists()


def test_a_link_in_place_of_the_script_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    (tmp_path / "rclone.sh").symlink_to(tmp_path / "mine")
    with pytest.raises(BadInputError, match=r"rclone\.sh"):
        advised(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_it_is_said_that_others_can_change_the_script(tmp_path: Path) -> None:
    assert not any("chmod" in note for note in advised(tmp_path / "own").notes)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    note = f"others can write in {tmp_path}/open, so also change what rclone.sh does as its user: "
    assert f"{note}chmod go-w {tmp_path}/open" in advised(tmp_path / "open").notes


def test_a_file_too_large_to_be_the_script_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "rclone.sh").write_bytes(b"#" * (1 << 20 | 1))
    with pytest.raises(BadInputError, match="more than 1048576 bytes"):
        advised(tmp_path)


def test_the_doctor_knows_the_files(tmp_path: Path) -> None:
    advised(tmp_path)
    site = ExchangeFolder(tmp_path).site("a")
    (site.results / ".syncthing.fltui.keep").touch()  # as the script makes it
    (found,) = leftovers(ExchangeFolder(tmp_path), [site, ExchangeFolder(tmp_path).site("b")], [site], 0.0)
    assert found.level is Level.OK, found.seen
