"""A run's journal read again from its beginning, for verifying: as a whole, then round by round."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from fltui.errors import BadInputError, ExchangeError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import open_beneath, read_checked
from fltui.exchange.plain import NotPlainError, open_plain
from fltui.run.events import (
    AnyEvent,
    ResultAccepted,
    RoundFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Chain, read_events
from fltui.run.models import Models, StoredModel, digest_of_model
from fltui.run.seal import DifferenceError
from fltui.run.state import RoundState, RunState, apply

JOURNAL = "journal.jsonl"

_REMEMBERED = 2
"""Rounds whose details stay in memory behind the one that is read."""


def read_history(
    path: Path, left: Callable[[int], None] = lambda _: None
) -> Generator[tuple[AnyEvent, Chain], None, None]:
    """The events of a journal with its chain after each.

    Args:
        path: the journal.
        left: called at the end with how many bytes follow the last line that counts.

    Raises:
        DifferenceError: a line is no event, does not follow from those before it, or is out of its place.
    """
    chain = Chain()
    try:
        with open(open_plain(path), "rb") as file:
            for number, event in enumerate(read_events(file, JOURNAL, chain)):
                if event.seq != number:
                    raise DifferenceError(
                        JOURNAL, "lacks an event or has them in another order", expected=number, found=event.seq
                    )
                yield event, chain
            left(os.fstat(file.fileno()).st_size - file.tell())
    except FileNotFoundError as error:
        raise DifferenceError(JOURNAL, "is missing") from error
    except NotPlainError as error:
        raise DifferenceError(JOURNAL, "is not a plain file") from error
    except OSError as error:
        raise BadInputError(f"journal {path} cannot be read: {error.strerror}") from error
    except BadInputError as error:
        raise DifferenceError(JOURNAL, str(error).removeprefix(f"journal {JOURNAL} ")) from error


@dataclass
class History:
    """What the whole journal tells.

    Attributes:
        state: after all its events.
        last: the last event.
        events: how many there are.
        head: chain of the last event; empty without one.
        noted_at: number of the event whose chain a person noted; None if there is none.
        left: bytes behind the last line that counts, of a line that is not whole or holds a zero byte.
        signers: site and public key of every result that the journal calls signed.
        keys: the public keys of each site, in the order in which they were trusted; empty while none was.
    """

    state: RunState = field(default_factory=RunState)
    last: AnyEvent | None = None
    events: int = 0
    head: str = ""
    noted_at: int | None = None
    left: int = 0
    signers: set[tuple[str, str]] = field(default_factory=set)
    keys: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: RunFolder, noted: str) -> History:
        """Read a run's journal.

        Args:
            folder: the run.
            noted: a chain that a person noted; empty without one.

        Raises:
            DifferenceError: see `read_history`; or the events do not make a run.
        """
        history = cls()
        with closing(read_history(folder.journal, history._note_left)) as lines:
            for event, chain in lines:
                history._take(event)
                history.head = chain.head
                if noted and history.head == noted:
                    history.noted_at = event.seq
        return history

    def _note_left(self, left: int) -> None:
        self.left = left

    def _take(self, event: AnyEvent) -> None:
        before = self.last
        if not self.events and not isinstance(event, RunStarted):
            raise DifferenceError(JOURNAL, "does not begin with the run's start")
        if isinstance(before, RunFinished) and not (
            before.state is not RunStatus.COMPLETED and isinstance(event, RunResumed) and event.restarted
        ):
            raise DifferenceError(JOURNAL, f"goes on after the end of the run, with event {event.seq}")
        if isinstance(event, RunFinished):
            self._check_end(event)
        if isinstance(event, ResultAccepted) and event.signed_by:
            self.signers.add((event.site, event.signed_by))
        if isinstance(event, RunStarted) or (isinstance(event, RunResumed) and event.restarted):
            for site in self.keys.keys() | event.keys.keys():
                self.keys.setdefault(site, []).append(event.keys.get(site, ""))
        applied(self.state, event)
        self.state.forget(self.state.next_round - _REMEMBERED)
        self.last = event
        self.events += 1

    def _check_end(self, event: RunFinished) -> None:
        told = (event.run, event.rounds, event.metrics)
        known = (self.state.run, self.state.rounds_done, self.state.metrics)
        if told != known:
            raise DifferenceError(JOURNAL, "ends as the run did not", expected=known, found=told)


def applied(state: RunState, event: AnyEvent) -> None:
    """Let an event change a state.

    Raises:
        DifferenceError: it cannot come there.
    """
    try:
        apply(state, event)
    except KeyError as error:
        raise DifferenceError(JOURNAL, f"is not of one run: round {error} does not start before it goes on") from error
    except BadInputError as error:
        raise DifferenceError(JOURNAL, str(error).removeprefix("the journal ")) from error


class Rounds:
    """The finished rounds of a run, one after the other, each compared with what the journal itself and the models say.

    Args:
        folder: the run.
        history: what its whole journal tells.
        is_alive: a server may be at it.
        report: called with how many were read.

    Attributes:
        state: after the events read so far.
        keys: the sites' public keys at that time.
    """

    def __init__(
        self, folder: RunFolder, history: History, *, is_alive: bool, report: Callable[[int], None] = lambda _: None
    ) -> None:
        self.state = RunState()
        self.keys: dict[str, str] = {}
        self.demanded = False
        self._models = Models(folder.models, durable=False)
        self._lines = read_history(folder.journal)
        self._events = islice(self._lines, history.events)
        self._newest = history.state.next_round
        self._is_alive = is_alive
        self._report = report

    def close(self) -> None:
        """Close the journal."""
        self._lines.close()

    def next(self) -> RoundState | None:
        """The next finished round, or None after the last.

        Raises:
            DifferenceError: its events contradict each other, or a model is not the one they name.
        """
        for event, _ in self._events:
            applied(self.state, event)
            match event:
                case RunStarted():
                    self.keys, self.demanded = event.keys, event.require_signatures
                case RunResumed() if event.restarted:
                    self.keys = event.keys
                case RoundFinished():
                    found = self.state.rounds[event.round]
                    self._report(self.state.rounds_done)
                    self._check(event, found)
                    self.state.forget(event.round - _REMEMBERED)
                    return found
        return None

    def _check(self, event: RoundFinished, found: RoundState) -> None:
        number, models = event.round, self.state.models
        weights = {site: found.accepted[site].weight for site in event.weights if site in found.accepted}
        if weights.keys() != event.weights.keys() or (weights != event.weights and not event.judged):
            raise DifferenceError(
                JOURNAL, "has other weights than the results", round=number, expected=weights, found=event.weights
            )
        for where, model in ((number, found.started.model), (number + 1, event.model)):
            if where not in models or models[where].model != model:
                told = f"does not agree with itself on the model that enters round {where}"
                raise DifferenceError(
                    JOURNAL, told, round=number, expected=models[where].model if where in models else "", found=model
                )
        if number == self.state.start_round:
            self._check_model(number, found.started.model)
        self._check_model(number + 1, event.model)

    def _check_model(self, number: int, digest: str) -> None:
        folder = self._models.folder(number)
        path = f"models/{folder.name}"
        if not folder.exists():
            if self._may_be_removed(number):
                return
            raise DifferenceError(path, "is missing")
        model = load_model(self._models, number)
        if not model.digest == digest_of_model(model) == digest:
            raise DifferenceError(f"{path}/model.json", "is of another model", expected=digest, found=model.digest)
        for place, entry in model.files():
            try:
                with open_beneath(folder, *place, links=None) as fd:
                    read_checked(fd, entry, lambda _: None, place[-1])
            except ExchangeError as error:
                raise DifferenceError("/".join((path, *place)), f"was changed: {error}") from error

    def _may_be_removed(self, number: int) -> bool:
        """Whether the run keeps only its newest models, and this is none of them."""
        keep = self.state.options.keep_models
        if keep is None or number == self.state.start_round:
            return False
        return number <= self._newest - keep or self._is_alive


def load_model(models: Models, number: int) -> StoredModel:
    """The model that enters a round.

    Raises:
        DifferenceError: its ``model.json`` is not one.
    """
    try:
        return models.load(number)
    except (OSError, *MALFORMED) as error:
        file = f"models/{models.folder(number).name}/model.json"
        raise DifferenceError(file, f"does not describe a model: {error}") from error


def whose(folder: RunFolder, digest: str) -> ResultAccepted | None:
    """The result that a file of the store belongs to, by the digest that is its name."""
    with closing(read_history(folder.journal)) as lines:
        for event, _ in lines:
            if isinstance(event, ResultAccepted) and (
                digest == event.manifest or any(entry.blake3 == digest for entry in event.arrays)
            ):
                return event
    return None
