"""Programs that pip does not install."""

from __future__ import annotations

import os
import shutil

_MORE = ":/usr/sbin:/sbin"
"""Where Debian has services, and not everybody's PATH does."""


class NotHereError(Exception):
    """This machine lacks what is to be worked with. A test is skipped by it, see conftest.py; a benchmark says so."""


def program(name: str) -> str:
    """Path of a program.

    Raises:
        NotHereError: it is not installed.
    """
    found = shutil.which(name, path=os.environ.get("PATH", "") + _MORE)
    if found is None:
        raise NotHereError(f"{name} is not installed here; .ci/programs installs it where it can")
    return found
