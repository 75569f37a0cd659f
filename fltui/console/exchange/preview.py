"""What a chosen file of the exchange shows: an array's numbers, a manifest, the end of a log, bytes.

The files are those of sites: nothing is followed, opened for long, or read beyond a bound.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fltui.console.exchange.tree import Kind, Node
from fltui.console.safe import safe
from fltui.errors import NotYetError, RefusedError
from fltui.exchange.sizes import size_text

JSON_MOST = 256 << 10
"""Bytes of a JSON file that are shown."""

TEXT_MOST = 64 << 10
"""Bytes at the end of a text file that are shown."""

BINARY_MOST = 256
"""Bytes at the beginning of any other file that are shown."""

ROWS, COLUMNS = 40, 16
"""Numbers of an array that are shown."""

LINES = 5000
"""Lines that are shown at most."""

_DEEPEST_JSON = 32
_TEXT_NAMES = (".log", ".jsonl", ".txt", ".csv", ".md", ".py", ".toml", ".yaml", ".yml")

_PURPOSES = {
    "tasks": "what the server asks of this site: a manifest and a folder of arrays per task",
    "results": "what this site answered: a manifest and a folder of arrays per result",
    "logs": "what this site's script printed and logged, by run",
}


@dataclass(frozen=True)
class Preview:
    """What is shown of a file; every text is harmless.

    Attributes:
        path: below the exchange folder.
        about: kind and size.
        lines: of the content.
        wraps: whether a line too long goes on in the next; else it is cut.
        from_end: whether the end is what a person wants to see first.
        problem: one sentence if it could not be read.
    """

    path: str
    about: str
    lines: list[str] = field(default_factory=list)
    wraps: bool = True
    from_end: bool = False
    problem: str = ""


def preview(root: Path, node: Node) -> Preview:
    """Look into an entry of the exchange folder `root`. Not for the app's thread."""
    path = safe("/".join(node.parts))
    match node.kind:
        case Kind.FOLDER:
            purpose = _PURPOSES.get(node.parts[-1], "") if len(node.parts) == 2 else ""
            if len(node.parts) == 1 and node.own:
                purpose = "a site: the server writes its tasks/, the site everything else"
            return Preview(path, "folder", [purpose] if purpose else [])
        case Kind.FILE:
            pass
        case Kind.MORE:
            return Preview(path, "folder", [node.name.lstrip("… ")])
        case Kind.UNREADABLE:
            return Preview(path, "folder", problem="this folder cannot be opened by this user")
        case kind:
            return Preview(path, str(kind), problem=f"a {kind} is not followed or opened: {node.name}")
    # NumPy and what writes arrays are loaded when the first file is looked at, not for the first frame.
    from fltui.exchange.npy import open_beneath

    try:
        with open_beneath(root, *node.parts, links=None) as fd:
            return _of_file(fd, path, node.parts[-1].lower())
    except (NotYetError, RefusedError, OSError) as error:
        return Preview(path, "file", problem=safe(str(error)))


def _of_file(fd: int, path: str, name: str) -> Preview:
    size = os.fstat(fd).st_size
    if name.endswith(".npy"):
        return _of_array(fd, path, size)
    if name.endswith(".json"):
        return _of_json(fd, path, size)
    if name.endswith(_TEXT_NAMES) or _is_text(os.pread(fd, 4096, 0)):
        return _of_text(fd, path, size)
    return _of_bytes(fd, path, size, "binary")


def _of_bytes(fd: int, path: str, size: int, kind: str, problem: str = "") -> Preview:
    raw = os.pread(fd, BINARY_MOST, 0)
    lines = []
    for start in range(0, len(raw), 16):
        piece = raw[start : start + 16]
        letters = "".join(chr(octet) if 32 <= octet < 127 else "·" for octet in piece)
        lines.append(f"{start:04x}  {piece[:8].hex(' '):23}  {piece[8:].hex(' '):23}  {letters}")
    first = f", its first {BINARY_MOST} bytes" if size > BINARY_MOST else ""
    return Preview(path, f"{kind} · {size_text(size)}{first}", lines, wraps=False, problem=problem)


# Text.


def _is_text(raw: bytes) -> bool:
    if b"\0" in raw:
        return False
    odd = sum(octet < 32 and octet not in b"\t\n\r\x1b" for octet in raw)
    broken = raw.decode("utf-8", "replace").count("\ufffd")
    return (odd + max(0, broken - 1)) * 20 <= len(raw)


def _of_text(fd: int, path: str, size: int) -> Preview:
    start = max(0, size - TEXT_MOST)
    raw = os.pread(fd, TEXT_MOST, start)
    if start:  # not in the middle of a line
        raw = raw.partition(b"\n")[2] or raw
    lines = _lines(raw)
    last = f", the last {size_text(len(raw))}" if start else ""
    if len(lines) > LINES:
        lines, last = lines[-LINES:], f", the last {LINES:,} lines"
    return Preview(path, f"text · {size_text(size)}{last}", lines, from_end=True)


def _lines(raw: bytes) -> list[str]:
    text = raw.decode("utf-8", "backslashreplace").removesuffix("\n")
    return [safe(line.removesuffix("\r")) for line in text.split("\n")] if text else []


def _of_json(fd: int, path: str, size: int) -> Preview:
    raw = os.pread(fd, JSON_MOST, 0)
    if size > JSON_MOST:
        about = f"JSON · {size_text(size)}, its first {size_text(JSON_MOST)}"
        return Preview(path, about, _lines(raw)[:LINES])
    problem = ""
    try:
        msgspec.json.decode(raw)
        if _depth(raw) <= _DEEPEST_JSON:
            raw = msgspec.json.format(raw, indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = safe(f"not JSON that can be read, shown as it is: {error}", 200)
    lines = _lines(raw)
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"… and {len(lines) - LINES:,} more lines"]
    return Preview(path, f"JSON · {size_text(size)}", lines, problem=problem)


def _depth(raw: bytes) -> int:
    """How deep lists and objects of JSON lie in each other: 100,000 lines, each indented far, take all memory."""
    depth = deepest = 0
    for found in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', raw):
        if found[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"]}":
            depth -= 1
    return deepest


# Arrays.


def _of_array(fd: int, path: str, size: int) -> Preview:
    """The first numbers of the slice in which the axes before the last two are at 0."""
    from fltui.console.arrays.files import ArrayFile, dtype_text, shape_text
    from fltui.console.arrays.slices import first_slice, slice_text

    where = path.rpartition("/")[2]
    try:
        array = ArrayFile(os.dup(fd), where)
        index = first_slice(array.shape)
        plane = array.plane(index)
        values = array.window(index, range(ROWS), range(COLUMNS))
    except RefusedError as error:
        return _of_bytes(fd, path, size, "file", str(error))
    except NotYetError as error:
        return _of_bytes(fd, path, size, "array", f"{error}: it is being written, or was cut")
    shape = shape_text(array.shape)
    about = f"array · {dtype_text(array.dtype)} {shape} · {size_text(size)}"
    rows, columns = values.shape
    if not array.size:
        return Preview(path, about, ["it has no elements"], wraps=False)
    texts = [[_text(value) for value in row[: plane.columns_in(at)]] for at, row in enumerate(values.tolist())]
    head = [str(at) for at in range(columns)] if array.shape else []
    width = max(len(text) for row in [head, *texts] for text in row)
    edge = len(str(plane.label(rows - 1))) if array.shape else 0
    lines = [f"{'':{edge}}  " + "  ".join(f"{text:>{width}}" for text in head)] if head else []
    for at, row in enumerate(texts):
        label = str(plane.label(at)) if array.shape else ""
        lines.append(f"{label:>{edge}}  " + "  ".join(f"{text:>{width}}" for text in row))
    if (rows, columns) != (plane.rows, plane.columns) or len(array.shape) > 2:
        part = f"{slice_text(index)} of {shape}" if len(array.shape) > 2 else shape
        lines += ["", f"{part}: the first {rows} rows of {columns} are shown"]
    return Preview(path, about, lines, wraps=False)


def _text(value: float) -> str:
    from fltui.console.arrays.numerals import number_text

    return number_text(value) if isinstance(value, float) else str(value)
