"""Jobs with code of their own, for tests: every test has names of its own, since a process loads a module once."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

FILTER = """
    from dataclasses import dataclass

    from fltui import Filter


    @dataclass(frozen=True)
    class Scaled(Filter):
        factor: float = 0.5

        def result(self, view):
            def change(name, start, values):
                values *= self.factor

            return change
"""

WORKFLOW = """
    from dataclasses import dataclass

    from fltui import FedAvg


    @dataclass(frozen=True)
    class Twice(FedAvg):
        extra: int = 1

        @property
        def title(self):
            return f"Twice {self.extra}"
"""


def put(path: Path, text: str) -> Path:
    """Write a module."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())
    return path


def job_folder(
    folder: Path,
    *,
    workflow: dict[str, Any] | None = None,
    filters: list[Any] | None = None,
    site_filters: list[Any] | None = None,
    app: str = "",
) -> Path:
    """A job folder of one site, written by hand.

    Args:
        folder: where.
        workflow: path and arguments; averaging if not given.
        filters: of the averaging.
        site_filters: of the site.
        app: the one folder of an app for all sites; the server and site ``a`` have their own if not given.
    """
    deploy = {app: ["@ALL"]} if app else {"app_server": ["server"], "app_a": ["a"]}
    args: dict[str, Any] = {"num_clients": 1, "num_rounds": 1}
    args |= {} if filters is None else {"filters": filters}
    server = {"workflows": [workflow or {"path": "fltui.workflows.fedavg.FedAvg", "args": args}]}
    executor = {"path": "fltui.job.executors.ScriptExecutor", "args": {"task_script_path": "train.py"}}
    client: dict[str, Any] = {"executors": [{"executor": executor}]}
    if site_filters is not None:
        client["task_result_filters"] = [{"filters": site_filters}]
    for place, name, value in (
        (app or "app_server", "config_fed_server.json", server),
        (app or "app_a", "config_fed_client.json", client),
    ):
        config = folder / place / "config" / name
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(value))
    put(folder / (app or "app_a") / "custom" / "train.py", "print('trains elsewhere')\n")
    (folder / "meta.json").write_text(json.dumps({"name": folder.name, "deploy_map": deploy}))
    return folder
