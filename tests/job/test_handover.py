from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.job import handover
from fltui.job.folder import load_job
from fltui.job.handover import Handover, job_of_script

JOB = """
from fltui import FedAvg, FedJob, ScriptExecutor
job = FedJob("hello")
job.to(FedAvg(num_clients=1), "server")
job.to(ScriptExecutor("train.py"), "site-1")
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    return folder


def script(here: Path, *lines: str) -> Path:
    path = here / "job.py"
    path.write_text(JOB + textwrap.dedent("\n".join(lines)))
    return path


def test_a_job_script_hands_its_job_over_instead_of_running_it(here: Path, desk: Path) -> None:
    path = script(here, "job.simulator_run('workspace', n_clients=1, threads=2)", "raise AssertionError")
    folder, note = job_of_script(path, desk)
    assert note == Handover("hello", n_clients=1, threads=2)
    assert load_job(folder).app("site-1").files.keys() == {"train.py"}
    assert not (here / "workspace").exists()


def test_the_last_job_handed_over_counts(here: Path, desk: Path) -> None:
    path = script(here, "job.export_job('jobs')", "job.name = 'second'", "job.export_job('jobs')")
    folder, note = job_of_script(path, desk)
    assert note == Handover("second")
    assert load_job(folder).name == "second"
    assert not (here / "jobs").exists()


def test_a_script_that_hands_nothing_over_is_told_so(here: Path, desk: Path) -> None:
    with pytest.raises(BadInputError, match=r"job\.py called neither simulator_run\(\) nor export_job\(\)"):
        job_of_script(script(here), desk)


def test_a_note_that_cannot_be_read_is_one_sentence(here: Path, desk: Path) -> None:
    spoil = f"open({str(desk / 'handover.json')!r}, 'wb').write(b'{{\"name\": \"\\xff\"}}')"
    with pytest.raises(BadInputError, match=r"job\.py handed over what cannot be read: .*can't decode byte 0xff"):
        job_of_script(script(here, "job.export_job('jobs')", spoil), desk)


def test_what_fltui_refuses_in_a_script_is_one_sentence(here: Path, desk: Path) -> None:
    path = script(here, "job.to(FedAvg(num_rounds=0), 'server')")
    with pytest.raises(BadInputError, match=r"^job script .*job\.py: FedAvg: num_rounds is 0, .* at least 1$"):
        job_of_script(path, desk)


def test_a_scripts_own_error_is_passed_on_with_its_traceback(
    here: Path, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInputError, match=r"job\.py failed: ZeroDivisionError"):
        job_of_script(script(here, "1 / 0"), desk)
    said = capfd.readouterr().err
    assert "job.py" in said
    assert "fltui/job" not in said


def test_what_a_script_prints_goes_to_standard_error(here: Path, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job_of_script(script(here, "print('hello from the script')", "job.export_job('jobs')"), desk)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello from the script\n")


def test_there_is_no_desk_in_a_script_that_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLTUI_HANDOVER", raising=False)
    assert handover.desk() is None
