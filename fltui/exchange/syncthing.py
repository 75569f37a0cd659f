"""A Syncthing on this machine: its configuration, and its REST interface, by which it is told where to look.

Its API key lets whoever has it do everything with that Syncthing. So it is read from the configuration, which belongs
to the user whom Syncthing runs as, it is sent to this very machine alone, and no message shows it.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
import sys
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from fltui.errors import BadInputError, FltuiError

CONNECT_TIMEOUT = 1.0
"""Seconds in which it has to take a call: it is on this machine."""

_LARGEST = 1 << 24
"""Bytes of a configuration or an answer."""


class NoAnswerError(FltuiError):
    """It does not do what it is asked to; the message is a sentence for people."""


class BusyError(FltuiError):
    """It has taken the call, and its answer takes long."""


class _Shared(msgspec.Struct):
    id: str
    path: str


@dataclass(frozen=True)
class _Gui:
    """Where it listens, and its key."""

    host: str
    port: int
    tls: bool
    key: str = field(repr=False)


def config_homes() -> list[Path]:
    """The folders in which a Syncthing of this user may have its configuration, the likeliest first."""
    home, named = Path.home(), (os.environ.get("STCONFDIR"), os.environ.get("STHOMEDIR"))
    found = [Path(one) for one in named if one]
    if sys.platform == "darwin":
        found.append(home / "Library" / "Application Support" / "Syncthing")
    elif sys.platform == "win32":
        found.append(Path(os.environ.get("LOCALAPPDATA", home)) / "Syncthing")
    else:
        found += [  # where newer ones keep it, they still use what lies where older ones did
            Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "syncthing",
            Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "syncthing",
        ]
    return found


def find_home(named: str = "") -> Path:
    """The folder with the configuration of the Syncthing to talk to.

    Args:
        named: by a person: that folder, or its ``config.xml``; empty to look where this user's would be.

    Raises:
        BadInputError: there is none, or this user cannot read it.
    """
    homes = [Path(named).expanduser().absolute()] if named else config_homes()
    if named and homes[0].name == "config.xml":
        homes = [homes[0].parent]
    for home in homes:
        try:
            (home / "config.xml").open("rb").close()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BadInputError(
                f"{error.filename} cannot be read: {error.strerror}; run fltui as the user that Syncthing runs as"
            ) from error
        _read(home)
        return home
    looked = ", ".join(str(home / "config.xml") for home in homes)
    raise BadInputError(
        f"no configuration of Syncthing is there ({looked}); name its folder, as in "
        "--nudge syncthing:/home/fl/.config/syncthing, and run fltui as the user that Syncthing runs as"
    )


class Syncthing:
    """One that runs on this machine.

    Args:
        home: the folder with its ``config.xml``, which is read at every call: it may be started anew with another port.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def folders(self) -> dict[Path, str]:
        """Where the folders lie that it shares, links followed, and their ids.

        Raises:
            NoAnswerError, BusyError: it does not say.
        """
        answer = self._call("GET", "/rest/config/folders", timeout=CONNECT_TIMEOUT)
        try:
            found = msgspec.json.decode(answer, type=list[_Shared])
        except msgspec.MsgspecError as error:
            raise NoAnswerError(f"Syncthing of {self.home} says nothing of its folders that can be read") from error
        return {Path(os.path.realpath(Path(one.path).expanduser())): one.id for one in found}

    def scan(self, folder: str, below: Sequence[str], timeout: float) -> None:
        """Let it look through parts of a folder now.

        Args:
            folder: the folder's id.
            below: paths in it, with ``/``; none for all of it.
            timeout: seconds to wait for the end of it.

        Raises:
            NoAnswerError: it does not.
            BusyError: it has begun and is not through.
        """
        asked = [("folder", folder), *(("sub", one) for one in below)]
        self._call("POST", f"/rest/db/scan?{urllib.parse.urlencode(asked)}", timeout=timeout)

    def ping(self) -> None:
        """Make sure that it answers.

        Raises:
            NoAnswerError: it does not.
        """
        try:
            self._call("GET", "/rest/system/ping", timeout=CONNECT_TIMEOUT)
        except BusyError as error:
            raise NoAnswerError(f"Syncthing of {self.home} takes calls and answers none") from error

    def _call(self, method: str, path: str, *, timeout: float) -> bytes:
        try:
            gui = _read(self.home)
        except BadInputError as error:
            raise NoAnswerError(str(error)) from error
        line = _line(gui)
        place = f"Syncthing of {self.home} at {gui.host}:{gui.port}"
        try:
            try:
                line.connect()
            except OSError as error:
                raise NoAnswerError(f"{place} does not answer: {error.strerror or error}; is it running?") from error
            line.sock.settimeout(timeout)
            line.request(method, path, headers={"X-API-Key": gui.key})
            answer = line.getresponse()
            body = answer.read(_LARGEST)
        except TimeoutError as error:
            raise BusyError(f"{place} has not answered within {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{place} has broken off: {type(error).__name__}") from error
        finally:
            line.close()
        if answer.status in (401, 403):
            raise NoAnswerError(f"{place} refuses the key of {self.home / 'config.xml'}: is that its configuration?")
        if answer.status != http.client.OK:
            said = body[:200].decode("utf-8", "replace").strip()
            raise NoAnswerError(f"{place} answers {answer.status}: {said}")
        return body


def _line(gui: _Gui) -> http.client.HTTPConnection:
    if not gui.tls:
        return http.client.HTTPConnection(gui.host, gui.port, timeout=CONNECT_TIMEOUT)
    # Its certificate is one of its own making. The call does not leave this machine, so nobody can stand in between.
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(gui.host, gui.port, timeout=CONNECT_TIMEOUT, context=unverified)


def _read(home: Path) -> _Gui:
    """Where a Syncthing listens, and its key.

    Raises:
        BadInputError: its configuration cannot be read, or it listens in a way that cannot be used.
    """
    path = home / "config.xml"
    try:
        with path.open("rb") as file:
            root = ElementTree.fromstring(file.read(_LARGEST))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    except ElementTree.ParseError as error:
        raise BadInputError(f"{path} is no configuration of Syncthing: {error}") from error
    gui = root.find("gui")
    if gui is None or gui.get("enabled", "true") != "true":
        raise BadInputError(f"{path} switches the REST interface off, which a nudge needs: set <gui enabled='true'>")
    address, key = (gui.findtext("address") or "").strip(), (gui.findtext("apikey") or "").strip()
    if not key:
        raise BadInputError(f"{path} has no API key: Syncthing makes one when it is started")
    host, port = _loopback(address, path)
    return _Gui(host, port, gui.get("tls") == "true", key)


def _loopback(address: str, path: Path) -> tuple[str, int]:
    """Host and port of this machine at which a Syncthing is reached that listens at `address`.

    Raises:
        BadInputError: it does not listen on this machine's own addresses.
    """
    try:
        parts = urllib.parse.urlsplit(f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if port is not None and host in ("", "0.0.0.0", "localhost"):  # it listens at all of them
        return "127.0.0.1", port
    if port is not None and host == "::":
        return "::1", port
    try:
        if port is not None and ipaddress.ip_address(host).is_loopback:
            return host, port
    except ValueError:
        pass
    raise BadInputError(
        f"Syncthing of {path} has its GUI at {address!r}; a nudge needs it at an address of this machine alone, as "
        "127.0.0.1:8384: its key is sent nowhere else"
    )
