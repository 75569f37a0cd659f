"""``fltui inspect``: what a file or folder of an exchange or a run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer

from fltui.cli.history import show
from fltui.cli.options import Json, say, say_json
from fltui.errors import BadInputError, ExchangeError, RefusedError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ABOUT, ExchangeFolder, SiteFolder
from fltui.exchange.manifest import MANIFEST_LIMIT, End, ExchangeAbout, Result, Status, Task, decode, decode_manifest
from fltui.exchange.npy import map_array, open_beneath, read_bytes, read_checked
from fltui.exchange.plain import open_plain
from fltui.exchange.sizes import size_text

_SHOWN = 20
_KINDS: dict[str, type[msgspec.Struct]] = {"status.json": Status, ABOUT: ExchangeAbout}


def inspect(
    path: Annotated[Path, typer.Argument(help="An .npy, a manifest, a site's folder, an exchange or a run.")],
    json: Json = False,
) -> None:
    """Say what a file or folder holds.

    Example: fltui inspect exchange/site-0
    """
    if (path / "journal.jsonl").is_file():
        show(str(path), json=json)
        return
    found = _inspect(path)
    if json:
        say_json(found)
        return
    for name, value in found.items():
        _say_value(name, value)


def _say_value(name: str, value: Any) -> None:
    if name == "shape":
        say(f"shape: {' x '.join(map(str, value)) or 'one number'}")
    elif isinstance(value, list):
        say(f"{name}: {len(value)}")
        for item in value:
            say(f"  {_flat(item) if isinstance(item, dict) else item}")
    elif isinstance(value, dict):
        say(f"{name}: {_flat(value)}")
    elif name == "values":
        for line in value.split("\n"):
            say(line)
    else:
        say(f"{name}: {value}")


def _flat(item: dict[str, Any]) -> str:
    return "  ".join(f"{key} {value}" for key, value in item.items())


def _inspect(path: Path) -> dict[str, Any]:
    if path.is_dir():
        if (path / ABOUT).is_file():
            return _inspect_exchange(path)
        if (path / "tasks").is_dir() or (path / "results").is_dir():
            return _inspect_site(SiteFolder(path.absolute(), path.absolute().name))
        raise BadInputError(f"{path} is neither a site's folder nor an exchange nor a run")
    if not path.exists():
        raise BadInputError(f"{path} does not exist")
    if path.suffix == ".npy":
        return _inspect_array(path)
    if path.suffix == ".json":
        return _inspect_document(path)
    raise BadInputError(f"{path} is neither an .npy nor a manifest")


def _inspect_array(path: Path) -> dict[str, Any]:
    try:
        array = map_array(path)
    except RefusedError as error:
        raise BadInputError(str(error)) from error
    found: dict[str, Any] = {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": path.stat().st_size}
    if array.size:
        finite = np.isfinite(array)
        values = array[finite].astype(np.float64)
        found["not_finite"] = int(array.size - finite.sum())
        if values.size:
            found |= {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
    found["values"] = np.array2string(np.asarray(array), threshold=1000, edgeitems=3)
    return found


def _inspect_document(path: Path) -> dict[str, Any]:
    document: msgspec.Struct
    try:
        data = _read(path)
        if path.name in _KINDS:
            document = decode(data, _KINDS[path.name], str(path))
        else:
            document = decode_manifest(data, str(path))
    except ExchangeError as error:
        raise BadInputError(str(error)) from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    found: dict[str, Any] = msgspec.to_builtins(document)
    if isinstance(document, Task | Result):
        site = path.absolute().parent.parent
        found["arrays"] = [
            {
                "name": entry.name,
                "dtype": entry.dtype,
                "shape": entry.shape,
                "size": size_text(entry.size),
                "check": _check(site, path.absolute().parent.name, document.task_id, entry),
            }
            for entry in document.arrays
        ]
    return found


def _read(path: Path) -> bytes:
    """A manifest, or what a site has put in its place."""
    with open(open_plain(path), "rb") as file:
        return read_bytes(file.fileno(), MANIFEST_LIMIT, path.name)


def _check(site: Path, side: str, task_id: str, entry: Any) -> str:
    try:
        if "/" in task_id or "/" in entry.file:
            return "leaves its folder"
        with open_beneath(site, side, task_id, entry.file, links=None) as fd:
            read_checked(fd, entry, lambda _: None, entry.file)
    except ExchangeError as error:
        return str(error)
    return "matches its digest"


def _inspect_site(site: SiteFolder) -> dict[str, Any]:
    status = read_status(site)
    return {
        "site": site.name,
        "status": msgspec.to_builtins(status) if status else "none",
        "tasks": _documents(site.tasks),
        "results": _documents(site.results),
    }


def _documents(folder: Path) -> list[Any]:
    found = []
    for path in sorted(folder.glob("*.json"))[-_SHOWN:]:
        try:
            document = decode_manifest(_read(path), path.name)
        except (ExchangeError, OSError) as error:
            found.append({"file": path.name, "error": getattr(error, "strerror", None) or str(error)})
            continue
        arrays = "" if isinstance(document, End) else ", ".join(entry.name for entry in document.arrays)
        found.append({"file": path.name, "kind": type(document).__name__.lower(), "arrays": arrays or "none"})
    return found


def _inspect_exchange(path: Path) -> dict[str, Any]:
    return {**_inspect_document(path / ABOUT), "sites": [site.name for site in ExchangeFolder(path).sites()]}
