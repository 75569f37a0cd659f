"""What a site agrees to run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fltui import ClipNorm, FedAvg, FedJob, ScriptExecutor
from fltui.client.config import TransferType
from fltui.standby.agreed import NotAgreedError, agreed, looks_of

STAMP = "-20260131T120000Z-beef"


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the job ``hello``, for site-1 alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print()\n")
    job = FedJob("hello")
    job.to_server(FedAvg(num_clients=1, num_rounds=1))
    job.to(ScriptExecutor("src/train.py", "--epochs 2", params_transfer_type=TransferType.DIFF), "site-1")
    job.to(ClipNorm(1.0), "site-1")
    job.export_job(str(tmp_path / "jobs"))
    return tmp_path / "jobs"


def test_the_run_names_the_job_and_the_folder_says_what_runs(jobs: Path) -> None:
    found = agreed(jobs, f"hello{STAMP}", "site-1")
    custom = jobs / "hello" / "app_site-1" / "custom"
    assert (found.script, found.arguments, found.custom) == (custom / "src" / "train.py", ["--epochs", "2"], custom)
    assert (found.transfer, found.require_signatures) == (TransferType.DIFF, False)
    assert found.filters == custom.parent / "config" / "config_fed_client.json"


@pytest.mark.parametrize(
    ("run", "site", "said"),
    [
        (f"other{STAMP}", "site-1", "there is no job 'other'"),
        ("hello", "site-1", "does not say which job"),
        (f"..{STAMP}", "site-1", "does not say which job"),
        (f"hello{STAMP}", "site-2", "has no app for that site"),
    ],
)
def test_what_is_not_there_is_not_run(jobs: Path, run: str, site: str, said: str) -> None:
    with pytest.raises(NotAgreedError, match=said):
        agreed(jobs, run, site)


def test_a_job_without_its_script_or_with_a_broken_one_is_not_run(jobs: Path) -> None:
    before = looks_of(jobs, f"hello{STAMP}")
    config = jobs / "hello" / "app_site-1" / "config" / "config_fed_client.json"
    (jobs / "hello" / "app_site-1" / "custom" / "src" / "train.py").unlink()
    with pytest.raises(NotAgreedError, match=r"lacks its script src/train\.py"):
        agreed(jobs, f"hello{STAMP}", "site-1")
    assert looks_of(jobs, f"hello{STAMP}") != before
    document = json.loads(config.read_text())
    document["executors"][0]["executor"]["args"]["task_script_path"] = "../../../evil.py"
    config.write_text(json.dumps(document))
    with pytest.raises(NotAgreedError, match="leaves the app's custom folder"):
        agreed(jobs, f"hello{STAMP}", "site-1")
