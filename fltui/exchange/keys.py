"""The folder of keys: a user's own, never in an exchange.

    server.key              a private key, PKCS #8 in PEM, mode 0600
    server.pub              its public key: 64 hexadecimal digits, to be given away
    trusted/clinic-a.pub    the public key of somebody else

The own key of a name and the trusted key of that name are two things: a machine that runs a server and a site has
both.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fltui.errors import BadInputError, ExchangeError
from fltui.exchange.about import read_about
from fltui.exchange.durable import make_folder, sync_folder
from fltui.exchange.layout import ABOUT, SERVER, ExchangeFolder, check_site, is_site
from fltui.exchange.npy import write_all
from fltui.exchange.plain import open_plain
from fltui.exchange.signing import Identity, Signer, check_key, fingerprint

_LARGEST = 4096
"""Bytes of a key's file that are read."""


def keys_path() -> Path:
    """Where this user's keys are: ``FLTUI_KEYS``, or ``fltui/keys`` in the folder for settings."""
    if named := os.environ.get("FLTUI_KEYS"):
        return Path(named).expanduser().absolute()
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never raises
    return Path(settings).absolute() / "fltui" / "keys"


def check_owner(name: str) -> str:
    """Return `name` if a key can have it: ``server``, or the name of a site.

    Raises:
        BadInputError: see `check_site`.
    """
    return name if name == SERVER else check_site(name)


@dataclass(frozen=True)
class Keys:
    """A folder of keys; it need not exist."""

    root: Path

    def private(self, name: str) -> Path:
        """The file of an own private key."""
        return self.root / f"{name}.key"

    def public(self, name: str) -> Path:
        """The file of an own public key."""
        return self.root / f"{name}.pub"

    def trusted(self, name: str) -> Path:
        """The file of somebody else's public key."""
        return self.root / "trusted" / f"{name}.pub"

    def has(self, name: str) -> bool:
        """Whether there is an own private key of a name, as far as this user can see."""
        return os.path.lexists(self.private(name))

    def names(self) -> list[str]:
        """Who has a private key here."""
        return _names(self.root, ".key")

    def create(self, name: str) -> str:
        """Make a key pair; the public key.

        Raises:
            BadInputError: the name cannot be used, there is a key of that name, or the folder is no place for keys.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        check_owner(name)
        path = self.private(name)
        self._open_folder(self.root)
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            _put_new(text, path, 0o600)
        except FileExistsError as error:
            raise BadInputError(
                f"there is a key of {name} already, {path}; nothing was changed. To replace it, move it away first, "
                "and let those who trust it trust the new one"
            ) from error
        public = self.signer(name).public
        self._write(public, self.public(name))
        return public

    def signer(self, name: str) -> Signer:
        """An own private key, ready to sign.

        Raises:
            BadInputError: there is none, others can read it, it lies in an exchange, or it is damaged.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self.private(check_owner(name))
        try:
            with open(open_plain(path, follow=True), "rb") as file:
                found = os.fstat(file.fileno())
                if os.name == "posix" and found.st_mode & 0o077:
                    raise BadInputError(
                        f"private key {path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): type "
                        f"'chmod 600 {path}', or make a new key if somebody may have read it"
                    )
                text = file.read(_LARGEST)
        except FileNotFoundError as error:
            raise BadInputError(f"there is no key of {name} in {self.root}: type 'fltui keys init {name}'") from error
        except OSError as error:
            raise BadInputError(f"private key {path} cannot be read: {error.strerror}") from error
        _check_outside(path.parent)
        try:
            key = load_pem_private_key(text, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadInputError(
                f"private key {path} is damaged or none: expected what 'fltui keys init' writes, PKCS #8 in PEM "
                "without a passphrase"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadInputError(f"private key {path} is not an Ed25519 key")
        return Signer(key)

    def trust(self, name: str, public: str, *, replace: bool = False) -> bool:
        """Trust a public key as that of `name`; False where it was trusted before.

        Raises:
            BadInputError: it is none, another one is trusted and not to be replaced, or the folder cannot hold keys.
        """
        check_key(public, f"the key of {check_owner(name)}")
        path = self.trusted(name)
        known = self.all_trusted().get(name)
        if known == public:
            return False
        if known is not None and not replace:
            raise BadInputError(
                f"another key of {name} is trusted already, with the fingerprint {fingerprint(known)}; nothing was "
                "changed. If it was replaced, and you have compared the new fingerprint, give --replace"
            )
        self._open_folder(self.root)
        self._open_folder(path.parent)
        self._write(public, path)
        return True

    def all_trusted(self) -> dict[str, str]:
        """All trusted keys by name.

        Raises:
            BadInputError: one cannot be read, or others can put keys there.
        """
        return {name: read_public(self.trusted(name)) for name in self.trusted_names()}

    def trusted_names(self) -> list[str]:
        """Whose keys are trusted here, whether or not the keys are whole.

        Raises:
            BadInputError: others can put keys there.
        """
        folder = self.root / "trusted"
        names = _names(folder, ".pub")
        if names:
            _check_outside(folder)
            _check_private(self.root)
            _check_private(folder)
        return names

    def _open_folder(self, folder: Path) -> None:
        """Make a folder for keys."""
        _check_outside(folder)
        try:
            make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"folder of keys {folder} cannot be made: {error.strerror} ({error.filename})"
            ) from error
        _check_private(folder)

    def _write(self, public: str, path: Path) -> None:
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.unlink(missing_ok=True)
            _put_new(public.encode() + b"\n", beside, 0o644)
            beside.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise BadInputError(f"key {path} cannot be written: {error.strerror}") from error


def read_public(path: Path) -> str:
    """The public key in a file; its digits may be in upper case.

    Raises:
        BadInputError: there is none.
    """
    try:
        with open(open_plain(path, follow=True), "rb") as file:
            text = file.read(_LARGEST).decode("ascii", "replace").strip()
    except OSError as error:
        raise BadInputError(f"public key {path} cannot be read: {error.strerror}") from error
    if "PRIVATE KEY" in text:
        raise BadInputError(
            f"{path} is a private key; take the file beside it that ends with .pub, and give this one away to nobody"
        )
    return check_key(text.lower(), str(path))


def server_identity(keys: Keys, sites: Iterable[str], *, demanded: bool) -> Identity:
    """Who a server is: it signs if it has a key, and knows the sites that it trusts.

    Args:
        keys: the server's.
        sites: names of the job's sites; empty for whoever comes.
        demanded: refuse what is not signed.

    Raises:
        BadInputError: a key cannot be used; or signatures are demanded, and the server has no key, or trusts none of a
            site; the sentence says what to type.
    """
    named = sorted(sites)
    known = {name: key for name, key in keys.all_trusted().items() if name != SERVER}
    trusted = {name: key for name, key in known.items() if not named or name in named}
    signs = demanded or keys.has(SERVER)
    signer = keys.signer(SERVER) if signs else None
    wanted = named or ([] if trusted else ["NAME"])
    if demanded and (lacking := [name for name in wanted if name not in trusted]):
        name, which = lacking[0], f"site {lacking[0]}" if named else "any site"
        raise BadInputError(
            f"signatures are demanded, and no key of {which} is trusted: type 'fltui keys init {name}' at the site, "
            f"then 'fltui keys trust {name} KEY' here, with the key that was printed there"
        )
    return Identity(signer, trusted, demanded)


def site_identity(keys: Keys, site: str, about: Path, *, demanded: bool) -> Identity:
    """Who a site is: it signs if it has a key, and knows the server if it trusts one.

    Args:
        keys: the site's.
        site: its name.
        about: ``exchange.json``, whose key is shown to be compared, never trusted.
        demanded: refuse what is not signed.

    Raises:
        BadInputError: a key cannot be used; or signatures are demanded, and the site has no key or trusts no server.
    """
    trusted = {name: key for name, key in keys.all_trusted().items() if name == SERVER}
    if demanded and not trusted:
        raise BadInputError(
            f"site {site} demands signatures and trusts no server: type 'fltui keys trust server KEY', with the key "
            f"that the server's people tell you{_found_in(about)}"
        )
    signs = demanded or keys.has(site)
    return Identity(keys.signer(site) if signs else None, trusted, demanded)


def _found_in(about: Path) -> str:
    """The server's key in an exchange, for a sentence."""
    try:
        found = read_about(ExchangeFolder(about.parent)).server_key
    except (OSError, ExchangeError):
        return ""
    if not isinstance(found, str):
        return ""
    shown = f"{about} shows {found}, fingerprint {fingerprint(found)}"
    return f"; {shown}: compare it with theirs, for anybody may have put it there"


def _names(folder: Path, suffix: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # no keys that this user has
        stems = (entry.name.removesuffix(suffix) for entry in folder.iterdir() if entry.name.endswith(suffix))
        return sorted(name for name in stems if name == SERVER or is_site(name))
    return []


def _check_outside(folder: Path) -> None:
    """Make sure that a folder is not in an exchange, nor in the part of one that a site has.

    Raises:
        BadInputError: it is.
    """
    resolved = folder.resolve()
    for above in (resolved, *resolved.parents):
        # A folder above that this user cannot look into is none that these functions complain of.
        if os.path.isfile(above / ABOUT) or all(map(os.path.isdir, (above / "tasks", above / "results"))):  # noqa: PTH113
            raise BadInputError(
                f"keys cannot be in {folder}: {above} is an exchange, or a site's folder of one, which others read; "
                "set FLTUI_KEYS to a folder of your own"
            )


def _check_private(folder: Path) -> None:
    """Make sure that only its owner can put keys into a folder.

    Raises:
        BadInputError: others can.
    """
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise BadInputError(f"folder of keys {folder} cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & 0o022:
        raise BadInputError(
            f"others can put keys into {folder} (mode {stat.S_IMODE(mode):04o}): look at what is in it, then type "
            f"'chmod 700 {folder}'"
        )


def _put_new(data: bytes, path: Path, mode: int) -> None:
    """Write a file that must not exist, so that it survives a power cut.

    Raises:
        FileExistsError: it does.
        BadInputError: it cannot be written, or would be open to others.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
    except FileExistsError:
        raise
    except OSError as error:
        raise BadInputError(f"key {path} cannot be written: {error.strerror}") from error
    try:
        if os.name == "posix" and os.fstat(fd).st_mode & 0o077 & ~mode:
            raise BadInputError(f"key {path} would be open to others: the file system there keeps no permissions")
        write_all(fd, data)
        os.fsync(fd)
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise BadInputError(f"key {path} cannot be written: {error.strerror}") from error
        raise
    finally:
        os.close(fd)
    sync_folder(path.parent)
