"""Numbers as colours and glyphs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fltui.console.arrays.heat import GLYPHS, LEVELS, ColourScale, glyphs, styles


def test_a_scale_runs_from_the_lowest_to_the_highest_number() -> None:
    scale = ColourScale.over(-1.0, 3.0, signed=False)
    found = scale.levels(np.array([-1.0, 1.0, 3.0, -9.0, 9.0, np.nan, np.inf, -np.inf]))
    assert found.tolist() == [0, 31, 62, 0, 62, 31, 62, 0]


def test_a_scale_of_differences_has_0_in_the_middle_and_shows_nothing_else_as_0() -> None:
    scale = ColourScale.over(-1.0, 4.0, signed=True)
    assert (scale.low, scale.high) == (-4.0, 4.0)
    assert scale.levels(np.array([0.0, -4.0, 4.0, 1e-9, -1e-9])).tolist() == [31, 0, 62, 32, 30]


@pytest.mark.parametrize("ends", [(1.0, 1.0), (0.0, 0.0), (math.nan, math.nan), (-1.7e308, 1.7e308), (0.0, 5e-324)])
@pytest.mark.parametrize("signed", [True, False])
def test_a_scale_of_any_ends_gives_a_level(ends: tuple[float, float], signed: bool) -> None:
    scale = ColourScale.over(*ends, signed=signed)
    assert scale == ColourScale.over(*ends, signed=signed)
    found = scale.levels(np.array([*ends, 0.0, 1e308, np.nan]))
    assert found.min() >= 0
    assert found.max() < LEVELS


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_there_are_at_most_64_styles_and_all_can_be_read(dark: bool, signed: bool) -> None:
    found = styles(signed=signed, dark=dark)
    assert len(found) == LEVELS <= 64
    assert all(style.color is not None and style.bgcolor is not None for style in found)
    assert len(set(found)) == LEVELS


def test_glyphs_take_the_place_of_colours() -> None:
    assert "".join(dict.fromkeys(mark[0] for mark in glyphs(signed=False))) == GLYPHS
    signed = glyphs(signed=True)
    assert (signed[0], signed[LEVELS // 2], signed[-1]) == ("-@", "  ", "+@")
    assert {mark[0] for mark in signed[: LEVELS // 2]} == {"-"}
