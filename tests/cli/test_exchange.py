"""``fltui exchange init``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.about import read_about
from fltui.exchange.layout import ExchangeFolder
from tests.cli.shell import Shell


def test_the_help_has_examples(shell: Shell) -> None:
    code, out, _ = shell("exchange", "init", "--help")
    assert code == 0
    assert "Example: fltui exchange init" in out


def test_the_server_makes_the_exchange_and_its_part_of_each_site(shell: Shell) -> None:
    (told,) = shell.json("exchange", "init", "ex", "--sites", "b, a")
    root = shell.folder / "ex"
    assert (told["exchange"], told["as"], told["sites"], told["steps"]) == (str(root), "server", ["a", "b"], [])
    about = read_about(ExchangeFolder(root))
    for name in ("a", "b"):
        assert {path.name for path in (root / name).iterdir()} == {"tasks", "results", ".syncthing.fltui.server"}
    shell.json("exchange", "init", "ex", "--sites", "a,b,c")
    assert read_about(ExchangeFolder(root)) == about


def test_a_site_makes_its_own_part_and_no_exchange(shell: Shell) -> None:
    (told,) = shell.json("exchange", "init", "ex", "--as", "a", "--for", "syncthing")
    root = shell.folder / "ex"
    assert {path.name for path in root.iterdir()} == {"a"}
    assert told["written"] == [str(root / "a" / ".stignore")]
    assert {step["who"] for step in told["steps"]} == {"a"}


def test_people_are_told_step_by_step(shell: Shell) -> None:
    code, out, err = shell("exchange", "init", "ex", "--sites", "a,b", "--for", "syncthing")
    assert (code, err) == (0, "")
    assert "exchange ready" in out
    at_server, at_a, at_b = out.index("at the server:\n  1. "), out.index("at a:\n  1. "), out.index("at b:\n  1. ")
    assert at_server < at_a < at_b


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "no site is named"),
        (["--sites", "a,A"], "must differ in more than upper and lower case"),
        (["--sites", "../a"], "cannot be used"),
        (["--sites", "server"], "it means the server"),
        (["--sites", "b", "--as", "a"], "--sites is for the server"),
    ],
)
def test_what_cannot_be_made_is_bad_input(shell: Shell, options: list[str], sentence: str) -> None:
    code, _, err = shell("exchange", "init", "ex", *options)
    assert code == 2
    assert sentence in err
    assert not Path("ex").exists()
