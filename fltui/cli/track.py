"""``fltui track``: a run's metrics, parameters and models to experiment trackers."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from fltui.cli.options import DEFAULT_RUNS, Json, RunName, Runs, say, say_json
from fltui.cli.tracked import say_trouble, targets_of
from fltui.errors import BadInputError, FltuiError, RunFailedError
from fltui.run.folder import find_run
from fltui.tracking.environment import VARIABLE


def track(
    run: RunName,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help=f"tensorboard:DIR, mlflow:DIR or mlflow:URI; may be given again. Or {VARIABLE}, one a line.",
        ),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    models: Annotated[
        str, typer.Option(metavar="none|final|all", help="Models to track: the final and the best, each round's, none.")
    ] = "final",
    experiment: Annotated[str, typer.Option(help="MLflow's experiment, instead of the job's name.")] = "",
    once: Annotated[
        bool, typer.Option("--once", help="Tell what there is, and do not wait for the run's end.")
    ] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,  # started with a run, for nobody to see
    json: Json = False,
) -> None:
    """Tell experiment trackers of a run: one that is on as it goes, one that is over at once.

    Doing it again adds what is lacking and doubles nothing.

    Example: fltui track last --to tensorboard:tb --to mlflow:mlruns
    """
    from fltui.tracking.follow import track as track_run
    from fltui.tracking.records import ModelChoice
    from fltui.tracking.targets import FORMS

    targets = targets_of(to, "--to")
    if not targets:
        raise BadInputError(f"--to is missing; it says where a run is tracked: {FORMS}")
    choice = next((known for known in get_args(ModelChoice) if known == models), None)
    if choice is None:
        raise BadInputError(f"--models is {models!r}, expected one of: {', '.join(get_args(ModelChoice))}")
    folder = find_run(run, runs.absolute())
    try:
        # The process of the run reads it, and puts it into the run's log.
        say_failed = say if beside else None
        told = track_run(folder, targets, models=choice, experiment=experiment, follow=not once, say_failed=say_failed)
    except FltuiError as error:
        if not beside:
            raise
        say(str(error))
        say_trouble(folder, targets, str(error))
        raise typer.Exit(1) from error
    if told.failed and beside:
        say_trouble(folder, targets, "; ".join(told.failed.values()))
        raise typer.Exit(1)
    state = told.end.state.value if told.end else "not ended"
    for target in targets:
        failed = told.failed.get(target.text, "")
        if json:
            say_json(
                {
                    "run": folder.run,
                    "target": target.text,
                    "tracked": not failed,
                    "error": failed,
                    "state": state,
                    "values": told.points,
                    "left_out": told.left_out,
                }
            )
        elif not failed:
            say(f"run {folder.run} ({state}) is in {target.text}: {told.points} values")
    if told.left_out and not json:
        say(f"  {told.left_out} values are of more names than trackers are told; they are in the journal")
    if told.end is None and not once and not json and not told.failed:
        say("  its server is gone; after 'fltui resume' the same command adds the rest")
    if told.failed:
        raise RunFailedError("; ".join(told.failed.values()))
