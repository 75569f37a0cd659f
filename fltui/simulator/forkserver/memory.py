"""Memory that a process keeps: the system clears what it gives, and a virtual machine may have to get it first."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
"""Options of glibc's ``mallopt``, see its manual page."""

_MOST = (1 << 31) - 1


def keep_memory(size: int) -> None:
    """Let this process keep so many bytes that it frees, 2 GiB at most, and use them again; only with glibc.

    Each round a site makes arrays as large as the model, and frees them. To get 500 MB anew took 0.07 s, and a second
    where a virtual machine had given them back to its host meanwhile; to use them again 0.04 s.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)  # no mapping of its own for a large array: it would go when that is freed
        mallopt(_TRIM_THRESHOLD, min(size, _MOST))
