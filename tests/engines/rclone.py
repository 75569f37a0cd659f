"""rclone as an administrator runs it: the script that ``fltui exchange init`` writes, and mounts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.engines.federation import SERVER, Federation
from tests.engines.programs import program
from tests.jobs import fltui

LOOP = {"EVERY": "0.1"}
"""A fraction of a second between two passes."""


def configured(folder: Path, *remotes: str) -> dict[str, str]:
    """The variables with which rclone knows these remotes, and nothing of this machine."""
    path = folder / "rclone.conf"
    path.write_text("\n".join(remotes))
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    return {**passed, "RCLONE_CONFIG": str(path), "RCLONE_CACHE_DIR": str(folder / "cache"), "no_proxy": "127.0.0.1"}


class Carriers:
    """The scripts that run, one for the server and each site.

    Args:
        federation: whose exchanges are carried.
        remote: where they meet.
        variables: see `configured`.
        within: by whose machine it is: what a command is started by.
    """

    def __init__(
        self,
        federation: Federation,
        remote: str,
        variables: Mapping[str, str],
        within: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._federation = federation
        self._remote = remote
        self._variables = {**variables, **LOOP}
        self._within = within or {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self, who: str) -> None:
        """What a person does first."""
        program("rclone")
        sides = ("--sites", ",".join(self._federation.scripts)) if who == SERVER else ("--as", who)
        place = self._federation.exchange(who)
        done = fltui(place.parent, "exchange", "init", place, *sides, "--for", "rclone", "--remote", self._remote)
        assert done.code == 0, done.err

    def start(self, who: str) -> None:
        """Run a side's script."""
        place = self._federation.exchange(who)
        with (place.parent / "rclone.out").open("ab") as out:
            self.processes[who] = subprocess.Popen(
                [*self._within.get(who, ()), "sh", str(place / "rclone.sh")],
                env={**self._variables, "TMPDIR": str(place.parent)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def said(self, who: str) -> str:
        """What a side's script has printed."""
        return (self._federation.home(who) / "rclone.out").read_text()

    def stop(self, who: str) -> int:
        """End it as a service is ended; its exit code."""
        process = self.processes.pop(who)
        process.terminate()
        return process.wait(20)

    def kill(self, who: str) -> None:
        """``kill -9``, with all that it has started."""
        process = self.processes.pop(who)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        for who in list(self.processes):
            self.kill(who)


@contextmanager
def carried(
    federation: Federation, remote: str, variables: Mapping[str, str], sides: Sequence[str] = ()
) -> Iterator[Carriers]:
    """Scripts for the server and all sites, or for `sides` alone, from now on to the end of the block."""
    carriers = Carriers(federation, remote, variables)
    try:
        for who in sides or (SERVER, *federation.scripts):
            carriers.prepare(who)
            carriers.start(who)
        yield carriers
    finally:
        carriers.close()
