"""Following what a site writes beside its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from fltui.exchange.layout import ExchangeFolder, SiteFolder
from fltui.exchange.manifest import Logged
from fltui.exchange.publish import open_site
from fltui.server import mirror
from fltui.server.mirror import Mirror
from tests.hostile import spoilt

RUN = "hello-20260101T000000Z-abcd"


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site ``a``."""
    folder = ExchangeFolder(tmp_path).site("a")
    open_site(folder, "site")
    return folder


def test_new_lines_are_appended(site: SiteFolder, tmp_path: Path) -> None:
    follows = Mirror(site, RUN, tmp_path / "a.log", lambda *_: None)
    follows.look()
    for text in ("one\n", "two\nthr"):
        with site.log(RUN).open("a") as file:
            file.write(text)
        follows.look()
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nthr"


def test_zeros_at_the_end_are_not_there_yet(site: SiteFolder, tmp_path: Path) -> None:
    mirror = Mirror(site, RUN, tmp_path / "a.log", lambda *_: None)
    for text in (b"one\n" + bytes(8), b"one\ntwo\n" + bytes(4), b"one\ntwo\nfour"):
        site.log(RUN).write_bytes(text)
        mirror.look()
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nfour"


def test_the_end_takes_all_that_is_left(site: SiteFolder, tmp_path: Path) -> None:
    mirror = Mirror(site, RUN, tmp_path / "a.log", lambda *_: None)
    site.log(RUN).write_bytes(b"x" * 5_000_000)
    mirror.finish()
    assert (tmp_path / "a.log").stat().st_size == 5_000_000


def test_values_are_reported_line_by_line(site: SiteFolder) -> None:
    found: list[tuple[str, Logged]] = []
    mirror = Mirror(site, RUN, None, lambda name, logged: found.append((name, logged)))
    lines = ['{"key":"loss","value":1', '}\nnot json\n{"key":"loss","value":NaN}\n{"key":"loss","value":2}\n{"key"']
    for text in lines:
        with site.metrics(RUN).open("a") as file:
            file.write(text)
        mirror.look()
    assert found == [("a", Logged("loss", 1.0)), ("a", Logged("loss", 2.0))]


LINE = b'{"key":"loss","value":1}\n'


@pytest.mark.parametrize("bad", [b'{"key":"\xff","value":1}', b'{"key":"loss","value":1,"round":9007199254740993}'])
def test_a_line_that_is_no_value_costs_only_itself(site: SiteFolder, bad: bytes) -> None:
    found: list[Logged] = []
    site.metrics(RUN).write_bytes(LINE + bad + b"\n" + LINE)
    Mirror(site, RUN, None, lambda _, logged: found.append(logged)).look()
    assert found == [Logged("loss", 1.0)] * 2


@given(spoilt(LINE[:-1]))
def test_whatever_a_site_writes_is_followed(site: SiteFolder, data: bytes) -> None:
    found: list[Logged] = []
    site.metrics(RUN).write_bytes(data + b"\n" + LINE)
    Mirror(site, RUN, None, lambda _, logged: found.append(logged)).finish()
    assert found[-1] == Logged("loss", 1.0)


def test_another_server_of_the_run_takes_only_what_is_new(site: SiteFolder, tmp_path: Path) -> None:
    found: list[float] = []
    lines = [f'{{"key":"loss","value":{number}}}\n' for number in range(4)]
    site.metrics(RUN).write_text(lines[0] + "not json\n" + lines[1] + lines[2] + lines[3])
    site.log(RUN).write_text("one\ntwo\n")
    (tmp_path / "a.log").write_text("one\n")
    mirror = Mirror(site, RUN, tmp_path / "a.log", lambda _, logged: found.append(logged.value), known=2)
    mirror.finish()
    assert found == [2.0, 3.0]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"


def test_a_link_in_place_of_a_log_is_not_followed(site: SiteFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    site.log(RUN).symlink_to(tmp_path / "secret")
    Mirror(site, RUN, tmp_path / "a.log", lambda *_: None).look()
    assert not (tmp_path / "a.log").exists()


def test_a_second_name_of_another_file_is_told_once_and_not_followed(site: SiteFolder, tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "secret").write_bytes(LINE)
    for path in (site.log(RUN), site.metrics(RUN)):
        path.hardlink_to(tmp_path / "secret")
    follows = Mirror(site, RUN, tmp_path / "a.log", lambda *_: pytest.fail("it was read"), told=told.append)
    follows.look()
    follows.look()
    assert not (tmp_path / "a.log").exists()
    assert told == [
        f"site a: logs/{name} has a second name (hard link); it is not followed"
        for name in (f"{RUN}.log", f"{RUN}.metrics.jsonl")
    ]


def test_a_closed_folder_of_logs_is_an_empty_one(private_folder: Path) -> None:
    site = ExchangeFolder(private_folder).site("a")
    open_site(site, "site")
    site.logs.chmod(0)
    Mirror(site, RUN, private_folder / "a.log", lambda *_: None).look()
    assert not (private_folder / "a.log").exists()


def test_of_a_log_without_end_so_much_is_copied(
    site: SiteFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LARGEST_LOG", 3 << 20)
    told: list[str] = []
    follows = Mirror(site, RUN, tmp_path / "a.log", lambda *_: None, told=told.append)
    site.log(RUN).write_bytes(b"x" * (5 << 20))
    follows.finish()
    follows.look()
    assert (tmp_path / "a.log").stat().st_size == 3 << 20
    assert told == [f"site a: logs/{RUN}.log is followed no longer: 3 MiB of it are copied, the most"]


def test_of_values_without_end_so_many_are_taken(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "MOST_LINES", 5)
    found: list[Logged] = []
    told: list[str] = []
    follows = Mirror(site, RUN, None, lambda _, logged: found.append(logged), told=told.append)
    site.metrics(RUN).write_bytes((LINE + b"no value\n") * 10)
    follows.finish()
    follows.look()
    assert found == [Logged("loss", 1.0)] * 3
    assert told == [f"site a: logs/{RUN}.metrics.jsonl is followed no longer: 5 lines of it are taken, the most"]


def test_one_look_takes_64_kib_of_values(site: SiteFolder) -> None:
    found: list[Logged] = []
    follows = Mirror(site, RUN, None, lambda _, logged: found.append(logged))
    site.metrics(RUN).write_bytes(LINE * 10_000)
    follows.look()
    assert len(found) == (1 << 16) // len(LINE)
    follows.finish()
    assert len(found) == 10_000
