"""Who may see the console."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.web.guard import Guard, guard_for, is_loopback, origin_of
from fltui.web.token import VARIABLE, make_token, read_token

TOKEN = "correct-horse-battery"
PUBLIC = Guard(TOKEN, public="https://fl.example.org")
ANYWHERE = Guard(TOKEN, frozenset({"localhost", "node1"}), anywhere=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:9000", "LOCALHOST", "[::1]:8000", "127.8.9.1", "localhost."]
)
def test_this_machine_by_any_port(host: str) -> None:
    assert Guard().is_own_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "10.0.0.5",
        "localhost@evil",
        "localhost:1; x",
        "localhost/x",
        "[::1",
        "a:b:c",
        "localhost:99999",
        "localhost:0",
    ],
)
def test_any_other_name_is_refused(host: str) -> None:
    assert not Guard().is_own_host(host)


def test_with_a_token_addresses_and_names_of_this_machine() -> None:
    assert ANYWHERE.is_own_host("10.0.0.5:8000")
    assert ANYWHERE.is_own_host("node1:8000")
    assert not ANYWHERE.is_own_host("evil.example")
    assert PUBLIC.is_own_host("fl.example.org")
    assert not PUBLIC.is_own_host("10.0.0.5")


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://localhost:3000", "file://", "ws://localhost:8000", "http://["]
)
def test_pages_of_other_sites(origin: str) -> None:
    assert not Guard().is_own_page(origin, "localhost:8000")


def test_the_own_page() -> None:
    assert Guard().is_own_page("http://localhost:8000", "localhost:8000")
    assert not Guard().is_own_page("http://", "")
    assert PUBLIC.is_own_page("https://fl.example.org", "127.0.0.1:8000")


def test_the_token() -> None:
    guard = Guard(TOKEN)
    assert guard.knows_token(TOKEN)
    assert not guard.knows_token("")
    assert not guard.knows_token("ü")
    assert not guard.knows_token("\udcff")
    assert not guard.is_let_in("\udcff")
    assert not guard.is_let_in("")
    assert guard.is_let_in(guard.cookie)
    assert TOKEN not in guard.cookie
    assert Guard().is_let_in("")
    assert not Guard().knows_token("")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(BadInputError, match=f"--host {host} can be reached from other machines.*--make-token"):
        guard_for(host, "", "")
    assert guard_for(host, TOKEN, "").anywhere


def test_so_does_a_proxy() -> None:
    with pytest.raises(BadInputError, match="lets others in"):
        guard_for("127.0.0.1", "", "https://fl.example.org")
    assert guard_for("127.0.0.1", TOKEN, "https://FL.example.org/").public == "https://fl.example.org"


def test_this_machine_needs_none() -> None:
    assert not guard_for("127.0.0.1", "", "").anywhere
    assert is_loopback("localhost")
    for host in ("", "no such name.invalid"):
        with pytest.raises(BadInputError, match="--host"):
            is_loopback(host)


@pytest.mark.parametrize(
    "url", ["", "fl.example.org", "https://fl.example.org/console", "ftp://x", "https://a@b", "https://x:y"]
)
def test_what_is_no_public_url(url: str) -> None:
    with pytest.raises(BadInputError, match="--public-url"):
        origin_of(url)


def test_a_token_file_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    make_token(path)
    token = read_token(path)
    assert len(token) > 40
    assert path.stat().st_mode & 0o777 == 0o600
    make_token(path)
    assert read_token(path) == token
    path.chmod(0o644)
    with pytest.raises(BadInputError, match="can be read by others"):
        read_token(path)


def test_a_token_in_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token(None) == ""
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    assert VARIABLE not in os.environ
    for wrong in ("   ", "x" * 1025):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(BadInputError, match=f"{VARIABLE} has to be one line of 16 to 1024"):
            read_token(None)


@pytest.mark.parametrize("text", ["", "short", "with\na line feed in it", "x" * 15, "x" * 1025, "ü" * 30])
def test_what_is_no_token(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadInputError, match="has to be one line of 16"):
        read_token(path)
    path.write_text("x" * 100_000)
    with pytest.raises(BadInputError, match="is it the right one"):
        read_token(path)
    with pytest.raises(BadInputError, match="there is no token file"):
        read_token(tmp_path / "none")
