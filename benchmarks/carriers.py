"""The time of a round where something carries the exchange: ``python -m benchmarks.carriers --ways disk,syncthing``.

The hello job with a server and two sites as processes of their own. Each has its own exchange folder, and what carries
them runs on this machine, on loopback addresses: so no network adds to what is measured. Nothing here asserts a time.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.carried import by_rclone, on_rclone_mounts, on_sshfs
from benchmarks.command import Heading, count, end_in_order, lines_of_problems, parser_of, say, this_heading
from benchmarks.running import RunError
from tests.engines.federation import SERVER, Federation
from tests.engines.syncthing import Syncthing, fence_site, running, share_site
from tests.jobs import HELLO_JOB, HELLO_SCRIPT, command

SITES = ("site-0", "site-1")
_LIMIT = 600.0
"""Seconds for a run."""


@dataclass(frozen=True)
class Way:
    """How an exchange is carried.

    Attributes:
        what: for people.
        rounds: how many are measured by default.
        carry: gives, in an empty folder, a federation whose exchange folders exist and are carried while it is used.
        needs: programs.
    """

    what: str
    rounds: int
    carry: Callable[[Path], AbstractContextManager[Federation]]
    needs: tuple[str, ...] = ()


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the rounds of one way, or why there are none."""

    name: str
    what: str
    rounds: int
    median_s: float | None = None
    longest_s: float | None = None
    problem: str = ""


class Report(msgspec.Struct, frozen=True):
    """Everything that one invocation measured."""

    heading: Heading
    ways: list[Measured]


@contextmanager
def one_disk(folder: Path) -> Iterator[Federation]:
    """All use one folder on one disk."""
    federation = Federation(folder, dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.exchange(SERVER).mkdir()
    for site in SITES:
        federation.exchange(site).symlink_to(federation.exchange(SERVER))
    with federation:
        yield federation


@contextmanager
def by_syncthing(folder: Path, *, nudge: bool, fenced: bool = True, delay: float = 1.0) -> Iterator[Federation]:
    """Three Syncthings.

    Args:
        folder: empty.
        nudge: they are told what was published.
        fenced: each site has two folders, as ``fltui exchange init`` says; else one for both ways.
        delay: seconds for which their watchers gather changes.
    """
    program = shutil.which("syncthing") or ""
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    syncthings = {who: Syncthing(program, folder / "syncthing" / who) for who in (SERVER, *SITES)}
    for who in (SERVER, *SITES):
        side = ["--sites", ",".join(SITES)] if who == SERVER else ["--as", who]
        words = command(
            "exchange", "init", federation.exchange(who), *side, *(["--for", "syncthing"] if fenced else [])
        )
        subprocess.run(words, check=True, capture_output=True)
    for site in SITES:
        share = fence_site if fenced else share_site
        mine, theirs = federation.exchange(SERVER) / site, federation.exchange(site) / site
        share(syncthings[SERVER], syncthings[site], site, mine, theirs, delay)
    if nudge:
        federation.options = {who: ["--nudge", f"syncthing:{one.home}"] for who, one in syncthings.items()}
    with running(*syncthings.values()), federation:
        yield federation


WAYS = {
    "disk": Way("one folder on one disk", 20, one_disk),
    "syncthing-nudged": Way(
        "Syncthing as 'fltui exchange init' says, --nudge", 20, partial(by_syncthing, nudge=True), ("syncthing",)
    ),
    "syncthing-one-folder": Way(
        "one folder for both ways, --nudge", 20, partial(by_syncthing, nudge=True, fenced=False), ("syncthing",)
    ),
    "syncthing": Way(
        "as init says (watchers gather for 1 s), no nudge", 6, partial(by_syncthing, nudge=False), ("syncthing",)
    ),
    "syncthing-slow": Way(
        "watchers gather for 10 s, the default; no nudge",
        2,
        partial(by_syncthing, nudge=False, delay=10),
        ("syncthing",),
    ),
    "rclone-sftp": Way(
        "rclone.sh of init over sftp, EVERY=0.1", 6, partial(by_rclone, kind="sftp"), ("rclone", "ssh-keygen")
    ),
    "rclone-s3": Way(
        "rclone.sh of init over the S3 protocol, EVERY=0.1", 6, partial(by_rclone, kind="s3"), ("rclone",)
    ),
    "rclone-smb": Way(
        "rclone.sh of init over SMB, EVERY=0.1", 6, partial(by_rclone, kind="smb"), ("rclone", "smbpasswd")
    ),
    "rclone-mount-sftp": Way(
        "all on mounts of rclone over sftp", 6, partial(on_rclone_mounts, kind="sftp"), ("rclone", "ssh-keygen")
    ),
    "rclone-mount-s3": Way(
        "all on mounts of rclone over the S3 protocol", 6, partial(on_rclone_mounts, kind="s3"), ("rclone",)
    ),
    "sshfs": Way("sites on sshfs, dir_cache=no", 20, on_sshfs, ("sshfs", "ssh-keygen")),
    "sshfs-cached": Way(
        "sites on sshfs as it is by default", 2, partial(on_sshfs, cached=True), ("sshfs", "ssh-keygen")
    ),
}
"""By name; each is an option of the command."""


def _measure(name: str, way: Way, rounds: int) -> Measured:
    found = Measured(name, way.what, rounds)
    if missing := [program for program in way.needs if shutil.which(program) is None]:
        return msgspec.structs.replace(found, problem=f"{missing[0]} is not installed")
    say(f"{name}: {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="fltui-carriers-", ignore_cleanup_errors=True) as folder:
        try:
            with way.carry(Path(folder)) as federation:
                federation.serve(HELLO_JOB, "--rounds", str(rounds + 1))
                for site in SITES:
                    federation.join(site)
                if federation.ended(SERVER, _LIMIT):
                    raise RunError(federation.said(SERVER)[-600:])
                seconds = [event.seconds for event in federation.rounds()[1:]]
        except (AssertionError, RunError) as error:
            return msgspec.structs.replace(found, problem=str(error))
    return msgspec.structs.replace(found, median_s=statistics.median(seconds), longest_s=max(seconds))


def _lines(report: Report) -> list[str]:
    rows = [
        f"{one.name:22}{one.what:52}{one.rounds:6}"
        + ("" if one.median_s is None or one.longest_s is None else f"{one.median_s:10.3f} s{one.longest_s:10.3f} s")
        for one in report.ways
    ]
    return [
        report.heading.line(),
        "",
        "rounds of the hello job, 2 sites, from the publishing of the tasks; the first round is left out",
        f"{'way':22}{'':52}{'rounds':>6}{'median':>12}{'longest':>12}",
        *rows,
        *lines_of_problems({one.name: one.problem for one in report.ways}),
    ]


def main(arguments: Sequence[str]) -> None:
    """Measure."""
    parser = parser_of("carriers", "Measure a round where something carries the exchange.", 1)
    parser.add_argument("--ways", default=",".join(WAYS), metavar="NAMES", help=f"of {', '.join(WAYS)}; all by default")
    parser.add_argument("--rounds", type=count, metavar="N", help="rounds of each run, instead of its own number")
    chosen = parser.parse_args(arguments)
    names = chosen.ways.split(",")
    if unknown := [name for name in names if name not in WAYS]:
        parser.error(f"--ways: {unknown[0]!r} is none of {', '.join(WAYS)}")
    end_in_order()
    found = [
        _measure(name, WAYS[name], chosen.rounds or WAYS[name].rounds) for name in names for _ in range(chosen.repeats)
    ]
    report = Report(this_heading(), found)
    print(msgspec.json.encode(report).decode() if chosen.json else "\n".join(_lines(report)))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
