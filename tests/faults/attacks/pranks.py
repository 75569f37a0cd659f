"""What a hostile site may try to no effect: its answer counts, and the model is what it would have been."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fltui.model import NUM_STEPS, ParamsType
from tests.faults.attacks.crimes import ACTING, crime, sparse, with_meta
from tests.faults.attacks.hostility import Crime, Later, Scene, remove


def _rewritten_later(scene: Scene) -> Later:
    scene.send()

    def rewrite() -> None:
        scene.send(np.full((3, 3), 1e6, np.float32), meta={NUM_STEPS: 9})
        os.truncate(scene.array, 1)

    return rewrite


def _junk(scene: Scene) -> None:
    for number in range(5_000):
        (scene.site.results / f"{number}.json").touch()
        (scene.site.results / f"{scene.task.task_id}.sync-conflict-{number}.json").touch()
    scene.send()


def _status(make: Callable[[Path], object]) -> Callable[[Scene], object]:
    def act(scene: Scene) -> None:
        remove(scene.site.status)
        make(scene.site.status)
        scene.send()

    return act


def _log(make: Callable[[Path], object]) -> Callable[[Scene], object]:
    def act(scene: Scene) -> None:
        for path in (scene.site.log(scene.task.run), scene.site.metrics(scene.task.run)):
            remove(path)
            make(path)
        scene.send()

    return act


def _remove_logs(scene: Scene) -> None:
    scene.send()
    remove(scene.site.logs)


def _garbage(path: Path) -> None:
    path.write_bytes(
        b'{"key":"\xff"}\nnot json\n{"key":"a","value":NaN}\n' + b"[" * 100_000 + b"\n\0\n" + os.urandom(5000)
    )


ODD: dict[str, Callable[[Path], object]] = {
    "1 GB": sparse(10**9),
    "garbage": _garbage,
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/etc/shadow"),
}

PRANKS = [
    Crime("rewritten after it was accepted", _rewritten_later, ""),
    crime("ten thousand files", _junk, ""),
    crime("a weight of 0", with_meta("0"), ""),
    crime("text that acts everywhere", lambda s: s.send(metrics={ACTING: 1.0}, meta={ACTING: ACTING}), ""),
    crime("a difference of 1", lambda s: s.send(np.ones((3, 3), np.float32), params_type=ParamsType.DIFF), ""),
    *(crime(f"status: {name}", _status(make), "", mutes=True) for name, make in ODD.items()),
    *(crime(f"log: {name}", _log(make), "") for name, make in ODD.items()),
    crime("no folder of logs", _remove_logs, ""),
]
