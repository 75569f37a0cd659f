from __future__ import annotations

from typing import Any

import pytest

from fltui.client.config import ExchangeFormat, TransferType
from fltui.errors import BadInputError
from fltui.job.executors import ScriptExecutor, ScriptRunner


def test_an_executor_has_sensible_defaults() -> None:
    executor = ScriptExecutor("train.py")
    assert executor.params_exchange_format is ExchangeFormat.NUMPY
    assert executor.params_transfer_type is TransferType.FULL
    assert executor.arguments() == []


def test_choices_may_be_given_as_text() -> None:
    executor = ScriptExecutor("train.py", params_transfer_type="DIFF")  # type: ignore[arg-type]
    assert executor.params_transfer_type is TransferType.DIFF


def test_arguments_are_split_as_in_a_shell() -> None:
    executor = ScriptExecutor("train.py", "--name 'two words' -n 3")
    assert executor.arguments() == ["--name", "two words", "-n", "3"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"task_script_path": ""}, "task_script_path is empty"),
        ({"task_script_args": "'open"}, "No closing quotation"),
        ({"params_exchange_format": "pytorch"}, "params_exchange_format is 'pytorch'; known: numpy"),
        ({"params_transfer_type": "HALF"}, "params_transfer_type is 'HALF'; known: FULL, DIFF"),
    ],
)
def test_an_executor_that_cannot_work_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        ScriptExecutor(**{"task_script_path": "train.py", **arguments})


def test_a_script_runner_is_an_executor_by_its_newer_names() -> None:
    runner = ScriptRunner(script="train.py", script_args="-n 3", params_transfer_type="DIFF")
    assert runner == ScriptExecutor("train.py", "-n 3", params_transfer_type=TransferType.DIFF)
