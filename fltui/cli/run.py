"""``fltui run`` and ``fltui server``: run a job, with or without starting its scripts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

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
    say,
)
from fltui.cli.tracked import Track, tracked
from fltui.client.config import Durability
from fltui.errors import BadInputError
from fltui.exchange.keys import Keys, keys_path, server_identity
from fltui.exchange.layout import ExchangeFolder, check_site
from fltui.exchange.manifest import LAST_STEP
from fltui.exchange.publish import open_exchange, show_server_key
from fltui.exchange.signing import NOBODY, Identity
from fltui.exchange.watch import WatchMode
from fltui.job.find import open_job
from fltui.job.folder import load_job, write_job
from fltui.job.handover import LIFELINE, Runner, in_own_python
from fltui.job.invitation import client_command
from fltui.job.job import Job
from fltui.run.events import RunFinished, RunStatus
from fltui.run.folder import RunFolder, create_run
from fltui.run.journal import head_of
from fltui.run.options import LOCAL, RunOptions

if TYPE_CHECKING:
    from fltui.server.engine import Engine
    from fltui.server.remote import RemoteSites

JobPath = Annotated[Path, typer.Argument(help="A job script, an exported job folder, or a folder that holds one.")]
Rounds = Annotated[int | None, typer.Option(help="Rounds, instead of the job's.")]
KeepResults = Annotated[
    bool, typer.Option("--keep-results", help="Keep what the sites sent, in the run's store/, after each round.")
]
Seed = Annotated[
    int, typer.Option(min=0, max=LAST_STEP, help="What all that is drawn begins from: who is asked, what scripts draw.")
]
KeepModels = Annotated[
    int | None,
    typer.Option("--keep-models", min=1, help="How many of the newest models stay, beside the first; all by default."),
]


def run(
    job: JobPath,
    runs: Runs = DEFAULT_RUNS,
    exchange: Exchange = DEFAULT_EXCHANGE,
    rounds: Rounds = None,
    sites: Annotated[int | None, typer.Option(help="Sites, instead of the job's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="How many sites work at once; all by default.")] = None,
    watch: Watch = WatchMode.AUTO,
    keep_results: KeepResults = False,
    keep_models: KeepModels = None,
    seed: Seed = 0,
    engine: Annotated[
        str,
        typer.Option(
            envvar="FLTUI_ENGINE",
            help="Where the scripts run: local; dask, a cluster on this machine; or a Dask scheduler, tcp://HOST:PORT.",
        ),
    ] = LOCAL,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of --engine dask; as many as processors by default.")
    ] = None,
    site_data: Annotated[
        list[str] | None,
        typer.Option(metavar="SITE=PATH", help="Where the data of a site lies; its script asks. May be given again."),
    ] = None,
    track: Track = None,
    json: Json = False,
) -> None:
    """Run a job in the simulator: a process per site, on this machine or on a cluster.

    Example: fltui run sample_jobs/hello-fedavg-numpy --rounds 10

    Example: fltui run sample_jobs/digits-softmax --engine tcp://node1:8786 --exchange /shared/exchange
    """
    from fltui.simulator.processes import processes_of

    options = RunOptions(
        watch=watch,
        threads=threads,
        keep_results=keep_results,
        keep_models=keep_models,
        seed=seed,
        engine=engine,
        workers=workers,
        site_data=_site_data(site_data or []),
    )
    with processes_of(engine, workers, options.wait) as processes:  # they get ready while the job is prepared
        from fltui.server.engine import Engine
        from fltui.simulator.keys import run_keys
        from fltui.simulator.local import LocalSites
        from fltui.simulator.needs import needs_of

        def check(job: Job, folder: RunFolder, exchange: ExchangeFolder) -> None:
            processes.check(needs_of(job, options), {"exchange folder": exchange.root, "run folder": folder.root})

        prepared = _prepare(
            job, runs, exchange, rounds, runner=processes.run_job_script, simulated=True, sites=sites, check=check
        )
        options = structs.replace(options, threads=threads or prepared.threads)
        # Sites elsewhere see the folder of runs, and no temporary files of this machine.
        with run_keys(prepared.job, None if engine == LOCAL else prepared.folder.root.parent) as keys:
            fleet = LocalSites(prepared.job, prepared.folder, prepared.exchange, options, keys, processes)
            run_engine(
                Engine(prepared.job, prepared.folder, prepared.exchange, fleet, options, keys.identity),
                track,
                as_json=json,
            )


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
    run_id: Annotated[str, typer.Option(hidden=True)] = "",
    track: Track = None,
    json: Json = False,
) -> None:
    """Serve a job, or all jobs of a queue, to client scripts that are started elsewhere.

    Example: fltui server sample_jobs/hello-fedavg-numpy --exchange /mnt/shared/exchange

    Example: fltui server --queue /srv/fl/queue --parallel 3 --exchange /srv/fl/exchange --runs /srv/fl/runs
    """
    if queue is not None:
        from fltui.cli.dispatch import check_alone, serve_queue
        from fltui.server.dispatch.settings import Settings

        alone = {"JOB": job is not None, "--rounds": rounds is not None, "--sites": sites is not None}
        check_alone({**alone, "--seed": seed != 0})
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
            drain=drain,
        )
        serve_queue(queue, settings, as_json=json)
        return
    if job is None or parallel is not None or drain:
        what = "no job is named" if job is None else "--parallel and --drain are for a queue"
        raise BadInputError(f"{what}: give 'fltui server JOB', or 'fltui server --queue DIR'")

    from fltui.server.ends import end_dead_runs
    from fltui.server.engine import Engine

    count, named = _wanted_sites(sites)
    nudge = checked_nudge(nudge, exchange)
    durable = durability is Durability.POWER
    prepared = _prepare(
        job,
        runs,
        exchange,
        rounds,
        run_id=run_id,
        simulated=False,
        named=named,
        durable=durable,
        signed=require_signatures,
        job_code=job_code,
    )
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
    if not run_id:  # else the server of the queue has done it, which knows what goes on beside this run
        end_dead_runs(prepared.exchange, runs.absolute(), identity=prepared.identity, durable=durable)
    if not json:
        say_commands(prepared.job, prepared.folder, prepared.exchange, wanted)
    engine = Engine(prepared.job, prepared.folder, prepared.exchange, fleet, options, prepared.identity)
    run_engine(engine, track, as_json=json)


Check = Callable[[Job, RunFolder, ExchangeFolder], None]
"""Makes sure that a run can begin, or raises."""


@dataclass(frozen=True)
class _Prepared:
    job: Job
    folder: RunFolder
    exchange: ExchangeFolder
    threads: int | None
    identity: Identity


def _prepare(
    path: Path,
    runs: Path,
    exchange: Path,
    rounds: int | None,
    *,
    runner: Runner = in_own_python,
    run_id: str = "",
    simulated: bool,
    sites: int | None = None,
    named: list[str] | None = None,
    durable: bool = False,
    signed: bool = False,
    job_code: bool = False,
    check: Check | None = None,
) -> _Prepared:
    """Load the job, apply what the command line changes, and lay it into a new run folder.

    A simulated job needs an app for every site; a served one may leave open who comes, and is signed with this user's
    keys.
    """
    identity = NOBODY
    with open_job(path, runner, job_code=job_code or simulated) as (job, note):
        job = replace(job.with_rounds(rounds), require_signatures=job.require_signatures or signed)
        if simulated:
            job = job.with_sites(note.n_clients if sites is None else sites)
        elif named:
            job = replace(job, sites={name: job.app(name) for name in named}, everywhere=None)
        if not simulated:
            identity = server_identity(Keys(keys_path()), job.sites, demanded=job.require_signatures)
        new_run = _new_run(runs.absolute(), job.name, run_id, durable=durable)
        with new_run as folder, _new_exchange(exchange.absolute()):
            place = open_exchange(exchange.absolute(), durable=durable)
            if identity.signer:
                show_server_key(place, identity.public, durable=durable)
            write_job(job, folder.job, durable=durable)
            loaded = load_job(folder.job, job_code=True)
            if check is not None:
                check(loaded, folder, place)
            return _Prepared(loaded, folder, place, note.threads, identity)


@contextmanager
def _new_run(runs: Path, job_name: str, run_id: str, *, durable: bool) -> Iterator[RunFolder]:
    """A new run folder; it goes again if the run cannot be prepared in it, with the folder of runs if that is new.

    It comes before the exchange, so that nothing is left where it cannot be made.
    """
    new = not runs.exists()
    folder = create_run(runs, job_name, run_id=run_id, durable=durable)
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
    """An exchange that is made here goes again if the run cannot be prepared."""
    new = not root.exists()
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):  # it could not be made, or others use it meanwhile
                ExchangeFolder(root).about.unlink()
                root.rmdir()
        raise


def _site_data(named: list[str]) -> dict[str, str]:
    """Paths by the names of their sites."""
    found: dict[str, str] = {}
    for one in named:
        site, _, path = one.partition("=")
        if not path:
            raise BadInputError(f"--site-data is {one!r}, expected SITE=PATH")
        if check_site(site) in found:
            raise BadInputError(f"--site-data names {site} twice")
        found[site] = str(Path(path).absolute())
    return found


def _wanted_sites(sites: str | None) -> tuple[int | None, list[str]]:
    if sites is None:
        return None, []
    if sites.lstrip("-").isdigit():
        if int(sites) < 1:
            raise BadInputError(f"--sites is {sites}, expected at least 1")
        return int(sites), []
    return None, [check_site(name.strip()) for name in sites.split(",")]


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
    say(f"waiting for {wanted} sites; start each in a shell of its own:")
    for name in list(job.sites) or ["NAME"]:
        say(f"  {client_command(folder.job, name, exchange.root)}")
    sys.stdout.flush()


def run_engine(engine: Engine, track: list[str] | None, *, as_json: bool) -> None:
    """Run a run to its end, show it and tell trackers of it; signals abort it in good order.

    Raises:
        typer.Exit: it did not complete.
    """
    from fltui.cli.progress import shown

    with tracked(engine.folder, track) as tell, shown(engine.folder, as_json=as_json) as show:
        engine.follow(show)
        engine.follow(tell)
        finished, interrupted = asyncio.run(_until_finished(engine))
    if not as_json:
        _say_outcome(finished, engine.folder)
    if finished.state is not RunStatus.COMPLETED:
        from fltui import cli
        from fltui.exchange.visible import visible

        what = finished.state.value.removeprefix("FINISHED:").lower()
        typer.echo(f"error: run {finished.run} {what}: {visible(finished.reason)}", err=True)
        if interrupted:
            raise typer.Exit(cli.INTERRUPTED)
        raise typer.Exit(cli.ABORTED if finished.state is RunStatus.ABORTED else cli.FAILED)


async def _until_finished(engine: Engine) -> tuple[RunFinished, bool]:
    """Run the engine; signals abort it in good order. Whether Ctrl-C did."""
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        engine.abort("interrupted")

    loop.add_signal_handler(signal.SIGINT, interrupt)
    for sent in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sent) is not signal.SIG_IGN:  # as under `nohup`
            loop.add_signal_handler(sent, engine.abort, f"stopped by {sent.name}")
    if lifeline := os.environ.pop(LIFELINE, ""):

        def gone() -> None:
            loop.remove_reader(int(lifeline))
            engine.abort("the program that started the run is gone")

        loop.add_reader(int(lifeline), gone)
    return await engine.run(), interrupted


def _say_outcome(finished: RunFinished, folder: RunFolder) -> None:
    if finished.state is RunStatus.COMPLETED:
        say(f"run {finished.run} completed: {finished.rounds} rounds in {finished.seconds:.2f} s")
        if finished.reason:
            say(f"  {finished.reason}")
    for name, path in finished.final_model.items():
        say(f"  {name}: {folder.root / path}")
    if finished.untold:
        say(
            f"  not told that the run is over: {', '.join(finished.untold)}; their folders could not be written, "
            "and their scripts wait until they are stopped or another run begins"
        )
    say(f"  results: {folder.root}")
    say(f"  head of the journal: {head_of(folder.journal)}")
