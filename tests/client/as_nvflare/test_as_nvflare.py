"""Scripts that import nvflare get fltui, and exactly what there is of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import fltui.client
from fltui.client import as_nvflare
from tests.jobs import fltui as command

EXPORTED = {
    "2.5.2": "AnalyticsDataType FLModel ParamsType evaluate get_config get_job_id get_site_name init is_evaluate "
    "is_running is_submit_model is_train log receive send system_info train",
    "2.9.0": "AnalyticsDataType FLModel ParamsType evaluate get_config get_job_id get_site_name get_task_name init "
    "is_evaluate is_running is_submit_model is_train log receive send shutdown system_info train",
}
"""What ``nvflare.client`` exports, but for `IPCAgent`, which is no part of the Client API."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in is there while the test lasts."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    as_nvflare.install()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvflare"]:
        del sys.modules[name]


def test_the_client_api_is_the_one_of_fltui(installed: None) -> None:
    flare = import_module("nvflare.client")
    assert flare.FLModel is fltui.client.FLModel
    assert flare.receive is fltui.client.receive
    assert import_module("nvflare.app_common.abstract.fl_model").ParamsType is fltui.client.ParamsType
    assert import_module("nvflare.app_common.np.constants").NPConstants.NUMPY_KEY == "numpy_key"


@pytest.mark.parametrize("module", sorted(as_nvflare.MODULES))
def test_every_name_is_there(installed: None, module: str) -> None:
    found = import_module(module)
    assert dir(found) == found.__all__ == sorted(as_nvflare.MODULES[module])
    for name in found.__all__:
        assert getattr(found, name) is getattr(found, name)


@pytest.mark.parametrize("version", sorted(EXPORTED))
def test_all_that_nvflare_exports_has_a_counterpart(version: str) -> None:
    assert set(EXPORTED[version].split()) <= as_nvflare.MODULES["nvflare.client"].keys()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "import nvflare.apis.analytix",
            "fltui has no counterpart of nvflare.apis; a script of fltui may import "
            "nvflare.app_common.abstract.fl_model, nvflare.app_common.np.constants, nvflare.client, "
            "nvflare.client.tracking",
        ),
        ("from nvflare import FedJob", "fltui has no counterpart of nvflare.FedJob; a script of fltui may import "),
        (
            "from nvflare.client.tracking import MLflowWriter",
            "fltui has no counterpart of nvflare.client.tracking.MLflowWriter; nvflare.client.tracking has "
            "SummaryWriter",
        ),
        (
            "from nvflare.app_common.abstract.model import ModelLearnable",
            "fltui has no counterpart of nvflare.app_common.abstract.model; a script",
        ),
        ("from nvflare.client import IPCAgent", "nvflare.client has AnalyticsDataType, FLModel, "),
    ],
)
def test_anything_else_is_refused_in_one_sentence(installed: None, statement: str, said: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(statement)
    assert said in str(caught.value)


def test_a_name_that_is_asked_for_later_is_no_attribute(installed: None) -> None:
    flare = import_module("nvflare.client")
    assert not hasattr(flare, "IPCAgent")


def test_it_comes_before_the_real_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvflare").mkdir()
    (tmp_path / "nvflare" / "__init__.py").write_text("real = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert import_module("nvflare").real
    as_nvflare.install()
    try:
        assert not hasattr(import_module("nvflare"), "real")
        assert import_module("nvflare.client").FLModel is fltui.client.FLModel
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "nvflare"]:
            del sys.modules[name]


def test_other_modules_are_not_its_business(installed: None) -> None:
    assert as_nvflare.Finder().find_spec("nvflare_tools") is None
    with pytest.raises(ModuleNotFoundError, match="No module named 'nvflare_tools'"):
        import_module("nvflare_tools")


def test_a_script_under_fltui_client_has_it_and_a_program_has_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import nvflare.client as flare\nfrom nvflare.client import FLModel\nprint(FLModel.__module__)\n")
    done = command(tmp_path, "client", script, "--site", "north")
    assert (done.code, done.out) == (0, "fltui.model\n"), done.err
    source = "import sys, fltui.client\nprint([name for name in sys.modules if 'nvflare' in name])"
    there = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert there.stdout == "[]\n"
