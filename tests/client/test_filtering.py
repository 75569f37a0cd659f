"""Filters at a site: what leaves it, what its script sees, and what its privacy costs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fltui.aggregation.filters import Change, ClipNorm, ExcludeVars, Filter, PercentilePrivacy, View
from fltui.aggregation.privacy import GaussianNoise
from fltui.aggregation.terms import Row
from fltui.client.config import TransferType
from fltui.client.filtering import SiteFilters
from fltui.client.session import Session
from fltui.errors import BadInputError, ClientError
from fltui.exchange.layout import SiteFolder
from fltui.exchange.manifest import Result, Task
from fltui.job import registry
from fltui.model import FLModel, Params, ParamsType
from tests.aggregation.test_filters import clipped, selected
from tests.client.by_hand import answer, open_session, publish
from tests.workflows.hall import Array

MODEL: Params = {
    "body": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.array([1.0, 2.0], np.float16),
    "head": np.array([0.5, -2.0, 3.0]),
}
OTHERS: Params = {
    "mask": np.array([True, False, True]),
    "small": np.array([250, 3], np.uint8),
    "steps": np.array([5, 2**60 + 1], np.int64),
}
TRAINED: Params = {
    name: (array + 0.3 * (1 + np.arange(array.size)).reshape(array.shape)).astype(array.dtype)
    for name, array in MODEL.items()
}
FLIPPED: Params = {
    "mask": ~OTHERS["mask"],
    "small": np.array([1, 255], np.uint8),
    "steps": np.array([-5, 2**60 + 3], np.int64),
}


def flat(params: Params) -> Array:
    return np.concatenate([params[name].astype(np.float64).reshape(-1) for name in MODEL])


UPDATE = flat(TRAINED) - flat(MODEL)


def configuration(folder: Path, *filters: object) -> Path:
    """A site's configuration with such filters."""
    named = [msgspec.to_builtins(registry.written(one)) for one in filters]
    executor = {"path": "fltui.job.executors.ScriptExecutor", "args": {"task_script_path": "train.py"}}
    path = folder / "app_a" / "config" / "config_fed_client.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"executors": [{"executor": executor}], "task_result_filters": [{"filters": named}]}))
    return path


@contextmanager
def guarded(site: SiteFolder, *filters: Filter, **settings: Any) -> Iterator[Session]:
    """A session of a site with filters."""
    config = configuration(site.root.parent.parent / "job", *filters)
    session = open_session(site, filters=str(config), **settings)
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """The folder of site ``a``."""
    from fltui.exchange.layout import ExchangeFolder
    from fltui.exchange.publish import open_site

    (tmp_path / "exchange").mkdir()
    folder = ExchangeFolder(tmp_path / "exchange").site("a")
    open_site(folder, "server")
    return folder


def arrays(site: SiteFolder, task: Task, result: Result) -> Params:
    """What has left the site."""
    return {entry.name: np.load(site.results / task.task_id / entry.file) for entry in result.arrays}


def exchange(
    site: SiteFolder, session: Session, sent: FLModel, model: Params = MODEL, number: int = 0
) -> tuple[Result, Params]:
    """One round: the manifest of the result and its arrays, which the server takes."""
    task = publish(site, number, model)
    assert session.receive() is not None
    session.send(sent)
    result = answer(site, task)
    return result, arrays(site, task, result)


@pytest.mark.parametrize("kind", ["FULL", "DIFF"])
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((ClipNorm(0.5),), clipped(UPDATE, 0.5)),
        ((ClipNorm(1e6),), UPDATE),
        ((PercentilePrivacy(50, 0.9),), selected(UPDATE, 50, 0.9)),
        ((ExcludeVars(("head", "half")),), np.concatenate([UPDATE[:12], np.zeros(5)])),
        ((PercentilePrivacy(50, 0.9), ClipNorm(0.5)), clipped(selected(UPDATE, 50, 0.9), 0.5)),
    ],
    ids=["ClipNorm", "ClipNorm of much", "PercentilePrivacy", "ExcludeVars", "two"],
)
def test_what_leaves_is_the_update_after_all_filters(
    site: SiteFolder, filters: tuple[Filter, ...], expected: Array, kind: str
) -> None:
    sent = TRAINED
    if kind == "DIFF":
        sent = {name: (TRAINED[name].astype(np.float64) - MODEL[name]).astype(MODEL[name].dtype) for name in MODEL}
    with guarded(site, *filters) as session:
        result, found = exchange(site, session, FLModel(params_type=kind, params=sent))
    assert result.params_type is ParamsType.DIFF
    np.testing.assert_allclose(flat(found), expected, rtol=2e-3, atol=1e-3)
    head = slice(14, 17)
    np.testing.assert_allclose(flat(found)[head], expected[head], rtol=1e-4 if kind == "DIFF" else 1e-12, atol=0)


def test_what_is_not_of_floats_leaves_as_the_script_sent_it(site: SiteFolder) -> None:
    with guarded(site, ClipNorm(0.5)) as session:
        sent = FLModel(params={**TRAINED, **FLIPPED})
        result, found = exchange(site, session, sent, {**MODEL, **OTHERS})
    assert result.params_type is ParamsType.FULL
    for name, array in FLIPPED.items():
        assert (found[name].dtype, found[name].tolist()) == (array.dtype, array.tolist())
    np.testing.assert_allclose(flat(found), flat(MODEL) + clipped(UPDATE, 0.5), rtol=2e-3)
    np.testing.assert_allclose(found["head"], (flat(MODEL) + clipped(UPDATE, 0.5))[14:], rtol=1e-12)


def test_differences_that_are_not_of_floats_stay_differences(site: SiteFolder) -> None:
    steps = np.array([1, -(2**60)], np.int64)
    model = {"head": MODEL["head"], "steps": OTHERS["steps"]}
    with guarded(site, ClipNorm(0.5)) as session:
        sent = FLModel(params_type="DIFF", params={"head": np.ones(3), "steps": steps})
        result, found = exchange(site, session, sent, model)
    assert result.params_type is ParamsType.DIFF
    assert found["steps"].tolist() == steps.tolist()
    np.testing.assert_allclose(found["head"], clipped(np.ones(3), 0.5))


def test_whole_numbers_for_a_parameter_of_floats_are_an_update_of_it(site: SiteFolder) -> None:
    with guarded(site, ClipNorm(100)) as session:
        result, found = exchange(site, session, FLModel(params={"w": np.array([3, 4])}), {"w": np.array([1.0, 1.5])})
    assert result.params_type is ParamsType.DIFF
    assert found["w"].dtype == np.float64
    assert found["w"].tolist() == [2.0, 2.5]


def test_the_executor_s_wish_for_differences_changes_nothing(site: SiteFolder) -> None:
    with guarded(site, ClipNorm(0.5), transfer=TransferType.DIFF) as session:
        result, found = exchange(site, session, FLModel(params=TRAINED))
    assert result.params_type is ParamsType.DIFF
    np.testing.assert_allclose(found["head"], clipped(UPDATE, 0.5)[14:])


def test_metrics_alone_pass(site: SiteFolder) -> None:
    with guarded(site, ClipNorm(0.5)) as session:
        publish(site, 0, MODEL, name="validate")
        assert session.receive() is not None
        session.send(FLModel(metrics={"loss": 0.5}))


def test_the_size_of_a_block_changes_no_bit(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(site, ClipNorm(0.5), PercentilePrivacy(30, 0.1)) as session:
        one = exchange(site, session, FLModel(params=TRAINED))[1]
        monkeypatch.setattr("fltui.aggregation.blocks.BLOCK", 5)
        other = exchange(site, session, FLModel(params=TRAINED), number=1)[1]
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in other.items()
    }


# Noise.

SIZE = 20_000
ZEROS: Params = {"w": np.zeros(SIZE, np.float32)}


def nothing() -> FLModel:
    """A model that was left as it is."""
    return FLModel(params={"w": np.zeros(SIZE, np.float32)})


def test_a_site_hides_its_own_update(site: SiteFolder) -> None:
    with guarded(site, GaussianNoise(2.0, 0.3, seed=1)) as session:
        _, found = exchange(site, session, nothing(), ZEROS)
        noise = found["w"].astype(np.float64)
        assert abs(noise.std() - 0.6) < 5 * 0.6 / math.sqrt(2 * SIZE)
        assert abs(noise.mean()) < 5 * 0.6 / math.sqrt(SIZE)
        _, other = exchange(site, session, nothing(), ZEROS, number=1)
        assert abs(np.corrcoef(noise, other["w"])[0, 1]) < 5 / math.sqrt(SIZE)
        far = FLModel(params={"w": np.full(SIZE, 9, np.float32)})
        _, again = exchange(site, session, far, ZEROS, number=2)
    with_known = SiteFilters("a", (GaussianNoise(2.0, 0.3, seed=1),))
    task = publish(site, 2, ZEROS)
    plain, _ = with_known.sent(task, ZEROS, ParamsType.FULL, ZEROS)
    np.testing.assert_allclose(again["w"] - plain["w"], 0.3 / math.sqrt(SIZE), rtol=1e-3)


def test_the_same_round_asked_twice_has_other_noise(site: SiteFolder) -> None:
    """The difference of two answers with the same noise would have none at all."""
    noisy = SiteFilters("a", (GaussianNoise(),))
    task = publish(site, 0, ZEROS)
    one, other = (noisy.sent(task, ZEROS, ParamsType.FULL, ZEROS)[0]["w"] for _ in range(2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_other_sites_have_other_noise_though_the_seed_is_known(site: SiteFolder) -> None:
    task = publish(site, 0, ZEROS)
    one, other = (
        SiteFilters(name, (GaussianNoise(seed=1),)).sent(task, ZEROS, ParamsType.FULL, ZEROS)[0]["w"] for name in "ab"
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(SIZE)


def test_what_is_spent_is_logged_with_each_answer(site: SiteFolder) -> None:
    noise = GaussianNoise(3.0)
    with guarded(site, noise) as session:
        for number in range(2):
            exchange(site, session, nothing(), ZEROS, number)
        lines = [json.loads(line) for line in site.metrics(session.run).read_text().splitlines()]
    assert [(line["key"], line["round"], line["value"]) for line in lines] == [
        ("epsilon", number, noise.epsilon(number + 1)) for number in range(2)
    ]


def test_a_task_beyond_the_budget_is_not_taken(site: SiteFolder) -> None:
    with guarded(site, GaussianNoise(1.0, max_epsilon=GaussianNoise(1.0).epsilon(2))) as session:
        for number in range(2):
            exchange(site, session, nothing(), ZEROS, number)
        publish(site, 2, ZEROS, name="validate")
        assert session.receive() is not None  # a model is measured, and no update leaves
        session.send(FLModel(metrics={"loss": 1.0}))
        publish(site, 3, ZEROS)
        with pytest.raises(ClientError, match=r"^round 3 at site a does not begin: it would bring the epsilon spent"):
            session.receive()


def test_a_round_that_is_asked_for_again_and_again_costs_each_time(site: SiteFolder) -> None:
    with guarded(site, GaussianNoise(1.0, max_epsilon=GaussianNoise(1.0).epsilon(2))) as session:
        for attempt in (1, 2):
            publish(site, 0, ZEROS, attempt=attempt)
            assert session.receive() is not None
            session.send(nothing())
        publish(site, 0, ZEROS, attempt=3)
        with pytest.raises(ClientError, match=r"^round 0 at site a does not begin: it would bring the epsilon spent"):
            session.receive()


# What is refused.


@pytest.mark.parametrize(
    ("one", "model", "sent", "told"),
    [
        (
            ClipNorm(),
            {},
            FLModel(params={"w": np.ones(2)}),
            "send() in round 0 at site a: filters look at an update, and there is no model yet to update",
        ),
        (
            ClipNorm(),
            {"w": np.ones(2)},
            FLModel(params={"w": np.ones(3)}),
            "send() in round 0 at site a: filters look at the difference to the model received, and that has no "
            "parameter 'w' of shape (3,)",
        ),
        (
            ClipNorm(),
            {"w": np.ones(2)},
            FLModel(params={"w": np.ones(2), "v": np.ones(1)}),
            "send() in round 0 at site a: filters look at the difference to the model received, and that has no "
            "parameter 'v' of shape (1,)",
        ),
        (
            ClipNorm(),
            {"w": np.ones(2)},
            FLModel(params={"w": np.ones(2)}, groups={"control": {"w": np.ones(2)}}),
            "send() in round 0 at site a: filters see no groups of arrays, which would tell what a filter takes away",
        ),
        (
            GaussianNoise(),
            {"n": np.ones(2, np.int32)},
            FLModel(params={"n": np.ones(2, np.int32)}),
            "round 0 at site a: GaussianNoise: parameter 'n' is not of floats, so no noise would hide it",
        ),
        (
            ExcludeVars(("head",)),
            {"w": np.ones(2)},
            FLModel(params={"w": np.ones(2)}),
            "round 0 at site a: ExcludeVars: the model has no parameter 'head'",
        ),
        (
            GaussianNoise(1e6, 1.0, seed=0),
            {"w": np.ones(2, np.float16)},
            FLModel(params={"w": np.ones(2)}),
            "round 0 at site a: a filter made parameter 'w' NaN or infinite",
        ),
    ],
)
def test_what_filters_cannot_look_at_does_not_leave(
    site: SiteFolder, one: Filter, model: Params, sent: FLModel, told: str
) -> None:
    with guarded(site, one) as session:
        task = publish(site, 0, model)
        assert session.receive() is not None
        with pytest.raises(ClientError) as caught:
            session.send(sent)
        assert not (site.results / f"{task.task_id}.json").exists()
    assert str(caught.value) == told


def test_statistics_are_no_update(site: SiteFolder) -> None:
    with guarded(site, ClipNorm()) as session:
        publish(site, 0, {"count": np.zeros(2)}, name="statistics")
        with pytest.raises(ClientError) as caught:
            session.receive()
    assert str(caught.value) == (
        "round 0 at site a: filters look at an update of a model, and statistics are no such; noise for them is "
        "Statistics(noise_multiplier=...)"
    )


def test_filters_that_cannot_be_made_are_told_before_anything_is_received(site: SiteFolder) -> None:
    config = configuration(site.root.parent.parent / "job", ClipNorm())
    config.write_text(config.read_text().replace("1.0", "-1"))
    with pytest.raises(BadInputError, match=r"config_fed_client\.json: ClipNorm: max_norm is -1.0, expected"):
        open_session(site, filters=str(config))


@dataclass(frozen=True)
class Shift(Filter):
    """Adds to what the script sees."""

    step: float = 1.0

    def task(self, view: View) -> Change | None:
        def change(name: str, start: int, values: Row) -> None:
            if math.isnan(self.step):
                raise IndexError("too far")
            values += self.step

        return change


def test_a_filter_may_change_what_the_script_sees_and_not_what_its_update_is_seen_against(site: SiteFolder) -> None:
    task = publish(site, 0, {**MODEL, **OTHERS})
    one = SiteFilters("a", (Shift(1.0), Shift(2.0)))
    found = one.received(task, {**MODEL, **OTHERS})
    np.testing.assert_allclose(flat(found), flat(MODEL) + 3, rtol=1e-3)
    assert {name: array.dtype for name, array in found.items()} == {
        name: array.dtype for name, array in {**MODEL, **OTHERS}.items()
    }
    assert found["steps"].tolist() == OTHERS["steps"].tolist()
    sent, kind = one.sent(task, TRAINED, ParamsType.FULL, MODEL)
    assert kind is ParamsType.DIFF
    np.testing.assert_allclose(sent["head"], UPDATE[14:])


def test_what_goes_wrong_in_a_filter_is_told_by_round_and_place(site: SiteFolder) -> None:
    task = publish(site, 4, MODEL)
    with pytest.raises(
        ClientError,
        match=r"^round 4 at site a: Shift\.task\(\) failed in test_filtering\.py, line \d+: IndexError: too far$",
    ):
        SiteFilters("a", (Shift(math.nan),)).received(task, MODEL)
