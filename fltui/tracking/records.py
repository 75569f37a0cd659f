"""What trackers are told, whichever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from fltui.run.events import RunStatus


class Kind(StrEnum):
    """What the values of a series are.

    Attributes:
        METRIC: a metric of a round, as in ``metrics.csv``: of a site, or of the model as a whole.
        LOGGED: what a site's script logged within its rounds.
        ROUND: what the server measured of a round.
    """

    METRIC = "metric"
    LOGGED = "logged"
    ROUND = "round"


class Series(NamedTuple):
    """Values that belong in one line of a plot; an empty `site` is the model as a whole."""

    kind: Kind
    name: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One value.

    Attributes:
        at: number of the event that tells it.
        time: of the event that tells of the value, seconds since the epoch.
        step: number of the round; for what a script logged, its own step, or how many it had logged before.
    """

    at: int
    time: float
    series: Series
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Begun:
    """The run begins; `parameters` are in the order in which people read them."""

    time: float
    run: str
    job: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GoneOn:
    """The run goes on after it had ended."""


@dataclass(frozen=True, slots=True)
class ModelStored:
    """The model that enters round `round` is on disk, or was until the run kept newer ones."""

    at: int
    time: float
    round: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has ended.

    Attributes:
        rounds: how many rounds were finished.
        final: number of the round that the final model would enter; None without one.
        best: the same of the best model, where the run chose one.
        digest: of the final model.
    """

    at: int
    time: float
    state: RunStatus
    reason: str
    rounds: int
    seconds: float
    final: int | None
    best: int | None
    digest: str


Record = Point | Begun | GoneOn | ModelStored | Ended

ModelChoice = Literal["none", "final", "all"]
"""Which models are tracked; ``final`` is the final and the best one."""


class Writer(Protocol):
    """One tracker. Telling it the same records again changes nothing.

    Attributes:
        target: what it is, for people.
    """

    target: str

    def take(self, record: Record) -> None:
        """Tell it a record; it may keep it back until `flush`.

        Raises:
            TrackingError: it cannot be told.
        """

    def flush(self) -> None:
        """Let the tracker have all that was told.

        Raises:
            TrackingError: it cannot be told.
        """

    def finish(self) -> None:
        """All that the run has told so far was told: what lies beyond it is of an earlier attempt.

        Raises:
            TrackingError: it cannot be told.
        """
