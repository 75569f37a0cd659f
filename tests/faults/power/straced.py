"""What ``strace`` saw a process do to files, told as `Call`s, to compare with a recording."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.power.recorded import Call

_OPS = {
    "write": "write",
    "pwrite64": "write",
    "ftruncate": "write",
    "sendfile": "write",
    "copy_file_range": "write",
    "fsync": "sync",
    "fdatasync": "sync",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "link": "link",
    "linkat": "link",
    "symlink": "symlink",
    "symlinkat": "symlink",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rmdir": "rmdir",
}

_LINE = re.compile(r"(?P<pid>\d+)\s+(?P<text>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<value>-?\d+).*")
_DESCRIPTOR = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")
_PATH = re.compile(r'(?:(?:\d+|AT_FDCWD)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


def strace(out: Path) -> list[str]:
    """What a command begins with to be traced; empty where that is not possible here."""
    path = shutil.which("strace")
    if path is None or subprocess.run([path, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        return []
    known = ",".join(f"?{name}" for name in _OPS)
    return [path, "-f", "-qq", "-y", "-s", "500", "-e", "signal=none", "-e", f"trace={known}", "-o", str(out)]


def read_trace(out: Path, folder: Path) -> list[Call]:
    """The calls below `folder`, without those that made files."""
    return list(_calls(out, str(folder.resolve())))


def _calls(out: Path, folder: str) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for line in out.read_text().splitlines():
        if not (found := _LINE.fullmatch(line)):
            continue
        pid, text = found["pid"], found["text"]
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if text.startswith("<... "):
            text = begun.pop(pid) + text.partition("resumed>")[2]
        call = _CALL.fullmatch(text)
        if call is None or int(call["value"]) < 0:
            continue
        op, arguments = _OPS[call["name"]], call["arguments"]
        if op in ("write", "sync"):
            descriptors = _DESCRIPTOR.findall(arguments)
            paths = descriptors[-1 if call["name"] == "copy_file_range" else 0 :][:1]
        else:
            paths = [os.path.join(place, name) for place, name in _PATH.findall(arguments)]  # noqa: PTH118
        inside = [os.path.relpath(path, folder) for path in paths if path == folder or path.startswith(folder + "/")]
        if op == "symlink":
            inside = 2 * inside[-1:]
        if inside:
            yield Call(op, *inside)
