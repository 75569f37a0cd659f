"""Signs of life, and what nobody reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fltui.exchange.doctor import contents, probes, pulse
from fltui.exchange.doctor.examine import about
from fltui.exchange.doctor.finding import Level
from fltui.exchange.doctor.layout import site_folders
from tests.exchange.doctor.sites import exchange_with, say


def test_life_is_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = exchange_with(tmp_path, "alive", "dead", "done", "broken")
    say(exchange, "done", "finished", 2)
    say(exchange, "broken", "failed", 2, "ValueError")
    (exchange.root / "fresh" / "tasks").mkdir(parents=True)
    (exchange.site("fresh").root / "results").mkdir()
    monkeypatch.setattr(pulse, "WATCHED", 0.02)
    signs = pulse.Pulse(list(site_folders(exchange)))
    say(exchange, "alive", "training", 2)
    found = {one.name: one for one in signs.findings()}
    assert found["site alive"].level is Level.OK
    assert "alive" in found["site alive"].seen
    assert found["site dead"].level is Level.NOTE
    assert "nothing changed in 0.02 s" in found["site dead"].seen
    assert found["site done"].seen == "finished"
    assert found["site broken"].seen == "failed: ValueError"
    assert found["sites to come"].seen.startswith("fresh: there is no status.json yet")


def test_a_status_that_is_none_is_a_warning(tmp_path: Path) -> None:
    exchange = exchange_with(tmp_path, "a")
    exchange.site("a").status.write_text("{")
    (found,) = pulse.Pulse(list(site_folders(exchange))).findings()
    assert found.level is Level.WARNING


def test_what_nobody_reads_is_listed(tmp_path: Path) -> None:
    exchange = exchange_with(tmp_path, "a")
    site = exchange.site("a")
    sites = [site]
    now = site.root.stat().st_mtime
    assert [one.level for one in contents.leftovers(exchange, sites, sites, now)] == [Level.OK]
    (site.results / "hello-20260101T000000Z-abcd.r0000.train.a01.sync-conflict-20260101-120000-ABC.json").touch()
    (site.staging("site") / "half").write_bytes(bytes(2000))
    (site.staging("site") / "new").touch()
    os.utime(site.staging("site") / "half", (now - 7200, now - 7200))
    (exchange.root / f"{probes.PROBE}dead").mkdir()
    (site.tasks / "notes.txt").touch()
    (exchange.root / "holiday.jpg").touch()
    found = {one.name: one for one in contents.leftovers(exchange, sites, sites, now)}
    assert found["conflict copies"].level is Level.WARNING
    assert found["conflict copies"].seen.startswith("1 conflict copies")
    assert "2 temporary files, 2.0 KiB" in found["leftovers"].seen
    assert "a/.syncthing.fltui.site/half" in found["leftovers"].seen
    assert "2 names that fltui does not know: a/tasks/notes.txt, holiday.jpg" in found["unknown names"].seen


def test_an_exchange_of_another_protocol_is_unsafe(tmp_path: Path) -> None:
    exchange = exchange_with(tmp_path)
    exchange.about.write_text('{"protocol": 2, "exchange_id": "x"}')
    assert about(exchange).level is Level.UNSAFE
    exchange.about.unlink()
    (exchange.root / "other").touch()
    assert about(exchange).seen.endswith("in it now: other")
