"""``fltui run``: run a job in the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from fltui.cli.options import (
    DEFAULT_EXCHANGE,
    DEFAULT_RUNS,
    Exchange,
    Json,
    KeepModels,
    KeepResults,
    Rounds,
    Runs,
    Seed,
    Watch,
)
from fltui.cli.tracked import Track, targets_of
from fltui.errors import BadInputError
from fltui.exchange.layout import check_site
from fltui.exchange.watch import WatchMode
from fltui.run.options import LOCAL, RunOptions

if TYPE_CHECKING:
    from fltui.exchange.layout import ExchangeFolder
    from fltui.job.job import Job
    from fltui.run.folder import RunFolder


def run(
    job: Annotated[Path, typer.Argument(help="A job script, an exported job folder, or a folder that holds one.")],
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
    from fltui.simulator.engines import processes_of

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
    targets = targets_of(track)
    with processes_of(engine, workers, options.wait) as processes:  # they get ready while the job is prepared
        from fltui.cli.prepare import Places, prepare
        from fltui.cli.running import run_engine
        from fltui.job.find import open_job
        from fltui.server.engine import Engine
        from fltui.simulator.keys import run_keys
        from fltui.simulator.local import LocalSites
        from fltui.simulator.needs import needs_of

        def check(job: Job, folder: RunFolder, exchange: ExchangeFolder) -> None:
            processes.check(needs_of(job, options), {"exchange folder": exchange.root, "run folder": folder.root})

        with open_job(job, processes.run_job_script, job_code=True) as (found, note):
            simulated = found.with_rounds(rounds).with_sites(note.n_clients if sites is None else sites)
            prepared = prepare(simulated, Places(runs, exchange), check=check)
        options = structs.replace(options, threads=threads or note.threads)
        # Sites elsewhere see the folder of runs, and no temporary files of this machine.
        with run_keys(prepared.job, None if engine == LOCAL else prepared.folder.root.parent) as keys:
            fleet = LocalSites(prepared.job, prepared.folder, prepared.exchange, options, keys, processes)
            run_engine(
                Engine(prepared.job, prepared.folder, prepared.exchange, fleet, options, keys.identity),
                targets,
                as_json=json,
            )


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
