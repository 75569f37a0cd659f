"""What a site keeps of a run for itself: arrays, by the round that has made them.

They lie in the site's own folder, so they are where the site goes on from, in whichever process and wherever that was
started. Nobody else reads them, and Syncthing leaves them where they are. They are written as results are: the arrays,
then a manifest with their digests, each renamed into place.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path

import msgspec

from fltui.exchange.layout import HIDDEN, PROTOCOL, SiteFolder, array_files
from fltui.exchange.manifest import MANIFEST_LIMIT, ArrayEntry, decode
from fltui.exchange.npy import open_beneath, read_array, read_bytes
from fltui.exchange.publish import put_arrays, put_document, remove_published
from fltui.model import Params


class _Arrays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of one round's arrays."""

    protocol: int
    arrays: list[ArrayEntry]


def kept_folder(site: SiteFolder) -> Path:
    """Where a site keeps what is its own, unless its script names another place."""
    return site.root / f"{HIDDEN}kept"


class Kept:
    """The arrays of one kind that a site keeps in a run.

    Args:
        folder: where; the folder above it exists.
        staging: for files on their way, on the same file system; `folder` itself if None.
        stem: ``<run>.<kind>``; the names begin with it.
        durable: they survive a power cut.
    """

    def __init__(self, folder: Path, staging: Path | None, stem: str, *, durable: bool) -> None:
        self._folder = folder
        self._staging = staging or folder
        self._stem = stem
        self._durable = durable

    def rounds(self) -> list[int]:
        """The rounds whose arrays are here, in rising order.

        Raises:
            OSError: the folder cannot be made or listed.
        """
        self._folder.mkdir(exist_ok=True)
        names = map(re.compile(rf"{re.escape(self._stem)}\.r(\d{{4,9}})\.json").fullmatch, os.listdir(self._folder))  # noqa: PTH208 - names
        return sorted(int(found[1]) for found in names if found)

    def get(self, number: int) -> Params:
        """The arrays of a round, writable.

        Raises:
            NotYetError, RefusedError: they are not here, or not as they were written.
        """
        name = self._name(number)
        with open_beneath(self._folder, f"{name}.json") as fd:
            data = read_bytes(fd, MANIFEST_LIMIT, f"{name}.json")
        entries = decode(data, _Arrays, f"{name}.json").arrays
        files = array_files([entry.name for entry in entries])
        params: Params = {}
        for entry in entries:
            file = files[entry.name]
            with open_beneath(self._folder, name, file) as fd:
                params[entry.name] = read_array(fd, entry, f"{name}/{file}")
        return params

    def put(self, number: int, params: Params) -> None:
        """Keep the arrays of a round, instead of those that it may have already.

        Raises:
            OSError: they cannot be written; to try again is harmless.
        """
        name = self._name(number)
        remove_published(self._folder, name)
        entries = put_arrays(params, self._folder / name, self._staging, durable=self._durable)
        manifest = _Arrays(PROTOCOL, entries)
        put_document(manifest, self._folder / f"{name}.json", self._staging, durable=self._durable)

    def drop_others(self, numbers: Collection[int]) -> None:
        """Remove the arrays of all other rounds.

        Raises:
            OSError: they cannot be listed or removed.
        """
        for number in self.rounds():
            if number not in numbers:
                remove_published(self._folder, self._name(number))

    def _name(self, number: int) -> str:
        return f"{self._stem}.r{number:04}"


def forget(folder: Path, run: str) -> None:
    """Remove what was kept of a run that nobody will resume, and the folder if that was all.

    Raises:
        OSError: it cannot be listed.
    """
    if folder.is_dir():
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names
            if name.startswith(f"{run}."):
                remove_published(folder, name.removesuffix(".json"))
        with contextlib.suppress(OSError):
            folder.rmdir()
