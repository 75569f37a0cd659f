from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.aggregators import Krum
from fltui.aggregation.filters import ClipNorm
from fltui.aggregation.optimizers import FedAdam
from fltui.client.config import TransferType
from fltui.errors import BadInputError
from fltui.job import registry
from fltui.job.code import NO_CODE
from fltui.job.component import Component, SiteComponent
from fltui.job.executors import ScriptExecutor
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.statistics import Statistics

EXECUTOR = "fltui.job.executors.ScriptExecutor"
FEDAVG = "fltui.workflows.fedavg.FedAvg"


@dataclass(frozen=True)
class Stranger(SiteComponent):
    """Not registered."""


@pytest.mark.parametrize(
    "component", [ScriptExecutor("train.py", "-n 3", params_transfer_type=TransferType.DIFF), FedAvg(min_clients=2)]
)
def test_a_component_is_made_again_from_its_path_and_arguments(component: Component) -> None:
    path, arguments = registry.path_of(component), registry.arguments_of(component)
    assert registry.create(path, arguments, {}, "config.json") == component


def test_arguments_are_json_values_without_arrays_and_what_is_empty() -> None:
    assert registry.arguments_of(FedAvg(num_clients=2, num_rounds=3, model=np.zeros(3))) == {
        "num_clients": 2,
        "num_rounds": 3,
        "start_round": 0,
        "aggregator": {"path": "fltui.aggregation.aggregators.WeightedMean", "args": {}},
    }


def test_arrays_are_handed_over_beside_the_arguments() -> None:
    found = registry.create(FEDAVG, {}, {"model": {"w": np.ones(2)}}, "config.json")
    assert isinstance(found, FedAvg)
    assert found.model["w"].tolist() == [1.0, 1.0]


def test_classes_that_are_not_registered_are_the_job_s_own() -> None:
    assert registry.own_classes(Stranger()) == {Stranger}
    assert registry.own_classes(FedAvg(filters=(ClipNorm(),))) == set()


def test_the_arrays_of_a_class_are_known() -> None:
    assert registry.array_fields(FEDAVG, "config.json", NO_CODE) == {"model"}
    with pytest.raises(BadInputError, match=r"config\.json names the component 'os\.system', which is not registered"):
        registry.array_fields("os.system", "config.json", NO_CODE)


def test_parts_are_written_down_with_their_own_arguments_and_made_again() -> None:
    whole = FedAvg(num_clients=9, aggregator=Krum(f=3), server_optimizer=FedAdam(tau=0.01), filters=(ClipNorm(2.0),))
    arguments = registry.arguments_of(whole)
    assert arguments["aggregator"] == {"path": "fltui.aggregation.aggregators.Krum", "args": {"f": 3}}
    assert registry.create(FEDAVG, json.loads(json.dumps(arguments)), {}, "config.json") == whole


def test_a_part_of_another_kind_is_refused() -> None:
    part = {"path": "fltui.aggregation.optimizers.FedAdam", "args": {}}
    with pytest.raises(BadInputError, match=r"config\.json: FedAvg: aggregator is FedAdam.*Median"):
        registry.create(FEDAVG, {"aggregator": part}, {}, "config.json")


@pytest.mark.parametrize("path", ["os.system", "fltui.job.executors", "", "fltui.workflows.fedavg:FedAvg"])
def test_a_path_that_is_not_registered_is_never_imported(path: str) -> None:
    with pytest.raises(BadInputError, match=r"config\.json names the component .* which is not registered"):
        registry.create(path, {}, {}, "config.json")


@pytest.mark.parametrize(
    ("path", "arguments", "reason"),
    [
        (EXECUTOR, {}, "task_script_path"),
        (EXECUTOR, {"task_script_path": 7}, "Expected `str`"),
        (EXECUTOR, {"task_script_path": "a.py", "shell": True}, "has no argument 'shell'"),
        (EXECUTOR, {"task_script_path": ""}, "task_script_path is empty"),
        (FEDAVG, {"num_rounds": "5"}, "'num_rounds' of FedAvg: Expected `int`"),
        (FEDAVG, {"num_rounds": 0}, "num_rounds is 0"),
        (FEDAVG, {"model": [1, 2]}, "has no argument 'model'"),
    ],
)
def test_wrong_arguments_are_named_with_their_file(path: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=rf"^config\.json: .*{reason}"):
        registry.create(path, arguments, {}, "config.json")


def test_what_is_empty_and_would_not_be_by_default_is_written_down() -> None:
    whole = Statistics(features=("age",), quantiles=(), exact_extremes=True)
    arguments = registry.arguments_of(whole)
    assert arguments["quantiles"] == []
    assert "noise_seed" not in arguments
    assert registry.create("fltui.workflows.statistics.Statistics", arguments, {}, "config.json") == whole
