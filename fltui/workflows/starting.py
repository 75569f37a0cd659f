"""The model that a workflow begins from, given or read from a file."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fltui.errors import BadInputError, RefusedError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import blocks_of, map_array
from fltui.job.bundle import find
from fltui.model import NUMPY_KEY, Params, as_params
from fltui.run.models import Models

_NO_MODEL = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RefusedError, *MALFORMED)


def initial_model(model: Any, checkpoint: str | os.PathLike[str] | None, where: str) -> Params:
    """The model that a workflow is given, by the names of its parameters.

    Args:
        model: a dict of arrays, one array or a list; None if there is none.
        checkpoint: a file or folder in its place, see `load_checkpoint`.
        where: the workflow, for the sentence.

    Raises:
        BadInputError: both are given, or it is not made of finite numbers.
    """
    if checkpoint is not None:
        if model is not None:
            raise BadInputError(f"{where}: give either model or initial_ckpt, not both")
        model = load_checkpoint(checkpoint, where)
    try:
        params = {} if model is None else as_params(model)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{where}: model: {error}") from error
    for name, array in params.items():
        if not all(np.isfinite(block).all() for block in blocks_of(array)):
            raise BadInputError(f"{where}: model: parameter {name!r} holds NaN or Inf")
    return params


def load_checkpoint(path: str | os.PathLike[str], where: str) -> Params:
    """Read a model: an ``.npz``, an ``.npy`` (which becomes ``numpy_key``), or a folder ``models/...`` of a run.

    Args:
        path: relative ones are looked up beside the job script, then in the current folder.
        where: what asks for it, for the sentence.

    Raises:
        BadInputError: there is none.
    """
    found = find(os.fspath(path))
    if found is None:
        raise BadInputError(
            f"{where}: initial_ckpt {os.fspath(path)!r} does not exist, neither beside the job script nor in the "
            "current folder"
        )
    try:
        params = _folder(found) if found.is_dir() else _file(found)
    except _NO_MODEL as error:
        raise BadInputError(f"{where}: initial_ckpt {found} is no model: {error}") from error
    if not params:
        raise BadInputError(f"{where}: initial_ckpt {found} is no model: it has no arrays")
    return params


def _folder(folder: Path) -> Params:
    """The arrays of a model in a run folder; groups beside them, such as an optimiser's state, stay behind."""
    if not (folder / "model.json").exists():
        raise ValueError("it has no model.json, as the folders below models/ of a run have, such as models/final")
    return {entry.name: map_array(folder / entry.file) for entry in Models.about(folder).arrays}


def _file(path: Path) -> Params:
    if path.suffix == ".npz":
        with zipfile.ZipFile(path):  # else `np.load` takes it for whatever it begins as
            pass
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    return {NUMPY_KEY: map_array(path)}
