"""A run as TensorBoard's event files: ``DIR/<run>`` for the model as a whole, ``DIR/<run>/sites/<site>`` beside it.

TensorBoard draws runs of one name in one plot, so a metric of the model and of every site share one.

Its scalars are float32. Beside each, the same record has the float64 under ``exact/<tag>``: its readers return it, its
pages do not show it. (Scalars of float64 would be drawn by some of its loaders, and left out by the one that is used
by default.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from fltui.errors import ExchangeError
from fltui.exchange.layout import array_files, is_site
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import NpyReader
from fltui.exchange.visible import visible
from fltui.run.folder import RunFolder
from fltui.run.models import Models
from fltui.tracking.errors import TrackingError
from fltui.tracking.event_file import ContinuedFile
from fltui.tracking.histogram import histogram
from fltui.tracking.names import beside, fitting, marked
from fltui.tracking.records import Begun, Ended, Kind, ModelChoice, ModelStored, Point, Record, Series

EXACT = "exact/"
_RESERVED = ("logged/", "round/", "run/", EXACT)
_HEAD = 12
_FOOT = 4
_LONGEST = 1 << 26
"""Bytes of a record that is looked at."""


class TensorBoardWriter:
    """Writes the event files of one run.

    Args:
        target: what was asked for, for people.
        root: the folder of all runs, which ``tensorboard --logdir`` is given.
        folder: the run.
        models: of which models there are histograms.
    """

    def __init__(self, target: str, root: Path, folder: RunFolder, models: ModelChoice) -> None:
        self.target = target
        self._root = root / folder.run
        self._folder = folder
        self._choice = models
        self._models = Models(folder.models, durable=False)
        self._files: dict[str, ContinuedFile] = {}
        self._begun = 0.0
        self._tags: dict[Series, str] = {}

    def take(self, record: Record) -> None:
        """See `Writer`."""
        try:
            match record:
                case Begun():
                    self._begun = record.time
                    self._add("", record.time, 0, _text("run/parameters", _table(record.parameters)))
                case Point():
                    self._add(_place(record.series.site), record.time, record.step, self._scalar(record))
                case ModelStored() if self._choice == "all":
                    self._add_model(record.round, record.time)
                case Ended():
                    self._add("", record.time, record.rounds, _text("run/outcome", _outcome(record)))
                    if self._choice == "final" and record.final is not None:
                        self._add_model(record.final, record.time)
        except OSError as error:
            raise self._error(error) from error

    def flush(self) -> None:
        """See `Writer`. A file is open only while it is written: there may be thousands of sites."""
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise self._error(error) from error

    def finish(self) -> None:
        """See `Writer`."""
        try:
            for file in self._files.values():
                file.finish()
        except OSError as error:
            raise self._error(error) from error

    def _scalar(self, point: Point) -> Summary:
        tag = self._tags.get(point.series) or self._tags.setdefault(point.series, tag_of(point.series))
        summary = Summary()
        summary.value.add(tag=tag, simple_value=point.value)
        exact = summary.value.add(tag=EXACT + tag)
        exact.metadata.plugin_data.plugin_name = "fltui"
        exact.metadata.data_class = DATA_CLASS_TENSOR
        exact.tensor.dtype = DT_DOUBLE
        exact.tensor.tensor_shape.SetInParent()
        exact.tensor.tensor_content = struct.pack("<d", point.value)
        return summary

    def _add_model(self, number: int, time: float) -> None:
        """Histograms of a model's arrays; where the run has removed it, those that stand in the file stay."""
        file = self._file("models")
        try:
            model = self._models.load(number)
            for name, file_name in array_files(model.entries).items():
                entry = model.entries[name]
                with NpyReader(model.folder / file_name, entry.dtype, entry.shape) as array:
                    rows = histogram(array)
                if rows.size:
                    self._add("models", time, number, _histogram(visible(name), rows.tolist()))
        except FileNotFoundError:
            while size := _size_of_next(file, number):
                file.keep(size)
        except (ExchangeError, *MALFORMED) as error:
            raise TrackingError(
                f"{self.target}: model {self._models.folder(number)} cannot be read: {error}"
            ) from error

    def _add(self, place: str, time: float, step: int, summary: Summary) -> None:
        self._file(place).add(_framed(Event(wall_time=time, step=step, summary=summary)))

    def _file(self, place: str) -> ContinuedFile:
        """The file of one of TensorBoard's runs; it has one folder each, and one file in it."""
        if place not in self._files:
            name = f"events.out.tfevents.{int(self._begun):010}.fltui"
            self._files[place] = file = ContinuedFile(self._root / place / name)
            file.add(_framed(Event(wall_time=self._begun, file_version="brain.Event:2")))
        return self._files[place]

    def _error(self, error: OSError) -> TrackingError:
        return TrackingError(f"{self.target} cannot be written: {error.strerror} ({error.filename or self._root})")


def _place(site: str) -> str:
    """The folder of a site's series, below that of the run, whatever a journal calls a site."""
    return f"sites/{site if is_site(site) else marked(site, 'site')}" if site else ""


def tag_of(series: Series) -> str:
    """The tag of a series: its name where that can be."""
    name = fitting(series.name, visible)
    return beside(name, _RESERVED, "metric/") if series.kind is Kind.METRIC else f"{series.kind}/{name}"


def _framed(event: Event) -> bytes:
    """A record: length, its checksum, content, its checksum."""
    data: bytes = event.SerializeToString(deterministic=True)
    head = struct.pack("<Q", len(data))
    return b"".join([head, struct.pack("<I", masked_crc32c(head)), data, struct.pack("<I", masked_crc32c(data))])


def _size_of_next(file: ContinuedFile, step: int) -> int:
    """Bytes of the file's next record, if it is whole and of a step; else 0."""
    head = file.peek(_HEAD)
    if len(head) < _HEAD or masked_crc32c(head[:8]) != struct.unpack("<I", head[8:])[0]:
        return 0
    size: int = struct.unpack("<Q", head[:8])[0]
    data = file.peek(size + _FOOT, _HEAD) if size <= _LONGEST else b""
    if len(data) < size + _FOOT or masked_crc32c(data[:size]) != struct.unpack("<I", data[size:])[0]:
        return 0
    return _HEAD + size + _FOOT if Event.FromString(data[:size]).step == step else 0


def _text(tag: str, text: str) -> Summary:
    summary = Summary()
    value = summary.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = "text"
    value.metadata.data_class = DATA_CLASS_TENSOR
    value.tensor.dtype = DT_STRING
    value.tensor.tensor_shape.SetInParent()
    value.tensor.string_val.append(text.encode())
    return summary


def _histogram(tag: str, rows: list[list[float]]) -> Summary:
    summary = Summary()
    value = summary.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = "histograms"
    value.metadata.data_class = DATA_CLASS_TENSOR
    value.tensor.dtype = DT_DOUBLE
    for size in (len(rows), 3):
        value.tensor.tensor_shape.dim.add(size=size)
    value.tensor.tensor_content = struct.pack(f"<{3 * len(rows)}d", *(edge for row in rows for edge in row))
    return summary


def _table(parameters: Mapping[str, str]) -> str:
    return "\n".join(["| parameter | value |", "|---|---|", *_rows(parameters)])


def _rows(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield "| " + " | ".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in (name, value)) + " |"


def _outcome(record: Ended) -> str:
    told = {
        "state": record.state.value,
        "reason": visible(record.reason),
        "rounds": str(record.rounds),
        "seconds": f"{record.seconds:.3f}",
        "final model": record.digest,
    }
    return "\n".join(["| outcome | |", "|---|---|", *_rows({name: value for name, value in told.items() if value})])
