"""Finding the job that a person means by a path: a job script, an exported job folder, or a folder that holds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fltui.errors import BadInputError
from fltui.job.code import close_code
from fltui.job.folder import load_job
from fltui.job.handover import Handover, Runner, in_own_python, job_of_script
from fltui.job.job import Job
from fltui.job.scratch import scratch_folder


@contextmanager
def open_job(
    path: Path, runner: Runner = in_own_python, *, job_code: bool = False, scripts: bool = True
) -> Iterator[tuple[Job, Handover]]:
    """The job at `path`. The files it points to exist as long as the context lasts.

    Args:
        path: of a job script, a job folder, or a folder that holds one.
        runner: runs a job script.
        job_code: a job folder's own code may run; that of a job script has run by then.
        scripts: a job script may run; else `path` has to be a job folder.

    Raises:
        BadInputError: there is no job, more than one, or it cannot be loaded.
    """
    place = find_job(path) if scripts else path
    if place.is_dir() or not scripts:
        job = load_job(place, job_code=job_code)
        yield job, Handover(job.name)
        return
    with scratch_folder("fltui-job") as temporary:
        folder, note = job_of_script(place, temporary, runner)
        try:
            yield load_job(folder, job_code=True), note
        finally:
            close_code(temporary)


def find_job(path: Path) -> Path:
    """The job script or job folder at or directly in `path`.

    Raises:
        BadInputError: there is none or more than one.
    """
    if not path.exists():
        raise BadInputError(f"job {path} does not exist")
    if not path.is_dir() or (path / "meta.json").is_file():
        return path
    folders = [entry for entry in sorted(path.iterdir()) if (entry / "meta.json").is_file()]
    scripts = [entry for entry in sorted(path.glob("*.py")) if entry.is_file() and "FedJob" in _text(entry)]
    if len(scripts) > 1:  # such as one that compares several runs of the job
        scripts = [script for script in scripts if script.name == "job.py"] or scripts
    found = scripts or folders
    if len(found) != 1:
        what = (
            f"holds {len(found)} jobs ({', '.join(entry.name for entry in found)}); name one"
            if found
            else "holds no job"
        )
        raise BadInputError(f"folder {path} {what}: a job is a Python file with a FedJob, or a folder with meta.json")
    return found[0]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
