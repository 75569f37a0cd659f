"""Full disks and shares that are away: the run waits, says why, and goes on as if nothing had been."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fltui.exchange.outage import exchange_id
from fltui.run import control
from fltui.run.events import RequestRefused, RunPaused, SiteLost
from tests.faults.outages.broken_disk import CHANGES, READS, WRITES, BrokenDisk
from tests.faults.outages.shared_run import SITES, Shared

FULL = os.strerror(errno.ENOSPC)
NONE = os.strerror(errno.ENOENT)
LONGER_THAN_SILENCE = 45.0


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The run that nothing happens to."""
    run = Shared(tmp_path_factory.mktemp("calm")).play()
    run.check(run)
    assert run.paused == []
    assert run.said == {site: [] for site in SITES}
    return run


def breaking(root: Path, error: int, calls: tuple[str, ...], at: int, **how: object) -> Shared:
    """A run whose disk breaks at a call of one side, for some seconds."""
    run = Shared(root, named=bool(how.get("named", True)))
    places = {"both": (run.exchange, run.runs), "exchange": (run.exchange,), "runs": (run.runs,)}
    side, seconds, for_all = how.get("side", ""), float(str(how.get("seconds", 5))), bool(how.get("for_all"))
    run.disk = disk = BrokenDisk(
        places[str(how.get("where", "both"))],
        error,
        calls,
        at=at,
        counts=lambda: bool(run.side) and (side in ("", run.side) or (for_all and disk.is_broken)),
        breaks=lambda: run.later(seconds, disk.mend),
        once=bool(how.get("once")),
    )
    return run


def all_breaks(
    root: Path, error: int, calls: tuple[str, ...], first: int, step: int, **how: object
) -> Iterator[Shared]:
    """A run broken at every `step`-th call from the `first` on, played; the last calls are those of a run's end."""
    at = first
    while True:
        place = root / str(at)
        run = breaking(place, error, calls, at, **how)
        run.play()
        assert run.disk is not None
        if not run.disk.broken_by:
            assert at > 40, "there are no calls to break"
            return
        yield run
        shutil.rmtree(place)
        at += step


def enough_room(run: Shared, why: str) -> str:
    """The sentence of a run that waits for room, as a pattern; it names where."""
    places = " and ".join(sorted(map(re.escape, map(str, (run.exchange, run.folder.root)))))
    return (
        rf"{why}( \({re.escape(str(run.root))}/.*\))?; the run goes on by itself when 256\.\d KiB are free in {places}"
    )


def held_up(run: Shared, site: str, why: str) -> re.Pattern[str]:
    """What a site says of a write that it tries again, or of a server that has not begun."""
    place = re.escape(f"{run.exchange}/{site}")
    return re.compile(
        rf"site {site}: .* cannot be written: {why} \({place}.*\); trying again|site {site} waits for a server at .*|"
        rf"site {site}: the run ended before .* was written for sure"
    )


def away(run: Shared) -> str:
    """The sentence of a run whose exchange folder is not there."""
    return (
        f"the exchange folder {run.exchange} is away: there is no exchange.json that can be read; the run goes on by "
        "itself when its own is back"
    )


@pytest.mark.parametrize("first", range(1, 9))
def test_a_disk_that_is_full_at_any_write_of_the_server_pauses_the_run(
    tmp_path: Path, calm: Shared, first: int
) -> None:
    for run in all_breaks(tmp_path, errno.ENOSPC, WRITES, first, 8, side="server"):
        run.check(calm)
        run.check_tidy()
        if run.failures:
            # Not even the blocks that the run had put by for its last word were there.
            assert run.failures == [f"run {run.folder.run} has ended and {run.folder.journal} cannot tell: {FULL}; "], (
                run.disk
            )
        else:
            (reason,) = run.paused
            assert re.fullmatch(enough_room(run, FULL), reason), run.disk
            assert f"WARN run paused: {reason}" in run.log
            assert "INFO run resumed" in run.log


@pytest.mark.parametrize("first", range(1, 5))
def test_a_disk_that_is_full_at_any_write_of_a_site_holds_it_up(tmp_path: Path, calm: Shared, first: int) -> None:
    told = 0
    for run in all_breaks(tmp_path, errno.ENOSPC, WRITES, first, 4, side="site"):
        run.check(calm)
        run.check_tidy()
        assert run.disk is not None
        for site in SITES:
            assert [line for line in run.said[site] if not held_up(run, site, FULL).fullmatch(line)] == [], run.disk
        told += any(run.said.values())
        if "/results/" in run.disk.broken_by and not run.disk.broken_by.startswith("fsync"):
            assert any(run.said.values()), run.disk
    assert told > 10


@pytest.mark.parametrize(
    ("where", "error", "step", "seconds", "named"),
    [
        ("runs", errno.ENOSPC, 9, 5, True),
        ("exchange", errno.ENOSPC, 7, LONGER_THAN_SILENCE, False),
        ("exchange", errno.EDQUOT, 7, 5, True),
        ("both", errno.EDQUOT, 11, LONGER_THAN_SILENCE, True),
    ],
)
def test_one_disk_may_be_full_or_a_quota_used_up(
    tmp_path: Path, calm: Shared, where: str, error: int, step: int, seconds: float, named: bool
) -> None:
    paused = 0
    how = {"where": where, "seconds": seconds, "named": named}
    for run in all_breaks(tmp_path, error, WRITES, 2, step, side="server", **how):
        run.check(calm)
        assert len(run.paused) <= 1
        paused += len(run.paused)
        for reason in run.paused:
            assert re.fullmatch(enough_room(run, os.strerror(error)), reason), run.disk
    assert paused > 3


@pytest.mark.parametrize("first", range(1, 4))
def test_a_full_disk_that_only_the_sites_write_to_is_no_silence(tmp_path: Path, calm: Shared, first: int) -> None:
    paused = 0
    how = {"where": "exchange", "side": "site", "seconds": LONGER_THAN_SILENCE, "for_all": True}
    for run in all_breaks(tmp_path, errno.ENOSPC, WRITES, first, 7, **how):
        run.check(calm)
        assert [event for event in run.events if isinstance(event, SiteLost)] == [], run.disk
        paused += len(run.paused)
        for reason in run.paused:
            assert re.fullmatch(enough_room(run, FULL), reason), run.disk
    assert paused > 5


def test_a_write_that_fails_once_is_done_again(tmp_path: Path, calm: Shared) -> None:
    for run in all_breaks(tmp_path, errno.ENOSPC, WRITES, 5, 13, once=True):
        run.check(calm)


@pytest.mark.parametrize(
    ("error", "calls", "step", "seconds"),
    [
        (errno.ESTALE, (*CHANGES, *READS), 61, 5),
        (errno.EIO, (*CHANGES, *READS), 83, 5),
        (errno.ENOTCONN, (*CHANGES, *READS), 97, LONGER_THAN_SILENCE),
        (errno.EROFS, CHANGES, 17, 5),
    ],
)
def test_a_share_that_answers_with_errors_is_waited_for(
    tmp_path: Path, calm: Shared, error: int, calls: tuple[str, ...], step: int, seconds: float
) -> None:
    paused = []
    for run in all_breaks(tmp_path, error, calls, 3, step, where="exchange", seconds=seconds):
        run.check(calm)
        paused += run.paused
        assert set(run.paused) <= {away(run)} or all(
            reason.startswith(f"the exchange folder {run.exchange} does not work: {os.strerror(error)} (")
            for reason in run.paused
        ), run.disk
    assert paused


def test_a_run_folder_that_cannot_be_written_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    ends = 0
    for at in (2, 30, 60, 120):
        run = breaking(tmp_path / str(at), errno.EIO, WRITES, at, side="server", where="runs", seconds=30)
        run.play()
        (told,) = run.failures
        assert told.startswith(
            f"run {run.folder.run} has ended and {run.folder.journal} cannot tell: Input/output error"
        )
        ends += "the server cannot go on: Input/output error (" in told
    assert ends == 4


MOMENTS = [0.3, 0.32, 0.35, 0.4, 0.5, 0.55, 0.6, 0.7, 0.85, 1.0, 1.3, 1.7, 2.1]
"""Seconds after the start: before the sites are there, while they train, when they send, between the rounds."""


def put_away(run: Shared, seconds: float, put: Callable[[Shared], object] = lambda _: None) -> None:
    """Take the exchange folder away for a while, and put something else in its place."""
    place = run.root / "away"
    run.exchange.rename(place)
    put(run)

    def bring_back() -> None:
        if run.exchange.exists():
            run.exchange.rename(run.root / "other")
        place.rename(run.exchange)

    run.later(seconds, bring_back)


def taken_away(root: Path, moment: float, seconds: float, put: Callable[[Shared], object] = lambda _: None) -> Shared:
    """A run whose exchange folder is away for a while from a moment on."""
    run = Shared(root)
    run.plans = {moment: lambda: put_away(run, seconds, put)}
    return run.play()


@pytest.mark.parametrize("seconds", [5.0, LONGER_THAN_SILENCE])
def test_an_exchange_folder_that_is_away_is_waited_for(tmp_path: Path, calm: Shared, seconds: float) -> None:
    for number, moment in enumerate(MOMENTS[seconds > 30 :: 2]):
        run = taken_away(tmp_path / str(number), moment, seconds)
        run.check(calm)
        assert run.paused == [away(run)], moment
        assert f"WARN run paused: {away(run)}" in run.log
        for site in SITES:
            lines = run.said[site]
            gone = any(line.startswith(f"site {site}: the exchange folder is away: {NONE} (") for line in lines)
            assert gone == (f"site {site}: the exchange folder is back" in lines), moment
            assert gone or any(held_up(run, site, NONE).fullmatch(line) for line in lines), (moment, lines)


def test_an_empty_folder_in_its_place_is_not_the_exchange(tmp_path: Path, calm: Shared) -> None:
    for number, moment in enumerate(MOMENTS[::2]):
        run = taken_away(tmp_path / str(number), moment, 20, lambda run: run.exchange.mkdir())
        run.check(calm)
        assert run.paused == [away(run)], moment
        assert list((run.root / "other").iterdir()) == []


def _another(run: Shared) -> None:
    """A copy of the exchange that calls itself another, as a disk that was set up from a backup might hold."""
    shutil.copytree(run.root / "away", run.exchange)
    about = run.exchange / "exchange.json"
    about.write_text(about.read_text().replace(str(exchange_id(run.root / "away")), "0" * 16))
    for site in SITES:
        shutil.rmtree(run.exchange / site / "results", ignore_errors=True)
        (run.exchange / site / "results").mkdir(parents=True)


@pytest.mark.parametrize(("number", "after"), [(0, 0.1), (0, 0.21), (0, 0.5), (1, 0.1), (1, 0.21)])
def test_another_exchange_in_its_place_is_left_alone(tmp_path: Path, calm: Shared, number: int, after: float) -> None:
    run = Shared(tmp_path / "run")
    run.on_training = lambda site, found: (
        run.later(after, lambda: put_away(run, 20, _another)) if (site, found) == ("b", number) else None
    )
    run.play().check(calm)
    mine = exchange_id(run.exchange)
    told = f"another exchange lies there, {'0' * 16} instead of {mine} ({run.exchange})"
    assert run.paused == [
        f"the exchange folder {run.exchange} holds another exchange, {'0' * 16} instead of {mine}; the run goes on by "
        "itself when its own is back"
    ]
    assert list((run.root / "other").glob("*/results/*")) == []
    assert all(any(told in line for line in run.said[site]) for site in SITES)


def test_a_run_that_a_person_paused_stays_so_after_an_outage(tmp_path: Path, calm: Shared) -> None:
    run = Shared(tmp_path)
    run.plans = {
        0.1: lambda: control.ask(run.folder, control.Pause("lunch")),
        5.0: lambda: put_away(run, 20),
        60.0: lambda: control.ask(run.folder, control.Resume()),
    }
    run.play().check(calm)
    assert run.paused == ["lunch", away(run), "lunch"]
    assert run.end is not None
    assert run.end.seconds > 59


@pytest.mark.parametrize("again", [False, True])
def test_a_run_that_a_person_pauses_during_an_outage_stays_so_after_it(
    tmp_path: Path, calm: Shared, again: bool
) -> None:
    run = Shared(tmp_path)
    run.plans = {
        1.0: lambda: put_away(run, 20),
        10.0: lambda: control.ask(run.folder, control.Pause("lunch")),
        60.0: lambda: control.ask(run.folder, control.Resume()),
    }
    if again:
        run.plans[11.0] = lambda: control.ask(run.folder, control.Pause("a long lunch"))
    run.play().check(calm)
    assert run.paused == [away(run), away(run), "lunch"]
    pauses = [event for event in run.events if isinstance(event, RunPaused)]
    assert [(event.outage, event.stays) for event in pauses] == [(True, False), (True, True), (False, False)]
    assert run.end is not None
    assert run.end.seconds > 59


def test_a_person_may_think_better_of_a_pause_during_an_outage(tmp_path: Path, calm: Shared) -> None:
    run = Shared(tmp_path)
    run.plans = {
        1.0: lambda: put_away(run, 20),
        10.0: lambda: control.ask(run.folder, control.Pause("lunch")),
        12.0: lambda: control.ask(run.folder, control.Resume()),
        14.0: lambda: control.ask(run.folder, control.Resume()),
    }
    run.play().check(calm)
    assert run.paused == [away(run)] * 3
    assert [event.reason for event in run.events if isinstance(event, RequestRefused)] == [away(run)]
    assert run.end is not None
    assert run.end.seconds < 30
