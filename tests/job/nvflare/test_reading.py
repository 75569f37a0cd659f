"""Jobs that nvflare exported are loaded and run; what has no counterpart is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.errors import BadInputError
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import load_job
from fltui.job.job import Job
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.fedprox import FedProx
from tests.job.nvflare.exports import CODE, exported
from tests.jobs import fltui, started

BUILT_IN = np.arange(1, 10, dtype=np.float32).reshape(3, 3)

FEDAVG = "nvflare.app_common.workflows.fedavg.FedAvg"
PERSISTOR = "nvflare.app_common.np.np_model_persistor.NPModelPersistor"
SERVER = "app/config/config_fed_server.json"
CLIENT = "app/config/config_fed_client.json"


def workflow_of(job: Job) -> FedAvg:
    assert isinstance(job.workflow, FedAvg)
    return job.workflow


def edited(tmp_path: Path, file: str, change: Callable[[Any], object], name: str = "2.9.0-recipe") -> Path:
    """An exported job with a change in one of its files."""
    folder = exported(name, tmp_path)
    document = json.loads((folder / file).read_text())
    change(document)
    (folder / file).write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("name", "arguments", "executor"),
    [
        (
            "2.5.2-fedjob",
            {"key_metric": "accuracy", "key_metric_goal": "max"},
            ScriptExecutor("src/hello-numpy_fl.py"),
        ),
        ("2.5.2-external", {}, ScriptExecutor("src/hello-numpy_fl.py", "--a 1")),
        (
            "2.7.0-sag-model",
            {"min_clients": 2, "wait_time_after_min_received": 0},
            ScriptExecutor("client.py"),
        ),
        ("2.7.2-recipe", {}, ScriptExecutor("client.py", "--update_type full")),
        ("2.8.1-external", {}, ScriptExecutor("src/hello-numpy_fl.py", "--a 1")),
        (
            "2.9.0-base",
            {"start_round": 1, "key_metric": "accuracy", "key_metric_goal": "max"},
            ScriptExecutor("src/hello-numpy_fl.py", params_transfer_type="DIFF"),  # type: ignore[arg-type]
        ),
        ("2.9.0-recipe", {}, ScriptExecutor("client.py", "--update_type full")),
        ("2.9.0-recipe-ext", {}, ScriptExecutor("client.py", "--update_type full")),
    ],
)
def test_an_exported_job_says_the_same(
    tmp_path: Path, name: str, arguments: dict[str, Any], executor: ScriptExecutor
) -> None:
    job = load_job(exported(name, tmp_path)).with_sites(2)
    assert job.workflow == FedAvg(num_clients=2, num_rounds=3, **arguments)
    np.testing.assert_array_equal(workflow_of(job).model["numpy_key"], BUILT_IN, strict=True)
    assert list(job.sites) == ["site-1", "site-2"]
    for app in job.sites.values():
        assert app.executor == executor
        assert app.files.keys() == CODE[name].keys()


def test_a_checkpoint_in_the_job_is_the_initial_model(tmp_path: Path) -> None:
    job = load_job(exported("2.9.0-ckpt-rel", tmp_path))
    np.testing.assert_array_equal(workflow_of(job).model["numpy_key"], np.ones((2, 2), np.float32), strict=True)


@pytest.mark.parametrize("name", ["2.5.2-fedjob", "2.9.0-recipe"])
def test_nvflares_own_example_runs_unchanged(tmp_path: Path, name: str) -> None:
    done = fltui(tmp_path, "run", exported(name, tmp_path), "--sites", "2", "--json")
    assert done.code == 0, done.err
    np.testing.assert_array_equal(done.model(), BUILT_IN + 3, strict=True)
    assert [event["round"] for event in done.of("round_finished")] == [0, 1, 2]


def test_nvflares_own_example_is_served_to_clients_that_run_its_script(tmp_path: Path) -> None:
    job = exported("2.9.0-recipe", tmp_path)
    script = job / "app" / "custom" / "client.py"
    with ExitStack() as stack:
        for site in ("a", "b"):
            stack.enter_context(started(tmp_path, "client", script, "--site", site, "--durability", "process"))
        done = fltui(tmp_path, "server", job, "--sites", "a,b", "--durability", "process", "--json")
    assert done.code == 0, done.err
    np.testing.assert_array_equal(done.model(), BUILT_IN + 3, strict=True)


def test_a_metric_that_no_script_knows_ends_no_run(tmp_path: Path) -> None:
    assert workflow_of(load_job(exported("2.9.0-recipe", tmp_path))).key_metric == ""


def test_a_metric_that_is_to_be_small(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["components"][1]["args"] |= {"key_metric": "weight_mean", "negate_key_metric": True}

    workflow = workflow_of(load_job(edited(tmp_path, SERVER, change)))
    assert (workflow.key_metric, workflow.key_metric_goal) == ("weight_mean", "min")


def with_argument(**arguments: Any) -> Callable[[Any], object]:
    """Further arguments of the workflow."""
    return lambda document: document["workflows"][0]["args"].update(arguments)


def test_conditions_weights_and_fedprox_are_kept(tmp_path: Path) -> None:
    change = with_argument(
        stop_cond="loss <= 0.1", patience=4, aggregation_weights={"site-1": 0.5}, fedprox_mu=0.25, start_round=7
    )
    workflow = load_job(edited(tmp_path, SERVER, change)).workflow
    assert isinstance(workflow, FedProx)
    assert (workflow.stop_cond, workflow.patience, workflow.key_metric_goal) == ("loss <= 0.1", 4, "min")
    assert (workflow.weights, workflow.mu, workflow.start_round) == ({"site-1": 0.5}, 0.25, 7)


def test_variables_are_filled_in(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["rounds"], document["start"] = 9, "{rounds}"
        document["workflows"][0]["args"]["num_rounds"] = "{rounds}"

    assert workflow_of(load_job(edited(tmp_path, SERVER, change))).num_rounds == 9


def test_no_persistor_is_no_initial_model(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["components"] = [part for part in document["components"] if part["path"] != PERSISTOR]

    assert workflow_of(load_job(edited(tmp_path, SERVER, change))).model == {}


def part(path: str, **args: Any) -> dict[str, Any]:
    return {"id": "x", "path": path, "args": args}


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def persistor(**args: Any) -> Callable[[Any], object]:
    """Other arguments of the persistor."""
    return lambda document: document["components"][-1].update(args=args)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda document: document["components"].append(part("nvflare.app_common.widgets.new.Thing")),
            "names 'nvflare.app_common.widgets.new.Thing', which has no counterpart in fltui",
        ),
        (
            lambda document: document["components"].append(part("client.main")),
            "names 'client.main', which has no counterpart in fltui",
        ),
        (
            lambda document: document["workflows"][0].update(path="nvflare.app_opt.pt.fedopt.FedOpt"),
            "names 'nvflare.app_opt.pt.fedopt.FedOpt', which has no counterpart in fltui",
        ),
        (
            lambda document: document["workflows"].append(document["workflows"][0]),
            "has 2 workflows of nvflare's, expected one",
        ),
        (
            lambda document: document["workflows"][0].update(path="", name="FedAvg"),
            "names 'FedAvg' without its path; fltui takes classes by their paths",
        ),
        (with_argument(new=1), "argument 'new' of nvflare's FedAvg has no counterpart in fltui; take it out"),
        (
            with_argument(exclude_vars="bn.*"),
            "argument 'exclude_vars' of nvflare's FedAvg is 'bn.*', which has no counterpart in fltui; it may be None "
            "or ''",
        ),
        (with_argument(aggregator=part("my.Median")), "argument 'aggregator' of nvflare's FedAvg is {"),
        (
            with_argument(stop_cond="{metric} > 1"),
            "argument 'stop_cond' of FedAvg holds {metric}, which nvflare fills in when it runs, and fltui does not",
        ),
        (with_argument(num_rounds="3"), "argument 'num_rounds' of FedAvg: Expected `int`, got `str`"),
        (persistor(model=[["a"]]), "the initial model is no array of numbers: "),
        (
            persistor(source_ckpt_file_full_name="/models/a.npy"),
            "the initial model '/models/a.npy' is no part of the job; copy it into the app's custom folder",
        ),
        (persistor(source_ckpt_file_full_name="../a.npy"), "the initial model '../a.npy' is no part of the job"),
        (persistor(source_ckpt_file_full_name="a.npy"), "initial model: "),
        (persistor(model_dir="/models"), "NPModelPersistor reads from '/models', which is no part of the job"),
        (with_argument(model={"w": [1]}), "argument 'model' of nvflare's FedAvg is {'w': [1]}"),
        (with_argument(deep=nested(700)), "is malformed: "),
        (lambda document: document.update(workflows=3), "is malformed: Expected `array`, got `int`"),
    ],
)
def test_what_has_no_counterpart_at_the_server_is_refused(
    tmp_path: Path, change: Callable[[Any], object], said: str
) -> None:
    folder = edited(tmp_path, SERVER, change)
    with pytest.raises(BadInputError) as caught:
        load_job(folder)
    assert said in str(caught.value)
    assert str(folder / SERVER) in str(caught.value)


def executor(**args: Any) -> Callable[[Any], object]:
    """Further arguments of the executor."""
    return lambda document: document["executors"][0]["executor"]["args"].update(args)


PRIVACY = "nvflare.app_common.filters.percentile_privacy.PercentilePrivacy"
TRAINER = "nvflare.app_common.np.np_trainer.NPTrainer"
LAUNCHED = "nvflare.app_common.launchers.subprocess_launcher.SubprocessLauncher"


def launcher(script: str) -> Callable[[Any], object]:
    """Another command of the launcher."""

    def change(document: Any) -> None:
        (found,) = [part for part in document["components"] if part["path"] == LAUNCHED]
        found["args"]["script"] = script

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "2.9.0-recipe",
            lambda document: document["executors"][0]["executor"].update(path=TRAINER),
            "names 'nvflare.app_common.np.np_trainer.NPTrainer', which has no counterpart in fltui",
        ),
        (
            "2.9.0-recipe",
            executor(params_exchange_format="pytorch"),
            "ClientAPIExecutor hands the script 'pytorch' arrays, and fltui NumPy's",
        ),
        (
            "2.5.2-external",
            lambda document: document["executors"][0]["executor"].update(
                path="nvflare.app_opt.pt.client_api_launcher_executor.PTClientAPILauncherExecutor"
            ),
            "PTClientAPILauncherExecutor hands the script 'pytorch' arrays, and fltui NumPy's",
        ),
        ("2.9.0-recipe", executor(execution_mode="attach"), "argument 'execution_mode' of nvflare's ClientAPIExecutor"),
        ("2.9.0-recipe", executor(task_script_path=""), "ClientAPIExecutor names no script"),
        ("2.9.0-recipe", executor(task_script_path="../client.py"), "leaves the app's custom folder"),
        ("2.9.0-recipe", executor(task_script_args="-n {SITE_NAME}"), "the arguments of the script holds {SITE_NAME}"),
        (
            "2.9.0-recipe-ext",
            executor(command=["torchrun", "custom/client.py"]),
            "the command 'torchrun custom/client.py' is not one of 'python3 -u custom/SCRIPT ARGUMENTS'",
        ),
        ("2.8.1-external", launcher("python3 -u custom/a.py 'b"), "cannot be read: No closing quotation"),
        ("2.8.1-external", launcher("bash custom/a.sh"), "the command 'bash custom/a.sh' is not one of"),
        (
            "2.9.0-recipe",
            lambda document: document["task_result_filters"].append({"tasks": ["*"], "filters": [part(PRIVACY)]}),
            f"names '{PRIVACY}', which has no counterpart in fltui",
        ),
    ],
)
def test_what_has_no_counterpart_at_a_site_is_refused(
    tmp_path: Path, name: str, change: Callable[[Any], object], said: str
) -> None:
    folder = edited(tmp_path, CLIENT, change, name)
    with pytest.raises(BadInputError) as caught:
        load_job(folder)
    assert said in str(caught.value)
    assert str(folder / CLIENT) in str(caught.value)


def test_arguments_are_those_that_nvflare_hands_over(tmp_path: Path) -> None:
    job = load_job(edited(tmp_path, CLIENT, executor(task_script_args="--name 'two words'")))
    assert job.everywhere is not None
    assert job.everywhere.executor.arguments() == ["--name", "'two", "words'"]
