"""A virtual environment per peer, made once from the configured package index and kept."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_VERSION_OF = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


class PeerError(Exception):
    """A peer cannot be installed or prepared; the message is a sentence that says why."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with a peer in it.

    Attributes:
        folder: where it is.
        version: of the peer.
    """

    folder: Path
    version: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """A command that was installed into it."""
        return self.folder / "bin" / name

    def run(self, arguments: list[str], folder: Path) -> None:
        """Run its Python in `folder`, as a job is run there.

        Raises:
            PeerError: the command failed.
        """
        _output_of([str(self.python), *arguments], surroundings(folder))


def surroundings(folder: Path) -> dict[str, str]:
    """The environment variables of whatever runs in `folder`: the home and temporary files are below it as well.

    Usage reports are off: they wait for a network. Python may keep what it has compiled, as it does for most people.
    """
    home, temporary = folder / "home", folder / "tmp"
    for place in (home, temporary):
        place.mkdir(exist_ok=True)
    unset = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    # Where the home is elsewhere, packages that a person installed for themselves are still found.
    return kept | quiet | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONUSERBASE": site.getuserbase()}


def environment_for(requirement: str, kept_in: Path) -> Environment:
    """The environment in which `requirement` is installed; made if it is not there yet.

    Where the pinned version does not install with this Python, the newest that does is taken.

    Args:
        requirement: a package with a version, as ``name[extra]==version``.
        kept_in: the folder of all environments.

    Raises:
        PeerError: no version could be installed.
    """
    package, _, pin = requirement.partition("==")
    name = package.partition("[")[0]
    folder = kept_in / f"{name}-{pin}-python{sys.version_info.major}.{sys.version_info.minor}"
    # Written last, so that an installation that was interrupted is begun anew.
    complete = folder / "complete"
    python = str(folder / "bin" / "python")
    if not complete.exists():
        print(f"installing {requirement} into {folder}", file=sys.stderr, flush=True)
        if folder.exists():
            shutil.rmtree(folder)
        _output_of([sys.executable, "-m", "venv", str(folder)], dict(os.environ))
        try:
            _install(python, requirement)
        except PeerError as error:
            print(f"{error}; trying the newest version", file=sys.stderr, flush=True)
            _install(python, package)
        complete.touch()
    return Environment(folder, _output_of([python, "-c", _VERSION_OF, name], dict(os.environ)).strip())


def _install(python: str, requirement: str) -> None:
    try:
        _output_of([python, "-m", "pip", "install", "--quiet", requirement], dict(os.environ))
    except PeerError as error:
        raise PeerError(f"{requirement} cannot be installed with Python {sys.version.split()[0]}: {error}") from error


def _output_of(command: list[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:  # the Python that the environment was made with is gone
        raise PeerError(
            f"{command[0]} cannot be run ({error.strerror}); delete its folder to have it made anew"
        ) from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        # pip's own reason stands on a line that begins with ERROR, others' on the last line.
        reason = next(
            (line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "it printed nothing"
        )
        raise PeerError(f"{Path(command[0]).name} ended with exit code {done.returncode}: {reason.strip()}")
    return done.stdout
