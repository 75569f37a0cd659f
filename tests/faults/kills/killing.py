"""A run whose processes are killed at the steps of a plan, and started again in the way a person would."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.publish import spare_of
from fltui.run.events import AnyEvent, MetricLogged, ResultAccepted, RoundFinished, RunStatus, TaskPublished
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.state import fold
from tests.faults.kills.lives import Arms, NextStep, start

ARMED = "a"
"""The site that is killed; the others look on."""

PATIENCE = 30.0
"""Seconds without any step or end after which a run hangs."""


@dataclass(frozen=True)
class Kill:
    """Who dies when somebody is at a step: ``server``, ``site``, both or nobody.

    Attributes:
        step: where somebody is.
        victims: who is killed.
        sent: what is sent to them, where it is not SIGKILL.
        then: called when they are dead, before they are started again.
    """

    step: str
    victims: tuple[str, ...] = ()
    sent: signal.Signals = signal.SIGKILL
    then: Callable[[Killing], None] | None = None

    def __str__(self) -> str:
        return f"{self.sent.name} to {' and '.join(self.victims) or 'nobody'} with the {self.step}"


@dataclass
class Life:
    """One process."""

    process: ForkServerProcess
    line: Connection


@dataclass
class Killing:
    """A run that is disturbed, until it has ended and everybody with it.

    Attributes:
        folder: where its files are.
        job: the job's folder.
        rounds: how many.
        plan: who is killed where, in order.
        options: more options of the server.
        sites: whose answers count.
        extras: sites that may do what they like.
        settings: see `Arms`, for the server.
        trouble: see `Arms`, for everybody.
        healthy: how many lives of everybody are without that trouble.
        simulated: ``fltui run`` starts the sites; they die with it.
        counted: nobody is killed; every step is written down in ``server.steps`` and ``site.steps``.
        done: the kills so far, each with the number of rounds that were finished then.
    """

    folder: Path
    job: Path
    rounds: int
    plan: Sequence[Kill] = ()
    options: tuple[str, ...] = ()
    sites: tuple[str, ...] = ("a", "b")
    extras: tuple[str, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    trouble: tuple[str, ...] = ()
    healthy: int = 0
    simulated: bool = False
    counted: bool = False
    done: list[tuple[Kill, int]] = field(default_factory=list)
    codes: dict[str, list[int]] = field(default_factory=dict)
    _lives: dict[str, Life] = field(default_factory=dict)

    @property
    def run(self) -> RunFolder | None:
        """The run that has begun."""
        found = [RunFolder(path.parent) for path in self.folder.glob("runs/*/journal.jsonl") if path.stat().st_size]
        begun = [run for run in found if any(True for _ in read_journal(run.journal))]
        if len(begun) > 1:
            raise AssertionError(f"{len(begun)} runs have begun")
        return begun[0] if begun else None

    @property
    def begun(self) -> RunFolder:
        """The run.

        Raises:
            AssertionError: it has not begun.
        """
        if self.run is None:
            raise AssertionError("no run has begun")
        return self.run

    @property
    def events(self) -> list[AnyEvent]:
        """The journal of the run."""
        return list(read_journal(self.run.journal)) if self.run else []

    def go(self) -> None:
        """Go through the plan to the end of the run.

        Raises:
            AssertionError: a step was not reached, a process ended otherwise than it should, or nothing happens.
        """
        self._next = NextStep(self.folder / "next-step")
        self._aim()
        try:
            for who in (*(() if self.simulated else self.sites + self.extras), "server"):
                self._start(who)
            while self._lives:
                self._attend()
        finally:
            for life in self._lives.values():
                life.process.kill()
        if left := self.plan[len(self.done) :]:
            raise AssertionError(f"never reached: the {left[0].step}; {self._where()}")

    def _aim(self) -> None:
        self._next.set(self.plan[len(self.done)].step if len(self.done) < len(self.plan) else "")

    def _attend(self) -> None:
        """Wait until somebody stops at the step or ends."""
        lives = dict(self._lives)
        lines = {life.line: who for who, life in lives.items()}
        ends = {life.process.sentinel: who for who, life in lives.items()}
        ready = wait([*lines, *ends], timeout=PATIENCE)
        if not ready:
            raise AssertionError(f"nothing happens any more; {self._where()}")
        for one in ready:
            if isinstance(one, Connection) and not one.closed and (step := _said(one)):
                self._kill(lines[one], step)
                return
        for one in ready:
            if isinstance(one, int):
                self._ended(ends[one])

    def _kill(self, reporter: str, step: str) -> None:
        kill = self.plan[len(self.done)]
        if kill.step != step:
            raise AssertionError(f"{reporter} stops at the {step}, but the {kill.step} is next")
        self.done.append((kill, sum(isinstance(event, RoundFinished) for event in self.events)))
        self._aim()
        victims = [{"server": "server", "site": ARMED}[victim] for victim in kill.victims]
        for victim in victims:
            if victim in self._lives and kill.sent is not signal.SIGKILL:
                os.kill(self._lives[victim].process.pid or 0, kill.sent)
            elif victim in self._lives:
                self._lives[victim].process.kill()
                code = self._ended(victim, killed=True)
                if code != -signal.SIGKILL and not (code == 0 and victim != reporter and self._is_over(ARMED)):
                    raise AssertionError(f"{victim} has ended with {code}, it was to be killed; {self._where()}")
        if kill.then is not None:
            kill.then(self)
        if reporter in self._lives:
            self._lives[reporter].line.send("go on")
        for victim in victims:
            if victim not in self._lives and self.codes[victim][-1]:
                self._start(victim)

    def _ended(self, who: str, *, killed: bool = False) -> int:
        life = self._lives.pop(who)
        life.process.join()
        life.line.close()
        code = life.process.exitcode
        if code is None or (code and not killed and who not in self.extras):
            raise AssertionError(f"{who} has ended with {code}; {self._where()}")
        self.codes.setdefault(who, []).append(code)
        return code

    def _start(self, who: str) -> None:
        """Start a process for the first time, or again: the same command for a site, a resume for a server."""
        run = self.run
        if who != "server":
            ends = ("--run", run.run) if run and self._is_over(who) else ()
            script = self.job / f"app_{who}" / "custom" / f"{who}.py"
            arguments = ["client", script, "--site", who, "--durability", "process", *ends]
        elif run is None:
            begin = ("run",) if self.simulated else ("server", "--wait", "60", "--durability", "process")
            arguments = [*begin, self.job, "--rounds", str(self.rounds), *self.options]
        elif run.state().status.is_finished:
            return  # it was killed when all was done
        else:
            arguments = ["resume", run.run]
        ours, theirs = get_context("forkserver").Pipe()
        side = {"server": "server", ARMED: "site"}.get(who, "")
        settings = self.settings if who == "server" else {}
        count = self.folder / f"{side}.steps" if self.counted else None
        trouble = self.trouble if len(self.codes.get(who, ())) >= self.healthy else ()
        arms = Arms(side, self.folder / "next-step" if side else None, theirs, count, settings, trouble)
        self._lives[who] = Life(start(self.folder, who, arguments, arms), ours)
        theirs.close()

    def _is_over(self, site: str) -> bool:
        """Whether nothing is left to do for a site: who starts its script now has to say for which run."""
        if self.run is None:
            return False
        folder = ExchangeFolder(self.folder / "exchange").site(site)
        last = TaskId(self.run.run, self.rounds - 1, "train")
        return folder.result(last).exists() or folder.task(last.end()).exists()

    def _where(self) -> str:
        last = f"after {self.done[-1][0]} (in round {self.done[-1][1]})" if self.done else "before the first kill"
        said = {path.name: path.read_text()[-600:] for path in sorted(self.folder.glob("*.out"))}
        return f"{last}; {said}"

    def check(self, undisturbed: list[RoundFinished], *, kept: bool = False) -> None:
        """The run has completed as if nothing had happened, and nothing is left lying about.

        Args:
            undisturbed: the rounds of a run of the same job that nobody disturbed, as many at least.
            kept: the results were to be kept.
        """
        run, events = self.begun, self.events
        assert [event.seq for event in events] == list(range(len(events)))
        state = fold(events)
        assert state.status is RunStatus.COMPLETED
        rounds = [event for event in events if isinstance(event, RoundFinished)]
        assert [event.round for event in rounds] == list(range(self.rounds))
        for found, expected in zip(rounds, undisturbed, strict=False):
            same = (found.model, found.metrics, found.weights) == (expected.model, expected.metrics, expected.weights)
            assert same, f"other bits in round {found.round}, where {self._in_round(found.round)}"
        once = dict.fromkeys(((number, site) for number in range(self.rounds) for site in self.sites), 1)
        assert Counter((event.round, event.site) for event in events if isinstance(event, ResultAccepted)) == once
        published = [event for event in events if isinstance(event, TaskPublished) and event.site in self.sites]
        assert Counter((event.round, event.site) for event in published) == once
        assert {event.task_id[-4:] for event in published} == {".a01"}
        logged = [(event.site, event.round) for event in events if isinstance(event, MetricLogged)]
        assert {*logged} == {(ARMED, number) for number in range(self.rounds)}
        assert {name: state.sites[name].results for name in self.sites} == dict.fromkeys(self.sites, self.rounds)
        accepted = {entry.blake3 for event in events if isinstance(event, ResultAccepted) for entry in event.arrays}
        assert {path.stem for path in run.store.glob("*.npy")} == (accepted if kept else set())
        manifests = {event.manifest for event in events if isinstance(event, ResultAccepted)}
        assert {path.stem for path in run.store.glob("*.json")} == (manifests if kept else set())
        self._check_files(run)

    def _in_round(self, number: int) -> str:
        return "; ".join(str(kill) for kill, found in self.done if found in (number, number - 1))

    def _check_files(self, run: RunFolder) -> None:
        hidden = [path for path in run.root.rglob(".*") if path.name != ".gitignore"]
        assert hidden == []
        assert (run.models / "final").resolve().name == f"round-{self.rounds:04}"
        assert not list(run.control.iterdir())
        for name in self.sites:
            site = ExchangeFolder(self.folder / "exchange").site(name)
            left = [path for side in ("server", "site") for path in site.staging(side).glob("*")]
            spared = 0
            if self.simulated:  # the sites died with the last server but one, and none came after them
                spared = 2  # one to be written over, and one that was just being taken back
                own = (spare_of(run.run), f"{site.status.name}.")
                left = [path for path in left if path.parent != site.staging("site") or not path.name.startswith(own)]
            assert [path.name for path in left if path.suffix != ".lock"] == []
            ids = [one for one in site.published() if one.run == run.run]
            assert sorted(one.round for one in ids if not one.is_end) == [*range(self.rounds - 3, self.rounds)], ids
            assert [one.round for one in ids if one.is_end] == [self.rounds - 1]
            for folder, most in ((site.tasks, 3), (site.results, 5)):
                names = sorted(path.stem for path in folder.glob(f"{run.run}.*.json") if ".end." not in path.name)
                assert len(names) <= most, names
                arrays = {path.name for path in folder.glob(f"{run.run}.*") if path.is_dir()}
                assert len(arrays.difference(names)) <= (spared if folder == site.results else 0)
                assert arrays.issuperset(names)


def _said(line: Connection) -> str:
    try:
        return str(line.recv())
    except (EOFError, ConnectionResetError):
        return ""


def kills(steps: Iterable[str], *victims: str) -> list[Kill]:
    """The same victims at every step."""
    return [Kill(step, victims) for step in steps]
