"""The seal of a run: the digest of every file of its folder, taken when the run ends and named by its last event.

``seal.b3`` has a line per file, ``<BLAKE3 digest>  <path>``, as ``b3sum --check`` reads it. Arrays are not read for it:
their digests are known since they were written, so what became of them meanwhile is found, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import msgspec

from fltui.errors import FltuiError
from fltui.exchange.durable import sync_file, sync_folder
from fltui.exchange.manifest import MALFORMED
from fltui.exchange.npy import CHUNK
from fltui.exchange.plain import open_plain
from fltui.run.folder import RunFolder
from fltui.run.models import ModelAbout

Parts = tuple[str, ...]
"""A path below the run folder, name by name."""

_POINTERS: tuple[Parts, ...] = (("models", "final"), ("models", "best"))
"""Second names of models: they come last, so that a model is named by its round."""

_EMPTY = re.compile(r"job|models|store|logs|job/[^/]+/custom|models/\.round-\d{4,}")
"""Folders that may have nothing in them at the end: nobody sealed them, and nothing follows from them."""

_COMPILED = re.compile(r"(\w+)\.[\w.-]+\.pyc")
"""What Python leaves of a module, by the module's name."""

_STORED = re.compile(r"([0-9a-f]{64})\.(npy|json)\Z")


class DifferenceError(FltuiError):
    """Something of a run is not as it was written, or not as it follows from what was written.

    Attributes:
        file: path below the run folder.
        told: what is wrong.
        round: where it has to do with one.
        site: where it has to do with one.
        expected: a digest or value; empty where the sentence says it.
        found: likewise.
    """

    def __init__(
        self,
        file: str,
        told: str,
        *,
        round: int | None = None,  # noqa: A002  # the field's word
        site: str = "",
        expected: object = "",
        found: object = "",
    ) -> None:
        self.file, self.told, self.round, self.site = file, told, round, site
        self.expected, self.found = str(expected), str(found)
        place = ", ".join([f"round {round}"] * (round is not None) + [f"site {site}"] * bool(site))
        text = f"{file} ({place}) {told}" if place else f"{file} {told}"
        if self.expected or self.found:
            text += f": expected {self.expected or 'nothing'}, found {self.found or 'nothing'}"
        super().__init__(text)


def write_seal(folder: RunFolder, *, durable: bool = False) -> str:
    """Seal a run that is over: nothing in its folder may change any more but its journal and ``control/``.

    Args:
        folder: the run.
        durable: the seal survives a power cut, and so do the names beside it, also if there comes to be no seal.

    Returns:
        The digest of ``seal.b3``.

    Raises:
        OSError: a file cannot be read, or the seal not be written; there is none then.
    """
    beside = folder.root / f".{folder.seal.name}"
    hasher = blake3.blake3()
    models: dict[Parts, dict[str, str]] = {}
    try:
        with beside.open("wb") as out:
            for parts in _files(folder.root):
                if parts == (beside.name,):
                    continue
                if parts[0] == "models" and parts[:-1] not in models:
                    models = {parts[:-1]: _array_digests(folder.root.joinpath(*parts[:-1]))}
                known = models.get(parts[:-1], {}).get(parts[-1]) or _digest_in_name(parts)
                line = _line(known or digest_of(folder.root.joinpath(*parts)), parts)
                hasher.update(line)
                out.write(line)
        if durable:
            sync_file(beside)
        os.replace(beside, folder.seal)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    finally:
        if durable:
            sync_folder(folder.root)
    return str(hasher.hexdigest())


def check_seal(folder: RunFolder, digest: str, report: Callable[[int, int], None]) -> int:
    """Compare every file of a run with its seal.

    Args:
        folder: the run.
        digest: of the seal, as the last event has it.
        report: called with the number of files compared and of all.

    Returns:
        How many files there are.

    Raises:
        DifferenceError: a file was changed, added or removed, or cannot be read; or an empty folder was added.
        OSError: a folder cannot be listed.
    """
    try:
        found = digest_of(folder.seal)
    except OSError as error:
        told = f"cannot be read, though the run was sealed when it ended: {error.strerror}"
        raise DifferenceError(folder.seal.name, told) from error
    if found != digest:
        raise DifferenceError(folder.seal.name, "was changed after the end", expected=digest, found=found)
    with open(open_plain(folder.seal), "rb") as lines:
        total = sum(1 for _ in lines)
        lines.seek(0)
        there = _files(folder.root)
        extra = next(there, None)
        for done, line in enumerate(lines):
            parts, expected = _parsed(line)
            while extra is not None and _order(extra) < _order(parts):
                _refuse_extra(folder.root, extra)
                extra = next(there, None)
            if extra != parts:
                raise DifferenceError("/".join(parts), "is missing, and was there at the end")
            _compare(folder.root, parts, expected)
            extra = next(there, None)
            report(done + 1, total)
        while extra is not None:
            _refuse_extra(folder.root, extra)
            extra = next(there, None)
    _refuse_empty(folder.root)
    return total


def check_plain(folder: RunFolder) -> None:
    """Make sure that nothing in the folder of a run that is over is a FIFO or a device, nor a link but for a model's
    second name: whoever opens such a thing may wait for ever.

    A site's log may be a link, too, as long as the simulator has not ended the run; see `fltui.run.logs`.

    Raises:
        DifferenceError: something is.
        OSError: a folder cannot be listed.
    """
    for parts in _files(folder.root):
        mode = folder.root.joinpath(*parts).lstat().st_mode
        may_be_link = parts in _POINTERS or (parts[0] == "logs" and parts[1:] != ("server.log",))
        if not (stat.S_ISREG(mode) or (may_be_link and stat.S_ISLNK(mode))):
            raise DifferenceError("/".join(parts), "is not a plain file")


def _compare(root: Path, parts: Parts, expected: str) -> None:
    path = "/".join(parts)
    if (named := _digest_in_name(parts)) and named != expected:
        raise DifferenceError(path, "is sealed with another digest than its name", expected=named, found=expected)
    try:
        found = digest_of(root.joinpath(*parts))
    except OSError as error:
        raise DifferenceError(path, f"cannot be read, and could at the end: {error.strerror}") from error
    if found != expected:
        raise DifferenceError(path, "is not what it was at the end", expected=expected, found=found)


def _refuse_extra(root: Path, parts: Parts) -> None:
    if not _is_compiled(root, parts):
        raise DifferenceError("/".join(parts), "was not there at the end of the run")


def _is_compiled(root: Path, parts: Parts) -> bool:
    """Whether a file is what Python leaves beside a script of the job that somebody looks into."""
    *inside, folder, name = ("", *parts)
    found = _COMPILED.fullmatch(name)
    if found is None or parts[0] != "job" or folder != "__pycache__":
        return False
    beside = root.joinpath(*inside, f"{found[1]}.py")
    return beside.is_file() and stat.S_ISREG(root.joinpath(*parts).lstat().st_mode)


def _refuse_empty(root: Path) -> None:
    for place, folders, names in os.walk(root):
        inside = os.path.relpath(place, root)
        if inside == "." and "control" in folders:
            folders.remove("control")
        elif not folders and not names and not _EMPTY.fullmatch(inside.replace(os.sep, "/")):
            raise DifferenceError(f"{inside}/", "was not there at the end of the run, or was not empty")


def digest_of(path: Path) -> str:
    """BLAKE3 digest of a file, read in pieces.

    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    hasher = blake3.blake3()
    with open(open_plain(path), "rb") as file:
        while piece := file.read(CHUNK):
            hasher.update(piece)
    return str(hasher.hexdigest())


def _files(root: Path) -> Iterator[Parts]:
    """Every file that is sealed, in `_order`."""
    yield from _below(root, (), {("journal.jsonl",), ("seal.b3",), ("control",), *_POINTERS})
    for pointer in sorted(_POINTERS):
        path = root.joinpath(*pointer)
        if path.is_dir() and not (path.is_symlink() and os.path.dirname(os.readlink(path))):  # noqa: PTH115, PTH120
            yield from _below(path, pointer, set())
        elif path.is_symlink() or path.exists():
            yield pointer


def _below(folder: Path, inside: Parts, without: set[Parts]) -> Iterator[Parts]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        parts = (*inside, entry.name)
        if parts in without:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, parts, without)
        else:
            yield parts


def _order(parts: Parts) -> tuple[bool, Parts]:
    return parts[:2] in _POINTERS, parts


def _array_digests(folder: Path) -> dict[str, str]:
    """File to digest, as ``model.json`` has them; of a group's folder as the one above has them."""
    for place, group in ((folder, ""), (folder.parent, folder.name)):
        with contextlib.suppress(OSError, *MALFORMED):
            about = msgspec.json.decode((place / "model.json").read_bytes(), type=ModelAbout)
            return {entry.file: entry.blake3 for entry in (about.groups.get(group, []) if group else about.arrays)}
    return {}


def _digest_in_name(parts: Parts) -> str:
    """Digest of a file of the store, empty for others."""
    found = _STORED.match(parts[1]) if len(parts) == 2 and parts[0] == "store" else None
    return found[1] if found else ""


def _line(digest: str, parts: Parts) -> bytes:
    path = "/".join(parts)
    quoted = path.replace("\\", "\\\\").replace("\n", "\\n")
    mark = "" if quoted == path else "\\"
    return os.fsencode(f"{mark}{digest}  {quoted}\n")


def _parsed(line: bytes) -> tuple[Parts, str]:
    text = os.fsdecode(line[:-1])
    quoted = text.startswith("\\")
    digest, _, path = text.removeprefix("\\").partition("  ")
    if quoted:
        path = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], path)
    return tuple(path.split("/")), digest
