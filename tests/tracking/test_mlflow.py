"""What MLflow's own client says of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mlflow")

from fltui.tracking.follow import track
from fltui.tracking.metric_keys import MetricKeys
from fltui.tracking.mlflow import MLflowWriter, Progress
from fltui.tracking.records import Kind, Point, Series
from fltui.tracking.targets import parse_target
from tests.tracking.runs import append, table, whole, write_run


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return MlflowClient(tracking_uri=(tmp_path / "ml").as_uri())


def the_run(client: Any) -> Any:
    experiment = client.get_experiment_by_name("hello")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_its_client_says_what_the_table_says_however_often_it_was_told(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = whole()
    folder = write_run(tmp_path / "runs", events[:14])
    target = parse_target(f"mlflow:{tmp_path / 'ml'}")
    environment = dict(os.environ)
    assert not track(folder, [target]).failed
    assert dict(os.environ) == environment
    assert the_run(client).info.status == "RUNNING"
    append(folder, events[14:])

    with monkeypatch.context() as killed:  # after values were sent, before it is noted which

        def die(self: MLflowWriter, points: list[tuple[Point, Progress]]) -> None:
            log(self, points)
            self._client.set_tag(self._run, "fltui.told", before)
            raise KeyboardInterrupt

        log, before = MLflowWriter._log, the_run(client).data.tags["fltui.told"]
        killed.setattr(MLflowWriter, "_log", die)
        with pytest.raises(KeyboardInterrupt):
            track(folder, [target])

    for _ in range(2):
        assert not track(folder, [target], models="all").failed
    run, keys = the_run(client), MetricKeys()
    for (site, metric), wanted in table(folder).items():
        key, _ = keys.of(Series(Kind.METRIC, metric, site))
        history = client.get_metric_history(run.info.run_id, key)
        assert [(value.step, value.value) for value in history] == wanted, key
    assert len(client.get_metric_history(run.info.run_id, "logged/site-1/loss")) == 3
    assert (run.info.status, run.data.tags["fltui.state"]) == ("FINISHED", "FINISHED:COMPLETED")
    assert (run.data.params["rounds"], run.data.params["site_names"]) == ("3", "site-1, site-2")
    assert [name for name, value in run.data.tags.items() if value.endswith("Größe (%)/a")]
    artifacts = tmp_path / "ml" / run.info.experiment_id / run.info.run_id / "artifacts" / "models"
    assert sorted(path.name for path in artifacts.iterdir()) == [
        "best",
        "final",
        "round-0001",
        "round-0002",
        "round-0003",
    ]
    (file,) = (artifacts / "final").glob("*.npy")
    assert np.load(file).max() == 3


def test_an_experiment_that_was_deleted_is_a_sentence(tmp_path: Path, client: Any) -> None:
    client.delete_experiment(client.create_experiment("hello"))
    target = parse_target(f"mlflow:{tmp_path / 'ml'}")
    told = track(write_run(tmp_path / "runs", whole()), [target])
    assert "experiment 'hello' was deleted there" in told.failed[target.text]
