"""The models of a run: a folder a round, one ``.npy`` per parameter, ``model.json`` beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import blake3
import msgspec
from msgspec import structs
from numpy.typing import NDArray

from fltui.errors import RunFailedError
from fltui.exchange.durable import sync_file, sync_folder, sync_tree
from fltui.exchange.layout import array_files
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, NpyWriter, file_size, write_array
from fltui.exchange.outage import DISK_FULL
from fltui.model import Params

NO_GROUPS: Mapping[str, list[ArrayEntry]] = {}

GroupName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", max_length=64)]
"""Of a group of arrays: it is a folder's name, as a site's name is."""


class ModelAbout(msgspec.Struct, frozen=True, omit_defaults=True):
    """``model.json``: which round the model enters, its digest, its arrays, and those of each group beside them."""

    round: int
    digest: str
    arrays: list[ArrayEntry]
    groups: dict[GroupName, list[ArrayEntry]] = {}


@dataclass(frozen=True)
class StoredModel:
    """A model on disk.

    Attributes:
        folder: where its files are.
        entries: parameter name to entry, by name.
        digest: see `model_digest`.
        groups: further arrays that belong to it, each group in a folder of its name: what a workflow or an optimiser
            keeps from round to round.
    """

    folder: Path
    entries: dict[str, ArrayEntry]
    digest: str
    groups: Mapping[str, StoredModel] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the files of its arrays, without those of groups."""
        return sum(entry.size for entry in self.entries.values())

    @property
    def whole_size(self) -> int:
        """Bytes of the files of all arrays."""
        return self.size + sum(group.size for group in self.groups.values())

    def files(self) -> Iterator[tuple[tuple[str, ...], ArrayEntry]]:
        """The place of every array below the folder, by the rule and not by what is said of it; groups come last."""
        names = array_files(self.entries)
        for name, entry in self.entries.items():
            yield (names[name],), entry
        for title, group in self.groups.items():
            for place, entry in group.files():
                yield (title, *place), entry

    def open(self, name: str) -> NpyReader:
        """A parameter's elements."""
        entry = self.entries[name]
        return NpyReader(self.folder / entry.file, entry.dtype, entry.shape)


class ModelWriter:
    """Takes a new model, parameter by parameter.

    Attributes:
        stored: what has become of it, once the context of `Models.new` has ended without an error.
    """

    stored: StoredModel

    def __init__(self, folder: Path, names: list[str], *, durable: bool) -> None:
        self._folder = folder
        self._files = array_files(names)
        self._durable = durable
        self.entries: dict[str, ArrayEntry] = {}
        self.groups: dict[str, ModelWriter] = {}

    @contextmanager
    def array(self, name: str, dtype: str, shape: list[int]) -> Iterator[NpyWriter]:
        """Write one parameter; it counts when the context ends without an error."""
        file = self._files[name]
        with NpyWriter(self._folder / file, dtype, shape, durable=self._durable) as out:
            yield out
        if out.size != file_size(dtype, shape):
            raise RunFailedError(
                f"parameter {name!r} was written with {out.size} bytes, expected {file_size(dtype, shape)}"
            )
        self.entries[name] = ArrayEntry(name, file, dtype, list(shape), out.size, out.digest)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write one parameter that is in memory."""
        file = self._files[name]
        self.entries[name] = write_array(self._folder / file, name, array, file=file, durable=self._durable)

    def add_all(self, params: Params, groups: Mapping[str, Params]) -> None:
        """Write parameters and groups that are in memory."""
        for name, array in params.items():
            self.add(name, array)
        for title, arrays in groups.items():
            self.group(title, arrays).add_all(arrays, {})

    def take_over(self, model: StoredModel) -> None:
        """Have the arrays of another model, groups aside: a second name for each file, or a copy where there are none.

        The names given to the writer have to be that model's.
        """
        for name, entry in model.entries.items():
            file = self._files[name]
            try:
                os.link(model.folder / entry.file, self._folder / file)
            except OSError:
                shutil.copyfile(model.folder / entry.file, self._folder / file)
                if self._durable:
                    sync_file(self._folder / file)
            self.entries[name] = structs.replace(entry, file=file)

    def group(self, name: str, names: Iterable[str]) -> ModelWriter:
        """Write a group of arrays, with such names in it."""
        folder = self._folder / name
        folder.mkdir()
        self.groups[name] = ModelWriter(folder, list(names), durable=self._durable)
        return self.groups[name]

    def check_whole(self) -> None:
        """Make sure that all was written that was to be.

        Raises:
            RunFailedError: something was not.
        """
        if lacking := sorted(self._files.keys() - self.entries.keys()):
            raise RunFailedError(f"the new model lacks parameter {lacking[0]!r}, which was announced and not written")
        for group in self.groups.values():
            group.check_whole()

    @property
    def arrays(self) -> list[ArrayEntry]:
        """What was written, by name."""
        return [self.entries[name] for name in sorted(self.entries)]

    def sync_folders(self) -> None:
        """Let the names of what was written survive a power cut."""
        for group in self.groups.values():
            group.sync_folders()
        sync_folder(self._folder)


class Models:
    """The ``models/`` folder of a run."""

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self._durable = durable

    def folder(self, number: int) -> Path:
        """Of the model that enters round `number`."""
        return self.root / f"round-{number:04}"

    @contextmanager
    def new(self, number: int, names: list[str]) -> Iterator[ModelWriter]:
        """Write the model that enters round `number`; it is there when the context has ended without an error."""
        beside = self.root / f".round-{number:04}"
        try:
            beside.mkdir()
        except FileExistsError:
            shutil.rmtree(beside)
            beside.mkdir()
        writer = ModelWriter(beside, names, durable=self._durable)
        yield writer
        writer.check_whole()
        arrays, groups = writer.arrays, {name: writer.groups[name].arrays for name in sorted(writer.groups)}
        about = ModelAbout(number, model_digest(arrays, groups), arrays, groups)
        (beside / "model.json").write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")
        if self._durable:  # before the rename: a folder must not be seen under its name without what is in it
            sync_file(beside / "model.json")
            writer.sync_folders()
        try:
            os.replace(beside, self.folder(number))
        except OSError:  # a folder of another server's has that name
            self.remove(number)
            os.replace(beside, self.folder(number))
        if self._durable:
            sync_folder(self.root)
        writer.stored = _stored(self.folder(number), about)

    def carry(self, model: StoredModel, number: int) -> ModelWriter:
        """Let a stored model, groups and all, be the one that enters round `number`, too."""
        with self.new(number, list(model.entries)) as new:
            new.take_over(model)
            for name, group in model.groups.items():
                new.group(name, group.entries).take_over(group)
        return new

    @staticmethod
    def about(folder: Path) -> ModelAbout:
        """What the ``model.json`` of a folder says.

        Raises:
            OSError, MALFORMED: see `load`.
        """
        return msgspec.json.decode((folder / "model.json").read_bytes(), type=ModelAbout)

    def load(self, number: int) -> StoredModel:
        """The model that enters round `number`.

        Raises:
            OSError: its ``model.json`` cannot be read.
            MALFORMED: it can, and is none; see `fltui.exchange.manifest`.
        """
        folder = self.folder(number)
        return _stored(folder, self.about(folder))

    def leave_to_disk(self, number: int) -> None:
        """Give back the memory in which the system keeps the model that enters round `number`, if it is there.

        What is not on the disk yet stays in memory and begins to be written, so a later call finds it there.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError):
            for path in self.folder(number).rglob("*.npy"):
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def remove(self, number: int) -> None:
        """Remove the model that enters round `number`, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder(number))

    def point(self, pointer: str, number: int) -> Path:
        """Make ``models/<pointer>`` lead to the model that enters round `number`; a copy where there are no links."""
        target, beside = self.root / pointer, self.root / f".{pointer}"
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        try:
            beside.symlink_to(self.folder(number).name, target_is_directory=True)
            os.replace(beside, target)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(self.folder(number), beside)
            if self._durable:
                sync_tree(beside)
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(target)
            os.replace(beside, target)
        if self._durable:
            sync_folder(self.root)
        return target


def model_digest(arrays: Iterable[ArrayEntry], groups: Mapping[str, Iterable[ArrayEntry]] = NO_GROUPS) -> str:
    """BLAKE3 over the names and digests of a model's arrays, then of those of each group, in sorted order.

    Empty without arrays.
    """
    text = _digest_text(arrays)
    text += "".join(f"\n{name}\n{_digest_text(group)}" for name, group in sorted(groups.items()))
    return blake3.blake3(text.encode()).hexdigest() if text else ""


def digest_of_model(model: StoredModel) -> str:
    """What the digest of a model has to be by its entries."""
    return model_digest(model.entries.values(), {name: group.entries.values() for name, group in model.groups.items()})


def _digest_text(arrays: Iterable[ArrayEntry]) -> str:
    return "".join(f"{entry.name}\n{entry.blake3}\n" for entry in sorted(arrays, key=lambda entry: entry.name))


def _stored(folder: Path, about: ModelAbout) -> StoredModel:
    groups = {
        name: StoredModel(folder / name, {entry.name: entry for entry in arrays}, model_digest(arrays))
        for name, arrays in about.groups.items()
    }
    return StoredModel(folder, {entry.name: entry for entry in about.arrays}, about.digest, groups)
