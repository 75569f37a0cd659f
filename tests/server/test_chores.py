from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.publish import open_exchange
from fltui.server.chores import Chores


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def exchange(tmp_path: Path) -> ExchangeFolder:
    return open_exchange(tmp_path / "exchange")


def test_everything_is_looked_at_in_order(exchange: ExchangeFolder) -> None:
    seen: list[str] = []
    Chores(exchange, (lambda: seen.append("a"), lambda: seen.append("b"))).do()
    assert seen == ["a", "b"]


@pytest.mark.parametrize(("took", "rests"), [(0.0, 0.25), (0.05, 1.0), (9.0, 2.0)])
def test_the_longer_they_take_the_longer_they_rest(
    exchange: ExchangeFolder, clock: Clock, took: float, rests: float
) -> None:
    def work() -> None:
        clock.now += took

    def due_after(seconds: float) -> bool:
        clock.now += seconds
        return chores.are_due

    chores = Chores(exchange, (work,))
    assert due_after(0)
    chores.do()
    assert not due_after(rests - 0.01)
    assert due_after(0.02)


def test_another_exchange_in_the_same_place_is_none(exchange: ExchangeFolder) -> None:
    chores = Chores(exchange, ())
    exchange.about.unlink()
    open_exchange(exchange.root)
    with pytest.raises(FileNotFoundError) as raised:
        chores.do()
    assert raised.value.filename == str(exchange.about)


def test_room_is_looked_for_now_and_then(
    exchange: ExchangeFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(root: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(root))

    monkeypatch.setattr("fltui.server.chores.look_for_room", full)
    chores = Chores(exchange, ())
    chores.do()
    clock.now += 3
    with pytest.raises(OSError, match="No space left"):
        chores.do()
