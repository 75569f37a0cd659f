"""The models of a run: a folder a round, one ``.npy`` per parameter, ``model.json`` beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blake3
import msgspec
from numpy.typing import NDArray

from fltui.exchange.durable import sync_file, sync_folder, sync_tree
from fltui.exchange.layout import array_files
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import NpyReader, NpyWriter, write_array
from fltui.exchange.outage import DISK_FULL


class ModelAbout(msgspec.Struct, frozen=True):
    """``model.json``: which round the model enters, its digest and arrays."""

    round: int
    digest: str
    arrays: list[ArrayEntry]


@dataclass(frozen=True)
class StoredModel:
    """A model on disk.

    Attributes:
        folder: where its files are.
        entries: parameter name to entry, by name.
        digest: BLAKE3 over names and digests of all arrays; empty for a model without arrays.
    """

    folder: Path
    entries: dict[str, ArrayEntry]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries.values())

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

    @contextmanager
    def array(self, name: str, dtype: str, shape: list[int]) -> Iterator[NpyWriter]:
        """Write one parameter; it counts when the context ends without an error."""
        file = self._files[name]
        with NpyWriter(self._folder / file, dtype, shape, durable=self._durable) as out:
            yield out
        self.entries[name] = ArrayEntry(name, file, dtype, list(shape), out.size, out.digest)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write one parameter that is in memory."""
        file = self._files[name]
        self.entries[name] = write_array(self._folder / file, name, array, file=file, durable=self._durable)


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
        arrays = [writer.entries[name] for name in sorted(writer.entries)]
        about = ModelAbout(number, model_digest(arrays), arrays)
        (beside / "model.json").write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")
        if self._durable:  # before the rename: a folder must not be seen under its name without what is in it
            sync_file(beside / "model.json")
            sync_folder(beside)
        try:
            os.replace(beside, self.folder(number))
        except OSError:  # a folder of another server's has that name
            self.remove(number)
            os.replace(beside, self.folder(number))
        if self._durable:
            sync_folder(self.root)
        writer.stored = StoredModel(self.folder(number), {entry.name: entry for entry in arrays}, about.digest)

    def load(self, number: int) -> StoredModel:
        """The model that enters round `number`.

        Raises:
            OSError: its ``model.json`` cannot be read.
            MALFORMED: it can, and is none; see `fltui.exchange.manifest`.
        """
        folder = self.folder(number)
        about = msgspec.json.decode((folder / "model.json").read_bytes(), type=ModelAbout)
        return StoredModel(folder, {entry.name: entry for entry in about.arrays}, about.digest)

    def leave_to_disk(self, number: int) -> None:
        """Give back the memory in which the system keeps the model that enters round `number`, if it is there.

        What is not on the disk yet stays in memory and begins to be written, so a later call finds it there.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError):
            for path in self.folder(number).glob("*.npy"):
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
            shutil.copytree(self.folder(number), target, dirs_exist_ok=True)
            if self._durable:
                sync_tree(target)
        if self._durable:
            sync_folder(self.root)
        return target


def model_digest(arrays: list[ArrayEntry]) -> str:
    """BLAKE3 over the names and digests of a model's arrays in sorted order; empty without arrays."""
    if not arrays:
        return ""
    text = "".join(f"{entry.name}\n{entry.blake3}\n" for entry in sorted(arrays, key=lambda entry: entry.name))
    return blake3.blake3(text.encode()).hexdigest()
