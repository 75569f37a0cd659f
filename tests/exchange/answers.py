"""Answers of a site, and what the server makes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fltui.exchange.collect import (
    Spec,
    read_result,
)
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import ArrayEntry, Result, digest, encode
from fltui.exchange.publish import put_arrays, put_document
from fltui.exchange.store import store_arrays
from tests.exchange.manifests import TASK_ID, result, task

DIGEST = digest(encode(task()))
MODEL = {"w": np.arange(4.0, dtype=np.float32), "b": np.array([0.5, -1.5])}
SPEC: Spec = {name: (array.dtype.str, array.shape) for name, array in MODEL.items()}


def answer(site: SiteFolder, params: dict[str, NDArray[Any]], /, **changes: Any) -> Result:
    """Publish a result as a site does, with some fields of the manifest changed."""
    entries = put_arrays(params, site.results / TASK_ID, site.staging("site"))
    return announce(site, entries, **changes)


def announce(site: SiteFolder, entries: list[ArrayEntry], /, **changes: Any) -> Result:
    """Publish the manifest of a result alone."""
    found = msgspec.structs.replace(result(*entries, in_reply_to=DIGEST), **changes)
    put_document(found, site.results / f"{TASK_ID}.json", site.staging("site"))
    return found


def look(site: SiteFolder, expected: Spec | None = SPEC) -> Result:
    """What the server makes of the manifest."""
    return read_result(site, task(), DIGEST, expected)[0]


def take(site: SiteFolder, store: Path, expected: Spec | None = SPEC) -> Result:
    """What the server makes of the whole result."""
    found = look(site, expected)
    store_arrays(site, found, store)
    return found


def as_symlink(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def as_hard_link(path: Path) -> None:
    os.link(path, path.with_suffix(".second"))


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DISGUISES = [as_symlink, as_hard_link, as_fifo, as_folder]
