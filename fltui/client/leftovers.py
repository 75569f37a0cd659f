"""What scripts that were killed have left among a site's temporary files."""

from __future__ import annotations

import contextlib

from fltui.exchange.layout import SiteFolder
from fltui.exchange.lock import is_held
from fltui.exchange.publish import site_lock, spare_of


def remove_leftovers(site: SiteFolder, pattern: str) -> None:
    """Remove what matches, but for locks: half written, or to be written over."""
    with contextlib.suppress(OSError):  # the share is away: another time
        for path in site.staging("site").glob(pattern):
            if path.suffix != ".lock":
                path.unlink(missing_ok=True)


def remove_spares(site: SiteFolder, run: str) -> None:
    """Remove what scripts of runs that were broken off kept to write over, not that of scripts which live.

    Args:
        site: held by this process.
        run: the one run that this process serves; empty if it serves any.
    """
    if run and is_held(site_lock(site, "")):
        return
    with contextlib.suppress(OSError):  # as above
        for path in site.staging("site").glob(spare_of("*")):
            if not is_held(site_lock(site, path.name.removesuffix(spare_of("")))):
                path.unlink(missing_ok=True)
