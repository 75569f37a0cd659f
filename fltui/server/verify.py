"""Verifying a run: is its folder what the server wrote, and does its model follow from what the sites sent?

The journal's chain comes first, then the seal of all files, then every round: recomputed where the results were kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fltui.errors import BadInputError, ExchangeError, RunFailedError
from fltui.exchange.outage import DISK_FULL
from fltui.exchange.signing import check_key, fingerprint
from fltui.job.code import CodeRefusedError
from fltui.job.folder import load_job
from fltui.run.events import RunFinished
from fltui.run.folder import RunFolder
from fltui.run.seal import DifferenceError, check_plain, check_seal
from fltui.server.history import JOURNAL, History, Rounds, whose
from fltui.server.replay import EndOfRecordError, Replay
from fltui.workflows.workflow import Workflow

Report = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much."""

Trusted = Callable[[], Mapping[str, str]]
"""Gives the public keys that a person trusts, by site; called for a run with signatures alone."""


@dataclass
class Verified:
    """What came of verifying a run.

    Attributes:
        run: its id.
        state: its status, as the journal has it.
        events: lines of the journal that were read.
        head: chain of the last one; empty where there is none.
        files: how many were compared with the seal.
        rounds: how many are finished.
        recomputed: how many of them were recomputed.
        signatures: how many results' signatures were checked.
        notes: what was not checked, and why, as sentences.
        difference: the first one, or None.
    """

    run: str
    state: str = ""
    events: int = 0
    head: str = ""
    files: int = 0
    rounds: int = 0
    recomputed: int = 0
    signatures: int = 0
    notes: list[str] = field(default_factory=list)
    difference: DifferenceError | None = None


def verify(
    folder: RunFolder,
    noted: str = "",
    report: Report = lambda _what, _done, _total: None,
    trusted: Trusted = dict,
    *,
    job_code: bool = False,
) -> Verified:
    """Verify a run up to the first difference. Nothing is written in its folder.

    Args:
        folder: the run.
        noted: chain of an event, which a person noted elsewhere; it must be in the journal.
        report: see `Report`.
        job_code: the job's own code may run, without which the rounds of some jobs cannot be recomputed.
        trusted: see `Trusted`; without them the sites' keys are taken as the journal has them, and noted.

    Raises:
        BadInputError: a file cannot be read, or there is no room to recompute in.
    """
    found = Verified(folder.run)
    try:
        _verify(folder, noted, report, trusted, found, job_code=job_code)
    except DifferenceError as error:
        found.difference = error
    except OSError as error:
        raise BadInputError(f"run {folder.run} cannot be read: {error.strerror} ({error.filename})") from error
    return found


def _verify(
    folder: RunFolder, noted: str, report: Report, trusted: Trusted, found: Verified, *, job_code: bool
) -> None:
    is_alive = folder.is_alive()
    report("reading the journal", 0, 1)
    history = History.of(folder, noted)
    state, last = history.state, history.last
    found.run, found.state = state.run or folder.run, state.status.value
    found.events, found.head, found.rounds = history.events, history.head, state.rounds_done
    _check_chain(folder, history, noted, found)
    if isinstance(last, RunFinished) and last.seal:
        if history.left and folder.seal.exists():  # a server that goes on with the run removes the seal first
            told = "goes on after the end of the run, with a line that is not whole or holds a zero byte"
            raise DifferenceError(JOURNAL, told)
        try:
            found.files = check_seal(folder, last.seal, lambda done, total: report("comparing files", done, total))
        except DifferenceError as error:
            raise _with_its_result(folder, error) from error
    elif folder.seal.exists() and not is_alive:
        if isinstance(last, RunFinished):
            raise DifferenceError(folder.seal.name, "was not there when the run ended")
        raise DifferenceError(
            JOURNAL,
            "ends before the end of the run, though the run was sealed; lines were cut off, or the server died just "
            "then, in which case 'fltui resume' ends the run",
        )
    else:
        if not is_alive:
            check_plain(folder)
        _note_what_is_open(history, found, is_alive=is_alive)
    if history.signers:
        _check_keys(history, trusted(), found)
    if last is not None:
        workflow = _workflow(folder, history, found, job_code=job_code)
        _go_through_rounds(folder, history, report, found, workflow, is_alive=is_alive)


def _check_chain(folder: RunFolder, history: History, noted: str, found: Verified) -> None:
    if noted and history.noted_at is None:
        raise DifferenceError(JOURNAL, "is not the one that was noted", expected=noted, found=history.head)
    if history.noted_at is not None and history.noted_at < history.events - 1:
        later = history.events - 1 - history.noted_at
        found.notes.append(f"the chain that was noted is that of event {history.noted_at}; {later} events came later")
    if history.last is None and any(folder.models.glob("*")):
        raise DifferenceError(JOURNAL, "has no event, but the run has a model")


def _check_keys(history: History, trusted: Mapping[str, str], found: Verified) -> None:
    """Compare the keys of the sites with those that a person trusts: those in the journal are the server's word.

    Where a site got a new key while the run was aborted, the older one is noted.
    """
    unknown = []
    for site, key in sorted(history.signers):
        try:
            shown = fingerprint(check_key(key, "signed_by"))
        except BadInputError as error:
            raise DifferenceError(JOURNAL, f"has no key where one has to be: {error}", site=site) from error
        if history.state.mode == "simulator":
            continue
        if site not in trusted:
            unknown.append(f"{site} ({shown})")
        elif trusted[site] != key and _was_replaced(history.keys.get(site, []), key, trusted[site]):
            found.notes.append(f"some results of {site} are signed with an older key of it, {shown}")
        elif trusted[site] != key:
            told = "has another key of the site than is trusted here; by FLTUI_KEYS, a folder with an older key is used"
            raise DifferenceError(JOURNAL, told, site=site, expected=fingerprint(trusted[site]), found=shown)
    if history.state.mode == "simulator":
        found.notes.append("the run was simulated: its keys were made for it, and show nobody's identity")
    if unknown:
        found.notes.append(f"keys as the journal has them: no key of {', '.join(unknown)} is trusted here")


def _was_replaced(keys: list[str], key: str, by: str) -> bool:
    """Whether a site's keys, in their order, end with `by`, and `key` is one of those before."""
    return bool(keys) and keys[-1] == by and key in keys[:-1]


def _note_what_is_open(history: History, found: Verified, *, is_alive: bool) -> None:
    """Say why files are not compared with a seal."""
    if is_alive:
        found.notes.append(
            f"the run is still running: verified up to event {history.events - 1}; its files are not sealed"
        )
    elif history.last is None:
        found.notes.append("the run had not begun when its server died")
    elif isinstance(history.last, RunFinished):
        found.notes.append("the run was not sealed: only its journal, models and kept results can be verified")
    else:
        found.notes.append(
            "the run has not ended, its server died: only its journal, models and kept results are verified"
        )
    if history.left and not is_alive:
        found.notes.append("the last line of the journal is not whole and does not count; 'fltui resume' cuts it off")


def _go_through_rounds(
    folder: RunFolder,
    history: History,
    report: Report,
    found: Verified,
    workflow: Workflow | None,
    *,
    is_alive: bool,
) -> None:
    def done(count: int) -> None:
        report("verifying rounds", count, found.rounds)

    with closing(Rounds(folder, history, is_alive=is_alive, report=done)) as rounds:
        if workflow is not None:
            found.recomputed, found.signatures = _recompute(folder, rounds, workflow, found)
        while rounds.next() is not None:
            pass
    started = history.state.rounds.get(history.state.next_round)
    if started is not None and started.finished is None and history.state.status.is_finished:
        found.notes.append(f"round {started.started.round} did not finish, so there is nothing of it to recompute")


def _workflow(folder: RunFolder, history: History, found: Verified, *, job_code: bool) -> Workflow | None:
    """The job's workflow, where the rounds can be recomputed with it."""
    state = history.state
    if not found.rounds:
        return None
    if not state.options.keep_results:
        found.notes.append(
            "no round was recomputed: the results were not kept; a run that is started with --keep-results keeps them"
        )
        return None
    try:
        workflow = load_job(folder.job, job_code=job_code).workflow
    except CodeRefusedError as error:
        found.notes.append(f"no round was recomputed: {error}")
        return None
    except BadInputError as error:
        if not found.files:
            raise DifferenceError("job", f"cannot be loaded: {error}") from error
        found.notes.append(f"no round was recomputed: the job cannot be loaded, {error}")
        return None
    planned = range(state.start_round, state.start_round + state.total_rounds)
    if not isinstance(workflow, Workflow) or workflow.rounds != planned:
        rounds = workflow.rounds if isinstance(workflow, Workflow) else None
        raise DifferenceError("job", "is another one than that of the journal", expected=planned, found=rounds)
    return workflow


def _recompute(folder: RunFolder, rounds: Rounds, workflow: Workflow, found: Verified) -> tuple[int, int]:
    """Run the workflow again on the kept results; how many rounds were recomputed and signatures checked."""
    try:
        with tempfile.TemporaryDirectory(prefix="fltui-verify-") as scratch:
            replay = Replay(folder, rounds, Path(scratch), check_arrays=not found.files)
            try:
                asyncio.run(workflow.run(replay))
            except EndOfRecordError:
                pass
            except (RunFailedError, ExchangeError) as error:
                if replay.done == found.rounds:  # so it ended
                    return replay.done, replay.signatures
                raise DifferenceError(JOURNAL, f"has a round that cannot be recomputed: {error}") from error
            return replay.done, replay.signatures
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        room = "; give TMPDIR a folder with room for two models" if error.errno in DISK_FULL else ""
        raise BadInputError(f"run {folder.run} cannot be recomputed: {error.strerror} ({where}){room}") from error


def _with_its_result(folder: RunFolder, error: DifferenceError) -> DifferenceError:
    """A difference in the store, with the round and the site it belongs to."""
    if not error.file.startswith("store/"):
        return error
    result = whose(folder, Path(error.file).stem)
    if result is None:
        return error
    return DifferenceError(
        error.file, error.told, round=result.round, site=result.site, expected=error.expected, found=error.found
    )
