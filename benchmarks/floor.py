"""The latency floor: the least that an honest exchange does, to measure fltui against in the same invocation.

One server and S site processes on one disk. Every task and every result is a ``.npy`` and a JSON manifest with its
BLAKE3 digest, staged outside the watched folder and renamed into place. Every reader checks size and digest. The server
keeps a journal and saves the averaged model each round. There is no command line, validation, retry, log, liveness or
retention.

    python -m benchmarks.floor ROUNDS SITES [FOLDER] [--json]

Its files are in FOLDER, which is empty, and stay there; without one, in a temporary folder.
"""

from __future__ import annotations

import io
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import blake3
import msgspec
import numpy as np
from numpy.typing import NDArray
from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_ANSWER_WITHIN = 60.0
"""Seconds after which the other side is taken to be dead."""


class Arrivals(FileSystemEventHandler):
    """Queue of the manifests that appear in the watched folders."""

    def __init__(self, *folders: Path) -> None:
        self.queue: queue.SimpleQueue[Path] = queue.SimpleQueue()
        observer = Observer()
        for folder in folders:
            observer.schedule(self, str(folder), event_filter=[FileCreatedEvent, FileMovedEvent])
        observer.daemon = True
        observer.start()

    def on_created(self, event: FileSystemEvent) -> None:
        """Take a manifest that was renamed into a watched folder."""
        path = os.fsdecode(event.src_path)
        if path.endswith(".json"):
            self.queue.put(Path(path))

    def next(self) -> Path:
        """The next manifest.

        Raises:
            queue.Empty: none came in time.
        """
        return self.queue.get(timeout=_ANSWER_WITHIN)


def put(site: Path, target: Path, data: bytes | memoryview) -> None:
    """Write beside, then rename into place."""
    staged = site / "staging" / target.name
    staged.write_bytes(data)
    os.replace(staged, target)


def publish(site: Path, kind: str, name: str, array: NDArray[Any]) -> None:
    """Put one array and its manifest into ``<site>/<kind>``, the manifest last."""
    (site / kind / name).mkdir()
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    data = buffer.getbuffer()
    put(site, site / kind / name / "numpy_key.npy", data)
    entry = {"name": "numpy_key", "size": len(data), "blake3": blake3.blake3(data).hexdigest()}
    put(site, site / kind / f"{name}.json", msgspec.json.encode({"id": name, "arrays": [entry]}))


def collect(manifest: Path) -> NDArray[Any]:
    """Read the array that a manifest names.

    Raises:
        ValueError: the array's size or digest is another.
    """
    found = msgspec.json.decode(manifest.read_bytes())
    entry = found["arrays"][0]
    data = (manifest.parent / found["id"] / f"{entry['name']}.npy").read_bytes()
    if len(data) != entry["size"] or blake3.blake3(data).hexdigest() != entry["blake3"]:
        raise ValueError(f"{manifest} does not match its array")
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def run_site(site: Path) -> None:
    """Answer every task with its array plus 1 until the end comes."""
    arrivals = Arrivals(site / "tasks")
    print("ready", flush=True)
    while (manifest := arrivals.next()).name != "end.json":
        publish(site, "results", manifest.stem, collect(manifest) + 1)


def run_server(root: Path, rounds: int, count: int) -> list[float]:
    """Run `rounds` rounds with `count` site processes in the empty folder `root`.

    Returns:
        Seconds that each round took, in order.

    Raises:
        ValueError: a site did not start, or the final model is not what that many rounds make of the first.
    """
    sites = [root / f"site-{index}" for index in range(count)]
    for site in sites:
        for folder in ("tasks", "results", "staging"):
            (site / folder).mkdir(parents=True)
    (root / "models").mkdir()
    arrivals = Arrivals(*(site / "results" for site in sites))
    # By its path, not as a module: the package needs no place on the path of the processes.
    processes = [
        subprocess.Popen([sys.executable, __file__, "site", str(site)], stdout=subprocess.PIPE, text=True)
        for site in sites
    ]
    try:
        for process in processes:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ValueError("a site of the floor ended before its first task")
        spent = _run_rounds(root, sites, arrivals, rounds)
        for site in sites:
            put(site, site / "tasks" / "end.json", b"{}")
        for process in processes:
            process.wait(_ANSWER_WITHIN)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return spent


def _run_rounds(root: Path, sites: list[Path], arrivals: Arrivals, rounds: int) -> list[float]:
    start = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
    model: NDArray[Any] = start
    spent = []
    with (root / "journal.jsonl").open("ab", buffering=0) as journal:
        for number in range(rounds):
            began = time.perf_counter()
            journal.write(msgspec.json.encode({"event": "round_started", "round": number}) + b"\n")
            for site in sites:
                publish(site, "tasks", f"r{number:05}", model)
            results: dict[str, NDArray[Any]] = {}
            while len(results) < len(sites):
                manifest = arrivals.next()
                results[manifest.parent.parent.name] = collect(manifest)
                journal.write(msgspec.json.encode({"event": "result", "round": number}) + b"\n")
            total = np.zeros(model.shape)
            for name in sorted(results):
                total += results[name]
            model = (total / len(sites)).astype(np.float32)
            np.save(root / "models" / f"r{number:05}.npy", model)
            journal.write(msgspec.json.encode({"event": "round_finished", "round": number}) + b"\n")
            spent.append(time.perf_counter() - began)
    if not np.allclose(model, start + rounds):
        raise ValueError("the floor averaged wrongly")
    return spent


def main(arguments: list[str]) -> None:
    """Be a site, or run the floor and print the median and the 99th percentile of a round, or with --json all times."""
    if arguments[0] == "site":
        run_site(Path(arguments[1]))
        return
    rounds, sites, *folder = (argument for argument in arguments if argument != "--json")
    with tempfile.TemporaryDirectory(prefix="fltui-floor-") as temporary:
        times = run_server(Path(*folder or [temporary]), int(rounds), int(sites))
    if "--json" in arguments:
        print(msgspec.json.encode(times).decode())
        return
    times.sort()
    median, late = statistics.median(times), times[int(0.99 * len(times))]
    print(f"floor: {median * 1e3:.3f} ms median, {late * 1e3:.3f} ms p99")


if __name__ == "__main__":
    main(sys.argv[1:])
