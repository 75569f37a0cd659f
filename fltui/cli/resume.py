"""``fltui resume``: go on with a run that is paused, failed, was aborted, or lost its server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from fltui.cli.options import DEFAULT_RUNS, Json, Queued, RunName, Runs
from fltui.cli.steer import ask_and_wait, say_state
from fltui.cli.tracked import Track, targets_of
from fltui.errors import BadInputError
from fltui.run import control
from fltui.run.events import RunStatus
from fltui.run.folder import find_run
from fltui.run.options import LOCAL

if TYPE_CHECKING:
    from fltui.run.folder import RunFolder
    from fltui.run.state import RunState
    from fltui.tracking.targets import Target


def resume(
    run: RunName,
    runs: Runs = DEFAULT_RUNS,
    engine: Annotated[
        str | None,
        typer.Option(help="Where the scripts run from now on; as before by default. See 'fltui run --help'."),
    ] = None,
    queued: Queued = "",
    job_code: Annotated[bool, typer.Option("--job-code", hidden=True)] = False,
    track: Track = None,
    json: Json = False,
) -> None:
    """Go on with a run: a live one that is paused, or one that failed, was aborted or lost its server.

    A run that is over goes on from its last finished round, with the options it began with; its job lies in the run
    folder, where a script can be mended.

    Example: fltui resume last
    """
    folder = find_run(run, runs.absolute())
    state = folder.state()
    if queued:
        _check_of_a_queue(folder, state, queued)
        state.options = structs.replace(state.options, job_code=job_code)  # what may run here, its server says
    if not folder.is_alive():
        if engine is not None and state.mode == "server":
            raise BadInputError(f"run {folder.run} is served, and people start its scripts: --engine is not for it")
        _go_on(folder, state, engine, targets_of(track), queued=bool(queued), as_json=json)
    elif state.status is not RunStatus.PAUSED:
        raise BadInputError(f"run {folder.run} is live and not paused, so there is nothing to resume")
    elif not state.is_held:
        raise BadInputError(f"run {folder.run} cannot be resumed now: {state.reason}")
    elif engine is not None or track:
        what = "--engine" if engine is not None else "--track"
        also = "" if engine is not None else f"; 'fltui track {folder.run}' tells a tracker of it"
        raise BadInputError(f"run {folder.run} is live and goes on as it began, so {what} is not for it{also}")
    else:
        over = (RunStatus.FAILED, RunStatus.ABORTED)
        state = ask_and_wait(folder, control.Resume(), lambda found: not found.is_held and found.status not in over)
        later = f" when it can: {state.reason}" if state.outage else ""
        say_state(folder, state, f"run {folder.run} is resumed{later}", as_json=json)


def _check_of_a_queue(folder: RunFolder, state: RunState, queued: str) -> None:
    """Make sure that a run is one that the server of a queue goes on with.

    Raises:
        BadInputError: it is not.
    """
    if folder.run != queued:
        raise BadInputError(f"run {folder.run} is not run {queued}, which the queue asks for")
    if state.mode == "simulator":
        raise BadInputError(f"run {folder.run} was begun by 'fltui run', and by no server of a queue")


def _go_on(
    folder: RunFolder, state: RunState, engine: str | None, targets: list[Target], *, queued: bool, as_json: bool
) -> None:
    """Run what is left, as ``fltui run`` or ``fltui server`` would."""
    import dataclasses

    from fltui.cli.running import run_engine
    from fltui.exchange.publish import open_exchange, show_server_key
    from fltui.job.folder import load_job
    from fltui.server.engine import Engine
    from fltui.server.past import check_resumable

    check_resumable(folder, state)
    options = structs.replace(state.options, engine=engine or state.options.engine)
    job = load_job(folder.job, job_code=options.job_code or state.mode == "simulator")
    # The job may have been mended meanwhile; what was demanded when the run began is demanded to its end.
    job = dataclasses.replace(job, require_signatures=job.require_signatures or state.require_signatures)
    exchange = open_exchange(Path(state.exchange), durable=options.durable)
    if state.mode == "simulator":
        from fltui.simulator.engines import processes_of
        from fltui.simulator.keys import run_keys
        from fltui.simulator.local import LocalSites
        from fltui.simulator.needs import needs_of

        with (
            processes_of(options.engine, options.workers, options.wait) as processes,
            run_keys(job, None if options.engine == LOCAL else folder.root.parent) as keys,
        ):
            processes.check(needs_of(job, options), {"exchange folder": exchange.root, "run folder": folder.root})
            local = LocalSites(job, folder, exchange, options, keys, processes)
            simulated = Engine(job, folder, exchange, local, options, keys.identity, resumed=True)
            run_engine(simulated, targets, as_json=as_json)
    else:
        from fltui.cli.server import remote_sites, say_commands
        from fltui.exchange.keys import Keys, keys_path, server_identity
        from fltui.server.ends import end_dead_runs

        identity = server_identity(Keys(keys_path()), job.sites, demanded=job.require_signatures)
        if identity.signer:
            show_server_key(exchange, identity.public, durable=options.durable)
        there = sum(site.state not in ("expected", "lost") for site in state.sites.values())
        wanted = max(options.wanted or job.workflow.site_count, there)
        fleet = remote_sites(job, folder, exchange, structs.replace(options, wanted=wanted))
        served = Engine(job, folder, exchange, fleet, options, identity, resumed=True)
        runs, durable = folder.root.parent, options.durable
        if not queued:  # else the server of the queue has done it, which knows what goes on beside this run
            end_dead_runs(exchange, runs, resumed=folder.run, identity=identity, durable=durable)
        if not as_json:
            say_commands(job, folder, exchange, wanted)
        run_engine(served, targets, as_json=as_json, queued=queued)
