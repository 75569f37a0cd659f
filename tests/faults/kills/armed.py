"""Stands between the product and the system in a process of a test, and says where the process is at the moment.

Every change of a file below a folder is a step with a name, such as ``server before rename task manifest``, and so are
some calls of the product in which no file changes. Whoever is told of a step may stop the process there, count the
step, or lose time.
"""

from __future__ import annotations

import builtins
import importlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

_RUN = r"runs/[^/]+"
_SITE = r"exchange/[^/.]+"
_TASK = r"[^/]+\.r\d+\.train\.a\d+"

ROLES = {
    rf"{_RUN}/(job|\.fltui-\w+)(/.*)?": "job",
    rf"{_RUN}/journal\.jsonl": "journal",
    rf"{_RUN}/models/\.round-\d+": "new model",
    rf"{_RUN}/models/\.round-\d+/model\.json": "new model.json",
    rf"{_RUN}/models/\.round-\d+/[^/.]+": "new group",
    rf"{_RUN}/models/\.round-\d+/[^/.]+/[^/]+": "new group array",
    rf"{_RUN}/models/\.round-\d+/[^/]+": "new model array",
    rf"{_RUN}/models/round-\d+": "model",
    rf"{_RUN}/models/round-\d+/[^/]+(/[^/]+)?": "file of model",
    rf"{_RUN}/models/\.(final|best)": "staged pointer",
    rf"{_RUN}/models/(final|best)": "pointer",
    rf"{_RUN}/scratch(/.*)?": "scratch",
    rf"{_RUN}/store/\.[^/]+": "staged copy",
    rf"{_RUN}/store/[^./]+\.npy": "copy",
    rf"{_RUN}/store/[^./]+\.json(?P<staged>\.\w+)?": "kept manifest",
    rf"{_RUN}/summary\.json": "summary",
    rf"{_RUN}/\.seal\.b3": "staged seal",
    rf"{_RUN}/seal\.b3": "seal",
    rf"{_RUN}/metrics\.csv": "metrics",
    rf"{_RUN}/lock": "lock",
    rf"{_RUN}/\.reserve": "reserve",
    rf"{_RUN}/logs/server\.log": "server log",
    rf"{_RUN}/logs/[^/]+\.log": "mirrored log",
    rf"{_RUN}/control/[^/]+": "request",
    rf"runs|{_RUN}|{_RUN}/(models|store|logs|control)": "run folder",
    r"exchange/(exchange\.json|\.syncthing\.[^/]+)": "exchange.json",
    rf"{_SITE}/tasks/{_TASK}": "task arrays",
    rf"{_SITE}/tasks/{_TASK}/[^/]+": "task array",
    rf"{_SITE}/tasks/{_TASK}\.json": "task manifest",
    rf"{_SITE}/tasks/[^/]+\.end\.a\d+\.json": "end manifest",
    rf"{_SITE}/\.syncthing\.fltui\.server/{_TASK}\.json\.\w+": "staged task manifest",
    rf"{_SITE}/\.syncthing\.fltui\.server/{_TASK}\.[^/]+": "staged task array",
    rf"{_SITE}/\.syncthing\.fltui\.server/[^/]+\.end\.a\d+\.json\.\w+": "staged end manifest",
    rf"{_SITE}/\.syncthing\.fltui\.server/[^/]+\.spare\.json": "spare task manifest",
    rf"{_SITE}/results/{_TASK}": "result arrays",
    rf"{_SITE}/results/{_TASK}/[^/]+": "result array",
    rf"{_SITE}/results/{_TASK}\.json": "result manifest",
    rf"{_SITE}/\.syncthing\.fltui\.site/{_TASK}\.json\.\w+": "staged result manifest",
    rf"{_SITE}/\.syncthing\.fltui\.site/{_TASK}\.[^/]+": "staged result array",
    rf"{_SITE}/\.syncthing\.fltui\.site/[^/]+\.spare\.json": "spare result manifest",
    rf"{_SITE}/\.syncthing\.fltui\.site/status\.json\.[\w.]+": "staged status",
    rf"{_SITE}/\.syncthing\.fltui\.site/[^/]+\.lock": "site lock",
    rf"{_SITE}/\.syncthing\.fltui\.(site|kept)/[^/]+\.scaffold\.[^/]+(/[^/]+)?": "what it keeps",
    rf"{_SITE}/status\.json": "status",
    rf"{_SITE}/logs/[^/]+\.metrics\.jsonl": "logged values",
    rf"{_SITE}/logs/[^/]+\.log": "site log",
    rf"exchange|{_SITE}|{_SITE}/(tasks|results|logs|\.syncthing\.fltui\.\w+)": "exchange folder",
}
"""What a path below the folder of a test is for."""

CALLS = {
    "read result": "fltui.server.round:read_result",
    "store arrays": "fltui.server.round:store_arrays",
    "average": "fltui.workflows.fedavg:write_next",
    "finish round": "fltui.server.federation:RunFederation.finish_round",
    "sweep": "fltui.server.retention:Retention.sweep",
    "read task": "fltui.client.vetting:read_task",
    "receive": "fltui.client.session:Session.receive",
    "send": "fltui.client.session:Session.send",
    "retire results": "fltui.client.results:Results.retire",
}
"""Calls that are steps, too: where the product finds them."""

_PATHS = {re.compile(pattern): role for pattern, role in ROLES.items()}


class Told(Protocol):
    """Is told of steps."""

    def wants(self, step: str) -> bool:
        """Whether a write has to be made in two halves, with a stop between them."""

    def reached(self, step: str) -> None:
        """The process is there now; it goes on when this returns."""


def role_of(path: str) -> str:
    """What a path below the folder is for.

    Raises:
        AssertionError: nobody has said so: the table of steps is not complete any more.
    """
    for pattern, role in _PATHS.items():
        if pattern.fullmatch(path):
            return role
    raise AssertionError(f"{path} has no role among the steps")


class Seams:
    """Puts itself in the place of the functions of `os` that change files, and of those in `CALLS`.

    Args:
        who: ``server`` or ``site``.
        folder: the steps are below it.
        told: is told of them.
    """

    def __init__(self, who: str, folder: Path, told: Told) -> None:
        self._who = who
        self._folder = os.path.realpath(folder)
        self._told = told

    def install(self) -> None:
        """From now on every step is told. Files opened by Python itself pass through `os`, too."""
        for name in ("write", "copy_file_range", "sendfile"):
            self._wrap_write(name)
        for name, op in (("replace", "rename"), ("rename", "rename"), ("link", "link"), ("symlink", "link")):
            self._wrap(name, op, lambda _, new, *rest, dst_dir_fd=None, **more: self._below(new, dst_dir_fd))
        for name, op in (("unlink", "remove"), ("remove", "remove"), ("rmdir", "remove"), ("mkdir", "make")):
            self._wrap(name, op, lambda path, *rest, dir_fd=None, **more: self._below(path, dir_fd))
        self._wrap("open", "make", self._made)
        self._wrap("ftruncate", "cut", lambda fd, length: self._below(fd))
        builtins.open = io.open = importlib.import_module("_pyio").open
        for name, where in CALLS.items():
            module, _, path = where.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, last = path.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, last, self._around(getattr(owner, last), lambda *_, name=name, **more: name))

    def _wrap(self, name: str, op: str, path: Callable[..., str | None]) -> None:
        def step(*args: Any, **more: Any) -> str | None:
            found = path(*args, **more)
            return found and f"{op} {role_of(found)}"

        setattr(os, name, self._around(getattr(os, name), step))

    def _around(self, real: Callable[..., Any], step: Callable[..., str | None]) -> Callable[..., Any]:
        def told(*args: Any, **more: Any) -> Any:
            name = step(*args, **more)
            if name is None:
                return real(*args, **more)
            self._told.reached(f"{self._who} before {name}")
            done = real(*args, **more)
            self._told.reached(f"{self._who} after {name}")
            return done

        return told

    def _wrap_write(self, name: str) -> None:
        real = getattr(os, name)
        place = {"write": 0, "copy_file_range": 1, "sendfile": 0}[name]

        def told(*args: Any, **more: Any) -> Any:
            path = self._below(args[place])
            if path is None:
                return real(*args, **more)
            role = role_of(path)
            if role == "journal":
                role = f"journal {json.loads(bytes(args[1]))['event']}"
            half = f"{self._who} half of write {role}"
            self._told.reached(f"{self._who} before write {role}")
            if not self._told.wants(half):
                done = real(*args, **more)
            elif name == "write":
                middle = len(args[1]) // 2
                done = real(args[0], args[1][:middle])
                self._told.reached(half)
                done += real(args[0], args[1][middle:])
            else:
                done = real(*args[:2], args[2] // 2)
                self._told.reached(half)
            self._told.reached(f"{self._who} after write {role}")
            return done

        setattr(os, name, told)

    def _made(self, path: Any, flags: int, *rest: Any, dir_fd: int | None = None) -> str | None:
        found = self._below(path, dir_fd) if flags & (os.O_CREAT | os.O_TRUNC) else None
        return found if found and (flags & os.O_TRUNC or not os.path.lexists(f"{self._folder}/{found}")) else None

    def _below(self, path: Any, dir_fd: int | None = None) -> str | None:
        """A path below the folder; None elsewhere."""
        if isinstance(path, int):
            text = str(Path(f"/proc/self/fd/{path}").readlink())
        elif dir_fd is not None:
            text = f"{Path(f'/proc/self/fd/{dir_fd}').readlink()}/{os.fsdecode(path)}"
        else:
            text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - resolves no links
        return text[len(self._folder) + 1 :] if text.startswith(self._folder + "/") else None
