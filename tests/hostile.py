"""Bytes as others may write them where a document is expected."""

from __future__ import annotations

from hypothesis import strategies as st


def spoilt(whole: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes at all, or a good document with a part of it replaced by any bytes."""
    places = st.integers(0, len(whole))
    parts = st.tuples(places, places, st.binary(max_size=8))
    return st.binary(max_size=100) | parts.map(lambda part: whole[: part[0]] + part[2] + whole[part[1] :])


_GRAFTS = st.sampled_from(
    [b"\0", b"\n", b"\xff", b'"', b"{", b"[", b"\\ud800", b"1e999", b"-", b"9" * 5000, b"[" * 2000]
)


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """A good file after some accidents: bits flip, pieces go, come twice, change places, or are others."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        first, second = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        match draw(st.sampled_from(["flip", "cut", "end", "twice", "move", "graft"])):
            case "flip" if first < len(data):
                data[first] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[first:second]
            case "end":
                del data[first:]
            case "twice":
                data[second:second] = data[first:second]
            case "move":
                data = data[second:] + data[first:second] + data[:first]
            case "graft":
                data[first : first + draw(st.integers(0, 8))] = draw(_GRAFTS | st.binary(max_size=8))
    return bytes(data)
