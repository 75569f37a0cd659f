from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.model import FLModel, ParamsType, as_params, group_names, grouped, split_groups


def test_params_without_a_type_are_full() -> None:
    assert FLModel(params={"w": np.zeros(2)}).params_type is ParamsType.FULL


def test_a_type_may_be_given_as_text() -> None:
    assert FLModel(params_type="DIFF", params={}).params_type is ParamsType.DIFF


def test_a_model_of_metrics_alone_has_no_type() -> None:
    assert FLModel(metrics={"accuracy": 0.9}).params_type is None


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="HALF"):
        FLModel(params_type="HALF")


def test_every_model_has_a_meta_of_its_own() -> None:
    FLModel().meta["NUM_STEPS_CURRENT_ROUND"] = 8
    assert FLModel().meta == {}


def test_one_array_is_named_numpy_key() -> None:
    array = np.arange(3.0)
    assert as_params(array)["numpy_key"] is array


def test_a_list_becomes_an_array() -> None:
    params = as_params([[1, 2], [3, 4]])
    assert params["numpy_key"].tolist() == [[1, 2], [3, 4]]


def test_a_mapping_keeps_its_names() -> None:
    params = as_params({"weight": np.ones(2, np.float32), "bias": 0.5})
    assert {name: array.shape for name, array in params.items()} == {"weight": (2,), "bias": ()}


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f8", ">f4"])
def test_arrays_of_bool_int_and_float_travel(dtype: str) -> None:
    assert as_params(np.zeros(2, dtype))["numpy_key"].dtype == np.dtype(dtype)


@pytest.mark.parametrize("value", ["text", None, 1j, np.array(["a"]), np.zeros(1, np.longdouble), 10**30, object()])
def test_other_values_do_not_travel(value: Any) -> None:
    with pytest.raises(TypeError, match="'w' has dtype"):
        as_params({"w": value})


@pytest.mark.parametrize("name", ["", 7, None])
def test_parameter_names_are_text(name: Any) -> None:
    with pytest.raises(TypeError, match="non-empty text"):
        as_params({name: 1.0})


def test_values_are_split_by_the_group_in_front_of_the_first_stroke() -> None:
    values = {"w": 1, "control/w": 2, "control/a/b": 3, "other/w": 4, "control": 5, "control/": 6}
    params, groups = split_groups(values, ["control", "velocity"])
    assert params == {"w": 1, "other/w": 4, "control": 5, "control/": 6}
    assert groups == {"control": {"w": 2, "a/b": 3}, "velocity": {}}


def test_without_groups_nothing_is_split() -> None:
    assert split_groups({"control/w": 1}, []) == ({"control/w": 1}, {})


_NAMES = st.text("ab/", min_size=1, max_size=4)


@given(
    params=st.dictionaries(_NAMES, st.integers()),
    groups=st.dictionaries(st.sampled_from(["a", "b", "ab"]), st.dictionaries(_NAMES, st.integers())),
)
def test_what_was_joined_is_split_again(params: dict[str, int], groups: dict[str, dict[str, int]]) -> None:
    params = {name: value for name, value in params.items() if name.partition("/")[0] not in groups}
    joined = {grouped(group, name): value for group, values in groups.items() for name, value in values.items()}
    assert split_groups(params | joined, groups) == (params, groups)


def test_a_manifest_names_its_groups() -> None:
    assert group_names({"groups": ["control"]}) == ["control"]
    assert group_names({"seed": 7}) == []


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ("control", "meta 'groups' is 'control', expected a list of names"),
        (None, "meta 'groups' is None, expected a list"),
        ({"control": 1}, "expected a list of names"),
        ([7], "the name of a group of arrays is 7, expected text"),
        ([["a"]], "expected text that is not empty"),
        ([""], "expected text that is not empty"),
        (["a/b"], "is 'a/b', expected text that is not empty, without '/'"),
        (["\ud800"], "expected text"),
        (["a", "b", "a"], "has a name twice"),
    ],
)
def test_what_is_no_list_of_groups_is_told(groups: Any, told: str) -> None:
    with pytest.raises(ValueError, match="group") as error:
        group_names({"groups": groups})
    assert told in str(error.value)
