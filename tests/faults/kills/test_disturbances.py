"""What disturbs a run and does not kill it: torn journals, clocks, signals, slow disks, stopped processes, rivals."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fltui.run.events import AnyEvent, ResultAccepted, SiteLost
from fltui.run.folder import RunFolder, list_runs
from tests.console.terminal import Terminal
from tests.faults.kills.killing import Kill, Killing
from tests.faults.kills.lives import Arms, start
from tests.faults.kills.undisturbed import Calm

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know what is written")

ROUNDS = 6
DIED = "server after write journal result_accepted"

CUTS: dict[str, Callable[[bytes], bytes]] = {
    "no line feed": lambda line: line[:-1],
    "half": lambda line: line[: len(line) // 2],
    "one byte": lambda line: line[:1],
    "nothing": lambda line: b"",
    "zeros": lambda line: b"\0" * len(line),
    "half and zeros": lambda line: line[: len(line) // 2] + b"\0" * 100,
    "another half": lambda line: line + line[: len(line) // 2],
}
"""What may be left of a last line where the process died in the midst of it, or the power went."""


def disturbed(
    folder: Path, calm: Calm, *plan: Kill, trouble: tuple[str, ...] = (), settings: Mapping[str, float] | None = None
) -> Killing:
    """A run with a plan and trouble that ends as if nothing had happened."""
    run = Killing(folder, calm.job, ROUNDS, plan, trouble=trouble, settings=settings or {})
    run.go()
    run.check(calm.rounds)
    return run


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_last_line_that_is_torn_had_not_been_written(
    tmp_path: Path, calm: Calm, cut: Callable[[bytes], bytes]
) -> None:
    def tear(run: Killing) -> None:
        journal = run.begun.journal
        *before, last = journal.read_bytes().splitlines(keepends=True)
        assert b"result_accepted" in last
        journal.write_bytes(b"".join(before) + cut(last))

    disturbed(tmp_path, calm, *[Kill(DIED, ("server",), then=tear)] * 3)


@pytest.mark.parametrize("trouble", ["clock_a_year_behind", "clock_set_back_meanwhile"])
def test_a_clock_that_is_set_back_a_year_decides_nothing(tmp_path: Path, calm: Calm, trouble: str) -> None:
    plan = (Kill("server after write journal round_finished", ("server", "site")),)
    run = Killing(tmp_path, calm.job, ROUNDS, plan, trouble=(trouble,), healthy=1 if trouble.endswith("behind") else 0)
    run.go()
    run.check(calm.rounds)
    times = [event.time for event in run.events]
    assert max(times) - min(times) > 300 * 86400
    assert 0 <= run.begun.state().seconds < 60


def test_a_run_that_begins_a_year_before_the_last_one_is_another_run(tmp_path: Path, calm: Calm) -> None:
    first = disturbed(tmp_path, calm).begun.root
    (tmp_path / "runs").rename(tmp_path / "runs-before")
    second = disturbed(tmp_path, calm, trouble=("clock_a_year_behind",)).begun.root
    assert second.name < first.name
    (tmp_path / "runs-before" / first.name).rename(first)
    assert [run.run for run in list_runs(tmp_path / "runs")] == [first.name, second.name]


@pytest.mark.parametrize("trouble", ["slow_disk", "signals"])
def test_slow_disks_and_signals_change_no_bit_and_lose_no_site(tmp_path: Path, calm: Calm, trouble: str) -> None:
    plan = (Kill("server after write journal round_finished", ("server",)), Kill("site after send", ("site",)))
    run = disturbed(tmp_path, calm, *plan, trouble=(trouble,))
    assert not losses(run.events)


def losses(events: list[AnyEvent]) -> list[str]:
    """The sites that were lost, in order."""
    return [event.site for event in events if isinstance(event, SiteLost)]


@pytest.mark.parametrize("step", ["site after receive", "site after send"])
def test_a_site_that_is_stopped_is_lost_and_comes_back(tmp_path: Path, calm: Calm, step: str) -> None:
    plan = (
        Kill(step, ("site",), signal.SIGSTOP),
        Kill("server after write journal site_lost", ("site",), signal.SIGCONT),
    )
    run = disturbed(tmp_path, calm, *plan, settings={"fltui.server.remote:SILENCE": 0.5})
    assert losses(run.events)[0] == "a"


def test_a_server_that_is_stopped_loses_nobody(tmp_path: Path, calm: Calm) -> None:
    beats = [Kill("site after rename status")] * 20  # a second of a site's life: longer than silence may last
    plan = (
        Kill("server after write journal round_started", ("server",), signal.SIGSTOP),
        *beats,
        Kill("site after rename status", ("server",), signal.SIGCONT),
    )
    run = disturbed(
        tmp_path, calm, *plan, settings={"fltui.server.remote:SILENCE": 0.6, "fltui.server.remote:_DEAF": 0.4}
    )
    assert not losses(run.events)


def test_a_second_server_is_refused(tmp_path: Path, calm: Calm) -> None:
    def rival(run: Killing) -> None:
        process = start(tmp_path, "rival", ["resume", run.begun.run])
        process.join()
        assert process.exitcode == 2
        said = (tmp_path / "rival.out").read_text()
        assert f"error: run {run.begun.run} is live and not paused, so there is nothing to resume" in said

    disturbed(tmp_path, calm, Kill("server after write journal result_accepted", then=rival))


def test_of_two_resumes_at_once_one_is_refused(tmp_path: Path, calm: Calm) -> None:
    def rival(run: Killing) -> None:
        arms = {"fltui.run.folder:RunFolder.is_alive": _dead}
        process = start(tmp_path, "rival", ["resume", run.begun.run], Arms(settings=arms))
        process.join()
        assert process.exitcode == 2
        assert "is being run by another process" in (tmp_path / "rival.out").read_text()

    disturbed(tmp_path, calm, Kill(DIED, ("server",)), Kill("server after write journal run_resumed", then=rival))


def _dead(_: RunFolder) -> bool:
    """What both saw before either held the run."""
    return False


def test_a_second_client_is_refused(tmp_path: Path, calm: Calm) -> None:
    def rival(run: Killing) -> None:
        process = start(tmp_path, "rival", ["client", calm.job / "app_a" / "custom" / "a.py", "--site", "a"])
        process.join()
        assert process.exitcode == 2
        assert "error: site a is served by another process already" in (tmp_path / "rival.out").read_text()

    run = disturbed(tmp_path, calm, Kill("site after receive", then=rival))
    accepted = Counter(event.site for event in run.events if isinstance(event, ResultAccepted))
    assert accepted == {"a": ROUNDS, "b": ROUNDS}


def test_a_console_that_is_killed_has_no_effect(tmp_path: Path, calm: Calm) -> None:
    def look_and_die(run: Killing) -> None:
        before = run.begun.journal.read_bytes()
        with Terminal(tmp_path, "watch", run.begun.run) as terminal:
            terminal.wait_for("round")
            terminal.kill()
        assert run.begun.journal.read_bytes() == before

    disturbed(tmp_path, calm, Kill("server after write journal round_started", then=look_and_die))
