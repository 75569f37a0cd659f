"""Which sites a served run waits for, and the command that starts each."""

from __future__ import annotations

from pathlib import Path

from fltui.console.safe import safe
from fltui.console.view import RunView
from fltui.job.invitation import client_command


def missing_sites(view: RunView) -> dict[str, str]:
    """Site to command, for the sites that are not there; ``NAME`` stands for whoever comes."""
    state = view.state
    if state.mode != "server" or state.status.is_finished:
        return {}
    exchange = Path(state.exchange)
    names = [name for name, site in state.sites.items() if site.state in ("expected", "lost") and not site.dropped]
    if not state.sites:
        names = ["NAME"]
    return {name: safe(client_command(view.folder.job, name, exchange)) for name in names}
