"""What a script's process is told: which site it is, which exchange, which run."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.watch import WatchMode


class ExchangeFormat(StrEnum):
    """How parameters look to the script. NumPy arrays are what travels."""

    NUMPY = "numpy"


class TransferType(StrEnum):
    """FULL sends what the script sends; DIFF turns a whole model into the difference to the one received."""

    FULL = "FULL"
    DIFF = "DIFF"


class Durability(StrEnum):
    """What published files survive: the death of a process, or a power cut (fsync in order)."""

    PROCESS = "process"
    POWER = "power"


class ClientConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one site's script.

    Attributes:
        site: name of the site and of its folder.
        exchange: the exchange folder.
        run: serve this run only; empty takes the first that asks.
        transfer: see `TransferType`.
        watch: see `WatchMode`.
        durability: see `Durability`.
        require_signatures: refuse tasks that the trusted server has not signed.
        mapped: a task's files are written by nobody once they are there, so `receive` gives arrays that lie in them
            and not in memory; what the script writes into an array stays in the script.
        filters: a site's configuration in a job folder, ``config_fed_client.json``, whose filters are to be used.
        nudge: what carries the exchange and is told of what is published, see `fltui.exchange.nudge`; empty for none.
        status_every: least seconds between two writings of the site's status; if 0, as often as is usual.
        data: where this site's data lies; empty if nobody said.
    """

    site: str = ""
    exchange: str = "exchange"
    run: str = ""
    transfer: TransferType = TransferType.FULL
    watch: WatchMode = WatchMode.AUTO
    durability: Durability = Durability.POWER
    require_signatures: bool = False
    mapped: bool = False
    filters: str = ""
    nudge: str = ""
    status_every: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 0.0
    data: str = ""

    def environment(self) -> dict[str, str]:
        """The variables that `load_config` reads back."""
        return {f"FLTUI_{name.upper()}": str(value) for name, value in msgspec.structs.asdict(self).items()}


def load_config(config_file: str | os.PathLike[str] | None = None) -> ClientConfig:
    """Read the settings from ``FLTUI_SITE``, ``FLTUI_EXCHANGE``, ... and a JSON file of the same names in lower case.

    A variable that is set wins over the file.

    Raises:
        BadInputError: the file cannot be read, a value is not known, or no site is named.
    """
    settings: dict[str, str | bool | float] = {}
    if config_file is not None:
        try:
            settings = msgspec.json.decode(Path(config_file).read_bytes(), type=dict[str, str | bool | float])
        except (OSError, *MALFORMED) as error:
            raise BadInputError(f"client configuration {config_file} cannot be read: {error}") from error
    for name in ClientConfig.__struct_fields__:
        if value := os.environ.get(f"FLTUI_{name.upper()}"):
            settings[name] = value
    try:
        config = msgspec.convert(settings, ClientConfig, strict=False)  # a variable's "true" is one, too
    except msgspec.ValidationError as error:
        raise BadInputError(f"client configuration: {error}") from error
    if not config.site:
        raise BadInputError(
            "this script does not know which site it is: set FLTUI_SITE, or start it with "
            "'fltui client SCRIPT --site NAME'"
        )
    return config
