"""What a site makes of tasks and ends that its server has not signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from fltui.client.config import ClientConfig, Durability
from fltui.client.output import LogFile
from fltui.client.session import Session
from fltui.errors import BadInputError, RefusedError
from fltui.exchange.keys import Keys
from fltui.exchange.layout import PROTOCOL, SERVER, ExchangeFolder, SiteFolder, TaskId
from fltui.exchange.manifest import End, Task
from fltui.exchange.publish import open_site, put_arrays, put_bytes
from fltui.exchange.signing import NOBODY, Identity
from fltui.model import ParamsType
from tests.exchange.signers import signer

RUN = "hello-20260101T000000Z-abcd"
RIGHT, WRONG = Identity(signer(1)), Identity(signer(2))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    """The folder of site ``a``, which has a key and trusts `RIGHT`."""
    folder = ExchangeFolder(tmp_path / "exchange").site("a")
    open_site(folder, "server")
    keys = Keys(tmp_path / "keys")
    keys.create("a")
    keys.trust(SERVER, RIGHT.public)
    monkeypatch.setenv("FLTUI_KEYS", str(keys.root))
    return folder


def half(site: SiteFolder, number: int, attempt: int = 1) -> None:
    """Lay half a task there."""
    site.task(TaskId(RUN, number, "train", attempt)).write_bytes(b'{\n "protocol": 1,')


@contextmanager
def opened(site: SiteFolder, *, demanded: bool = True, run: str = RUN) -> Iterator[Session]:
    """A session of site ``a``."""
    config = ClientConfig("a", str(site.root.parent), run, durability=Durability.PROCESS, require_signatures=demanded)
    session = Session(config, LogFile())
    try:
        yield session
    finally:
        session.close()


def publish(
    site: SiteFolder, number: int, identity: Identity, /, name: TaskId | None = None, **changes: object
) -> None:
    """Publish a task without arrays, with some fields changed, or under another name."""
    task_id = TaskId(RUN, number, "train")
    task = Task(PROTOCOL, RUN, str(task_id), "train", "a", number, 0, 3, ParamsType.FULL, put_arrays({}, *places(site)))
    data = identity.encode(msgspec.structs.replace(task, **changes))
    put_bytes(data, site.task(name or task_id), site.staging("server"))


def places(site: SiteFolder) -> tuple[Path, Path]:
    """Where arrays go, and where they are made."""
    return site.staging("server") / "none", site.staging("server")


def end(site: SiteFolder, number: int, identity: Identity, /, name: TaskId | None = None, **changes: object) -> None:
    """End the run at a round, with some fields changed, or under another name."""
    task_id = TaskId(RUN, number, "train").end()
    found = msgspec.structs.replace(End(PROTOCOL, RUN, "FINISHED:COMPLETED", "", "a", str(task_id)), **changes)
    put_bytes(identity.encode(found), site.task(name or task_id), site.staging("server"))


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error."""
    return capsys.readouterr().err.splitlines()


FORGERIES: dict[str, tuple[Callable[[SiteFolder], None], str]] = {
    "an unsigned task": (lambda site: publish(site, 5, NOBODY), "r0005.train.a01.json is not signed; its writer"),
    "another key's task": (lambda site: publish(site, 5, WRONG), "r0005.train.a01.json is not signed with the key"),
    "another site's task": (lambda site: publish(site, 5, RIGHT, site="b"), "of site 'b'"),
    "another round's task": (lambda site: publish(site, 0, RIGHT, TaskId(RUN, 5, "train")), "holds the task"),
    "an unsigned end": (lambda site: end(site, 5, NOBODY), "r0005.end.a01.json is not signed; its writer"),
    "another key's end": (lambda site: end(site, 5, WRONG), "r0005.end.a01.json is not signed with the key"),
    "another site's end": (lambda site: end(site, 5, RIGHT, site="b"), "of site 'b'"),
    "another round's end": (lambda site: end(site, 0, RIGHT, TaskId(RUN, 5, "train").end()), "holds the end"),
    "another run's end": (lambda site: end(site, 5, RIGHT, run="x"), "holds the end"),
    "a task in place of an end": (
        lambda site: publish(site, 5, RIGHT, TaskId(RUN, 5, "train").end()),
        "is of kind 'task', expected 'end'",
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forgery_is_told_once_and_the_right_task_is_found(
    site: SiteFolder, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    forge, reason = FORGERIES[kind]
    forge(site)
    with opened(site) as session:
        assert (session.wait_for_task(timeout=0.05), session.ended) == (False, False)
        (line,) = said(capsys)
        assert line.startswith("site a goes on waiting: tasks/")
        assert reason in line
        publish(site, 1, RIGHT)
        assert session.wait_for_task(timeout=5)
        assert session.task is not None
        assert session.task.round == 1
        session.task = None
        end(site, 9, RIGHT)
        assert (session.wait_for_task(timeout=5), session.ended) == (False, True)
        assert said(capsys) == []


def test_the_right_task_under_the_name_of_a_forged_one_is_taken(site: SiteFolder) -> None:
    publish(site, 1, NOBODY)
    with opened(site) as session:
        assert not session.wait_for_task(timeout=0.05)
        publish(site, 1, RIGHT)
        assert session.wait_for_task(timeout=5)


def test_half_a_task_hides_no_other_where_signatures_are_demanded(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(site, 1, RIGHT)
    for number in (7, 8, 9):
        half(site, number)
    with opened(site) as session:
        for _ in range(2):
            assert session.wait_for_task(timeout=0.05)
            assert session.task is not None
            assert session.task.round == 1
            session.task = None
        assert [line.partition(".json")[0] for line in said(capsys)] == [
            f"site a goes on waiting: tasks/{RUN}.r000{number}.train.a01" for number in (9, 8, 7)
        ]
        publish(site, 8, RIGHT)  # the rest of it has come
        assert session.wait_for_task(timeout=5)
        assert session.task is not None
        assert session.task.round == 8


def test_half_a_task_that_may_revive_the_run_lets_it_not_end(site: SiteFolder) -> None:
    end(site, 1, RIGHT)
    half(site, 1, attempt=2)
    with opened(site) as session:
        assert (session.wait_for_task(timeout=0.05), session.ended) == (False, False)
        site.task(TaskId(RUN, 1, "train", 2)).unlink()
        assert (session.wait_for_task(timeout=5), session.ended) == (False, True)


def test_half_a_task_is_waited_for_where_nothing_is_demanded(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(site, 1, RIGHT)
    half(site, 2)
    with opened(site, demanded=False) as session:
        assert not session.wait_for_task(timeout=0.05)
        assert said(capsys) == []


def test_the_ends_of_other_runs_are_not_looked_at(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    end(site, 5, NOBODY)
    with opened(site, run="other") as session:
        assert not session.wait_for_task(timeout=0.05)
        assert said(capsys) == []


def test_what_is_signed_wrongly_is_refused_where_nothing_is_demanded(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(site, 1, WRONG)
    with opened(site, demanded=False) as session:
        assert not session.wait_for_task(timeout=0.05)
        assert "is not signed with the key" in said(capsys)[0]
        publish(site, 0, NOBODY)  # unsigned is good enough
        assert session.wait_for_task(timeout=5)


def test_a_task_that_breaks_the_protocol_ends_the_script_where_nothing_is_demanded(site: SiteFolder) -> None:
    publish(site, 1, NOBODY, site="b")
    with opened(site, demanded=False) as session, pytest.raises(RefusedError, match="of site 'b'"):
        session.wait_for_task(timeout=5)


def test_any_end_ends_the_run_where_nothing_is_demanded(site: SiteFolder) -> None:
    end(site, 5, WRONG)
    with opened(site, demanded=False) as session:
        assert not session.wait_for_task(timeout=5)
        assert session.ended


def test_nothing_is_begun_with_a_key_that_others_can_read(site: SiteFolder, tmp_path: Path) -> None:
    (tmp_path / "keys" / "a.key").chmod(0o644)
    with pytest.raises(BadInputError, match="chmod 600"), opened(site, demanded=False):
        pass
    assert not site.status.exists()
