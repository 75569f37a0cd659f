"""Make the picture in ``docs/web.md``: the hello job in the console, in a browser: ``python docs/browser.py``.

Needs Chromium and what ``fltui[dev]`` installs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.engines.browser import Browser  # noqa: E402 - it is not installed


def main() -> None:
    """Run the hello job in an empty folder, and save what the page shows."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample_jobs").symlink_to(ROOT / "sample_jobs")
        command = [sys.executable, "-m", "fltui", "web", "--port", "0", "--json"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                url = json.loads(server.stdout.readline())["url"]
                with Browser(Path(folder) / "browser", 1160, 700) as browser:
                    browser.open(url)
                    browser.wait_for("hello-fedavg-numpy")
                    browser.click("hello-fedavg-numpy")
                    browser.press("r")
                    browser.wait_for("COMPLETED", "12.000", "run COMPLETED")
                    browser.click("12.000")  # which takes the mark of what was read away
                    browser.wait_for("[2, 2] 12.0")
                    browser.click("12.000")
                    browser.driver.save_screenshot(str(ROOT / "docs" / "browser.png"))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
