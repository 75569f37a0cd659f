"""``python -m fltui.job SCRIPT``: run a job script that hands its job over, see `handover.job_of_script`."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from fltui.client.script import own_frames, run_as_main
from fltui.errors import FltuiError


def main() -> int:
    """Run the script.

    Returns:
        What it exits with; 2 with one sentence for what fltui refuses, 1 with a traceback for the script's own errors.
    """
    try:
        run_as_main(Path(sys.argv[1]), [])
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)  # noqa: T201
        return 1
    except FltuiError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except Exception as error:  # noqa: BLE001 - shown, and the process ends with it
        traceback.print_exception(own_frames(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
