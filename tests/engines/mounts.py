"""File systems in programs of their own, that reach what lies elsewhere: sshfs, and ``rclone mount``."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fltui.exchange.mount import mount_of
from tests.engines.programs import NotHereError, program
from tests.engines.smb import SHARE, SmbServer
from tests.engines.sshd import SshServer
from tests.engines.syncthing import await_true

SSHFS = ("dir_cache=no", "reconnect", "ServerAliveInterval=2", "ServerAliveCountMax=2")
"""What docs/deploy.md says, with less patience."""

RCLONE = ("--vfs-cache-mode", "writes", "--vfs-write-back", "1s", "--dir-cache-time", "1s", "--attr-timeout", "1s")


@contextmanager
def sshfs(
    server: SshServer, source: Path, folder: Path, options: Sequence[str] = SSHFS, within: Sequence[str] = ()
) -> Iterator[None]:
    """``sshfs`` on a folder that is made, in the namespace of `within`, if that is given."""
    places = [f"port={server.port}", f"IdentityFile={server.key}", f"UserKnownHostsFile={server.known_hosts}"]
    words = [program("sshfs"), "-f", "-o", ",".join([*places, *options]), f"{server.user}@{server.host}:{source}"]
    with _mounted([*within, *words, str(folder)], folder, "fuse.sshfs", None):
        yield


@contextmanager
def rclone_mount(
    remote: str, folder: Path, variables: Mapping[str, str], options: Sequence[str] = RCLONE
) -> Iterator[None]:
    """``rclone mount`` on a folder that is made."""
    cache = folder.with_name(f"{folder.name}.cache")
    words = [program("rclone"), "mount", remote, str(folder), "--cache-dir", str(cache), *options]
    with _mounted(words, folder, "fuse.rclone", variables):
        yield


@contextmanager
def cifs(server: SmbServer, folder: Path) -> Iterator[None]:
    """The share of a Samba server on a folder that is made, by the kernel's own client."""
    program("mount.cifs")
    folder.mkdir(parents=True, exist_ok=True)
    options = f"port={server.port},username={server.user},password={server.password}"
    words = ["mount", "-t", "cifs", f"//127.0.0.1/{SHARE}", str(folder), "-o", options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(
            f"no SMB share can be mounted here, rclone carries one in test_rclone: {done.stderr.strip()[:60]}"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@contextmanager
def _mounted(words: Sequence[str], folder: Path, kind: str, variables: Mapping[str, str] | None) -> Iterator[None]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise NotHereError("there is no /dev/fuse here that this user may use")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("ab") as out:
        process = subprocess.Popen(
            words,
            env=None if variables is None else dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        await_true(lambda: process.poll() is not None or mount_of(folder).kind == kind, f"{folder} is mounted")
        if process.poll() is not None:
            raise NotHereError(f"{kind} cannot be mounted here: {log.read_text().strip()[-500:]}")
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
