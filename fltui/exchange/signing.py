"""Signatures of manifests: Ed25519 over the manifest's bytes, as the last field of its JSON.

A signed manifest is the unsigned one with one more line before its brace:

    ,
     "signature": "<128 hexadecimal digits>"
    }

The signature covers `DOMAIN` and all bytes before that comma: kind, run, task, site, round, the digests of the arrays
and that of the task answered. It is deterministic, so publishing again after a crash gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import blake3
import msgspec

from fltui.errors import BadInputError, NotYetError, SignatureError
from fltui.exchange.manifest import End, Result, Task, encode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The library behind the keys takes longer to import than all of the client: it is loaded where a key is in use.

DOMAIN = b"fltui manifest v1\n"
"""Stands before a manifest's bytes in what is signed, so that no signature of something else is one of a manifest."""

_TAIL = re.compile(rb',\n "signature": "([0-9a-f]{128})"\n\}\n\Z')
_TAIL_LENGTH = len(b',\n "signature": ""\n}\n') + 128
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)

# The eight points whose order divides 8, in all their encodings but for the highest bit, the sign of x: y = 0, 1 and
# -1, the two y of the points of order 8, and p and p + 1, which are 0 and 1 written otherwise (p = 2**255 - 19). With
# such a key, signatures that anybody can make up are right; neither RFC 8032 nor the library refuses it. The same list
# is in libsodium (`ge25519_has_small_order`); the tests compute it anew from the curve.
_LOW_ORDER = frozenset(
    {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    }
)

Manifest = Task | Result | End


def check_key(text: str, where: str) -> str:
    """Return `text` if it is a public key: 64 hexadecimal digits, not of a point of low order.

    Raises:
        BadInputError: it is not.
    """
    if not _KEY.fullmatch(text):
        raise BadInputError(f"{where} is no public key: found {text[:80]!r}, expected 64 digits 0-9a-f")
    if text[:-2] + f"{int(text[-2:], 16) & 0x7F:02x}" in _LOW_ORDER:
        raise BadInputError(f"{where} is no public key: anybody can sign for {text}, without a private key")
    return text


def fingerprint(public: str) -> str:
    """A public key's short form, for people to compare: 32 digits of its BLAKE3 digest in groups of four."""
    digits = blake3.blake3(bytes.fromhex(public)).hexdigest()[:32]
    return "-".join(digits[i : i + 4] for i in range(0, 32, 4))


def signature_fault(manifest: bytes, public: str) -> str:
    """What is wrong with a manifest's signature; empty where it is right.

    Args:
        manifest: the bytes of the file, whole.
        public: 64 hexadecimal digits.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    tail = _TAIL.search(manifest, max(len(manifest) - _TAIL_LENGTH, 0))
    if tail is None:
        return "is not signed: it does not end with a signature"
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(tail[1].decode()), DOMAIN + manifest[: tail.start()])
    except (InvalidSignature, ValueError):
        return f"is not signed with the key {fingerprint(public)}, or was changed after that"
    return ""


@dataclass(frozen=True)
class Signer:
    """A private key in use."""

    key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key in hexadecimal."""
        return self.key.public_key().public_bytes_raw().hex()

    def encode(self, document: Manifest) -> bytes:
        """The bytes of the signed manifest."""
        unsigned = encode(msgspec.structs.replace(document, signature=msgspec.UNSET)).removesuffix(b"\n}\n")
        return encode(msgspec.structs.replace(document, signature=self.key.sign(DOMAIN + unsigned).hex()))


@dataclass(frozen=True)
class Identity:
    """What the server or a site signs with, whom it trusts and what it demands.

    Attributes:
        signer: the own key; None signs nothing.
        trusted: public keys by name, a site's or `SERVER`.
        demanded: refuse manifests without a signature, too.
    """

    signer: Signer | None = None
    trusted: Mapping[str, str] = field(default_factory=dict)
    demanded: bool = False

    @property
    def public(self) -> str:
        """The own public key, empty where nothing is signed."""
        return self.signer.public if self.signer else ""

    def encode(self, document: Manifest) -> bytes:
        """The bytes of a manifest, signed where there is a key."""
        return self.signer.encode(document) if self.signer else encode(document)

    def check(self, writer: str, document: Manifest, manifest: bytes, where: str) -> None:
        """Make sure that a manifest comes from who alone may have written it.

        Args:
            writer: the site in whose folder a result lies, or `SERVER`.
            document: the manifest, decoded.
            manifest: its bytes.
            where: the file, for the sentence.

        Raises:
            NotYetError: a signed manifest whose last byte has not come yet.
            SignatureError: it is unsigned where that is demanded, or not signed with the trusted key.
        """
        public = self.trusted.get(writer, "")
        if document.signature is msgspec.UNSET:
            if self.demanded:
                raise SignatureError(
                    f"{where} is not signed; its writer has to be {writer}, and signatures are demanded"
                )
            return
        if not public:
            if self.demanded:
                raise SignatureError(
                    f"{where} is signed, but no key of {writer} is trusted: type 'fltui keys trust {writer} KEY'"
                )
            return
        if not manifest.endswith(b"\n"):
            raise NotYetError(f"{where} has no line feed at its end yet")
        if fault := signature_fault(manifest, public):
            raise SignatureError(f"{where} {fault}; its writer has to be {writer}")

    def signed_by(self, result: Result) -> str:
        """The public key that a result which passed `check` is signed with; empty if none that is trusted."""
        return "" if result.signature is msgspec.UNSET else self.trusted.get(result.site, "")


NOBODY = Identity()
"""Signs nothing and demands nothing."""
