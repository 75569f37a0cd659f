"""Executors: what a site does with its tasks."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import cast

from fltui.client.config import ExchangeFormat, TransferType
from fltui.errors import BadInputError
from fltui.job.component import SiteComponent


@dataclass(frozen=True)
class ScriptExecutor(SiteComponent):
    """Runs a training script that uses the Client API, in a process of its own.

    Attributes:
        task_script_path: the script; relative paths are looked up beside the job script, then in the current folder.
        task_script_args: its arguments, as in a shell.
        params_exchange_format: NumPy arrays.
        params_transfer_type: DIFF sends the difference to the received model where the script sends a whole one.
    """

    task_script_path: str
    task_script_args: str = ""
    params_exchange_format: ExchangeFormat = ExchangeFormat.NUMPY
    params_transfer_type: TransferType = TransferType.FULL

    def __post_init__(self) -> None:
        if not self.task_script_path:
            raise BadInputError("ScriptExecutor: task_script_path is empty; name the training script")
        for field, kind in (("params_exchange_format", ExchangeFormat), ("params_transfer_type", TransferType)):
            try:
                object.__setattr__(self, field, kind(getattr(self, field)))
            except ValueError as error:
                known = ", ".join(kind)
                raise BadInputError(f"ScriptExecutor: {field} is {getattr(self, field)!r}; known: {known}") from error
        self.arguments()

    def arguments(self) -> list[str]:
        """The script's arguments one by one.

        Raises:
            BadInputError: a quote is not closed.
        """
        try:
            return shlex.split(self.task_script_args)
        except ValueError as error:
            raise BadInputError(f"ScriptExecutor: task_script_args {self.task_script_args!r}: {error}") from error


def ScriptRunner(  # noqa: N802 - a class to those who use it
    script: str,
    script_args: str = "",
    launch_external_process: bool = True,  # noqa: ARG001 - scripts always run in a process of their own
    server_expected_format: ExchangeFormat | str = ExchangeFormat.NUMPY,
    params_transfer_type: TransferType | str = TransferType.FULL,
) -> ScriptExecutor:
    """`ScriptExecutor` with the newer names of its arguments."""
    return ScriptExecutor(
        task_script_path=script,
        task_script_args=script_args,
        params_exchange_format=cast(ExchangeFormat, server_expected_format),
        params_transfer_type=cast(TransferType, params_transfer_type),
    )
