"""A server and its sites as in the field: each with files of its own, and something that carries the exchange."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np

from fltui.run.events import AnyEvent, ResultAccepted, RoundFinished, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.journal import read_journal
from fltui.run.state import fold
from tests.engines.syncthing import await_true
from tests.jobs import command, fltui

SERVER = "server"

SITES = ("site-0", "site-1")
"""Of the hello job, as most federations here have them."""

HELLO = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]
"""The final model of the hello job."""

PATIENCE = 150.0
"""Seconds for anything to happen. A Syncthing that has lost a connection may take a minute to call again."""


@dataclass
class Federation:
    """Processes of ``fltui server`` and ``fltui client``; leaving the block kills those that are left.

    Args:
        root: holds a folder for the server and each site, with its exchange in it.
        scripts: by site.
        options: more options of who is named: ``server`` or a site.
        within: by whom: what a command is started by, such as a host's namespace.
    """

    root: Path
    scripts: dict[str, Path]
    options: dict[str, list[str]] = field(default_factory=dict)
    within: dict[str, list[str]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Federation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for who in list(self.processes):
            self.kill(who)

    def home(self, who: str) -> Path:
        """The folder of the server or a site."""
        found = self.root / who
        found.mkdir(parents=True, exist_ok=True)
        return found

    def exchange(self, who: str) -> Path:
        """The exchange folder as it is there."""
        return self.home(who) / "exchange"

    def said(self, who: str) -> str:
        """What its processes have printed."""
        path = self.home(who) / "out"
        return path.read_text() if path.exists() else ""

    def serve(self, job: Path, *options: str) -> None:
        """Start the server."""
        names = ",".join(self.scripts)
        self._start(SERVER, "server", job, "--sites", names, *options, *self.options.get(SERVER, ()))

    def resume(self) -> None:
        """Start it again."""
        self._start(SERVER, "resume", "last")

    def join(self, site: str) -> None:
        """Start a site's script, or start it again."""
        self._start(site, "client", self.scripts[site], "--site", site, *self.options.get(site, ()))

    def _start(self, who: str, *arguments: str | Path) -> None:
        home = self.home(who)
        places = {"FLTUI_RUNS": home / "runs", "FLTUI_EXCHANGE": home / "exchange", "FLTUI_KEYS": home / "keys"}
        environment = {**os.environ, **{name: str(path) for name, path in places.items()}}
        with (home / "out").open("ab") as out:
            self.processes[who] = subprocess.Popen(
                [*self.within.get(who, ()), *command(*arguments)],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def kill(self, who: str) -> None:
        """``kill -9``."""
        process = self.processes.pop(who)
        process.kill()
        process.wait()

    def ended(self, who: str, seconds: float = PATIENCE) -> int:
        """Wait until it ends by itself; its exit code."""
        process = self.processes[who]
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{who} does not end: {self.said(who)[-2000:]} {self.said(SERVER)[-2000:]}") from None
        del self.processes[who]
        return code

    @property
    def run(self) -> RunFolder:
        """The run."""
        (found,) = (self.home(SERVER) / "runs").glob("*/journal.jsonl")
        return RunFolder(found.parent)

    @property
    def events(self) -> list[AnyEvent]:
        """Its journal; empty before it has begun."""
        found = list((self.home(SERVER) / "runs").glob("*/journal.jsonl"))
        return list(read_journal(found[0])) if found else []

    def has(self, kind: type[AnyEvent], **fields: object) -> bool:
        """Whether an event with these values is in the journal."""
        return any(
            isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
            for event in self.events
        )

    def await_event(self, kind: type[AnyEvent], seconds: float = PATIENCE, **fields: object) -> None:
        """Wait until an event with these values is in the journal."""
        await_true(
            lambda: self.has(kind, **fields) or self._is_over(),
            f"{kind.__name__} {fields}: {self.events[-3:]}",
            seconds,
        )
        assert self.has(kind, **fields), self.said(SERVER)[-2000:]

    def _is_over(self) -> bool:
        server = self.processes.get(SERVER)
        return server is not None and server.poll() is not None

    def rounds(self) -> list[RoundFinished]:
        """What the journal says of each round, in order."""
        return [event for event in self.events if isinstance(event, RoundFinished)]

    def check(self, rounds: int, expected: Iterable[RoundFinished] | None = None) -> None:
        """The run has completed, each site counted once in each round; with the bits of another run."""
        state = fold(self.events)
        assert state.status is RunStatus.COMPLETED, self.said(SERVER)[-2000:]
        counted = [(event.round, event.site) for event in self.events if isinstance(event, ResultAccepted)]
        assert sorted(counted) == [(number, site) for number in range(rounds) for site in sorted(self.scripts)]
        if expected is not None:
            told = [(event.model, event.metrics, event.weights) for event in expected]
            assert [(event.model, event.metrics, event.weights) for event in self.rounds()] == told

    def has_logged(self, site: str) -> bool:
        """Whether the server's machine has the log of a site that ran the hello job to its end."""
        logs = (self.exchange(SERVER) / site / "logs").glob("*.log")
        return any("current round: 2 of 3" in path.read_text() for path in logs)

    def final(self) -> list[float]:
        """The numbers of the final model."""
        found = np.load(self.run.models / "final" / "numpy_key.npy")
        return [float(one) for one in found.ravel()]


def paced(rounds: list[RoundFinished], judge: Callable[[list[float]], float]) -> float:
    """What `judge` makes of the seconds of all rounds but the first, in which the sites join."""
    return judge([event.seconds for event in rounds[1:]])


def undisturbed(folder: Path, job: Path) -> list[RoundFinished]:
    """What the simulator makes of a job, in a folder without runs."""
    done = fltui(folder, "run", job, "--json")
    assert done.code == 0, done.err
    (found,) = (folder / "runs").glob("*/journal.jsonl")
    return [event for event in read_journal(RunFolder(found.parent).journal) if isinstance(event, RoundFinished)]
