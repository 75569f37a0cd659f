"""The real ``nvflare simulator`` runs an export to the model that fltui's own simulator has.

``FLTUI_NVFLARE`` names the Python of an environment where nvflare is installed, 2.5 to 2.9, and fltui is not:

    FLTUI_NVFLARE=/opt/nvflare/bin/python pytest tests/job/nvflare/test_simulator.py
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.job.nvflare.exports import SCRIPTS, exported
from tests.jobs import HELLO, fltui

_PYTHON = os.environ.get("FLTUI_NVFLARE", "")

pytestmark = pytest.mark.skipif(
    not _PYTHON, reason="FLTUI_NVFLARE names no Python of an environment that has nvflare, 2.5 to 2.9"
)

WEIGHTED = """
import argparse
import numpy as np
import fltui.client as flare
from fltui.client.tracking import SummaryWriter
from fltui.model import NUM_STEPS
from steps import STEPS

parser = argparse.ArgumentParser()
parser.add_argument("--kind", default="FULL")
parser.add_argument("--in-place", action="store_true")
arguments = parser.parse_args()
flare.init()
writer = SummaryWriter()
steps = STEPS[flare.get_site_name()]
while flare.is_running():
    model = flare.receive()
    assert flare.is_train()
    assert flare.get_task_name() == "train"
    draw = np.random.default_rng(flare.get_seed()).standard_normal()
    print("round", model.current_round, model.start_round, model.total_rounds, flush=True)
    received = model.params or {"numpy_key": np.arange(4, dtype=np.float32)}
    added = model.current_round + steps + draw
    new = {name: array * array.dtype.type(0.9) + array.dtype.type(added) for name, array in received.items()}
    if arguments.kind == "DIFF":
        new = {name: new[name] - received[name] for name in new}
    if arguments.in_place:
        for name, array in received.items():
            array[...] = new[name]
        new = received
    writer.add_scalar("draw", draw, model.current_round)
    flare.log("steps", steps, step=model.current_round)
    flare.send(
        flare.FLModel(
            params=new, params_type=arguments.kind, metrics={"accuracy": np.float32(0.5)}, meta={NUM_STEPS: steps}
        )
    )
flare.shutdown()
"""

JOB = """
import numpy as np
from fltui import FedAvg, FedJob, ScriptRunner
job = FedJob("test")
job.to_server(FedAvg(num_clients=2, num_rounds=3, {arguments}))
for site in ("site-1", "site-2"):
    job.to(ScriptRunner("{script}", {executor}), site)
job.simulator_run("nowhere")
"""


def job_of(folder: Path, script: str, arguments: str = "", executor: str = "") -> Path:
    """A job script with two sites."""
    path = folder / "job.py"
    path.write_text(JOB.format(script=script, arguments=arguments, executor=executor))
    return path


def weighted(folder: Path, arguments: str = "", executor: str = "") -> Path:
    """A job of weights, rounds and draws that all show in the model."""
    (folder / "src").mkdir()
    (folder / "src" / "weighted.py").write_text(WEIGHTED)
    (folder / "src" / "steps.py").write_text('STEPS = {"site-1": 3, "site-2": 5}\n')
    return job_of(folder, "src/weighted.py", arguments, executor)


def nvflares(folder: Path, executor: str = "") -> Path:
    """A job with nvflare's own script."""
    (folder / "client.py").write_bytes((SCRIPTS / "hello-2.9.0.txt").read_bytes())
    return job_of(folder, "client.py", "model=np.arange(1, 10, dtype=np.float32).reshape(3, 3)", executor)


SEVERAL = 'model={"w/x": np.eye(3), "file": np.ones(2, np.float32), "b": np.zeros((2, 0))}, start_round=2'
ONE = "model=np.eye(3, dtype=np.float32)"
IN_PLACE = 'script_args="--in-place", params_transfer_type="DIFF"'

JOBS: dict[str, Callable[[Path], Path]] = {
    "tutorial": lambda folder: HELLO,
    "nvflare's script": nvflares,
    "nvflare's script, differences": lambda folder: nvflares(folder, 'script_args="--update_type diff"'),
    "nvflare's job": lambda folder: exported("2.9.0-recipe", folder),
    "weights": lambda folder: weighted(folder, ONE),
    "several parameters, differences": lambda folder: weighted(folder, SEVERAL, 'script_args="--kind DIFF"'),
    "differences made of wholes, in place": lambda folder: weighted(folder, ONE, IN_PLACE),
    "no initial model": weighted,
}


def simulated(job: Path, workspace: Path) -> dict[str, NDArray[Any]]:
    """The model that ``nvflare simulator`` leaves."""
    command: list[str | Path] = [
        Path(_PYTHON).parent / "nvflare",
        "simulator",
        job,
        "-w",
        workspace,
        "-n",
        "2",
        "-t",
        "2",
    ]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=110, check=False)
    found = list(workspace.glob("server/simulate_job/models/server.np[yz]"))
    assert len(found) == 1, done.stdout[-4000:] + done.stderr[-4000:]
    loaded = np.load(found[0])
    return {"numpy_key": loaded} if found[0].suffix == ".npy" else {name: loaded[name] for name in loaded.files}


@pytest.mark.parametrize("name", JOBS)
def test_the_same_final_model(tmp_path: Path, name: str) -> None:
    job = JOBS[name](tmp_path)
    ours = fltui(tmp_path, "run", job, "--sites", "2", "--json")
    assert ours.code == 0, ours.err
    export = fltui(tmp_path, "export", job, tmp_path / "for-nvflare", "--for", "nvflare")
    assert export.code == 0, export.err
    (folder,) = (tmp_path / "for-nvflare").iterdir()
    theirs = simulated(folder, tmp_path / "workspace")
    assert theirs.keys() == ours.last["final_model"].keys()
    for parameter, array in theirs.items():
        expected = ours.model(parameter)
        np.testing.assert_allclose(array, expected, rtol=1e-6 if expected.dtype == np.float32 else 1e-12)
