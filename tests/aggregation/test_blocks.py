from __future__ import annotations

import numpy as np
import pytest

from fltui.aggregation import blocks
from fltui.aggregation.blocks import ArraySource, spans


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, []), (1, [(0, 1)]), (4, [(0, 4)]), (9, [(0, 4), (4, 4), (8, 1)])],
)
def test_spans_cover_an_array_once(monkeypatch: pytest.MonkeyPatch, size: int, expected: list[tuple[int, int]]) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 4)
    assert list(spans(size)) == expected


def test_an_array_is_read_in_c_order_whatever_its_layout() -> None:
    source = ArraySource(np.asfortranarray([[1, 2, 3], [4, 5, 6]]))
    out = np.empty(3, source.dtype)
    source.read(2, out)
    assert out.tolist() == [3, 4, 5]
    assert source.size == 6
