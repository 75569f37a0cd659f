"""What the tests of the queue share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.queue.made import export_job


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job folder for site-1 and site-2."""
    return export_job(tmp_path)
