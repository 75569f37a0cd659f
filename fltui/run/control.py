"""Requests of people to the engine: one small file each in the run's ``control/`` folder."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

import msgspec

from fltui.exchange.publish import put_document
from fltui.run.folder import RunFolder


class Abort(msgspec.Struct, frozen=True, tag_field="request", tag="abort"):
    """End the run now."""

    reason: str = "asked for"


def ask(run: RunFolder, request: Abort) -> None:
    """Lay a request before the engine."""
    put_document(request, run.control / f"{secrets.token_hex(8)}.json", run.root)


def take_requests(control: Path) -> list[Abort]:
    """Take every request that is there; a file that is none is removed unread."""
    found = []
    for path in sorted(control.glob("*.json")):
        with contextlib.suppress(msgspec.DecodeError, RecursionError, OSError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Abort))
        with contextlib.suppress(OSError):
            path.unlink()
    return found
