"""Whole examinations: whose side, where, and nothing left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import watchdog.observers  # noqa: F401 - before a user without rights cannot read it any more

from fltui.errors import BadInputError
from fltui.exchange.doctor import own, probes
from fltui.exchange.doctor.examine import Examination
from fltui.exchange.doctor.finding import Finding, Level
from fltui.exchange.doctor.layout import site_folders
from fltui.exchange.layout import is_site
from tests.exchange.doctor.layouts import layout
from tests.exchange.doctor.sites import everything, exchange_with, say


def test_an_examination_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = exchange_with(tmp_path, "a")
    say(exchange, "a", "finished", 2)
    before = everything(exchange.root)
    seen: set[str] = set()

    def look(_: str) -> None:
        seen.update(set(everything(exchange.root)) - set(before))

    examination = Examination(exchange.root, begun=look)
    found = {one.name: one for one in examination.findings()}
    assert examination.side == "server"
    assert {"exchange", "permissions", "file system", "rename", "watch", "free space", "site a"} <= found.keys()
    assert everything(exchange.root) == before
    assert seen
    assert all(name.startswith(probes.PROBE) for name in seen)  # no name that a server or a site would read
    assert not is_site(probes.PROBE + "x")


def test_a_site_tries_in_its_own_temporary_folder(tmp_path: Path) -> None:
    exchange = exchange_with(tmp_path, "a")
    say(exchange, "a", "finished", 2)
    places: set[Path] = set()
    examination = Examination(
        exchange.root, side="a", begun=lambda _: places.update(exchange.root.rglob(f"{probes.PROBE}*"))
    )
    assert all(one.level is not Level.UNSAFE for one in examination.findings())
    assert {place.parent for place in places} == {exchange.site("a").staging("site")}


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_examination_that_is_cut_short_clears_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    exchange = exchange_with(tmp_path, "a")
    before = everything(exchange.root)

    def stop(_: Path) -> Finding:
        assert everything(exchange.root) != before
        raise end

    monkeypatch.setattr(probes, "links", stop)
    with pytest.raises(end):
        list(Examination(exchange.root).findings())
    assert everything(exchange.root) == before


def test_a_user_who_may_only_read_is_told_what_was_not_tried(
    private_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = exchange_with(private_folder, "a")
    say(exchange, "a", "finished", 2)
    for path in [exchange.root, *exchange.root.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = everything(exchange.root)
    examination = Examination(exchange.root)
    found = {one.name: one for one in examination.findings()}
    assert examination.side == ""
    assert "rename, names, watch" in found["trials"].seen
    assert found["own rights"].level is Level.NOTE
    assert everything(exchange.root) == before
    found = {one.name: one for one in Examination(exchange.root, side="server").findings()}
    assert found["own rights"].level is Level.UNSAFE
    assert "cannot write in the exchange folder; cannot write in a/tasks" in found["own rights"].seen


def test_a_site_that_cannot_list_the_exchange_is_examined_alone(private_folder: Path) -> None:
    exchange = exchange_with(private_folder, "a", "b")
    say(exchange, "a", "finished", 2)
    exchange.root.chmod(0o100)
    found = {one.name: one for one in Examination(exchange.root, side="a").findings()}
    assert not [one for one in found.values() if one.level is Level.UNSAFE]
    assert "cannot be listed by this user" in found["other sites"].seen
    assert found["site a"].seen == "finished"
    assert "site b" not in found


def test_a_folder_that_is_not_there_yet_is_tried_above(tmp_path: Path) -> None:
    found = {one.name: one for one in Examination(tmp_path / "new" / "exchange").findings()}
    assert found["exchange"].level is Level.NOTE
    assert f"would make it in {tmp_path}" in found["exchange"].seen
    assert found["rename"].level is Level.OK
    assert everything(tmp_path) == []


def test_a_folder_that_nobody_here_can_make_is_unsafe(private_folder: Path) -> None:
    private_folder.chmod(0o500)
    (found,) = Examination(private_folder / "exchange").findings()
    assert found.level is Level.UNSAFE


@pytest.mark.parametrize("side", ["", "server", "a"])
@pytest.mark.parametrize("place", ["exchange", "link", "below/exchange"])
def test_a_folder_below_one_that_this_user_cannot_enter_is_unsafe(private_folder: Path, place: str, side: str) -> None:
    hidden = private_folder / "hidden"
    exchange_with(hidden, "a")
    (private_folder / "link").symlink_to(hidden / "exchange")
    hidden.chmod(0o600)
    root = private_folder / place if place == "link" else hidden / place
    (found,) = Examination(root, side=side).findings()
    assert (found.name, found.level) == ("exchange", Level.UNSAFE)
    assert found.seen == f"{root} cannot be looked at: Permission denied"
    assert "enter" in found.fix


@pytest.mark.parametrize("side", ["", "server", "a"])
@pytest.mark.parametrize("closed", ["exchange", "exchange/a"])
def test_a_folder_that_this_user_cannot_enter_is_a_finding(private_folder: Path, closed: str, side: str) -> None:
    exchange = exchange_with(private_folder, "a")
    say(exchange, "a", "finished", 2)
    (private_folder / closed).chmod(0o600)
    runs = exchange.site("a").root / "runs"
    found = {one.name: one for one in Examination(exchange.root, side=side, runs=runs).findings()}
    assert found["exchange"].level is (Level.UNSAFE if closed == "exchange" else Level.OK)
    if side == "a":
        assert found["own rights"].level is Level.UNSAFE
    else:
        assert "cannot be looked at: Permission denied" in found["runs folder"].seen


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC])
@pytest.mark.parametrize("place", ["exchange", "new"])
def test_where_no_folder_can_be_made_is_unsafe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str
) -> None:
    """As in /proc, whose mode bits let root write, or on a disk that is full."""
    exchange = exchange_with(tmp_path, "a")
    say(exchange, "a", "finished", 2)
    make = Path.mkdir

    def refuse(self: Path, mode: int = 0o777) -> None:
        if self.name.startswith(probes.PROBE):
            raise OSError(number, os.strerror(number), str(self))
        make(self, mode)

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(own, "_uid", lambda: 54321)
    found = {one.name: one for one in Examination(tmp_path / place).findings()}
    above = tmp_path / "exchange" if place == "exchange" else tmp_path
    assert found["trials"].level is Level.UNSAFE
    assert found["trials"].seen == f"no folder can be made in {above}: {os.strerror(number)}"
    assert (found["trials"].fix == "make room") == (number == errno.ENOSPC)
    assert "free space" in found


def test_room_is_measured_before_the_trials_take_some(tmp_path: Path) -> None:
    names = [one.name for one in Examination(exchange_with(tmp_path).root).findings()]
    assert names.index("free space") < names.index("rename")


@pytest.mark.parametrize("side", ["", "server", "a", "b"])
def test_a_link_in_the_place_of_a_site_is_told_of_and_not_followed(tmp_path: Path, side: str) -> None:
    exchange = exchange_with(tmp_path, "a")
    say(exchange, "a", "finished", 2)
    away = exchange_with(tmp_path / "away", "b")
    secret = away.site("b").tasks / "secret"
    secret.touch()
    exchange.site("b").root.symlink_to(away.site("b").root)
    exchange.site("c").root.symlink_to("nowhere")
    seen: set[str] = set()
    examination = Examination(exchange.root, side=side, begun=lambda _: seen.update(everything(tmp_path / "away")))
    found = {one.name: one for one in examination.findings()}
    assert found["linked sites"].level is Level.WARNING
    assert (
        f"b -> {away.site('b').root}, c -> nowhere; what they lead to was not looked at" in found["linked sites"].seen
    )
    assert not [one for one in found.values() if "secret" in one.seen or one.name == "site b"]
    assert "unknown names" not in found
    assert not [name for name in seen if probes.PROBE in name]


def test_a_site_that_the_exchange_does_not_have_is_told_of(tmp_path: Path) -> None:
    exchange = exchange_with(tmp_path, "a", "b")
    found = {one.name: one for one in Examination(exchange.root, side="site-9").findings()}
    assert (found["site"].level, found["site"].seen) == (
        Level.WARNING,
        "the exchange has no site site-9; there are a, b",
    )
    assert "site" not in {one.name for one in Examination(exchange.root, side="a").findings()}
    empty = exchange_with(tmp_path / "empty")
    found = {one.name: one for one in Examination(empty.root, side="a").findings()}
    assert found["site"].seen == "the exchange has no site a; it has no site yet"


@pytest.mark.parametrize(("side", "file"), [("../x", False), ("", True)])
def test_what_is_no_folder_or_no_side_is_bad_input(tmp_path: Path, side: str, file: bool) -> None:
    path = tmp_path / "x"
    if file:
        path.touch()
    with pytest.raises(BadInputError):
        Examination(path, side=side)


def test_files_that_the_umask_closes_are_unsafe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = exchange_with(tmp_path, "site-1")
    (site,) = site_folders(exchange)
    before = everything(exchange.root)
    open_, closed = 0o022, 0o077
    for umask, level in ((open_, Level.OK), (closed, Level.UNSAFE)):
        old = os.umask(umask)
        try:
            monkeypatch.setattr(own, "_uid", lambda: 54321)
            found = own.new_files(layout(), "server", [site])
        finally:
            os.umask(old)
        assert found is not None
        assert (found.level, f"umask {umask:03o}" in found.seen) == (level, True)
    assert everything(exchange.root) == before
