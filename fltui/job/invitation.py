"""The command that starts a site's script in a shell of its own, to be shown and copied."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from fltui.client.config import TransferType
from fltui.errors import BadInputError
from fltui.job.folder import demands_signatures, filters_of_site, load_site

UNKNOWN_SCRIPT = "SCRIPT"
"""Stands in a command for a script that the job does not tell."""


def client_command(job: Path, site: str, exchange: Path) -> str:
    """What to type where `site` is.

    Args:
        job: the job folder, such as ``job/`` of a run.
        site: its name; one that the job does not know gets the app of all sites.
        exchange: the exchange folder as that shell sees it.

    Returns:
        One line for a shell. `UNKNOWN_SCRIPT` stands for the script where the job has none for the site or cannot be
        read.
    """
    words = ["fltui", "client", "--site", site, "--exchange", str(exchange)]
    script, arguments = Path(UNKNOWN_SCRIPT), list[str]()
    try:
        app = load_site(job, site)
    except BadInputError:
        app = None
    with contextlib.suppress(BadInputError):
        if demands_signatures(job):
            words.append("--require-signatures")
    if app is not None:
        named = app.executor.task_script_path
        script, arguments = app.files.get(named, Path(named)), app.executor.arguments()
        if app.executor.params_transfer_type is not TransferType.FULL:
            words += ["--transfer", app.executor.params_transfer_type]
        if (filters := filters_of_site(job, site)) is not None:
            words += ["--filters", str(filters)]
    words.insert(2, str(script))
    # Behind the two dashes nothing is taken for an option of the client itself.
    return shlex.join([*words, *(["--", *arguments] if arguments else [])])
