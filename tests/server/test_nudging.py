"""What the server tells the carrier of, and what it does not do where one carries its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fltui.exchange.layout import SiteFolder, TaskId
from fltui.exchange.nudge import NoNudge
from fltui.exchange.publish import open_exchange, open_site
from fltui.exchange.signing import NOBODY
from fltui.server.ends import Ends
from tests.server.test_retention import Kept, over
from tests.server.test_round import RUN, Table


class Noted(NoNudge):
    """What was told."""

    on = True

    def __init__(self) -> None:
        self.sites: list[str] = []

    def task(self, site: SiteFolder) -> None:
        """See `Nudge.task`."""
        assert list(site.tasks.glob("*.json"))  # not before it is there
        self.sites.append(site.name)


def test_each_task_is_told_of(tmp_path: Path) -> None:
    table, noted = Table(tmp_path), Noted()
    table.round.place = replace(table.round.place, nudge=noted)
    table.collect(table.both)
    assert noted.sites == ["a", "b"]


def test_each_end_is_told_of(tmp_path: Path) -> None:
    exchange, noted, last = open_exchange(tmp_path), Noted(), TaskId(RUN, 2, "train")
    for name in ("a", "b", "c"):
        open_site(exchange.site(name), "server")
    ends = Ends(exchange, NOBODY, durable=False, nudge=noted)
    ends.drop("c", last, "wrong data")
    ends.complete(["a"], last)
    assert ends.finish(["a", "b"], last, "FINISHED:COMPLETED", "") == []
    assert noted.sites == ["c", "a", "b"]


def test_no_folder_of_a_task_is_used_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=1, nudge="syncthing:/home/fl/.config/syncthing")
    for number in range(3):
        kept.publish(number)
        kept.retention.finished(over(number))
        kept.retention.sweep(None)
        assert kept.retention.spare == {}
        assert kept.tasks == [number]
