from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui import ClipNorm, Cyclic, FedAvg, FedJob, Scaffold, ScriptExecutor, ScriptRunner, Statistics, Workflow
from fltui.errors import BadInputError
from fltui.job.folder import load_job
from fltui.workflows.series import Series


def test_the_tutorials_job_is_exported_and_loaded(here: Path, tmp_path: Path) -> None:
    job = FedJob(name="hello-fedavg")
    job.to(FedAvg(num_clients=2, num_rounds=3, model=np.zeros((3, 3))), "server")
    for number in range(2):
        job.to(ScriptExecutor(task_script_path="train.py"), f"site-{number}", tasks=["train"])
    job.export_job(tmp_path / "jobs")
    found = load_job(tmp_path / "jobs/hello-fedavg")
    assert list(found.sites) == ["site-0", "site-1"]
    assert found.workflow.site_count == 2


def test_one_executor_may_serve_all_sites(here: Path, tmp_path: Path) -> None:
    job = FedJob("hello", min_clients=2, require_signatures=True)
    job.to_server(FedAvg(num_clients=2))
    job.to_clients(ScriptRunner(script="train.py"))
    job.export_job(tmp_path)
    found = load_job(tmp_path / "hello")
    assert found.app("any-site").executor.task_script_path == "train.py"
    assert (found.min_clients, found.require_signatures) == (2, True)


def test_what_a_site_needs_of_a_cluster_is_exported_and_loaded(here: Path, tmp_path: Path) -> None:
    job = FedJob("hello")
    job.to_server(FedAvg(num_clients=2))
    job.to_clients(ScriptExecutor("train.py"))
    job.add_resource_spec("north", {"GPU": 1, "nested": {"as": "others have it"}})
    job.add_resource_spec("@ALL", {"GPU": 0.5})
    job.export_job(tmp_path)
    spec = {"north": {"GPU": 1, "nested": {"as": "others have it"}}, "@ALL": {"GPU": 0.5}}
    assert load_job(tmp_path / "hello").resource_spec == spec
    with pytest.raises(BadInputError, match="has a resource_spec for north already"):
        job.add_resource_spec("north", {})
    for wrong in (None, {1: 1}, {"GPU": object()}):
        with pytest.raises(BadInputError, match="the resource_spec of south is no table"):
            job.add_resource_spec("south", wrong)  # type: ignore[arg-type]  # that is the test


def test_files_go_along_with_a_sites_script(here: Path, tmp_path: Path) -> None:
    (here / "data.csv").write_text("1,2\n")
    job = FedJob("hello")
    job.to(FedAvg(num_clients=1), "server")
    job.to(ScriptExecutor("train.py"), "north")
    job.to("data.csv", "north")
    job.export_job(tmp_path)
    assert (tmp_path / "hello/app_north/custom/data.csv").read_text() == "1,2\n"


def test_a_script_outside_the_folder_is_taken_in_by_its_bare_name(here: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("")
    job = FedJob("hello")
    job.to(FedAvg(num_clients=1), "server")
    job.to(ScriptExecutor(str(tmp_path / "elsewhere.py")), "north")
    job.export_job(tmp_path)
    app = load_job(tmp_path / "hello").app("north")
    assert app.executor.task_script_path == "elsewhere.py"
    assert app.files.keys() == {"elsewhere.py"}


@pytest.mark.parametrize("name", ["", "a/b", "..", "con"])
def test_a_job_needs_a_name_that_can_be_a_folder(name: str) -> None:
    with pytest.raises(BadInputError, match="job name"):
        FedJob(name)


@pytest.mark.parametrize(
    ("part", "target", "reason"),
    [
        (FedAvg(), "site-1", "a FedAvg does not go to 'site-1'"),
        (ScriptExecutor("train.py"), "server", "a ScriptExecutor does not go to 'server'"),
        ("train.py", "server", "a str does not go to 'server'"),
        (object(), "site-1", "a object does not go to 'site-1'"),
        (ScriptExecutor("train.py"), "../site", "site name"),
        ("none.csv", "site-1", r"none\.csv does not exist"),
    ],
)
def test_a_part_in_the_wrong_place_is_refused(here: Path, part: Any, target: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        FedJob("hello").to(part, target)


def test_a_site_takes_one_executor() -> None:
    job = FedJob("hello")
    job.to(ScriptExecutor("train.py"), "site-1")
    with pytest.raises(BadInputError, match="already"):
        job.to(ScriptExecutor("train.py"), "site-1")


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(BadInputError, match="no argument 'gpu'"):
        FedJob("hello").to(FedAvg(), "server", gpu=1)


def test_a_job_without_a_workflow_is_incomplete(tmp_path: Path) -> None:
    job = FedJob("hello")
    job.to(ScriptExecutor("train.py"), "site-1")
    with pytest.raises(BadInputError, match="has no workflow"):
        job.export_job(tmp_path)


def test_a_job_without_a_site_is_incomplete(tmp_path: Path) -> None:
    job = FedJob("hello")
    job.to(FedAvg(), "server")
    with pytest.raises(BadInputError, match="has no site"):
        job.export_job(tmp_path)


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (
            Scaffold(1, 1, model=np.zeros(2)),
            "Scaffold goes without filters at sites, and there are some for site-1: the control variates that a site",
        ),
        (
            Statistics(("a",), bounds={"a": (0, 1)}),
            "Statistics goes without filters at sites, and there are some for site-1: filters look at an update",
        ),
    ],
)
def test_filters_at_sites_that_would_fail_there_are_refused_at_once(
    here: Path, tmp_path: Path, workflow: Workflow, told: str
) -> None:
    job = FedJob("hello")
    job.to(workflow, "server")
    job.to(ScriptExecutor("train.py"), "site-1")
    job.to(ClipNorm(), "site-1")
    with pytest.raises(BadInputError, match=f"^job hello: {told}"):
        job.export_job(tmp_path)


def test_filters_at_sites_are_refused_whichever_of_several_workflows_cannot_have_them(
    here: Path, tmp_path: Path
) -> None:
    job = FedJob("hello")
    job.to(FedAvg(1, 1, model=np.zeros(2)), "server")
    job.to(ScriptExecutor("train.py"), "@ALL")
    job.to(ClipNorm(), "@ALL")
    job.export_job(tmp_path / "one")
    job.to(Cyclic(1, 1), "server")
    job.export_job(tmp_path / "two")
    found = load_job(tmp_path / "two" / "hello")
    series = Series((Scaffold(1, 1, model=np.zeros(2)), Cyclic(1, 1)))
    with pytest.raises(BadInputError, match=r"^job hello: Scaffold goes without filters at sites, .* for all sites: "):
        replace(found, workflow=series)


def test_files_need_a_script_to_go_with(here: Path, tmp_path: Path) -> None:
    job = FedJob("hello")
    job.to(FedAvg(), "server")
    job.to(ScriptExecutor("train.py"), "site-1")
    job.to("train.py", "site-2")
    with pytest.raises(BadInputError, match="sends files to 'site-2', which has no executor"):
        job.export_job(tmp_path)


def test_a_script_that_does_not_exist_is_named(here: Path, tmp_path: Path) -> None:
    job = FedJob("hello")
    job.to(FedAvg(), "server")
    job.to(ScriptExecutor("none.py"), "site-1")
    with pytest.raises(BadInputError, match=r"script none\.py of site-1 does not exist"):
        job.export_job(tmp_path)
    assert not (tmp_path / "hello").exists()


def test_a_class_that_only_this_script_knows_is_refused(here: Path, tmp_path: Path) -> None:
    class Mine(FedAvg):
        """Cannot be loaded from a job folder."""

    job = FedJob("hello")
    job.to(Mine(), "server")
    job.to(ScriptExecutor("train.py"), "site-1")
    with pytest.raises(BadInputError, match="Mine is defined in the job script itself; put it into a module"):
        job.export_job(tmp_path)
