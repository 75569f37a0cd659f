"""What sites need of the place where their scripts run: a path that is there, and resources of a cluster."""

from __future__ import annotations

import os
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
        BadInputError: an amount is no number, or data is named for a site that the job does not have.
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
    spec: Mapping[str, Any] = job.resource_spec.get(site, job.resource_spec.get(_ALL, {}))
    found: dict[str, float] = {}
    for name, amount in spec.items():
        if name in _NO_AMOUNTS:
            continue
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
            raise BadInputError(
                f"job {job.name}: resource_spec has {amount!r:.80} of {name!r:.80} for site {site}, expected a number"
            )
        if amount:
            found[_NAMES.get(name, name)] = amount
    return found


def _some(names: Iterable[str], most: int = 8) -> str:
    """The names, or the first of them."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
