"""A federation in one room: its sites are functions, its models real files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.errors import RunFailedError
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, write_array
from fltui.model import Params, ParamsType
from fltui.run.folder import empty_folder
from fltui.run.models import Models, ModelWriter, StoredModel
from fltui.workflows.workflow import (
    NO_PARAMS,
    Answer,
    Best,
    Choose,
    Measured,
    Request,
    Workflow,
    everybody,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Reply:
    """What a site answers to a model."""

    params: Params
    weight: float = 1.0
    metrics: dict[str, float] = field(default_factory=dict)
    params_type: ParamsType = ParamsType.FULL


Site = Callable[[int, Params], Reply | None]
"""Round and arrays received, by the names that they travel by, to reply; None for none."""


class StoreFolder:
    """Private copies, as the server keeps them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def put(self, name: str, array: Array) -> ArrayEntry:
        beside = self.root / "new"
        entry = write_array(beside, name, array, file="array.npy")
        beside.rename(self.root / f"{entry.blake3}.npy")
        return entry

    def open(self, entry: ArrayEntry) -> NpyReader:
        return NpyReader(self.root / f"{entry.blake3}.npy", entry.dtype, entry.shape)


@dataclass
class Finished:
    """A round that is over."""

    request: Request
    answers: list[Answer]
    update_norm: float
    metrics: dict[str, float]

    @property
    def weights(self) -> dict[str, float]:
        return {answer.site: answer.weight for answer in self.answers}


class Hall:
    """A `Federation`.

    Attributes:
        stop_before: the round that does not begin any more: a run that is interrupted.
        rejected: round, site and reason of every answer that a workflow left out.
    """

    def __init__(self, folder: Path, sites: dict[str, Site], *, seed: int = 0) -> None:
        (folder / "models").mkdir(parents=True)
        self.models = Models(folder / "models", durable=False)
        self.functions = sites
        self.store = StoreFolder(folder / "store")
        self.seed = seed
        self.requests: list[Request] = []
        self.finished: list[Finished] = []
        self.rejected: list[tuple[int, str, str]] = []
        self._answered: set[str] = set()
        self.stop_before: int | None = None
        self.best: Best | None = None
        self.secret = 7
        self.spent: list[tuple[int, float, float]] = []
        self.notes: list[tuple[int, str]] = []
        self.stages: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[object]]] = {}
        self._stage_start = 0

    @property
    def first_round(self) -> int:
        return self._stage_start

    @property
    def last_metrics(self) -> Mapping[str, float]:
        done = [one for one in self.finished if one.request.round >= self._stage_start]
        return done[-1].metrics if done else {}

    def last_counted(self, site: str) -> int | None:
        return max((one.request.round for one in self.finished if site in one.weights), default=None)

    def last_asked(self, site: str) -> int | None:
        return max((one.round for one in self.requests if site in one.sites), default=None)

    async def sites(self, at_least: int, choose: Choose = everybody) -> tuple[str, ...]:
        if len(self.functions) < at_least:
            raise RunFailedError(f"{len(self.functions)} sites, {at_least} needed")
        return choose(tuple(sorted(self.functions)))

    async def ask(self, request: Request) -> list[Answer]:
        if request.round == self.stop_before:
            raise InterruptedError
        self.requests.append(request)
        params = {name: np.load(request.files[entry.file]) for name, entry in request.entries.items()}
        replies = {site: self.functions[site](request.round, dict(params)) for site in sorted(request.sites)}
        self._answered = {site for site, reply in replies.items() if reply is not None}
        return [self.answer(site, reply) for site, reply in replies.items() if reply is not None]

    def reject(self, request: Request, site: str, reason: str) -> None:
        self.rejected.append((request.round, site, reason))
        self._answered.remove(site)
        if len(self._answered) < request.quorum:
            told = f"round {request.round}: {len(self._answered)} sites answered, {request.quorum} needed"
            raise RunFailedError("; ".join([told, *(f"{name}: {why}" for _, name, why in self.rejected)]))

    def answer(self, site: str, reply: Reply) -> Answer:
        entries = {name: self.store.put(name, array) for name, array in reply.params.items()}
        return Answer(site, reply.params_type, reply.weight, reply.metrics, entries, self.store)

    def begin(
        self, params: Params, rounds: range, groups: Mapping[str, Params] = NO_PARAMS
    ) -> tuple[StoredModel, range]:
        if self.finished:
            following = self.finished[-1].request.round + 1
            return self.models.load(following), range(following, self._stage_start + len(rounds))
        self._stage_start = rounds.start
        with self.new_model(rounds.start, sorted(params)) as new:
            new.add_all(params, groups)
        return self.models.load(rounds.start), rounds

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        return self.models.new(round_number, names)

    def scratch(self, name: str) -> Path:
        return empty_folder(self.models.root / "scratch" / name)

    def scratch_model(self, name: str, names: list[str]) -> AbstractContextManager[ModelWriter]:
        return Models(self.scratch(name), durable=False).new(0, names)

    def spend(self, round_number: int, epsilon: float, delta: float) -> None:
        self.spent.append((round_number, epsilon, delta))

    def choose_best(self, best: Best) -> None:
        self.best = best

    def note(self, round_number: int, text: str) -> None:
        self.notes.append((round_number, text))

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        self.finished.append(Finished(request, answers, update_norm, metrics))
        if not self.models.folder(request.round + 1).exists():
            self.models.carry(request.model, request.round + 1)
        return self.models.load(request.round + 1)

    def finished_stages(self) -> int:
        return len(self.stages)

    def finish_stage(self, workflow: str, reason: str) -> None:
        self.stages.append((workflow, reason))
        self._stage_start = self.finished[-1].request.round + 1

    def measured(self, rounds: range) -> list[Measured]:
        return [
            Measured(one.request.part, {answer.site: answer.metrics for answer in one.answers})
            for one in self.finished
            if one.request.round in rounds
        ]

    def add_table(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        self.tables[name] = [list(row) for row in rows]

    def params(self, model: StoredModel) -> Params:
        return {name: np.load(model.folder / entry.file) for name, entry in model.entries.items()}

    def model(self, number: int) -> Params:
        """The model that enters a round."""
        return self.params(self.models.load(number))

    def group(self, number: int, name: str) -> Params:
        """A group of arrays of the model that enters a round."""
        return self.params(self.models.load(number).groups[name])


def adds(step: float, weight: float = 1.0) -> Site:
    """A site that adds `step` to every parameter."""
    return lambda _, params: Reply(
        {name: array + np.asarray(step, array.dtype) for name, array in params.items()}, weight, {"step": step}
    )


async def run(folder: Path, workflow: Workflow, sites: dict[str, Site], *, seed: int = 0) -> Hall:
    """The whole run."""
    hall = Hall(folder / "hall", sites, seed=seed)
    await workflow.run(hall)
    return hall
