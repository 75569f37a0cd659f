"""What a script sends, made ready to travel."""

from __future__ import annotations

import numpy as np
import pytest

from fltui.client.outgoing import difference, outgoing
from fltui.errors import ClientError
from fltui.model import FLModel


def test_what_travels_is_arrays_finite_numbers_and_json() -> None:
    model = FLModel(params={"w": [1, 2]}, metrics={"auc": np.float32(0.5)}, meta={"steps": np.int64(3)})
    params, metrics, meta = outgoing(model)
    assert params["w"].tolist() == [1, 2]
    assert (metrics, meta) == ({"auc": 0.5}, {"steps": 3})
    assert type(meta["steps"]) is int
    assert outgoing(FLModel()) == ({}, {}, {})


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
