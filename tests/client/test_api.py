"""The Client API as a script sees it, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fltui.client as flare
from fltui.client.seed import seed_of
from fltui.client.session import Session
from fltui.errors import ClientError
from fltui.exchange.layout import SiteFolder
from tests.client.by_hand import publish
from tests.jobs import HEAD, fltui, script, write_job


@pytest.mark.parametrize("name", ["receive", "is_running", "get_site_name", "system_info", "is_train", "get_seed"])
def test_init_comes_first(name: str) -> None:
    with pytest.raises(ClientError, match=r"call init\(\)"):
        getattr(flare, name)()


def test_only_rank_0_talks_to_the_server() -> None:
    code = "import fltui.client as flare; flare.init(rank=1); flare.is_running()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "this is rank 1; only rank 0 talks to the server" in done.stderr


def test_it_imports_nothing_of_the_server_or_the_terminal() -> None:
    code = "import sys, fltui.client; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {".".join(name.split(".")[:2]) for name in modules if name.startswith("fltui")}
    assert ours == {"fltui", "fltui.client", "fltui.errors", "fltui.exchange", "fltui.model", "fltui.signals"}
    assert not {"asyncio", "rich", "textual", "typer", "cryptography"} & set(modules)


def test_a_seed_is_that_of_the_round(site: SiteFolder, bound: Session) -> None:
    with pytest.raises(ClientError, match=r"there is no task at hand: call receive\(\) first"):
        flare.get_seed()
    publish(site, 0, {}, seed=7)
    model = flare.receive()
    assert model is not None
    assert model.meta == {"seed": 7}
    assert flare.get_seed() == seed_of(7, "a", 0)
    publish(site, 1, {}, seed=1 << 53)
    assert bound.wait_for_task()
    assert flare.get_seed() == seed_of(1 << 53, "a", 1)
    publish(site, 1, {}, attempt=2, seed=1 << 53)  # the round is done again
    assert bound.wait_for_task()
    assert flare.get_seed() == seed_of(1 << 53, "a", 1)


def test_without_a_seed_of_the_run_it_is_that_of_0(site: SiteFolder, bound: Session) -> None:
    publish(site, 0, {})
    assert bound.wait_for_task()
    assert flare.get_seed() == seed_of(0, "a", 0)


@pytest.mark.parametrize("seed", ["7", 7.0, True, None, -1, 2**53 + 1])
def test_a_seed_that_is_none_is_told(site: SiteFolder, bound: Session, seed: object) -> None:
    publish(site, 3, {}, seed=seed)
    assert bound.wait_for_task()
    with pytest.raises(ClientError, match=r"the seed of round 3 is .*, expected a whole number"):
        flare.get_seed()


def test_a_script_can_ask_who_it_is(tmp_path: Path) -> None:
    text = script(
        "assert flare.is_train() and not flare.is_evaluate() and not flare.is_submit_model()",
        "print(flare.get_task_name(), flare.get_site_name(), flare.get_config()['site'])",
        "assert flare.get_job_id() == flare.system_info()['job_id']",
        "flare.send(flare.FLModel(params={'numpy_key': weights}))",
        head=HEAD + "print(flare.get_job_id())\n",
    )
    done = fltui(tmp_path, "run", write_job(tmp_path / "job", {"a": text}), "--json")
    assert done.code == 0, done.err
    log = (Path(done.last["run_dir"]) / "logs" / "a.log").read_text()
    assert f"INFO {done.last['run']}" in log
    assert "INFO train a a" in log
