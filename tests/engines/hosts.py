"""Hosts with networks of their own on this machine: network namespaces, and one more that is the switch between them.

All addresses are inside namespaces that are made here, so nothing of the machine's own network is touched.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.engines.programs import NotHereError, program

_HANDLE = "/run/netns"


class Hosts:
    """Hosts by name, each with one link to the switch.

    Args:
        names: of the hosts.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._ip, self._nsenter = program("ip"), program("nsenter")
        self._stem = f"fltui-{secrets.token_hex(4)}"
        self._switch = f"{self._stem}-switch"
        self._numbers = {name: number for number, name in enumerate(names, start=1)}

    def make(self) -> None:
        """Make them."""
        self._run("netns", "add", self._switch)
        self._run("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        self._run("-n", self._switch, "link", "set", "bridge", "up")
        for name in self._numbers:
            host = self._host(name)
            self._run("netns", "add", host)
            link = ("link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", self._port(name))
            self._run(*link, "netns", self._switch)
            self._run("-n", self._switch, "link", "set", self._port(name), "master", "bridge", "up")
            self._run("-n", host, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            self._run("-n", host, "link", "set", "lo", "up")
            self._run("-n", host, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Remove them, and end what runs in them."""
        for name in (*map(self._host, self._numbers), self._switch):
            found = subprocess.run([self._ip, "netns", "pids", name], capture_output=True, text=True, check=False)
            if pids := found.stdout.split():
                subprocess.run(["kill", "-9", *pids], capture_output=True, check=False)
            subprocess.run([self._ip, "netns", "delete", name], capture_output=True, check=False)

    def address(self, name: str) -> str:
        """A host's address, inside the namespaces."""
        return f"10.77.0.{self._numbers[name]}"

    def within(self, name: str) -> list[str]:
        """What a command is started by to run on a host. Mounts are those of this machine."""
        return [self._nsenter, f"--net={Path(_HANDLE, self._host(name))}", "--"]

    def cut(self, name: str) -> None:
        """Cut the link of a host, as by pulling its cable at the switch."""
        self._run("-n", self._switch, "link", "set", self._port(name), "down")

    def restore(self, name: str) -> None:
        """Put it back."""
        self._run("-n", self._switch, "link", "set", self._port(name), "up")

    def _host(self, name: str) -> str:
        return f"{self._stem}-{self._numbers[name]}"

    def _port(self, name: str) -> str:
        return f"port{self._numbers[name]}"

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([self._ip, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHereError(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Hosts to the end of the block, whatever happens in it."""
    found = Hosts(names)
    try:
        found.make()
        yield found
    finally:
        found.remove()
