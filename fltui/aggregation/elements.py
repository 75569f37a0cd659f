"""Elements of a block: read as float64, cast to a parameter's dtype, measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fltui.aggregation.blocks import Source

_SLACK = 1 + 2.0**-40
"""How far, relatively, the mean of large integers may be beyond its dtype by rounding alone."""

_ONE_CORE = 1 << 13
"""Elements that BLAS multiplies without other cores: it would wait for them when others are at work there, and the bits
would depend on how many there are."""


def read(source: Source, start: int, out: NDArray[np.floating[Any]], scratch: NDArray[np.float64]) -> None:
    """Read elements as floats of the dtype of `out`, which can hold them; others than those into `scratch` first."""
    if source.dtype == out.dtype:
        source.read(start, out)
    else:
        raw = scratch.view(source.dtype)[: out.size]
        source.read(start, raw)
        np.copyto(out, raw)


def cast(values: NDArray[np.float64], out: NDArray[Any]) -> NDArray[Any]:
    """The values in the dtype of `out`, which takes them; integers and truth values are rounded to the nearest.

    Raises:
        ValueError: one does not fit.
    """
    dtype = out.dtype
    if dtype.kind == "f":
        np.copyto(out, values, casting="unsafe")
        return out
    rounded = np.rint(values)
    if dtype.kind == "b":
        np.copyto(out, rounded, casting="unsafe")
        return out
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    if not ((rounded >= least * _SLACK) & (rounded <= most * _SLACK)).all():
        raise ValueError(f"the next model does not fit into {dtype}")
    np.copyto(out, np.where(rounded < float(most), rounded, 0), casting="unsafe")  # 2**63 - 1 is no float64
    out[rounded >= float(most)] = most
    return out


def norm_of(values: NDArray[np.float64]) -> float:
    """The Euclidean norm of 1-D values."""
    pieces = (values[start : start + _ONE_CORE] for start in range(0, values.size, _ONE_CORE))
    square = sum(float(np.dot(piece, piece)) for piece in pieces)
    if math.isfinite(square):
        return math.sqrt(square)
    scale = float(np.abs(values).max())
    return scale * math.sqrt(float(np.dot(values / scale, values / scale))) if math.isfinite(scale) else math.inf
