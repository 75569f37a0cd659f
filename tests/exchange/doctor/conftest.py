"""A folder to try things out in."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.doctor import probes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to try things out in."""
    made = tmp_path / f"{probes.PROBE}x"
    made.mkdir()
    return made
