"""What is written below an array."""

from __future__ import annotations

from fltui.console.arrays.heat import ColourScale
from fltui.console.arrays.statistics import Findings, Statistics
from fltui.console.widgets.figures import legend, statistics_parts
from fltui.console.widgets.parts import Part


def text_of(*parts: Part) -> str:
    """The texts of the parts."""
    return "  ".join("".join(text for text, _ in part.pieces) for part in parts)


KNOWN = Statistics(3, 2.0, 6.0, 10.0, 19.596)


def test_an_array_has_its_statistics_and_how_far_it_is_away() -> None:
    parts = statistics_parts(Findings(KNOWN, distance=3.0), signed=False, whole=False)
    assert text_of(*parts) == "min 2.000  mean 6.000  max 10.000  ‖x‖ 19.596  ‖Δ‖ 3.000  NaN 0  Inf 0"
    assert "‖Δ‖" not in text_of(*statistics_parts(Findings(KNOWN), signed=False, whole=False))


def test_the_norm_of_a_difference_is_how_far_it_goes() -> None:
    assert "mean 6.000  max 10.000  ‖Δ‖ 19.596" in text_of(*statistics_parts(Findings(KNOWN), signed=True, whole=False))


def test_whole_numbers_are_written_so() -> None:
    assert text_of(*statistics_parts(Findings(KNOWN), signed=False, whole=True)).startswith("min 2  mean 6.000  max 10")


def test_what_is_no_number_is_told_before_anything_else_is_left_out() -> None:
    nan, infinite = statistics_parts(Findings(Statistics(0, nan=2, above=1, below=1)), signed=False, whole=False)[-2:]
    assert text_of(nan, infinite) == "NaN 2  Inf 2"
    assert (nan.rank, infinite.rank) == (0, 0)
    assert nan.pieces[1][1] == "error"


def test_without_finite_numbers_or_statistics_there_is_nothing_to_tell() -> None:
    assert text_of(*statistics_parts(Findings(Statistics()), signed=False, whole=False)).startswith(
        "min -  mean -  max -"
    )
    assert statistics_parts(Findings(), signed=False, whole=False) == []


def test_the_legend_has_the_ends_of_the_scale_and_glyphs_without_colours() -> None:
    scale = ColourScale(-1.0, 1.0, signed=True)
    assert text_of(legend(scale, plain=True, dark=True, whole=False)) == "-1.000 @#+=:  :=+#@ 1.000"
    coloured = legend(scale, plain=False, dark=True, whole=False)
    assert text_of(coloured) == f"-1.000 {' ' * 12} 1.000"
    assert len({str(style) for _, style in coloured.pieces[1:-1]}) == 12
