"""Putting files into the exchange: written beside, then renamed into place; arrays first, the manifest last."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from fltui.errors import BadInputError, ExchangeError, NotYetError
from fltui.exchange.durable import make_folder, naming, sync_folder
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, SiteFolder, TaskId, array_files
from fltui.exchange.lock import hold
from fltui.exchange.manifest import ArrayEntry, ExchangeAbout, decode, encode
from fltui.exchange.npy import write_all, write_array

_NO_COPY_RANGE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS}


def put_bytes(data: bytes, target: Path, staging: Path, *, durable: bool = False) -> None:
    """Make `target` hold `data`, whole or not at all.

    Args:
        data: the content.
        target: the final name.
        staging: a folder on the same file system that nobody watches.
        durable: survive a power cut: fsync the file, rename, fsync the folder.
    """
    beside = staging / f"{target.name}.{secrets.token_hex(4)}"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        try:
            with naming(beside):
                write_all(fd, data)
                if durable:
                    os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(beside, target)
    except OSError:
        with contextlib.suppress(OSError):  # whoever tries again must not fill the disk with what is left of each try
            beside.unlink()
        raise
    if durable:
        sync_folder(target.parent)


def put_document(document: msgspec.Struct, target: Path, staging: Path, *, durable: bool = False) -> None:
    """Publish a manifest or status; see `put_bytes`."""
    put_bytes(encode(document), target, staging, durable=durable)


def put_arrays(
    params: Mapping[str, NDArray[Any]], folder: Path, staging: Path, *, durable: bool = False
) -> list[ArrayEntry]:
    """Write every array into `folder` and return the manifest's entries in sorted order of the names.

    Args:
        params: name to array.
        folder: may be new; the folder above it exists.
        staging: see `put_bytes`.
        durable: fsync the files, then `folder`, then the folder above: there a manifest is to name what survives.
    """
    folder.mkdir(exist_ok=True)
    entries = []
    for name, file in array_files(params).items():
        beside = staging / f"{folder.name}.{file}"
        with naming(beside):
            entries.append(write_array(beside, name, params[name], file=file, durable=durable))
        os.replace(beside, folder / file)
    if durable:
        _sync_arrays(folder)
    return entries


def put_copies(files: Mapping[str, Path], folder: Path, staging: Path, *, durable: bool = False) -> None:
    """Copy whole files into `folder`, each under its key's name, read-only; block sharing where the disk can.

    `durable` is that of `put_arrays`.
    """
    folder.mkdir(exist_ok=True)
    for name, source in files.items():
        beside = staging / f"{folder.name}.{name}"
        copy_file(source, beside, durable=durable)
        os.replace(beside, folder / name)
    if durable:
        _sync_arrays(folder)


def put_links(files: Mapping[str, Path], folder: Path, staging: Path, *, durable: bool = False) -> None:
    """Give whole files a second name in `folder`, each under its key; copies where the disk has no hard links.

    `durable` is that of `put_arrays`; the content of the files is synced already.
    """
    folder.mkdir(exist_ok=True)
    for name, source in files.items():
        target = folder / name
        try:
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            put_copies({name: source}, folder, staging, durable=durable)
    if durable:
        _sync_arrays(folder)


def _sync_arrays(folder: Path) -> None:
    """The names of the arrays, then that of their folder: a new folder is a name, too, and nobody promises that it is
    written before the manifest beside it."""
    sync_folder(folder)
    sync_folder(folder.parent)


def copy_file(source: Path, target: Path, *, durable: bool = False) -> None:
    """Copy a file, read-only for everybody at the target."""
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    with (
        naming(target),
        source.open("rb") as read,
        open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as write,
    ):
        left = os.fstat(read.fileno()).st_size
        try:
            while left and (done := os.copy_file_range(read.fileno(), write.fileno(), left)):
                left -= done
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_COPY_RANGE:
                raise
        if left:
            shutil.copyfileobj(read, write)
        if durable:
            write.flush()
            os.fsync(write.fileno())


def remove_published(folder: Path, stem: str) -> None:
    """Take back a task or result: the manifest first, so that nobody meets a manifest without arrays."""
    with contextlib.suppress(FileNotFoundError):
        (folder / f"{stem}.json").unlink()
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / stem)


def check_plain(site: SiteFolder, task_id: TaskId) -> None:
    """Make sure that what the server writes for a site goes nowhere else: a site may put links in its folder.

    Raises:
        OSError: there is a link on the way to a task, or the site's folder leads to that of another site.
    """
    for folder in (site.tasks, site.tasks / str(task_id), site.staging("server")):
        if folder.is_symlink():
            raise OSError(errno.ENOTDIR, "it is a symbolic link, expected a plain folder", str(folder))
    if site.root.is_symlink():
        found = site.root.resolve()
        if found.parent == site.root.parent.resolve():
            raise OSError(errno.ENOTDIR, f"it leads to the folder of {found.name}", str(site.root))


def open_site(site: SiteFolder, side: str, *, durable: bool = False) -> None:
    """Make the folders of a site that `side`, ``"server"`` or ``"site"``, needs; those that exist stay as they are.

    With `durable` their names survive a power cut, whichever side made them.

    Raises:
        BadInputError: a folder cannot be made or written, or is a link: what is written would go where that leads.
    """
    needed = [site.tasks, site.results, site.staging(side)] + ([site.logs] if side == "site" else [])
    written = site.tasks if side == "server" else site.results
    try:
        make_folder(site.root, durable=durable)
        for folder in needed:
            folder.mkdir(exist_ok=True)
            if folder.is_symlink():
                raise BadInputError(f"{folder} is a symbolic link; put a plain folder in its place")
        if durable:
            for folder in (site.root, site.root.parent):
                with contextlib.suppress(PermissionError):  # not readable for this user: others have prepared it
                    sync_folder(folder)
    except OSError as error:
        reason = f"{error.strerror} ({error.filename or site.root})"
        raise BadInputError(f"site folder {site.root} cannot be prepared: {reason}") from error
    if not os.access(written, os.W_OK):
        raise BadInputError(f"site folder {site.root} is read-only for this user; {written.name}/ must be writable")


def hold_site(site: SiteFolder, run: str) -> int | None:
    """Hold a site for this process, so that no second script answers in its name.

    Args:
        site: the site.
        run: the one run that is served; scripts that serve different runs do not meet.

    Returns:
        A descriptor that must stay open; None where the file system has no locks.

    Raises:
        BadInputError: another process holds it.
    """
    try:
        return hold(site_lock(site, run))
    except BlockingIOError as error:
        raise BadInputError(f"site {site.name} is served by another process already; see {site.status}") from error
    except OSError as error:
        raise BadInputError(f"site {site.name} cannot be held: {error.strerror} ({error.filename})") from error


def site_lock(site: SiteFolder, run: str) -> Path:
    """The file that `hold_site` locks."""
    return site.staging("site") / f"{run or 'any-run'}.lock"


def check_exchange(exchange: ExchangeFolder, *, delivered: bool = False) -> None:
    """Make sure that an exchange, if there is one yet, speaks this protocol.

    Args:
        exchange: the exchange folder.
        delivered: a sync engine may be at it: a file that is not whole is as good as none.

    Raises:
        BadInputError: it does not.
    """
    try:
        decode(exchange.about.read_bytes(), ExchangeAbout, str(exchange.about))
    except FileNotFoundError:
        return
    except NotYetError as error:
        if delivered:
            return
        raise BadInputError(f"{error}; if nothing uses this exchange any more, remove that file") from error
    except (ExchangeError, OSError) as error:
        raise BadInputError(str(error)) from error


def open_exchange(root: Path, *, durable: bool = False) -> ExchangeFolder:
    """Make sure that `root` is an exchange of this protocol that this user can write in.

    Raises:
        BadInputError: it cannot be made or written, or speaks another protocol.
    """
    exchange = ExchangeFolder(root)
    try:
        make_folder(root, durable=durable)
        if not exchange.about.exists():
            beside = root / f".syncthing.fltui.{secrets.token_hex(8)}"
            put_document(ExchangeAbout(PROTOCOL, secrets.token_hex(8)), beside, root, durable=durable)
            try:
                os.link(beside, exchange.about)  # fails where another server was first: its identity stays
            except FileExistsError:
                pass
            except OSError:
                os.replace(beside, exchange.about)
            beside.unlink(missing_ok=True)
            if durable:
                sync_folder(root)
    except OSError as error:
        raise BadInputError(f"exchange folder {root} cannot be used: {error.strerror} ({error.filename})") from error
    if not os.access(root, os.W_OK):
        raise BadInputError(f"exchange folder {root} is read-only for this user; give --exchange a writable folder")
    check_exchange(exchange)
    return exchange


def show_server_key(exchange: ExchangeFolder, public: str, *, durable: bool = False) -> None:
    """Write the server's public key into ``exchange.json``, for people at the sites to compare.

    Raises:
        BadInputError: it cannot be written.
    """
    try:
        about = decode(exchange.about.read_bytes(), ExchangeAbout, str(exchange.about))
        if about.server_key != public:
            beside = exchange.root / f".syncthing.fltui.{secrets.token_hex(8)}"
            shown = msgspec.structs.replace(about, server_key=public)
            put_document(shown, beside, exchange.root, durable=durable)
            os.replace(beside, exchange.about)
            if durable:
                sync_folder(exchange.root)
    except OSError as error:
        raise BadInputError(f"{exchange.about} cannot be written: {error.strerror} ({error.filename})") from error
    except ExchangeError as error:
        raise BadInputError(str(error)) from error
