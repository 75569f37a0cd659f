"""``fltui pause``, ``drop`` and ``abort``: asking the engine of a live run, and waiting until it has heard."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Annotated

import typer

from fltui.cli.history import overview
from fltui.cli.options import DEFAULT_RUNS, Json, RunName, Runs, say, say_json
from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.watch import Backoff, Watcher
from fltui.run import control
from fltui.run.folder import RunFolder, find_run
from fltui.run.state import RunState

_PATIENCE = 30.0
"""Seconds until a request that nobody hears is an error."""

Reason = Annotated[str, typer.Option(help="Why, for the journal.")]


def pause(run: RunName, runs: Runs = DEFAULT_RUNS, reason: Reason = "asked for", json: Json = False) -> None:
    """Ask a live run to begin no new round; one that runs goes on to its end. 'fltui resume' lets it go on.

    Example: fltui pause last --reason "the disk is being changed"
    """
    folder = find_run(run, runs.absolute())
    state = live(folder)
    if not state.is_held:
        state = ask_and_wait(folder, control.Pause(reason), lambda found: found.is_held)
    say_state(folder, state, f"run {folder.run} is paused", as_json=json)


def drop(
    run: RunName,
    site: Annotated[str, typer.Argument(help="Name of the site.")],
    runs: Runs = DEFAULT_RUNS,
    reason: Reason = "asked for",
    json: Json = False,
) -> None:
    """Ask a live run to go on without a site, for good; the run fails if its answer is needed.

    Example: fltui drop last site-1 --reason "wrong data"
    """
    folder = find_run(run, runs.absolute())
    request = control.Drop(site, reason)
    state = live(folder)
    if site not in state.sites:
        raise BadInputError(f"run {folder.run} has no site {site!r}; its sites: {', '.join(sorted(state.sites))}")
    if not state.sites[site].dropped:
        state = ask_and_wait(folder, request, lambda found: found.site(site).dropped)
    say_state(folder, state, f"run {folder.run} goes on without {site}", as_json=json)


def abort(run: RunName, runs: Runs = DEFAULT_RUNS, reason: Reason = "asked for", json: Json = False) -> None:
    """Ask a live run to end now, and wait until it has.

    Example: fltui abort last --reason "wrong data"
    """
    folder = find_run(run, runs.absolute())
    live(folder)
    state = ask_and_wait(folder, control.Abort(reason), lambda found: found.status.is_finished)
    say_state(folder, state, f"run {folder.run} ended: {state.status}", as_json=json)


def live(folder: RunFolder) -> RunState:
    """The state of a run that an engine on this machine holds.

    Raises:
        BadInputError: none does.
    """
    state = folder.state()
    if state.status.is_finished:
        raise BadInputError(f"run {folder.run} has ended already: {state.status}")
    if not folder.is_alive():
        raise BadInputError(f"run {folder.run} has no live server on this machine, so nobody would hear the request")
    return state


def ask_and_wait(folder: RunFolder, request: control.AnyRequest, heard: Callable[[RunState], bool]) -> RunState:
    """Lay a request before the engine and wait until the journal shows that it was heard.

    Returns:
        The state then.

    Raises:
        BadInputError: the reason is too long, or the request cannot be written.
        RunFailedError: the run ended before, or nothing happened for too long.
    """
    try:
        asked = control.ask(folder, request)
    except OSError as error:
        raise BadInputError(
            f"the request cannot be laid into {folder.control}: {error.strerror}; Ctrl-C or SIGTERM ends the run, too"
        ) from error
    try:
        return _heard(folder, heard)
    except RunFailedError:
        with contextlib.suppress(OSError):
            asked.unlink()  # nobody takes it any more, and it is not to be found in a later life of the run
        raise


def _heard(folder: RunFolder, heard: Callable[[RunState], bool]) -> RunState:
    arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
    watcher = Watcher(arrivals.put, folder.root, writes=True)
    watcher.add(folder.root)
    backoff, deadline = Backoff(), time.monotonic() + _PATIENCE
    try:
        for state in folder.states():
            if heard(state):
                return state
            if state.status.is_finished:
                raise RunFailedError(f"run {folder.run} ended before it heard the request: {state.status}")
            left = deadline - time.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(queue.Empty):
                arrivals.get(timeout=min(backoff.next(), left))
    finally:
        watcher.close()
    raise RunFailedError(f"run {folder.run} did not hear the request within {_PATIENCE:g} s")


def say_state(folder: RunFolder, state: RunState, sentence: str, *, as_json: bool) -> None:
    """Print what came of a request."""
    if as_json:
        say_json(overview(folder, state))
    else:
        say(sentence)
