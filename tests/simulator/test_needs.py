"""What sites need of the place where their scripts run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import load_job, write_job
from fltui.job.job import Job, SiteApp
from fltui.run.options import RunOptions
from fltui.simulator.needs import Needs, check_here, needs_of
from fltui.workflows.fedavg import FedAvg

CLUSTER = "tcp://127.0.0.1:8786"


def _job(**spec: dict[str, Any]) -> Job:
    app = SiteApp(ScriptExecutor("a.py"))
    named = {site.replace("all", "@ALL"): amounts for site, amounts in spec.items()}
    return Job("test", FedAvg(num_clients=2), {"a": app, "b": app}, resource_spec=named)


def test_resources_are_those_of_the_site_or_of_all_others() -> None:
    job = _job(a={"GPU": 2, "RAM": 0}, all={"GPU": 0.5})
    assert needs_of(job, RunOptions(engine=CLUSTER)) == [Needs("a", "", {"GPU": 2}), Needs("b", "", {"GPU": 0.5})]


def test_nvflares_names_are_understood() -> None:
    job = _job(a={"num_of_gpus": 1, "mem_per_gpu_in_GiB": 8})
    assert needs_of(job, RunOptions(engine=CLUSTER))[0].resources == {"GPU": 1}


@pytest.mark.parametrize(
    "amount", ["1", True, -1, None, {"x": 1}, float("inf"), float("nan"), 10**400, pytest.param(10**5000, id="long")]
)
def test_an_amount_is_a_number(amount: object) -> None:
    with pytest.raises(BadInputError, match=r"resource_spec has .* of 'GPU' for site a, expected a number"):
        needs_of(_job(a={"GPU": amount}), RunOptions(engine=CLUSTER))
    assert not needs_of(_job(a={"GPU": amount}), RunOptions())[0].resources  # on one machine nobody counts them


@pytest.mark.parametrize("spec", [1, "GPU", None, ["GPU"]])
def test_amounts_have_names(spec: Any) -> None:
    with pytest.raises(BadInputError, match=r"resource_spec has .* for site a, expected amounts by names"):
        needs_of(_job(a=spec), RunOptions(engine=CLUSTER))
    assert not needs_of(_job(a=spec), RunOptions())[0].resources


def test_a_job_from_elsewhere_may_say_them_in_another_way(tmp_path: Path) -> None:
    write_job(replace(_job(), sites={"a": SiteApp(ScriptExecutor("a.py"))}), tmp_path / "job")
    meta = tmp_path / "job" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "resource_spec": {"a": ["GPU"], "b": 1}}))
    job = load_job(tmp_path / "job")
    assert needs_of(job, RunOptions()) == [Needs("a")]
    with pytest.raises(BadInputError, match=r"resource_spec has \['GPU'\] for site a, expected amounts by names"):
        needs_of(job, RunOptions(engine=CLUSTER))


def test_one_resource_has_one_name() -> None:
    with pytest.raises(BadInputError, match="resource_spec has both num_of_gpus and GPU for site a"):
        needs_of(_job(a={"GPU": 1, "num_of_gpus": 2}), RunOptions(engine=CLUSTER))


def test_as_much_as_a_number_can_be_is_counted() -> None:
    needs = needs_of(_job(all={"GPU": 10**308}), RunOptions(engine=CLUSTER))
    assert [one.amounts() for one in needs] == ["GPU=1e+308"] * 2


def test_data_is_named_for_sites_that_there_are(tmp_path: Path) -> None:
    options = RunOptions(site_data={"a": str(tmp_path)})
    needs = needs_of(_job(), options)
    assert [one.data for one in needs] == [str(tmp_path), ""]
    check_here(needs)
    with pytest.raises(BadInputError, match="--site-data names c, and the job's sites are a, b"):
        needs_of(_job(), RunOptions(site_data={"c": "/"}))
    with pytest.raises(BadInputError, match="the data of site a, /no/such, is not there"):
        check_here([Needs("a", "/no/such")])
