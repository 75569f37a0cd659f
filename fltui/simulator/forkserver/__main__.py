"""``python -P -m fltui.simulator.forkserver CONTROL LIFELINE``: has everything loaded that the process of a site needs.

It forks for each site, and for the job script before them. What comes out of a fork goes on as ``python -P -m
fltui.client`` would, or ``fltui.job``, to the end; only what is loaded is already there, in memory that is shared as
long as nobody writes into it.

It has one thread of its own (those that NumPy's BLAS starts end in a fork by its own doing), and knows nothing of the
job or the server. `CONTROL` is a socket to whoever asks for processes: the end of file there ends it, with all that it
started. `LIFELINE` is for the scripts, see `fltui.client.__main__`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from fltui.simulator.lifeline import adopt_orphans, die_with_parent

PRELOADED = (
    "argparse",
    "fltui.client.__main__",
    "fltui.simulator.forkserver.loop",
    "fltui.simulator.forkserver.ending",
    "numpy.random",
    "watchdog.observers.inotify_c",
)
"""What a script's process loads in any case, or so often that it is better to have it."""


def main() -> NoReturn:
    """Serve; in the process of a site, run its script."""
    control, lifeline = (int(text) for text in sys.argv[1:3])
    die_with_parent(signal.SIGKILL)  # as long as things are loaded nobody sees that the other end closes
    for name in PRELOADED:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection in the process of a site would write into every page
    die_with_parent(0)
    adopt_orphans()
    from fltui.simulator.forkserver.loop import Server

    server = Server(control, lifeline)  # kept, also where it is of no use: to take it apart would cost a site memory
    birth = server.serve()
    if birth is None:
        os._exit(0)
    birth.become()
    main = import_module(f"{birth.module}.__main__").main
    from fltui.simulator.forkserver.ending import end

    end(main(), birth.after.modules, birth.threads)


if __name__ == "__main__":
    main()
