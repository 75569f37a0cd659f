"""Federations whose exchange is carried by rclone, or lies on a mount, for `benchmarks.carriers`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.engines.bucket import bucket_server
from tests.engines.federation import SERVER, Federation
from tests.engines.mounts import rclone_mount, sshfs
from tests.engines.rclone import carried, configured
from tests.engines.smb import SHARE, smb_server
from tests.engines.sshd import ssh_server
from tests.jobs import HELLO_SCRIPT

SITES = ("site-0", "site-1")


@contextmanager
def _meeting(kind: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where all meet, on this machine: rclone's name of it, and the variables with which rclone knows it."""
    folder.mkdir()
    with ExitStack() as opened:
        if kind == "sftp":
            place, text = f"hub:{folder}/hub", opened.enter_context(ssh_server(folder / "sshd")).remote("hub")
            (folder / "hub").mkdir()
        elif kind == "smb":
            place, text = f"hub:{SHARE}", opened.enter_context(smb_server(folder / "samba")).remote("hub")
        else:
            place, text = "hub:meeting", opened.enter_context(bucket_server(folder, "hub", "meeting"))
        yield place, configured(folder, text)


@contextmanager
def by_rclone(folder: Path, *, kind: str) -> Iterator[Federation]:
    """The scripts that ``fltui exchange init --for rclone`` writes, with 0.1 s of rest between two passes."""
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    with (
        _meeting(kind, folder / "between") as (remote, variables),
        carried(federation, remote, variables),
        federation,
    ):
        yield federation


@contextmanager
def on_rclone_mounts(folder: Path, *, kind: str) -> Iterator[Federation]:
    """Everybody on a mount of rclone's."""
    federation = Federation(folder / "federation", dict.fromkeys(SITES, HELLO_SCRIPT))
    with _meeting(kind, folder / "between") as (remote, variables), ExitStack() as mounts:
        for who in (SERVER, *SITES):
            mounts.enter_context(rclone_mount(remote, federation.exchange(who), variables))
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
