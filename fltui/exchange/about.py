"""Reading ``exchange.json``. Others may write in the exchange folder, too, so it is read as what others wrote."""

from __future__ import annotations

import errno
import os
import stat

from fltui.errors import RefusedError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import MANIFEST_LIMIT, ExchangeAbout, decode
from fltui.exchange.npy import read_bytes

_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _flag, 0)


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
        fd = os.open(about, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise RefusedError(f"{about} is not a plain file") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise RefusedError(f"{about} is not a plain file")
        data = read_bytes(fd, MANIFEST_LIMIT, str(about))
    finally:
        os.close(fd)
    return decode(data, ExchangeAbout, str(about))
