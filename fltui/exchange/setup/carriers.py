"""The carriers that an exchange can be prepared for, each in a module of its own beside this one.

Such a module has one function, ``prepare(setup: Setup) -> Advice``. It writes what the carrier needs on this machine
and says what people have to do. It never changes a line that a person wrote. It is loaded when somebody needs it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fltui.exchange.setup.advice import Advice, Setup


class Carrier(StrEnum):
    """What carries an exchange from machine to machine."""

    SYNCTHING = "syncthing"
    RCLONE = "rclone"


def prepare(carrier: Carrier, setup: Setup) -> Advice:
    """Prepare an exchange for a carrier.

    Raises:
        BadInputError: something cannot be written, or the carrier cannot do what is wanted.
    """
    match carrier:
        case Carrier.SYNCTHING:
            from fltui.exchange.setup import syncthing

            return syncthing.prepare(setup)
        case Carrier.RCLONE:
            from fltui.exchange.setup import rclone

            return rclone.prepare(setup)
