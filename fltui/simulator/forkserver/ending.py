"""How the process of a site ends that was forked: as a Python of its own would, without taking apart what it shares."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import os
import sys
import threading
import weakref
from collections.abc import Collection
from types import ModuleType
from typing import NoReturn

from fltui.signals import StoppedError

_BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def end(code: int, shared: Collection[str], threads: int) -> NoReturn:
    """End this process in the order in which Python does: threads, exit handlers, what the script has made, files.

    Python would take apart every module, and so write into most pages that are shared with the other sites: 20 ms of
    a processor and 10 MB, for nothing that anybody sees. Here only what came with the script goes.

    Args:
        code: to exit with.
        shared: names of the modules that were there before the script.
        threads: how many there were, which end with the process.
    """
    with contextlib.suppress(KeyboardInterrupt, StoppedError):  # it ends already
        threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends what it has forked
    atexit._run_exitfuncs()
    if len(sys._current_frames()) > threads:
        sys.exit(code)  # threads that go on: only Python can stop them
    try:
        _flush()
        _flush_files()
        _forget([name for name in sys.modules if name not in shared or name == "__main__"])
        _flush()
        ctypes.CDLL(None).fflush(None)  # what C code has printed
    finally:
        os._exit(code)


def _forget(names: list[str]) -> None:
    """Let go of modules, so that finalizers are called. What holds a module is cleared after."""
    left = [weakref.ref(module) for module in map(sys.modules.pop, names) if isinstance(module, ModuleType)]
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    gc.collect()
    for found in reversed(left):
        if (module := found()) is None:
            continue
        space = vars(module)
        for name in sorted(space, key=lambda name: name[:1] != "_" or name[:2] == "__"):
            if name != "__builtins__":
                space[name] = None
    gc.collect()


def _flush_files() -> None:
    """Flush every file that the script has opened, whatever holds it.

    Of a ring, the collector may take the lower layers of a file before the upper ones, and what was written is lost. It
    knows of no other files: those that were there before are frozen.
    """
    for found in gc.get_objects():
        if isinstance(found, _BUFFERED) and not found.closed and found.writable():
            with contextlib.suppress(OSError, ValueError):
                found.flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no room, closed, None
            stream.flush()  # type: ignore[union-attr]  # None is suppressed
