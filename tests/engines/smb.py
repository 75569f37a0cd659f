"""A real Samba server for one test: a port, an account and folders of its own."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.programs import NotHereError, program
from tests.engines.syncthing import await_true

SHARE = "exchange"

_PASSWORD = "for-one-test"

_CONFIG = """\
[global]
server role = standalone server
interfaces = 127.0.0.1
bind interfaces only = yes
smb ports = {port}
disable netbios = yes
load printers = no
printcap name = /dev/null
passdb backend = tdbsam:{folder}/passdb.tdb
private dir = {folder}
lock directory = {folder}
state directory = {folder}
cache directory = {folder}
pid directory = {folder}
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log
log level = 1
[{share}]
path = {path}
read only = no
"""


@dataclass(frozen=True)
class SmbServer:
    """Where it listens.

    Attributes:
        port: on loopback.
        user: who may log in.
        password: of that user.
    """

    port: int
    user: str = field(default_factory=getpass.getuser)
    password: str = _PASSWORD

    def remote(self, name: str) -> str:
        """It as a remote in rclone's configuration."""
        done = subprocess.run([program("rclone"), "obscure", self.password], check=True, capture_output=True, text=True)
        lines = [f"[{name}]", "type = smb", "host = 127.0.0.1", f"port = {self.port}", f"user = {self.user}"]
        return "\n".join([*lines, f"pass = {done.stdout.strip()}", ""])


@contextmanager
def smb_server(folder: Path, shared: Path | None = None) -> Iterator[SmbServer]:
    """Run one to the end of the block.

    Args:
        folder: made for its files.
        shared: what it shares; an empty folder if not given.
    """
    smbd = program("smbd")
    if os.geteuid():
        raise NotHereError("Samba changes to the user who logs in, so only root can run it")
    folder.mkdir(parents=True)
    path = shared or folder / SHARE
    path.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "smb.conf"
    config.write_text(_CONFIG.format(port=port, folder=folder, share=SHARE, path=path))
    server = SmbServer(port)
    subprocess.run(
        [program("smbpasswd"), "-c", str(config), "-s", "-a", server.user],
        input=f"{_PASSWORD}\n{_PASSWORD}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [smbd, "--foreground", "--no-process-group", "-s", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        await_true(lambda: process.poll() is not None or _answers(port), "Samba answers")
        assert process.poll() is None, (folder / "out").read_text()
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
