"""Whole runs of every workflow and its parts with the real engine: their ends, their going on, their verification."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.aggregators import Aggregator, Bulyan, GeometricMedian, Krum, Median, MultiKrum, TrimmedMean
from fltui.aggregation.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
from fltui.client.scaffold import control_change
from fltui.model import Params, ParamsType
from fltui.run.events import (
    AnyEvent,
    Event,
    ModelChosen,
    ModelSaved,
    ResultAccepted,
    RoundFinished,
    RoundNoted,
    RoundStarted,
    RunFinished,
    RunStatus,
    TaskPublished,
    WorkflowFinished,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal, read_journal
from fltui.run.models import Models
from fltui.run.options import RunOptions
from fltui.run.state import fold
from fltui.server.verify import verify
from fltui.workflows.cross_site import CrossSiteEval
from fltui.workflows.cyclic import Cyclic
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.fedprox import FedProx
from fltui.workflows.scaffold import Scaffold
from fltui.workflows.series import Series
from fltui.workflows.workflow import Workflow
from tests.server.plays import MODEL, Play, drift, loss

SEVEN = tuple("abcdefg")


def grows(site: str, number: int, params: Params) -> dict[str, float]:
    """An accuracy that reaches 0.9 in round 2, and is best in round 3."""
    return {"accuracy": [0.1, 0.5, 0.9, 0.95, 0.7][min(number, 4)], **loss(site, number, params)}


@dataclass
class Controlled:
    """Sites that do their part of `Scaffold`; what they keep is by round, as a script's is that starts again."""

    kept: dict[tuple[str, int], Params] = field(default_factory=dict)

    def __call__(self, site: str, number: int, received: Params) -> tuple[Params, ParamsType]:
        x = {name: array for name, array in received.items() if not name.startswith("control/")}
        c = {name: received[f"control/{name}"] for name in x}
        own = self.kept.get((site, number - 1), {name: np.zeros_like(array) for name, array in c.items()})
        target = ord(site) / 100
        y = {name: (x[name] - 0.1 * (x[name] - target + c[name] - own[name])).astype(x[name].dtype) for name in x}
        change = control_change(c, x, y, steps=1, learning_rate=0.1)
        self.kept[site, number] = {name: np.asarray(own[name] + change[name]) for name in change}
        return {**y, **{f"control/{name}": array for name, array in change.items()}}, ParamsType.FULL


def averaging(*, optimizer: ServerOptimizer | None = None, aggregator: Aggregator | None = None, **rest: Any) -> FedAvg:
    parts = {"aggregator": aggregator} if aggregator else {}
    return FedAvg(**{"num_clients": 7, "num_rounds": 3, "model": MODEL, "server_optimizer": optimizer, **parts, **rest})


def then_evaluated(**rest: Any) -> Series:
    return Series((averaging(num_clients=3, **rest), CrossSiteEval(num_clients=3)))


WORKFLOWS: dict[str, Workflow] = {
    "Median": averaging(aggregator=Median()),
    "TrimmedMean": averaging(aggregator=TrimmedMean(0.3), sampling=5),
    "GeometricMedian": averaging(aggregator=GeometricMedian()),
    "Krum": averaging(aggregator=Krum(2)),
    "MultiKrum": averaging(aggregator=MultiKrum(1), sampling=0.8),
    "Bulyan": averaging(aggregator=Bulyan(1)),
    "FedAvgM": averaging(optimizer=FedAvgM()),
    "FedAdagrad": averaging(optimizer=FedAdagrad()),
    "FedAdam": averaging(optimizer=FedAdam(), aggregator=Krum(1)),
    "FedYogi": averaging(optimizer=FedYogi()),
    "weights": averaging(weights={"a": 3.0, "c": 0, "g": 0.25}),
    "FedProx": FedProx(num_clients=7, num_rounds=2, model=MODEL, mu=0.5),
    "Cyclic": Cyclic(num_clients=7, num_rounds=1, model=MODEL, order="random"),
    "CrossSiteEval": CrossSiteEval(num_clients=7, model=MODEL),
    "Scaffold": Scaffold(num_clients=7, num_rounds=3, model=MODEL, learning_rate=0.9),
    "Series": Series((averaging(stop_cond="accuracy >= 0.9", num_rounds=9), Cyclic(7, 1), CrossSiteEval(7))),
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_run_completes_and_can_be_recomputed(tmp_path: Path, name: str) -> None:
    train = Controlled() if name == "Scaffold" else drift
    options = RunOptions(keep_results=True, seed=11)
    folder = Play(tmp_path, workflow=WORKFLOWS[name], names=SEVEN, train=train, measure=grows, options=options).run()
    state = fold(read_journal(folder.journal))
    assert (state.status, state.rounds_done > 1) == (RunStatus.COMPLETED, True)
    found = verify(folder)
    assert (found.difference, found.notes) == (None, [])
    assert found.recomputed == found.rounds == state.rounds_done


def events(folder: RunFolder, kind: type[Event]) -> list[Any]:
    return [event for event in read_journal(folder.journal) if isinstance(event, kind)]


def end_of(folder: RunFolder) -> RunFinished:
    found: RunFinished = events(folder, RunFinished)[-1]
    return found


def newest(folder: RunFolder) -> str:
    """The digest of the model that left the last round, groups and all."""
    state = fold(read_journal(folder.journal))
    return Models(folder.models, durable=False).load(state.next_round).digest


@dataclass
class Death:
    """Keeps all folders of a run as they are when its server dies, just before it writes an event.

    Args:
        root: of the play.
        kind: of the event.
        which: of those events, from 0.
    """

    root: Path
    kind: type[Event]
    which: int

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        append = Journal.append

        def watched(journal: Journal, event: AnyEvent) -> AnyEvent:
            if isinstance(event, self.kind):
                if not self.which:
                    self.now()
                self.which -= 1
            return append(journal, event)

        patch.setattr(Journal, "append", watched)

    def now(self) -> None:
        shutil.copytree(self.root, self.copy, symlinks=True)

    @property
    def copy(self) -> Path:
        return self.root.with_name("died")


def died_and_resumed(play: Play, kind: type[Event], which: int) -> tuple[RunFolder, RunFolder]:
    """The whole run, and what became of it where the server died and another one took over."""
    death = Death(play.root, kind, which)
    with pytest.MonkeyPatch.context() as patch:
        death.watch(patch)
        whole = play.run()
    folder = RunFolder(death.copy / whole.root.relative_to(play.root))
    assert end_of(whole).state is RunStatus.COMPLETED
    assert not events(folder, RunFinished)
    return whole, replace(play, root=death.copy).resume(folder)


POINTS: list[tuple[type[Event], int]] = [
    (TaskPublished, 2),
    (ResultAccepted, 7),
    (ModelSaved, 2),
    (RoundFinished, 2),
    (RoundStarted, 3),
]


def played(folder: Path, workflow: Workflow, train: Any = drift, **rest: Any) -> Play:
    root = folder / "play"
    root.mkdir()
    return Play(root, workflow=workflow, names=("a", "b", "c"), train=train, **rest)


def assert_same(whole: RunFolder, resumed: RunFolder) -> None:
    assert end_of(resumed).state is RunStatus.COMPLETED
    assert newest(resumed) == newest(whole)
    told = [
        [
            (event.round, event.model, event.weights, event.metrics, event.update_norm)
            for event in events(one, RoundFinished)
        ]
        for one in (whole, resumed)
    ]
    assert told[0] == told[1]
    found = verify(resumed)
    assert (found.difference, found.recomputed) == (None, len(told[0]))


@pytest.mark.parametrize(("kind", "which"), POINTS, ids=[f"{kind.__name__} {which}" for kind, which in POINTS])
@pytest.mark.parametrize("name", ["FedAdam", "Scaffold"])
def test_a_run_whose_server_died_ends_with_the_same_bits(
    tmp_path: Path, name: str, kind: type[Event], which: int
) -> None:
    workflow: dict[str, tuple[Workflow, Any]] = {
        "FedAdam": (averaging(num_clients=3, num_rounds=4, optimizer=FedAdam()), drift),
        "Scaffold": (Scaffold(num_clients=3, num_rounds=4, model=MODEL, learning_rate=0.9), Controlled()),
    }
    whole, resumed = died_and_resumed(played(tmp_path, *workflow[name]), kind, which)
    assert_same(whole, resumed)
    model = Models(resumed.models, durable=False).load(4)
    assert sorted(model.groups) == {"FedAdam": ["momentum", "variance"], "Scaffold": ["control"]}[name]


@pytest.mark.parametrize(
    ("kind", "which"),
    [(WorkflowFinished, 0), (RoundStarted, 3), (ResultAccepted, 10), (RoundFinished, 5), (RunFinished, 0)],
    ids=lambda one: one.__name__ if isinstance(one, type) else str(one),
)
def test_a_run_of_two_workflows_goes_on_in_the_right_one(tmp_path: Path, kind: type[Event], which: int) -> None:
    workflow = then_evaluated(num_rounds=6, stop_cond="accuracy >= 0.9")  # after round 2
    whole, resumed = died_and_resumed(played(tmp_path, workflow, measure=grows), kind, which)
    assert_same(whole, resumed)
    assert [event.task_name for event in events(resumed, RoundStarted)][:5] == ["train"] * 3 + [
        "submit_model",
        "validate",
    ]
    (stage,) = events(resumed, WorkflowFinished)
    assert (stage.workflow, stage.round) == ("FedAvg", 3)
    assert stage.reason == "ended after round 2: accuracy is 0.9, accuracy >= 0.9 holds"
    table = "cross_site.csv"
    assert (resumed.root / table).read_bytes() == (whole.root / table).read_bytes()


def test_every_model_is_evaluated_by_every_site(tmp_path: Path) -> None:
    def measure(site: str, number: int, params: Params) -> dict[str, float]:
        return {"first": float(params["b"][0])}

    folder = played(tmp_path, then_evaluated(num_rounds=1), measure=measure).run()
    with (folder.root / "cross_site.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["metric", "model", "a", "b", "c"]
    assert [row[:2] for row in rows[1:]] == [["first", model] for model in ("a", "b", "c", "global")]
    assert all(len(set(row[2:])) == 1 for row in rows[1:])
    assert len({row[2] for row in rows[1:]}) == 4
    found = events(folder, RoundFinished)
    assert {event.model for event in found[2:]} == {found[1].model}  # the sites' models beside it, then nothing new
    assert found[-1].metrics == {"first": pytest.approx(float(rows[4][2]))}


def test_a_run_that_has_done_enough_says_why_and_does_not_go_on_when_it_is_resumed(tmp_path: Path) -> None:
    workflow = averaging(num_clients=3, num_rounds=9, key_metric="accuracy", patience=2)
    whole, resumed = died_and_resumed(played(tmp_path, workflow, measure=grows), RunFinished, 0)
    for folder in (whole, resumed):
        end = end_of(folder)
        assert (end.state, end.rounds) == (RunStatus.COMPLETED, 6)
        assert end.reason == (
            "ended after round 5: the accuracy of 0.95 that round 3 began with has not become better for 2 rounds"
        )
        assert (folder.models / "best").resolve().name == "round-0003"


def peaks(*rounds: int) -> Callable[[str, int, Params], dict[str, float]]:
    """A metric that is better in these rounds than in all before."""
    return lambda site, number, params: {"auc": 0.5 + number / 100 if number in rounds else 0.1}


@pytest.mark.parametrize(("rounds", "left"), [((1,), [0, 1, 7, 8]), ((1, 4), [0, 4, 7, 8]), ((7,), [0, 7, 8])])
def test_the_best_model_stays_where_others_go(tmp_path: Path, rounds: tuple[int, ...], left: list[int]) -> None:
    workflow = averaging(num_clients=3, num_rounds=8, key_metric="auc", optimizer=FedAvgM())
    options = RunOptions(keep_results=True, keep_models=2)
    folder = played(tmp_path, workflow, measure=peaks(*rounds), options=options).run()
    assert sorted(int(path.name[-4:]) for path in folder.models.glob("round-*")) == left
    assert (folder.models / "best").resolve().name == f"round-{rounds[-1]:04}"
    assert (folder.models / "best/w.npy").exists()
    chosen = [(event.round, event.metric, event.value) for event in events(folder, ModelChosen)]
    assert chosen == [(number, "auc", pytest.approx(0.5 + number / 100 if number else 0.1)) for number in (0, *rounds)]
    found = verify(folder)
    assert (found.difference, found.recomputed) == (None, 8)


def test_a_server_that_dies_before_it_points_to_the_best_model_has_it_pointed_to(tmp_path: Path) -> None:
    play = played(tmp_path, averaging(num_clients=3, num_rounds=4, key_metric="auc"), measure=peaks(2))
    death, point = Death(play.root, ModelChosen, 0), Models.point

    def watched(models: Models, pointer: str, number: int) -> Path:
        if (pointer, number) == ("best", 2):
            death.now()
        return point(models, pointer, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Models, "point", watched)
        whole = play.run()
    folder = RunFolder(death.copy / whole.root.relative_to(play.root))
    assert (folder.models / "best").resolve().name == "round-0000"
    resumed = replace(play, root=death.copy).resume(folder)
    assert (resumed.models / "best").resolve().name == "round-0002"
    assert_same(whole, resumed)


def test_who_is_asked_is_in_the_journal_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        (tmp_path / name).mkdir()
        play = Play(tmp_path / name, workflow=averaging(sampling=3, num_rounds=5), names=SEVEN)
        folder = replace(play, options=RunOptions(seed=seed)).run()
        found.append([event.sites for event in events(folder, RoundStarted)])
    assert found[0] == found[1] != found[2]
    assert {len(sites) for sites in found[0]} == {3}
    assert len({tuple(sites) for sites in found[0]}) > 1


def test_a_metric_that_nobody_sends_fails_the_run_and_its_round_counts(tmp_path: Path) -> None:
    folder = played(tmp_path, averaging(num_clients=3, stop_cond="auc >= 0.9")).run()
    end = end_of(folder)
    assert (end.state, end.rounds) == (RunStatus.FAILED, 1)
    assert end.reason == ("round 0: no site has sent the metric 'auc' that stop_cond of FedAvg names; they sent: loss")
    assert (folder.models / "final").resolve().name == "round-0001"


def test_a_metric_that_one_site_lacks_is_noted(tmp_path: Path) -> None:
    def measure(site: str, number: int, params: Params) -> dict[str, float]:
        return {} if (site, number) == ("b", 1) else {"auc": 0.5}

    folder = played(tmp_path, averaging(num_clients=3, key_metric="auc"), measure=measure).run()
    assert end_of(folder).state is RunStatus.COMPLETED
    noted = [(event.round, event.note) for event in events(folder, RoundNoted)]
    assert noted == [(1, "b sent no metric 'auc'; the round has that of the others")]


def test_weights_that_add_up_to_nothing_fail_the_run_and_keep_what_there_is(tmp_path: Path) -> None:
    workflow = averaging(num_clients=3, weights=dict.fromkeys("abc", 0))
    end = end_of(played(tmp_path, workflow).run())
    assert (end.state, end.rounds) == (RunStatus.FAILED, 0)
    assert end.reason == (
        "round 0: parameter 'b' of a, b, c cannot be aggregated: the weights of the 3 results add up to 0, so there is "
        "no mean"
    )


def test_a_site_that_is_lost_in_its_turn_is_passed_over(tmp_path: Path) -> None:
    folder = played(tmp_path, Cyclic(num_clients=3, num_rounds=2, model=MODEL), fail_at=3).run()
    assert end_of(folder).state is RunStatus.COMPLETED
    noted = [(event.round, event.note) for event in events(folder, RoundNoted)]
    assert noted == [(3, "a is passed over, the model goes on as it is")]
    turns = [event.sites for event in events(folder, RoundStarted)]
    assert turns[:4] == [["a"], ["b"], ["c"], ["a"]]
    assert ["a"] not in turns[4:]
