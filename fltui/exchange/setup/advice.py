"""What was prepared for a carrier, and what people have to do themselves."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fltui.exchange.layout import SERVER, ExchangeFolder


@dataclass(frozen=True)
class Setup:
    """What is to be prepared.

    Attributes:
        exchange: the exchange folder on this machine, its folders made already.
        sites: the names of the sites, sorted; at a site its own name alone.
        side: whose machine this is: ``"server"``, or the name of the site.
        remote: where all sides meet, for a carrier that has to be told.
    """

    exchange: ExchangeFolder
    sites: tuple[str, ...]
    side: str = SERVER
    remote: str = ""

    @property
    def at_server(self) -> bool:
        """Whether this machine is the server's."""
        return self.side == SERVER


class Step(msgspec.Struct, frozen=True):
    """One thing that a person does.

    Attributes:
        who: at whose machine: ``"server"``, or the name of a site.
        what: a sentence.
        details: commands or settings, a line each.
    """

    who: str
    what: str
    details: list[str] = []


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What was prepared, and what is left to do.

    Attributes:
        written: files that were made, or added to.
        notes: what a person should know or look at; a sentence each.
        steps: what is left to do, in order.
    """

    written: list[str] = []
    notes: list[str] = []
    steps: list[Step] = []
