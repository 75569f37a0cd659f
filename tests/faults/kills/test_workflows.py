"""Servers and sites that are killed while a workflow keeps something from round to round: the bits stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.run.events import RoundFinished
from tests.faults.kills.killing import Killing, kills
from tests.faults.kills.undisturbed import LOGS, exported
from tests.jobs import drifting, script

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know what is written")


def corrected(step: float, *before: str) -> str:
    """A script of Scaffold's whose floats show every bit of their history."""
    return script(
        "import fltui.client.scaffold as module",
        "helper = globals().setdefault('helper', module.Scaffold())",
        *before,
        "correction = helper.begin(model)['numpy_key']",
        f"gradient = weights * np.float32(0.1) + np.float32({step}) + correction",
        "trained = {'numpy_key': weights - np.float32(0.5) * gradient}",
        "flare.send(helper.end(trained, steps=1, learning_rate=0.5, metrics={'mean': float(weights.mean())}))",
    )


SERVER = (
    "server after rename task manifest",
    "server after write journal result_accepted",
    "server after rename model",
    "server after write journal round_finished",
)
SITE = ("site after receive", "site half of write staged result array", "site after send")

JOBS = {
    "FedAdam": (
        {"a": drifting(0.3, LOGS), "b": drifting(0.7)},
        "server_optimizer=FedAdam(), aggregator=WeightedMean(), key_metric='mean'",
        "FedAvg",
        (*SERVER, "server half of write new group array", "server after average"),
    ),
    "Scaffold": (
        {"a": corrected(0.3, LOGS), "b": corrected(0.7)},
        "",
        "Scaffold",
        (*SERVER, *SITE, "site half of write what it keeps", "site after rename what it keeps"),
    ),
}


@pytest.mark.parametrize(
    ("name", "victims"),
    [
        ("FedAdam", ("server",)),
        ("FedAdam", ("server", "site")),
        ("Scaffold", ("site",)),
        ("Scaffold", ("server", "site")),
    ],
    ids=str,
)
def test_what_is_kept_from_round_to_round_survives(tmp_path: Path, name: str, victims: tuple[str, ...]) -> None:
    scripts, arguments, workflow, steps = JOBS[name]
    plan = kills(steps, *victims)
    rounds = 2 * len(plan) + 3
    calm = Killing(tmp_path / "calm", exported(tmp_path, scripts, arguments, workflow), rounds)
    calm.folder.mkdir()
    calm.go()
    run = Killing(tmp_path / "killed", calm.job, rounds, plan)
    run.folder.mkdir()
    run.go()
    run.check([event for event in calm.events if isinstance(event, RoundFinished)])
