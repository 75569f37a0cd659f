"""Where a Syncthing of this user is, and how it is called."""

from __future__ import annotations

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fltui.exchange.syncthing import Syncthing, config_homes, find_home
from tests.exchange.syncthings import played, write_config


def test_it_is_looked_for_where_this_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("STCONFDIR", "STHOMEDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_config(tmp_path / "state" / "syncthing", "127.0.0.1:8384")
    assert find_home() == tmp_path / "state" / "syncthing"
    write_config(tmp_path / "config" / "syncthing", "127.0.0.1:8384")
    assert find_home() == tmp_path / "config" / "syncthing"
    monkeypatch.setenv("STHOMEDIR", str(tmp_path / "state" / "syncthing"))
    assert find_home() == config_homes()[0] == tmp_path / "state" / "syncthing"


@pytest.mark.parametrize("address", ["0.0.0.0", "localhost", "127.0.0.1", ""])
def test_one_that_listens_everywhere_is_called_on_this_machine(tmp_path: Path, address: str) -> None:
    with played(tmp_path / "home", {"a": tmp_path}) as syncthing:
        config = syncthing.home / "config.xml"
        config.write_text(config.read_text().replace("<address>127.0.0.1:", f"<address>{address}:"))
        assert Syncthing(syncthing.home).folders() == {tmp_path.resolve(): "a"}


def test_its_own_certificate_is_taken_on_this_machine(tmp_path: Path) -> None:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncthing")]),
    )
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    text = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "own.pem").write_bytes(text)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[{"id": "a", "path": "/srv/a"}]')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "own.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        write_config(tmp_path / "home", f"127.0.0.1:{server.server_address[1]}", tls=True)
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        assert Syncthing(tmp_path / "home").folders() == {Path("/srv/a").resolve(): "a"}
        thread.join()
