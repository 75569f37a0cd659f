"""The command that runs an entry, and what its process says at its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fltui.queue.documents import Claim, Wishes
from fltui.queue.entries import read_entry
from fltui.server.dispatch.child import Child, Lifeline, _resume, _serve, start
from fltui.server.dispatch.settings import Settings
from tests.queue.made import RUN, put_entry, queue_in

CLAIM = Claim(run=RUN, runs="/runs", sites=["site-1", "site-2"])
SETTINGS = Settings(Path("/runs"), Path("/exchange"), wait=7.0, keep_models=2, job_code=True)


def test_wishes_become_options_and_the_rest_is_that_of_the_queue(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    plain = read_entry(put_entry(queue, "a"))
    words = _serve(plain, CLAIM, SETTINGS)
    assert words[:2] == ["server", str(plain.folder.job)]
    pairs = dict(zip(words[2::2], words[3::2], strict=False))
    assert (pairs["--queued"], pairs["--runs"], pairs["--exchange"]) == (RUN, "/runs", "/exchange")
    assert (pairs["--wait"], pairs["--keep-models"], words[-1]) == ("7.0", "2", "--job-code")
    assert "--sites" not in words  # the job says it
    wishes = Wishes(groups=["labs"], rounds=5, wait=1.5, seed=9, keep_results=True, keep_models=4)
    chosen = _serve(read_entry(put_entry(queue, "b", wishes=wishes)), CLAIM, SETTINGS)
    text = " ".join(chosen)
    for part in ("--sites site-1,site-2", "--rounds 5", "--wait 1.5", "--seed 9", "--keep-models 4", "--keep-results"):
        assert part in text
    counted = _serve(read_entry(put_entry(queue, "c", wishes=Wishes(count=3))), CLAIM, SETTINGS)
    assert counted[counted.index("--sites") + 1] == "3"
    assert _resume(CLAIM, SETTINGS) == ["resume", f"/runs/{RUN}", "--queued", RUN, "--job-code"]
    assert "--job-code" not in _resume(CLAIM, Settings(Path("/runs"), Path("/exchange")))


async def test_the_reason_is_what_this_process_said_last(tmp_path: Path) -> None:
    entry = read_entry(put_entry(queue_in(tmp_path), "a"))
    entry.folder.said.write_text("error: an old one\n")
    ended: asyncio.Task[int] = asyncio.create_task(asyncio.sleep(0, 2))
    child = Child(entry, CLAIM, None, ended, 0, entry.folder.said.stat().st_size, (0, 0))
    assert child.sentence(2) == "its server ended with exit code 2"
    with entry.folder.said.open("a") as file:
        file.write("warning: x\nerror: job \x1b]0;y\x07 is broken\n\n")
    assert child.sentence(2) == "job \\x1b]0;y\\x07 is broken"
    assert child.sentence(-9) == "its server was killed by SIGKILL"
    await ended


@pytest.mark.parametrize(
    "put",
    [
        lambda path: path.symlink_to(path.parents[2] / "precious"),
        lambda path: path.symlink_to(path.parents[2] / "new"),
        lambda path: os.link(path.parents[2] / "precious", path),
        os.mkfifo,
        Path.mkdir,
    ],
    ids=["a link", "a link to nothing", "a second name", "a fifo", "a folder"],
)
async def test_what_a_process_says_goes_nowhere_else(tmp_path: Path, put: Callable[[Path], None]) -> None:
    entry = read_entry(put_entry(queue_in(tmp_path), "a"))
    (tmp_path / "precious").write_text("x")
    put(entry.folder.said)
    lifeline = Lifeline()
    try:
        with pytest.raises(OSError, match=r"stderr\.log"):
            await start(entry, CLAIM, None, None, lifeline, SETTINGS)
    finally:
        lifeline.close()
    assert (tmp_path / "precious").read_text() == "x"
    assert not (tmp_path / "new").exists()
