"""From the events of a run to what trackers are told: pure, and the same for every tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fltui.errors import BadInputError
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelChosen,
    ModelSaved,
    PrivacySpent,
    ResultAccepted,
    ResultRejected,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunResumed,
    RunStarted,
)
from fltui.tracking.records import Begun, Ended, GoneOn, Kind, ModelStored, Point, Record, Series

MOST_NAMES = 1000
"""Names of metrics by round that are told, and as many of logged ones: sites may send any number of them."""


class Stream:
    """Folds events into records. A round's metrics are told once the round is finished, as in ``metrics.csv``: what an
    interrupted attempt brought never counted.

    Args:
        parameters: what to tell of the run at its beginning.

    Attributes:
        left_out: how many values were of more names than `MOST_NAMES`.
    """

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        self.left_out = 0
        self._parameters = dict(parameters or {})
        self._open: dict[int, dict[str, ResultAccepted]] = {}
        self._aside: set[int] = set()
        self._names: dict[Kind, set[str]] = {Kind.METRIC: set(), Kind.LOGGED: set()}
        self._logged: dict[Series, int] = {}
        self._best: int | None = None
        self._next: int | None = None
        self._digest = ""

    def take(self, event: AnyEvent) -> Iterator[Record]:
        """The records that follow from the next event.

        Raises:
            BadInputError: it cannot come here.
        """
        match event:
            case RunStarted():
                yield Begun(event.time, event.run, event.job, self._parameters)
            case RunResumed() if event.restarted:
                yield GoneOn()
            case RoundStarted():
                self._open[event.round] = {}
                (self._aside.add if event.part else self._aside.discard)(event.round)
            case ResultAccepted():
                self._open.setdefault(event.round, {})[event.site] = event
            case ResultRejected():
                self._open.get(event.round, {}).pop(event.site, None)
            case RoundFinished():
                yield from self._round(event)
            case MetricLogged():
                yield from self._value(event)
            case PrivacySpent():
                yield Point(event.seq, event.time, Series(Kind.ROUND, "epsilon"), event.round, event.epsilon)
            case ModelSaved():
                yield ModelStored(event.seq, event.time, event.round)
            case ModelChosen():
                self._best = event.round
            case RunFinished():
                final = self._next if event.final_model else None
                yield Ended(
                    event.seq,
                    event.time,
                    event.state,
                    event.reason,
                    event.rounds,
                    event.seconds,
                    final,
                    self._best,
                    self._digest if event.final_model else "",
                )

    def _round(self, event: RoundFinished) -> Iterator[Record]:
        accepted = self._open.pop(event.round, {})
        self._next, self._digest = event.round + 1, event.model
        if event.round in self._aside:
            self._aside.discard(event.round)
            return
        for site in sorted(event.weights):
            if site not in accepted:
                raise BadInputError(
                    f"the journal is not of one run: round {event.round} has a weight of site {site!r}, of which no "
                    "result was accepted"
                )
            found = accepted[site]
            yield from self._metrics(event.seq, found.time, site, event.round, found.metrics)
        yield from self._metrics(event.seq, event.time, "", event.round, event.metrics)
        measured = {
            "seconds": event.seconds,
            "update_norm": event.update_norm,
            "answered": float(len(event.weights)),
            "bytes_out": float(event.bytes_out),
            "bytes_in": float(event.bytes_in),
        }
        for name, value in measured.items():
            yield Point(event.seq, event.time, Series(Kind.ROUND, name), event.round, value)

    def _metrics(self, at: int, time: float, site: str, number: int, metrics: Mapping[str, float]) -> Iterator[Point]:
        for name, value in metrics.items():
            if self._is_told(Kind.METRIC, name):
                yield Point(at, time, Series(Kind.METRIC, name, site), number, value)

    def _value(self, event: MetricLogged) -> Iterator[Point]:
        if not self._is_told(Kind.LOGGED, event.key):
            return
        series = Series(Kind.LOGGED, event.key, event.site)
        before = self._logged.get(series, 0)
        self._logged[series] = before + 1
        yield Point(event.seq, event.time, series, before if event.step is None else event.step, event.value)

    def _is_told(self, kind: Kind, name: str) -> bool:
        names = self._names[kind]
        if name not in names and len(names) >= MOST_NAMES:
            self.left_out += 1
            return False
        names.add(name)
        return True
