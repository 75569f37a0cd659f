"""``fltui runs``, ``show`` and ``logs``: what ran and what runs."""

from __future__ import annotations

import queue
from typing import Annotated, Any

import typer

from fltui.cli.options import DEFAULT_RUNS, Json, RunName, Runs, say, say_json
from fltui.errors import BadInputError
from fltui.exchange.watch import Watcher
from fltui.run.describe import describe_best, metrics_text
from fltui.run.folder import RunFolder, find_run, list_runs
from fltui.run.logs import LogFollower, LogLine, merged
from fltui.run.state import RunState

_FOLLOW = 0.25
"""Seconds between two looks at growing logs; a site's log may grow without an event here."""


def runs(runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """List the runs, newest first.

    Example: fltui runs
    """
    rows = [_row(folder) for folder in list_runs(runs.absolute())]
    if json:
        for row in rows:
            say_json(row)
        return
    if not rows:
        say(f"no runs in {runs.absolute()}; 'fltui run JOB' makes one")
    width = max((len(row["run"]) for row in rows), default=0)
    for row in rows:
        state = _state_text(row)
        rounds = f"{row['rounds']}/{row['total_rounds']} rounds"
        say(f"{row['run']:{width}}  {state:20}  {rounds:14}  {row['seconds']:8.2f} s{metrics_text(row['metrics'])}")


def _row(folder: RunFolder) -> dict[str, Any]:
    """One run for the list; a journal that cannot be read does not hide the others."""
    try:
        return overview(folder)
    except BadInputError as error:
        return {**overview(folder, RunState()), "state": "UNREADABLE", "reason": str(error)}


def _state_text(row: dict[str, Any]) -> str:
    over = row["alive"] or row["state"].startswith(("FINISHED", "UNREADABLE"))
    return row["state"] if over else f"{row['state']} (server gone)"


def show(run: RunName, runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """Show one run: its rounds, sites and model.

    Example: fltui show last
    """
    folder = find_run(run, runs.absolute())
    state = folder.state()
    found = overview(folder, state)
    if json:
        say_json(
            {
                **found,
                "exchange": state.exchange,
                "sites": {name: vars(site) for name, site in sorted(state.sites.items())},
                "rounds_finished": [one.finished for one in state.rounds.values() if one.finished],
                "final_model": {name: str(folder.root / path) for name, path in state.final_model.items()},
                "best": state.best,
                "privacy": state.spent,
            }
        )
        return
    say(f"{found['run']}  {_state_text(found)}")
    if state.reason:
        say(f"  {state.reason}")
    progress = f"{state.rounds_done} of {state.total_rounds} rounds, {state.seconds:.2f} s"
    say(f"  job {state.job}, {state.workflow}, {progress}")
    say(f"  exchange {state.exchange}")
    if state.best:
        say(f"  best model: the one that round {state.best.round} began with, {describe_best(state.best)}")
    if state.spent:
        say(f"  privacy spent: epsilon {state.spent.epsilon:.4g}, delta {state.spent.delta:g}")
    for number, one in state.rounds.items():
        done = one.finished
        if done:
            text = f"{len(one.accepted)}/{len(one.started.sites)} sites  {done.seconds:.3f} s"
            text += f"  model of {one.started.part}" if one.started.part else ""
            say(f"  round {number}  {text}  update norm {done.update_norm:.4g}{metrics_text(done.metrics)}")
        else:
            say(f"  round {number}  {len(one.accepted)}/{len(one.started.sites)} sites  not finished")
        for name, rejected in sorted(one.rejected.items()):
            say(f"    {name} rejected: {rejected.reason}")
    for name, site in sorted(state.sites.items()):
        why = f": {site.reason}" if site.reason else ""
        say(f"  {name}  {site.results} results  {site.state}{why}")
    for name, path in state.final_model.items():
        say(f"  model {name}: {folder.root / path}")


def logs(
    run: RunName,
    runs: Runs = DEFAULT_RUNS,
    site: Annotated[str | None, typer.Option(help="Only this site's lines; 'server' for the server's.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until the run ends.")] = False,
    json: Json = False,
) -> None:
    """Print the logs of server and sites, merged by time.

    Example: fltui logs last --site site-0 -f
    """
    folder = find_run(run, runs.absolute())
    if site is not None and not (folder.logs / f"{site}.log").exists() and not follow:
        known = ", ".join(sorted(path.stem for path in folder.logs.glob("*.log")))
        raise BadInputError(f"run {folder.run} has no log of {site!r}; it has: {known}")
    if not follow:
        for line in merged(folder.logs, site):
            _say_line(line, as_json=json)
        return
    arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
    watcher = Watcher(arrivals.put, folder.logs, writes=True)
    watcher.add(folder.logs)
    follower = LogFollower(folder.logs, site)
    try:
        for state in folder.states():
            over = state.status.is_finished or not folder.is_alive()
            for line in follower.new_lines():
                _say_line(line, as_json=json)
            if over:
                return
            try:
                arrivals.get(timeout=_FOLLOW)
            except queue.Empty:
                continue
    finally:
        watcher.close()


def overview(folder: RunFolder, state: RunState | None = None) -> dict[str, Any]:
    """A run in short, for programs."""
    state = state or folder.state()
    return {
        "run": folder.run,
        "run_dir": str(folder.root),
        "job": state.job,
        "mode": state.mode,
        "state": state.status.value,
        "reason": state.reason,
        "alive": folder.is_alive(),
        "rounds": state.rounds_done,
        "total_rounds": state.total_rounds,
        "started": state.started,
        "seconds": state.seconds,
        "metrics": state.metrics,
    }


def _say_line(line: LogLine, *, as_json: bool) -> None:
    if as_json:
        say_json({"time": line.time, "source": line.source, "level": line.level, "text": line.text})
    else:
        say(f"{line.time[11:23]} {line.source:12} {line.text}")
