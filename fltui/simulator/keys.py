"""Keys for one simulated run of a job that demands signatures: made for it, gone with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fltui.exchange.keys import Keys, server_identity
from fltui.exchange.layout import SERVER
from fltui.exchange.signing import NOBODY, Identity
from fltui.job.job import Job
from fltui.job.scratch import scratch_folder

NO_KEYS = Path(os.devnull) / "keys"
"""A folder that cannot exist: the keys of sites that need none, so that nobody's own keys are used."""


@dataclass(frozen=True)
class RunKeys:
    """Who the server of a simulated run is, and each site's folder of keys."""

    identity: Identity = NOBODY
    folders: Mapping[str, Path] = field(default_factory=dict)


@contextmanager
def run_keys(job: Job, place: Path | None = None) -> Iterator[RunKeys]:
    """Keys of the server and of every site of `job`, in a folder of this user alone; none where nothing is demanded.

    Args:
        job: what is run.
        place: where that folder is made; among the temporary files of this machine if not given.

    Raises:
        BadInputError: the folder for temporary files lies in an exchange.
    """
    if not job.require_signatures:
        yield RunKeys()
        return
    with scratch_folder(".fltui-keys" if place else "fltui-keys", place) as root:
        server, folders = Keys(root / SERVER), {site: root / site for site in job.sites}
        public = server.create(SERVER)
        for site, folder in folders.items():
            keys = Keys(folder)
            server.trust(site, keys.create(site))
            keys.trust(SERVER, public)
        yield RunKeys(server_identity(server, job.sites, demanded=True), folders)
