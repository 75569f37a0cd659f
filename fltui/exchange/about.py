"""Reading ``exchange.json``. Others may write in the exchange folder, too, so it is read as what others wrote."""

from __future__ import annotations

import os

from fltui.errors import RefusedError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import MANIFEST_LIMIT, ExchangeAbout, decode
from fltui.exchange.npy import read_bytes
from fltui.exchange.plain import NotPlainError, open_plain


def read_about(exchange: ExchangeFolder) -> ExchangeAbout:
    """What an exchange says of itself. A FIFO does not hold the reader, and a huge file is not read.

    The exchange folder itself is not opened: a site may pass through it and not list it.

    Raises:
        NotYetError: it is not whole, or its disk does not give it.
        RefusedError: it is not a plain file, or breaks the protocol.
        OSError: it cannot be opened.
    """
    about = exchange.about
    try:
        fd = open_plain(about)
    except NotPlainError as error:
        raise RefusedError(f"{about} is not a plain file") from error
    try:
        data = read_bytes(fd, MANIFEST_LIMIT, str(about))
    finally:
        os.close(fd)
    return decode(data, ExchangeAbout, str(about))
