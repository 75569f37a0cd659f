"""``fltui server``: run a job, or all jobs of a queue, whose scripts other people start."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fltui.cli.options import (
    DEFAULT_EXCHANGE,
    DEFAULT_RUNS,
    Exchange,
    JobCode,
    Json,
    KeepModels,
    KeepResults,
    Nudge,
    Queued,
    RequireSignatures,
    Rounds,
    Runs,
    Seed,
    Watch,
    checked_nudge,
    say,
)
from fltui.cli.tracked import Track, targets_of
from fltui.client.config import Durability
from fltui.errors import BadInputError
from fltui.exchange.layout import check_site
from fltui.exchange.watch import WatchMode
from fltui.run.options import RunOptions

if TYPE_CHECKING:
    from fltui.exchange.layout import ExchangeFolder
    from fltui.job.job import Job
    from fltui.run.folder import RunFolder
    from fltui.server.remote import RemoteSites


def server(
    job: Annotated[
        Path | None, typer.Argument(help="A job script, an exported job folder, or a folder that holds one.")
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    exchange: Exchange = DEFAULT_EXCHANGE,
    rounds: Rounds = None,
    sites: Annotated[
        str | None, typer.Option(help="How many sites to wait for, or their names: 3, or clinic-a,clinic-b.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for sites, at the start and when one is lost.")
    ] = 600,
    durability: Annotated[Durability, typer.Option(help="What published files survive.")] = Durability.POWER,
    watch: Watch = WatchMode.AUTO,
    nudge: Nudge = "",
    keep_results: KeepResults = False,
    keep_models: KeepModels = None,
    seed: Seed = 0,
    job_code: JobCode = False,
    require_signatures: RequireSignatures = False,
    queue: Annotated[Path | None, typer.Option(help="Run the jobs that are put into this folder.")] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="With --queue: how many jobs run at once; 1 by default.")
    ] = None,
    drain: Annotated[bool, typer.Option("--drain", help="With --queue: end when nothing waits or runs.")] = False,
    queued: Queued = "",
    track: Track = None,
    json: Json = False,
) -> None:
    """Serve a job, or all jobs of a queue, to client scripts that are started elsewhere.

    Example: fltui server sample_jobs/hello-fedavg-numpy --exchange /mnt/shared/exchange

    Example: fltui server --queue /srv/fl/queue --parallel 3 --exchange /srv/fl/exchange --runs /srv/fl/runs
    """
    targets = targets_of(track)
    if queue is not None:
        from fltui.cli.dispatch import check_alone, serve_queue
        from fltui.server.dispatch.settings import Settings
        from fltui.tracking.environment import join_targets

        alone = {"JOB": job is not None, "--rounds": rounds is not None, "--sites": sites is not None}
        check_alone({**alone, "--seed": seed != 0, "--queued": bool(queued)})
        settings = Settings(
            runs=runs.absolute(),
            exchange=exchange.absolute(),
            parallel=parallel or 1,
            wait=wait,
            durability=durability,
            watch=watch,
            nudge=checked_nudge(nudge, exchange),
            keep_results=keep_results,
            keep_models=keep_models,
            job_code=job_code,
            require_signatures=require_signatures,
            track=join_targets(target.whole for target in targets),
            drain=drain,
        )
        serve_queue(queue, settings, as_json=json)
        return
    if job is None or parallel is not None or drain:
        what = "no job is named" if job is None else "--parallel and --drain are for a queue"
        raise BadInputError(f"{what}: give 'fltui server JOB', or 'fltui server --queue DIR'")

    from fltui.cli.prepare import Places, prepare
    from fltui.cli.running import run_engine
    from fltui.exchange.keys import Keys, keys_path, server_identity
    from fltui.job.find import open_job
    from fltui.server.ends import end_dead_runs
    from fltui.server.engine import Engine

    count, named = _wanted_sites(sites)
    nudge = checked_nudge(nudge, exchange)
    durable = durability is Durability.POWER
    with ExitStack() as opened:
        if queued:  # in a queue others may change it at any moment, and put there what leads elsewhere
            from fltui.queue.copying import own_copy

            job = opened.enter_context(own_copy(job, runs.absolute(), queued))
        found, _ = opened.enter_context(open_job(job, job_code=job_code, scripts=not queued))
        asked = _as_asked(found.with_rounds(rounds), named, signed=require_signatures)
        identity = server_identity(Keys(keys_path()), asked.sites, demanded=asked.require_signatures)
        prepared = prepare(asked, Places(runs, exchange, queued, durable=durable), identity)
    wanted = count or len(prepared.job.sites) or prepared.job.workflow.site_count
    options = RunOptions(
        watch=watch,
        durable=durable,
        keep_results=keep_results,
        keep_models=keep_models,
        wanted=wanted,
        wait=wait,
        seed=seed,
        nudge=nudge,
        job_code=bool(prepared.job.server_files),  # it could be loaded, so somebody has agreed
    )
    fleet = remote_sites(prepared.job, prepared.folder, prepared.exchange, options)
    if not queued:  # else the server of the queue has done it, which knows what goes on beside this run
        end_dead_runs(prepared.exchange, runs.absolute(), identity=identity, durable=durable)
    if not json:
        say_commands(prepared.job, prepared.folder, prepared.exchange, wanted)
    engine = Engine(prepared.job, prepared.folder, prepared.exchange, fleet, options, identity)
    run_engine(engine, targets, as_json=json, queued=bool(queued))


def _wanted_sites(sites: str | None) -> tuple[int | None, list[str]]:
    """How many sites to wait for, or which."""
    if sites is None:
        return None, []
    if sites.isascii() and sites.lstrip("-").isdigit():
        if len(sites) > 9 or int(sites) < 1:
            raise BadInputError(f"--sites is {sites}, expected a number from 1 on, or names")
        return int(sites), []
    return None, [check_site(name.strip()) for name in sites.split(",")]


def _as_asked(job: Job, named: list[str], *, signed: bool) -> Job:
    """A job for these sites, or whoever comes if none are named."""
    job = replace(job, require_signatures=job.require_signatures or signed)
    return replace(job, sites={name: job.app(name) for name in named}, everywhere=None) if named else job


def remote_sites(job: Job, folder: RunFolder, exchange: ExchangeFolder, options: RunOptions) -> RemoteSites:
    """The sites of a served run.

    Raises:
        BadInputError: the job cannot be served to as many as are wanted.
    """
    from fltui.server.remote import RemoteSites

    names, wanted = list(job.sites), options.wanted or job.workflow.site_count
    at_least = max(job.min_clients, job.workflow.quorum)
    if wanted < at_least or (names and len(names) < wanted):
        raise BadInputError(
            f"job {job.name} needs at least {at_least} sites and names {len(names) or 'none'}; it cannot be "
            f"served to {wanted}"
        )
    return RemoteSites(exchange, folder.run, names, wanted=wanted, at_least=at_least, wait=options.wait)


def say_commands(job: Job, folder: RunFolder, exchange: ExchangeFolder, wanted: int) -> None:
    """Print the command that starts each site's script."""
    from fltui.job.invitation import client_command

    say(f"waiting for {wanted} sites; start each in a shell of its own:")
    for name in list(job.sites) or ["NAME"]:
        say(f"  {client_command(folder.job, name, exchange.root)}")
    sys.stdout.flush()
