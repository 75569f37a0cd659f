"""nvflare's simulator, as the benchmark sees it: commands of its environment, and files."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.environments import Environment
from benchmarks.peers.system import HELLO_ROUNDS, SCRIPTS, SITES, Job


class Nvflare:
    """``nvflare simulator``: the server in one process, a worker per site."""

    name = "nvflare"

    requirement = "nvflare==2.9.0"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.version = environment.version

    def hello(self, folder: Path, start: Path) -> Job:
        """The tutorial's job, as a job folder of this version's own recipe for it."""
        return self.sized(folder, start, HELLO_ROUNDS)

    def sized(self, folder: Path, start: Path, rounds: int) -> Job:
        """The job folder is exported beforehand."""
        notes = folder / "notes"
        script = str(SCRIPTS / "nvflare_job.py")
        self._environment.run([script, str(start), str(rounds), str(SITES), str(notes), str(folder / "job")], folder)
        simulator = [str(self._environment.program("nvflare")), "simulator", "-w", str(folder / "workspace")]
        command = [*simulator, "-n", str(SITES), "-t", str(SITES), str(folder / "job" / "peers")]
        return Job(command, "workspace/server/simulate_job/models/server.npy", notes)

    def is_server(self, command_line: str) -> bool:
        """Every process that is no site's worker: the simulator starts a nameless one for the server."""
        return "simulator_worker" not in command_line
