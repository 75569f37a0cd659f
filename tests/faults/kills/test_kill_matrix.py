"""Server and site killed at every step: the run goes on, and its model is bit for bit that of an undisturbed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.exchange.manifest import End, decode_manifest
from fltui.run.events import ResultAccepted, RoundFinished, TaskPublished
from fltui.run.models import Models
from tests.faults.kills.killing import Kill, Killing, kills
from tests.faults.kills.steps import (
    BEFORE_THE_FIRST_EVENT,
    BEGIN,
    END,
    EXCHANGE,
    IDENTITY,
    KEPT,
    LOST,
    MIRROR,
    MODEL,
    ODD,
    RECOVERED,
    RETENTION,
    ROUND,
    SITE,
    SPARED,
    phases,
)
from tests.faults.kills.undisturbed import SCRIPTS, Calm, exported
from tests.jobs import HEAD, drifting, script

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know what is written")

AT_ONCE = 12
"""Kills in one run."""

VICTIMS = [("server",), ("site",), ("server", "site")]

GROUPS = [
    phases("server", EXCHANGE) + phases("server", IDENTITY)[:1],
    *([step] for step in phases("server", IDENTITY)[1:]),
    phases("server", BEFORE_THE_FIRST_EVENT + BEGIN),
    phases("server", MODEL + ROUND),
    phases("server", RETENTION),
    phases("server", MIRROR),
    phases("server", SPARED),
    phases("server", END),
    phases("site", SITE),
]
"""Steps that one run can be killed at one after the other."""

SIMULATED = [
    "server after write journal round_started",
    "server half of write journal task_published",
    "server after write journal task_published",
    "server after rename task array",
    "server before link task array",
    "server after link task array",
    "server after rename task manifest",
    "server before link copy",
    "server after write journal result_accepted",
    "server after average",
    "server after rename model",
    "server after write journal round_finished",
    "server after remove task manifest",
    "server after rename end manifest",
    "server after rename seal",
]
"""A choice of the steps: every kill costs the start of all sites there."""

PIECES = [group[place : place + AT_ONCE] for group in GROUPS for place in range(0, len(group), AT_ONCE)]

UNRULY = """
import math, os, sys, time
from pathlib import Path
from fltui.client import api
from fltui.exchange.manifest import ArrayEntry, Result
from fltui.exchange.publish import put_document

def next_task():
    tasks = session.site.tasks
    while not [*tasks.glob(f"*.r{round + 1:04}.*.json"), *tasks.glob("*.end.*")]:
        time.sleep(0.005)

def half():
    entries = [ArrayEntry("numpy_key", "numpy_key.npy", "<f4", [3, 3], 164, "0" * 64)]
    task, site = session.task, session.site
    result = Result(1, task.run, task.task_id, session._digest, site.name, task.round, "FULL", entries)
    put_document(result, site.results / f"{task.task_id}.json", site.staging("site"))

session = api._session
"""
"""A site that sends what is refused, or too late, or not whole."""

MISBEHAVES = (
    "if round % 3 == 0: weights = weights * math.nan",
    "if round % 3 == 1: half()",
    "if round % 3: next_task()",
    "flare.send(flare.FLModel(params={'numpy_key': weights}))",
)

ASKS = (
    "import os; from pathlib import Path",
    "from fltui.run.control import Drop, Pause, Resume, ask; from fltui.run.folder import RunFolder",
    "run = RunFolder(Path(os.environ['FLTUI_RUNS']) / flare.get_job_id())",
    "for request in (Pause(), Drop('nobody'), Resume()): ask(run, request)",
)
"""A site whose people pause the run and let it go on, in every round."""


def survives(folder: Path, plan: list[Kill], calm: Calm, *options: str) -> Killing:
    """Go through a plan; the run that comes of it."""
    run = Killing(folder, calm.job, 2 * len(plan) + 6, plan, options)
    run.go()
    run.check(calm.rounds, kept="--keep-results" in options)
    return run


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
@pytest.mark.parametrize("steps", PIECES, ids=lambda steps: steps[0])
def test_every_step(tmp_path: Path, calm: Calm, steps: list[str], victims: tuple[str, ...]) -> None:
    survives(tmp_path, kills(steps, *victims), calm, "--keep-models", "2")


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
def test_where_results_are_kept(tmp_path: Path, calm: Calm, victims: tuple[str, ...]) -> None:
    survives(tmp_path, kills(phases("server", KEPT), *victims), calm, "--keep-results")


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
@pytest.mark.parametrize("died", RECOVERED)
def test_who_puts_things_in_order_is_killed_at_it(
    tmp_path: Path, calm: Calm, died: str, victims: tuple[str, ...]
) -> None:
    who = died.split()[0]
    plan = [Kill(died, (who,)), *kills(phases(who, RECOVERED[died]), *victims)]
    survives(tmp_path, plan, calm, "--keep-models", "2")


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
@pytest.mark.parametrize("does", [*ODD, *LOST])
def test_where_a_site_misbehaves_and_people_ask(
    tmp_path: Path, calm: Calm, does: str, victims: tuple[str, ...]
) -> None:
    plan = kills(phases("server", (does,)), *victims)
    ends = ("if round == 1: sys.exit(1)",) if does in LOST else ()
    scripts = SCRIPTS | {"b": drifting(0.7, *ASKS), "c": script(*ends, *MISBEHAVES, head=HEAD + UNRULY)}
    run = Killing(
        tmp_path,
        exported(tmp_path, scripts, "num_rounds=2, min_clients=2, wait_time_after_min_received=0.05"),
        len(plan) + 6,
        plan,
        ("--sites", "3"),
        extras=("c",),
        settings={"fltui.server.deliveries:STALLED": 0.01},
    )
    run.go()
    run.check(calm.rounds)


def test_the_simulator_dies_with_its_sites(tmp_path: Path, calm: Calm) -> None:
    plan = kills(SIMULATED, "server")
    run = Killing(tmp_path, calm.job, len(plan) + 5, plan, simulated=True)
    run.go()
    run.check(calm.rounds)


def test_what_is_told_is_there_and_what_is_there_is_told(tmp_path: Path, calm: Calm) -> None:
    def told_before_it_is_published(run: Killing) -> None:
        known = {event.task_id for event in run.events if isinstance(event, TaskPublished)}
        assert {path.stem for path in tmp_path.glob("exchange/*/tasks/*.train.*.json")} <= known

    def stored_before_it_counts(run: Killing) -> None:
        event = run.events[-1]
        assert isinstance(event, ResultAccepted)
        assert all((run.begun.store / f"{entry.blake3}.npy").is_file() for entry in event.arrays)

    def saved_before_it_is_finished(run: Killing) -> None:
        event = run.events[-1]
        assert isinstance(event, RoundFinished)
        assert Models(run.begun.models, durable=False).load(event.round + 1).digest == event.model

    def listed_when_it_is_announced(_: Killing) -> None:
        for path in tmp_path.glob("exchange/*/*/*.json"):
            if path.parent.name in ("tasks", "results") and ".train." in path.name:
                found = decode_manifest(path.read_bytes(), path.name)
                assert not isinstance(found, End)
                for entry in found.arrays:
                    assert (path.parent / path.stem / entry.file).stat().st_size == entry.size

    plan = [
        Kill("server after rename task manifest", then=told_before_it_is_published),
        Kill("server after rename task manifest", then=listed_when_it_is_announced),
        Kill("site after rename result manifest", then=listed_when_it_is_announced),
        Kill("server after write journal result_accepted", then=stored_before_it_counts),
        Kill("server after write journal round_finished", then=saved_before_it_is_finished),
    ]
    survives(tmp_path, 2 * plan, calm)


def test_the_table_of_steps_is_complete(tmp_path: Path, calm: Calm) -> None:
    seen: dict[str, set[str]] = {"server": set(), "site": set()}
    for options in (("--keep-models", "2"), ("--keep-results",)):
        folder = tmp_path / options[0]
        folder.mkdir()
        Killing(folder, calm.job, 12, (), options, counted=True).go()
        for who, found in seen.items():
            found.update((folder / f"{who}.steps").read_text().splitlines())
    table = {step for group in GROUPS for step in group} | set(phases("server", KEPT))
    assert seen["server"] | seen["site"] == table
