"""To wait for a lock."""

from __future__ import annotations

from pathlib import Path

from fltui.exchange.lock import hold, let_go
from fltui.exchange.released import until_released


async def test_it_is_waited_for_until_it_is_free(tmp_path: Path) -> None:
    path, waits = tmp_path / "lock", list[float]()
    fd = hold(path)
    assert fd is not None

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            let_go(path, fd)

    await until_released(path, 100, wait)
    assert waits == [0.01, 0.02, 0.04]


async def test_it_is_not_waited_for_longer_than_it_is_wanted(tmp_path: Path) -> None:
    path, waits = tmp_path / "lock", list[float]()
    fd = hold(path)
    assert fd is not None

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    await until_released(path, 100, wait, unless=lambda: len(waits) == 2)
    await until_released(path, 0, wait)
    assert len(waits) == 2
    let_go(path, fd)
