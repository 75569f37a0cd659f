"""Times and values in the few cells of a column. Sizes are told by `fltui.exchange.sizes.size_text`, as in the log."""

from __future__ import annotations

from collections.abc import Mapping

_CELLS = 8


def duration_text(seconds: float) -> str:
    """``4 ms``, ``0.42 s``, ``12.3 s``, ``4m05s``: seven cells at most, for anything under a year."""
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.2g} ms"
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02}m"


def value_text(value: float) -> str:
    """Four digits, trailing zeros too, so that a column lines up: ``0.6000``, ``5.000``, ``nan``.

    Fewer where they would not fit into eight cells: ``1.23e-05``, ``-1.2e-05``, ``-1e-300``; ``12345`` stays whole.
    """
    if 1e4 <= abs(value) < 1e7:
        return f"{value:.0f}"
    texts = (f"{value:#.{digits}g}".removesuffix(".") for digits in (4, 3, 2))
    return next((text for text in texts if len(text) <= _CELLS), f"{value:.0e}")


def metric_text(metrics: Mapping[str, float]) -> str:
    """The first metric by name: ``accuracy 0.91``; empty without metrics."""
    return next((f"{name} {value:.4g}" for name, value in sorted(metrics.items())), "")
