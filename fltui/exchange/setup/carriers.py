"""The carriers that an exchange can be prepared for, each in a module of its own name beside this one.

Such a module has one function, ``prepare(setup: Setup) -> Advice``. It writes what the carrier needs on this machine
and says what people have to do. It never changes a line that a person wrote.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module

from fltui.exchange.setup.advice import Advice, Setup


class Carrier(StrEnum):
    """What carries an exchange from machine to machine; the value is the name of its module."""

    SYNCTHING = "syncthing"
    RCLONE = "rclone"


def prepare(carrier: Carrier, setup: Setup) -> Advice:
    """Prepare an exchange for a carrier.

    Raises:
        BadInputError: something cannot be written, or the carrier cannot do what is wanted.
    """
    advice = import_module(f"fltui.exchange.setup.{carrier.value}").prepare(setup)
    if not isinstance(advice, Advice):
        raise TypeError(f"prepare() of {carrier.value} gave a {type(advice).__name__}")
    return advice
