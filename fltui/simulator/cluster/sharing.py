"""Whether workers see what they have to: the same folders at the same paths, both ways, with the same fltui."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fltui import __version__
from fltui.errors import BadInputError
from fltui.exchange.layout import HIDDEN, PROTOCOL
from fltui.exchange.watch import Backoff
from fltui.simulator.cluster.connection import first_line
from fltui.simulator.cluster.look import OURS, Question, Sight

_DELIVERY = 5.0
"""Seconds in which what a worker wrote has to show itself here: a file server may keep old lists for a moment."""


@contextmanager
def asked(folders: Mapping[str, Path], data: list[str]) -> Iterator[Question]:
    """What to ask the workers; what they find and write is there as long as the context lasts.

    Args:
        folders: that they have to see, by what they are called in sentences.
        data: paths of sites' data.

    Raises:
        BadInputError: nothing can be written into a folder here.
    """
    token, probes = (
        secrets.token_hex(16),
        [folder / f"{HIDDEN}look-{secrets.token_hex(8)}" for folder in folders.values()],
    )
    try:
        try:
            for probe in probes:
                probe.mkdir()
                (probe / OURS).write_text(token)
        except OSError as error:
            raise BadInputError(f"{error.filename} cannot be written: {error.strerror}") from error
        yield Question([str(probe) for probe in probes], token, data)
    finally:
        for probe in probes:
            with contextlib.suppress(OSError):
                shutil.rmtree(probe)


async def fault_of(address: str, sight: Sight | BaseException, question: Question, folders: Mapping[str, Path]) -> str:
    """Why a worker cannot be used; empty if it can.

    Args:
        address: the worker's.
        sight: what it found, or what was raised instead.
        question: what it was asked.
        folders: see `asked`.
    """
    if isinstance(sight, BaseException):
        told = first_line(sight)
        needed = f"; install fltui {__version__} there" if "fltui" in told else ""
        return f"worker {address} cannot look at the folders: {told}{needed}"
    who = f"worker {address} on host {sight.host}"
    if (sight.version, sight.protocol) != (__version__, PROTOCOL):
        return (
            f"{who} has fltui {sight.version} with protocol {sight.protocol}, this one is {__version__} with protocol "
            f"{PROTOCOL}: install the same there"
        )
    for probe, (what, folder) in zip(question.probes, folders.items(), strict=True):
        fault = sight.faults.get(probe, "")
        if not fault and not await _arrives(Path(probe) / sight.wrote, sight.wrote):
            fault = f"what it writes into {folder} is not seen here"
        if fault:
            return (
                f"{who} does not share the {what} {folder}: {fault} (its process is user {sight.user}); it has to be "
                "on the same path there, for the same user, from the same disk or file server"
            )
    return ""


async def _arrives(path: Path, text: str) -> bool:
    backoff, waited = Backoff(), 0.0
    while True:
        with contextlib.suppress(OSError):
            if path.read_text() == text:
                return True
        if waited >= _DELIVERY:
            return False
        pause = backoff.next()
        await asyncio.sleep(pause)
        waited += pause
