"""Metrics within a round, written as scripts write them for TensorBoard.

from fltui.client.tracking import SummaryWriter

writer = SummaryWriter()
writer.add_scalar("train_loss", 0.5, global_step=3)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, SupportsFloat

from fltui.client.api import log
from fltui.errors import ClientError


class SummaryWriter:
    """Streams numbers into the run's journal, each at once, as `fltui.client.log` does.

    It may be made at any time; values belong to a run, so they are added after ``init()`` and ``receive()``.
    """

    def add_scalar(self, tag: str, scalar: SupportsFloat, global_step: int | None = None, **kwargs: Any) -> None:  # noqa: ARG002 - see below
        """Stream one number.

        Args:
            tag: what it is, e.g. ``"train_loss"``: 1 to 200 characters.
            scalar: a finite number.
            global_step: a whole number from 0 to plot it over.
            kwargs: what scripts tell receivers of other systems, e.g. ``walltime``; it has no meaning here.

        Raises:
            ClientError: `init` was not called, no task was received yet, or a value cannot be logged.
        """
        log(tag, scalar, global_step=global_step)  # type: ignore[arg-type]  # checked there, whatever number it is

    def add_scalars(
        self,
        tag: str,
        scalars: Mapping[str, SupportsFloat],
        global_step: int | None = None,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Stream several numbers, each under the name ``tag/name``; see `add_scalar`.

        Args:
            tag: what they have in common.
            scalars: name to a finite number.
            global_step: as of `add_scalar`.
            kwargs: as of `add_scalar`.

        Raises:
            ClientError: as `add_scalar`, or `scalars` has no names.
        """
        if not isinstance(scalars, Mapping):
            raise ClientError(f"add_scalars() of {tag!r}: expected names and numbers, found {type(scalars).__name__}")
        for name, scalar in scalars.items():
            self.add_scalar(f"{tag}/{name}", scalar, global_step)

    def flush(self) -> None:
        """Nothing is left to do: every number is written when it is added."""

    def close(self) -> None:
        """Nothing is left to do; the run goes on."""

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
