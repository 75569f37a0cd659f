"""Launches of scripts for tests, without a job and a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from fltui.client.__main__ import STDOUT_IS_LOG
from fltui.client.config import ClientConfig, Durability
from fltui.exchange.publish import open_exchange, open_site
from fltui.simulator.keys import NO_KEYS
from fltui.simulator.launch import Ended, Launch
from fltui.simulator.processes import Processes

RUN = "test-20260101T000000Z-0000"


def launch(folder: Path, site: str, script: str, *arguments: str, beside: Mapping[str, str] | None = None) -> Launch:
    """The start of a script in a site of the exchange in `folder`.

    Args:
        folder: the test's.
        site: its name.
        script: the text.
        arguments: of the script.
        beside: more files beside the script.
    """
    exchange = open_exchange(folder / "exchange")
    for side in ("server", "site"):
        open_site(exchange.site(site), side)
    custom = folder / "custom" / site
    custom.mkdir(parents=True)
    for name, text in {"script.py": script, **(beside or {})}.items():
        (custom / name).write_text(text)
    log = exchange.site(site).log(RUN)
    log.touch()
    config = ClientConfig(site, str(exchange.root), RUN, durability=Durability.PROCESS)
    environment = {**config.environment(), "FLTUI_KEYS": str(NO_KEYS), STDOUT_IS_LOG: "1"}
    path, tasks = str(custom / "script.py"), str(exchange.site(site).tasks)
    return Launch(site, path, list(arguments), environment, str(custom), str(log), tasks)


async def ends(processes: Processes, launches: list[Launch]) -> dict[str, Ended]:
    """Start them all and wait until they have ended."""
    waited = [await processes.start(one) for one in launches]
    return {ended.site: ended for ended in await asyncio.gather(*waited)}


def said(one: Launch) -> list[str]:
    """The lines of a site's log, without their times."""
    return [line.split(" ", 1)[-1] for line in Path(one.log).read_text().splitlines()]
