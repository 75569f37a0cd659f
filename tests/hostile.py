"""Bytes as others may write them where a document is expected."""

from __future__ import annotations

from hypothesis import strategies as st


def spoilt(whole: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes at all, or a good document with a part of it replaced by any bytes."""
    places = st.integers(0, len(whole))
    parts = st.tuples(places, places, st.binary(max_size=8))
    return st.binary(max_size=100) | parts.map(lambda part: whole[: part[0]] + part[2] + whole[part[1] :])
