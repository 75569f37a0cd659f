"""What a workflow is, and what it may ask of the sites, whatever carries its words there."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import structs

from fltui.exchange.layout import array_files
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader
from fltui.job.component import ServerComponent
from fltui.model import Params, ParamsType, grouped
from fltui.run.models import ModelWriter, StoredModel

NO_PARAMS: Mapping[str, Params] = {}

MOST_HELD = 256
"""Answers whose files are open at once while they are aggregated; a process may have 1,024 files open."""

Goal = Literal["max", "min"]

Choose = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Of the sites that are there, by name, those that are asked, in the order in which they get their tasks."""


def everybody(sites: tuple[str, ...]) -> tuple[str, ...]:
    """Choose all."""
    return sites


@dataclass(frozen=True)
class Request:
    """What every chosen site is asked in one round.

    Attributes:
        task_name: e.g. ``train``.
        round: number of the round.
        start_round: of the run.
        total_rounds: of the run.
        sites: who is asked.
        model: what they receive.
        quorum: how many answers the round needs; fewer fail the run.
        timeout: seconds until the round ends with the answers there are; None waits for all that can still come.
        grace: seconds from the moment at which the quorum has answered until the round ends; None waits for all.
        groups: names of the groups of arrays that go along with the model, and come back with an answer.
        sent: what they receive in its place; None for the model itself.
        part: name of the group of the model that this is; empty where it is none.
        meta: JSON values for the scripts.
        site_meta: further ones for the script of each site.
        for_metrics: an answer holds metrics and no arrays.
    """

    task_name: str
    round: int
    start_round: int
    total_rounds: int
    sites: tuple[str, ...]
    model: StoredModel
    quorum: int
    timeout: float | None = None
    grace: float | None = None
    groups: tuple[str, ...] = ()
    sent: StoredModel | None = None
    part: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    site_meta: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    for_metrics: bool = False

    @cached_property
    def _sent(self) -> dict[str, tuple[StoredModel, str]]:
        """The name that each array travels by, to where it is."""
        model = self.sent or self.model
        sent = {name: (model, name) for name in model.entries}
        for group in self.groups:
            stored = self.model.groups[group]
            sent |= {grouped(group, name): (stored, name) for name in stored.entries}
        return sent

    @cached_property
    def entries(self) -> dict[str, ArrayEntry]:
        """What is sent, by the name that it travels by."""
        if not self.groups:
            return (self.sent or self.model).entries
        files = array_files(self._sent)
        return {
            name: structs.replace(stored.entries[own], name=name, file=files[name])
            for name, (stored, own) in self._sent.items()
        }

    @cached_property
    def files(self) -> dict[str, Path]:
        """What is sent: file name to the file it is a copy of."""
        return {
            self.entries[name].file: stored.folder / stored.entries[own].file
            for name, (stored, own) in self._sent.items()
        }

    @cached_property
    def size(self) -> int:
        """Bytes of the files sent to one site."""
        return sum(entry.size for entry in self.entries.values())

    def open(self, name: str) -> NpyReader:
        """The elements of the model's own array, or that of a group, by the name that it travels by."""
        for group in self.groups:
            if name.startswith(start := grouped(group, "")):
                return self.model.groups[group].open(name.removeprefix(start))
        model = self.model if name in self.model.entries or self.sent is None else self.sent
        return model.open(name)


@dataclass(frozen=True)
class Answer:
    """One site's accepted result.

    Attributes:
        site: who.
        params_type: FULL or DIFF.
        weight: of the result in the mean.
        metrics: what the site measured.
        entries: name that an array travels by to its entry.
        arrays: opens the private copy of an array.
    """

    site: str
    params_type: ParamsType
    weight: float
    metrics: Mapping[str, float]
    entries: Mapping[str, ArrayEntry]
    arrays: Arrays

    def open(self, name: str) -> NpyReader:
        """The elements of an array, by the name that it travels by."""
        return self.arrays.open(self.entries[name])


class Arrays(Protocol):
    """Private copies of arrays."""

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""


class Federation(Protocol):
    """The sites of a run and its books, as a workflow sees them."""

    @property
    def seed(self) -> int:
        """What all that is drawn in the run begins from, from 0."""

    @property
    def secret(self) -> int:
        """What noise is drawn from, known to nobody but the server."""

    @property
    def first_round(self) -> int:
        """Number of the workflow's first round, known once it has begun."""

    @property
    def last_metrics(self) -> Mapping[str, float]:
        """Of the last finished round of this workflow; empty before its first."""

    @property
    def best(self) -> Best | None:
        """The best model so far, where the workflow chooses one."""

    def last_counted(self, site: str) -> int | None:
        """The last round in which a result of a site counted."""

    def last_asked(self, site: str) -> int | None:
        """The last round in which a site was asked."""

    async def sites(self, at_least: int, choose: Choose = everybody) -> tuple[str, ...]:
        """The sites that are asked in the next round. While the run is paused this waits: here a round begins.

        In a round that goes on after an interruption those are the sites that were asked before.

        Args:
            at_least: how many have to be there.
            choose: see `Choose`.

        Raises:
            RunFailedError: fewer than `at_least`, and no more will come.
        """

    async def ask(self, request: Request) -> list[Answer]:
        """Ask the sites and collect what they answer, by name of the site.

        Raises:
            RunFailedError: the quorum cannot be had; the sentence names who failed and why.
        """

    def reject(self, request: Request, site: str, reason: str) -> None:
        """Leave out a site whose answer was accepted and turns out to be unfit; call it before the round is finished.

        Args:
            request: the round's.
            site: who.
            reason: one sentence.

        Raises:
            RunFailedError: the quorum cannot be had without it.
        """

    def begin(
        self, params: Params, rounds: range, groups: Mapping[str, Params] = NO_PARAMS
    ) -> tuple[StoredModel, range]:
        """The model to begin with, and the rounds to go through.

        In a new run that is `params`, saved as the model that enters the first round, and all of `rounds`. In a run
        that is resumed it is the model that the last finished round left, and the rounds that are not finished. So it
        is for a workflow that comes after another, which may have ended before its last round: `rounds` are then as
        many, numbered from where that one ended.

        Args:
            params: the initial model; empty where the sites start from their own.
            rounds: all rounds of the workflow.
            groups: groups of arrays that belong to the initial model.

        Raises:
            RunFailedError: the model of the last finished round is damaged.
        """

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """Write the model that enters round `round_number`."""

    def scratch(self, name: str) -> Path:
        """An empty folder of that name for arrays that are needed until the round is finished."""

    def scratch_model(self, name: str, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """Write a model that is needed until the round is finished."""

    def spend(self, round_number: int, epsilon: float, delta: float) -> None:
        """Tell how much privacy the run has spent once a round is finished; call it before that."""

    def choose_best(self, best: Best) -> None:
        """Let ``models/best`` lead to the model that entered a round; call it before that round is finished."""

    def note(self, round_number: int, text: str) -> None:
        """Tell people of something that a round did not fail of: one sentence."""

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        """Close the books of a round and give the model that leaves it: the new one that was written, or that which
        entered it where none was.

        Args:
            request: the round's.
            answers: those that count, each with the weight it had.
            update_norm: Euclidean norm of the model's change.
            metrics: of the round.
        """

    def finished_stages(self) -> int:
        """How many of the job's workflows are over."""

    def finish_stage(self, workflow: str, reason: str) -> None:
        """A workflow of the job is over, and another follows; `reason` if it ended early."""

    def measured(self, rounds: range) -> list[Measured]:
        """What the answers of finished rounds have measured, in their order."""

    def add_table(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """Write a table of what was found as ``<name>.csv`` into the run folder, its head first."""


@dataclass(frozen=True)
class Best:
    """A model that is better than all before.

    Attributes:
        round: the round that it entered; its metrics are those of that round.
        metric: by which it is better.
        value: of the metric.
        goal: whether more of it is better or less.
    """

    round: int
    metric: str
    value: float
    goal: Goal = "max"


@dataclass(frozen=True)
class Measured:
    """What a round has measured.

    Attributes:
        part: of its request.
        metrics: of each site whose answer counts.
    """

    part: str
    metrics: Mapping[str, Mapping[str, float]]


class Workflow(ServerComponent, abc.ABC):
    """A workflow: a dataclass whose `run` is the whole run.

    A run that was interrupted is resumed by calling `run` again, in another process: what a workflow needs from round
    to round is therefore in the models, and `Federation.begin` says where to go on.
    """

    @property
    def title(self) -> str:
        """Its name for people."""
        return type(self).__name__

    @property
    @abc.abstractmethod
    def rounds(self) -> range:
        """The rounds it will go through."""

    @abc.abstractmethod
    async def run(self, federation: Federation) -> str:
        """Go through the run.

        Returns:
            Why it ended before its last round, in one sentence; empty if it did not.

        Raises:
            RunFailedError: it cannot go on.
        """
