"""The options that all benchmarks have, and the command that names them."""

from __future__ import annotations

import argparse
import importlib

import pytest

from benchmarks.__main__ import _BENCHMARKS, main
from benchmarks.command import counts, lines_of_problems


def test_numbers_are_separated_by_commas() -> None:
    assert counts("2,8,32") == [2, 8, 32]


@pytest.mark.parametrize("text", ["", "0", "2,", "2;8", "-2", "two", "1.5"])
def test_what_is_no_number_of_at_least_one_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of at least 1"):
        counts(text)


def test_only_what_went_wrong_is_told() -> None:
    assert lines_of_problems({"2 sites": "", "8 sites": ""}) == []
    assert lines_of_problems({"2 sites": "", "8 sites": "it hung"})[1:] == ["what went wrong", "8 sites: it hung"]


def test_the_help_gives_an_example_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"python -m benchmarks {name} --" in shown for name in _BENCHMARKS)


@pytest.mark.parametrize("name", [name for name in _BENCHMARKS if name != "peers"])
def test_each_is_reached_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"usage: python -m benchmarks.{name} " in capsys.readouterr().out


def test_the_peers_are_reached_as_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    with pytest.raises(SystemExit, match="0"):
        main(["peers", "--help"])
    assert "usage: python -m benchmarks.peers " in capsys.readouterr().out


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["hello"])
    assert "invalid choice: 'hello'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("latency", ["--sites", "0"], "'0' is no number of at least 1"),
        ("latency", ["--repeats", "none"], "'none' is no number of at least 1"),
        ("throughput", ["--cases", "100"], "'100' is no case; give MB and sites, as 100x2"),
        ("throughput", ["--cases", "10x2,100x"], "'' is no number of at least 1"),
        ("aggregation", ["--cases", "32"], "'32' is no case; give millions of parameters and sites, as 1x32"),
        ("sites", ["--limit", "0"], "'0' is no number of at least 1"),
    ],
)
def test_wrong_options_are_named(
    name: str, options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module(f"benchmarks.{name}").main(options)
    assert reason in capsys.readouterr().err
