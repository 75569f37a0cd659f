"""Going through a run again from what its sites sent: its own workflow, over a federation made of the run folder."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from fltui.errors import ExchangeError
from fltui.exchange.manifest import MANIFEST_LIMIT, Result, decode, digest
from fltui.exchange.npy import open_beneath, read_bytes, read_checked
from fltui.exchange.signing import signature_fault
from fltui.model import NUM_STEPS, Params
from fltui.run.events import ResultAccepted
from fltui.run.folder import RunFolder, empty_folder
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.run.seal import DifferenceError
from fltui.run.state import RoundState
from fltui.server.answers import answer_of
from fltui.server.history import JOURNAL, Rounds, load_model
from fltui.workflows.workflow import MOST_HELD, NO_PARAMS, Answer, Best, Choose, Measured, Request, everybody

_NORM_TOLERANCE = 1e-9
"""Of the update norm, relative: a sum of squares differs in its last bits between processors. Models do not."""


class EndOfRecordError(Exception):
    """The journal has no further finished round."""


class Replay:
    """The `Federation` of a run that is recomputed.

    Args:
        folder: the run.
        rounds: its finished rounds.
        scratch: an empty folder for models; the last two stay.
        check_arrays: compare the kept arrays with their digests, too, where that was not done before.

    Attributes:
        done: rounds recomputed.
        signatures: signatures checked.
    """

    def __init__(self, folder: RunFolder, rounds: Rounds, scratch: Path, *, check_arrays: bool) -> None:
        self.done = 0
        self.signatures = 0
        self._folder = folder
        self._rounds = rounds
        self._models = Models(scratch, durable=False)
        self._check_arrays = check_arrays
        self._round: RoundState | None = None
        self._best: Best | None = None
        self._stage_start = 0

    @property
    def seed(self) -> int:
        """See `Federation.seed`."""
        return self._rounds.state.options.seed

    @property
    def secret(self) -> int:
        """See `Federation.secret`."""
        return int(self._rounds.state.secret or "0", 16)

    @property
    def first_round(self) -> int:
        """See `Federation.first_round`."""
        return self._stage_start

    @property
    def last_metrics(self) -> Mapping[str, float]:
        """See `Federation.last_metrics`."""
        state = self._rounds.state
        return state.metrics if state.next_round > self._stage_start else {}

    @property
    def best(self) -> Best | None:
        """See `Federation.best`."""
        return self._best

    def last_counted(self, site: str) -> int | None:
        """See `Federation.last_counted`."""
        found = self._rounds.state.sites.get(site)
        return found.counted if found else None

    def last_asked(self, site: str) -> int | None:
        """See `Federation.last_asked`."""
        found = self._rounds.state.sites.get(site)
        return found.round if found else None

    async def sites(self, at_least: int, choose: Choose = everybody) -> tuple[str, ...]:  # noqa: ARG002
        """The sites that were asked in the next round: only the run knew who was there. See `Federation.sites`."""
        return tuple((await self._next()).started.sites)

    async def ask(self, request: Request) -> list[Answer]:
        """The results that counted. See `Federation.ask`."""
        found = await self._next()
        started = found.started
        asked = (started.round, started.task_name, started.part, started.sites)
        again = (request.round, request.task_name, request.part, list(request.sites))
        if asked != again:
            raise DifferenceError(
                JOURNAL, "asks for another round than the job", round=started.round, expected=again, found=asked
            )
        if request.model.digest != started.model:
            raise DifferenceError(
                JOURNAL,
                "names another model than the one that the job begins with",
                round=request.round,
                expected=request.model.digest,
                found=started.model,
            )
        held = len(found.accepted) <= MOST_HELD
        return [self._answer(found, site, held=held) for site in sorted(found.accepted)]

    def reject(self, request: Request, site: str, reason: str) -> None:
        """What was rejected is not among the results that counted. See `Federation.reject`."""

    def begin(
        self, params: Params, rounds: range, groups: Mapping[str, Params] = NO_PARAMS
    ) -> tuple[StoredModel, range]:
        """The job's initial model and all rounds, or those that follow. See `Federation.begin`."""
        if self.done:
            start = self._stage_start
            return self._models.load(start), range(start, start + len(rounds))
        self._stage_start = rounds.start
        with self._models.new(rounds.start, list(params)) as new:
            new.add_all(params, groups)
        return self._models.load(rounds.start), rounds

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """See `Federation.new_model`."""
        return self._models.new(round_number, names)

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        """Compare what was recomputed with what the run has. See `Federation.finish_round`."""
        number, finished = request.round, self._round.finished if self._round else None
        if finished is None:
            raise ValueError("finish_round() follows ask()")
        if not self._models.folder(number + 1).exists():
            self._models.carry(request.model, number + 1)
        model = self._models.load(number + 1)
        if model.digest != finished.model:
            raise self._other_model(number, model, finished.model)
        weights = {answer.site: answer.weight for answer in answers}
        for what, again, known in (("weights", weights, finished.weights), ("metrics", metrics, finished.metrics)):
            if again != known:
                raise DifferenceError(
                    JOURNAL, f"has other {what} than the results", round=number, expected=again, found=known
                )
        if not math.isclose(update_norm, finished.update_norm, rel_tol=_NORM_TOLERANCE):
            told = "has another update norm than the results"
            raise DifferenceError(JOURNAL, told, round=number, expected=update_norm, found=finished.update_norm)
        self._models.remove(number - 1)
        shutil.rmtree(self._models.root / "scratch", ignore_errors=True)
        self._round = None
        self.done += 1
        return model

    def scratch(self, name: str) -> Path:
        """See `Federation.scratch`."""
        return empty_folder(self._models.root / "scratch" / name)

    def scratch_model(self, name: str, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """See `Federation.scratch_model`."""
        return Models(self.scratch(name), durable=False).new(0, names)

    def spend(self, round_number: int, epsilon: float, delta: float) -> None:
        """It was told then. See `Federation.spend`."""

    def choose_best(self, best: Best) -> None:
        """See `Federation.choose_best`."""
        self._best = best

    def note(self, round_number: int, text: str) -> None:
        """It was told then. See `Federation.note`."""

    def finished_stages(self) -> int:
        """See `Federation.finished_stages`."""
        return 0

    def finish_stage(self, workflow: str, reason: str) -> None:  # noqa: ARG002
        """See `Federation.finish_stage`."""
        self._stage_start = self._rounds.state.next_round

    def measured(self, rounds: range) -> list[Measured]:  # noqa: ARG002
        """The run has the table that this is for. See `Federation.measured`."""
        return []

    def add_table(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """The run has it. See `Federation.add_table`."""

    async def _next(self) -> RoundState:
        """The round that goes on, or begins."""
        await asyncio.sleep(0)  # the one place where an interrupt can come in
        if self._round is None:
            self._round = self._rounds.next()
        if self._round is None:
            raise EndOfRecordError
        return self._round

    def _other_model(self, number: int, model: StoredModel, digest: str) -> DifferenceError:
        """The first array that differs, where the run still has that model."""
        theirs = Models(self._folder.models, durable=False)
        told = "is not what the results give"
        if theirs.folder(number + 1).exists():
            kept = load_model(theirs, number + 1)
            for name, entry in model.entries.items():
                there = kept.entries.get(name)
                if there is None or there.blake3 != entry.blake3:
                    file = f"models/{kept.folder.name}/{entry.file}"
                    found = there.blake3 if there else ""
                    return DifferenceError(file, told, round=number, expected=entry.blake3, found=found)
        told = "names a model that the results do not give"
        return DifferenceError(JOURNAL, told, round=number, expected=model.digest, found=digest)

    def _answer(self, found: RoundState, site: str, *, held: bool) -> Answer:
        event = found.accepted[site]
        if not event.manifest:
            told = "counts a result without its manifest, so nothing shows that its site has sent it"
            raise DifferenceError(JOURNAL, told, round=event.round, site=site)
        self._check_manifest(event, found.published.get(site, ""))
        for entry in event.arrays:
            file = f"{entry.blake3}.npy"
            try:
                with open_beneath(self._folder.store, file, links=None) as fd:
                    if self._check_arrays:
                        read_checked(fd, entry, lambda _: None, file)
            except ExchangeError as error:
                told = f"is not parameter {entry.name!r} of the result: {error}"
                raise DifferenceError(f"store/{file}", told, round=event.round, site=site) from error
        return answer_of(event, self._folder.store, held=held)

    def _check_manifest(self, event: ResultAccepted, asked: str) -> None:
        """Compare a result's manifest with its event, with the task it answers and with its signature."""
        file = f"store/{event.manifest}.json"

        def differs(told: str, expected: object = "", found: object = "") -> DifferenceError:
            return DifferenceError(file, told, round=event.round, site=event.site, expected=expected, found=found)

        try:
            with open_beneath(self._folder.store, f"{event.manifest}.json", links=None) as fd:
                data = read_bytes(fd, MANIFEST_LIMIT, file)
            if (found := digest(data)) != event.manifest:
                raise differs("is not the manifest of the result", event.manifest, found)
            result = decode(data, Result, file)
        except ExchangeError as error:
            raise differs(f"is not the manifest of the result: {error}") from error
        weight = float(result.meta.get(NUM_STEPS, 1))
        for what, there, known in (
            ("run", result.run, self._rounds.state.run),
            ("task", result.task_id, event.task_id),
            ("task's digest", result.in_reply_to, asked),
            ("site", result.site, event.site),
            ("round", result.round, event.round),
            ("kind of parameters", result.params_type, event.params_type),
            ("weight", weight, event.weight),
            ("metrics", result.metrics, event.metrics),
            ("arrays", result.arrays, event.arrays),
        ):
            if there != known:
                raise differs(f"has another {what} than the journal", known, there)
        self._check_signature(event, data, is_signed=isinstance(result.signature, str))

    def _check_signature(self, event: ResultAccepted, manifest: bytes, *, is_signed: bool) -> None:
        expected = self._rounds.keys.get(event.site, "") if is_signed else ""
        if event.signed_by != expected or (self._rounds.demanded and not expected):
            raise DifferenceError(
                JOURNAL,
                "counts a result that is not signed with the key of its site",
                round=event.round,
                site=event.site,
                expected=expected,
                found=event.signed_by,
            )
        if not expected:
            return
        if fault := signature_fault(manifest, expected):
            raise DifferenceError(f"store/{event.manifest}.json", fault, round=event.round, site=event.site)
        self.signatures += 1
