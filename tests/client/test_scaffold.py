"""The site's part of SCAFFOLD, against a plain transcription of the paper's algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fltui.client import api
from fltui.client.kept import kept_folder
from fltui.client.scaffold import Scaffold, control_change
from fltui.client.session import Session
from fltui.errors import ClientError
from fltui.exchange.layout import SiteFolder
from fltui.model import FLModel, Params, ParamsType
from tests.client.by_hand import RUN, open_session, publish

_FLOATS = st.floats(-100, 100)
_VECTORS = st.lists(_FLOATS, min_size=2, max_size=2).map(np.array)


def received(number: int, x: NDArray[Any], c: NDArray[Any], **meta: Any) -> FLModel:
    """The model of a round, with one parameter ``w``."""
    return FLModel(params={"w": x.copy()}, groups={"control": {"w": c.copy()}}, current_round=number, meta=meta)


def answered(scaffold: Scaffold, number: int, **meta: Any) -> tuple[Params, FLModel]:
    """One round of two steps on a quadratic: the correction and what is sent."""
    x, c = np.array([1.0, -2.0]) + number, np.array([0.5, 0.25]) * number
    model = received(number, x, c, **meta)
    correction = scaffold.begin(model)
    assert model.params is not None
    y = model.params["w"]
    for _ in range(2):
        y -= 0.1 * (y * np.array([3.0, 7.0]) + correction["w"])  # in place: the model belongs to the script
    return correction, scaffold.end(model.params, steps=2, learning_rate=0.1)


def test_the_change_of_a_control_variate_is_that_of_option_two() -> None:
    found = control_change(
        {"w": np.array([0.5, 0.25]), "count": np.array(0.0)},
        {"w": np.array([1.0, 2.0]), "count": np.array(3)},
        {"w": np.array([0.5, 3.0]), "count": np.array(5)},
        steps=5,
        learning_rate=0.1,
    )
    assert {name: value.tolist() for name, value in found.items()} == {"w": [0.5, -2.25], "count": 0}


@given(
    rounds=st.lists(st.tuples(_VECTORS, _VECTORS, _VECTORS), min_size=1, max_size=4),
    steps=st.integers(1, 50),
    rate=st.floats(1e-3, 1.0),
    difference=st.booleans(),
)
def test_rounds_are_those_of_the_paper(
    tmp_path_factory: pytest.TempPathFactory,
    bound: Session,
    rounds: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
    steps: int,
    rate: float,
    difference: bool,
) -> None:
    bound.run = RUN
    scaffold = Scaffold(tmp_path_factory.mktemp("state"))
    c_i = np.zeros(2)
    for number, (x, y, c) in enumerate(rounds):
        correction = scaffold.begin(received(number, x, c))
        np.testing.assert_allclose(correction["w"], c - c_i, rtol=1e-12, atol=1e-9)
        kind = "DIFF" if difference else "FULL"
        params = {"w": y - x if difference else y}
        sent = scaffold.end(params, steps=steps, learning_rate=rate, params_type=kind, metrics={"loss": 1.0})
        c_plus = c_i - c + (x - y) / (steps * rate)
        np.testing.assert_allclose(sent.groups["control"]["w"], c_plus - c_i, rtol=1e-9, atol=1e-9)
        assert (sent.params_type, sent.metrics) == (ParamsType(kind), {"loss": 1.0})
        np.testing.assert_array_equal((sent.params or {})["w"], params["w"])
        c_i = c_plus


@pytest.fixture
def at_work(site: SiteFolder, bound: Session) -> SiteFolder:
    """The site, in the first round of a run."""
    publish(site, 0, {})
    assert bound.receive() is not None
    return site


def test_a_script_that_is_killed_goes_on_with_the_same_bits(
    at_work: SiteFolder, bound: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Scaffold(tmp_path / "elsewhere")
    expected = [answered(undisturbed, number) for number in range(4)]
    assert not kept_folder(at_work).exists()
    for number in range(4):
        answered(Scaffold(), number)
        bound.close()  # killed before it has sent; what it has kept of this round is not what the round begins with
        bound = open_session(at_work, run=RUN)
        monkeypatch.setattr(api, "_session", bound)
        correction, sent = answered(Scaffold(), number)
        np.testing.assert_array_equal(correction["w"], expected[number][0]["w"])
        np.testing.assert_array_equal(sent.groups["control"]["w"], expected[number][1].groups["control"]["w"])
    names = sorted(path.name for path in kept_folder(at_work).glob("*.json"))
    assert names == [f"{RUN}.scaffold.r0002.json", f"{RUN}.scaffold.r0003.json"]
    assert list(at_work.staging("site").glob("*scaffold*")) == []
    bound.close()


@pytest.mark.usefixtures("at_work")
def test_a_site_goes_on_from_what_the_server_has_counted() -> None:
    scaffold = Scaffold()
    answered(scaffold, 0, control_round=None)
    first, _ = answered(scaffold, 1, control_round=0)
    for number in (2, 3):  # the answers to rounds 1 and 2 came too late to be counted
        answered(scaffold, number, control_round=0)
    again, _ = answered(scaffold, 1, control_round=0)
    np.testing.assert_array_equal(again["w"], first["w"])
    zeros, _ = answered(scaffold, 1, control_round=None)
    np.testing.assert_array_equal(zeros["w"], [0.5, 0.25])


@pytest.mark.parametrize("meta", [{}, {"control_round": 1}])
@pytest.mark.usefixtures("at_work")
def test_what_counted_in_a_workflow_before_is_none_of_this_one(meta: dict[str, Any]) -> None:
    answered(Scaffold(), 1)
    model = received(2, np.zeros(2), np.ones(2), **meta)
    model.start_round = 2
    assert Scaffold().begin(model)["w"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("base", "told"),
    [
        (1, "site a has lost its control variate of round 1, which the server has counted; it has those of rounds [2]"),
        ("2", "meta 'control_round' is '2', expected a round or nothing"),
        (True, "meta 'control_round' is True"),
    ],
)
@pytest.mark.usefixtures("at_work")
def test_a_control_variate_that_was_lost_is_told(base: object, told: str) -> None:
    answered(Scaffold(), 2)
    with pytest.raises(ClientError) as error:
        answered(Scaffold(), 3, control_round=base)
    assert told in str(error.value)


def test_a_control_variate_that_was_spoilt_is_told(at_work: SiteFolder) -> None:
    answered(Scaffold(), 2)
    (kept_folder(at_work) / f"{RUN}.scaffold.r0002" / "w.npy").write_bytes(b"")
    with pytest.raises(ClientError, match=r"site a cannot read its control variate of round 2: .*w\.npy"):
        answered(Scaffold(), 3)


@pytest.mark.usefixtures("at_work")
def test_the_servers_dtypes_travel_and_what_is_kept_is_what_was_told() -> None:
    scaffold = Scaffold()
    total = np.zeros(2)
    for number in range(3):
        x = np.array([1, 1e-3], np.float32)
        correction = scaffold.begin(received(number, x, np.array([0.1, 0.2], np.float32) * number))
        assert correction["w"].dtype == np.float32
        sent = scaffold.end({"w": x / np.float32(3)}, steps=3, learning_rate=0.1)
        assert sent.groups["control"]["w"].dtype == np.float32
        total += sent.groups["control"]["w"]
    zero = np.zeros(2)
    np.testing.assert_array_equal(scaffold.begin(received(3, zero, zero))["w"], -total)


@pytest.mark.usefixtures("at_work")
def test_parameters_without_axes_and_those_that_are_counts_go_along() -> None:
    scaffold = Scaffold()
    params = {"b": np.array(1.0), "count": np.array(3, np.int64)}
    control = {"b": np.array(0.5), "count": np.array(0.0)}
    correction = scaffold.begin(FLModel(params=params, groups={"control": control}, current_round=0))
    assert {name: value.tolist() for name, value in correction.items()} == {"b": 0.5, "count": 0}
    sent = scaffold.end({"b": np.array(0.5), "count": np.array(4)}, steps=1, learning_rate=0.5)
    assert {name: value.tolist() for name, value in sent.groups["control"].items()} == {"b": 0.5, "count": 0}


@pytest.mark.parametrize(
    "model",
    [
        FLModel(params={"w": np.zeros(2)}, current_round=0),
        FLModel(params={}, groups={"control": {}}, current_round=0),
        FLModel(params={"w": np.zeros(2), "b": 0.0}, groups={"control": {"w": np.zeros(2)}}, current_round=0),
        FLModel(params={"w": np.zeros(2)}, groups={"control": {"w": np.zeros(2)}}),
    ],
)
@pytest.mark.usefixtures("at_work")
def test_a_task_of_another_workflow_is_told(model: FLModel) -> None:
    with pytest.raises(ClientError, match="came without a control variate for every parameter"):
        Scaffold().begin(model)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number from 1"),
        ({"steps": True}, "steps is True"),
        ({"steps": 2.0}, "steps is 2.0"),
        ({"learning_rate": 0}, "learning_rate is 0.0, expected a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan (float), expected a finite number"),
        ({"params": {}}, "what was trained has nothing for 'w', expected (2,)"),
        ({"params": {"w": np.zeros(3)}}, "what was trained has (3,) for 'w', expected (2,)"),
        ({"params": {"w": np.zeros(2), "b": 1.0}}, "what was trained has () for 'b', expected nothing"),
        ({"params": {"w": "text"}}, "Scaffold.end(): parameter 'w' has dtype <U4"),
        ({"params": {"w": np.array([np.inf, 0])}}, "the control variate of 'w' is not finite in round 0"),
    ],
)
@pytest.mark.usefixtures("at_work")
def test_what_makes_no_control_variate_is_told_and_can_be_mended(arguments: dict[str, Any], told: str) -> None:
    scaffold = Scaffold()
    with pytest.raises(ClientError, match="none was begun"):
        scaffold.end({"w": np.zeros(2)}, steps=1, learning_rate=0.1)
    scaffold.begin(received(0, np.zeros(2), np.zeros(2)))
    good: dict[str, Any] = {"params": {"w": np.ones(2)}, "steps": 1, "learning_rate": 0.5}
    with pytest.raises(ClientError) as error:
        scaffold.end(**{**good, **arguments})
    assert told in str(error.value)
    assert scaffold.end(**good).groups["control"]["w"].tolist() == [-2, -2]
