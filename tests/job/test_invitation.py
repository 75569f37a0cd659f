"""The command that starts a site's script elsewhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from fltui.job.component import Part
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import write_job
from fltui.job.invitation import client_command
from fltui.job.job import Job, SiteApp
from fltui.workflows.fedavg import FedAvg

EXCHANGE = Path("/mnt/shared exchange")


@pytest.fixture
def app(tmp_path: Path) -> SiteApp:
    """An app of one script."""
    (tmp_path / "train.py").write_text("")
    return SiteApp(ScriptExecutor("src/train.py"), {"src/train.py": tmp_path / "train.py"})


def folder_of(tmp_path: Path, sites: dict[str, SiteApp], everywhere: SiteApp | None = None) -> Path:
    """The job folder of a run."""
    return write_job(Job("hello", FedAvg(), sites, everywhere), tmp_path / "job")


def test_the_command_names_script_site_and_exchange(tmp_path: Path, app: SiteApp) -> None:
    folder = folder_of(tmp_path, {"a": app})
    script = folder / "app_a" / "custom" / "src" / "train.py"
    assert script.is_file()
    assert client_command(folder, "a", EXCHANGE) == f"fltui client {script} --site a --exchange '/mnt/shared exchange'"


def test_the_scripts_arguments_cannot_be_taken_for_options(tmp_path: Path, app: SiteApp) -> None:
    executor = ScriptExecutor("src/train.py", "--site 3 --name 'a b'", params_transfer_type="DIFF")  # type: ignore[arg-type]
    folder = folder_of(tmp_path, {"a": SiteApp(executor, app.files)})
    words = shlex.split(client_command(folder, "a", EXCHANGE))
    assert words[7:] == ["--transfer", "DIFF", "--", "--site", "3", "--name", "a b"]


@pytest.mark.parametrize("everywhere", [True, False], ids=["all sites", "named"])
def test_a_site_s_filters_are_passed_on(tmp_path: Path, app: SiteApp, everywhere: bool) -> None:
    guarded = SiteApp(app.executor, app.files, (Part("fltui.aggregation.filters.ClipNorm", {"max_norm": 2.0}),))
    folder = folder_of(tmp_path, {} if everywhere else {"a": guarded}, guarded if everywhere else None)
    place = folder / ("app" if everywhere else "app_a") / "config" / "config_fed_client.json"
    assert shlex.split(client_command(folder, "a", EXCHANGE))[-2:] == ["--filters", str(place)]


def test_a_demand_for_signatures_is_passed_on(tmp_path: Path, app: SiteApp) -> None:
    folder = write_job(Job("hello", FedAvg(), {"a": app}, require_signatures=True), tmp_path / "job")
    assert shlex.split(client_command(folder, "a", EXCHANGE))[-1] == "--require-signatures"


def test_a_site_that_just_comes_gets_the_app_of_all(tmp_path: Path, app: SiteApp) -> None:
    folder = folder_of(tmp_path, {}, everywhere=app)
    assert f"fltui client {folder}/app/custom/src/train.py --site NAME" in client_command(folder, "NAME", EXCHANGE)


@pytest.mark.parametrize("site", ["NAME", "server"])
def test_a_script_that_nobody_knows_has_a_stand_in(tmp_path: Path, app: SiteApp, site: str) -> None:
    folder = folder_of(tmp_path, {"a": app})
    assert client_command(folder, site, Path("/e")) == f"fltui client SCRIPT --site {site} --exchange /e"
    assert client_command(tmp_path / "nothing", "a", Path("/e")) == "fltui client SCRIPT --site a --exchange /e"


def test_the_command_can_be_made_without_the_workflow() -> None:
    import subprocess

    text = (
        "import sys, fltui.job.invitation; sys.exit('fltui.workflows' in sys.modules or 'fltui.server' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
