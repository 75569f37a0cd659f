"""A job is written such that nvflare runs it, or refused by what nvflare has no counterpart of."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pytest

import fltui.client
from fltui.aggregation.aggregators import Median
from fltui.client.config import TransferType
from fltui.client.seed import seed_of
from fltui.errors import BadInputError
from fltui.job import registry
from fltui.job.executors import ScriptExecutor
from fltui.job.job import Job, SiteApp
from fltui.job.nvflare import writing
from fltui.workflows.cyclic import Cyclic
from fltui.workflows.fedavg import FedAvg

PAYLOAD = Path(writing.__file__).parent / "payload"


def example(folder: Path, text: str = "import fltui.client as flare\n", **arguments: Any) -> Job:
    """Two sites that run one script."""
    (folder / "train.py").write_text(text)
    app = SiteApp(ScriptExecutor("src/train.py", "-n 3"), {"src/train.py": folder / "train.py"})
    given: dict[str, Any] = {
        "num_clients": 2,
        "num_rounds": 4,
        "start_round": 1,
        "model": {"w": np.eye(2), "b/1": np.zeros(0)},
    }
    return Job("hello", FedAvg(**(given | arguments)), {"north": app, "south": app})


def written(job: Job, tmp_path: Path) -> Path:
    writing.write_parts(job, tmp_path / "out")
    return tmp_path / "out"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def files_of(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_what_a_site_needs_goes_along(tmp_path: Path) -> None:
    job = replace(example(tmp_path), resource_spec={"north": {"num_of_gpus": 1}})
    assert read(written(job, tmp_path) / "meta.json")["resource_spec"] == {"north": {"num_of_gpus": 1}}


def test_sites_that_run_the_same_have_one_app(tmp_path: Path) -> None:
    folder = written(example(tmp_path, key_metric="loss", key_metric_goal="min"), tmp_path)
    assert read(folder / "meta.json") == {
        "name": "hello",
        "resource_spec": {},
        "min_clients": 2,
        "deploy_map": {"app": ["@ALL"]},
    }
    server = read(folder / "app/config/config_fed_server.json")
    assert [(part["path"], part["args"]) for part in server["workflows"] + server["components"]] == [
        ("nvflare.app_common.workflows.fedavg.FedAvg", {"num_clients": 2, "num_rounds": 4, "start_round": 1}),
        (
            "fltui_for_nvflare.ModelFiles",
            {"files": {"w": "initial_model/w.npy", "b/1": "initial_model/b_1.npy"}},
        ),
        (
            "nvflare.app_common.widgets.intime_model_selector.IntimeModelSelector",
            {"key_metric": "loss", "negate_key_metric": True},
        ),
    ]
    (site,) = read(folder / "app/config/config_fed_client.json")["executors"]
    assert site["executor"] == {
        "path": "fltui_for_nvflare.ScriptExecutor",
        "args": {"task_script_path": "src/train.py", "task_script_args": "-n 3", "params_transfer_type": "FULL"},
    }
    assert files_of(folder / "app" / "custom") == {
        "fltui/__init__.py",
        "fltui/client/__init__.py",
        "fltui/client/config.py",
        "fltui/client/decorators.py",
        "fltui/client/seed.py",
        "fltui/client/tracking.py",
        "fltui/model.py",
        "fltui_for_nvflare.py",
        "initial_model/b_1.npy",
        "initial_model/w.npy",
        "src/train.py",
    }
    np.testing.assert_array_equal(np.load(folder / "app/custom/initial_model/w.npy"), np.eye(2), strict=True)


def test_a_script_that_needs_no_fltui_gets_none(tmp_path: Path) -> None:
    folder = written(example(tmp_path, "import nvflare.client as flare\n"), tmp_path)
    assert not (folder / "app" / "custom" / "fltui").exists()


def test_sites_that_differ_keep_their_apps(tmp_path: Path) -> None:
    job = example(tmp_path)
    apart = replace(job.sites["south"], executor=ScriptExecutor("src/train.py", "-n 4"))
    folder = written(replace(job, sites={**job.sites, "south": apart}), tmp_path)
    assert read(folder / "meta.json")["deploy_map"] == {
        "app_server": ["server"],
        "app_north": ["north"],
        "app_south": ["south"],
    }
    assert (folder / "app_server/custom/fltui_for_nvflare.py").exists()
    assert (folder / "app_south/custom/fltui_for_nvflare.py").exists()


def test_without_a_model_the_sites_start_from_their_own(tmp_path: Path) -> None:
    server = read(written(example(tmp_path, model=None), tmp_path) / "app/config/config_fed_server.json")
    assert server["workflows"][0]["args"]["allow_empty_global_weights"] is True
    assert server["components"][0]["args"] == {"files": {}}


def test_the_command_names_the_sites(tmp_path: Path) -> None:
    job = example(tmp_path)
    assert writing.simulator_command(job, Path("/out")) == [
        *("nvflare", "simulator", "/out", "-w", "WORKSPACE", "-c", "north,south", "-t", "2"),
    ]
    everywhere = replace(job, sites={}, everywhere=job.sites["north"])
    assert writing.simulator_command(everywhere, Path("/out"))[5:] == ["-n", "2", "-t", "2"]


def with_executor(**arguments: Any) -> Callable[[Job], Job]:
    """Another executor at the site north."""

    def change(job: Job) -> Job:
        app = replace(job.sites["north"], executor=replace(job.sites["north"].executor, **arguments))
        return replace(job, sites={**job.sites, "north": app})

    return change


def with_workflow(**arguments: Any) -> Callable[[Job], Job]:
    """Other arguments of FedAvg."""
    return lambda job: replace(job, workflow=replace(job.workflow, **arguments))  # type: ignore[type-var]


def with_file(name: str) -> Callable[[Job], Job]:
    """Another file at the site north."""

    def change(job: Job) -> Job:
        app = job.sites["north"]
        return replace(job, sites={**job.sites, "north": replace(app, files={**app.files, name: Path(__file__)})})

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_workflow(aggregator=Median()), "the workflow has aggregator Median"),
        (with_workflow(sampling=0.5), "the workflow has sampling 0.5, which nvflare has no counterpart of"),
        (with_workflow(weights={"north": 2.0}), "the workflow has weights {'north': 2.0}"),
        (with_workflow(stop_cond="loss < 1"), "the workflow has stop_cond 'loss < 1'"),
        (with_workflow(round_timeout=60.0), "the workflow has round_timeout 60.0"),
        (with_workflow(min_clients=1), "FedAvg has min_clients 1 of 2, and nvflare's waits for all that it asks"),
        (with_workflow(num_clients=1), "FedAvg asks 1 of 2 sites a round, and nvflare would choose others"),
        (with_workflow(model=[1, 2]), "parameter 'numpy_key' of the initial model has dtype int64"),
        (lambda job: replace(job, workflow=Cyclic()), "the workflow is Cyclic; only FedAvg and ScriptExecutor can"),
        (
            lambda job: replace(job, workflow=registry.series([job.workflow, FedAvg()])),
            "it has 2 workflows, and one can be",
        ),
        (
            lambda job: replace(job, require_signatures=True),
            "the job has require_signatures True, which nvflare has no counterpart of",
        ),
        (
            lambda job: replace(job, everywhere=job.sites["north"]),
            "it has an app for all sites beside those of single sites",
        ),
        (
            with_executor(task_script_args="--name 'two words'"),
            "cannot hand the script of north the argument 'two words'",
        ),
        (with_executor(task_script_args="''"), "cannot hand the script of north the argument ''"),
        (with_executor(task_script_args="${secret:KEY}"), "the argument '${secret:KEY}' as one"),
        (
            lambda job: with_executor(params_transfer_type=TransferType.DIFF)(with_workflow(model=None)(job)),
            "north sends differences, and there is no initial model",
        ),
        (with_file("fltui/x.py"), "north has a file or folder 'fltui', where the export puts its own; rename it"),
        (with_file("fltui_for_nvflare.py"), "north has a file or folder 'fltui_for_nvflare'"),
    ],
)
def test_what_nvflare_has_no_counterpart_of_is_refused(tmp_path: Path, change: Callable[[Job], Job], said: str) -> None:
    job = change(example(tmp_path))
    with pytest.raises(BadInputError) as caught:
        writing.write_parts(job, tmp_path / "out")
    assert str(caught.value).startswith("job hello cannot be exported for nvflare: ")
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from fltui.client.scaffold import Scaffold", "fltui.client.scaffold"),
        ("from fltui.client import statistics", "fltui.client.statistics"),
        ("import fltui.exchange.npy", "fltui.exchange.npy"),
        ("from fltui import FedAvg", "fltui.FedAvg"),
    ],
)
def test_a_script_that_needs_more_of_fltui_is_refused(tmp_path: Path, statement: str, name: str) -> None:
    with pytest.raises(BadInputError, match=rf"src/train.py of north imports {name}, and nvflare has no counterpart"):
        written(example(tmp_path, statement), tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "import fltui.client as flare",
        "from fltui import client, FLModel",
        "from fltui.client import get_seed, train, decorators",
        "from fltui.client.tracking import SummaryWriter",
        "from fltui.client import *",
        "import nvflare.client, numpy",
        "this is no Python",
    ],
)
def test_a_script_may_import_what_there_is(tmp_path: Path, statement: str) -> None:
    written(example(tmp_path, statement), tmp_path)


def test_the_stand_in_has_all_of_the_client_api() -> None:
    """It cannot be imported where nvflare is not."""
    tree = ast.parse((PAYLOAD / "stand_in" / "client" / "__init__.py").read_text())
    (names,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert names == fltui.client.__all__


def test_the_stand_in_draws_what_fltui_draws() -> None:
    spec = spec_from_file_location("seed", PAYLOAD / "stand_in" / "client" / "seed.py")
    assert spec is not None
    assert spec.loader is not None
    seed = module_from_spec(spec)
    spec.loader.exec_module(seed)
    for size in (0, 1, 63, 64, 65, 128, 1024):
        assert seed.digest(b"x" * size) == blake3.blake3(b"x" * size).digest(8)
    assert seed.seed_of(0, "site-1", 7) == seed_of(0, "site-1", 7)
