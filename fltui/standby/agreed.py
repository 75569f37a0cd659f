"""The jobs that a site agrees to run: folders that its administrator keeps. Of what arrives a job's name counts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fltui.client.config import TransferType
from fltui.errors import BadInputError
from fltui.exchange.layout import job_of
from fltui.job.folder import demands_signatures, filters_of_site, load_site


@dataclass(frozen=True)
class Agreed:
    """What a site runs for a job.

    Attributes:
        job: the job's name, which is that of its folder.
        script: the Python file.
        arguments: of the script.
        custom: the folder that comes first where modules are looked for.
        transfer: see `TransferType`.
        filters: the configuration whose filters are to be used; None for none.
        require_signatures: the job demands them.
    """

    job: str
    script: Path
    arguments: list[str]
    custom: Path
    transfer: TransferType
    filters: Path | None
    require_signatures: bool


class NotAgreedError(BadInputError):
    """The site does not run the job; the sentence says why, for the server."""


def agreed(jobs: Path, run: str, site: str) -> Agreed:
    """What a site runs for a run.

    Args:
        jobs: the folder of job folders.
        run: the run's id, which begins with the name of its job.
        site: the site's name.

    Raises:
        NotAgreedError: nothing; the server is to hear the sentence.
    """
    job = job_of(run)
    if job is None:
        raise NotAgreedError(f"the id of run {run} does not say which job it is of, so site {site} does not run it")
    folder = jobs / job
    if not (folder / "meta.json").is_file():
        raise NotAgreedError(f"there is no job {job!r} among those that this site agrees to run")
    try:
        app = load_site(folder, site)
        if app is None:
            raise NotAgreedError(f"job {job!r}, as site {site} has it, has no app for that site")
        named = app.executor.task_script_path
        if named not in app.files:
            raise NotAgreedError(f"job {job!r}, as site {site} has it, lacks its script {named}")
        return Agreed(
            job,
            app.files[named],
            app.executor.arguments(),
            _custom(app.files[named], named),
            app.executor.params_transfer_type,
            filters_of_site(folder, site),
            demands_signatures(folder),
        )
    except NotAgreedError:
        raise
    except (BadInputError, OSError) as error:
        raise NotAgreedError(f"job {job!r}, as site {site} has it, cannot be run: {error}") from error


def looks_of(jobs: Path, run: str) -> object:
    """What changes when somebody puts a job there, or mends it."""
    job, found = job_of(run), []
    for place, _, files in os.walk(jobs / (job or ".none")):
        for name in files:
            try:
                stat = Path(place, name).stat()
            except OSError:
                continue
            found.append((f"{place}/{name}", stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return sorted(found)


def _custom(script: Path, named: str) -> Path:
    """The folder that a path below it leads from to a script."""
    return script.parents[len(Path(named).parts) - 1]
