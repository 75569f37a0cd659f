"""Settings for all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fltui", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("fltui")

_NOBODY = 65534


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: half the tests wait for processes of their own."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """A folder of a user without privileges, whom this process is while the test lasts: no door is closed to root."""
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    if user == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        for root, folders, _ in os.walk(folder):
            for name in folders:
                (Path(root) / name).chmod(0o700)
        os.seteuid(user)
        shutil.rmtree(folder)
