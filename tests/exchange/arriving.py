"""Ways in which a manifest comes into a folder."""

from __future__ import annotations

import os
from pathlib import Path


def write(folder: Path) -> None:
    """Made and closed there."""
    (folder / "a.json").write_text("{}")


def rename(folder: Path) -> None:
    """Made beside it and moved there."""
    (folder.parent / "beside").write_text("{}")
    os.replace(folder.parent / "beside", folder / "a.json")
