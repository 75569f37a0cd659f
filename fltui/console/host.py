"""What the screens need of the application they are in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from fltui.run.folder import RunFolder


@dataclass(frozen=True)
class Places:
    """Where the console looks.

    Attributes:
        runs: folder of run folders.
        exchange: the exchange folder of runs that are started here.
        jobs: folders that are jobs or hold jobs.
        queue: the folder of the queue; None, or one that is not there, for none.
    """

    runs: Path
    exchange: Path
    jobs: list[Path] = field(default_factory=list)
    queue: Path | None = None


@runtime_checkable
class ShowsDoing(Protocol):
    """A screen that can say what is being started."""

    def show_doing(self, text: str) -> None:
        """Say it, in harmless text; nothing for an empty one."""


class Host(Protocol):
    """The application."""

    def tell(self, text: str, severity: Literal["information", "error"] = "information") -> None:
        """Show a text for a moment."""

    def copy(self, text: str) -> None:
        """Put a text on the clipboard and say so."""

    def launch(self, command: str, job: Path, doing: str) -> None:
        """Start a job beside the console and show its run as soon as it has a name.

        Args:
            command: ``run`` or ``server``.
            job: the job script or job folder.
            doing: what is being started, in words.
        """

    def resume(self, folder: RunFolder) -> None:
        """Go on with a run that did not complete, beside the console."""

    def stop_launching(self) -> bool:
        """Stop what is being started; whether there was something."""

    def open_run(self, folder: RunFolder) -> None:
        """Show a run."""

    def go_home(self) -> None:
        """Leave the run that is shown."""
