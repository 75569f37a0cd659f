"""Whatever lies where an array is expected: its own elements or the product's own refusals, in bounded memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import DTYPES, write_array
from tests.fuzz.readers import Intake
from tests.hostile import mutated

HEADS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    st.sampled_from(["'<f4'", "'|O'", "'>f4'", "'<f8'", "'<U9'", "[('a', '<f4')]", "'<f4", "''", "(" * 50]),
    st.sampled_from(["False", "True", "0", "None"]),
    st.sampled_from(
        ["(2, 3)", "(6,)", "()", "(1000000000000,)", "(-2, -3)", "(2, 3, )", "[2, 3]", "(" * 90, "(2.0, 3)"]
    ),
)
VERSIONS = st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\xff\xff", b"\x01\x01"])
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*sorted(DTYPES), "|O", ">f4", "<c8", "", "<f4', 'x"]),
        "shape": st.lists(st.integers(0, 4) | st.sampled_from([2**31, 10**12, 2**47]), max_size=33),
        "size": st.integers(0, 400) | st.sampled_from([2**31, 2**62]),
    },
)


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    """Where a server looks."""
    return Intake(tmp_path)


@pytest.fixture
def array() -> NDArray[Any]:
    """A small model."""
    return np.arange(6, dtype=np.float32).reshape(2, 3)


def whole(folder: Path, array: NDArray[Any]) -> tuple[bytes, ArrayEntry]:
    """A good file and its entry."""
    entry = write_array(folder / "good.npy", "w", array, file="w.npy")
    return (folder / "good.npy").read_bytes(), entry


def as_numpy_reads(data: bytes) -> bytes:
    """The elements that NumPy finds in a file that was taken."""
    found: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found.tobytes()


@pytest.mark.parametrize("honest", [True, False])
@settings(max_examples=150)
@given(data=st.data())
def test_a_mutated_array_is_read_as_numpy_does_or_refused(
    intake: Intake, array: NDArray[Any], honest: bool, data: st.DataObject
) -> None:
    good, entry = whole(intake.store.parent, array)
    changed = data.draw(mutated(good))
    found = intake.array(changed, entry, honest=honest)
    if found is not None:
        assert found == as_numpy_reads(changed)
    if not honest:
        assert found is None or changed == good


@settings(max_examples=150)
@given(HEADS, VERSIONS, st.integers(0, 2**16 - 1) | st.none(), st.binary(max_size=40))
def test_any_header_is_read_as_numpy_does_or_refused(
    intake: Intake, array: NDArray[Any], head: str, version: bytes, length: int | None, rest: bytes
) -> None:
    good, entry = whole(intake.store.parent, array)
    body = head.encode().ljust(117) + b"\n"
    length = len(body) if length is None else length
    data = b"\x93NUMPY" + version + length.to_bytes(2, "little") + body + rest
    for content in (data, data[: len(good)].ljust(len(good), b"\0")):
        found = intake.array(content, entry)
        if found is not None:
            assert found == as_numpy_reads(content)


@settings(max_examples=150)
@given(CLAIMS)
def test_any_claim_about_an_array_is_true_or_refused(
    intake: Intake, array: NDArray[Any], claim: dict[str, Any]
) -> None:
    good, entry = whole(intake.store.parent, array)
    claimed = msgspec.structs.replace(entry, **claim)
    found = intake.array(good, claimed)
    if found is not None:
        assert (claimed.dtype, claimed.shape) == (entry.dtype, entry.shape)
        assert found == array.tobytes()
