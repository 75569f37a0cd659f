"""flwr's simulation on Ray, as the benchmark sees it: a command of its environment, and files."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.environments import Environment
from benchmarks.peers.system import HELLO_ROUNDS, SCRIPTS, SITES, Job

_APP = str(SCRIPTS / "flwr_app.py")


class Flwr:
    """``run_simulation``: the server app in one process, Ray's beside it.

    It ends with the run and spares the time of starting a SuperLink, which ``flwr run`` does and leaves behind.
    """

    name = "flwr"

    requirement = "flwr[simulation]==1.42.0"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.version = environment.version

    def hello(self, folder: Path, start: Path) -> Job:
        """The tutorial's job, as a server app and a client app."""
        return self.sized(folder, start, HELLO_ROUNDS)

    def sized(self, folder: Path, start: Path, rounds: int) -> Job:
        """The apps take everything as arguments; nothing is to be prepared."""
        notes, final = folder / "notes", folder / "final.npy"
        command = [str(self._environment.python), _APP, str(start), str(rounds), str(SITES), str(notes), str(final)]
        return Job(command, final.name, notes)

    def is_server(self, command_line: str) -> bool:
        """The process of the command holds the server app and the state between it and the sites."""
        return _APP in command_line
