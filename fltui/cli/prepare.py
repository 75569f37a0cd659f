"""Preparing a run: its folder with the job in it, and the exchange; nothing stays if it cannot begin."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.publish import open_exchange, show_server_key
from fltui.exchange.signing import NOBODY, Identity
from fltui.job.folder import load_job, write_job
from fltui.job.job import Job
from fltui.run.folder import RunFolder, create_chosen_run, create_run

Check = Callable[[Job, RunFolder, ExchangeFolder], None]
"""Makes sure that a run can begin, or raises."""


@dataclass(frozen=True)
class Places:
    """Where a run is to be.

    Attributes:
        runs: the folder of run folders.
        exchange: the exchange folder.
        run_id: id of the run; empty for a new one.
        durable: what is written there survives a power cut.
    """

    runs: Path
    exchange: Path
    run_id: str = ""
    durable: bool = False


@dataclass(frozen=True)
class Prepared:
    """A run that can begin.

    Attributes:
        job: as it lies in the run folder.
        folder: the run folder.
        exchange: the exchange.
    """

    job: Job
    folder: RunFolder
    exchange: ExchangeFolder


def prepare(job: Job, places: Places, identity: Identity = NOBODY, check: Check | None = None) -> Prepared:
    """Lay a job into a new run folder, and open the exchange.

    Args:
        job: with all that the command line has changed.
        places: where to.
        identity: the server's; its key is shown in the exchange.
        check: the last word before the run begins.

    Raises:
        BadInputError: it cannot begin.
    """
    durable, root = places.durable, places.exchange.absolute()
    new_run = _new_run(places.runs.absolute(), job.name, places.run_id, durable=durable)
    with new_run as folder, _new_exchange(root):
        exchange = open_exchange(root, durable=durable)
        if identity.signer:
            show_server_key(exchange, identity.public, durable=durable)
        write_job(job, folder.job, durable=durable)
        loaded = load_job(folder.job, job_code=True)
        if check is not None:
            check(loaded, folder, exchange)
        return Prepared(loaded, folder, exchange)


@contextmanager
def _new_run(runs: Path, job_name: str, run_id: str, *, durable: bool) -> Iterator[RunFolder]:
    """A new run folder; it goes again if the run cannot be prepared in it, with the folder of runs if that is new.

    It comes before the exchange, so that nothing is left where it cannot be made.
    """
    new = not runs.exists()
    make = create_chosen_run if run_id else create_run
    folder = make(runs, run_id or job_name, durable=durable)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        if new:
            with suppress(OSError):  # there are other runs in it meanwhile
                runs.rmdir()
        raise


@contextmanager
def _new_exchange(root: Path) -> Iterator[None]:
    """An exchange that is made here goes again if the run cannot be prepared, unless others use it meanwhile."""
    new = not root.exists()
    try:
        yield
    except BaseException:
        if new:
            about = ExchangeFolder(root).about
            with suppress(OSError):  # it could not be made
                if list(root.iterdir()) == [about]:  # with anything beside it, it is the identity of others' exchange
                    about.unlink()
                root.rmdir()
        raise
