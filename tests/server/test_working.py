"""Workflows that somebody wrote: what they do against the rules fails their run, in one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.exchange.publish import open_exchange
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.run.events import RunFinished, RunStatus
from fltui.run.folder import create_run
from fltui.run.journal import read_journal
from fltui.run.models import StoredModel
from fltui.run.options import RunOptions
from fltui.server.engine import Engine
from fltui.workflows.workflow import Federation, Request, Workflow
from tests.server.plays import Players, drift

Does = Callable[[Federation, StoredModel], Awaitable[Any]]


@dataclass(frozen=True)
class Odd(Workflow):
    """Does what it is told."""

    does: Does

    @property
    def rounds(self) -> range:
        """Two."""
        return range(2)

    @property
    def site_count(self) -> int:
        """One."""
        return 1

    @property
    def quorum(self) -> int:
        """One."""
        return 1

    async def run(self, federation: Federation) -> str:
        """See `Workflow.run`."""
        model, _ = federation.begin({"w": np.zeros(3)}, self.rounds)
        return await self.does(federation, model)  # type: ignore[no-any-return]  # which is what is tried


def request(model: StoredModel, number: int = 0) -> Request:
    return Request("train", number, 0, 2, ("a",), model, quorum=1)


async def returns_a_number(federation: Federation, model: StoredModel) -> int:
    return 3


async def raises(federation: Federation, model: StoredModel) -> str:
    raise KeyError("\x1b[31mred")


async def exits(federation: Federation, model: StoredModel) -> str:
    raise SystemExit(3)


async def asks_out_of_turn(federation: Federation, model: StoredModel) -> str:
    await federation.ask(request(model, 7))
    return ""


async def leaves_a_round_open(federation: Federation, model: StoredModel) -> str:
    await federation.ask(request(model))
    return ""


async def finishes_twice(federation: Federation, model: StoredModel) -> str:
    asked = request(model)
    answers = await federation.ask(asked)
    federation.finish_round(asked, answers, 0.0, {})
    federation.finish_round(asked, answers, 0.0, {})
    return ""


async def writes_too_much(federation: Federation, model: StoredModel) -> str:
    await federation.ask(request(model))
    with federation.new_model(1, ["w"]) as new, new.array("w", "<f8", [3]) as out:
        out.write(np.zeros(5))
    return ""


async def writes_too_little(federation: Federation, model: StoredModel) -> str:
    await federation.ask(request(model))
    with federation.new_model(1, ["w"]):
        pass
    return ""


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (returns_a_number, "Odd.run() returned 3, expected a sentence or an empty text"),
        (raises, "the job's own code failed: KeyError: '\\x1b[31mred' (test_working.py, line "),
        (exits, "the job's own code failed: SystemExit: 3 (test_working.py, line "),
        (asks_out_of_turn, "round 7 was asked for, and round 0 is next"),
        (leaves_a_round_open, "Odd ended in the midst of round 0, without finish_round()"),
        (finishes_twice, "round 0 was finished without having been asked, or a second time"),
        (writes_too_much, "parameter 'w' was written with 168 bytes, expected 152"),
        (writes_too_little, "the new model lacks parameter 'w', which was announced and not written"),
    ],
)
def test_what_breaks_a_rule_fails_the_run(tmp_path: Path, does: Does, told: str) -> None:
    script = tmp_path / "train.py"
    script.write_text("")
    job = Job("test", Odd(does), {"a": SiteApp(ScriptExecutor("train.py"))}, server_files={"odd.py": script})
    folder, exchange = create_run(tmp_path / "runs", "test"), open_exchange(tmp_path / "exchange")
    players = Players(exchange, ("a",), lambda site, number, params: drift(site, number, {"w": params["w"]}), {})
    asyncio.run(Engine(job, folder, exchange, players, RunOptions()).run())
    *_, last = read_journal(folder.journal)
    assert isinstance(last, RunFinished)
    assert last.state is RunStatus.FAILED
    assert told in last.reason
