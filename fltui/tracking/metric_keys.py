"""The keys of series and parameters in MLflow, which takes fewer names than sites may choose."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fltui.tracking.names import beside, fitting, marked
from fltui.tracking.records import Kind, Series

LONGEST_KEY = 250
_LONGEST_PART = 200
"""Bytes of a part of a key: some stores have a file of that name."""

_RESERVED = ("sites/", "logged/", "round/")
_ODD = re.compile(r"[^/\w.\- ]")


class MetricKeys:
    """The keys of series in MLflow. They are paths to it, so no key is the folder of another one: some of its stores
    keep them so."""

    def __init__(self) -> None:
        self._keys: dict[Series, str] = {}
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def of(self, series: Series) -> tuple[str, bool]:
        """The key of a series, and whether it is new and not what the site called it."""
        if known := self._keys.get(series):
            return known, False
        plain = self._plain(series)
        key = fitting(plain, _fit)
        if key in self._folders or key in self._taken or any(folder in self._taken for folder in _folders(key)):
            key = marked(plain, key.replace("/", "_"))
        self._keys[series] = key
        self._taken.add(key)
        self._folders.update(_folders(key))
        return key, key != plain

    @staticmethod
    def _plain(series: Series) -> str:
        match series.kind:
            case Kind.METRIC if series.site:
                return f"sites/{series.site}/{series.name}"
            case Kind.METRIC:
                return beside(series.name, _RESERVED, "global/")
            case Kind.LOGGED:
                return f"logged/{series.site}/{series.name}"
            case Kind.ROUND:
                return f"round/{series.name}"


def parameter_key(name: str) -> str:
    """The key of a parameter."""
    return fitting(name, _fit)


def _fit(name: str) -> str:
    """A name as MLflow takes it: letters, digits and a few marks, no path but the plainest."""
    found = _ODD.sub("_", name)[:LONGEST_KEY]
    same = posixpath.normpath(found) == found and not found.startswith(("/", ".."))
    short = all(len(part.encode()) <= _LONGEST_PART for part in found.split("/"))
    if same and short and found != ".":
        return found
    return re.sub(r"[/.]", "_", found)[:100].encode()[:100].decode(errors="ignore") or "_"


def _folders(key: str) -> Iterator[str]:
    parts = key.split("/")
    yield from ("/".join(parts[:size]) for size in range(1, len(parts)))
