"""The exception tree. Every message is one sentence with an address: what, where, expected, found, what to do."""

from __future__ import annotations


class FltuiError(Exception):
    """Root of everything fltui raises on purpose."""


class BadInputError(FltuiError):
    """What a person gave cannot be used: a path, an argument, a job folder. Commands exit with 2."""


class ExchangeError(FltuiError):
    """Something in the exchange folder cannot be used."""


class NotYetError(ExchangeError):
    """The bytes are not whole yet; wait and look again."""


class RefusedError(ExchangeError):
    """The bytes are whole and break the protocol or the task; waiting will not mend them."""


class SignatureError(RefusedError):
    """A manifest is not signed by whom it has to be."""


class ClientError(FltuiError):
    """The Client API was called in a way that cannot work."""


class RunFailedError(FltuiError):
    """A run cannot go on. Commands exit with 1."""


class RunAbortedError(FltuiError):
    """A person or a signal asked the run to stop. Commands exit with 3, or 130 when interrupted."""
