"""One round against sites that are played by hand, byte by byte."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from fltui.errors import RunFailedError
from fltui.exchange.layout import PROTOCOL, TaskId
from fltui.exchange.manifest import Result, Task, decode, digest
from fltui.exchange.publish import OpenTasks, open_exchange, open_site, put_arrays, put_document
from fltui.model import Params, ParamsType
from fltui.run.events import Event, ResultDelayed, ResultRejected
from fltui.run.models import Models
from fltui.server.deliveries import STALLED, Delivery
from fltui.server.place import RoundPlace
from fltui.server.roster import Roster
from fltui.server.round import Round
from fltui.workflows.workflow import Answer, Request

RUN = "hello-20260101T000000Z-abcd"
TASK = str(TaskId(RUN, 0, "train"))
WEIGHTS = np.arange(9, dtype=np.float32).reshape(3, 3)
PATIENCE = 60.0


def in_turn(*calls: Callable[[], object]) -> Callable[[], object]:
    """All calls as one."""
    return lambda: [call() for call in calls]


class Table:
    """A round of sites ``a`` and ``b``; `turns` happen while it waits."""

    def __init__(self, folder: Path, params: Params | None = None, quorum: int = 2) -> None:
        self.exchange = open_exchange(folder / "exchange")
        self.events: list[Event] = []
        self.roster = Roster(lambda _: None, lambda *_: None, lambda: None)
        for site in ("a", "b"):
            open_site(self.exchange.site(site), "server")
            open_site(self.exchange.site(site), "site")
            self.roster.join(site)
        for name in ("models", "store"):
            (folder / name).mkdir()
        models = Models(folder / "models", durable=False)
        params = {"numpy_key": WEIGHTS} if params is None else params
        with models.new(0, list(params)) as new:
            for name, array in params.items():
                new.add(name, array)
        place = RoundPlace(
            run=RUN,
            exchange=self.exchange,
            store=folder / "store",
            roster=self.roster,
            append=self.events.append,
            accepted=lambda _: None,
            threads=None,
            mandatory=frozenset(),
            patience=PATIENCE,
            delivery=PATIENCE,
            keep=False,
            link=True,
            durable=False,
        )
        self.round = Round(place, Request("train", 0, 0, 1, ("a", "b"), models.load(0), quorum))

    def collect(self, *turns: Callable[[], object]) -> list[Answer]:
        """The round's answers; one turn happens at each wait."""
        waiting = list(turns)

        async def wait(_: float) -> set[str]:
            assert waiting, "the round waits for more than the test has"
            waiting.pop(0)()
            return set()

        return asyncio.run(self.round.collect(wait))

    def task(self, site: str) -> tuple[Task, str]:
        """A site's task and its manifest's digest."""
        data = (self.exchange.site(site).tasks / f"{TaskId(RUN, 0, 'train')}.json").read_bytes()
        return decode(data, Task, site), digest(data)

    def send(self, who: str, /, array: Any = WEIGHTS, **changes: Any) -> None:
        """A site answers, with some fields of its manifest changed."""
        task, in_reply_to = self.task(who)
        folder = self.exchange.site(who)
        entries = put_arrays({"numpy_key": np.asarray(array)}, folder.results / task.task_id, folder.staging("site"))
        result = Result(PROTOCOL, RUN, task.task_id, in_reply_to, who, 0, ParamsType.FULL, entries)
        result = msgspec.structs.replace(result, **changes)
        put_document(result, folder.results / f"{task.task_id}.json", folder.staging("site"))

    def both(self, **changes: Any) -> None:
        """``a`` answers well, ``b`` with changes."""
        self.send("a")
        self.send("b", **changes)

    @property
    def rejected(self) -> dict[str, str]:
        """Reasons by site."""
        return {event.site: event.reason for event in self.events if isinstance(event, ResultRejected)}


def test_answers_come_in_order_of_the_sites(tmp_path: Path) -> None:
    table = Table(tmp_path)
    answers = table.collect(lambda: table.send("b"), lambda: table.send("a"))
    assert [answer.site for answer in answers] == ["a", "b"]


def test_the_sites_share_one_copy_that_is_not_the_model(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.collect(table.both)
    a, b = (table.exchange.site(site).tasks / str(TaskId(RUN, 0, "train")) / "numpy_key.npy" for site in ("a", "b"))
    model = table.round.request.model.folder / "numpy_key.npy"
    assert a.stat().st_ino == b.stat().st_ino != model.stat().st_ino


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"in_reply_to": "0" * 64}, "is stale"),
        ({"site": "a"}, "is a result of site 'a'"),
        ({"run": "other"}, "is a result of site 'b' for"),
        ({"round": 1}, "is a result of site 'b' for"),
        ({"protocol": 2}, "speaks protocol 2"),
        ({"array": WEIGHTS[:1]}, "is <f4 (1, 3), expected <f4 (3, 3)"),
        ({"array": WEIGHTS + np.inf}, "holds NaN or Inf"),
        ({"meta": {"NUM_STEPS_CURRENT_ROUND": -1}}, "expected a number from 0 to 2"),
        ({"meta": {"NUM_STEPS_CURRENT_ROUND": "many"}}, "expected a number from 0 to 2"),
        ({"arrays": []}, "lacks the parameter 'numpy_key'"),
    ],
)
def test_a_wrong_result_harms_its_site_alone(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    table = Table(tmp_path, quorum=1)
    answers = table.collect(lambda: table.both(**changes))
    assert [answer.site for answer in answers] == ["a"]
    assert told in table.rejected["b"]


def test_the_first_result_wins(tmp_path: Path) -> None:
    table = Table(tmp_path)
    answers = table.collect(
        lambda: table.send("a"), in_turn(lambda: table.send("a", WEIGHTS * 9), lambda: table.send("b"))
    )
    with answers[0].arrays.open(answers[0].entries["numpy_key"]) as array:
        found = np.empty(9, np.float32)
        array.read(0, found)
    np.testing.assert_array_equal(found, WEIGHTS.reshape(-1))


def test_arrays_that_come_after_their_manifest_are_waited_for(tmp_path: Path) -> None:
    table = Table(tmp_path)
    array = table.exchange.site("b").results / str(TaskId(RUN, 0, "train")) / "numpy_key.npy"

    def half() -> None:
        table.both()
        whole = array.read_bytes()
        array.write_bytes(whole[:100])
        (tmp_path / "whole").write_bytes(whole)

    answers = table.collect(half, lambda: None, lambda: os.replace(tmp_path / "whole", array))
    assert [answer.site for answer in answers] == ["a", "b"]


def test_arrays_that_never_come_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    table = Table(tmp_path, quorum=1)
    array = table.exchange.site("b").results / str(TaskId(RUN, 0, "train")) / "numpy_key.npy"

    def pass_time() -> None:
        nonlocal now
        now += PATIENCE + 1

    table.collect(in_turn(table.both, array.unlink), pass_time)
    assert "numpy_key.npy is not there" in table.rejected["b"]


def test_a_lost_site_that_answered_before_counts(tmp_path: Path) -> None:
    table = Table(tmp_path)
    answers = table.collect(in_turn(table.both, lambda: table.roster.lose("b", "its script ended")))
    assert [answer.site for answer in answers] == ["a", "b"]


def test_a_lost_site_fails_the_round_at_once(tmp_path: Path) -> None:
    table = Table(tmp_path)
    with pytest.raises(RunFailedError, match="round 0: 0 of 2 sites answered, 2 needed; b: its script ended"):
        table.collect(lambda: table.roster.lose("b", "its script ended"))


def test_a_dropped_site_does_not_count_though_it_answered(tmp_path: Path) -> None:
    table = Table(tmp_path, quorum=1)
    (answer,) = table.collect(in_turn(table.both, lambda: table.roster.drop("b", "dropped: wrong data")))
    assert answer.site == "a"


def test_a_dropped_site_that_is_needed_fails_the_round(tmp_path: Path) -> None:
    table = Table(tmp_path)
    with pytest.raises(RunFailedError, match="1 of 2 sites answered, 2 needed; b: dropped: wrong data"):
        table.collect(in_turn(table.both, lambda: table.roster.drop("b", "dropped: wrong data")))


def test_what_was_accepted_before_a_site_was_dropped_counts(tmp_path: Path) -> None:
    table = Table(tmp_path)
    answers = table.collect(
        lambda: table.send("b"), in_turn(lambda: table.roster.drop("b", "dropped: x"), lambda: table.send("a"))
    )
    assert [answer.site for answer in answers] == ["a", "b"]


def _remove(tasks: Path) -> None:
    shutil.rmtree(tasks)


def _put_a_file_in_the_way(tasks: Path) -> None:
    (tasks / str(TaskId(RUN, 0, "train"))).write_text("mine")


def _put_a_folder_in_the_way(tasks: Path) -> None:
    (tasks / f"{TaskId(RUN, 0, 'train')}.json").mkdir()


@pytest.mark.parametrize("spoil", [_remove, _put_a_file_in_the_way, _put_a_folder_in_the_way])
def test_a_site_that_spoils_its_folder_is_lost_alone(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    table = Table(tmp_path, quorum=1)
    spoil(table.exchange.site("a").tasks)
    (answer,) = table.collect(lambda: table.send("b"))
    assert answer.site == "b"
    assert table.roster.absent["a"].startswith(f"task {TaskId(RUN, 0, 'train')} cannot be published: ")


def test_a_full_disk_is_no_sites_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(OpenTasks, "put_manifest", full)
    monkeypatch.setattr("fltui.server.round.has_room", lambda folder, size: False)
    with pytest.raises(OSError, match="No space left"):
        Table(tmp_path).collect()


def test_a_disk_of_its_own_that_is_full_costs_a_site_alone_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, tries = OpenTasks.put_manifest, []

    def full(tasks: OpenTasks, task_id: TaskId, manifest: bytes, *, durable: bool = False) -> None:
        if decode(manifest, Task, "").site == "a":
            tries.append("a")
            raise OSError(errno.EDQUOT, "Disk quota exceeded", "a/tasks")
        put(tasks, task_id, manifest, durable=durable)

    monkeypatch.setattr(OpenTasks, "put_manifest", full)
    table = Table(tmp_path, quorum=1)
    (answer,) = table.collect(lambda: table.send("b"))
    assert (answer.site, tries) == ("b", ["a", "a"])
    assert "cannot be published: Disk quota exceeded (a/tasks)" in table.roster.absent["a"]


def test_junk_beside_a_result_changes_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path)
    results = table.exchange.site("b").results

    def junk() -> None:
        table.both()
        stem = str(TaskId(RUN, 0, "train"))
        (results / f"{stem}.sync-conflict-1.json").write_text("{}")
        (results / stem / "numpy_key.sync-conflict-1.npy").write_text("junk")
        (results / stem / "extra.npy").write_text("junk")

    assert len(table.collect(junk)) == 2


def test_a_difference_needs_a_model(tmp_path: Path) -> None:
    table = Table(tmp_path, params={}, quorum=1)
    table.collect(lambda: table.both(params_type=ParamsType.DIFF))
    assert "there is no model yet to add it to" in table.rejected["b"]


# What a site can make the server do.


class Clock:
    """Time that a test makes, and the bytes of arrays that are read meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.read = 0
        readv = os.readv

        def counted(fd: int, buffers: list[memoryview]) -> int:
            got = readv(fd, buffers)
            self.read += got
            return got

        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("os.readv", counted)

    def after(self, seconds: float, *calls: Callable[[], object]) -> Callable[[], object]:
        """A turn: time passes, then something happens."""

        def turn() -> None:
            self.now += seconds
            for call in calls:
                call()

        return turn


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the test."""
    return Clock(monkeypatch)


class Torn:
    """Site ``b`` of a table leaves its array wrong, of the right size, and touches its files again and again."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._touches = 0
        results = table.exchange.site("b").results
        self.manifest, self.array = results / f"{TASK}.json", results / TASK / "numpy_key.npy"
        self.right = b""

    def send(self) -> None:
        """Both answer, ``b`` wrongly."""
        self._table.both()
        self.right = self.array.read_bytes()
        self.array.write_bytes(self.right[:-1] + b"?")

    def mend(self) -> None:
        """The array is right now."""
        self.array.write_bytes(self.right)

    def touch(self) -> None:
        """Its files change their times, and nothing else."""
        self._touches += 1
        for path in (self.manifest, self.array):
            os.utime(path, ns=(0, self._touches))

    def replace(self) -> None:
        """It sends the same wrong bytes once more, as new files."""
        for path in (self.manifest, self.array):
            path.with_suffix(".new").write_bytes(path.read_bytes())
            path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("act", [Torn.touch, Torn.replace])
def test_a_site_is_not_read_again_as_often_as_it_likes(
    tmp_path: Path, clock: Clock, act: Callable[[Torn], None]
) -> None:
    table = Table(tmp_path)
    torn = Torn(table)
    turns = [clock.after(0.01, lambda: act(torn)) for _ in range(2000)]
    answers = table.collect(torn.send, *turns, clock.after(0.01, torn.mend), clock.after(2.01))
    assert [answer.site for answer in answers] == ["a", "b"]
    size = len(torn.right)
    assert 10 < clock.read / size < 25  # of the 20 s, the first 2.5 with 8 looks, then one every 2 s


def test_an_array_that_is_right_at_the_deadline_counts_though_it_was_wrong_a_moment_before(
    tmp_path: Path, clock: Clock
) -> None:
    table = Table(tmp_path)
    table.round.request = replace(table.round.request, timeout=20.0)
    torn = Torn(table)
    turns = [clock.after(0.01, torn.touch) for _ in range(1995)]
    answers = table.collect(torn.send, *turns, clock.after(0.04, torn.mend), clock.after(0.02))
    assert [answer.site for answer in answers] == ["a", "b"]


def test_an_array_that_is_right_when_its_site_goes_counts(tmp_path: Path, clock: Clock) -> None:
    table = Table(tmp_path)
    torn = Torn(table)
    turns = [clock.after(0.01, torn.touch) for _ in range(100)]
    leave = clock.after(0.01, torn.mend, lambda: table.roster.lose("b", "its script ended"))
    answers = table.collect(torn.send, *turns, leave)
    assert [answer.site for answer in answers] == ["a", "b"]


def test_an_array_that_becomes_right_while_it_is_left_alone_is_read_before_it_is_given_up(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Delivery, "rests", property(lambda self: bool(self.missing)))  # as after a long reading
    table = Table(tmp_path)
    torn = Torn(table)
    turns = [clock.after(1) for _ in range(int(PATIENCE))]
    answers = table.collect(torn.send, clock.after(1, torn.mend), *turns, clock.after(2))
    assert [answer.site for answer in answers] == ["a", "b"]


def test_what_is_left_alone_and_stays_wrong_is_given_up(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Delivery, "rests", property(lambda self: bool(self.missing)))
    table = Table(tmp_path, quorum=1)
    torn = Torn(table)
    turns = [clock.after(1) for _ in range(int(PATIENCE))]
    assert [answer.site for answer in table.collect(torn.send, *turns, clock.after(2))] == ["a"]
    assert "differs from the digest" in table.rejected["b"]


def test_touching_files_is_a_delivery_for_long_but_not_for_ever_and_it_is_told(tmp_path: Path, clock: Clock) -> None:
    table = Table(tmp_path, quorum=1)
    torn = Torn(table)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((len([event for event in table.events if isinstance(event, ResultDelayed)]), len(table.rejected)))

    turns = [clock.after(1, torn.touch, look) for _ in range(int(10 * PATIENCE) + 1)]
    answers = table.collect(torn.send, *turns, clock.after(1))
    assert [answer.site for answer in answers] == ["a"]
    assert seen[int(STALLED)] == (0, 0)
    assert seen[int(STALLED) + 2] == seen[-1] == (1, 0)
    assert "numpy_key.npy differs from the digest in its manifest" in table.rejected["b"]


@pytest.mark.parametrize("keep", [False, True])
def test_manifests_without_end_leave_no_copies(tmp_path: Path, clock: Clock, keep: bool) -> None:
    table = Table(tmp_path, params={"numpy_key": WEIGHTS, "other": WEIGHTS}, quorum=1)
    table.round.place = replace(table.round.place, keep=keep)

    def send(number: int) -> None:
        task, in_reply_to = table.task("b")
        folder = table.exchange.site("b")
        params = {"numpy_key": WEIGHTS + np.float32(number), "other": WEIGHTS}
        entries = put_arrays(params, folder.results / TASK, folder.staging("site"))
        wrong = folder.results / TASK / "other.npy"
        wrong.write_bytes(wrong.read_bytes()[:-1] + b"?")
        result = Result(PROTOCOL, RUN, task.task_id, in_reply_to, "b", 0, ParamsType.FULL, entries)
        put_document(result, folder.results / f"{TASK}.json", folder.staging("site"))

    def stop() -> None:
        assert len(list(table.round.place.store.iterdir())) == 1
        table.roster.drop("a", "dropped: x")
        table.roster.drop("b", "dropped: x")

    with pytest.raises(RunFailedError):
        table.collect(*(clock.after(3, partial(send, number)) for number in range(9)), stop)


def test_without_a_model_a_claim_larger_than_its_share_of_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=10**9, free=1000))
    table = Table(tmp_path, params={}, quorum=1)
    huge = np.zeros(100, np.float32)
    (answer,) = table.collect(in_turn(lambda: table.send("a", huge), lambda: table.send("b")))
    assert answer.site == "b"
    assert table.rejected == {
        "a": f"results/{TASK}.json claims 528 bytes, and 1000 are free on the run's disk for 2 such results; give "
        "FedAvg an initial model, or free space"
    }
