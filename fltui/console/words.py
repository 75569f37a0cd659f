"""How runs are told: states as words and glyphs, ids and times as short text."""

from __future__ import annotations

import time

from fltui.exchange.manifest import SiteActivity
from fltui.queue.entries import Standing
from fltui.run.events import RunStatus
from fltui.run.folder import RunFolder

_STATES = {
    RunStatus.SUBMITTED: ("○", "SUBMITTED", "muted"),
    RunStatus.RUNNING: ("●", "RUNNING", "running"),
    RunStatus.PAUSED: ("‖", "PAUSED", "warning"),
    RunStatus.COMPLETED: ("✓", "COMPLETED", "success"),
    RunStatus.ABORTED: ("■", "ABORTED", "warning"),
    RunStatus.FAILED: ("✗", "FAILED", "error"),
}


def state_words(status: RunStatus | None, *, alive: bool) -> tuple[str, str, str]:
    """Glyph, word and style of a run's state; None is a run that cannot be read.

    A run that has not ended and that nobody here holds is ``NO SERVER``: its server died, or lives on another machine.
    """
    if status is None:
        return "?", "UNREADABLE", "error"
    if not alive and not status.is_finished:
        return "◌", "NO SERVER", "warning"
    return _STATES[status]


def entry_words(standing: Standing | None, status: RunStatus) -> tuple[str, str, str]:
    """Glyph, word and style of an entry of a queue; None is one that cannot be read."""
    if standing is None:
        return "?", "UNREADABLE", "error"
    if standing is Standing.WAITING:
        return "○", "WAITING", "muted"
    if standing is Standing.RUNNING and status is RunStatus.SUBMITTED:
        return "◔", "STARTING", "running"
    return _STATES[status]


_SITES = {
    "starting": ("◔", "starting", ""),
    "waiting": ("○", "idle", ""),
    "training": ("◐", "training", "running"),
    "finished": ("–", "gone", "muted"),  # noqa: RUF001 - a dash
    "failed": ("✗", "failed", "error"),
}


def site_words(state: SiteActivity, *, silent: bool) -> tuple[str, str, str]:
    """Glyph, word and style of what a site does; `silent` if it has not been heard of for long."""
    return ("◌", "silent", "warning") if silent else _SITES[state]


def short_id(folder: RunFolder) -> str:
    """The end of a run's id, which tells the runs of one job apart: ``#3f2a``."""
    return f"#{folder.run.rpartition('-')[2][:8]}"


def clock_text(seconds: float) -> str:
    """``00:00:00.42``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int(max(0.0, seconds) % 1 * 100):02}"


def date_text(epoch: float) -> str:
    """``2026-01-31 12:00`` in this machine's time zone; empty for none."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch)) if epoch > 0 else ""
