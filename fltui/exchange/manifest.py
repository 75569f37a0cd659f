"""The manifests of protocol 1: typed, strictly decoded, the same bytes for the same content.

A task or a result exists when its manifest does. Manifests carry no time, so publishing again after a crash gives the
same bytes, and the digest of a task's manifest names that task for good.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, NoReturn, TypeVar, cast

import blake3
import msgspec

from fltui.errors import NotYetError, RefusedError
from fltui.exchange.layout import PROTOCOL
from fltui.exchange.visible import visible
from fltui.model import ParamsType

MANIFEST_LIMIT = 1 << 20
"""Bytes of the largest manifest that is read."""

LONGEST_KEY = 200
"""Characters of the longest name of a logged value or a metric."""

MOST_METRICS = 1000
"""Metrics of one result."""

_MOST_BRACKETS = 1 << 17
"""Lists and objects of one document: an empty list of two bytes takes a hundred bytes of memory."""

_LONGEST_INTEGER = 1000
"""Digits of the longest whole number that is read."""

_LONG_INTEGER = re.compile(rb"(?<!\d)\d{%d}" % _LONGEST_INTEGER)

_LONGEST_SAYING = 300
"""Characters of a sentence that tells what is wrong with a document: it may quote the document."""

SiteActivity = Literal["starting", "waiting", "training", "finished", "failed"]
"""What a site says it is doing."""

RunOutcome = Literal["FINISHED:COMPLETED", "FINISHED:ABORTED", "FINISHED:FAILED"]
"""How a run ended, or ended for one site."""

LAST_STEP = 1 << 53
"""The largest count, and the largest step of a logged value: whole numbers beyond it are none in float64."""
Count = Annotated[int, msgspec.Meta(ge=0, le=LAST_STEP)]
Step = Count
MetricName = Annotated[str, msgspec.Meta(max_length=LONGEST_KEY)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
PublicKey = Digest
"""An Ed25519 public key: 32 bytes in hexadecimal, as a digest is."""
Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")] | msgspec.UnsetType
"""An Ed25519 signature in hexadecimal, the last field of a signed manifest; see `signing`."""

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes of others: no JSON or not what was expected, text that is no UTF-8, nested too deep."""


class ArrayEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One array of a model as it lies on disk.

    Attributes:
        name: parameter name, free text.
        file: file name, derived from the names of all parameters by `layout.array_files`.
        dtype: NumPy dtype string, e.g. ``"<f4"``.
        shape: sizes of the axes.
        size: bytes of the file, header included.
        blake3: digest of the file, header included.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    file: str
    dtype: str
    shape: list[Count]
    size: Count
    blake3: Digest


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="task"):
    """What the server asks of one site in one round."""

    protocol: int
    run: str
    task_id: str
    task_name: str
    site: str
    round: Count
    start_round: Count
    total_rounds: Count
    params_type: ParamsType
    arrays: list[ArrayEntry]
    meta: dict[str, Any] = {}
    signature: Signature = msgspec.UNSET


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="result"):
    """What one site answers to one task. `in_reply_to` is the BLAKE3 digest of that task's manifest."""

    protocol: int
    run: str
    task_id: str
    in_reply_to: Digest
    site: str
    round: Count
    params_type: ParamsType
    arrays: list[ArrayEntry]
    metrics: Annotated[dict[MetricName, float], msgspec.Meta(max_length=MOST_METRICS)] = {}
    meta: dict[str, Any] = {}
    signature: Signature = msgspec.UNSET


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="end"):
    """The end of a run for one site.

    Attributes:
        state: as in the run folder.
        reason: one sentence, where there is one.
        site: name of the site's folder; empty in the ends of older servers.
        task_id: the end's own id, as in the file name; empty in the ends of older servers.
    """

    protocol: int
    run: str
    state: RunOutcome
    reason: str = ""
    site: str = ""
    task_id: str = ""
    signature: Signature = msgspec.UNSET


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a site says about itself in ``status.json``; a hint, never a decision about a result.

    Attributes:
        state: see `SiteActivity`.
        counter: grows with every writing, so that a reader sees life without comparing clocks.
        session: random text of the process that writes.
    """

    protocol: int
    site: str
    state: SiteActivity
    counter: Count
    session: str
    run: str = ""
    task_id: str = ""
    reason: str = ""
    pid: int = 0
    host: str = ""


class Logged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value that a script logged: a line of ``logs/<run-id>.metrics.jsonl``."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)]
    value: float
    type: str = "SCALAR"
    round: Step = 0
    step: Step | None = None


class ExchangeAbout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``exchange.json``; `server_key` only tells a person what to compare, nobody trusts it."""

    protocol: int
    exchange_id: str
    server_key: PublicKey | msgspec.UnsetType = msgspec.UNSET


_T = TypeVar("_T")

_encoder = msgspec.json.Encoder()


def encode(document: msgspec.Struct) -> bytes:
    """The bytes of a manifest or status: one JSON object, indented for people, a line feed at the end.

    Raises:
        TypeError: a meta value is not JSON.
    """
    return msgspec.json.format(_encoder.encode(document), indent=1) + b"\n"


def digest(data: bytes) -> str:
    """BLAKE3 digest of a manifest's bytes, in hexadecimal."""
    return blake3.blake3(data).hexdigest()


_MANIFESTS = (Task, Result, End, Task | Result | End)

_manifests: msgspec.json.Decoder[Task | Result | End] = msgspec.json.Decoder(Task | Result | End)


def decode_manifest(data: bytes, where: str) -> Task | Result | End:
    """Read a manifest of whatever kind; see `decode`."""
    found: Task | Result | End = decode(data, Task | Result | End, where)  # type: ignore[arg-type]  # a union is no type
    return found


def decode(data: bytes, kind: type[_T], where: str) -> _T:
    """Read one document strictly.

    Args:
        data: the bytes of the file.
        kind: `Task`, `Result`, `End`, `Status`, `ExchangeAbout` or `Logged`.
        where: the file, for the sentence.

    Raises:
        NotYetError: the bytes are not JSON, as in a file that is still being written.
        RefusedError: JSON that breaks the protocol; the sentence says how, on one line.
    """
    if len(data) > MANIFEST_LIMIT:
        raise RefusedError(f"{where} has more than {MANIFEST_LIMIT} bytes, the most a manifest may have")
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise RefusedError(f"{where} breaks protocol {PROTOCOL}: more than {_MOST_BRACKETS} lists and objects")
    if kind in _MANIFESTS and isinstance(as_written := _as_written(data), kind):
        return as_written
    _check_json(data, where)
    try:
        protocol = msgspec.json.decode(data, type=_Protocol).protocol
        if protocol != PROTOCOL:
            said = visible(str(protocol))[:40]
            raise RefusedError(f"{where} speaks protocol {said}; this program speaks {PROTOCOL}, update one of them")
        found: Any = msgspec.json.decode(data, type=Task | Result | End if kind in _MANIFESTS else kind)
    except RecursionError as error:
        raise RefusedError(f"{where} breaks protocol {PROTOCOL}: nested too deep") from error
    except ValueError as error:  # JSON for Python's reader, and whole: a wrong field, UTF-16, half a surrogate pair
        said = visible(str(error))[:_LONGEST_SAYING]
        raise RefusedError(f"{where} breaks protocol {PROTOCOL}: {said}") from error
    if kind in _MANIFESTS and not isinstance(found, kind):
        raise RefusedError(f"{where} is of kind {type(found).__name__.lower()!r}, expected {kind.__name__.lower()!r}")
    return cast(_T, found)


def _as_written(data: bytes) -> Task | Result | End | None:
    """The manifest in bytes that are just what `encode` makes of it, as they nearly always are; else None.

    What the typed decoder does not look at, see `_check_json`, cannot be in such bytes.
    """
    if _LONG_INTEGER.search(data):
        return None
    try:
        found = _manifests.decode(data)
        return found if found.protocol == PROTOCOL and encode(found) == data else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _check_json(data: bytes, where: str) -> None:
    """Make sure of what the typed decoder does not look at: that no key comes twice, and that the JSON is whole."""
    try:
        _strict.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    except RecursionError as error:
        raise RefusedError(f"{where} breaks protocol {PROTOCOL}: nested too deep") from error
    except _NotAllowedError as error:
        raise RefusedError(f"{where} breaks protocol {PROTOCOL}: {error}") from None
    except ValueError as error:  # not JSON or not UTF-8
        raise NotYetError(f"{where} is not whole JSON: {error}") from error


class _Protocol(msgspec.Struct):
    """The one field that is read before all others; a line of logged values has none."""

    protocol: int = PROTOCOL


class _NotAllowedError(Exception):
    """Valid for Python's JSON reader, not for the protocol."""


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _NotAllowedError(f"key {key[:80]!r} appears twice")
        seen.add(key)


def _short_enough(number: str) -> None:
    if len(number) > _LONGEST_INTEGER:
        raise _NotAllowedError(f"a whole number of {len(number)} digits; {_LONGEST_INTEGER} are the most")


def _no_constant(constant: str) -> NoReturn:
    raise _NotAllowedError(f"{constant} is not a JSON number")


_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_short_enough)
