"""Results that come after their round."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.layout import ExchangeFolder, TaskId
from fltui.exchange.publish import open_site
from fltui.server.late import LateResults

RUN = "hello-20260131T120000Z-beef"


def task(number: int) -> TaskId:
    return TaskId(RUN, number, "train")


def answer(exchange: ExchangeFolder, site: str, number: int) -> None:
    open_site(exchange.site(site), "site")
    exchange.site(site).result(task(number)).write_text("{}\n")


def test_a_late_answer_is_found_once(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    late = LateResults(exchange, rounds=3)
    late.missed([("a", task(0)), ("b", task(0))])
    assert late.look() == []
    answer(exchange, "b", 0)
    assert late.look() == [("b", task(0))]
    assert late.look() == []
    answer(exchange, "a", 0)
    assert late.look() == [("a", task(0))]


def test_only_the_last_rounds_are_looked_for(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    late = LateResults(exchange, rounds=2)
    for number in range(3):
        late.missed([("a", task(number))])
        answer(exchange, "a", number)
    assert late.look() == [("a", task(1)), ("a", task(2))]


def test_a_folder_that_its_site_has_closed_holds_no_answer(private_folder: Path) -> None:
    exchange = ExchangeFolder(private_folder)
    late = LateResults(exchange, rounds=1)
    late.missed([("a", task(0)), ("b", task(0))])
    for site in ("a", "b"):
        answer(exchange, site, 0)
    exchange.site("a").root.chmod(0)
    assert late.look() == [("b", task(0))]
