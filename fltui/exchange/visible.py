"""Text of sites made harmless for a terminal: what would act on it is shown instead."""

from __future__ import annotations

import json
import re

_ACTING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible_json(text: str) -> str:
    """JSON that means the same, with such characters, which stand in texts only, as ``\\u`` escapes."""
    return _ACTING.sub(lambda found: json.dumps(found[0])[1:-1], text)


def visible(text: str) -> str:
    """`text` with control characters, direction overrides and the like as escapes such as ``\\x1b``; tabs stay."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
