"""A script's conversation with the server, the server's side played by hand."""

from __future__ import annotations

import errno
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fltui.client.config import ClientConfig, TransferType
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.errors import BadInputError, ClientError, NotYetError, RefusedError
from fltui.exchange.collect import read_status
from fltui.exchange.layout import END, PROTOCOL, SiteFolder, TaskId
from fltui.exchange.manifest import ArrayEntry, End, Result, Task, decode, digest, encode
from fltui.exchange.publish import open_site, put_document, remove_published
from fltui.exchange.store import store_arrays
from fltui.exchange.watch import Backoff
from fltui.model import FLModel, ParamsType
from tests.client.by_hand import RUN, WEIGHTS, answer, end, open_session, publish


def test_a_task_is_received_answered_and_forgotten(site: SiteFolder, session: Session, tmp_path: Path) -> None:
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    assert session.wait_for_task()
    model = session.receive()
    assert model is not None
    assert (model.current_round, model.total_rounds, model.start_round) == (0, 3, 0)
    assert model.params is not None
    np.testing.assert_array_equal(model.params["numpy_key"], WEIGHTS)
    session.send(FLModel(params={"numpy_key": WEIGHTS + 1}, metrics={"loss": np.float32(0.5)}))
    result = answer(site, task)
    assert (result.params_type, result.metrics) == (ParamsType.FULL, {"loss": 0.5})
    (tmp_path / "store").mkdir()
    store_arrays(site, result, tmp_path / "store")
    (stored,) = (tmp_path / "store").iterdir()
    np.testing.assert_array_equal(np.load(stored), WEIGHTS + 1)
    assert not session.wait_for_task(timeout=0)


def test_received_arrays_may_be_changed_and_the_task_stays(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    model = session.receive()
    assert model is not None
    assert model.params is not None
    model.params["numpy_key"] += 100
    np.testing.assert_array_equal(np.load(site.tasks / task.task_id / "numpy_key.npy"), WEIGHTS)


def test_a_task_that_comes_later_wakes_the_script(site: SiteFolder, session: Session) -> None:
    threading.Timer(0.05, publish, (site, 0, {})).start()
    model = session.receive(timeout=10)
    assert model is not None
    assert model.params == {}


def test_who_was_told_of_the_last_tasks_trusts_in_being_told_of_the_next(
    site: SiteFolder, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    hints, rounds = session._hints, iter(range(9))

    def backoff(*, trusted: bool) -> Backoff:
        found.append(trusted)
        return Backoff(0)

    def waiting(tells: bool) -> set[Path]:
        publish(site, next(rounds), {})
        return {site.tasks} if tells else set()

    monkeypatch.setattr(hints, "backoff", backoff)
    for tells in (True, True, True, True, False, True):
        monkeypatch.setattr(hints, "wait", lambda _, tells=tells: waiting(tells))
        assert session.receive() is not None
        session.send(FLModel(params={}))
    assert found == [False, False, False, True, True, False]
    publish(site, next(rounds), {})  # it is there before anybody waits, so this tells nothing
    assert session.receive() is not None


def test_a_hint_that_came_while_a_result_could_not_be_written_is_not_lost(
    site: SiteFolder, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(task_id: TaskId, params: object) -> list[ArrayEntry]:
        monkeypatch.undo()
        publish(site, 1, {})  # the round has ended without this site
        raise OSError(errno.ENOSPC, "No space left on device", str(site.results))

    publish(site, 0, {})
    assert session.receive() is not None
    monkeypatch.setattr(session._results, "put_arrays", full)
    session.send(FLModel(params={}))
    monkeypatch.setattr(session._hints, "wait", lambda _: pytest.fail("the task is there"))
    model = session.receive()
    assert model is not None
    assert model.current_round == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify tells that a folder was removed")
def test_tasks_that_were_removed_and_made_again_are_watched_again(
    site: SiteFolder, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> None:
        shutil.rmtree(site.tasks)
        site.tasks.mkdir()
        publish(site, 0, {})

    monkeypatch.setattr(session._hints, "backoff", lambda **_: Backoff(1000 if session._hints.are_sure else 0.01))
    threading.Timer(0.05, again).start()
    assert session.receive() is not None
    session.send(FLModel(params={}))
    threading.Timer(0.05, publish, (site, 1, {})).start()
    assert session.receive() is not None


def test_the_end_of_the_run_ends_the_loop(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    assert session.wait_for_task()
    end(site)
    assert not session.wait_for_task()
    assert session.receive() is None


def test_the_end_of_another_run_is_not_ours(site: SiteFolder, session: Session) -> None:
    end(site, "other-20260101T000000Z-0000")
    publish(site, 0, {})
    assert session.wait_for_task()
    assert session.run == RUN


def test_only_the_newest_round_is_answered(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    publish(site, 1, {})
    assert session.wait_for_task()
    assert session.task is not None
    assert session.task.round == 1


def test_a_restarted_script_does_not_answer_twice(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    session.close()
    again = open_session(site)
    assert not again.wait_for_task(timeout=0)
    again.close()


def test_a_site_has_one_script_at_a_time(site: SiteFolder, session: Session) -> None:
    with pytest.raises(BadInputError, match="site a is served by another process already"):
        open_session(site)


def test_of_a_round_that_begins_again_only_the_newest_attempt_is_answered(site: SiteFolder, session: Session) -> None:
    publish(site, 1, {"numpy_key": WEIGHTS})
    assert session.is_running()
    assert session.receive() is not None
    again = publish(site, 1, {"numpy_key": WEIGHTS}, attempt=2)
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert session.is_running()
    assert session.task is not None
    assert session.task.task_id == again.task_id
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert not session.wait_for_task(timeout=0)
    fresh = open_session(site, run="other")
    fresh.run = RUN
    (site.results / f"{TaskId(RUN, 1, 'train')}.json").unlink()
    assert not fresh.wait_for_task(timeout=0)
    fresh.close()


def test_a_task_that_was_received_is_to_be_answered(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    assert session.is_running()
    assert session.receive() is session.receive()
    assert session.is_running()
    with pytest.raises(ClientError, match="round 0 was received and not answered"):
        session.receive()


def test_the_script_is_told_how_a_run_failed(
    site: SiteFolder, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(site, 0, {})
    assert session.is_running()
    ended = End(PROTOCOL, RUN, "FINISHED:FAILED", "no\x1b quorum")
    put_document(ended, site.task(TaskId(RUN, 0, END)), site.staging("server"))
    assert not session.is_running()
    assert capsys.readouterr().err == f"run {RUN} ended: FINISHED:FAILED: no\\x1b quorum\n"
    assert session.exit_code == 1


def test_a_mistyped_exchange_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="does not exist, nor does the folder it would be in"):
        Session(ClientConfig("a", str(tmp_path / "no" / "such")), LogFile())


def test_a_script_for_one_run_ignores_others(site: SiteFolder) -> None:
    publish(site, 0, {}, run="other-20260101T000000Z-0000")
    pinned = open_session(site, run=RUN)
    assert not pinned.wait_for_task(timeout=0)
    pinned.close()


def test_a_manifest_before_its_arrays_is_waited_for(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    array = site.tasks / task.task_id / "numpy_key.npy"
    array.rename(site.root / "late.npy")
    threading.Timer(0.05, (site.root / "late.npy").rename, (array,)).start()
    model = session.receive()
    assert model is not None
    assert model.params is not None
    np.testing.assert_array_equal(model.params["numpy_key"], WEIGHTS)


def test_arrays_that_never_come_hold_nobody_for_ever(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    (site.tasks / task.task_id / "numpy_key.npy").unlink()
    assert session.receive(timeout=0.05) is None
    remove_published(site.tasks, task.task_id)
    end(site)
    assert session.receive() is None


def test_a_share_that_is_away_is_waited_for(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    away = site.root.with_name("away")
    site.root.rename(away)
    assert not session.wait_for_task(timeout=0)
    away.rename(site.root)
    assert session.wait_for_task(timeout=0)


def test_half_a_manifest_is_no_task_yet(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {})
    path = site.tasks / f"{task.task_id}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    assert not session.wait_for_task(timeout=0)
    path.write_bytes(whole)
    assert session.wait_for_task(timeout=0)


def test_a_whole_model_becomes_a_difference_on_demand(site: SiteFolder) -> None:
    session = open_session(site, transfer=TransferType.DIFF)
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS + 2}))
    session.close()
    assert answer(site, task).params_type is ParamsType.DIFF
    np.testing.assert_array_equal(np.load(site.results / task.task_id / "numpy_key.npy"), np.full((3, 3), 2))


def test_groups_of_arrays_come_and_go_beside_the_parameters(site: SiteFolder) -> None:
    session = open_session(site, transfer=TransferType.DIFF)
    sent = {"w": WEIGHTS, "a/b": WEIGHTS, "control/w": WEIGHTS + 1, "control/a/b": WEIGHTS + 2}
    task = publish(site, 0, sent, groups=["control"], seed=7)
    model = session.receive()
    assert model is not None
    assert model.params is not None
    assert (sorted(model.params), sorted(model.groups["control"])) == (["a/b", "w"], ["a/b", "w"])
    assert model.meta == {"seed": 7}  # to be sent back as it is
    np.testing.assert_array_equal(model.groups["control"]["a/b"], WEIGHTS + 2)
    params = {name: value + np.float32(5) for name, value in model.params.items()}
    session.send(FLModel(params=params, groups=model.groups, meta=model.meta))
    session.close()
    result = answer(site, task)
    assert result.meta == {"seed": 7, "groups": ["control"]}
    assert result.params_type is ParamsType.DIFF
    folder = site.results / task.task_id
    found = {entry.name: np.load(folder / entry.file) for entry in result.arrays}
    assert list(found) == ["a/b", "control/a/b", "control/w", "w"]
    np.testing.assert_array_equal(found["w"], np.full((3, 3), 5))
    np.testing.assert_array_equal(found["control/w"], WEIGHTS + 1)  # no difference is made of it


def test_a_task_of_groups_alone_has_no_model_to_make_a_difference_to(site: SiteFolder) -> None:
    session = open_session(site, transfer=TransferType.DIFF)
    task = publish(site, 0, {"control/w": WEIGHTS}, groups=["control"])
    assert session.receive() is not None
    session.send(FLModel(params={"w": WEIGHTS}))
    session.close()
    assert (
        decode(site.result(TaskId(RUN, 0, "train")).read_bytes(), Result, task.task_id).params_type is ParamsType.FULL
    )


def test_without_groups_a_stroke_in_a_name_parts_nothing(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {"control/w": WEIGHTS})
    model = session.receive()
    assert model is not None
    assert (list(model.params or {}), model.groups) == (["control/w"], {})
    session.send(model)
    assert answer(site, task).meta == {}


def test_a_task_whose_groups_are_no_names_breaks_the_protocol(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {"w": WEIGHTS}, groups="control")
    with pytest.raises(RefusedError, match=r"r0000.train.a01.json breaks protocol 1: meta .groups. is .control."):
        session.receive()


def test_a_manifest_without_its_last_byte_is_no_task_yet(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {})
    manifest = site.tasks / f"{task.task_id}.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-1])  # all of the JSON, and not the bytes that the answer must name
    assert session.receive(timeout=0) is None
    manifest.write_bytes(whole)
    assert session.receive(timeout=0) is not None
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert answer(site, task).in_reply_to == digest(whole)


def test_half_an_exchange_json_does_not_keep_a_script_out(site: SiteFolder) -> None:
    (site.root.parent / "exchange.json").write_bytes(b'{"protocol')
    open_session(site).close()


def test_a_difference_waits_for_a_model_that_is_delivered_again(site: SiteFolder) -> None:
    session = open_session(site, transfer=TransferType.DIFF)
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    assert session.receive() is not None
    array = site.tasks / task.task_id / "numpy_key.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[:9])
    threading.Timer(0.05, array.write_bytes, (whole,)).start()
    session.send(FLModel(params={"numpy_key": WEIGHTS + 1}))
    session.close()
    assert answer(site, task).params_type is ParamsType.DIFF


def test_no_difference_can_be_made_to_a_task_that_is_gone(site: SiteFolder) -> None:
    session = open_session(site, transfer=TransferType.DIFF)
    task = publish(site, 0, {"numpy_key": WEIGHTS})
    assert session.receive() is not None
    remove_published(site.tasks, task.task_id)
    with pytest.raises(ClientError, match="no difference can be made, the task is gone"):
        session.send(FLModel(params={"numpy_key": WEIGHTS + 1}))
    session.close()


def test_a_result_goes_when_its_task_has_gone(site: SiteFolder, session: Session) -> None:
    for number in range(2):
        task = publish(site, number, {})
        session.receive()
        if number == 1:
            remove_published(site.tasks, str(TaskId(RUN, 0, "train")))
        session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert not session.wait_for_task(timeout=0.01)
    assert [path.name for path in site.results.glob("*.json")] == [f"{task.task_id}.json"]


def test_the_folder_of_a_result_that_has_gone_is_taken_by_the_next(site: SiteFolder, session: Session) -> None:
    folders = []
    for number in range(4):
        task = publish(site, number, {})
        session.receive()
        session.send(FLModel(params={"numpy_key": WEIGHTS}))
        folders.append((site.results / task.task_id).stat().st_ino)
        if number:
            remove_published(site.tasks, str(TaskId(RUN, number - 1, "train")))
        assert not session.wait_for_task(timeout=0.01)
    assert folders[0] == folders[2]
    assert folders[1] == folders[3]
    session.close()
    assert sorted(path.name for path in site.results.iterdir()) == [task.task_id, f"{task.task_id}.json"]


def test_a_large_result_makes_way_for_the_next_one(site: SiteFolder, session: Session) -> None:
    large = np.zeros(300_000, np.float32)
    for number in range(2):
        publish(site, number, {"numpy_key": large})
        if number:
            remove_published(site.tasks, str(TaskId(RUN, 0, "train")))
        session.receive()
        found = {path.name: path.stat().st_ino for path in site.results.glob("*/*.npy")}
        session.send(FLModel(params={"numpy_key": large}))
    assert {path.name: path.stat().st_ino for path in site.results.glob("*/*.npy")} == found
    assert len(list(site.results.iterdir())) == 2


def test_results_of_a_script_that_was_killed_go_with_their_tasks(site: SiteFolder, session: Session) -> None:
    for number in range(2):
        publish(site, number, {})
        session.receive()
        session.send(FLModel(params={"numpy_key": WEIGHTS}))
    session.close()
    half = site.results / str(TaskId(RUN, 1, "train", 2))
    half.mkdir()
    for number in range(2):
        remove_published(site.tasks, str(TaskId(RUN, number, "train")))
    task = publish(site, 2, {})
    again = open_session(site)
    again.receive()
    again.send(FLModel(params={"numpy_key": WEIGHTS}))
    again.close()
    assert sorted(path.name for path in site.results.iterdir()) == [task.task_id, f"{task.task_id}.json"]


def test_a_session_clears_away_what_others_kept_to_write_over(site: SiteFolder) -> None:
    open_site(site, "site")
    spare = site.staging("site") / f"{RUN}.spare.json"
    spare.touch()
    open_session(site).close()
    assert not spare.exists()


def test_a_line_that_a_killed_script_left_half_written_spoils_no_other(site: SiteFolder) -> None:
    site.metrics(RUN).parent.mkdir()
    for path in (site.metrics(RUN), site.log(RUN)):
        path.write_text('{"key":"lo')
    publish(site, 0, {})
    session = open_session(site)
    session.receive()
    session.log_value("loss", 0.5, "SCALAR")
    session.close()
    half, whole = site.metrics(RUN).read_text().splitlines()
    assert (half, whole[:12]) == ('{"key":"lo', '{"key":"loss')
    assert site.log(RUN).read_text().endswith("\n")


def test_what_cannot_travel_is_not_sent_and_can_be_mended(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {})
    session.receive()
    with pytest.raises(ClientError, match=r"send\(\): metric 'auc' is nan"):
        session.send(FLModel(params={"numpy_key": WEIGHTS}, metrics={"auc": float("nan")}))
    session.send(FLModel(params={"numpy_key": WEIGHTS}, metrics={"auc": 0.5}))
    assert answer(site, task).metrics == {"auc": 0.5}


def test_sending_needs_a_task(session: Session) -> None:
    with pytest.raises(ClientError, match=r"call receive\(\) first"):
        session.send(FLModel(params={}))


def test_sending_twice_counts_once(site: SiteFolder, session: Session) -> None:
    task = publish(site, 0, {})
    session.receive()
    session.send(FLModel(params={"numpy_key": WEIGHTS}), clear_cache=False)
    session.send(FLModel(params={"numpy_key": WEIGHTS}))
    assert len(answer(site, task).arrays) == 1
    assert not session.wait_for_task(timeout=0)


def test_the_status_tells_what_the_site_does(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    session.receive()
    session.close("failed", "boom")
    status = read_status(site)
    assert status is not None
    assert (status.state, status.reason, status.run, status.site) == ("failed", "boom", RUN, "a")


def test_logged_values_stand_in_a_file_of_the_run(site: SiteFolder, session: Session) -> None:
    with pytest.raises(ClientError, match="no task was received yet"):
        session.log_value("loss", 1, "SCALAR")
    publish(site, 2, {})
    session.receive()
    session.log_value("loss", np.float32(0.5), "SCALAR", step=3)
    assert site.metrics(RUN).read_text() == '{"key":"loss","value":0.5,"type":"SCALAR","round":2,"step":3}\n'


def test_a_value_that_would_be_lost_is_an_error(site: SiteFolder, session: Session) -> None:
    publish(site, 0, {})
    session.receive()
    for key in ("", "k" * 201):
        with pytest.raises(ClientError, match="text of 1 to 200 characters"):
            session.log_value(key, 1, "SCALAR")
    with pytest.raises(ClientError, match="argument 'stepp' is not known"):
        session.log_value("loss", 1, "SCALAR", stepp=3)
    assert not site.metrics(RUN).exists()


def test_an_answer_to_another_task_is_not_there_yet(site: SiteFolder) -> None:
    task = publish(site, 0, {})
    with pytest.raises(NotYetError):
        answer(site, task)
    assert decode(encode(task), Task, "x") == task


@pytest.mark.parametrize("step", [-1, 2**53 + 1])
def test_a_step_that_no_server_takes_is_an_error(site: SiteFolder, session: Session, step: int) -> None:
    publish(site, 0, {})
    session.receive()
    with pytest.raises(ClientError, match="expected 0 to"):
        session.log_value("loss", 1, "SCALAR", step=step)
