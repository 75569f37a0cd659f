from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.errors import NotYetError, RefusedError
from fltui.exchange.collect import (
    read_status,
)
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import MANIFEST_LIMIT, Status
from fltui.exchange.publish import put_document
from tests.exchange.answers import DISGUISES, MODEL, announce, answer, look, take
from tests.exchange.manifests import TASK_ID


def test_a_result_is_read_back(site: SiteFolder) -> None:
    sent = answer(site, MODEL)
    assert look(site) == sent


def test_a_result_that_is_not_there_is_awaited(site: SiteFolder) -> None:
    with pytest.raises(NotYetError):
        look(site)


def test_half_a_manifest_is_awaited(site: SiteFolder) -> None:
    answer(site, MODEL)
    os.truncate(site.results / f"{TASK_ID}.json", 200)
    with pytest.raises(NotYetError):
        look(site)


@pytest.mark.parametrize(
    "changes",
    [{"site": "site-2"}, {"task_id": TASK_ID + "1"}, {"run": "another"}, {"round": 2}],
    ids=lambda changes: str(next(iter(changes))),
)
def test_a_result_for_something_else_is_refused(site: SiteFolder, changes: dict[str, Any]) -> None:
    answer(site, MODEL, **changes)
    with pytest.raises(RefusedError, match="is a result of site"):
        look(site)


def test_a_result_for_a_task_of_other_content_is_stale(site: SiteFolder) -> None:
    answer(site, MODEL, in_reply_to="0" * 64)
    with pytest.raises(RefusedError, match="stale"):
        look(site)


def test_a_result_of_another_protocol_is_refused(site: SiteFolder) -> None:
    answer(site, MODEL, protocol=2)
    with pytest.raises(RefusedError, match="speaks protocol 2"):
        look(site)


@pytest.mark.parametrize("weight", [0, 1, 0.25, 2**53])
def test_a_weight_is_any_finite_number_from_0(site: SiteFolder, weight: float) -> None:
    answer(site, MODEL, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    assert look(site).meta["NUM_STEPS_CURRENT_ROUND"] == weight


@pytest.mark.parametrize("weight", [True, -1, -0.5, "8", None, [8], {}], ids=repr)
def test_another_weight_is_refused(site: SiteFolder, weight: Any) -> None:
    answer(site, MODEL, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    with pytest.raises(RefusedError, match="expected a number from 0 to 2"):
        look(site)


def test_a_result_needs_no_weight(site: SiteFolder) -> None:
    answer(site, MODEL, meta={})
    assert look(site).meta == {}


@pytest.mark.parametrize("value", ["high", None, True, [0.5]], ids=repr)
def test_a_metric_that_is_no_number_is_refused(site: SiteFolder, value: Any) -> None:
    answer(site, MODEL, metrics={"accuracy": value})
    with pytest.raises(RefusedError, match="Expected `float`"):
        look(site)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"1e999"])
@pytest.mark.parametrize("place", ["metrics", "meta"])
def test_a_number_that_is_not_finite_is_refused(site: SiteFolder, place: str, literal: bytes) -> None:
    answer(site, MODEL, **{place: {"x": 12345.5}})
    path = site.results / f"{TASK_ID}.json"
    path.write_bytes(path.read_bytes().replace(b"12345.5", literal))
    with pytest.raises(RefusedError, match="breaks protocol"):
        look(site)


def test_a_missing_parameter_is_refused(site: SiteFolder) -> None:
    answer(site, {"w": MODEL["w"]})
    with pytest.raises(RefusedError, match="lacks the parameter 'b'"):
        look(site)


def test_an_extra_parameter_is_refused(site: SiteFolder) -> None:
    answer(site, {**MODEL, "extra": np.zeros(1)})
    with pytest.raises(RefusedError, match="has the parameter 'extra'"):
        look(site)


@pytest.mark.parametrize(
    "array",
    [np.zeros(4), np.zeros(4, np.int32), np.zeros(3, np.float32), np.zeros((2, 2), np.float32), np.float32(0)],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_another_dtype_or_shape_is_refused(site: SiteFolder, array: NDArray[Any]) -> None:
    answer(site, {**MODEL, "w": np.asarray(array)})
    with pytest.raises(RefusedError, match=r"'w' is .*, expected <f4 \(4,\)"):
        look(site)


def test_an_empty_answer_is_refused_where_there_is_no_model(site: SiteFolder) -> None:
    answer(site, {})
    with pytest.raises(RefusedError, match="no arrays"):
        look(site, expected=None)


def test_a_round_without_a_model_takes_what_the_site_has(site: SiteFolder) -> None:
    answer(site, {"new": np.zeros((2, 3), np.float16)})
    assert look(site, expected=None).arrays[0].shape == [2, 3]


def test_a_parameter_listed_twice_is_refused(site: SiteFolder) -> None:
    first, second = answer(site, MODEL).arrays
    announce(site, [first, first, second])
    with pytest.raises(RefusedError, match="twice"):
        look(site)


@pytest.mark.parametrize("file", ["../../../secret.npy", "/etc/passwd", "sub/w.npy", "W.npy", "w", "", "b.npy"])
def test_a_file_name_that_does_not_follow_the_rule_is_refused(site: SiteFolder, file: str) -> None:
    b, w = answer(site, MODEL).arrays
    announce(site, [b, msgspec.structs.replace(w, file=file)])
    with pytest.raises(RefusedError, match=r"expected 'w\.npy'"):
        look(site)


def test_parameters_whose_slugs_collide_lie_in_numbered_files(site: SiteFolder, store: Path) -> None:
    params = {"a/b": np.array([1.0]), "a b": np.array([2.0])}
    answer(site, params)
    found = take(site, store, dict.fromkeys(params, ("<f8", (1,))))
    assert {entry.name: entry.file for entry in found.arrays} == {"a b": "a_b.npy", "a/b": "a_b-2.npy"}


def test_swapped_files_of_colliding_slugs_are_refused(site: SiteFolder) -> None:
    first, second = answer(site, {"a/b": np.array([1.0]), "a b": np.array([2.0])}).arrays
    swapped = [
        msgspec.structs.replace(first, file=second.file),
        msgspec.structs.replace(second, file=first.file),
    ]
    announce(site, swapped)
    with pytest.raises(RefusedError, match="expected"):
        look(site, expected=None)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"size": 1}, "claims 1 bytes, expected 144"),
        ({"dtype": "|O"}, "does not travel"),
        ({"dtype": ">f4"}, "does not travel"),
        ({"shape": [1] * 33}, "33 axes"),
        ({"shape": [2**30]}, "claims 144 bytes, expected 4294967424"),
        ({"shape": [10**12]}, "an array of 4000000000000 bytes does not travel"),
        ({"shape": [0, 10**12]}, "an array of 4000000000000 bytes does not travel"),
    ],
)
def test_a_false_claim_about_an_array_is_refused(site: SiteFolder, claim: dict[str, Any], reason: str) -> None:
    b, w = answer(site, MODEL).arrays
    announce(site, [b, msgspec.structs.replace(w, **claim)])
    with pytest.raises(RefusedError, match=reason):
        look(site)


def test_a_manifest_above_the_limit_is_refused(site: SiteFolder) -> None:
    answer(site, MODEL, meta={"x": "y" * MANIFEST_LIMIT})
    with pytest.raises(RefusedError, match="1048576 are the most"):
        look(site)


def test_a_conflict_copy_is_never_picked_up(site: SiteFolder) -> None:
    answer(site, MODEL)
    manifest = site.results / f"{TASK_ID}.json"
    manifest.rename(site.results / f"{TASK_ID}.sync-conflict-20260131-120000-ABCDEFG.json")
    with pytest.raises(NotYetError):
        look(site)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_manifest_that_is_no_plain_file_is_refused(site: SiteFolder, disguise: Callable[[Path], None]) -> None:
    answer(site, MODEL)
    disguise(site.results / f"{TASK_ID}.json")
    with pytest.raises(RefusedError):
        look(site)


# The status of a site


def test_a_status_is_read_back(site: SiteFolder) -> None:
    status = Status(1, "site-1", "training", 3, "abc", run="run", task_id=TASK_ID, pid=7, host="here")
    put_document(status, site.status, site.staging("site"))
    assert read_status(site) == status


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"protocol": 9}', b" " * (1 << 17)])
def test_a_status_that_cannot_be_read_is_none(site: SiteFolder, data: bytes) -> None:
    site.status.write_bytes(data)
    assert read_status(site) is None


def test_a_site_without_a_status_has_none(site: SiteFolder) -> None:
    assert read_status(site) is None


@pytest.mark.parametrize("weight", [10**400, 2**53 + 2, 1.7e308, -(10**400)])
def test_a_weight_beyond_counting_is_refused(site: SiteFolder, store: Path, weight: float) -> None:
    answer(site, {"w": np.ones(1)}, meta={"NUM_STEPS_CURRENT_ROUND": weight})
    with pytest.raises(RefusedError, match="expected a number from 0 to 2"):
        take(site, store, {"w": ("<f8", (1,))})


def test_a_metric_that_would_overflow_a_sum_is_refused(site: SiteFolder, store: Path) -> None:
    answer(site, {"w": np.ones(1)}, metrics={"loss": 1e308})
    with pytest.raises(RefusedError, match=r"metric 'loss' is 1e\+308"):
        take(site, store, {"w": ("<f8", (1,))})
