from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.job.code import close_code
from fltui.job.component import Part
from fltui.job.executors import ScriptExecutor
from fltui.job.find import find_job, open_job
from fltui.job.folder import write_job
from fltui.job.handover import Handover
from fltui.job.job import Job, SiteApp
from fltui.workflows.fedavg import FedAvg
from tests.job.own_code import FILTER, put

SCRIPT = """
from fltui import FedAvg, FedJob, ScriptExecutor
job = FedJob("scripted")
job.to(FedAvg(num_clients=1), "server")
job.to(ScriptExecutor("train.py"), "site-1")
job.simulator_run("workspace", threads=1)
"""


def export(folder: Path, train: Path) -> Path:
    app = SiteApp(ScriptExecutor("train.py"), {"train.py": train})
    return write_job(Job("exported", FedAvg(num_clients=1), {"site-1": app}), folder)


def test_a_job_script_is_found_by_its_path(here: Path) -> None:
    assert find_job(here / "train.py") == here / "train.py"


def test_a_job_folder_is_found_by_its_path(here: Path) -> None:
    folder = export(here / "job", here / "train.py")
    assert find_job(folder) == folder


def test_the_one_script_with_a_job_in_a_folder_is_found(here: Path) -> None:
    (here / "job.py").write_text(SCRIPT)
    assert find_job(here) == here / "job.py"


def test_the_one_job_folder_in_a_folder_is_found(here: Path) -> None:
    folder = export(here / "job", here / "train.py")
    assert find_job(here) == folder


def test_a_script_wins_over_the_folder_it_exported(here: Path) -> None:
    (here / "job.py").write_text(SCRIPT)
    export(here / "job", here / "train.py")
    assert find_job(here) == here / "job.py"


def test_two_jobs_are_one_too_many(here: Path) -> None:
    for name in ("a.py", "b.py"):
        (here / name).write_text(SCRIPT)
    with pytest.raises(BadInputError, match=r"holds 2 jobs \(a\.py, b\.py\); name one"):
        find_job(here)


def test_a_folder_without_a_job_is_named(here: Path) -> None:
    with pytest.raises(BadInputError, match="here holds no job"):
        find_job(here)


def test_a_path_that_does_not_exist_is_named(here: Path) -> None:
    with pytest.raises(BadInputError, match="none does not exist"):
        find_job(here / "none")


def test_an_exported_job_is_opened(here: Path) -> None:
    with open_job(export(here / "job", here / "train.py")) as (job, note):
        assert (job.name, note) == ("exported", Handover("exported"))


OWN = """
from fltui import FedAvg, FedJob, ScriptExecutor
from own_found.parts import Scaled
job = FedJob("scripted")
job.to(FedAvg(num_clients=1, filters=[Scaled(0.25)]), "server")
job.to(ScriptExecutor("train.py"), "site-1")
job.to(Scaled(0.75), "site-1")
job.simulator_run("workspace")
"""


def test_what_a_script_s_job_has_of_its_own_goes_along_to_where_it_runs(here: Path) -> None:
    (here / "job.py").write_text(OWN)
    put(here / "own_found" / "parts.py", FILTER.replace("from fltui", "import own_found_beside\n    from fltui"))
    put(here / "own_found_beside.py", "")
    with open_job(here / "job.py") as (job, _):
        found: Any = job.workflow
        assert [one.factor for one in found.filters] == [0.25]
        assert job.app("site-1").filters == (Part("own_found.parts.Scaled", {"factor": 0.75}),)
        for files in (job.server_files, job.app("site-1").files):
            assert files.keys() - {"train.py"} == {"own_found/parts.py", "own_found_beside.py"}
        folder = write_job(job, here / "exported")
    assert not any("fltui-job-" in entry for entry in sys.path)
    with pytest.raises(
        BadInputError, match=r"'own_found\.parts\.Scaled', which is not registered: it is code of the job"
    ):
        find_and_load(folder)
    with open_job(folder, job_code=True) as (again, _):
        assert again.workflow == found
    close_code(here)


def find_and_load(folder: Path) -> None:
    with open_job(folder):
        pass


def test_a_script_is_run_and_its_job_lasts_as_long_as_the_context(here: Path) -> None:
    (here / "job.py").write_text(SCRIPT)
    with open_job(here / "job.py") as (job, note):
        train = job.app("site-1").files["train.py"]
        assert train.read_bytes() == (here / "train.py").read_bytes()
        assert note == Handover("scripted", threads=1)
    assert not train.exists()


def test_of_several_scripts_with_a_job_the_one_named_so_is_it(here: Path) -> None:
    for name in ("compare.py", "job.py"):
        (here / name).write_text(SCRIPT)
    assert find_job(here) == here / "job.py"
