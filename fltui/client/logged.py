"""Numbers that a script logs: lines of ``logs/<run-id>.metrics.jsonl``, for the server to take in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fltui.client.outgoing import finite
from fltui.errors import ClientError
from fltui.exchange.append import append_line
from fltui.exchange.durable import sync_file, sync_folder
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import LAST_STEP, LONGEST_KEY, Logged


def line_of(key: str, value: Any, kind: str, number: int, extra: Mapping[str, Any]) -> bytes:
    """The line of one number.

    Args:
        key: what it is.
        value: the number.
        kind: ``SCALAR`` or ``METRIC``.
        number: of the round.
        extra: ``step`` or ``global_step``.

    Raises:
        ClientError: it is not finite, or an argument is not known.
    """
    if unknown := sorted(extra.keys() - {"step", "global_step"}):
        raise ClientError(f"log() of {key!r}: argument {unknown[0]!r} is not known; these are: step, global_step")
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
        raise ClientError(f"log(): the key has to be text of 1 to {LONGEST_KEY} characters")
    found = finite(value, f"log() of {key!r}")
    step = extra.get("global_step", extra.get("step"))
    step = None if step is None else int(step)
    if step is not None and not 0 <= step <= LAST_STEP:
        raise ClientError(f"log() of {key!r}: the step is {step}, expected 0 to 2**53")
    return msgspec.json.encode(Logged(key, found, str(kind), number, step)) + b"\n"


class LoggedValues:
    """Writes the lines of one site.

    Args:
        site: the site.
        durable: what was logged for a task survives a power cut once that is answered.
    """

    def __init__(self, site: SiteFolder, *, durable: bool) -> None:
        self._site = site
        self._durable = durable
        self._unsynced: Path | None = None
        self._named = False

    def append(self, run: str, line: bytes) -> None:
        """Append a line for a run.

        Raises:
            OSError: it cannot be written.
        """
        path = self._site.metrics(run)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            append_line(fd, line)
        finally:
            os.close(fd)
        self._unsynced = path

    def sync(self) -> None:
        """Let what was logged survive a power cut: a server that goes on skips as many values as it has taken in."""
        if self._durable and self._unsynced is not None:
            with contextlib.suppress(FileNotFoundError):  # somebody has cleared the logs away
                sync_file(self._unsynced)
                if not self._named:
                    sync_folder(self._site.logs)
            self._unsynced, self._named = None, True
