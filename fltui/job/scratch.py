"""Folders that go away with their process: at once, or, if it was killed, when the next one needs such a folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.lock import hold, is_held, let_go


@contextmanager
def scratch_folder(kind: str, place: Path | None = None) -> Iterator[Path]:
    """An empty folder for temporary files that only this user can look into.

    A lock beside it, made first, tells whether its process lives.

    Args:
        kind: the beginning of its name; folders of killed processes that begin so are removed.
        place: where it is made; among the temporary files of this machine if not given.

    Raises:
        BadInputError: it cannot be made.
    """
    with ExitStack() as made:
        try:
            place = place or Path(tempfile.gettempdir())
            folder = place / f"{kind}-{secrets.token_hex(8)}"
            lock = folder.with_suffix(".lock")
            held = hold(lock)
            if held is not None:  # else nobody could tell whose process lives
                made.callback(let_go, lock, held)
                _clear(place, kind)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise BadInputError(f"no folder for temporary files: {error.strerror} ({error.filename})") from error
        made.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _clear(place: Path, kind: str) -> None:
    """Remove what killed processes of this user left; that of others is theirs, and so is what a link leads to."""
    for lock in place.glob(f"{kind}-*.lock"):
        folder = lock.with_suffix("")
        with contextlib.suppress(OSError):
            if lock.lstat().st_uid != os.geteuid() or is_held(lock):
                continue
            held = hold(lock)  # to look is not enough: its maker may just be about to hold it
            if held is None:
                continue
            try:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(folder)
                lock.unlink()
            finally:
                os.close(held)
