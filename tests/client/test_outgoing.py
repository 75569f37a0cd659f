"""What a script sends, made ready to travel."""

from __future__ import annotations

import numpy as np
import pytest

from fltui.client.outgoing import difference, outgoing
from fltui.errors import ClientError
from fltui.model import FLModel, group_names, split_groups


def test_what_travels_is_arrays_finite_numbers_and_json() -> None:
    model = FLModel(params={"w": [1, 2]}, metrics={"auc": np.float32(0.5)}, meta={"steps": np.int64(3)})
    params, groups, metrics, meta = outgoing(model)
    assert params["w"].tolist() == [1, 2]
    assert groups == {}
    assert (metrics, meta) == ({"auc": 0.5}, {"steps": 3})
    assert type(meta["steps"]) is int
    assert outgoing(FLModel()) == ({}, {}, {}, {})


def test_groups_travel_by_joined_names_and_the_meta_tells_which_there_are() -> None:
    model = FLModel(params={"w": [1.0], "a/b": [2.0]}, groups={"velocity": {}, "control": {"w": [3.0], "a/b": 4.0}})
    params, groups, _, meta = outgoing(model)
    assert sorted(params) == ["a/b", "w"]
    assert {name: array.tolist() for name, array in groups.items()} == {"control/w": [3.0], "control/a/b": 4.0}
    assert meta == {"groups": ["control", "velocity"]}
    assert model.meta == {}
    assert split_groups(params | groups, group_names(meta)) == (
        params,
        {
            "control": {"w": groups["control/w"], "a/b": groups["control/a/b"]},
            "velocity": {},
        },
    )


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (FLModel(params={"w": np.array(["text"])}), "parameter 'w' has dtype <U4"),
        (FLModel(params={"w": np.array([None])}), "parameter 'w' has dtype object"),
        (FLModel(params={"": np.zeros(3)}), "parameter names are non-empty text"),
        (FLModel(params={}, metrics={"auc": float("nan")}), "metric 'auc' is nan (float), expected a finite number"),
        (FLModel(params={}, metrics={"auc": True}), "metric 'auc' is True (bool)"),
        (FLModel(params={}, meta={"when": object()}), "meta holds what JSON cannot"),
        (FLModel(params={}, meta={"NUM_STEPS_CURRENT_ROUND": True}), "is a truth value"),
        (
            FLModel(params={"control/w": 1.0}, groups={"control": {}}),
            "parameter 'control/w' looks like an array of the",
        ),
        (FLModel(groups={"control/w": {}}), "the name of a group of arrays is 'control/w', expected text"),
        (FLModel(groups={"": {}}), "the name of a group of arrays is ''"),
        (FLModel(groups={"control": {"w": "text"}}), "group 'control': parameter 'w' has dtype <U4"),
        (FLModel(groups={"control": {"": 1.0}}), "group 'control': parameter names are non-empty text"),
        (FLModel(meta={"groups": ["control"]}), "meta 'groups' is set by send() itself"),
    ],
)
def test_what_cannot_travel_is_named(model: FLModel, told: str) -> None:
    with pytest.raises(ClientError, match="send") as error:
        outgoing(model)
    assert told in str(error.value)


def test_a_difference_has_the_dtypes_of_what_was_trained() -> None:
    found = difference({"w": np.array([3, 5], np.float16)}, {"w": np.array([1, 1], np.float64)})
    assert (found["w"].dtype, found["w"].tolist()) == (np.dtype(np.float16), [2, 4])


@pytest.mark.parametrize("received", [{}, {"w": np.zeros(2)}])
def test_there_is_no_difference_to_a_parameter_that_was_not_received(received: dict[str, np.ndarray]) -> None:
    with pytest.raises(ClientError, match="no difference can be made of 'w'"):
        difference({"w": np.zeros(3)}, received)
