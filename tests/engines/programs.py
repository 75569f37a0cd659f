"""Programs that pip does not install."""

from __future__ import annotations

import os
import shutil

import pytest

_MORE = ":/usr/sbin:/sbin"
"""Where Debian has services, and not everybody's PATH does."""


def program(name: str) -> str:
    """Path of a program; skips the test where it is not installed."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + _MORE)
    if found is None:
        pytest.skip(f"{name} is not installed here; .ci/programs installs it where it can")
    return found
