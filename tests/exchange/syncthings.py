"""A Syncthing's REST interface, played by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import parse_qs, urlsplit

KEY = "0123456789abcdef"


def write_config(home: Path, address: str, *, tls: bool = False, key: str = KEY) -> None:
    """A configuration with all that is read of it."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.xml").write_text(
        f"<configuration version='36'><gui enabled='true' tls='{str(tls).lower()}'>"
        f"<address>{address}</address><apikey>{key}</apikey></gui></configuration>"
    )


@dataclass
class Played:
    """What it shares, and what it was asked to look through.

    Attributes:
        home: with its configuration.
        folders: its folders' ids, and where they lie.
        scans: the id of each folder with what is below it, in the order asked.
        keys: all keys that it was shown.
        answer: called before each answer to a scan; what it gives is the answer's status.
    """

    home: Path
    folders: dict[str, Path]
    scans: SimpleQueue[tuple[str, list[str]]] = field(default_factory=SimpleQueue)
    keys: set[str] = field(default_factory=set)
    answer: Callable[[], int] = lambda: 200

    def next(self) -> tuple[str, list[str]]:
        """The next scan, waited for."""
        return self.scans.get(timeout=20)


@contextmanager
def played(home: Path, folders: dict[str, Path], port: int = 0) -> Iterator[Played]:
    """One that runs."""
    found = Played(home, folders)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = [{"id": name, "path": str(path), "type": "sendonly"} for name, path in found.folders.items()]
            self._say(200, told if self.path == "/rest/config/folders" else {"ping": "pong"})

        def do_POST(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            found.scans.put((asked["folder"][0], sorted(asked.get("sub", []))))
            self._say(found.answer(), {})

        def _say(self, status: int, said: object) -> None:
            found.keys.add(self.headers["X-API-Key"])
            body = json.dumps(said).encode()
            self.send_response(status if self.headers["X-API-Key"] == KEY else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Who has asked may be gone."""

    with Server(("127.0.0.1", port), Handler) as server:
        write_config(home, f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
