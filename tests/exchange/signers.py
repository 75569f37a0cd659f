"""Keys for tests: the same at every run."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fltui.exchange.signing import Signer


def signer(number: int) -> Signer:
    """The private key whose 32 bytes are all `number`."""
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def _low_order() -> list[str]:
    """All encodings of the points of the curve whose order divides 8, from the curve of RFC 8032, section 5.1."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def sum_of(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        (x1, y1), (x2, y2) = one, other
        k = d * x1 * x2 * y1 * y2
        return (x1 * y2 + x2 * y1) * pow(1 + k, -1, p) % p, (y1 * y2 + x1 * x2) * pow(1 - k, -1, p) % p

    def times(count: int, point: tuple[int, int]) -> tuple[int, int]:
        total = (0, 1)
        for bit in f"{count:b}":
            total = sum_of(total, total)
            total = sum_of(total, point) if bit == "1" else total
        return total

    order = 2**252 + 27742317777372353535851937790883648493
    points: set[tuple[int, int]] = set()
    y = 2
    while len(points) < 8:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        roots = [pow(square, (p + 3) // 8, p) * factor % p for factor in (1, pow(2, (p - 1) // 4, p))]
        points |= {times(order * n, (x, y)) for x in roots if x * x % p == square for n in range(8)}
        y += 1
    written = {number | sign << 255 for _, y in points for number in (y, y + p) if number < 2**255 for sign in (0, 1)}
    return sorted(number.to_bytes(32, "little").hex() for number in written)


LOW_ORDER = _low_order()
"""Public keys for which anybody can sign."""
