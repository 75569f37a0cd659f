"""Groups of sites, which an administrator names once for everybody who submits jobs: ``groups.json``.

{"hospitals": ["site-1", "site-2"], "labs": ["site-3"]}
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from fltui.errors import BadInputError
from fltui.exchange.layout import SERVER, check_name, check_site
from fltui.exchange.manifest import LAST_STEP, MALFORMED
from fltui.exchange.plain import read_plain
from fltui.queue.documents import Wishes, read_document

_LARGEST = 1 << 20
"""Bytes of ``groups.json``, and of what a job says of itself."""

_ALL = "@ALL"
_NUMBER = re.compile(r"-?[0-9]{1,100}")
_EXAMPLE = '{"hospitals": ["site-1", "site-2"]}'

Groups = dict[str, list[str]]


class _Meta(msgspec.Struct):
    """``meta.json`` of a job, as far as it says for whom that is."""

    deploy_map: dict[str, list[str]]


class NoSuchGroupError(BadInputError):
    """A job is for a group that there is not."""


def read_groups(path: Path) -> Groups:
    """Name to sites; none where there is no such file.

    Raises:
        BadInputError: it cannot be read, or is malformed.
    """
    try:
        groups = msgspec.json.decode(read_plain(path, _LARGEST, follow=True), type=Groups)
        for name, sites in groups.items():
            check_name(name, "group")
            for site in sites:
                check_site(site)
            if not sites:
                raise BadInputError(f"group {name} has no sites")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadInputError(f"groups {path} cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise BadInputError(f"groups {path} is malformed, expected such as {_EXAMPLE}: {error}") from error
    except BadInputError as error:
        raise BadInputError(f"groups {path}: {error}") from error
    return groups


def chosen_sites(wishes: Wishes, groups: Groups) -> list[str]:
    """The sites that a person has named, one by one or by group; none where the job says for whom it is.

    Raises:
        NoSuchGroupError: there is no such group.
    """
    found = set(wishes.sites)
    for name in wishes.groups:
        if name not in groups:
            known = ", ".join(sorted(groups)) or "none"
            raise NoSuchGroupError(f"there is no group {name!r} in groups.json; known: {known}")
        found.update(groups[name])
    return sorted(found)


def taking_part(wishes: Wishes, groups: Groups, job: Path) -> list[str] | None:
    """The sites that a job takes for itself while it runs; None for whoever comes, so that all are taken.

    Args:
        wishes: see `Wishes`.
        groups: as they are now.
        job: the job folder.

    Raises:
        BadInputError: there is no such group, or the job folder is broken.
    """
    return chosen_sites(wishes, groups) or _named_sites(job / "meta.json") or None


def _named_sites(meta: Path) -> list[str]:
    """The sites that a job names; none where it is for whoever comes.

    Raises:
        BadInputError: it cannot be read, or is malformed.
    """
    try:
        targets = {site for sites in read_document(meta, _Meta, _LARGEST).deploy_map.values() for site in sites}
    except FileNotFoundError as error:
        raise BadInputError(f"{meta} is not there") from error
    try:
        return sorted(check_site(site) for site in targets - {SERVER, _ALL})
    except BadInputError as error:
        raise BadInputError(f"{meta}: {error}") from error


def wishes_for(text: str | None, groups: Groups) -> Wishes:
    """What ``--sites TEXT`` means: a number, or names of groups and sites, separated by commas.

    Raises:
        BadInputError: it cannot be understood.
    """
    if text is None:
        return Wishes()
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise BadInputError("--sites is empty; give a number, or names of groups and sites: 3, or hospitals,site-3")
    if len(words) == 1 and _NUMBER.fullmatch(words[0]):
        count = int(words[0])
        if not 1 <= count <= LAST_STEP:
            raise BadInputError(f"--sites is {words[0]}, expected 1 to {LAST_STEP}")
        return Wishes(count=count)
    return Wishes(
        groups=[word for word in words if word in groups], sites=[word for word in words if word not in groups]
    )
