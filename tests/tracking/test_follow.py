"""Following a run, and what a tracker that fails does to the others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.exchange.lock import hold, let_go
from fltui.run.folder import RunFolder
from fltui.tracking import follow, targets
from fltui.tracking.errors import TrackingError
from fltui.tracking.follow import track
from fltui.tracking.records import Ended, ModelChoice, Point, Record
from fltui.tracking.targets import Target, parse_target
from tests.tracking.runs import append, whole, write_run


class Heard:
    """A tracker that keeps what it is told; one of the name ``broken`` fails at the first value."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.records: list[Record] = []
        self.flushed = threading.Event()
        self.finished = self.closed = False

    def take(self, record: Record) -> None:
        if "broken" in self.target and isinstance(record, Point):
            raise TrackingError("the tracker is full")
        self.records.append(record)

    def flush(self) -> None:
        self.flushed.set()

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Heard]:
    made: dict[str, Heard] = {}

    @contextmanager
    def opened(target: Target, folder: RunFolder, models: ModelChoice, experiment: str) -> Iterator[Heard]:
        writer = made[target.place] = Heard(target.text)
        yield writer
        writer.closed = True

    monkeypatch.setattr(follow, "opened", opened)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def test_a_run_that_is_on_is_followed_to_its_end(
    heard: dict[str, Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_EVERY", 0.01)
    events = whole()
    folder = write_run(tmp_path, events[:5])
    lock = hold(folder.lock)
    assert lock is not None
    tracker = threading.Thread(target=track, args=(folder, [Target("tensorboard", "a")]))
    tracker.start()
    try:
        while "a" not in heard:
            tracker.join(0.005)
        assert heard["a"].flushed.wait(10)
        append(folder, events[5:])
        tracker.join(20)
    finally:
        let_go(folder.lock, lock)
        tracker.join(20)
    assert isinstance(heard["a"].records[-1], Ended)
    assert heard["a"].finished
    assert heard["a"].closed


def test_one_whose_server_is_gone_is_told_as_far_as_it_came(heard: dict[str, Heard], tmp_path: Path) -> None:
    told = track(write_run(tmp_path, whole()[:-1]), [Target("tensorboard", "a")])
    assert told.end is None
    assert told.points == sum(isinstance(record, Point) for record in heard["a"].records) > 0


def test_one_tracker_that_fails_keeps_no_other_from_being_told(heard: dict[str, Heard], tmp_path: Path) -> None:
    told = track(write_run(tmp_path, whole()), [Target("tensorboard", "broken"), Target("tensorboard", "a")])
    assert told.failed == {"tensorboard:broken": "the tracker is full"}
    assert isinstance(heard["a"].records[-1], Ended)
    assert heard["broken"].closed


def test_two_at_once_do_not_tell_the_same(heard: dict[str, Heard], tmp_path: Path) -> None:
    folder = write_run(tmp_path, whole())
    with follow._alone(Target("mlflow", "/x"), folder):
        told = track(folder, [Target("mlflow", "/x")])
    assert "another process is telling it" in told.failed["mlflow:/x"]
    assert not track(folder, [Target("mlflow", "/x")]).failed


def test_a_journal_that_was_changed_is_no_run(heard: dict[str, Heard], tmp_path: Path) -> None:
    folder = write_run(tmp_path, whole())
    folder.journal.write_bytes(folder.journal.read_bytes().replace(b'"accuracy":0.333', b'"accuracy":0.999'))
    with pytest.raises(BadInputError, match="was changed after it was written"):
        track(folder, [Target("tensorboard", "a")])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("wandb:x", "names no tracker; these are known: tensorboard:DIR"),
        ("tensorboard", "names no place; write tensorboard:DIR"),
        ("mlflow:", "write mlflow:DIR, or set MLFLOW_TRACKING_URI"),
        ("mlflow:sqlite:///x.db", "pip install mlflow"),
        ("tensorboard:http://x", "names no folder"),
        ("tensorboard:~nobody-of-this-name/tb", "the home of somebody who is not known"),
        ("tensorboard:a\udcffb", "'tensorboard:a.*b' is not UTF-8"),
        ("mlflow:file:", "write mlflow:DIR"),
        ("mlflow:ftp://x", "names no store that is known here"),
        ("mlflow:databricks", r"For a folder of that name write mlflow:\./databricks"),
        ("mlflow:http://", "names no server"),
        ("mlflow:http://x:99999", "is no URL: Port out of range"),
        ("mlflow:http://[", "is no URL"),
    ],
)
def test_what_is_no_target_is_a_sentence(text: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(targets, "find_spec", lambda name: None if name == "sqlalchemy" else object())
    with pytest.raises(BadInputError, match=sentence):
        parse_target(text)


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find_spec", lambda _: None)
    with pytest.raises(BadInputError, match=r"pip install 'fltui\[tracking\]'"):
        parse_target("tensorboard:tb")


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(targets, "find_spec", lambda _: object())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    assert parse_target("mlflow").place == "http://me:secret@host:5000"
    assert parse_target("mlflow").text == "mlflow:http://host:5000"
    assert parse_target("mlflow:a b").place == str(tmp_path / "a b")
    assert parse_target("mlflow:file:///a%20b").place == "/a b"
    assert targets._artifacts(parse_target("mlflow:sqlite:///x/ml.db")) == (tmp_path / "x/mlartifacts").as_uri()
    assert targets._artifacts(parse_target("mlflow:sqlite:////x/ml.db")) == "file:///x/mlartifacts"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mlflow:http://me:secret@host:5000/x", "mlflow:http://host:5000/x"),
        ("mlflow:http://me:p@secret@host", "mlflow:http://host"),
        ("mlflow:postgresql://host/db?user=me&password=secret", "mlflow:postgresql://host/db?..."),
        ("mlflow:sqlite:////a@b/ml.db", "mlflow:sqlite:////a@b/ml.db"),
        ("tensorboard:/data/me@home/what?", "tensorboard:/data/me@home/what?"),
        ("API request to http://me:secret@host/a?b='c' failed", "API request to http://host/a?...'c' failed"),
    ],
)
def test_no_sentence_shows_a_password(text: str, shown: str) -> None:
    assert str(TrackingError(text)) == shown


@pytest.mark.parametrize("text", ["mlflow:postgresql://me:secret@host/db", "wandb:http://me:secret@host", "wandb:a\nb"])
def test_nor_does_one_of_a_target_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find_spec", lambda name: None if name == "sqlalchemy" else object())
    with pytest.raises(BadInputError) as refused:
        parse_target(text)
    assert "secret" not in str(refused.value)


def test_a_line_feed_would_make_two_targets_of_one() -> None:
    with pytest.raises(BadInputError, match="line feed"):
        parse_target("tensorboard:a\nb")


def test_where_a_proxy_leads_to_a_server_the_proxy_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    far = Target("mlflow", "https://mlflow.invalid")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{port}")
        targets._check_server(far)
        monkeypatch.setenv("NO_PROXY", ".invalid")
        with pytest.raises(TrackingError, match="nobody answers there"):
            targets._check_server(far)
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(TrackingError, match=rf"its proxy 127\.0\.0\.1:{port} does not answer"):
        targets._check_server(far)


def test_a_server_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    target = Target("mlflow", "http://127.0.0.1:1")
    told = track(write_run(tmp_path, whole()), [target])
    assert "nobody answers there" in told.failed[target.text]
