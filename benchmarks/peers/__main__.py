"""The command; see the package."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec
import platformdirs

from benchmarks.peers.environments import Environment, PeerError, environment_for
from benchmarks.peers.fltui import Fltui
from benchmarks.peers.flwr import Flwr
from benchmarks.peers.machine import this_machine
from benchmarks.peers.measure import ROUNDS, measure_hello, measure_size
from benchmarks.peers.nvflare import Nvflare
from benchmarks.peers.processes import adopt_orphans
from benchmarks.peers.report import Report, tables
from benchmarks.peers.system import System

_PEERS: dict[str, tuple[str, Callable[[Environment], System]]] = {
    Nvflare.name: (Nvflare.requirement, Nvflare),
    Flwr.name: (Flwr.requirement, Flwr),
}


def _peers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in _PEERS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no peer; known: {', '.join(_PEERS)}")
    return names


def _sizes(text: str) -> list[str]:
    sizes = text.split(",")
    for size in sizes:
        if size != "tiny" and not (size.isdecimal() and int(size) > 0):
            raise argparse.ArgumentTypeError(f"{size!r} is no size; give tiny or a number of MB")
    return sizes


def _repeats(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Measure fltui beside its peers. Temporary files take 20 times the size of the largest model.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--peers", type=_peers, default=list(_PEERS), metavar="NAMES", help=f"{','.join(_PEERS)}")
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=["tiny", "10", "100", "500"],
        metavar="SIZES",
        help="of the model, in MB; tiny is the tutorial's (tiny,10,100,500)",
    )
    parser.add_argument("--repeats", type=_repeats, default=3, metavar="N", help="runs of each measurement (3)")
    parser.add_argument(
        "--environments",
        type=Path,
        default=platformdirs.user_cache_path("fltui") / "peers",
        metavar="FOLDER",
        help="where the peers are installed, once (%(default)s)",
    )
    return parser.parse_args()


def _stop(number: int, _frame: FrameType | None) -> None:
    """End as after Ctrl-C: with the processes and the files of the job at hand."""
    raise SystemExit(128 + number)


def main() -> None:
    """Install, measure and print."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _stop)
    adopt_orphans()
    environments: Path = arguments.environments.absolute()
    systems: list[System] = [Fltui()]
    absent = {}
    for name in arguments.peers:
        requirement, peer = _PEERS[name]
        try:
            systems.append(peer(environment_for(requirement, environments)))
        except PeerError as error:
            absent[name] = str(error)
            print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    report = Report(
        datetime.now(UTC).date().isoformat(),
        this_machine(Path(tempfile.gettempdir())),
        arguments.repeats,
        ROUNDS,
        {system.name: system.version for system in systems},
        absent,
        measure_hello(systems, arguments.repeats),
        [measure_size(systems, size, arguments.repeats) for size in arguments.sizes],
    )
    print(msgspec.json.encode(report).decode() if arguments.json else tables(report))


if __name__ == "__main__":
    main()
