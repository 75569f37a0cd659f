"""``python -m fltui.client SCRIPT [ARGS...]``: a site's process, as the simulator and ``fltui client`` start it.

The script runs as ``__main__``. Whatever ends it, an exception, ``sys.exit``, a missing file, is said in the site's
``status.json`` before the process goes, so that the server can give the cause at once.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

from fltui.client import as_nvflare
from fltui.client.api import open_session
from fltui.client.config import load_config
from fltui.client.script import own_frames, reason, run_as_main
from fltui.errors import FltuiError
from fltui.signals import StoppedError, raise_when_stopped

LIFELINE = "FLTUI_LIFELINE"
"""Descriptor of a pipe whose other end the simulator holds; its end of file means that the simulator is gone."""

STDOUT_IS_LOG = "FLTUI_STDOUT_IS_LOG"


def main() -> int:
    """Run the script named on the command line; its exit code."""
    try:
        raise_when_stopped()
        _follow_lifeline()
        faulthandler.enable()
        return _run()
    except KeyboardInterrupt:
        return 130
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        _end_now(stop.exit_code)


def _run() -> int:
    script, *arguments = sys.argv[1:]
    try:
        session = open_session(load_config(), stdout_is_log=os.environ.pop(STDOUT_IS_LOG, "") == "1")
    except FltuiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        if not Path(script).is_file():
            raise FileNotFoundError(f"script {script} does not exist")
        as_nvflare.install()
        run_as_main(Path(script), arguments)
    except SystemExit as stop:
        if stop.code in (None, 0):
            session.close()
            return session.exit_code
        code = stop.code if isinstance(stop.code, int) else 1
        said = f"the script called sys.exit({stop.code!r})"
        print(said, file=sys.stderr)
        session.close("failed", said)
        _end_now(code)
    except KeyboardInterrupt:
        session.close("failed", "interrupted")
        raise
    except StoppedError:
        # The server is told nothing: a service that is started again goes on with the task that it left, and until
        # then the server waits for it as for one that was killed.
        raise
    except BaseException as error:  # noqa: BLE001 - the process ends with it; nothing is swallowed
        own = own_frames(error)
        traceback.print_exception(own)
        session.close("failed", reason(own))
        _end_now(1)
    session.close()
    return session.exit_code


def _end_now(code: int) -> NoReturn:
    """End a failed script's process, whatever threads it left running: they would look like life."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _follow_lifeline() -> None:
    """Die with the simulator, whole process group, also when it is killed and can tell nobody."""
    fd = os.environ.pop(LIFELINE, "")
    if not fd:
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(int(fd), 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="fltui-lifeline", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
