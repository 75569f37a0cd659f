"""The one boundary through which text of others enters the console.

Names, logs, metrics, reasons and paths come from sites. What could act on the terminal becomes visible here, once, as
the text comes in; afterwards it is shown as it is, never read as markup.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from fltui.exchange.visible import visible

LONGEST = 2000
"""Characters of one text that the console keeps."""

_TAB = "    "
_T = TypeVar("_T", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder()


def safe(text: str, longest: int = LONGEST) -> str:
    """`text` as one harmless line of at most `longest` characters; a cut one ends with ``…``."""
    if not (text.isascii() and text.isprintable()):
        text = visible(text[: longest + 1].replace("\t", _TAB))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def safe_struct(found: _T) -> _T:
    """A struct with every text in it, keys included, made `safe`; the same object where nothing changes."""
    raw = _encoder.encode(found)
    if len(raw) <= LONGEST and raw.isascii() and b"\\" not in raw and b"\x7f" not in raw:
        return found  # JSON escapes whatever is below a space: there is nothing to look for one by one
    values = msgspec.to_builtins(found)
    cleaned = _clean(values)
    return found if cleaned == values else msgspec.convert(cleaned, type(found))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
