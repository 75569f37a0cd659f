"""Make ``docs/hello.svg``, the picture in the README, from a real run: ``python docs/screenshot.py``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "fltui run sample_jobs/hello-fedavg-numpy",
    "fltui inspect runs/*/models/final/numpy_key.npy",
    "ls exchange/site-0/tasks",
)


def main() -> None:
    """Run the commands in an empty folder and draw what they print."""
    console = Console(record=True, width=118, file=io.StringIO(), highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample_jobs").symlink_to(ROOT / "sample_jobs")
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            done = subprocess.run(
                command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=True
            )
            console.print(Text(done.stdout.replace(f"{folder}/", "")))
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="fltui"), flags=re.DOTALL)  # stands alone
    (ROOT / "docs" / "hello.svg").write_text(picture)


if __name__ == "__main__":
    main()
