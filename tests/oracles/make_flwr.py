"""Put the inputs of `cases.py` through flwr's own strategies and write what comes out to `flwr.json`.

In an environment with ``flwr==1.42`` (fltui need not be there), from the root of the repository::

    python -m tests.oracles.make_flwr

The strategies run as they do for a user, by `Strategy.start`, over a grid whose nodes answer with the seeded models.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import Bulyan as ServerBulyan
from flwr.server.strategy.aggregate import aggregate_krum
from flwr.serverapp import strategy as strategies
from flwr.supercore.task_identity import TaskIdentity

from tests.oracles.cases import CASES, STORED, Case, Model

VERSION = "1.42.0"


class Nodes:
    """A grid of one node a site, which answers in the order of the sites. Its nodes train, and never evaluate."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._round = 0

    def get_node_ids(self) -> list[int]:
        return list(range(1, self._case.sites + 1))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        tasks = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        if not tasks:
            return []
        self._round += 1
        models, weights = self._case.models(self._round), self._case.weights(self._round)
        return [
            Message(
                RecordDict({"arrays": _record(model), "metrics": MetricRecord({"num-examples": weight})}), reply_to=task
            )
            for task, model, weight in zip(tasks, models, weights, strict=True)
        ]


def run(case: Case) -> list[Model]:
    """flwr's model after each round."""
    if case.strategy == "server.Bulyan":
        return [_server_bulyan(case)]
    found: list[Model] = []

    def keep(round_: int, arrays: ArrayRecord) -> None:
        if round_:
            found.append({name: array.numpy() for name, array in arrays.items()})

    strategy = getattr(strategies, case.strategy)(
        fraction_evaluate=0.0, min_train_nodes=case.sites, min_available_nodes=case.sites, **case.arguments
    )
    strategy.start(Nodes(case), _record(case.initial()), num_rounds=case.rounds, evaluate_fn=keep)
    return found


def _server_bulyan(case: Case) -> Model:
    models = case.models()
    answers: list[tuple[Any, FitRes]] = [
        (None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(list(model.values())), weight, {}))
        for model, weight in zip(models, case.weights(), strict=True)
    ]
    strategy = ServerBulyan(first_aggregation_rule=aggregate_krum, to_keep=0, **case.arguments)
    parameters, _ = strategy.aggregate_fit(1, answers, [])
    return dict(zip(models[0], parameters_to_ndarrays(parameters), strict=True))


def _record(model: Model) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in model.items()})


def _stored(model: Model) -> dict[str, Any]:
    return {
        name: {"dtype": str(array.dtype), "values": np.ravel(array).tolist()} for name, array in sorted(model.items())
    }


def main() -> None:
    found = importlib.metadata.version("flwr")
    if found != VERSION:
        raise SystemExit(f"flwr {found} is installed; the values are those of flwr {VERSION}")
    logging.disable(logging.WARNING)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # else no message can be made
    lines = [
        f"  {json.dumps(case.name)}: "
        + json.dumps({**case.description(), "outputs": [_stored(model) for model in run(case)]}, separators=(",", ":"))
        for case in CASES.values()
    ]
    head = f'{{"flwr": "{VERSION}", "numpy": "{np.__version__}", "cases": {{\n'
    STORED.write_text(head + ",\n".join(lines) + "\n}}\n", "utf-8")


if __name__ == "__main__":
    main()
