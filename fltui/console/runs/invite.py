"""Which sites a served run waits for, and the command that starts each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fltui.console.runs.view import RunView
from fltui.console.safe import safe
from fltui.exchange.layout import is_site
from fltui.job.invitation import client_command

ANYBODY = "NAME"
"""Stands for the site that a person adds."""

_SHOWN = 3
"""Commands that are shown; all are copied."""


def missing_sites(view: RunView) -> list[str]:
    """The sites that are not there and may still come; `ANYBODY` where any site may. Empty once all are."""
    state = view.state
    if state.mode != "server" or state.status.is_finished or not view.alive or view.played:
        return []
    if not state.sites:
        return [ANYBODY]
    names = [name for name, site in state.sites.items() if site.state in ("expected", "lost") and not site.dropped]
    return [name for name in names if is_site(name)]


def commands(names: Sequence[str], job: Path, exchange: Path) -> dict[str, str]:
    """Site to the line for a shell that starts it. Reads the job: not for the app's thread."""
    return {name: client_command(job, name, exchange) for name in names}


def invitation(found: dict[str, str], missing: int) -> str:
    """What to do so that the run can begin, harmless; empty if nobody is missing."""
    if not found:
        return ""
    lines = [f"  {safe(command)}" for command in list(found.values())[:_SHOWN]]
    if missing > _SHOWN:
        lines.append(f"  … and {missing - _SHOWN} more")
    return "\n".join(["waiting for sites; start each in a shell of its own (c copies):", *lines])
