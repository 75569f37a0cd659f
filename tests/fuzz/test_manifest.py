"""Whatever is read as a manifest: the product's own refusals, and no more memory than a megabyte of JSON may take."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fltui.errors import ExchangeError
from fltui.exchange.manifest import MANIFEST_LIMIT, Result, Status, decode, encode
from tests.exchange.manifests import as_dict
from tests.fuzz.readers import FOR_JSON, Intake, bounded, good_manifest, memory_for, read_document
from tests.hostile import mutated

FIELDS = ["protocol", "run", "task_id", "in_reply_to", "site", "round", "params_type", "arrays", "metrics", "meta"]
PARTS = ["name", "file", "dtype", "shape", "size", "blake3", "state", "counter", "session", "signature", "kind"]
TEXTS = ["result", "task", "end", "FULL", "DIFF", "<f4", "w.npy", "waiting", "FINISHED:FAILED", "0" * 64, ""]
WORDS = st.sampled_from([*FIELDS, *PARTS, *TEXTS])
NUMBERS = st.sampled_from([0, 1, 2, -1, 2**53, 2**53 + 1, 2**64, 10**30, 1.5, -0.0, 1e308, 5e-324]) | st.integers()
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=True) | WORDS | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A good manifest."""
    return good_manifest(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    """Where a server looks."""
    return Intake(tmp_path)


@settings(max_examples=200)
@given(st.data())
def test_a_mutated_manifest_is_read_or_refused(whole: bytes, intake: Intake, data: st.DataObject) -> None:
    changed = data.draw(mutated(whole))
    with bounded(memory_for(changed)):
        read_document(changed)
    intake.manifest(changed)


@settings(max_examples=150)
@given(st.data())
def test_a_manifest_with_any_values_is_read_or_refused(whole: bytes, intake: Intake, data: st.DataObject) -> None:
    fields = as_dict(whole)
    (entry,) = fields["arrays"]
    for part, most in ((entry, 2), (fields, 3)):
        for name in data.draw(st.lists(st.sampled_from(sorted(part)), max_size=most)):
            part[name] = data.draw(VALUES)
    changed = json.dumps(fields).encode()
    with bounded(memory_for(changed)):
        read_document(changed)
    found = intake.manifest(changed)
    if found is not None:
        assert decode(encode(found), Result, "m.json") == found


@settings(max_examples=150)
@given(VALUES)
def test_any_json_is_read_or_refused(value: object) -> None:
    data = json.dumps(value).encode()
    with bounded(memory_for(data)):
        read_document(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with bounded(memory_for(data)):
        assert not read_document(data)


@pytest.mark.parametrize(
    "piece",
    [
        "[[]]",
        "[" * 900 + "]" * 900,
        '"ab"',
    ],
    ids=lambda piece: piece[:8],
)
def test_the_worst_megabyte_stays_within_bounds(whole: bytes, piece: str) -> None:
    head = whole.replace(b'"meta"', b'"meta": {"x": [@]}, "metaa"').split(b"@")[0]
    count = (MANIFEST_LIMIT - len(head) - 10) // (len(piece.encode()) + 1)
    data = head + ",".join([piece] * count).encode() + b"]}}"
    assert len(data) <= MANIFEST_LIMIT
    with bounded(FOR_JSON), suppress(ExchangeError):
        decode(data, Result, "m.json")


def test_a_status_is_one_of_the_documents() -> None:
    status = Status(1, "a", "waiting", 1, "s")
    assert read_document(encode(status)) == [status]
