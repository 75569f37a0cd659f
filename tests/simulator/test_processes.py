"""A site's process that was forked is, to its script, one of its own: begin, surroundings and end are the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fltui.simulator.forked import Forked
from fltui.simulator.processes import Processes
from fltui.simulator.spawned import Spawned
from tests.simulator.launches import ends, launch, said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sites are forked on Linux only")

SURROUNDINGS = """
import gc, json, os, resource, signal, sys, threading
import beside
def kind_of(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
    except OSError:
        return ""
report = {
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "flags": str(sys.flags),
    "names": [__name__, __file__, str(__spec__ if "__spec__" in globals() else None), beside.__file__],
    "main": sys.modules["__main__"].__dict__ is globals(),
    "cwd": os.getcwd(),
    "environment": dict(os.environ),
    "descriptors": sorted(kind_of(fd) for fd in range(1000) if kind_of(fd)),
    "inheritable": [os.get_inheritable(fd) for fd in (0, 1, 2)],
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "signals": {number: str(signal.getsignal(number)).split(" at ")[0] for number in range(1, 32)},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "wakeup": signal.set_wakeup_fd(-1),
    "leads": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
    "stdin": sys.stdin.read(),
    "streams": [type(stream).__name__ for stream in (sys.stdout, sys.stderr, sys.__stdout__)],
    "umask": os.umask(0o22),
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "garbage": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
}
open(sys.argv[1], "w").write(json.dumps(report))
"""

ENDINGS = {
    "returns": "print('well')",
    "without_a_newline": "print('well', end='')",
    "exits": "import sys; sys.exit(3)",
    "exits_well": "import sys; sys.exit()",
    "exits_with_a_word": "import sys; sys.exit('enough')",
    "raises": "def f(): raise ValueError('boom')\nf()",
    "leaves": "import os; os._exit(7)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "stopped": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "at_exit": "import atexit; atexit.register(print, 'at exit'); print('before')",
    "c_code_prints": "import ctypes; ctypes.CDLL(None).puts(b'- written by C')",
    "fails_at_exit": "import atexit; atexit.register(lambda: 1 / 0); atexit.register(print, 'first')",
    "open_file": "import sys; file = open(sys.argv[1], 'w'); file.write('all of it')",
    "open_file_that_a_function_uses": (
        "import sys\nfile = open(sys.argv[1], 'w')\ndef note(text): file.write(text)\nnote('all of it')"
    ),
    "open_file_of_a_module": "import sys, beside; beside.file = open(sys.argv[1], 'w'); beside.file.write('all of it')",
    "finalizers": (
        "import os, sys\nclass Last:\n    def __del__(self): os.write(2, f'{self.name} {bool(sys)}\\n'.encode())\n"
        "one, two = Last(), Last()\none.name, two.name = 'one', 'two'\ntwo.itself = two"
    ),
    "raw_bytes": "import sys; sys.stdout.buffer.write(b'raw\\n'); sys.__stderr__.write('more')",
    "waits_for_a_thread": (
        "import threading\nmain = threading.main_thread()\n"
        "threading.Thread(target=lambda: (main.join(), print('after'))).start(); print('before')"
    ),
    "leaves_a_thread": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "closes_its_output": "import sys; sys.stdout.close(); sys.__stdout__.close()",
    "leaves_a_process": "import subprocess; print(subprocess.Popen(['sleep', '1000']).args)",
    "pool": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(); done = pool.submit(print, 'in a pool')"
    ),
    "processes": (
        "import multiprocessing\ndef work(line): line.put(__name__)\n"
        "if __name__ == '__main__':\n"
        "    for way in ('fork', 'spawn'):\n"
        "        context = multiprocessing.get_context(way); line = context.SimpleQueue()\n"
        "        process = context.Process(target=work, args=(line,)); process.start(); process.join()\n"
        "        print(way, process.exitcode, line.get())"
    ),
    "multiplies": "import numpy; ones = numpy.ones((300, 300)); print((ones @ ones).sum())",
    "hides_a_module": "import secrets; print(secrets.OURS)",
    "changes_what_is_shared": "import numpy; numpy.ours = open(__file__); print(len(numpy.__dict__) > 100)",
}


async def test_a_script_sees_the_same_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = {}
    for way in (Forked, Spawned):
        folder = tmp_path / way.__name__ / "x"
        folder.mkdir(parents=True)
        out = folder.parent / "report.json"
        one = launch(folder, "a", SURROUNDINGS, str(out), "two words", beside={"beside.py": ""})
        found = await _all_ended(way(), [one])
        assert found["a"][:2] == [0, []], said(one)
        text = out.read_text().replace(way.__name__, "")
        seen[way] = json.loads(text)
    assert seen[Forked] == seen[Spawned]
    assert seen[Forked]["path"][:2] == [str(tmp_path / "x" / "custom" / "a").replace("/x", "//x")] * 2


async def test_a_script_ends_in_the_same_way(tmp_path: Path) -> None:
    seen = {}
    for way in (Forked, Spawned):
        secrets = "OURS = 'ours'\ndef token_hex(size): return 'ab' * size\n"
        launches = []
        for name, text in ENDINGS.items():
            folder = tmp_path / way.__name__
            out = folder / f"{name}.out"
            more = {"secrets.py": secrets} if name == "hides_a_module" else {"beside.py": ""}
            launches.append(launch(folder, name, text, str(out), beside=more))
        seen[way] = await _all_ended(way(), launches)
    for name in ENDINGS:
        assert seen[Forked][name] == seen[Spawned][name], name
    codes = {name: found[0] for name, found in seen[Forked].items() if found[0]}
    assert codes == {
        "exits": 3,
        "exits_with_a_word": 1,
        "raises": 1,
        "leaves": 7,
        "killed": -signal.SIGKILL,
        "stopped": 128 + signal.SIGTERM,
        "interrupted": 130,
        "crashes": -signal.SIGSEGV,
    }
    assert {found[2] for name, found in seen[Forked].items() if name.startswith("open_file")} == {"all of it"}
    assert seen[Forked]["hides_a_module"][1] == ["INFO ours"]
    assert "written by C" in " ".join(seen[Forked]["c_code_prints"][1])
    assert seen[Forked]["finalizers"][1] == ["True", "True"]


JOB_SURROUNDINGS = (
    SURROUNDINGS.replace("import beside\n", "")
    .replace(", beside.__file__", "")
    .replace("sys.argv[1]", "os.environ['OUT']")
)

JOB_ENDINGS = {
    "returns": "print('well')",
    "says": "import sys; print('out'); print('Größe \\udcff', file=sys.stderr)",
    "exits": "import sys; sys.exit(3)",
    "exits_well": "import sys; sys.exit()",
    "exits_with_a_word": "import sys; sys.exit('enough')",
    "raises": "def f(): raise ValueError('boom')\nf()",
    "is_refused": "from fltui.errors import BadInputError\nraise BadInputError('not so')",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "at_exit": "import atexit, sys; atexit.register(print, 'at exit', file=sys.stderr)",
    "open_file": "import os; file = open(os.environ['OUT'], 'w'); file.write('all of it')",
    "imports_beside": "import beside",
    "hides_a_module": "import secrets, sys; sys.exit(secrets.OURS)",
    "prepares": "from fltui import FedJob; import numpy, sys; print(FedJob('a').name, numpy.ones(2), file=sys.stderr)",
}


def _job_script(folder: Path, text: str, *, secrets: bool = False) -> Path:
    folder.mkdir(parents=True)
    (folder / "beside.py").write_text("import sys; print(__name__, file=sys.stderr)")
    if secrets:
        (folder / "secrets.py").write_text("OURS = 5\ndef token_hex(size): return 'ab' * size\n")
    (folder / "job.py").write_text(text)
    return folder / "job.py"


def _ran(way: type[Processes], folder: Path, text: str, *, secrets: bool = False) -> tuple[int, list[str], str]:
    """Code, standard error and written file of a job script."""
    processes, out = way(), folder / "out"
    try:
        ran = processes.run_job_script(_job_script(folder, text, secrets=secrets), {"OUT": str(out)})
    finally:
        processes.abandon()
    lines = [line.replace(str(folder), "") for line in ran.said.splitlines()]
    return ran.code, lines, out.read_text() if out.exists() else ""


def test_a_job_script_sees_the_same_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEFORE", "there")
    seen = {}
    for way in (Forked, Spawned):
        code, lines, report = _ran(way, tmp_path / way.__name__, JOB_SURROUNDINGS)
        assert (code, lines) == (0, [])
        seen[way] = json.loads(report.replace(way.__name__, ""))
        # Of its session a job script sees nothing: in the fork server's way, its end is that of all it has started.
        del seen[way]["leads"]
    assert seen[Forked] == seen[Spawned]


@pytest.mark.parametrize("name", JOB_ENDINGS)
def test_a_job_script_ends_in_the_same_way(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    seen = {}
    for way in (Forked, Spawned):
        found = _ran(way, tmp_path / way.__name__, JOB_ENDINGS[name], secrets=name == "hides_a_module")
        seen[way] = found, capfd.readouterr()
    assert seen[Forked] == seen[Spawned]


def test_one_job_script_after_another_and_then_the_sites(tmp_path: Path) -> None:
    forked = Forked()
    for number in range(3):
        path = _job_script(tmp_path / f"job-{number}", f"raise SystemExit({number})")
        assert forked.run_job_script(path, {}).code == number

    async def site() -> None:
        try:
            one = launch(tmp_path, "a", "print('well')")
            assert (await ends(forked, [one]))["a"].code == 0
            assert said(one) == ["INFO well"]
        finally:
            await forked.close()

    asyncio.run(site())


async def _all_ended(processes: Processes, launches: list[Any]) -> dict[str, list[Any]]:
    """Code, log and written file of each."""
    try:
        ended = await ends(processes, launches)
    finally:
        await processes.close()
    found = {}
    for one in launches:
        out = Path(one.arguments[0])
        lines = [re.sub("0x[0-9a-f]+", "0x", line.replace(one.custom, "")) for line in said(one)]
        if one.site == "crashes":
            del lines[1:]  # what was called before the script differs
        found[one.site] = [
            ended[one.site].code,
            lines,
            out.read_text() if out.exists() and out.suffix == ".out" else "",
        ]
        assert not os.path.exists(f"/proc/{ended[one.site].pid}")  # noqa: PTH110
    return found
