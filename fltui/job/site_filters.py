"""The filters that a site's configuration names, made for the process of its script."""

from __future__ import annotations

from pathlib import Path

from fltui.aggregation.filters import Filter
from fltui.errors import BadInputError
from fltui.job.folder import read_filters


def load_filters(config: Path) -> tuple[Filter, ...]:
    """The filters in a ``config_fed_client.json``, those of the job's own code as well: the site runs it anyway.

    Raises:
        BadInputError: one cannot be made, or cannot be at a site.
    """
    filters = read_filters(config)
    for one in filters:
        if not isinstance(one, Filter):
            raise BadInputError(f"{config}: {type(one).__name__} is not a filter")
        one.check(at_site=True)
    return filters
