"""Sizes in words."""

from __future__ import annotations


def size_text(count: float) -> str:
    """Bytes for people, in powers of 1024: ``164 B``, ``9.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
