"""``python -P -m fltui.cli.queue_child FD... -- ARGS``: ``fltui ARGS`` as the server of a queue starts it, for one run.

The first descriptor is its lifeline. When the server of the queue is gone, however it ended, this process goes as if it
had been killed, too: the next server of the queue goes on with the run. What is asked of a whole service, to stop, is
for the server of the queue to hear. Any other descriptor holds the entry as long as this process lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from threading import Thread


def main() -> None:
    """Run the command."""
    at = sys.argv.index("--")
    lifeline, *held = map(int, sys.argv[1:at])
    Thread(target=_follow, args=(lifeline,), name="fltui-lifeline", daemon=True).start()
    for fd in (lifeline, *held):
        os.set_inheritable(fd, False)
    for sent in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, signal.SIG_IGN)
    sys.argv = ["fltui", *sys.argv[at + 1 :]]
    from fltui.cli import main as run_command

    run_command()


def _follow(lifeline: int) -> None:
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
