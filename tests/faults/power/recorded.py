"""``python -m tests.faults.power.recorded FOLDER RECORD STOPS MODULE [ARGS...]``: record what a module does to files.

What changes something below FOLDER becomes a line of RECORD, in order. Files opened the usual way are recorded, too:
Python's own ``io`` is put in the place of the one in C, so that everything passes through `os`.

STOPS are patterns of `Call.label`, split by spaces, each used once and in order; after the call that one matches the
process stops itself with SIGSTOP, as if there were no power any more. With ``FLTUI_NO_SYNC`` set a sync is recorded and
does nothing.
"""

from __future__ import annotations

import builtins
import importlib
import io
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from tests.jobs import environment


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call that changed something, or made it durable.

    Attributes:
        op: ``create``, ``write``, ``sync``, ``rename``, ``link``, ``symlink``, ``unlink``, ``mkdir`` or ``rmdir``.
        path: below the folder; of a rename or link the old name.
        to: the new name.
        text: of a journal what was written; of its sync the last line.
    """

    op: str
    path: str
    to: str = ""
    text: str = ""

    @property
    def target(self) -> str:
        """The name that is there afterwards, or is not any more."""
        return self.to or self.path

    @property
    def label(self) -> str:
        """What patterns are matched with, such as ``rename:runs/r/models/round-0001`` or ``sync:…#result_accepted``."""
        event = f"#{msgspec.json.decode(self.text.splitlines()[-1])['event']}" if self.text else ""
        return f"{self.op}:{self.target}{event}"


def read_record(path: Path) -> list[Call]:
    """The calls of a record."""
    return [msgspec.json.decode(line, type=Call) for line in path.read_bytes().splitlines()]


@contextmanager
def recorded(
    folder: Path, record: Path, *command: str | Path, stops: str = "", before: Sequence[str] = (), **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """A module that runs with its files in `folder`, recorded; it is killed in the end.

    Args:
        folder: holds ``exchange/`` and ``runs/``.
        record: where the calls are written down.
        command: the module and its arguments.
        stops: where it stops itself.
        before: what the command begins with, such as ``strace``.
        settings: variables of the environment without their ``FLTUI_``.
    """
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tests.faults.power.recorded", folder, record, stops, *command],
        env={
            **environment(folder),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            **{f"FLTUI_{name.upper()}": value for name, value in settings.items()},
        },
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def await_stop(process: subprocess.Popen[str]) -> None:
    """Wait until a recorded process has stopped itself."""
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if found is None or found.si_code != os.CLD_STOPPED:
        raise AssertionError(f"the process has ended: {process.communicate()}")
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


class Recorder:
    """Puts itself in the place of the functions of `os` that change files."""

    def __init__(self, folder: str, record: str, stops: list[str]) -> None:
        self._folder = os.path.realpath(folder)
        self._out = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._stops = stops
        self._names: dict[int, str] = {}
        self._journal = ""
        self._lock = threading.RLock()
        self._write = os.write

    def install(self) -> None:
        """From now on everything is recorded."""
        self._wrap("open", self._opened, before=self._exists)
        self._wrap("close", lambda _, fd: self._names.pop(fd, None))
        for name in ("write", "pwrite"):
            self._wrap(name, lambda _, fd, data, *rest: self._wrote(fd, data))
        self._wrap("ftruncate", lambda _, fd, length: self._wrote(fd, b""))
        self._wrap("copy_file_range", lambda done, source, target, *rest: self._wrote(target, b""))
        self._wrap("sendfile", lambda done, target, *rest: self._wrote(target, b""))
        for name in ("fsync", "fdatasync"):
            if os.environ.get("FLTUI_NO_SYNC"):
                setattr(os, name, lambda fd: None)
            self._wrap(name, self._synced)
        for name, op in (("replace", "rename"), ("rename", "rename"), ("link", "link")):
            self._wrap(name, lambda _, old, new, *rest, op=op, **more: self._moved(op, old, new, **more))
        self._wrap("symlink", lambda _, old, new, *rest, **more: self._moved("symlink", new, new))
        for name, op in (("unlink", "unlink"), ("remove", "unlink"), ("mkdir", "mkdir"), ("rmdir", "rmdir")):
            self._wrap(name, lambda _, path, *rest, op=op, dir_fd=None, **more: self._changed(op, path, dir_fd))
        builtins.open = io.open = importlib.import_module("_pyio").open

    def _wrap(self, name: str, note: Callable[..., Any], before: Callable[..., Any] | None = None) -> None:
        real = getattr(os, name)

        def wrapped(*args: Any, **more: Any) -> Any:
            with self._lock:
                known = () if before is None else (before(*args, **more),)
                done = real(*args, **more)
                note(done, *known, *args, **more)
            return done

        setattr(os, name, wrapped)

    def _path(self, path: Any, dir_fd: int | None = None) -> str | None:
        """A path below the folder; None elsewhere."""
        if isinstance(path, int):
            return self._names.get(path)
        text = os.fsdecode(path)
        if dir_fd is not None:
            return f"{self._names[dir_fd]}/{text}" if dir_fd in self._names else None
        text = os.path.abspath(text)  # noqa: PTH100 - resolves no links
        return os.path.relpath(text, self._folder) if text.startswith((self._folder + "/", self._folder)) else None

    def _exists(self, path: Any, flags: int, *rest: Any, dir_fd: int | None = None) -> bool:
        name = self._path(path, dir_fd)
        return not flags & os.O_CREAT or name is None or os.path.lexists(os.path.join(self._folder, name))  # noqa: PTH118

    def _opened(self, fd: int, existed: bool, path: Any, flags: int, *rest: Any, dir_fd: int | None = None) -> None:
        name = self._path(path, dir_fd)
        self._names.pop(fd, None)
        if name is None:
            return
        self._names[fd] = name
        if not existed:
            self._add(Call("create", name))
        elif flags & os.O_TRUNC:
            self._add(Call("write", name))

    def _wrote(self, fd: int, data: Any) -> None:
        if fd in self._names:
            name = self._names[fd]
            text = bytes(data).decode() if name.endswith("/journal.jsonl") else ""
            self._journal = text or self._journal
            self._add(Call("write", name, text=text))

    def _synced(self, _: None, fd: int) -> None:
        if fd in self._names:
            name = self._names[fd]
            self._add(Call("sync", name, text=self._journal if name.endswith("/journal.jsonl") else ""))

    def _moved(
        self, op: str, old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None, **_: Any
    ) -> None:
        to = self._path(new, dst_dir_fd)
        if to is not None:
            self._add(Call(op, self._path(old, src_dir_fd) or "?", to))

    def _changed(self, op: str, path: Any, dir_fd: int | None) -> None:
        name = self._path(path, dir_fd)
        if name is not None:
            self._add(Call(op, name))

    def _add(self, call: Call) -> None:
        self._write(self._out, msgspec.json.encode(call) + b"\n")
        if self._stops and fnmatchcase(call.label, self._stops[0]):
            self._stops.pop(0)
            os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    _, folder, record, stops, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    Recorder(folder, record, stops.split()).install()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
