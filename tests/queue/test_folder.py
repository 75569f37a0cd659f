"""A folder in which several people write, and somebody may have put what leads elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.queue.documents import Claim, EntryEnd, Wishes
from fltui.queue.entries import read_entry
from fltui.queue.submitting import submit
from tests.queue.made import RUN, put_entry, queue_in


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("kind", ["link", "second name", "fifo"])
def test_ringing_touches_nothing_else(tmp_path: Path, kind: str) -> None:
    queue = queue_in(tmp_path)
    queue.root.chmod(0o770)
    mine = tmp_path / "mine"
    mine.write_text("x")
    mine.chmod(0o600)
    if kind == "link":
        queue.bell.symlink_to(mine)
    elif kind == "second name":
        os.link(mine, queue.bell)
    else:
        os.mkfifo(queue.bell)
    queue.ring()
    queue.share(queue.root / "incoming")
    assert (mine.read_text(), mode(mine)) == ("x", 0o600)


def test_a_lock_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    folder = put_entry(queue_in(tmp_path), "a")
    folder.lock.symlink_to(tmp_path / "new")
    with pytest.raises(OSError, match="symbolic links"):
        folder.hold()
    assert not folder.is_alive()
    assert not (tmp_path / "new").exists()


def test_what_a_careful_person_submits_can_be_read_by_the_server(tmp_path: Path, job: Path) -> None:
    queue = queue_in(tmp_path)
    queue.root.chmod(0o770)
    before = os.umask(0o077)
    try:
        folder = submit(queue, job, Wishes())
        folder.put(EntryEnd(state="FINISHED:ABORTED"), folder.end)
    finally:
        os.umask(before)
    for path in (folder.root, *folder.root.rglob("*")):
        assert mode(path) & 0o040, path
        assert mode(path) & 0o010 or not path.is_dir(), path


@pytest.mark.parametrize(
    "document",
    [
        Wishes(rounds=2**60),
        Wishes(seed=2**70),
        Claim(run=RUN, runs="/runs", sites=[f"site-{'x' * 50}-{number}" for number in range(5000)]),
    ],
    ids=["too great", "far too great", "too large"],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, document: Wishes | Claim) -> None:
    folder = put_entry(queue_in(tmp_path), "a")
    with pytest.raises(BadInputError, match="cannot be written"):
        folder.put(document, folder.claim)
    assert read_entry(folder).claim is None
