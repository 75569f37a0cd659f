"""A job script hands its job to ``fltui``: it runs as it is, only `export_job` and `simulator_run` do not act."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.said import last_sentence
from fltui.job.folder import write_job
from fltui.job.job import Job

LIFELINE = "FLTUI_LIFELINE"
"""Descriptor of a pipe whose end of file means that whoever started this process is gone."""

_DESK = "FLTUI_HANDOVER"


class Handover(msgspec.Struct, forbid_unknown_fields=True):
    """What came with the job: the folder's name and the arguments of `simulator_run`."""

    name: str
    n_clients: int | None = None
    threads: int | None = None


def desk() -> Path | None:
    """The folder where a job is to be laid, in a job script that ``fltui`` runs."""
    path = os.environ.get(_DESK)
    return Path(path) if path else None


def hand_over(folder: Path, job: Job, n_clients: int | None = None, threads: int | None = None) -> None:
    """Lay the job on the desk; the last one laid counts."""
    write_job(job, folder / job.name)
    (folder / "handover.json").write_bytes(msgspec.json.encode(Handover(job.name, n_clients, threads)))


@dataclass(frozen=True)
class Ran:
    """How a job script ended.

    Attributes:
        code: what its process exited with; below zero the signal that killed it.
        said: its standard error.
    """

    code: int
    said: str


Runner = Callable[[Path, Mapping[str, str]], Ran]
"""Runs a job script, by the module `fltui.job`, with variables beside those of this process. What it prints goes to
standard error."""


def in_own_python(script: Path, environment: Mapping[str, str]) -> Ran:
    """See `Runner`."""
    process = subprocess.run(
        [sys.executable, "-P", "-m", "fltui.job", str(script)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if sys.stderr else None,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    return Ran(process.returncode, process.stderr)


def job_of_script(script: Path, folder: Path, runner: Runner = in_own_python) -> tuple[Path, Handover]:
    """Run a job script and take its job.

    Args:
        script: the Python file.
        folder: an empty folder for the exported job.
        runner: see `Runner`.

    Returns:
        The job folder and what came with it.

    Raises:
        BadInputError: the script failed or handed nothing over.
    """
    ran = runner(script, {_DESK: str(folder)})
    said = ran.said.strip()
    if ran.code == 2 and said.startswith("error: "):
        raise BadInputError(f"job script {script}: {last_sentence(said, said)}")
    if said:
        print(said, file=sys.stderr)  # noqa: T201
    if ran.code:
        raise BadInputError(f"job script {script} failed: {last_sentence(said, f'exit code {ran.code}')}")
    try:
        note = msgspec.json.decode((folder / "handover.json").read_bytes(), type=Handover)
    except FileNotFoundError as error:
        raise BadInputError(f"job script {script} called neither simulator_run() nor export_job()") from error
    except MALFORMED as error:
        raise BadInputError(f"job script {script} handed over what cannot be read: {error}") from error
    return folder / note.name, note
