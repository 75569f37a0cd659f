"""The console as an application: its screens, and the runs it starts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from fltui.console.config import Config
from fltui.console.host import Places, ShowsDoing
from fltui.console.keys import keys_of
from fltui.console.runs.child import Child, start
from fltui.console.runs.listing import has_ended
from fltui.console.safe import safe
from fltui.console.screens.help import HelpScreen
from fltui.console.screens.home import HomeScreen
from fltui.console.screens.palette import Palette
from fltui.console.screens.question import Question
from fltui.errors import FltuiError
from fltui.run import control
from fltui.run.folder import RunFolder


class ConsoleApp(App[None]):
    """``fltui`` without a command, and ``fltui watch``.

    Args:
        places: where to look.
        config: the person's own settings.
        run: shown at once; None begins with the home screen.
    """

    TITLE = "fltui"
    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?", id="app.help"),
        Binding("e", "export", "Export SVG", show=False, id="app.export", tooltip="Save the screen as an SVG picture"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            show=False,
            id="app.suspend",
            tooltip="Back to the shell; fg returns",
        ),
        Binding("q", "leave_console", "Quit", id="app.quit"),
    ]

    def __init__(self, places: Places, config: Config | None = None, run: RunFolder | None = None) -> None:
        super().__init__()
        self.places = places
        self.config = config or Config()
        self._first = run
        self._started: dict[RunFolder, Child] = {}
        self._launching: asyncio.Task[None] | None = None
        if self.config.theme in self.available_themes:  # `check` says which are; TEXTUAL_THEME is heard without it
            self.theme = self.config.theme
        self.set_keymap(dict(self.config.keys))

    def on_mount(self) -> None:
        """Show the first screen; leave in good order when asked by a signal, so that the terminal is as it was."""
        for sent in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(sent, self.exit, None, 128 + sent)
        self.push_screen(HomeScreen(self, self.places))
        if self._first is not None:
            self.open_run(self._first)
        else:
            self.call_after_refresh(self.run_worker, _load_panels, thread=True, description="load panels")

    async def on_unmount(self) -> None:
        """What is being started and has no run yet ends; runs go on."""
        if self._launching is not None and not self._launching.done():
            self._launching.cancel()
            await asyncio.wait([self._launching])

    # Screens.

    def open_run(self, folder: RunFolder) -> None:
        """See `Host.open_run`; does not push a person out of a question, but says that the run is there."""
        if isinstance(self.screen, ModalScreen):
            self.tell(f"run {folder.run} has begun; it is in the list of runs")
            return
        from fltui.console.screens.run_screen import RunScreen  # here: the first frame is not to wait for its panels

        self.go_home()
        self.push_screen(RunScreen(self, folder))

    def go_home(self) -> None:
        """See `Host.go_home`."""
        if not isinstance(self.screen, HomeScreen | ModalScreen):
            self.pop_screen()

    def action_command_palette(self) -> None:
        """Find a command by its name; there is one palette at a time."""
        if not any(isinstance(screen, Palette) for screen in self.screen_stack):
            self.push_screen(Palette(id="--command-palette"))

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(HelpScreen(keys_of(self.screen, self.config.keys)))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every binding of the screen is a command of the palette, and Textual's choice of a theme."""
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        for key in keys_of(screen, self.config.keys):
            if key.in_palette:
                yield SystemCommand(key.title, key.text, key.run)

    # Starting runs.

    def launch(self, command: str, job: Path, doing: str) -> None:
        """See `Host.launch`."""
        places = ["--runs", str(self.places.runs), "--exchange", str(self.places.exchange)]
        self._start([command, str(job), *places], doing)

    def resume(self, folder: RunFolder) -> None:
        """See `Host.resume`."""
        self._start(["resume", str(folder.root)], f"resuming {folder.run}", folder)

    def _start(self, arguments: list[str], doing: str, folder: RunFolder | None = None) -> None:
        if self._launching is not None and not self._launching.done():
            self.tell("something is being started already; escape stops that")
            return
        self._launching = asyncio.create_task(self._launch(arguments, doing, folder))

    async def _launch(self, arguments: list[str], doing: str, folder: RunFolder | None) -> None:
        self._show_doing(f"{doing} …")
        try:
            child = await start(arguments, Path.cwd(), folder.run if folder else "")
        except FltuiError as error:
            self.tell(str(error), severity="error")
            return
        finally:
            self._show_doing("")
        run = folder or RunFolder(self.places.runs / child.run)
        self._started[run] = child
        if folder is None:
            self.open_run(run)

    def stop_launching(self) -> bool:
        """See `Host.stop_launching`."""
        return self._launching is not None and self._launching.cancel()

    def _show_doing(self, text: str) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, ShowsDoing):
                screen.show_doing(safe(text))

    # What every screen needs.

    def tell(self, text: str, severity: Literal["information", "error"] = "information") -> None:
        """See `Host.tell`."""
        self.notify(safe(text), severity=severity, markup=False)

    def copy(self, text: str) -> None:
        """See `Host.copy`."""
        if text:
            self.copy_to_clipboard(text)
            lines = text.splitlines()
            self.tell(f"copied {lines[0]}" if len(lines) == 1 else f"copied {len(lines)} lines")

    def action_export(self) -> None:
        """Save the screen as an SVG picture in the current folder; in a browser, where that keeps its downloads."""
        if self.is_web:
            self.deliver_screenshot()
            return
        try:
            self.tell(f"saved {self.save_screenshot()}")
        except OSError as error:
            self.tell(f"the picture cannot be saved in this folder: {error.strerror}", severity="error")

    async def action_leave_console(self) -> None:
        """See `action_quit`, which is Textual's own for ``ctrl+q``."""
        await self.action_quit()

    async def action_quit(self) -> None:
        """Leave; ask first if a run that was started here is live."""
        live = [folder for folder, child in self._started.items() if child.is_alive and not _is_over(folder)]
        if not live:
            self.exit()
            return

        def answered(answer: str | None) -> None:
            if answer == "abort":
                for folder in live:
                    with contextlib.suppress(OSError):  # the run's folder is gone, so nobody hears
                        control.ask(folder, control.Abort("the console was closed"))
            if answer in ("leave", "abort"):
                self.exit()

        names = ", ".join(folder.run for folder in live)
        text = f"{names} goes on without the console; 'fltui' shows it again."
        answers = [("Leave it running", "leave"), ("Abort it", "abort"), ("Stay", "stay")]
        self.push_screen(Question("A run is live", text, answers, danger="abort"), answered)


def _is_over(folder: RunFolder) -> bool:
    """Whether a run has ended whose process may still be about to; one that is gone is over, too."""
    try:
        return has_ended(folder.journal)
    except OSError:
        return True


def _load_panels() -> None:
    """Import the run screen while a person looks at the lists, so that the first run opens at once."""
    import fltui.console.screens.run_screen  # noqa: F401
