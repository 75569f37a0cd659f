"""What sites need of the place where their scripts run: a path that is there, and resources of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fltui.errors import BadInputError
from fltui.job.job import Job
from fltui.run.options import LOCAL, RunOptions

_ALL = "@ALL"

_NAMES = {"num_of_gpus": "GPU"}
"""Resources of nvflare's that workers know by another name."""

_NO_AMOUNTS = {"mem_per_gpu_in_GiB"}
"""What nvflare says of a resource, and what is no amount of one."""


@dataclass(frozen=True)
class Needs:
    """What one site needs.

    Attributes:
        site: its name.
        data: a path that has to be there; empty if there is none.
        resources: amounts, by the names that workers have for them.
    """

    site: str
    data: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)

    def amounts(self) -> str:
        """The resources, as one would ask for them."""
        return ", ".join(f"{name}={amount:g}" for name, amount in sorted(self.resources.items()))


def needs_of(job: Job, options: RunOptions) -> list[Needs]:
    """What every site of a job needs; resources only where there is a cluster to have them.

    Raises:
        BadInputError: what the job says of resources is not amounts by their names, or data is named for a site that
            the job does not have.
    """
    for site in options.site_data:
        if site not in job.sites:
            raise BadInputError(f"--site-data names {site}, and the job's sites are {_some(job.sites)}")
    local = options.engine == LOCAL
    return [Needs(site, options.site_data.get(site, ""), {} if local else _resources(job, site)) for site in job.sites]


def check_here(needs: Iterable[Needs]) -> None:
    """Make sure that the sites' data is on this machine.

    Raises:
        BadInputError: it is not.
    """
    for one in needs:
        if one.data and not is_readable(one.data):
            raise BadInputError(
                f"the data of site {one.site}, {one.data}, is not there or cannot be read; see --site-data"
            )


def is_readable(path: str) -> bool:
    """Whether a file or folder is there for this process."""
    return os.access(path, os.R_OK)


def _resources(job: Job, site: str) -> dict[str, float]:
    spec: Any = job.resource_spec.get(site, job.resource_spec.get(_ALL, {}))  # a job from elsewhere may have anything
    if not isinstance(spec, Mapping):
        raise BadInputError(
            f"job {job.name}: resource_spec has {_shown(spec)} for site {site}, expected amounts by names of resources"
        )
    found: dict[str, float] = {}
    name: str
    for name, amount in spec.items():
        if name in _NO_AMOUNTS:
            continue
        known = _NAMES.get(name, name)
        if known != name and known in spec:
            raise BadInputError(
                f"job {job.name}: resource_spec has both {name} and {known} for site {site}, which are the same; leave "
                "one of them"
            )
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= sys.float_info.max:
            raise BadInputError(
                f"job {job.name}: resource_spec has {_shown(amount)} of {_shown(name)} for site {site}, expected a "
                "number"
            )
        if amount:
            found[known] = float(amount)
    return found


def _shown(value: object) -> str:
    """What somebody has written, in short."""
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python does not write out a number of thousands of digits
        return "a number that is too long to be written"


def _some(names: Iterable[str], most: int = 8) -> str:
    """The names, or the first of them."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
