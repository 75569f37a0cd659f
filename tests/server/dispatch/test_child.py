"""The command that runs an entry, and what its process says at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fltui.queue.documents import Claim, Wishes
from fltui.queue.standing import read_entry
from fltui.run.state import RunState
from fltui.server.dispatch.child import Child, _resume, _serve
from fltui.server.dispatch.settings import Settings
from tests.queue.entries import RUN, put_entry, queue_in

CLAIM = Claim(run=RUN, runs="/runs", sites=["site-1", "site-2"])
SETTINGS = Settings(Path("/runs"), Path("/exchange"), wait=7.0, keep_models=2, job_code=True)


def test_wishes_become_options_and_the_rest_is_that_of_the_queue(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    plain = read_entry(put_entry(queue, "a"))
    words = _serve(plain, CLAIM, SETTINGS)
    assert words[:2] == ["server", str(plain.folder.job)]
    pairs = dict(zip(words[2::2], words[3::2], strict=False))
    assert (pairs["--run-id"], pairs["--runs"], pairs["--exchange"]) == (RUN, "/runs", "/exchange")
    assert (pairs["--wait"], pairs["--keep-models"], words[-1]) == ("7.0", "2", "--job-code")
    assert "--sites" not in words  # the job says it
    wishes = Wishes(groups=["labs"], rounds=5, wait=1.5, seed=9, keep_results=True, keep_models=4)
    chosen = _serve(read_entry(put_entry(queue, "b", wishes=wishes)), CLAIM, SETTINGS)
    text = " ".join(chosen)
    for part in ("--sites site-1,site-2", "--rounds 5", "--wait 1.5", "--seed 9", "--keep-models 4", "--keep-results"):
        assert part in text
    counted = _serve(read_entry(put_entry(queue, "c", wishes=Wishes(count=3))), CLAIM, SETTINGS)
    assert counted[counted.index("--sites") + 1] == "3"
    assert _resume(CLAIM) == ["resume", f"/runs/{RUN}", "--queued"]


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
    assert RunState().run == ""
