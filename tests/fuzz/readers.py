"""The readers of foreign bytes as functions of bytes, for hypothesis and for atheris."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import blake3
import msgspec
import numpy as np

from fltui.errors import ExchangeError
from fltui.exchange.collect import read_result, read_status
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import (
    ArrayEntry,
    ExchangeAbout,
    Result,
    Status,
    decode,
    decode_manifest,
    digest,
    encode,
)
from fltui.exchange.npy import CHUNK, file_size, open_beneath, read_array
from fltui.exchange.publish import open_site, put_arrays
from fltui.exchange.store import store_arrays
from fltui.exchange.visible import visible
from tests.exchange.manifests import TASK_ID, result, task

FOR_JSON = 40 << 20
"""Bytes of memory that a manifest may take while it is read: so much for the worst megabyte of JSON."""

FOR_ARRAYS = 2 * CHUNK
"""Bytes of memory that an array may take while it is read, whatever it claims, beside the array itself."""


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """Make sure that what is done allocates so many bytes at most.

    Raises:
        AssertionError: it allocated more.
    """
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak > most:
        raise AssertionError(f"{peak} bytes were allocated, {most} are the most")


def memory_for(data: bytes) -> int:
    """Bytes of memory that a document of some bytes may take."""
    return min(FOR_JSON, (1 << 16) + 150 * len(data))


def read_document(data: bytes) -> list[msgspec.Struct]:
    """What bytes are as a manifest and as the other documents; nothing but the product's own refusals."""
    found: list[msgspec.Struct] = []
    reads: list[Callable[[], msgspec.Struct]] = [
        lambda: decode_manifest(data, "m.json"),
        lambda: decode(data, Result, "m.json"),
        lambda: decode(data, Status, "status.json"),
        lambda: decode(data, ExchangeAbout, "exchange.json"),
    ]
    for read in reads:
        try:
            found.append(read())
        except ExchangeError as error:
            text = str(error)
            assert visible(text) == text, text
            assert len(text) < 1000, text
    return found


class Intake:
    """A site's folder and a private store, into which anything is put and looked at as a server does.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.site = SiteFolder(folder / "site-1", "site-1")
        self.store = folder / "store"
        self.store.mkdir()
        for side in ("server", "site"):
            open_site(self.site, side)
        (self.site.results / TASK_ID).mkdir()
        self._array = self.site.results / TASK_ID / "w.npy"

    def manifest(self, data: bytes) -> Result | None:
        """A result of these bytes, if the server takes it."""
        (self.site.results / f"{TASK_ID}.json").write_bytes(data)
        self.site.status.write_bytes(data)
        read_status(self.site)
        with suppress(ExchangeError):
            found, _ = read_result(self.site, task(), digest(encode(task())), None)
            with suppress(ExchangeError):
                store_arrays(self.site, found, self.store)
            return found
        return None

    def array(self, data: bytes, entry: ArrayEntry, *, honest: bool = True) -> bytes | None:
        """The elements of an array of these bytes, if its reader takes it; an honest manifest has its true digest."""
        self._array.write_bytes(data)
        if honest:
            entry = msgspec.structs.replace(entry, blake3=blake3.blake3(data).hexdigest())
        with suppress(ExchangeError):
            claimed = file_size(entry.dtype, entry.shape)
            if claimed != entry.size:
                return None  # a manifest that says so is refused before
            sent = result(msgspec.structs.replace(entry, name="w", file="w.npy"))
            with bounded(FOR_ARRAYS):
                store_arrays(self.site, sent, self.store)
            with bounded(FOR_ARRAYS + len(data)), open_beneath(self.site.root, "results", TASK_ID, "w.npy") as fd:
                return read_array(fd, entry, "w.npy").tobytes()
        return None


def good_manifest(folder: Path) -> bytes:
    """A whole result of one small array."""
    folder.mkdir(exist_ok=True)
    entries = put_arrays({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}, folder / TASK_ID, folder)
    return encode(msgspec.structs.replace(result(*entries), in_reply_to=digest(encode(task()))))
