"""``python -m fltui.cli.site SCRIPT [ARGS...]``: what ``fltui client`` becomes.

It is `fltui.client.__main__`. To load the package `fltui.client` takes a while, and whoever is told to stop then should
not show where.
"""

from __future__ import annotations

import signal
import sys

from fltui.signals import loading

HELD_BACK = {sent for sent in signal.Signals if sent.name in ("SIGINT", "SIGTERM", "SIGHUP")}
"""Signals that wait from the end of ``fltui client`` until this module is there to take them."""


def main() -> int:
    """Run the script named on the command line; its exit code."""
    with loading():
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        from fltui.client.__main__ import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
