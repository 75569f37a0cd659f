"""What may lie where a small file is expected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 << 30)


ODD: dict[str, Callable[[Path], None]] = {
    "a fifo": os.mkfifo,
    "a huge file": _huge,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/dev/zero"),
}
"""Each makes a path that nobody can read as one."""
