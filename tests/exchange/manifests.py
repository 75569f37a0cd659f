"""Manifests to start from; a test replaces the field it is about."""

from __future__ import annotations

import json
from typing import Any

from fltui.exchange.layout import PROTOCOL
from fltui.exchange.manifest import ArrayEntry, Result, Task
from fltui.model import ParamsType

RUN = "hello-20260131T120000Z-beef"
TASK_ID = f"{RUN}.r0003.train.a01"


def task(*arrays: ArrayEntry) -> Task:
    """The task of site-1 in round 3."""
    return Task(PROTOCOL, RUN, TASK_ID, "train", "site-1", 3, 0, 5, ParamsType.FULL, list(arrays))


def result(*arrays: ArrayEntry, in_reply_to: str = "0" * 64, **meta: Any) -> Result:
    """The answer of site-1 to `task`."""
    return Result(
        PROTOCOL,
        RUN,
        TASK_ID,
        in_reply_to,
        "site-1",
        3,
        ParamsType.FULL,
        list(arrays),
        {"accuracy": 0.5},
        {"NUM_STEPS_CURRENT_ROUND": 8, **meta},
    )


def as_dict(data: bytes) -> dict[str, Any]:
    """A manifest as JSON values, to be changed and written again."""
    found: dict[str, Any] = json.loads(data)
    return found
