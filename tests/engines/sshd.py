"""A real OpenSSH server for one test: a port, keys and a configuration of its own, and no door but its one key."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.engines.programs import NotHereError, program
from tests.engines.syncthing import await_true

_CONFIG = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
PermitRootLogin prohibit-password
MaxStartups 100
ClientAliveInterval 5
SetEnv HOME={folder}
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SshServer:
    """Where it listens, and the keys of both sides.

    Attributes:
        host: address.
        port: of it.
        folder: keys, configuration, log.
    """

    host: str
    port: int
    folder: Path

    @property
    def user(self) -> str:
        """Who may log in: the user of the test."""
        return getpass.getuser()

    @property
    def key(self) -> Path:
        """That user's private key."""
        return self.folder / "user"

    @property
    def known_hosts(self) -> Path:
        """The server's key, as its clients know it."""
        return self.folder / "known_hosts"

    def remote(self, name: str) -> str:
        """It as a remote in rclone's configuration."""
        lines = [f"[{name}]", "type = sftp", f"host = {self.host}", f"port = {self.port}", f"user = {self.user}"]
        lines += [f"key_file = {self.key}", f"known_hosts_file = {self.known_hosts}", "shell_type = unix"]
        return "\n".join([*lines, "md5sum_command = md5sum", "sha1sum_command = sha1sum", ""])


@contextmanager
def ssh_server(folder: Path, host: str = "127.0.0.1", port: int = 0, within: Sequence[str] = ()) -> Iterator[SshServer]:
    """Run one to the end of the block, with the sessions that it has.

    Args:
        folder: made for its files.
        host: the address it listens at.
        port: 0 for a free one.
        within: what its command is started by.
    """
    sshd = program("sshd")
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in before it knows who comes
    if not port:
        with socket.create_server((host, 0)) as free:
            port = free.getsockname()[1]
    server = SshServer(host, port, folder)
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    server.known_hosts.write_text(f"[{host}]:{port} {key}\n{host} {key}\n")
    (folder / "config").write_text(_CONFIG.format(port=port, host=host, folder=folder))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*within, sshd, "-D", "-e", "-f", str(folder / "config")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        await_true(lambda: process.poll() is not None or "listening" in log.read_text().lower(), "sshd listens")
        if process.poll() is not None:
            raise NotHereError(f"sshd does not run here: {log.read_text().strip()}")
        yield server
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End its sessions, each of which is a group of its own, then itself, who takes in what is left of them."""

    def end_sessions() -> bool:
        found = _descendants(process.pid)
        for pid in found:
            if not _descendants(pid):  # whoever has started it takes it in, and is next
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return not found

    try:
        await_true(end_sessions, "sshd has no sessions", 10)
    finally:
        process.kill()
        process.wait()


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            found += [child, *_descendants(child)]
    return found
