"""``fltui client``, ``fltui export`` and ``fltui locate``."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fltui import __version__
from fltui.cli.options import (
    DEFAULT_EXCHANGE,
    DEFAULT_RUNS,
    Exchange,
    JobCode,
    Json,
    Nudge,
    RequireSignatures,
    Runs,
    Watch,
    checked_nudge,
    queue_place,
    say,
    say_json,
)
from fltui.cli.site import HELD_BACK
from fltui.client.config import ClientConfig, Durability, TransferType
from fltui.console.config import config_path
from fltui.errors import BadInputError
from fltui.exchange.layout import check_site
from fltui.exchange.watch import WatchMode


class Reader(StrEnum):
    """Who is to run an exported job."""

    FLTUI = "fltui"
    NVFLARE = "nvflare"


def client(
    context: typer.Context,
    site: Annotated[str, typer.Option(envvar="FLTUI_SITE", help="Name of this site.")],
    script: Annotated[
        Path | None, typer.Argument(help="The training script; what follows it are its arguments.")
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(help="Stay up, without a SCRIPT: run the jobs in this folder, when the server asks for them."),
    ] = None,
    exchange: Exchange = DEFAULT_EXCHANGE,
    run: Annotated[str, typer.Option(envvar="FLTUI_RUN", help="Serve this run only.")] = "",
    transfer: Annotated[TransferType, typer.Option(help="DIFF sends differences.")] = TransferType.FULL,
    durability: Annotated[Durability, typer.Option(help="What published files survive.")] = Durability.POWER,
    watch: Watch = WatchMode.AUTO,
    nudge: Nudge = "",
    require_signatures: RequireSignatures = False,
    filters: Annotated[
        Path | None, typer.Option(help="A site's config_fed_client.json, whose filters are to be used.")
    ] = None,
    data: Annotated[str, typer.Option(envvar="FLTUI_DATA", help="Where this site's data lies; the script asks.")] = "",
) -> None:
    """Run a site's training script against a server that shares the exchange folder.

    Example: fltui client train.py --epochs 2 --site clinic-a --exchange /mnt/shared/exchange

    Example: fltui client --jobs /srv/fl/jobs --site clinic-a --exchange /mnt/shared/exchange
    """
    check_site(site)
    if script is None and jobs is None:
        raise BadInputError("no script is named: give 'fltui client SCRIPT', or a folder of jobs with --jobs DIR")
    if jobs is None and script is not None and not script.is_file():
        raise BadInputError(f"script {script} does not exist")
    if filters is not None and not filters.is_file():
        raise BadInputError(f"filters {filters} do not exist")
    config = ClientConfig(
        site=site,
        exchange=str(exchange.absolute()),
        run=run,
        transfer=transfer,
        watch=watch,
        durability=durability,
        require_signatures=require_signatures,
        filters=str(filters.absolute()) if filters else "",
        nudge=checked_nudge(nudge, exchange / site),
        data=data,
    )
    if jobs is not None:
        from fltui.cli.standby import stand_by

        if script is not None:
            raise BadInputError("give a SCRIPT or --jobs, not both; what comes after '--' is the script's own")
        alone = {"--run": bool(run), "--filters": filters is not None}
        stand_by(config, jobs, {**alone, "--transfer": transfer is not TransferType.FULL})
        return
    command = [sys.executable, "-P", "-m", "fltui.cli.site", str(script), *context.args]
    sys.stdout.flush()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    os.execve(sys.executable, command, {**os.environ, **config.environment()})


def export(
    job: Annotated[Path, typer.Argument(help="A job script, an exported job folder, or a folder that holds one.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the job's folder is made.")],
    job_code: JobCode = False,
    reader: Annotated[Reader, typer.Option("--for", help="Who is to run it; nvflare from 2.5 to 2.9.")] = Reader.FLTUI,
    json: Json = False,
) -> None:
    """Export a job as a folder that can be read, changed and run.

    Example: fltui export sample_jobs/hello-fedavg-numpy /tmp/jobs
    """
    from fltui.job.find import open_job
    from fltui.job.folder import write_job

    with open_job(job, job_code=job_code) as (loaded, _):
        loaded.check_scripts()
        path, command = folder.absolute() / loaded.name, ""
        if reader is Reader.NVFLARE:
            from fltui.job.nvflare import writing  # nobody else waits for it

            write_job(loaded, path, write=writing.write_parts)
            command = shlex.join(writing.simulator_command(loaded, path))
        else:
            write_job(loaded, path)
    if json:
        say_json({"job": loaded.name, "path": str(path)})
    else:
        say(f"job {loaded.name} exported to {path}")
        if command:
            say(f"  run it with: {command}")


def locate(runs: Runs = DEFAULT_RUNS, exchange: Exchange = DEFAULT_EXCHANGE, json: Json = False) -> None:
    """Print where things are.

    Example: fltui locate --json
    """
    places = {
        "version": __version__,
        "python": sys.executable,
        "package": str(Path(__file__).resolve().parent.parent),
        "runs": str(runs.absolute()),
        "exchange": str(exchange.absolute()),
        "queue": str(queue_place()),
        "config": str(config_path()),
    }
    if json:
        say_json(places)
    else:
        for name, place in places.items():
            say(f"{name:10}{place}")
