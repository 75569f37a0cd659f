"""Who may see the console: decided by what a request says of itself. Pure; it knows no web server.

Whoever can press its keys can run any code as this user. So a page of another web site must not reach it, though the
browser that shows that page can: it names itself as `Origin`, and where it pretends to be this machine by a name
service, its own name stands in `Host`. And whoever is not at this machine has to know the token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fltui.errors import BadInputError

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True)
class Guard:
    """The rules of one server.

    Attributes:
        token: what a browser has to know; empty if nothing.
        names: of this machine, besides its addresses.
        public: origin under which a proxy shows the console, ``https://fl.example.org``; empty without one.
        anywhere: any address of this machine will do, not only loopback.
    """

    token: str = ""
    names: frozenset[str] = field(default_factory=lambda: frozenset({"localhost"}))
    public: str = ""
    anywhere: bool = False

    @property
    def cookie(self) -> str:
        """What a browser keeps: it shows that the token was known, and does not show the token."""
        return hmac.new(self.token.encode(), b"fltui web", hashlib.sha256).hexdigest()

    def knows_token(self, told: str) -> bool:
        """Whether somebody has told the token."""
        return bool(self.token) and _same(told, self.token)

    def is_let_in(self, cookie: str) -> bool:
        """Whether a browser has been let in before, or anybody is."""
        return not self.token or _same(cookie, self.cookie)

    def is_own_host(self, host: str) -> bool:
        """Whether a request was sent to this machine by a name it has, and not by one that somebody made lead here."""
        name = host_name(host)
        if not name:
            return False
        if self.public and host.lower() == urlsplit(self.public).netloc:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return self.anywhere or address.is_loopback

    def is_own_page(self, origin: str, host: str) -> bool:
        """Whether a connection was opened by a page of this server.

        Args:
            origin: of the page, as the browser says.
            host: to which the connection was opened.
        """
        if self.public and origin.lower() == self.public:
            return True
        try:
            found = urlsplit(origin)
        except ValueError:
            return False
        return found.scheme in ("http", "https") and bool(host) and found.netloc.lower() == host.lower()


def host_name(host: str) -> str:
    """The name or address in a ``Host``, without port and brackets; empty if it is none."""
    if not _HOST.fullmatch(host):
        return ""
    try:
        found = urlsplit(f"//{host}")
        return "" if found.port == 0 else (found.hostname or "").rstrip(".")
    except ValueError:
        return ""


def _same(told: str, known: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how far; no byte that a request has stops it."""
    return hmac.compare_digest(told.encode("utf-8", "surrogatepass"), known.encode())


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen at can be reached from this machine alone.

    Raises:
        BadInputError: it is none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name"
        raise BadInputError(f"--host {host!r} is no address of this machine: {why}") from error
    if not found:
        raise BadInputError("--host is empty; 127.0.0.1 is this machine alone, 0.0.0.0 is every address it has")
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


def origin_of(url: str) -> str:
    """The origin of a public URL.

    Raises:
        BadInputError: it is none, or has a path: the console is served at the root of a name.
    """
    try:
        found = urlsplit(url)
        right = found.scheme in ("http", "https") and found.hostname and found.port != 0
    except ValueError:
        right = False
    if not right or found.path not in ("", "/") or found.query or found.fragment or "@" in found.netloc:
        raise BadInputError(f"--public-url is {url!r}, expected one like https://fl.example.org, without a path")
    return f"{found.scheme}://{found.netloc.lower()}"


def guard_for(host: str, token: str, public: str) -> Guard:
    """The rules for a server that listens at `host`.

    Raises:
        BadInputError: somebody else could reach it, and there is no token.
    """
    local = is_loopback(host)
    origin = origin_of(public) if public else ""
    if not token and not local:
        raise BadInputError(
            f"--host {host} can be reached from other machines, and whoever opens the console can run any code as you: "
            "give a token, 'fltui web --token-file FILE --make-token', or use 127.0.0.1 and 'ssh -L'"
        )
    if not token and origin:
        raise BadInputError(
            f"--public-url {public} lets others in, and whoever opens the console can run any code as you: "
            "give a token, 'fltui web --token-file FILE --make-token'"
        )
    names = {"localhost", host.lower()}
    if not local:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Guard(token, frozenset(names), origin, not local)
