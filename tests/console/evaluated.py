"""A run of two workflows to look at: training that picks one site a round, then a cross-site evaluation."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fltui.console.runs.view import RunView
from fltui.model import ParamsType
from fltui.run.events import (
    AnyEvent,
    ModelChosen,
    PrivacySpent,
    ResultAccepted,
    RoundFinished,
    RoundNoted,
    RoundStarted,
    RunFinished,
    RunStarted,
    RunStatus,
    SiteJoined,
    WorkflowFinished,
)
from fltui.run.folder import RunFolder
from tests.console.books import RUN, Book, weights

SITES = ("site-0", "site-1", "site-2")


def view_of(*events: AnyEvent) -> RunView:
    """A view of these events, a second apart."""
    view = RunView(RunFolder(Path("/runs/hello")))
    add(view, *events)
    return view


def add(view: RunView, *events: AnyEvent) -> None:
    """Let more happen."""
    for event in events:
        at = float(view.state.events)
        view.add(msgspec.structs.replace(event, time=1000 + at, monotonic=100 + at))


def begun(rounds: int = 7) -> list[AnyEvent]:
    """The run begins."""
    start = RunStarted(
        run=RUN,
        job="hello",
        workflow="FedAvg, CrossSiteEval",
        sites=list(SITES),
        start_round=0,
        total_rounds=rounds,
        exchange="/exchange",
    )
    return [start, *(SiteJoined(site=site) for site in SITES)]


def asked(number: int, task: str = "train", part: str = "", attempt: int = 1) -> RoundStarted:
    """All sites are asked for something."""
    return RoundStarted(round=number, task_name=task, sites=list(SITES), model="a" * 64, attempt=attempt, part=part)


def answered(site: str, number: int, **metrics: float) -> ResultAccepted:
    """A result without arrays counts."""
    return ResultAccepted(
        round=number,
        site=site,
        task_id=f"{RUN}.r{number:04}.validate.a01",
        params_type=ParamsType.FULL,
        weight=1.0,
        metrics=metrics,
        arrays=[],
        bytes=0,
    )


def over(number: int, counted: int = 3, **metrics: float) -> RoundFinished:
    """A round in whose model so many results have a weight."""
    return RoundFinished(
        round=number,
        weights={site: float(place < counted) for place, site in enumerate(SITES)},
        metrics=metrics,
        update_norm=0.5,
        model="b" * 64,
        seconds=0.12,
        first_result=0.05,
        last_result=0.07,
        aggregation=0.004,
        bytes_out=328,
        bytes_in=328,
        judged=True,
    )


def evaluated(number: int, part: str, place: int, sites: int = 3) -> list[AnyEvent]:
    """A model is evaluated; the last sites may be waited for still."""
    values = {site: (0.5 + 0.1 * at + 0.05 * place, 2.0 - 0.1 * at - 0.2 * place) for at, site in enumerate(SITES)}
    found: list[AnyEvent] = [asked(number, "validate", part)]
    found += [answered(site, number, accuracy=values[site][0], loss=values[site][1]) for site in SITES[:sites]]
    if sites == len(SITES):
        found.append(over(number, accuracy=0.6 + 0.05 * place, loss=1.9 - 0.2 * place))
    return found


def evaluation(first: int = 3, *, models: int = 4, sites: int = 3) -> list[AnyEvent]:
    """The rounds of a cross-site evaluation, of so many models; of the last one so many sites have answered."""
    found: list[AnyEvent] = [asked(first - 1, "submit_model"), *(answered(site, first - 1) for site in SITES)]
    found.append(over(first - 1))
    for place, part in enumerate((*SITES, "")[:models]):
        found += evaluated(first + place, part, place, sites if place == models - 1 else 3)
    return found


def trained() -> list[AnyEvent]:
    """Two rounds of training, the first of which has the best model; then the workflow is over early."""
    found: list[AnyEvent] = []
    for number in range(2):
        found.append(asked(number))
        found += [answered(site, number, accuracy=0.4 - number / 10) for site in SITES]
        found.append(PrivacySpent(round=number, epsilon=1.5 + number, delta=1e-5))
        found += [ModelChosen(round=0, metric="accuracy", value=0.4)] if number == 0 else []
        found.append(over(number, counted=1, accuracy=0.4 - number / 10))
    found.append(RoundNoted(round=1, note="site-2 gave no model, which is therefore not evaluated"))
    return [*found, WorkflowFinished(workflow="FedAvg", round=2, reason="accuracy >= 0.4 holds")]


def ended() -> RunFinished:
    """The run completes before its last round."""
    return RunFinished(
        run=RUN,
        state=RunStatus.COMPLETED,
        reason="ended after round 6: accuracy >= 0.4 holds",
        rounds=7,
        final_model={},
        metrics={},
        seconds=1.0,
    )


def evaluated_book(runs: Path, *, models: int = 4, sites: int = 3, end: bool = True) -> Book:
    """The run in a folder."""
    book = Book(runs)
    book.write(*begun())
    book.model(0, weights(0))
    book.write(*trained(), *evaluation(models=models, sites=sites))
    book.model(7, weights(1))
    if end:
        book.write(ended())
    return book
