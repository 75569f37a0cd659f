"""The folder of keys, and who is who by it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.exchange.keys import Keys, keys_path, read_public, server_identity, site_identity
from fltui.exchange.layout import SERVER
from fltui.exchange.publish import open_exchange, open_site, show_server_key
from fltui.exchange.signing import fingerprint, signature_fault
from tests.exchange.manifests import result
from tests.exchange.odd import ODD
from tests.exchange.signers import LOW_ORDER, signer

KEY, OTHER = signer(1).public, signer(2).public


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A folder that does not exist yet."""
    return Keys(tmp_path / "mine" / "keys")


def test_where_keys_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    for name in ("FLTUI_KEYS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert keys_path() == Path("/home/anna/.config/fltui/keys")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/settings")
    assert keys_path() == Path("/settings/fltui/keys")
    monkeypatch.setenv("FLTUI_KEYS", "~/keys")
    assert keys_path() == Path("/home/anna/keys")


def test_a_key_is_made_for_its_owner_alone(keys: Keys) -> None:
    before = os.umask(0)
    try:
        public = keys.create("clinic-a")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (keys.root, *keys.root.iterdir())}
    assert modes == {"keys": 0o700, "clinic-a.key": 0o600, "clinic-a.pub": 0o644}
    assert read_public(keys.public("clinic-a")) == public == keys.signer("clinic-a").public
    assert signature_fault(keys.signer("clinic-a").encode(result()), public) == ""
    assert keys.names() == ["clinic-a"]


def test_a_key_is_never_overwritten(keys: Keys) -> None:
    public = keys.create(SERVER)
    with pytest.raises(BadInputError, match=r"there is a key of server already, .*nothing was changed"):
        keys.create(SERVER)
    assert keys.signer(SERVER).public == public


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_private_key_that_others_can_read_is_refused(keys: Keys, mode: int) -> None:
    keys.create(SERVER)
    keys.private(SERVER).chmod(mode)
    with pytest.raises(BadInputError, match=rf"\(mode {mode:04o}\): type 'chmod 600 {keys.private(SERVER)}'"):
        keys.signer(SERVER)


@pytest.mark.parametrize("where", ["", "site-0", "site-0/deep/keys"])
def test_no_keys_in_an_exchange(tmp_path: Path, where: str) -> None:
    open_exchange(tmp_path / "exchange")
    folder = tmp_path / "exchange" / where
    with pytest.raises(BadInputError, match=r"is an exchange.*set FLTUI_KEYS"):
        Keys(folder).create(SERVER)
    with pytest.raises(BadInputError, match="is an exchange"):
        Keys(folder).trust("site-0", KEY)
    assert [path.name for path in (tmp_path / "exchange").rglob("*")] == ["exchange.json"]


def test_no_keys_in_a_site_s_part_of_an_exchange_nor_behind_a_link_to_it(tmp_path: Path) -> None:
    exchange = open_exchange(tmp_path / "exchange")
    open_site(exchange.site("site-0"), "site")
    exchange.about.unlink()
    (tmp_path / "link").symlink_to(exchange.site("site-0").root)
    with pytest.raises(BadInputError, match="is an exchange, or a site's folder of one"):
        Keys(tmp_path / "link").create("site-0")


def test_keys_that_came_into_an_exchange_are_not_used(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "folder" / "keys")
    keys.create(SERVER)
    keys.trust("a", KEY)
    open_exchange(tmp_path / "folder")
    with pytest.raises(BadInputError, match="is an exchange"):
        keys.signer(SERVER)
    with pytest.raises(BadInputError, match="is an exchange"):
        keys.all_trusted()


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_private_key_is_told(keys: Keys, text: str) -> None:
    keys.create(SERVER)
    keys.private(SERVER).write_text(text)
    with pytest.raises(BadInputError, match="is damaged or none") as found:
        keys.signer(SERVER)
    assert "http" not in str(found.value)


def test_a_private_key_of_another_kind_is_told(keys: Keys) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    keys.create(SERVER)
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keys.private(SERVER).write_bytes(other)
    with pytest.raises(BadInputError, match="is not an Ed25519 key"):
        keys.signer(SERVER)


def test_trust_is_given_once_and_replaced_on_demand(keys: Keys) -> None:
    assert keys.trust("a", KEY)
    assert not keys.trust("a", KEY)
    with pytest.raises(BadInputError, match=f"{fingerprint(KEY)}; nothing was changed.*--replace"):
        keys.trust("a", OTHER)
    assert keys.all_trusted() == {"a": KEY}
    assert keys.trust("a", OTHER, replace=True)
    assert keys.all_trusted() == {"a": OTHER}
    assert keys.names() == []


@pytest.mark.parametrize("folder", [".", "trusted"])
def test_trust_that_others_could_have_given_does_not_count(keys: Keys, folder: str) -> None:
    keys.trust("a", KEY)
    (keys.root / folder).chmod(0o770)
    with pytest.raises(BadInputError, match=r"others can put keys into .*chmod 700"):
        keys.all_trusted()
    with pytest.raises(BadInputError, match="others can put keys into"):
        keys.trust("b", OTHER)


@pytest.mark.parametrize("name", ["", "../a", "a/b", "Server", "con"])
def test_only_the_server_and_sites_have_keys(keys: Keys, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot be used"):
        keys.create(name)
    with pytest.raises(BadInputError, match="cannot be used"):
        keys.trust(name, KEY)
    with pytest.raises(BadInputError, match="cannot be used"):
        keys.signer(name)
    assert not keys.root.exists()


def test_a_private_key_is_not_taken_for_a_public_one(keys: Keys) -> None:
    keys.create(SERVER)
    with pytest.raises(BadInputError, match="is a private key; take the file beside it"):
        read_public(keys.private(SERVER))


@pytest.mark.parametrize("public", LOW_ORDER)
def test_keys_that_anybody_can_sign_for_are_not_trusted(keys: Keys, public: str) -> None:
    with pytest.raises(BadInputError, match="anybody can sign for"):
        keys.trust("a", public)
    keys.trust("a", KEY)
    keys.trusted("a").write_text(public.upper())
    with pytest.raises(BadInputError, match=r"trusted/a\.pub is no public key: anybody can sign for"):
        keys.all_trusted()


def test_a_key_in_upper_case_is_the_same_key(keys: Keys) -> None:
    keys.trust("a", KEY)
    keys.trusted("a").write_text(f" {KEY.upper()}\r\n")
    assert keys.all_trusted() == {"a": KEY}


# Who the server and a site are


def test_a_server_without_keys_demands_nothing_and_signs_nothing(keys: Keys) -> None:
    found = server_identity(keys, ["a"], demanded=False)
    assert (found.signer, found.trusted, found.demanded) == (None, {}, False)


def test_keys_that_this_user_cannot_reach_are_none(private_folder: Path) -> None:
    keys = Keys(private_folder / "home" / "keys")
    keys.trust("a", KEY)
    keys.create(SERVER)
    (private_folder / "home").chmod(0)
    assert server_identity(keys, ["a"], demanded=False).signer is None
    with pytest.raises(BadInputError, match="cannot be read"):
        server_identity(keys, ["a"], demanded=True)


@pytest.mark.parametrize("demanded", [True, False])
def test_a_server_signs_and_knows_the_sites_of_its_job(keys: Keys, demanded: bool) -> None:
    public = keys.create(SERVER)
    keys.trust("a", KEY)
    keys.trust("b", OTHER)
    keys.trust(SERVER, OTHER)  # for a site that this user has, too
    found = server_identity(keys, ["a"], demanded=demanded)
    assert (found.public, found.trusted, found.demanded) == (public, {"a": KEY}, demanded)
    assert server_identity(keys, [], demanded=demanded).trusted == {"a": KEY, "b": OTHER}


def test_a_server_that_demands_has_what_it_needs(keys: Keys) -> None:
    with pytest.raises(BadInputError, match="type 'fltui keys init server'"):
        server_identity(keys, ["a"], demanded=True)
    keys.create(SERVER)
    with pytest.raises(BadInputError, match=r"no key of any site is trusted.*'fltui keys trust NAME KEY'"):
        server_identity(keys, [], demanded=True)
    keys.trust("a", KEY)
    with pytest.raises(BadInputError, match="no key of site b is trusted: type 'fltui keys init b' at the site"):
        server_identity(keys, ["b", "a"], demanded=True)


def test_a_site_that_demands_has_what_it_needs(keys: Keys, tmp_path: Path) -> None:
    exchange = open_exchange(tmp_path / "exchange")
    about = exchange.about
    with pytest.raises(BadInputError, match="trusts no server: type 'fltui keys trust server KEY'"):
        site_identity(keys, "a", about, demanded=True)
    show_server_key(exchange, KEY)
    with pytest.raises(BadInputError, match=f"shows {KEY}, fingerprint {fingerprint(KEY)}: compare it with theirs"):
        site_identity(keys, "a", about, demanded=True)
    keys.trust(SERVER, OTHER)
    with pytest.raises(BadInputError, match="type 'fltui keys init a'"):
        site_identity(keys, "a", about, demanded=True)
    public = keys.create("a")
    found = site_identity(keys, "a", about, demanded=True)
    assert (found.public, found.trusted) == (public, {SERVER: OTHER})  # whatever exchange.json says
    keys.trust("b", KEY)
    assert site_identity(keys, "b", about, demanded=False).signer is None  # a's key is none of b


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_manifest_shows_no_key(keys: Keys, tmp_path: Path, kind: str) -> None:
    about = tmp_path / "exchange.json"
    ODD[kind](about)
    with pytest.raises(BadInputError, match=r"that the server's people tell you$"):
        site_identity(keys, "a", about, demanded=True)


def test_the_server_s_key_is_shown_in_the_exchange(tmp_path: Path) -> None:
    exchange = open_exchange(tmp_path)
    before = exchange.about.read_text()
    show_server_key(exchange, KEY)
    assert exchange.about.read_text() == before[:-3] + f',\n "server_key": "{KEY}"\n}}\n'
    show_server_key(exchange, OTHER)
    assert exchange.about.read_text() == before[:-3] + f',\n "server_key": "{OTHER}"\n}}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["exchange.json"]
