"""Functions under ``@flare.train`` and ``@flare.evaluate``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fltui.client as flare
from fltui.client.session import Session
from fltui.errors import ClientError
from fltui.exchange.layout import SiteFolder
from tests.client.by_hand import WEIGHTS, answer, end, publish


def added(model: flare.FLModel, much: float, **metrics: float) -> flare.FLModel:
    """The model received with `much` added."""
    params = {name: value + np.float32(much) for name, value in (model.params or {}).items()}
    return flare.FLModel(params=params, metrics=metrics)


def test_what_was_evaluated_is_sent_with_what_is_trained(site: SiteFolder, bound: Session) -> None:
    @flare.evaluate
    def judge(model: flare.FLModel) -> dict[str, float]:
        return {"mean": float((model.params or {})["w"].mean())}

    @flare.train
    def fit(model: flare.FLModel, much: float = 1) -> flare.FLModel:
        """Fit."""
        return added(model, much, loss=0.5, mean=-1)

    task = publish(site, 0, {"w": WEIGHTS})
    assert flare.is_running()
    assert judge() == {"mean": 4}
    sent = fit(much=2)
    assert (fit.__name__, fit.__doc__) == ("fit", "Fit.")
    assert sent.metrics == {"loss": 0.5, "mean": 4}
    assert answer(site, task).metrics == {"loss": 0.5, "mean": 4}
    np.testing.assert_array_equal(np.load(site.results / task.task_id / "w.npy"), WEIGHTS + 2)
    assert bound.task is None


def test_metrics_of_another_round_are_not_sent(site: SiteFolder, bound: Session) -> None:
    judge = flare.evaluate(lambda model: {"round": model.current_round})
    fit = flare.train(lambda model: added(model, 1))
    publish(site, 0, {"w": WEIGHTS})
    judge()
    flare.send(flare.FLModel(params={"w": WEIGHTS}))
    task = publish(site, 1, {"w": WEIGHTS})
    fit()
    assert answer(site, task).metrics == {}
    assert bound.task is None


def test_metrics_alone_answer_a_task_that_asks_for_no_training(site: SiteFolder, bound: Session) -> None:
    task = publish(site, 0, {}, name="validate")
    assert flare.evaluate()(lambda _: 0.5)() == 0.5
    # A round without a model expects one back; what counts here is that it was sent.
    assert '"metric": 0.5' in (site.results / f"{task.task_id}.json").read_text()
    assert bound.task is None


def by_keyword(*, model: flare.FLModel, much: float = 1) -> flare.FLModel:
    """Takes the model by its name alone."""
    return added(model, much)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (added, (), {"much": 2}),
        (added, ("whatever the caller has", 2), {}),
        (added, (None,), {"much": 2}),
        (added, (), {"model": None, "much": 2}),
        (by_keyword, (), {"much": 2}),
        (by_keyword, (), {"much": 2, "model": None}),
        (lambda *args: added(*args), (None, 2), {}),
    ],
)
def test_the_model_takes_the_place_of_the_first_argument(
    site: SiteFolder, bound: Session, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    publish(site, 0, {"w": WEIGHTS})
    sent = flare.train()(function)(*args, **kwargs)
    np.testing.assert_array_equal((sent.params or {})["w"], WEIGHTS + 2)
    assert bound.task is None


@pytest.mark.parametrize(
    ("decorate", "returned", "told"),
    [
        (flare.train, None, "the function <lambda>() under @train returned NoneType, expected an FLModel"),
        (flare.train, {"w": 1.0}, "returned dict, expected an FLModel"),
        (flare.evaluate, None, "the function <lambda>() under @evaluate returned nothing, expected metrics"),
        (flare.evaluate, {"auc": "high"}, "under @evaluate: metric 'auc' is 'high' (str), expected a finite number"),
        (flare.evaluate, float("nan"), "what the function <lambda>() under @evaluate returned is nan"),
    ],
)
def test_what_cannot_be_sent_is_told(
    site: SiteFolder, bound: Session, decorate: Any, returned: object, told: str
) -> None:
    publish(site, 0, {"w": WEIGHTS})
    with pytest.raises(ClientError) as error:
        decorate(lambda _: returned)()
    assert told in str(error.value)
    assert bound.task is not None


def test_after_the_end_there_is_no_model(site: SiteFolder, bound: Session) -> None:
    publish(site, 0, {})
    assert bound.wait_for_task()
    end(site)
    with pytest.raises(ClientError, match="called after the end of the run, when there is no model"):
        flare.train(lambda model: model)()


@pytest.mark.parametrize("function", [lambda: None, lambda **kwargs: kwargs])
def test_a_function_has_to_take_the_model(function: Any) -> None:
    with pytest.raises(ClientError, match="takes no argument; its first is to take the model received"):
        flare.train(function)
