from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.aggregation.filters import ClipNorm, ExcludeVars
from fltui.aggregation.privacy import GaussianNoise
from fltui.errors import BadInputError
from fltui.job import registry
from fltui.job.component import Part
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import demands_signatures, load_job, write_job
from fltui.job.job import Job, SiteApp
from fltui.workflows.fedavg import FedAvg

SERVER = "app_server/config/config_fed_server.json"
CLIENT = "app_north/config/config_fed_client.json"


def example(here: Path, **fields: Any) -> Job:
    """Two sites that run one script."""
    app = SiteApp(ScriptExecutor("src/train.py", "-n 3"), {"src/train.py": here / "train.py"})
    workflow = FedAvg(num_clients=2, num_rounds=3, model={"w": np.eye(2, dtype=np.float32), "b/1": np.zeros(0)})
    return Job(**{"name": "hello", "workflow": workflow, "sites": {"north": app, "south": app}, **fields})


@pytest.fixture
def folder(here: Path, tmp_path: Path) -> Path:
    """The example job, exported."""
    return write_job(example(here), tmp_path / "hello")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_job_folder_has_the_layout_of_the_field(folder: Path) -> None:
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {
        "meta.json",
        SERVER,
        "app_server/config/model/w.npy",
        "app_server/config/model/b_1.npy",
        CLIENT,
        "app_north/custom/src/train.py",
        "app_south/config/config_fed_client.json",
        "app_south/custom/src/train.py",
    }


def test_a_loaded_job_is_the_one_that_was_written(here: Path, folder: Path) -> None:
    found, job = load_job(folder), example(here)
    assert (found.name, found.workflow, found.min_clients) == (job.name, job.workflow, job.min_clients)
    assert found.app("north").executor == job.app("north").executor
    assert found.app("north").files == {"src/train.py": folder / "app_north/custom/src/train.py"}


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((2, 0)),
        np.arange(6, dtype=">i2").reshape(2, 3).T,
        np.array([True]),
        np.ones(1, np.float16),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_an_initial_model_survives(here: Path, tmp_path: Path, array: NDArray[Any]) -> None:
    found = load_job(write_job(example(here, workflow=FedAvg(model=array)), tmp_path / "job")).workflow
    assert isinstance(found, FedAvg)
    np.testing.assert_array_equal(found.model["numpy_key"], array)


def test_filters_at_the_server_and_at_a_site_survive(here: Path, tmp_path: Path) -> None:
    filters = (ExcludeVars(("b*",)), ClipNorm(0.5), GaussianNoise(2.0, 3.0, 1e-6, 8.0, 4))
    app = example(here).app("north")
    guarded = SiteApp(app.executor, app.files, tuple(registry.written(one) for one in filters))
    workflow = FedAvg(num_clients=2, model=np.zeros(2), filters=filters)
    folder = write_job(example(here, workflow=workflow, sites={"north": guarded, "south": app}), tmp_path / "job")
    found = load_job(folder)
    assert found.workflow == workflow
    assert found.app("north").filters == (
        Part("fltui.aggregation.filters.ExcludeVars", {"names": ["b*"]}),
        Part("fltui.aggregation.filters.ClipNorm", {"max_norm": 0.5}),
        Part(
            "fltui.aggregation.privacy.GaussianNoise",
            {"noise_multiplier": 2.0, "max_norm": 3.0, "delta": 1e-6, "max_epsilon": 8.0, "seed": 4},
        ),
    )
    assert found.app("south").filters == ()
    assert not found.app("north").is_like(found.app("south"))


def test_a_job_for_all_sites_has_one_app(here: Path, tmp_path: Path) -> None:
    app = example(here).app("north")
    folder = write_job(example(here, sites={}, everywhere=app), tmp_path / "job")
    assert sorted(entry.name for entry in folder.iterdir()) == ["app", "meta.json"]
    found = load_job(folder)
    assert found.sites == {}
    assert found.app("any").executor == app.executor


def test_a_job_may_have_named_sites_and_an_app_for_the_others(here: Path, tmp_path: Path) -> None:
    other = SiteApp(ScriptExecutor("other.py"), {"other.py": here / "train.py"})
    found = load_job(write_job(example(here, everywhere=other), tmp_path / "job"))
    assert found.app("west").executor.task_script_path == "other.py"
    assert found.app("north").executor.task_script_path == "src/train.py"


def test_requirements_of_the_run_survive(here: Path, tmp_path: Path) -> None:
    folder = write_job(example(here, min_clients=2, mandatory_clients=("south",)), tmp_path / "job")
    assert (load_job(folder).min_clients, load_job(folder).mandatory_clients) == (2, ("south",))


@pytest.mark.parametrize("demanded", [True, False])
def test_a_demand_for_signatures_survives(here: Path, tmp_path: Path, demanded: bool) -> None:
    folder = write_job(example(here, require_signatures=demanded), tmp_path / "job")
    assert load_job(folder).require_signatures is demands_signatures(folder) is demanded
    edit(folder / "meta.json", lambda meta: meta.pop("require_signatures"))
    assert load_job(folder).require_signatures is False


@pytest.mark.parametrize("value", ["true", 1, None])
def test_a_demand_for_signatures_is_yes_or_no(here: Path, tmp_path: Path, value: object) -> None:
    folder = write_job(example(here), tmp_path / "job")
    edit(folder / "meta.json", lambda meta: meta.update(require_signatures=value))
    with pytest.raises(BadInputError, match="require_signatures"):
        load_job(folder)


def test_exporting_again_replaces_the_folder(here: Path, folder: Path) -> None:
    (folder / "old.txt").write_text("")
    write_job(example(here), folder)
    assert not (folder / "old.txt").exists()


def test_a_folder_of_something_else_is_left_alone(here: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("")
    with pytest.raises(BadInputError, match="not an exported job; nothing was written"):
        write_job(example(here), tmp_path / "photos")
    assert [entry.name for entry in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_script_that_cannot_be_copied_is_named(here: Path, tmp_path: Path) -> None:
    app = SiteApp(ScriptExecutor("train.py"), {"train.py": here / "gone.py"})
    with pytest.raises(BadInputError, match=r"cannot be exported .*gone\.py"):
        write_job(example(here, sites={"north": app}), tmp_path / "job")


@pytest.mark.parametrize("name", ["meta.json", SERVER, CLIENT])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInputError, match=f"{name} cannot be read: No such file"):
        load_job(folder)


def test_a_document_that_is_too_large_is_not_read(folder: Path) -> None:
    os.truncate(folder / "meta.json", 5 << 30)
    with pytest.raises(BadInputError, match=r"meta\.json cannot be read: it has more than 16777216 bytes"):
        load_job(folder)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"name": 1}', b'{"name": "\xff"}', b"[" * 100_000], ids=lambda data: data[:9]
)
@pytest.mark.parametrize("name", ["meta.json", SERVER, CLIENT])
def test_a_malformed_file_is_named(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(BadInputError, match=f"{name} is malformed"):
        load_job(folder)


@pytest.mark.parametrize(
    ("deploy_map", "reason"),
    [
        ({"app_north": ["north"]}, "no app for 'server'"),
        ({"app_server": ["server"]}, "no app for any site"),
        ({"app_server": ["server"], "app_north": ["north", "north"]}, "gives 'north' two apps"),
        ({"app_server": ["server"], "app_north": ["../north"]}, "site name"),
        ({"app_server": ["server"], "../app_north": ["north"]}, "app name"),
    ],
)
def test_a_deploy_map_that_cannot_be_followed_is_refused(
    folder: Path, deploy_map: dict[str, list[str]], reason: str
) -> None:
    edit(folder / "meta.json", lambda meta: meta.update(deploy_map=deploy_map))
    with pytest.raises(BadInputError, match=rf"meta\.json: .*{reason}"):
        load_job(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda config: config["workflows"].clear(), "has no workflow, expected one or more"),
        (lambda config: config["workflows"][0].update(path="os.system"), "'os.system', which is not registered"),
        (lambda config: config["workflows"][0]["args"].update(num_rounds=0), "num_rounds is 0"),
        (lambda config: config["workflows"][0]["args"].update(secret=1), "no argument 'secret'"),
        (lambda config: config.update(components=[{"path": "x.Y"}]), "component 'x.Y', which is not registered"),
        (lambda config: config.update(task_result_filters=[{}]), "has filters"),
        (lambda config: config["workflows"][0]["args"].update(model=[1]), "model is not a table"),
        (
            lambda config: config["workflows"][0]["args"].update(model={"w": "../../../secret.npy"}),
            r"lies in '\.\./\.\./\.\./secret\.npy', expected 'w\.npy'",
        ),
        (
            lambda config: config["workflows"][0].update(
                path="fltui.job.executors.ScriptExecutor", args={"task_script_path": "train.py"}
            ),
            "is not a workflow",
        ),
    ],
)
def test_a_server_configuration_is_not_trusted(folder: Path, change: Callable[[Any], object], reason: str) -> None:
    edit(folder / SERVER, change)
    with pytest.raises(BadInputError, match=rf"config_fed_server\.json.*{reason}"):
        load_job(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda config: config["executors"].clear(), "has 0 executors, expected one"),
        (lambda config: config["executors"][0]["executor"].update(path="os.system"), "not registered"),
        (
            lambda config: config["executors"][0]["executor"].update(path="fltui.workflows.fedavg.FedAvg", args={}),
            "is not an executor",
        ),
        (
            lambda config: config["executors"][0]["executor"]["args"].update(task_script_path="/bin/sh"),
            "script '/bin/sh' leaves the app's custom folder",
        ),
        (
            lambda config: config["executors"][0]["executor"]["args"].update(task_script_path="a/../../b.py"),
            "leaves the app's custom folder",
        ),
        (
            lambda config: config.update(task_result_filters=[{"filters": [{"path": "x.Y"}]}]),
            "names the component 'x.Y', which is not registered",
        ),
        (lambda config: config.update(task_data_filters=[{"filters": []}]), "has task_data_filters; a filter's method"),
    ],
)
def test_a_client_configuration_is_not_trusted(folder: Path, change: Callable[[Any], object], reason: str) -> None:
    edit(folder / CLIENT, change)
    with pytest.raises(BadInputError, match=rf"config_fed_client\.json.*{reason}"):
        load_job(folder)


@pytest.mark.parametrize("array", [np.array(["text"]), np.zeros(1, complex)])
def test_an_initial_model_that_does_not_travel_is_refused(folder: Path, array: NDArray[Any]) -> None:
    np.save(folder / "app_server/config/model/w.npy", array)
    with pytest.raises(BadInputError, match=r"initial model: .*w\.npy does not hold an array of bool, int or float"):
        load_job(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x93NUMPY", b"not an array", b"\x80\x04N.", b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16],
)
def test_an_initial_model_that_is_no_array_is_refused(folder: Path, data: bytes) -> None:
    (folder / "app_server/config/model/w.npy").write_bytes(data)
    with pytest.raises(BadInputError, match=r"initial model: .*w\.npy is not a readable \.npy"):
        load_job(folder)
