"""How long a large matrix takes to open and to scroll: ``python -m benchmarks.console_matrix``."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from textual.app import App, ComposeResult

from fltui.console.arrays.files import ArrayFile
from fltui.console.arrays.heat import ColourScale
from fltui.console.arrays.numerals import Numerals
from fltui.console.arrays.slices import first_slice
from fltui.console.arrays.statistics import sample_of, statistics_of
from fltui.console.widgets.matrix import MatrixView, Mode

_SIDE = 5000
_FRAMES = 60
_SIZE = (160, 48)


class _Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield MatrixView()


def _show(view: MatrixView, path: Path) -> None:
    """What the panel does: open, look at a sample, show."""
    array = ArrayFile.open(path)
    sample = sample_of(array)
    scale = ColourScale.over(sample.minimum, sample.maximum, signed=True)
    view.show(array, first_slice(array.shape), Numerals.of(array.dtype, sample), scale)


def _draw(view: MatrixView) -> None:
    """All lines of the widget, styles and all, as Textual's compositor asks for them."""
    view.render_lines(view.size.region)


async def _measure(path: Path) -> dict[str, float]:
    app = _Bench()
    found: dict[str, float] = {}
    modes: tuple[Mode, ...] = ("values", "heat")
    async with app.run_test(size=_SIZE) as pilot:
        view = app.query_one(MatrixView)
        begun = time.perf_counter()
        _show(view, path)
        _draw(view)
        found["matrix_open_ms"] = (time.perf_counter() - begun) * 1000
        await pilot.pause()
        for mode in modes:
            view.mode = mode
            await pilot.pause()
            view.begin()
            drawn: list[float] = []
            whole: list[float] = []
            for number in range(_FRAMES):
                begun = time.perf_counter()
                view.action_move_page(1, 0) if number % 2 else view.action_move_page(0, 1)
                _draw(view)
                drawn.append(time.perf_counter() - begun)
                await pilot.pause()
                whole.append(time.perf_counter() - begun)
            found[f"matrix_{mode}_frame_ms"] = statistics.median(drawn) * 1000
            found[f"matrix_{mode}_worst_frame_ms"] = max(drawn) * 1000
            found[f"matrix_{mode}_frame_with_app_ms"] = statistics.median(whole) * 1000
    begun = time.perf_counter()
    statistics_of(ArrayFile.open(path))
    found["matrix_statistics_ms"] = (time.perf_counter() - begun) * 1000
    return found


def measure() -> dict[str, float]:
    """Milliseconds to open a 5000x5000 float32 matrix, to draw a scrolled frame of it, and to count it all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        np.save(path, np.random.default_rng(1).standard_normal((_SIDE, _SIDE), np.float32))
        return asyncio.run(_measure(path))


def main() -> None:
    """Print what was measured."""
    for name, value in measure().items():
        print(f"{name:32} {value:10.2f}")


if __name__ == "__main__":
    main()
