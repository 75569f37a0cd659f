"""BLAKE3 of a short text, for nvflare's sites have no library of it: a script is to draw what it draws with fltui."""

from __future__ import annotations

import struct

__all__ = ["seed_of"]

_START = (
    0x6A09E667,
    0xBB67AE85,
    0x3C6EF372,
    0xA54FF53A,
    0x510E527F,
    0x9B05688C,
    0x1F83D9AB,
    0x5BE0CD19,
)
_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)
_BLOCK = 64
_CHUNK_START, _CHUNK_END, _ROOT = 1, 2, 8
_MASK = 0xFFFFFFFF


def seed_of(run_seed: int, site: str, number: int) -> int:
    """The seed of what a site draws in a round, as `fltui.client.seed.seed_of` makes it."""
    text = f"fltui seed\n{run_seed}\n{site}\n{number}\n"
    return int.from_bytes(digest(text.encode()), "little") >> 1


def digest(data: bytes) -> bytes:
    """The first 8 bytes of the BLAKE3 digest of at most 1024 bytes."""
    chain = list(_START)
    blocks = [data[place : place + _BLOCK] for place in range(0, len(data), _BLOCK)] or [b""]
    for number, block in enumerate(blocks):
        flags = (_CHUNK_START if number == 0 else 0) | (_CHUNK_END | _ROOT if number == len(blocks) - 1 else 0)
        words = list(struct.unpack("<16I", block.ljust(_BLOCK, b"\0")))
        chain = _compressed(chain, words, len(block), flags)
    return struct.pack("<2I", *chain[:2])


def _compressed(chain: list[int], words: list[int], length: int, flags: int) -> list[int]:
    state = [*chain, *_START[:4], 0, 0, length, flags]
    for _ in range(7):
        for place, (a, b, c, d) in enumerate(_COLUMNS_AND_DIAGONALS):
            for word, far, near in ((words[2 * place], 16, 12), (words[2 * place + 1], 8, 7)):
                state[a] = (state[a] + state[b] + word) & _MASK
                state[d] = _turned(state[d] ^ state[a], far)
                state[c] = (state[c] + state[d]) & _MASK
                state[b] = _turned(state[b] ^ state[c], near)
        words = [words[place] for place in _ORDER]
    return [state[place] ^ state[place + 8] for place in range(8)]


def _turned(word: int, places: int) -> int:
    return (word >> places | word << (32 - places)) & _MASK
