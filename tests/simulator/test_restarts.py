"""How often, and how, a script is started again that lost its worker."""

from __future__ import annotations

import asyncio
from collections import Counter

from fltui.simulator.launch import Ended
from fltui.simulator.restarts import MOST, SUSPECT, Restarts


class _Site:
    """Starts that a test ends."""

    def __init__(self) -> None:
        self.starts: list[asyncio.Future[Ended]] = []

    async def start(self) -> asyncio.Future[Ended]:
        self.starts.append(asyncio.get_running_loop().create_future())
        return self.starts[-1]


async def _turns() -> None:
    """Let everybody go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_site_that_never_answers_is_started_so_often() -> None:
    restarts = Restarts(lambda site: 0)
    assert [restarts.count_loss("a", asked=True) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [restarts.count_loss("b", asked=False) for _ in range(MOST)] == [True] * (MOST - 1) + [False]
    assert (restarts.losses["a"], restarts.losses["b"]) == (6, MOST)


async def test_an_answer_begins_the_count_anew() -> None:
    answers = Counter[str]()
    restarts = Restarts(lambda site: answers[site])
    for _ in range(100):
        answers["a"] += 1
        assert restarts.count_loss("a", asked=True)
    assert [restarts.count_loss("a", asked=True) for _ in range(4)] == [True] * 3 + [False]


async def test_all_start_at_once_after_a_first_loss_and_alone_after_more() -> None:
    answers = Counter[str]()
    restarts, sites = Restarts(lambda site: answers[site]), {name: _Site() for name in "abc"}
    for starts in ([1, 1, 1], [2, 1, 1]):
        tasks = {n: restarts.start(n, site.start) for n, site in sites.items() if restarts.count_loss(n, asked=True)}
        await _turns()
        assert [len(site.starts) for site in sites.values()] == starts
    sites["a"].starts[-1].set_result(Ended("a", 0, 0, again=True))  # who is to blame goes down alone
    assert (await tasks["a"]).again
    while len(sites["b"].starts) < 2:
        await asyncio.sleep(0)
    assert len(sites["c"].starts) == 1
    answers["b"] += 1
    while len(sites["c"].starts) < 2:
        await asyncio.sleep(0)
    for name in "bc":
        sites[name].starts[-1].set_result(Ended(name, 1, 0))
        assert await tasks[name] == Ended(name, 1, 0)


async def test_who_is_dropped_in_line_is_not_started() -> None:
    restarts, sites = Restarts(lambda site: 0), {name: _Site() for name in "ab"}
    for name in sites:
        assert all(restarts.count_loss(name, asked=False) for _ in range(SUSPECT))
    tasks = [restarts.start(name, site.start) for name, site in sites.items()]
    await _turns()
    restarts.forget("ab")
    sites["a"].starts[-1].set_result(Ended("a", 1, 0))
    assert await tasks[0] == Ended("a", 1, 0)
    await asyncio.wait(tasks)
    assert (tasks[1].cancelled(), sites["b"].starts) == (True, [])
