"""Jobs as nvflare itself exported them; ``exported/<version>-<name>`` has their files, but for the scripts.

`hello-2.5.2.txt` and the others in ``scripts`` are the examples of nvflare (Apache License 2.0), byte for byte.
"""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"

CODE = {
    "2.5.2-external": {"src/hello-numpy_fl.py": "hello-2.5.2"},
    "2.5.2-fedjob": {"src/hello-numpy_fl.py": "hello-2.5.2"},
    "2.7.0-sag-model": {"client.py": "hello-2.7.0", "model.py": "model-2.7.0"},
    "2.7.2-recipe": {"client.py": "hello-2.9.0"},
    "2.8.1-external": {"src/hello-numpy_fl.py": "hello-2.5.2"},
    "2.9.0-base": {"src/hello-numpy_fl.py": "hello-2.5.2"},
    "2.9.0-ckpt-rel": {"client.py": "hello-2.9.0"},
    "2.9.0-recipe": {"client.py": "hello-2.9.0"},
    "2.9.0-recipe-ext": {"client.py": "hello-2.9.0"},
}
"""Job to its scripts."""


def exported(name: str, folder: Path) -> Path:
    """The folder of a job as nvflare wrote it, made below `folder`."""
    job = folder / name
    shutil.copytree(HERE / "exported" / name, job)
    for app in job.iterdir():
        if (app / "config" / "config_fed_client.json").exists():
            for inside, script in CODE[name].items():
                (app / "custom" / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(SCRIPTS / f"{script}.txt", app / "custom" / inside)
    return job
