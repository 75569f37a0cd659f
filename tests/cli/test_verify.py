from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fltui.aggregation.filters import ClipNorm
from fltui.aggregation.privacy import GaussianNoise
from fltui.errors import BadInputError
from fltui.exchange.keys import Keys
from fltui.exchange.signing import Identity, fingerprint
from fltui.job.code import close_code
from fltui.model import Params, ParamsType
from fltui.run.events import PrivacySpent, RunStatus
from fltui.run.folder import RunFolder
from fltui.run.journal import head_of, read_journal
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.statistics import Statistics
from tests.exchange.odd import ODD
from tests.exchange.signers import signer
from tests.job.own_code import WORKFLOW, put
from tests.jobs import drifting, fltui, write_job
from tests.server.plays import MODEL, Play


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of two rounds in ``runs``."""
    return Play(tmp_path, rounds=2).run()


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in this process."""
    from fltui.cli import main

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["fltui", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_run_of_real_processes_is_verified_by_the_head_it_printed(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", {"a": drifting(0.1), "b": drifting(0.7)})
    done = fltui(tmp_path, "run", job, "--keep-results")
    (head,) = (line.split()[-1] for line in done.out.splitlines() if "head of the journal" in line)
    verified = fltui(tmp_path, "verify", "last", "--head", head.upper())
    assert (verified.code, verified.err) == (0, "")
    assert f"head {head}" in verified.out
    assert "  rounds: 2 of 2 recomputed\nverified: no difference\n" in verified.out


def test_a_good_run(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "verify", run.root)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"run {run.run}  FINISHED:COMPLETED"
    assert out.splitlines()[-1] == "verified: no difference"


@pytest.mark.parametrize("file", ["metrics.csv", "journal.jsonl", "job/app_a/custom/train.py"])
def test_a_difference_ends_with_1_and_the_file(run: RunFolder, capsys: pytest.CaptureFixture[str], file: str) -> None:
    path = run.root / file
    path.write_bytes(path.read_bytes() + b"x")
    code, out, err = call(capsys, "verify", run.root)
    assert (code, "verified" in out) == (1, False)
    assert err.startswith(f"error: {file} ")


def test_what_was_not_recomputed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fltui.run.options import RunOptions

    run = Play(tmp_path, options=RunOptions()).run()
    code, out, _ = call(capsys, "verify", run.root)
    assert code == 0
    assert "rounds: 0 of 3 recomputed\n  note: no round was recomputed: the results were not kept" in out


def test_a_head_is_taken_as_it_was_copied(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "verify", run.root, "--head", f" {head_of(run.journal).upper()}\n")[0] == 0


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_run(
    run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(run.root)
    code, out, err = call(capsys, "verify", name, "--runs", run.root.parent)
    assert (code, out) == (2, "")
    assert "no run is named" in err


@pytest.mark.parametrize("kind", sorted(ODD.keys() - {"a huge file"}))
def test_what_is_no_file_in_place_of_a_journal(run: RunFolder, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    run.journal.unlink()
    ODD[kind](run.journal)
    code, _, err = call(capsys, "verify", run.root)
    assert (code, err[:21]) == (1, "error: journal.jsonl ")


@pytest.mark.parametrize("by", ["folder", "id"])
def test_a_run_without_its_journal_is_still_a_run(run: RunFolder, capsys: pytest.CaptureFixture[str], by: str) -> None:
    run.journal.unlink()
    named = (run.root,) if by == "folder" else (run.run, "--runs", run.root.parent)
    code, _, err = call(capsys, "verify", *named)
    assert (code, err) == (1, "error: journal.jsonl is missing\n")


def test_for_programs(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "verify", run.root, "--json")
    found = json.loads(out)
    assert (code, found["verified"], found["difference"], found["recomputed"]) == (0, True, None, 2)
    assert (found["run_dir"], found["head"]) == (str(run.root), head_of(run.journal))
    stored = max(run.store.glob("*.npy"))
    stored.write_bytes(b"")
    code, out, err = call(capsys, "verify", run.root, "--json")
    found = json.loads(out)
    assert (code, err, found["verified"]) == (1, "", False)
    assert found["difference"].items() >= {"file": f"store/{stored.name}", "expected": stored.stem}.items()
    assert found["difference"]["site"] in ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--head", "abc"), "--head is 'abc', expected 64 digits 0-9a-f"),
        (("--head", ""), "--head is '', expected 64 digits 0-9a-f"),
        (("--runs", "nowhere"), "names no run in"),
    ],
)
def test_bad_input_ends_with_2(
    run: RunFolder, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    code, out, err = call(capsys, "verify", run.run, "--runs", run.root.parent, *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_there_must_be_room_to_recompute(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from fltui.server.verify import verify

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/w.npy")

    monkeypatch.setattr("fltui.run.models.NpyWriter.write", full)
    with pytest.raises(BadInputError, match=r"cannot be recomputed: No space left .* give TMPDIR a folder with room"):
        verify(run)


def test_keys_are_compared_with_those_that_are_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, other = signer(1), signer(2).public
    server = Identity(signer(3), {"a": known.public}, demanded=False)
    folder = Play(tmp_path, rounds=1, server=server, signs={"a": Identity(known)}).run()
    monkeypatch.setenv("FLTUI_KEYS", str(tmp_path / "keys"))
    code, out, _ = call(capsys, "verify", folder.root)
    shown = fingerprint(known.public)
    assert (code, f"  note: keys as the journal has them: no key of a ({shown}) is trusted here\n" in out) == (0, True)
    keys = Keys(tmp_path / "keys")
    keys.trust("a", known.public)
    code, out, _ = call(capsys, "verify", folder.root)
    assert (code, "note" in out, "1 signatures checked" in out) == (0, False, True)
    keys.trust("a", other, replace=True)
    code, _, err = call(capsys, "verify", folder.root)
    assert (code, f"expected {fingerprint(other)}, found {shown}" in err) == (1, True)


@pytest.mark.parametrize("name", ["last", "test-"])
def test_a_run_with_something_else_in_the_place_of_its_journal_is_found_by_any_name(
    run: RunFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run.journal.unlink()
    os.mkfifo(run.journal)
    code, _, err = call(capsys, "verify", name, "--runs", run.root.parent)
    assert (code, "journal.jsonl cannot be read" in err or "journal.jsonl is not a plain file" in err) == (1, True), err


def noisy(**arguments: Any) -> FedAvg:
    """A workflow with noise at the server."""
    return FedAvg(
        num_clients=2, num_rounds=4, model=MODEL, filters=(ClipNorm(9.0), GaussianNoise(1.5, 2.0, **arguments))
    )


def test_noise_of_the_server_is_drawn_again_from_the_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Play(tmp_path, workflow=noisy()).run()
    spent = [event for event in read_journal(folder.journal) if isinstance(event, PrivacySpent)]
    one = GaussianNoise(1.5)
    assert [(event.round, event.epsilon, event.delta) for event in spent] == [
        (number, one.epsilon(number + 1), 1e-5) for number in range(4)
    ]
    assert folder.state().spent == spent[-1]
    code, out, _ = call(capsys, "verify", folder.root)
    assert (code, "rounds: 4 of 4 recomputed\nverified: no difference" in out) == (0, True)
    assert len(folder.state().secret) == 32


def test_a_run_without_privacy_left_ends_with_its_last_model_and_is_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Play(tmp_path, workflow=noisy(max_epsilon=GaussianNoise(1.5).epsilon(2))).run()
    state = folder.state()
    assert (state.status, state.rounds_done) == (RunStatus.COMPLETED, 2)
    assert state.reason.startswith("ended after round 1: round 2 does not begin: it would bring the epsilon spent from")
    assert (folder.models / "final").resolve().name == "round-0002"
    assert state.spent is not None
    assert state.spent.round == 1
    code, out, err = call(capsys, "verify", folder.root)
    assert (code, err) == (0, "")
    assert "rounds: 2 of 2 recomputed\nverified: no difference" in out


def test_a_run_that_failed_after_its_last_round_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = FedAvg(num_clients=2, num_rounds=3, model=MODEL, key_metric="accuracy")
    folder = Play(tmp_path, workflow=workflow).run()
    state = folder.state()
    assert (state.status, state.rounds_done) == (RunStatus.FAILED, 1)
    assert "the metric 'accuracy'" in state.reason
    code, out, err = call(capsys, "verify", folder.root)
    assert (code, err) == (0, "")
    assert "rounds: 1 of 1 recomputed\nverified: no difference" in out


def test_a_run_that_is_resumed_draws_the_noise_that_it_would_have_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(tmp_path, workflow=noisy(), fail_at=2)
    folder = play.run()
    before = folder.state()
    assert (before.status, before.rounds_done) == (RunStatus.FAILED, 2)
    play.fail_at = None
    play.resume(folder)
    after = folder.state()
    assert (after.status, after.secret) == (RunStatus.COMPLETED, before.secret)
    code, out, _ = call(capsys, "verify", folder.root)
    assert (code, "rounds: 4 of 4 recomputed" in out) == (0, True)


def test_statistics_are_recomputed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(site: str, number: int, params: Params) -> tuple[Params, ParamsType]:
        found = {name: np.full_like(array, ord(site) + number) for name, array in params.items()}
        return found, ParamsType.DIFF if site == "a" else ParamsType.FULL

    folder = Play(tmp_path, workflow=Statistics(("x", "y"), num_clients=2, exact_extremes=True), train=told).run()
    assert folder.state().status is RunStatus.COMPLETED
    assert (folder.root / "statistics.csv").read_text().startswith("feature,count,binned,mean,")
    code, out, _ = call(capsys, "verify", folder.root)
    assert (code, "rounds: 2 of 2 recomputed" in out) == (0, True)


@pytest.mark.parametrize("sealed", [True, False])
def test_code_to_which_nobody_has_agreed_makes_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sealed: bool
) -> None:
    """The server of a run that was not sealed died; its rounds cannot be recomputed, and nothing else is wrong."""
    folder = Play(tmp_path, rounds=2).run()
    config = folder.job / "app_server" / "config" / "config_fed_server.json"
    custom = put(folder.job / "app_server" / "custom" / "own_verify.py", WORKFLOW)
    if sealed:
        code, _, err = call(capsys, "verify", folder.root)
        assert (code, "own_verify.py" in err) == (1, True)  # what was not there when the run ended
        return
    config.write_text(config.read_text().replace("fltui.workflows.fedavg.FedAvg", "own_verify.Twice"))
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:-1]))
    folder.seal.unlink()
    code, out, err = call(capsys, "verify", folder.root)
    assert (code, err) == (0, "")
    assert "note: no round was recomputed: " in out
    assert "--job-code lets it, if you trust it" in out
    code, out, err = call(capsys, "verify", folder.root, "--job-code")
    assert (code, err) == (0, "")
    assert "rounds: 2 of 2 recomputed" in out
    close_code(folder.root)
    assert not list(custom.parent.rglob("*.pyc"))
