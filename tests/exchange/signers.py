"""Keys for tests: the same at every run."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fltui.exchange.signing import Signer


def signer(number: int) -> Signer:
    """The private key whose 32 bytes are all `number`."""
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
