"""The text of a slice."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.console.arrays.slices import Index, first_slice, fits, next_slice, parse_slice, plane_of, slice_text
from fltui.errors import BadInputError
from tests.console.arrays.test_files import slices


@given(slices())
def test_the_text_of_a_slice_is_read_as_that_slice(found: tuple[tuple[int, ...], Index]) -> None:
    shape, index = found
    assert fits(index, shape)
    assert parse_slice(slice_text(index), shape) == index


@given(slices(), st.integers(-50, 50))
def test_as_many_steps_back_lead_to_the_same_slice(found: tuple[tuple[int, ...], Index], steps: int) -> None:
    shape, index = found
    assert next_slice(next_slice(index, shape, steps), shape, -steps) == index


@given(st.text(max_size=20), slices())
def test_any_text_gives_a_slice_or_a_sentence(text: str, found: tuple[tuple[int, ...], Index]) -> None:
    shape, _ = found
    try:
        assert fits(parse_slice(text, shape), shape)
    except BadInputError as error:
        assert str(error).isprintable()


def test_slices_are_read_as_people_write_them() -> None:
    shape = (4, 2, 5, 5)
    assert parse_slice("[3, 0, :, :]", shape) == (3, 0, None, None)
    assert parse_slice("3,0,:,:", shape) == (3, 0, None, None)
    assert parse_slice(" [ -1 , : , : , -5, ] ", shape) == (3, None, None, 0)
    assert parse_slice("", ()) == ()
    assert parse_slice("[:]", (7,)) == (None,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[0, :, :]", "the array has 4 axes, such as [0, 0, :, :]"),
        ("[0, 0, 0, :]", "2 axes are shown and stand as ':', such as [0, 0, :, :]"),
        ("[4, 0, :, :]", "axis 0 has 4 places, 0 to 3: there is no 4"),
        ("[0, -3, :, :]", "axis 1 has 2 places, 0 to 1: there is no -3"),
        ("[x, 0, :, :]", "'x' is neither a whole number nor ':'"),
        ("[\x1b[2J, 0, :, :]", "is neither a whole number nor ':'"),
        ("[9999999999999999999, 0, :, :]", "is neither a whole number nor ':'"),
    ],
)
def test_what_is_no_slice_is_told_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(sentence)) as caught:
        parse_slice(text, (4, 2, 5, 5))
    assert str(caught.value).isprintable()


def test_slices_follow_each_other_like_the_digits_of_a_clock() -> None:
    index = first_slice((2, 3, 4, 4))
    texts = []
    for _ in range(7):
        texts.append(slice_text(index))
        index = next_slice(index, (2, 3, 4, 4), 1)
    assert texts[:4] == ["[0, 0, :, :]", "[0, 1, :, :]", "[0, 2, :, :]", "[1, 0, :, :]"]
    assert texts[6] == texts[0]
    assert next_slice((None, None), (3, 3), 1) == (None, None)


def test_elements_of_a_plane_know_their_index() -> None:
    assert plane_of((4, 5, 6), (None, 2, None)).element(3, 1) == (3, 2, 1)
    ten = plane_of((25,), (None,))
    assert (ten.rows, ten.columns, ten.columns_in(2), ten.label(2), ten.element(2, 4)) == (3, 10, 5, 20, (24,))
    assert plane_of((), ()).element(0, 0) == ()
    with pytest.raises(BadInputError, match="is not a slice of an array of shape"):
        plane_of((2, 2), (0, None))
