"""The status of a site: when it is written, and when it waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fltui.client import heartbeat
from fltui.client.heartbeat import Heartbeat
from fltui.exchange.collect import read_status
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import Status
from fltui.exchange.publish import open_site

HOUR = 3600.0


def test_a_rare_status_tells_the_first_and_the_last_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK", "_SOONEST"):  # else it would be written without end
        monkeypatch.setattr(heartbeat, name, 0.0)
    site = ExchangeFolder(tmp_path).site("a")
    open_site(site, "site")

    def status() -> Status:
        read = read_status(site)
        assert read is not None
        return read

    found = Heartbeat(site, "run", HOUR)
    assert (status().state, status().counter) == ("starting", 1)
    found.say("waiting", run="run")
    while status().state == "starting":
        threading.Event().wait(0.001)
    found.say("training", run="run")  # within the hour: nobody is told
    found.finish("failed", run="run", reason="boom")
    assert (status().state, status().reason, status().counter) == ("failed", "boom", 3)
    again = Heartbeat(site, "run", HOUR, state="failed", reason="boom")  # it says at once what was said before
    assert (status().state, status().reason, status().counter) == ("failed", "boom", 1)
    again.finish("finished")
