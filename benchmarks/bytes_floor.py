"""The floor of large models: the time to move the bytes that any design must move in a round.

One server and S site processes over one file system, in plain loops with bounded buffers. Each site reads the model and
digests it, adds 1, writes its result and digests that. Then the server reads every result once, digests it and checks
that it is finite, sums in float64, and writes the mean and digests that. Nobody watches folders: a byte on a pipe says
that the next part begins. There are no manifests, no journal, no copy of anything. The server's part is one loop and
waits for the last site: a design that digests while others train, or sums in several threads, may come below it where
cores are free.

    python -m benchmarks.bytes_floor MB SITES ROUNDS
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import blake3
import msgspec
import numpy as np

BLOCK = 65_536
"""Elements that are read, added and written at a time."""


def write_first(path: Path, elements: int) -> None:
    """The model that the first round begins with: float32, no header; small whole numbers, exact when averaged."""
    block = (np.arange(BLOCK) % 1000).astype(np.float32)
    with path.open("wb", buffering=0) as file:
        for begin in range(0, elements, BLOCK):
            file.write(block[: elements - begin].data)


def answer(model: Path, result: Path) -> str:
    """A site's part of a round.

    Returns:
        Digests of what it read and of what it wrote.
    """
    block = np.empty(BLOCK, np.float32)
    raw = block.data.cast("B")
    read, written = blake3.blake3(), blake3.blake3()
    with model.open("rb", buffering=0) as source, _new(result).open("wb", buffering=0) as target:
        while count := source.readinto(raw):
            read.update(raw[:count])
            block += 1
            target.write(raw[:count])
            written.update(raw[:count])
    _take_place(result)
    return f"{read.hexdigest()} {written.hexdigest()}"


def average(results: list[Path], model: Path) -> list[str]:
    """The server's part of a round.

    Returns:
        Digests of the results, in order, and of the model.

    Raises:
        ValueError: a result is not finite, or shorter than the others.
    """
    block, total = np.empty(BLOCK, np.float32), np.empty(BLOCK)
    raw = block.data.cast("B")
    digests = [blake3.blake3() for _ in results]
    written = blake3.blake3()
    with ExitStack() as stack:
        sources = [stack.enter_context(path.open("rb", buffering=0)) for path in results]
        target = stack.enter_context(_new(model).open("wb", buffering=0))
        while True:
            counts = set()
            total.fill(0)
            for source, digest in zip(sources, digests, strict=True):
                counts.add(count := source.readinto(raw))
                digest.update(raw[:count])
                values = block[: count // block.itemsize]
                if not np.isfinite(np.dot(values, values)):
                    raise ValueError(f"{source.name} is not finite")
                total[: values.size] += values
            if len(counts) > 1:
                raise ValueError(f"the results of the floor end differently, with blocks of {sorted(counts)} bytes")
            if not count:
                break
            np.divide(total, len(results), out=block, casting="same_kind")
            target.write(raw[:count])
            written.update(raw[:count])
    _take_place(model)
    return [digest.hexdigest() for digest in (*digests, written)]


def _new(path: Path) -> Path:
    return path.with_suffix(".new")


def _take_place(path: Path) -> None:
    """Let the new file be the one; the pages of the old one go."""
    os.replace(_new(path), path)


def run_site(folder: Path, name: str) -> None:
    """Answer every byte on the standard input with a round's part, until its end."""
    while os.read(0, 1):
        print(answer(folder / "model", folder / name), flush=True)


def run_server(folder: Path, elements: int, sites: int, rounds: int) -> list[float]:
    """Run `rounds` rounds with `sites` site processes in the empty `folder`.

    Returns:
        Seconds that each round took, in order.

    Raises:
        ValueError: a digest is not that of what was written, or the final model is wrong.
    """
    model = folder / "model"
    write_first(model, elements)
    names = [f"site-{number}" for number in range(sites)]
    # By its path, not as a module: the package needs no place on the path of the processes.
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "site", str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in names
    ]
    spent, of_model = [], ""
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            said = _ask(processes)
            *of_results, after = average([folder / name for name in names], model)
            spent.append(time.perf_counter() - began)
            expected = [f"{of_model or said[0].split()[0]} {digest}" for digest in of_results]
            if said != expected:
                raise ValueError(f"the floor's sites said {said}, expected {expected}")
            of_model = after
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    _check(model, elements, rounds)
    return spent


def _ask(processes: list[subprocess.Popen[bytes]]) -> list[str]:
    """Let all sites do their part at once, and wait for all."""
    for process in processes:
        os.write(_pipe(process.stdin).fileno(), b".")
    return [_pipe(process.stdout).readline().decode("ascii").strip() for process in processes]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a site of the floor has no pipe")
    return pipe


def _check(model: Path, elements: int, rounds: int) -> None:
    found = np.memmap(model, np.float32, "r")
    if found.size != elements:
        raise ValueError(f"the floor's model has {found.size} elements, expected {elements}")
    for index in (0, elements // 2, elements - 1):
        if found[index] != index % BLOCK % 1000 + rounds:
            raise ValueError(
                f"element {index} of the floor's model is {found[index]}, expected {index % BLOCK % 1000 + rounds}"
            )


def main(arguments: list[str]) -> None:
    """Be a site, or run the floor and print the seconds of all rounds as JSON."""
    if arguments[0] == "site":
        run_site(Path(arguments[1]), arguments[2])
        return
    megabytes, sites, rounds = (int(argument) for argument in arguments)
    with tempfile.TemporaryDirectory(prefix="fltui-floor-") as folder:
        print(msgspec.json.encode(run_server(Path(folder), megabytes * 250_000, sites, rounds)).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
