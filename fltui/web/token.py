"""The token that a browser has to show: read from a file or the environment, never from a command line."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from fltui.errors import BadInputError

VARIABLE = "FLTUI_WEB_TOKEN"
SHORTEST = 16
_LONGEST = 1024
_LARGEST_FILE = 1 << 16


def make_token(path: Path) -> None:
    """Make a file with a new token that this user alone can read; one that is there stays as it is.

    Raises:
        BadInputError: it cannot be made.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise BadInputError(f"token file {path} cannot be made: {error.strerror}") from error
    with open(fd, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def read_token(path: Path | None) -> str:
    """The token out of a file, else out of the environment, from which it is taken; empty if there is none.

    Raises:
        BadInputError: it cannot be read, others can read it, or it is easily guessed.
    """
    found = os.environ.pop(VARIABLE, "")  # no process that is started here needs it
    if path is None:
        where = f"the token in {VARIABLE}"
    else:
        where, found = f"the token in {path}", _content(path)
    token = found.strip()
    if not found and path is None:
        return ""
    if not (token.isascii() and token.isprintable() and SHORTEST <= len(token) <= _LONGEST):
        raise BadInputError(
            f"{where} has to be one line of {SHORTEST} to {_LONGEST} printable ASCII characters, found {len(token)}; "
            "'fltui web --make-token --token-file FILE' makes one"
        )
    return token


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & 0o077:
                raise BadInputError(
                    f"token file {path} can be read by others (mode {stat.S_IMODE(mode):04o}): type "
                    f"'chmod 600 {path}', or make a new one if somebody may have read it"
                )
            data = file.read(_LARGEST_FILE + 1)
            if len(data) > _LARGEST_FILE:
                raise BadInputError(
                    f"token file {path} has more than {_LARGEST_FILE} bytes and is no token; is it the right one?"
                )
            return data.decode("utf-8", "replace")
    except FileNotFoundError as error:
        raise BadInputError(f"there is no token file {path}; --make-token makes it") from error
    except OSError as error:
        raise BadInputError(f"token file {path} cannot be read: {error.strerror}") from error
