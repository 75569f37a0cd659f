"""Real Syncthings on this machine: each with a home of its own, all of them on loopback addresses alone."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

_START = 30.0
"""Seconds in which a Syncthing is to answer."""

_QUIET = {"STNOUPGRADE": "1", "STNODEFAULTFOLDER": "1", "STNORESTART": "1", "STMONITORED": "yes"}
"""The last: one process, and not one that watches over another in a process group of its own, which outlives it."""


def await_true(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not in that time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Share:
    """A folder as one of the Syncthings that share it sees it.

    Attributes:
        name: the folder's id.
        path: where it lies on this machine.
        others: with whom it is shared.
        kind: sendreceive, sendonly or receiveonly.
        delay: seconds that the watcher gathers changes; 0 switches it off.
    """

    name: str
    path: Path
    others: tuple[Syncthing, ...]
    kind: str = "sendreceive"
    delay: float = 1.0


@dataclass(eq=False)
class Syncthing:
    """One Syncthing. It can be killed and started again; `close` ends it for good.

    Args:
        program: its path.
        home: for its configuration, keys and database.

    Attributes:
        shares: what it shares.
        calls: whom it calls. Not both each other: where they call at once, each may wait 20 s for the other to speak.
    """

    program: str
    home: Path
    shares: list[Share] = field(default_factory=list)
    calls: list[Syncthing] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        arguments = ["generate", f"--home={self.home}", "--no-default-folder", "--skip-port-probing"]
        subprocess.run([self.program, *arguments], check=True, capture_output=True, env={**os.environ, **_QUIET})
        found = ElementTree.parse(self.home / "config.xml").find("device")
        assert found is not None
        self.device = found.attrib["id"]
        self.key = secrets.token_hex(16)
        # An address of this instance's own, so that a port that is free stays free until it is used.
        self.host = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self.gui_port, self.port = _free_port(self.host), _free_port(self.host)

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.home / "syncthing.out"

    def configure(self) -> None:
        """Write its configuration: who shares what with whom, and nothing that leaves this machine."""
        peers = {other.device: other for share in self.shares for other in share.others} | {self.device: self}
        devices = [
            f"<device id={quoteattr(one.device)} name={quoteattr(one.home.name)} compression='metadata'>"
            f"<address>{f'tcp://{one.host}:{one.port}' if one in self.calls else 'dynamic'}</address></device>"
            for one in peers.values()
        ]
        text = "\n".join(
            [
                "<configuration version='36'>",
                *map(self._folder, self.shares),
                *devices,
                "<gui enabled='true' tls='false' debugging='false'>",
                f"<address>{self.host}:{self.gui_port}</address><apikey>{self.key}</apikey></gui>",
                "<options>",
                f"<listenAddress>tcp://{self.host}:{self.port}</listenAddress>",
                "<globalAnnounceEnabled>false</globalAnnounceEnabled>",
                "<localAnnounceEnabled>false</localAnnounceEnabled>",
                "<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled>",
                "<stunKeepaliveStartS>0</stunKeepaliveStartS>",
                "<reconnectionIntervalS>1</reconnectionIntervalS>",
                "<autoUpgradeIntervalH>0</autoUpgradeIntervalH><urAccepted>-1</urAccepted>",
                "<crashReportingEnabled>false</crashReportingEnabled><startBrowser>false</startBrowser>",
                "<minHomeDiskFree unit='%'>0</minHomeDiskFree>",
                "</options></configuration>",
            ]
        )
        (self.home / "config.xml").write_text(text)

    def _folder(self, share: Share) -> str:
        watched = "true" if share.delay else "false"
        members = "".join(f"<device id={quoteattr(one.device)}/>" for one in (self, *share.others))
        return (
            f"<folder id={quoteattr(share.name)} label='' path={quoteattr(str(share.path))} type='{share.kind}' "
            f"rescanIntervalS='60' fsWatcherEnabled='{watched}' fsWatcherDelayS='{share.delay or 10:g}' "
            f"ignorePerms='true' autoNormalize='true'>{members}<minDiskFree unit='%'>0</minDiskFree></folder>"
        )

    def start(self) -> None:
        """Start it; `await_ready` waits until it answers."""
        assert self._process is None
        arguments = ["serve", f"--home={self.home}", "--no-browser", "--no-restart", "--no-upgrade"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_QUIET},
            )

    def await_ready(self) -> None:
        """Wait until it answers and has looked through its folders."""
        await_true(self._is_ready, f"Syncthing {self.home.name} answers; {self.log}", _START)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        try:
            self.ask("GET", "/rest/system/ping")
            found = [self.ask("GET", f"/rest/db/status?folder={share.name}") for share in self.shares]
        except OSError:
            return False
        assert not any(one.get("error") for one in found), found
        return all(one["state"] != "scan-waiting" for one in found)

    def is_connected(self, other: Syncthing) -> bool:
        """Whether it talks with another one."""
        try:
            found = self.ask("GET", "/rest/system/connections")["connections"]
        except OSError:
            return False
        return bool(found.get(other.device, {}).get("connected"))

    def ask(self, method: str, path: str) -> Any:
        """A call of its REST interface.

        Raises:
            OSError: it does not answer.
        """
        line = http.client.HTTPConnection(self.host, self.gui_port, timeout=10)
        try:
            line.request(method, path, headers={"X-API-Key": self.key})
            answer = line.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            line.close()
        if answer.status != 200:
            raise OSError(f"{urllib.parse.urlsplit(path).path}: {answer.status} {body[:200]!r}")
        return json.loads(body) if body else None

    def kill(self) -> None:
        """``kill -9``."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop it where it is."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def share_site(server: Syncthing, site: Syncthing, name: str, mine: Path, theirs: Path, delay: float = 1.0) -> None:
    """Let two Syncthings share the folder of a site, which calls the server."""
    site.calls.append(server)
    server.shares.append(Share(f"fltui-{name}", mine, (site,), delay=delay))
    site.shares.append(Share(f"fltui-{name}", theirs, (server,), delay=delay))


def fence_site(server: Syncthing, site: Syncthing, name: str, mine: Path, theirs: Path, delay: float = 1.0) -> None:
    """The same in two folders, so that neither can write what the other sends."""
    site.calls.append(server)
    for part, sender, receiver in (("tasks", server, site), ("", site, server)):
        paths = {id(server): mine / part, id(site): theirs / part}
        share = f"fltui-{name}-{part}".rstrip("-")
        for one, other, kind in ((sender, receiver, "sendonly"), (receiver, sender, "receiveonly")):
            one.shares.append(Share(share, paths[id(one)], (other,), kind, delay))


@contextmanager
def running(*syncthings: Syncthing) -> Iterator[None]:
    """Run them until all are connected, and to the end of the block."""
    try:
        for one in syncthings:
            for share in one.shares:
                share.path.mkdir(parents=True, exist_ok=True)
                (share.path / ".stfolder").mkdir(exist_ok=True)
            one.configure()
            one.start()
        for one in syncthings:
            one.await_ready()
        for one in syncthings:
            for other in {other.device: other for share in one.shares for other in share.others}.values():
                await_true(partial(one.is_connected, other), "two Syncthings are connected")
        yield
    finally:
        for one in syncthings:
            one.kill()


def _free_port(host: str) -> int:
    with socket.socket() as found:
        found.bind((host, 0))
        port: int = found.getsockname()[1]
        return port
