from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.workflows.fedavg import FedAvg

HERE = Path(__file__)
APP = SiteApp(ScriptExecutor("train.py"), {"train.py": HERE})
OTHER = SiteApp(ScriptExecutor("other.py"), {"other.py": HERE})
WORKFLOW = FedAvg(num_clients=2, num_rounds=3)


def job(sites: dict[str, SiteApp], **fields: Any) -> Job:
    """A job of FedAvg over `sites`."""
    return Job("hello", WORKFLOW, sites, **fields)


def test_a_site_runs_its_own_app() -> None:
    assert job({"north": APP, "south": OTHER}).app("south") is OTHER


def test_a_site_without_an_app_runs_the_common_one() -> None:
    assert job({"north": APP}, everywhere=OTHER).app("west") is OTHER


def test_a_site_that_the_job_does_not_know_has_no_app() -> None:
    with pytest.raises(BadInputError, match="no app for site 'west'; its sites: north, south"):
        job({"south": APP, "north": APP}).app("west")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "a/b"}, "job name 'a/b'"),
        ({"sites": {"../x": APP}}, r"site name '\.\./x'"),
        ({"min_clients": 0}, "min_clients is 0"),
        ({"mandatory_clients": ("west",)}, "mandatory client 'west' is not one of its sites"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        Job(**{"name": "hello", "workflow": WORKFLOW, "sites": {"north": APP}, **fields})


def test_a_mandatory_client_may_be_one_that_runs_the_common_app() -> None:
    assert job({"north": APP}, everywhere=APP, mandatory_clients=("west",)).mandatory_clients == ("west",)


def test_every_script_must_be_among_the_files() -> None:
    job({"north": APP}).check_scripts()
    with pytest.raises(BadInputError, match=r"script other\.py of all sites does not exist"):
        job({"north": APP}, everywhere=SiteApp(ScriptExecutor("other.py"))).check_scripts()


@pytest.mark.parametrize(
    ("sites", "everywhere", "count", "names"),
    [
        ({"north": APP, "south": OTHER}, None, None, ["north", "south"]),
        ({"north": APP, "south": OTHER}, None, 1, ["north"]),
        ({"site-0": APP, "site-1": APP}, None, 4, ["site-0", "site-1", "site-2", "site-3"]),
        ({"site-1": APP}, None, 2, ["site-1", "site-2"]),
        ({"north": APP}, OTHER, 3, ["north", "site-1", "site-2"]),
        ({}, APP, None, ["site-1", "site-2"]),
        ({}, APP, 3, ["site-1", "site-2", "site-3"]),
    ],
)
def test_a_job_gets_as_many_sites_as_asked_for(
    sites: dict[str, SiteApp], everywhere: SiteApp | None, count: int | None, names: list[str]
) -> None:
    found = job(sites, everywhere=everywhere).with_sites(count)
    assert list(found.sites) == names
    assert found.everywhere is None


def test_further_sites_run_the_common_app() -> None:
    assert job({"north": APP}, everywhere=OTHER).with_sites(2).app("site-1") is OTHER


def test_apps_are_alike_if_their_files_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "same.py").write_bytes(HERE.read_bytes())
    (tmp_path / "longer.py").write_bytes(HERE.read_bytes() + b"#")
    assert APP.is_like(SiteApp(APP.executor, {"train.py": tmp_path / "same.py"}))
    assert not APP.is_like(SiteApp(APP.executor, {"train.py": tmp_path / "longer.py"}))
    assert not APP.is_like(SiteApp(APP.executor, {**APP.files, "net.py": HERE}))
    assert not APP.is_like(SiteApp(ScriptExecutor("train.py", "-n 3"), APP.files))


def test_the_workflow_is_told_how_many_sites_there_are() -> None:
    found = job({}, everywhere=APP).with_sites(5).workflow
    assert found.site_count == 5


def test_the_workflow_stays_where_no_count_is_given() -> None:
    assert job({"a": APP, "b": APP, "c": APP}).with_sites(None).workflow is WORKFLOW


def test_sites_with_apps_of_their_own_cannot_become_more() -> None:
    with pytest.raises(BadInputError, match="cannot run with 3 sites"):
        job({"north": APP, "south": OTHER}).with_sites(3)


def test_fewer_sites_than_a_round_needs_are_refused() -> None:
    with pytest.raises(BadInputError, match="has 1 sites, but needs 2 of them"):
        job({"north": APP}).with_sites(None)


def test_a_job_needs_a_site() -> None:
    with pytest.raises(BadInputError, match="cannot run with 0 sites"):
        job({"north": APP}).with_sites(0)


@pytest.mark.parametrize(("count", "rounds"), [(None, 3), (7, 7)])
def test_a_job_gets_as_many_rounds_as_asked_for(count: int | None, rounds: int) -> None:
    workflow = job({"north": APP}).with_rounds(count).workflow
    assert isinstance(workflow, FedAvg)
    assert workflow.num_rounds == rounds
