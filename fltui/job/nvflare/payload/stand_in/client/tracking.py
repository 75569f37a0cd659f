"""nvflare's writer, where a script asks for fltui's."""

from __future__ import annotations

from nvflare.client.tracking import SummaryWriter as _SummaryWriter

__all__ = ["SummaryWriter"]


class SummaryWriter(_SummaryWriter):  # type: ignore[misc]  # nvflare has no types
    """It has nothing to flush, as with fltui."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
