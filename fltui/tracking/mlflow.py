"""A run as a run of MLflow, found again by its tag ``fltui.run``: metrics, parameters, tags, models as artifacts."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

from fltui import __version__
from fltui.errors import ExchangeError
from fltui.exchange.layout import array_files
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.visible import visible
from fltui.run import events
from fltui.run.folder import RunFolder
from fltui.run.models import Models
from fltui.tracking.errors import TrackingError
from fltui.tracking.metric_keys import LONGEST_KEY, MetricKeys, parameter_key
from fltui.tracking.records import Begun, Ended, GoneOn, ModelChoice, ModelStored, Point, Record, Series

_BATCH = 500
"""Values of one request; MLflow takes 1,000, of at most a megabyte."""

_PARAMETERS = 100
_LONGEST_TAG = 2000
_LONGEST_SENTENCE = 400

_TOLD = "fltui.told"
"""Tag: number of the last event of which values were told, and how many of them."""

_MODELS = "fltui.models"
"""Tag: number of the last event whose model was told."""

_STATUS = {
    events.RunStatus.COMPLETED: RunStatus.FINISHED,
    events.RunStatus.FAILED: RunStatus.FAILED,
    events.RunStatus.ABORTED: RunStatus.KILLED,
}


class MLflowWriter:
    """Writes one run.

    Args:
        target: what was asked for, for people.
        uri: of the store or server, as MLflow has it.
        folder: the run.
        models: which models become artifacts.
        experiment: name of the experiment; empty for that of the job.
        artifacts: where artifacts of a new experiment go, a URI; None leaves it to the store.
    """

    def __init__(
        self,
        target: str,
        uri: str,
        folder: RunFolder,
        models: ModelChoice,
        experiment: str = "",
        artifacts: str | None = None,
    ) -> None:
        self.target = target
        self._folder = folder
        self._choice = models
        self._experiment = experiment
        self._artifacts = artifacts
        self._models = Models(folder.models, durable=False)
        self._run = ""
        self._points: list[tuple[Point, Progress]] = []
        self._tags: dict[str, str] = {}
        self._status: tuple[int, int | None] | None = None
        self._wanted: dict[str, ModelStored] = {}
        self._seen = self._told = Progress()
        self._known = _Known()
        self._keys = MetricKeys()
        self._models_told = -1
        self._digests: dict[str, str] = {}
        with self._sentence():
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def take(self, record: Record) -> None:
        """See `Writer`."""
        match record:
            case Begun():
                with self._sentence():
                    self._begin(record)
            case Point():
                self._name(record.series)  # in the order of the run, told or not: so it has the same key every time
                self._seen = self._seen.after(record)
                if self._seen > self._told:
                    self._points.append((record, self._seen))
            case ModelStored() if self._choice == "all" and record.at > self._models_told:
                self._wanted[f"round-{record.round:04}"] = record
            case GoneOn():
                self._status = RunStatus.RUNNING, None
                self._tags |= {"fltui.state": events.RunStatus.RUNNING.value, "fltui.reason": ""}
            case Ended():
                self._end(record)

    def flush(self) -> None:
        """See `Writer`."""
        with self._sentence():
            points, self._points = self._points, []
            for start in range(0, len(points), _BATCH):
                self._log(points[start : start + _BATCH])
            for name, record in self._wanted.items():
                self._upload(name, record)
            self._wanted.clear()
            if self._tags:
                self._set(self._tags)
                self._tags = {}
            if self._status is not None:
                self._set_status(*self._status)
                self._status = None

    def finish(self) -> None:
        """See `Writer`."""
        self.flush()

    def _begin(self, record: Begun) -> None:
        experiment = self._experiment_id(self._experiment or record.job)
        found = self._client.search_runs(
            [experiment], f"tags.`fltui.run` = '{record.run}'", ViewType.ACTIVE_ONLY, max_results=1
        )
        if found:
            tags, known = found[0].data.tags, found[0].data.params
            self._told = Progress.of(tags.get(_TOLD, ""))
            self._known = _Known(_BATCH)
            self._models_told = int(told) if (told := tags.get(_MODELS, "")).isdigit() else -1
            self._digests = {name: tags.get(f"fltui.model.{name}", "") for name in ("final", "best")}
            self._run = found[0].info.run_id
        else:
            tags = {"fltui.run": record.run, "mlflow.source.name": record.job, "mlflow.source.type": "JOB"}
            made = self._client.create_run(experiment, int(record.time * 1000), tags, record.run)
            self._run, known = made.info.run_id, {}
        self._tags["fltui.version"] = __version__
        self._tags.setdefault("fltui.state", events.RunStatus.RUNNING.value)
        params = {parameter_key(name): value for name, value in record.parameters.items()}
        lacking = [Param(name, value) for name, value in params.items() if name not in known]
        for start in range(0, len(lacking), _PARAMETERS):
            self._client.log_batch(self._run, params=lacking[start : start + _PARAMETERS], synchronous=True)

    def _experiment_id(self, name: str) -> str:
        for _ in range(2):
            if found := self._client.get_experiment_by_name(name):
                if found.lifecycle_stage != "active":
                    raise TrackingError(
                        f"{self.target}: experiment {name!r} was deleted there; restore it, or name another one with "
                        "--experiment"
                    )
                return str(found.experiment_id)
            with contextlib.suppress(MlflowException):  # somebody else makes it at the same time
                return str(self._client.create_experiment(name, self._artifacts))
        return str(self._client.create_experiment(name, self._artifacts))

    def _log(self, points: list[tuple[Point, Progress]]) -> None:
        metrics = []
        for point, _ in points:
            key, _ = self._keys.of(point.series)
            metric = Metric(key, point.value, int(point.time * 1000), point.step)
            if not self._is_there(metric):
                metrics.append(metric)
        self._told = points[-1][1]
        self._client.log_batch(self._run, metrics, tags=[RunTag(_TOLD, self._told.text)], synchronous=True)

    def _name(self, series: Series) -> None:
        """Note what a site called a series whose key is another one."""
        key, changed = self._keys.of(series)
        if changed:
            self._tags[_name_tag(key)] = visible("/".join(filter(None, (series.site, series.name))))

    def _is_there(self, metric: Metric) -> bool:
        """Whether a process that was killed before it could say so has told this value."""
        if not self._known.left:
            return False
        self._known.left -= 1
        if metric.key not in self._known.values:
            history = self._client.get_metric_history(self._run, metric.key)
            self._known.values[metric.key] = Counter(map(_identity, history))
        values, found = self._known.values[metric.key], _identity(metric)
        there = values[found] > 0
        values[found] -= there
        if not self._known.left:
            self._known.values.clear()
        return there

    def _upload(self, name: str, record: ModelStored) -> None:
        """Let a model be an artifact. One that the run has removed meanwhile is left out."""
        folder = self._models.folder(record.round)
        try:
            model = self._models.load(record.round)
            if self._digests.get(name) == model.digest:
                return
            files = array_files(model.entries)
            for file in [*files.values(), "model.json"]:
                self._client.log_artifact(self._run, str(folder / file), f"models/{name}")
        except FileNotFoundError:
            return
        except (ExchangeError, *MALFORMED) as error:
            raise TrackingError(f"{self.target}: model {folder} cannot be read: {error}") from error
        if name in ("final", "best"):
            self._digests[name] = model.digest
            self._set({f"fltui.model.{name}": model.digest})
        else:
            self._models_told = record.at
            self._set({_MODELS: str(record.at)})

    def _end(self, record: Ended) -> None:
        self._status = _STATUS[record.state], int(record.time * 1000)
        self._tags |= {
            "fltui.state": record.state.value,
            "fltui.reason": visible(record.reason)[:_LONGEST_TAG],
            "fltui.rounds": str(record.rounds),
            "fltui.seconds": f"{record.seconds:.3f}",
            "fltui.model": record.digest,
        }
        if self._choice != "none":
            for name, number in (("final", record.final), ("best", record.best)):
                if number is not None:
                    self._wanted[name] = ModelStored(record.at, record.time, number)

    def _set(self, tags: dict[str, str]) -> None:
        found = [RunTag(name, value) for name, value in tags.items()]
        for start in range(0, len(found), _PARAMETERS):
            self._client.log_batch(self._run, tags=found[start : start + _PARAMETERS], synchronous=True)

    def _set_status(self, status: int, end: int | None) -> None:
        text = RunStatus.to_string(status)
        if end is None:
            self._client.update_run(self._run, text)
        else:
            self._client.set_terminated(self._run, text, end)

    @contextmanager
    def _sentence(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, OSError) as error:
            told = visible(" ".join(str(error).split()))
            told = told if len(told) <= _LONGEST_SENTENCE else f"{told[:_LONGEST_SENTENCE]}…"
            raise TrackingError(f"{self.target}: {told}") from error


class Progress(NamedTuple):
    """Up to where a run is told: the number of an event, and how many of its values.

    Of two the greater one is further on.
    """

    at: int = -1
    points: int = 0

    @classmethod
    def of(cls, text: str) -> Progress:
        """What a tag says; nothing was told where it says nothing."""
        found = re.fullmatch(r"(\d+):(\d+)", text)
        return cls(int(found[1]), int(found[2])) if found else cls()

    @property
    def text(self) -> str:
        """For the tag."""
        return f"{self.at}:{self.points}"

    def after(self, point: Point) -> Progress:
        """With the next value of the run."""
        return Progress(point.at, self.points + 1 if point.at == self.at else 1)


class _Known:
    """Values that may be there though no tag says so: those that a killed process sent last.

    Attributes:
        left: how many of the next values may be.
        values: what is there, by key.
    """

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self.values: dict[str, Counter[tuple[int, int, str]]] = {}


def _identity(metric: Metric) -> tuple[int, int, str]:
    return metric.step, metric.timestamp, repr(float(metric.value))


def _name_tag(key: str) -> str:
    return f"fltui.name.{key}"[:LONGEST_KEY]
