"""What a workflow is, and what it may ask of the sites, whatever carries its words there."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader
from fltui.job.component import ServerComponent
from fltui.model import Params, ParamsType
from fltui.run.models import ModelWriter, StoredModel


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


@dataclass(frozen=True)
class Answer:
    """One site's accepted result.

    Attributes:
        site: who.
        params_type: FULL or DIFF.
        weight: of the result in the mean.
        metrics: what the site measured.
        entries: parameter name to array entry.
        arrays: opens the private copy of a parameter.
    """

    site: str
    params_type: ParamsType
    weight: float
    metrics: Mapping[str, float]
    entries: Mapping[str, ArrayEntry]
    arrays: Arrays


class Arrays(Protocol):
    """Private copies of arrays."""

    def open(self, entry: ArrayEntry) -> NpyReader:
        """The elements of one array."""


class Federation(Protocol):
    """The sites of a run and its books, as a workflow sees them."""

    async def sites(self, at_least: int) -> tuple[str, ...]:
        """The sites that can be asked now, by name. While the run is paused this waits: here a round begins.

        Raises:
            RunFailedError: fewer than `at_least`, and no more will come.
        """

    async def ask(self, request: Request) -> list[Answer]:
        """Ask the sites and collect what they answer, by name of the site.

        Raises:
            RunFailedError: the quorum cannot be had; the sentence names who failed and why.
        """

    def begin(self, params: Params, rounds: range) -> tuple[StoredModel, range]:
        """The model to begin with, and the rounds to go through.

        In a new run that is `params`, saved as the model that enters the first round, and all of `rounds`. In a run
        that is resumed it is the model that the last finished round left, and the rounds that are not finished.

        Args:
            params: the initial model; empty where the sites start from their own.
            rounds: all rounds of the run.

        Raises:
            RunFailedError: the model of the last finished round is damaged.
        """

    def new_model(self, round_number: int, names: list[str]) -> AbstractContextManager[ModelWriter]:
        """Write the model that enters round `round_number`."""

    def finish_round(
        self, request: Request, answers: list[Answer], update_norm: float, metrics: dict[str, float]
    ) -> StoredModel:
        """Close the books of a round whose new model is written, and give that model."""


class Workflow(ServerComponent, abc.ABC):
    """A workflow: a dataclass whose `run` is the whole run.

    A run that was interrupted is resumed by calling `run` again, in another process: what a workflow needs from round
    to round is therefore in the models, and `Federation.begin` says where to go on.
    """

    @property
    @abc.abstractmethod
    def rounds(self) -> range:
        """The rounds it will go through."""

    @abc.abstractmethod
    async def run(self, federation: Federation) -> None:
        """Go through the run.

        Raises:
            RunFailedError: it cannot go on.
        """
