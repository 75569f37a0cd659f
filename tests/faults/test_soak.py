"""Long runs hold no more files, threads, memory or room the longer they last. By hand: ``pytest -m soak -n 0 -s``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.jobs import HELLO, HELLO_SCRIPT, command, environment

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc"),
]

SETTLED = 2
"""The sample from which on nothing may grow: allocators and caches have filled by then."""

SLACK = 8
"""By how many MiB memory may move, for what an allocator keeps, and by how many open files: some are open just now."""


class Use(NamedTuple):
    """What a process holds: open files, threads, MiB of memory."""

    files: int
    threads: int
    memory: float


class Sample(NamedTuple):
    """What a run holds after a round: its processes, and how many files and folders there are."""

    round: int
    processes: dict[str, Use]
    exchange: int
    run: int


def use_of(pid: int) -> Use:
    """What a live process holds."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Use(
        len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"]), int(status["VmRSS"].split()[0]) / 1024
    )


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def entries(folder: Path) -> int:
    """How many files and folders there are below `folder`."""
    return sum(len(files) + len(folders) for _, folders, files in os.walk(folder))


@contextmanager
def running(folder: Path, *arguments: str | Path, out: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """A command whose errors go to a file: nobody reads along for so long."""
    with (folder / "errors").open("a") as errors:
        process = subprocess.Popen(
            command(*arguments), env=environment(folder), cwd=folder, stdout=out, stderr=errors, text=True
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def follow(server: subprocess.Popen[str], folder: Path, every: int, **sites: int) -> list[Sample]:
    """Read a run's events to their end and look at it after each `every` rounds."""
    assert server.stdout is not None
    found = []
    for line in server.stdout:
        if '"event":"round_finished"' not in line or (json.loads(line)["round"] + 1) % every:
            continue
        pids = {"server": server.pid} | (sites or {f"site {pid}": pid for pid in children_of(server.pid)})
        processes = {name: use_of(pid) for name, pid in pids.items()}
        (run,) = (folder / "runs").glob("*-*")
        sample = Sample(json.loads(line)["round"] + 1, processes, entries(folder / "exchange"), entries(run))
        most = Use(*map(max, zip(*(use for name, use in processes.items() if name != "server"), strict=True)))
        sys.stdout.write(
            f"round {sample.round}: server {processes['server']}, {len(processes) - 1} sites at most {most}, "
            f"{sample.exchange} entries in the exchange, {sample.run} in the run folder\n"
        )
        found.append(sample)
    assert server.wait() == 0, (folder / "errors").read_text()
    return found


def check_flat(found: list[Sample], rounds: int) -> None:
    """No sample after those that settle holds more than the first of them."""
    first, *later = found[SETTLED:]
    assert later[-1].round == rounds
    for sample in later:
        for name, use in sample.processes.items():
            before = first.processes[name]
            assert use.files <= before.files + SLACK, (sample.round, name)
            assert use.threads <= before.threads, (sample.round, name)
            assert use.memory <= before.memory + SLACK, (sample.round, name)
        assert sample.exchange <= first.exchange + 4 * len(sample.processes), sample.round
        assert sample.run <= first.run + 4 * len(sample.processes), sample.round


def test_10000_rounds_of_2_sites(tmp_path: Path) -> None:
    options = ("--rounds", "10000", "--durability", "process", "--keep-models", "3", "--json")
    with ExitStack() as opened:
        sites = {
            name: opened.enter_context(running(tmp_path, "client", "--site", name, HELLO_SCRIPT))
            for name in ("site-0", "site-1")
        }
        serve = running(tmp_path, "server", HELLO, "--sites", ",".join(sites), *options, out=subprocess.PIPE)
        server = opened.enter_context(serve)
        found = follow(server, tmp_path, 500, **{name: site.pid for name, site in sites.items()})
        assert [site.wait() for site in sites.values()] == [0, 0]
    check_flat(found, 10000)


def test_200_sites(tmp_path: Path) -> None:
    options = ("--sites", "200", "--rounds", "60", "--keep-models", "3", "--json")
    with running(tmp_path, "run", HELLO, *options, out=subprocess.PIPE) as server:
        found = follow(server, tmp_path, 5)
    check_flat(found, 60)
