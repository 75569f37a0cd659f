"""``@flare.train`` and ``@flare.evaluate``: functions that are handed the model received and whose answer is sent.

@flare.evaluate
def evaluate(model):
    return {"accuracy": accuracy(model.params)}

@flare.train
def train(model, epochs=1):
    return flare.FLModel(params=fit(model.params, epochs))

while flare.is_running():
    evaluate()
    train(epochs=2)
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from fltui.client.api import current_session, is_train, receive, send
from fltui.client.outgoing import finite
from fltui.errors import ClientError
from fltui.model import FLModel

METRIC = "metric"
"""The name that one number gets which an evaluation returns without a name."""

_T = TypeVar("_T")

_evaluated: tuple[str, dict[str, float]] = ("", {})
"""A task's id, and the metrics that are to be sent with what is trained in it."""


@overload
def train(function: Callable[..., FLModel]) -> Callable[..., FLModel]: ...


@overload
def train() -> Callable[[Callable[..., FLModel]], Callable[..., FLModel]]: ...


def train(function: Callable[..., FLModel] | None = None) -> Any:
    """Make a function the site's training: it is given the model received, and what it returns is sent.

    The model is its first argument, whatever the caller gives in that place; all others are the caller's. Metrics that
    a function under `evaluate` returned in the same round are sent with the model.

    Args:
        function: takes an `FLModel` and returns one.

    Raises:
        ClientError: at the call: the run has ended, or what was returned is no `FLModel`, or cannot travel.
    """
    return _train(function) if function is not None else _train


def _train(function: Callable[..., FLModel]) -> Callable[..., FLModel]:
    """See `train`."""
    call = _with_model("train", function)

    @functools.wraps(function)
    def trained(*args: Any, **kwargs: Any) -> FLModel:
        returned: object = call(*args, **kwargs)
        if not isinstance(returned, FLModel):
            raise ClientError(f"{_named('train', function)} returned {type(returned).__name__}, expected an FLModel")
        if metrics := _take_evaluated():
            returned = dataclasses.replace(returned, metrics={**(returned.metrics or {}), **metrics})
        send(returned)
        return returned

    return trained


@overload
def evaluate(function: Callable[..., _T]) -> Callable[..., _T]: ...


@overload
def evaluate() -> Callable[[Callable[..., _T]], Callable[..., _T]]: ...


def evaluate(function: Callable[..., Any] | None = None) -> Any:
    """Make a function the site's evaluation of the model received.

    In a round of training the metrics wait for the function under `train`, which comes after it, and are sent with the
    model; in any other task they are the answer.

    Args:
        function: takes an `FLModel`, as under `train`, and returns metric names and finite numbers; one number alone
            gets the name ``metric``.

    Raises:
        ClientError: at the call: the run has ended, or what was returned is neither.
    """
    return _evaluate(function) if function is not None else _evaluate


def _evaluate(function: Callable[..., _T]) -> Callable[..., _T]:
    """See `evaluate`."""
    call = _with_model("evaluate", function)

    @functools.wraps(function)
    def evaluated(*args: Any, **kwargs: Any) -> _T:
        global _evaluated
        returned: _T = call(*args, **kwargs)
        what = _named("evaluate", function)
        if isinstance(returned, Mapping):
            metrics = {str(name): finite(value, f"{what}: metric {name!r}") for name, value in returned.items()}
        elif returned is None:
            raise ClientError(f"{what} returned nothing, expected metrics: a number, or numbers by their names")
        else:
            metrics = {METRIC: finite(returned, f"what {what} returned")}
        if is_train():
            _evaluated = (_task_id(), metrics)
        else:
            send(FLModel(metrics=metrics))
        return returned

    return evaluated


def _with_model(decorator: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the model received in the place of its first argument.

    Raises:
        ClientError: it has none.
    """
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind is inspect.Parameter.VAR_KEYWORD:
        raise ClientError(f"{_named(decorator, function)} takes no argument; its first is to take the model received")

    def call(*args: Any, **kwargs: Any) -> Any:
        model = receive()
        if model is None:
            raise ClientError(
                f"{_named(decorator, function)} was called after the end of the run, when there is no model: "
                "call it inside 'while flare.is_running():'"
            )
        kwargs.pop(first.name, None)
        if first.kind is inspect.Parameter.KEYWORD_ONLY:
            return function(*args, **{first.name: model}, **kwargs)
        return function(model, *args[1:], **kwargs)

    return call


def _named(decorator: str, function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__name__', repr(function))}() under @{decorator}"


def _take_evaluated() -> dict[str, float]:
    """The metrics of the task at hand, once."""
    global _evaluated
    (task_id, metrics), _evaluated = _evaluated, ("", {})
    return metrics if task_id == _task_id() else {}


def _task_id() -> str:
    task = current_session().task
    return task.task_id if task else ""
