from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.errors import NotYetError, RefusedError
from fltui.exchange import manifest
from fltui.exchange.manifest import (
    LAST_STEP,
    MALFORMED,
    MANIFEST_LIMIT,
    ArrayEntry,
    End,
    ExchangeAbout,
    Logged,
    Result,
    RunOutcome,
    Status,
    Task,
    decode,
    decode_manifest,
    digest,
    encode,
)
from fltui.model import ParamsType
from tests.exchange.manifests import as_dict, result, task
from tests.hostile import spoilt

texts = st.text(max_size=20)
counts = st.integers(0, 2**40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
entries = st.builds(
    ArrayEntry,
    name=st.text(min_size=1, max_size=20),
    file=texts,
    dtype=texts,
    shape=st.lists(counts, max_size=3),
    size=counts,
    blake3=digests,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
metas = st.dictionaries(texts, json_values, max_size=3)
kinds = st.sampled_from(ParamsType)
tasks = st.builds(
    Task,
    protocol=st.just(1),
    run=texts,
    task_id=texts,
    task_name=texts,
    site=texts,
    round=counts,
    start_round=counts,
    total_rounds=counts,
    params_type=kinds,
    arrays=st.lists(entries, max_size=3),
    meta=metas,
)
results = st.builds(
    Result,
    protocol=st.just(1),
    run=texts,
    task_id=texts,
    in_reply_to=digests,
    site=texts,
    round=counts,
    params_type=kinds,
    arrays=st.lists(entries, max_size=3),
    metrics=st.dictionaries(texts, numbers, max_size=3),
    meta=metas,
)
ends = st.builds(End, protocol=st.just(1), run=texts, state=st.sampled_from(get_args(RunOutcome)), reason=texts)


@given(tasks | results | ends)
def test_what_is_encoded_decodes_to_the_same(document: Task | Result | End) -> None:
    assert decode_manifest(encode(document), "m.json") == document


@given(tasks | results | ends)
def test_the_same_content_gives_the_same_bytes(document: Task | Result | End) -> None:
    data = encode(document)
    assert encode(decode_manifest(data, "m.json")) == data


@given(tasks | results, st.data())
def test_a_truncated_manifest_is_not_there_yet(document: Task | Result, data: st.DataObject) -> None:
    whole = encode(document).rstrip()
    with pytest.raises(NotYetError):
        decode_manifest(whole[: data.draw(st.integers(0, len(whole) - 1))], "m.json")


def outcome(data: bytes) -> object:
    try:
        return decode_manifest(data, "m.json")
    except (NotYetError, RefusedError) as error:
        return type(error), str(error)


@given(st.one_of(spoilt(encode(task())), spoilt(encode(result(n=[1, {"a": 0.5}]))), st.builds(encode, results)))
def test_what_looks_as_it_was_written_is_judged_like_everything_else(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_as_written", lambda data: None)
        thorough = outcome(data)
    assert outcome(data) == thorough


WRITTEN = encode(result(more="@"))


def long_integers(digits: int) -> bytes:
    return WRITTEN.replace(b'"@"', b"[" + b", ".join([b"9" * digits] * 3) + b"]")


@pytest.mark.parametrize(
    "data",
    [
        WRITTEN,
        WRITTEN.replace(b'"@"', b'{"a": 1, "a": 1}'),
        WRITTEN.replace(b'"@"', b'{"a": 1, "\\u0061": 1}'),
        WRITTEN.replace(b'"protocol": 1', b'"protocol": 1, "protocol": 1'),
        WRITTEN.replace(b'"protocol": 1', b'"protocol": 2'),
        WRITTEN.replace(b'"@"', b"1e999"),
        WRITTEN.replace(b'"@"', b"-0"),
        WRITTEN.replace(b'"@"', b"[" * 500 + b"]" * 500),
        long_integers(999),
        long_integers(1000),
        long_integers(1001),
    ],
    ids=lambda data: f"{len(data)}",
)
def test_what_is_laid_out_as_if_it_was_written_here_is_judged_like_everything_else(data: bytes) -> None:
    data = msgspec.json.format(data, indent=1) + b"\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_as_written", lambda data: None)
        thorough = outcome(data)
    assert outcome(data) == thorough


@pytest.mark.parametrize("document", [task(), result(), End(1, "run", "FINISHED:COMPLETED")])
def test_what_was_written_here_is_known_at_once(document: Task | Result | End) -> None:
    assert manifest._as_written(encode(document)) == document
    assert manifest._as_written(encode(document).rstrip()) is None


@pytest.mark.parametrize("digits", [1000, 1001])
def test_a_whole_number_may_be_long_but_not_too_long(digits: int) -> None:
    written = changed(meta={"x": "@"}).replace(b'"@"', b"9" * digits)
    data = msgspec.json.format(written, indent=1) + b"\n"
    if digits == 1000:
        found = decode_manifest(data, "m.json")
        assert isinstance(found, Result)
        assert found.meta["x"] == 10**1000 - 1
    else:
        with pytest.raises(RefusedError, match="1001 digits"):
            decode_manifest(data, "m.json")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_awaited_but_nothing_else(data: bytes) -> None:
    with pytest.raises((NotYetError, RefusedError)):
        decode_manifest(data, "m.json")


def test_a_manifest_is_json_that_a_person_can_read() -> None:
    data = encode(End(1, "run", "FINISHED:COMPLETED"))
    assert data.decode().splitlines()[:3] == ["{", ' "kind": "end",', ' "protocol": 1,']
    assert data.endswith(b"}\n")


@pytest.mark.parametrize(
    "whole",
    [Logged("loss", 0.5, step=3), Status(1, "site-1", "waiting", 0, "s"), result()],
    ids=lambda whole: type(whole).__name__,
)
@given(data=st.data())
def test_bytes_of_others_raise_what_is_known(whole: msgspec.Struct, data: st.DataObject) -> None:
    with contextlib.suppress(*MALFORMED):
        msgspec.json.decode(data.draw(spoilt(encode(whole))), type=type(whole))


@pytest.mark.parametrize("data", [b'{"key":"\xff","value":1}', b"[" * 100_000, b"{", b"{}"], ids=lambda data: data[:9])
def test_what_is_known_is_text_that_is_none_and_too_many_brackets_too(data: bytes) -> None:
    with pytest.raises(MALFORMED):
        msgspec.json.decode(data)
        msgspec.json.decode(data, type=Logged)


def test_the_protocol_tells_the_limits_of_round_and_step() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text().splitlines()
    (step,) = [line for line in lines if line.startswith("| `step` |")]
    number = next(line for line in lines[lines.index(step) - 1 :] if line.startswith("| `round` |"))
    for line in (step, number):
        assert f"0 to 2^{LAST_STEP.bit_length() - 1}" in line
    for value in (0, LAST_STEP):
        assert msgspec.json.decode(encode(Logged("loss", 0.5, round=value, step=value)), type=Logged).step == value
    for fields in ('"round":-1', '"step":-1', f'"round":{LAST_STEP + 1}', f'"step":{LAST_STEP + 1}'):
        with pytest.raises(MALFORMED):
            msgspec.json.decode(f'{{"key":"loss","value":0.5,{fields}}}'.encode(), type=Logged)


def test_the_digest_is_that_of_the_bytes() -> None:
    assert digest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@pytest.mark.parametrize(
    "document",
    [Status(1, "site-1", "waiting", 0, "s"), Logged("loss", 0.5, step=3), ExchangeAbout(1, "abc")],
)
def test_other_documents_decode_by_their_type(document: Status | Logged | ExchangeAbout) -> None:
    assert decode(encode(document), type(document), "d.json") == document


def changed(**fields: Any) -> bytes:
    """A result's manifest with other or further fields."""
    return json.dumps({**as_dict(encode(result())), **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"protocol": 2}, "speaks protocol 2; this program speaks 1"),
        ({"protocol": True}, "protocol"),
        ({"protocol": "1"}, "protocol"),
        ({"kind": "answer"}, "answer"),
        ({"round": -1}, "round"),
        ({"round": 1.5}, "round"),
        ({"params_type": "HALF"}, "params_type"),
        ({"in_reply_to": "0" * 63}, "in_reply_to"),
        ({"in_reply_to": "G" * 64}, "in_reply_to"),
        ({"metrics": {"accuracy": "0.9"}}, "metrics"),
        ({"metrics": {"accuracy": None}}, "metrics"),
        ({"metrics": {"accuracy": True}}, "metrics"),
        ({"metrics": {"accuracy": 10**400}}, "out of range"),
        ({"meta": []}, "meta"),
        ({"arrays": {}}, "arrays"),
        ({"arrays": [{"name": "w"}]}, "missing required field"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        decode_manifest(changed(**fields), "m.json")


@pytest.mark.parametrize("name", ["kind", "protocol", "run", "task_id", "in_reply_to", "site", "round", "arrays"])
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    fields = as_dict(encode(result()))
    del fields[name]
    with pytest.raises(RefusedError, match=name):
        decode_manifest(json.dumps(fields).encode(), "m.json")


@pytest.mark.parametrize(
    "entry",
    [{"name": ""}, {"name": "x" * 1001}, {"shape": [-1]}, {"shape": [1.5]}, {"size": -1}, {"blake3": "0"}, {"x": 1}],
)
def test_a_wrong_array_entry_is_refused(entry: dict[str, Any]) -> None:
    good = {"name": "w", "file": "w.npy", "dtype": "<f4", "shape": [1], "size": 132, "blake3": "0" * 64}
    with pytest.raises(RefusedError):
        decode_manifest(changed(arrays=[{**good, **entry}]), "m.json")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", ["metrics", "meta"])
def test_a_constant_that_is_no_number_is_refused(literal: str, place: str) -> None:
    data = changed(**{place: {"x": "@"}}).replace(b'"@"', literal.encode())
    with pytest.raises(RefusedError, match=f"{literal} is not a JSON number"):
        decode_manifest(data, "m.json")


@pytest.mark.parametrize("place", ["metrics", "meta"])
def test_a_number_that_overflows_is_refused(place: str) -> None:
    data = changed(**{place: {"x": "@"}}).replace(b'"@"', b"1e999")
    with pytest.raises(RefusedError, match="out of range"):
        decode_manifest(data, "m.json")


@pytest.mark.parametrize(
    "data",
    [
        b'{"kind": "end", "protocol": 1, "run": "a", "run": "b", "state": "x"}',
        changed(meta={"x": "@"}).replace(b'"@"', b'{"a": 1, "a": 1}'),
    ],
)
def test_a_key_that_comes_twice_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="appears twice"):
        decode_manifest(data, "m.json")


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_without_end_is_refused(brackets: tuple[bytes, bytes]) -> None:
    left, right = brackets
    data = changed(meta={"x": "@"}).replace(b'"@"', left * 100_000 + b"1" + right * 100_000)
    with pytest.raises(RefusedError, match="nested too deep"):
        decode_manifest(data, "m.json")


def test_a_manifest_above_the_limit_is_refused() -> None:
    with pytest.raises(RefusedError, match="1048576 bytes"):
        decode_manifest(changed(meta={"x": "y" * MANIFEST_LIMIT}), "m.json")


@pytest.mark.parametrize("data", [b"", b"{", b"not json", b"\xff\xfe", b'{"a": 1} trailing', b"\0" * 100])
def test_what_is_not_json_is_not_there_yet(data: bytes) -> None:
    with pytest.raises(NotYetError, match=r"m\.json is not whole JSON"):
        decode_manifest(data, "m.json")


@pytest.mark.parametrize("data", [b"null", b"[]", b"1", b'"text"', b"{}"])
def test_json_that_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        decode_manifest(data, "m.json")


def test_a_task_is_no_result() -> None:
    with pytest.raises(RefusedError, match="kind"):
        decode(encode(task()), Result, "m.json")


def test_a_meta_value_that_is_not_json_cannot_be_sent() -> None:
    with pytest.raises(TypeError):
        encode(msgspec.structs.replace(result(), meta={"x": object()}))
