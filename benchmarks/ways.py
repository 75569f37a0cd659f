"""Federations whose exchange is carried in one way or another, for `benchmarks.carriers`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.engines.federation import SERVER, SITES, Federation
from tests.engines.meeting import meeting
from tests.engines.mounts import rclone_mount, sshfs
from tests.engines.programs import program
from tests.engines.rclone import carried
from tests.engines.sshd import ssh_server
from tests.engines.syncthing import Syncthing, fence_site, running, share_site
from tests.jobs import HELLO_SCRIPT, command


@dataclass(frozen=True)
class Way:
    """How an exchange is carried.

    Attributes:
        what: for people.
        rounds: how many are measured by default.
        carry: gives, in an empty folder, a federation whose exchange folders exist and are carried while it is used.
    """

    what: str
    rounds: int
    carry: Callable[[Path], AbstractContextManager[Federation]]


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
    found = program("syncthing")
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    syncthings = {who: Syncthing(found, folder / "syncthing" / who) for who in (SERVER, *SITES)}
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


@contextmanager
def by_rclone(folder: Path, *, kind: str) -> Iterator[Federation]:
    """The scripts that ``fltui exchange init --for rclone`` writes, with 0.1 s of rest between two passes."""
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    with (
        meeting(kind, folder / "between") as place,
        carried(federation, place.remote, place.variables),
        federation,
    ):
        yield federation


@contextmanager
def on_rclone_mounts(folder: Path, *, kind: str) -> Iterator[Federation]:
    """Everybody on a mount of rclone's."""
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    with meeting(kind, folder / "between") as place, ExitStack() as mounts:
        for who in (SERVER, *SITES):
            mounts.enter_context(rclone_mount(place.remote, federation.exchange(who), place.variables))
        with federation:
            yield federation


@contextmanager
def on_sshfs(folder: Path, *, cached: bool = False) -> Iterator[Federation]:
    """The server on its disk, each site on a mount of it.

    Args:
        folder: empty.
        cached: sshfs remembers what it has listed for 20 s, as it does if nobody says otherwise.
    """
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.exchange(SERVER).mkdir()
    options = ("reconnect", "ServerAliveInterval=2") + (() if cached else ("dir_cache=no",))
    with ssh_server(folder / "sshd") as server, ExitStack() as mounts:
        for site in SITES:
            mounts.enter_context(sshfs(server, federation.exchange(SERVER), federation.exchange(site), options))
        with federation:
            yield federation


WAYS = {
    "disk": Way("one folder on one disk", 20, one_disk),
    "syncthing-nudged": Way("Syncthing as 'fltui exchange init' says, --nudge", 20, partial(by_syncthing, nudge=True)),
    "syncthing-one-folder": Way(
        "one folder for both ways, --nudge", 20, partial(by_syncthing, nudge=True, fenced=False)
    ),
    "syncthing": Way("as init says (watchers gather for 1 s), no nudge", 6, partial(by_syncthing, nudge=False)),
    "syncthing-slow": Way(
        "watchers gather for 10 s, the default; no nudge",
        2,
        partial(by_syncthing, nudge=False, delay=10),
    ),
    "rclone-sftp": Way("rclone.sh of init over sftp, EVERY=0.1", 6, partial(by_rclone, kind="sftp")),
    "rclone-s3": Way("rclone.sh of init over the S3 protocol, EVERY=0.1", 6, partial(by_rclone, kind="s3")),
    "rclone-smb": Way("rclone.sh of init over SMB, EVERY=0.1", 6, partial(by_rclone, kind="smb")),
    "rclone-mount-sftp": Way("all on mounts of rclone over sftp", 6, partial(on_rclone_mounts, kind="sftp")),
    "rclone-mount-s3": Way("all on mounts of rclone over the S3 protocol", 6, partial(on_rclone_mounts, kind="s3")),
    "sshfs": Way("sites on sshfs, dir_cache=no", 20, on_sshfs),
    "sshfs-cached": Way("sites on sshfs as it is by default", 2, partial(on_sshfs, cached=True)),
}
"""By name; each is an option of the command."""
