"""Requests of people to the engine: one small file each in the run's ``control/`` folder.

A person's word may come from anywhere that can write there, so it is read strictly and within bounds.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path
from typing import Annotated

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.layout import check_site
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.plain import read_plain
from fltui.exchange.publish import put_document
from fltui.run.folder import RunFolder

LONGEST_REASON = 400
"""Characters of the longest reason."""

_LARGEST = 1 << 14
"""Bytes of the largest request that is read."""

Reason = Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)]


class Abort(msgspec.Struct, frozen=True, tag_field="request", tag="abort"):
    """End the run now."""

    reason: Reason = "asked for"


class Pause(msgspec.Struct, frozen=True, tag_field="request", tag="pause"):
    """Begin no new round; a round that runs goes on to its end."""

    reason: Reason = "asked for"


class Resume(msgspec.Struct, frozen=True, tag_field="request", tag="resume"):
    """Go on after a pause."""


class Drop(msgspec.Struct, frozen=True, tag_field="request", tag="drop"):
    """Go on without a site.

    Raises:
        BadInputError: there can be no site of that name.
    """

    site: str
    reason: Reason = "asked for"

    def __post_init__(self) -> None:
        check_site(self.site)


AnyRequest = Abort | Pause | Resume | Drop

_decoder = msgspec.json.Decoder(AnyRequest)


def ask(run: RunFolder, request: AnyRequest) -> Path:
    """Lay a request before the engine. What this machine asks one after the other is taken in that order.

    Returns:
        The file of the request, which is gone once it was taken.

    Raises:
        BadInputError: the reason is too long.
        OSError: the request cannot be written.
    """
    if not isinstance(request, Resume) and len(request.reason) > LONGEST_REASON:
        raise BadInputError(f"the reason has {len(request.reason)} characters; {LONGEST_REASON} are the most")
    path = run.control / f"{time.time_ns():020}-{secrets.token_hex(4)}.json"
    put_document(request, path, run.control)  # not in the run's root, which may be sealed just now
    return path


def clear_requests(control: Path) -> None:
    """Remove every request that is there, unread.

    Raises:
        OSError: the folder cannot be read, or a request cannot be removed.
    """
    for path in control.glob("*.json"):
        path.unlink(missing_ok=True)


def take_requests(control: Path) -> list[AnyRequest]:
    """Take every request that is there, by name; what is none is removed where it is a file, and nothing comes of
    it."""
    found = []
    for path in sorted(control.glob("*.json")):
        with contextlib.suppress(*MALFORMED, BadInputError, OSError):
            found.append(_decoder.decode(read_plain(path, _LARGEST)))
        with contextlib.suppress(OSError):
            path.unlink()
    return found
