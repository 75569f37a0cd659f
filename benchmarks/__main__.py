"""The command; see the package."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

_BENCHMARKS = {
    "latency": ("rounds with a tiny model against the floor, or watched", "latency --sites 2,8 --repeats 3"),
    "throughput": ("rounds with large models against moving their bytes; memory", "throughput --cases 100x2"),
    "sites": ("what 10, 100, 1000 simulated sites cost", "sites --sites 10,100 --limit 60"),
    "startup": ("the hello job, the console's first frame, the Client API", "startup --repeats 3"),
    "aggregation": ("aggregators and server optimisers on models in files; memory", "aggregation --cases 1x32"),
    "console": ("floods of log lines, large matrices, many sites, long journals", "console --seconds 10"),
    "carriers": ("rounds where something carries the exchange: sync engines, mounts", "carriers --ways disk,syncthing"),
    "peers": ("the same jobs on fltui, nvflare and flwr", "peers --peers flwr --sizes tiny,10"),
}

_INSTALL = "python -m pip install -e '.[dev]' installs all that benchmarks need"


def _epilog() -> str:
    lines = [
        f"  {name:11} {what}\n{'':14}python -m benchmarks {example}" for name, (what, example) in _BENCHMARKS.items()
    ]
    return "\n".join(["benchmarks, each with an example:", *lines, "", f"Each has --help and --json; {_INSTALL}."])


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark that is named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure fltui against the least that the same work costs. No result is judged.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(_BENCHMARKS), metavar="NAME", help=", ".join(_BENCHMARKS))
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="options of that benchmark")
    chosen = parser.parse_args(arguments)
    if chosen.name == "peers":
        from benchmarks.peers.__main__ import main as peers  # it reads the process's own arguments

        sys.argv[1:] = chosen.options
        peers()
    else:
        try:
            benchmark = importlib.import_module(f"benchmarks.{chosen.name}")
        except ModuleNotFoundError as error:
            parser.error(f"{chosen.name} needs {error.name}; {_INSTALL}")
        benchmark.main(chosen.options)


if __name__ == "__main__":
    main(sys.argv[1:])
