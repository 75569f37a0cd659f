"""Putting files into the exchange: written beside, then renamed into place; arrays first, the manifest last."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from fltui.errors import BadInputError, ExchangeError, NotYetError
from fltui.exchange.about import read_about
from fltui.exchange.durable import make_folder, naming, sync_folder
from fltui.exchange.held import Folder
from fltui.exchange.layout import HIDDEN, PROTOCOL, SERVER, ExchangeFolder, Side, SiteFolder, TaskId, array_files
from fltui.exchange.lock import hold
from fltui.exchange.manifest import ArrayEntry, ExchangeAbout, encode
from fltui.exchange.npy import write_all, write_array
from fltui.exchange.outage import AWAY, DISK_FULL

_NO_COPY_RANGE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS, errno.EIO}
"""What a disk answers that has no hard links. EIO is the word of ``rclone mount``; a broken disk says so of a copy."""


def spare_of(run: str) -> str:
    """In a folder of temporary files: a manifest of a run that was taken back, for the next to be written over it.

    To make and remove files all the time makes the making slow: ext4 gives a removed file's inode to no other for
    minutes, and looks at each of those first.
    """
    return f"{run}.spare.json"


def put_bytes(data: bytes, target: Path, staging: Path, *, durable: bool = False, over: str = "") -> None:
    """Make `target` hold `data`, whole or not at all.

    Args:
        data: the content.
        target: the final name.
        staging: a folder on the same file system that nobody watches.
        durable: survive a power cut: fsync the file, rename, fsync the folder.
        over: write over this file in `staging`, if it is there, see `spare_of`. Not with `durable`: after a power cut,
            the old name might hold the new content.
    """
    _put(data, Folder(target.parent), target.name, Folder(staging), durable=durable, over=over)


def _put(data: bytes, folder: Folder, name: str, staging: Folder, *, durable: bool, over: str = "") -> None:
    beside = f"{name}.{secrets.token_hex(4)}"
    if over and not durable and (fd := staging.rewrite(over)) is not None:
        beside = over
        _fill(fd, data, staging, beside, cut=True)
    else:
        _create(data, staging, beside, durable=durable)
    try:
        folder.take(name, staging, beside)
    except OSError:
        with contextlib.suppress(OSError):  # whoever tries again must not fill the disk with what is left of each try
            staging.remove(beside)
        raise
    if durable:
        folder.sync()


def _create(data: bytes, folder: Folder, name: str, *, durable: bool) -> None:
    """Make a file that is not there; what cannot be written whole is removed."""
    _fill(folder.create(name), data, folder, name, durable=durable)


def _fill(fd: int, data: bytes, folder: Folder, name: str, *, durable: bool = False, cut: bool = False) -> None:
    try:
        try:
            with naming(folder.path, name):
                write_all(fd, data)
                if cut:
                    os.ftruncate(fd, len(data))
                if durable:
                    os.fsync(fd)
        finally:
            with naming(folder.path, name):  # a share may tell only now that it is full, or away
                os.close(fd)
    except OSError:
        with contextlib.suppress(OSError):
            folder.remove(name)
        raise


def replace_in_turns(data: bytes, target: Path, staging: Path, writer: str, turn: int) -> None:
    """Replace a file that is replaced all the time by two that take turns; see `put_bytes`, and `spare_of` for why.

    Args:
        data: the content.
        target: the name of the file.
        staging: where the one of the two is that has not its turn; `end_turns` removes it.
        writer: a name of this process's own; another may replace the same file.
        turn: one more each time.
    """
    mine, other = (f"{target.name}.{writer}.{number % 2}" for number in (turn, turn + 1))
    folder, aside = Folder(target.parent), Folder(staging)
    fd = aside.rewrite(mine)
    if fd is None:
        aside.remove(mine)
        _fill(aside.create(mine), data, aside, mine)
    else:
        _fill(fd, data, aside, mine, cut=True)
    aside.link_from(folder, target.name, other)
    folder.take(target.name, aside, mine)


def end_turns(target: Path, staging: Path, writer: str) -> None:
    """Remove what `replace_in_turns` keeps."""
    for number in range(2):
        Folder(staging).remove(f"{target.name}.{writer}.{number}")


def put_document(document: msgspec.Struct, target: Path, staging: Path, *, durable: bool = False) -> None:
    """Publish a manifest or status; see `put_bytes`."""
    put_bytes(encode(document), target, staging, durable=durable)


def put_arrays(
    params: Mapping[str, NDArray[Any]], folder: Path, staging: Path, *, durable: bool = False, spare: str = ""
) -> list[ArrayEntry]:
    """Write every array into `folder` and return the manifest's entries in sorted order of the names.

    Args:
        params: name to array.
        folder: may be new; the folder above it exists.
        staging: see `put_bytes`.
        durable: fsync the files, then `folder`, then the folder above: there a manifest is to name what survives.
        spare: name of a folder beside `folder`, or of `folder` itself, whose files nobody needs any more: they are
            written over.
    """
    files = array_files(params)
    if spare and (spare == folder.name or not folder.exists()):
        try:
            return _put_arrays_over(params, files, folder.with_name(spare), folder, durable=durable)
        except OSError as error:
            if error.errno in DISK_FULL | AWAY:
                raise  # else it is gone, or somebody holds it: do without
    folder.mkdir(exist_ok=True)
    entries = []
    for name, file in files.items():
        beside = staging / f"{folder.name}.{file}"
        with naming(beside):
            entries.append(write_array(beside, name, params[name], file=file, durable=durable))
        os.replace(beside, folder / file)
    if durable:
        sync_folder(folder)
        sync_folder(folder.parent)
    return entries


def _put_arrays_over(
    params: Mapping[str, NDArray[Any]], files: Mapping[str, str], old: Path, folder: Path, *, durable: bool
) -> list[ArrayEntry]:
    for extra in set(Folder(old).names()).difference(files.values()):
        Folder(old).remove(extra)
    entries = []
    for name, file in files.items():
        with naming(old, file):
            entries.append(write_array(old / file, name, params[name], file=file, durable=durable, over=True))
    if old != folder:
        os.replace(old, folder)
    if durable:
        sync_folder(folder)
        sync_folder(folder.parent)
    return entries


def copy_file(source: Path, target: Path, *, durable: bool = False) -> None:
    """Copy a file, read-only for everybody at the target."""
    _copy(source, Folder(target.parent), target.name, durable=durable)


def _copy(source: Path, folder: Folder, name: str, *, durable: bool) -> None:
    folder.remove(name)
    with (
        source.open("rb") as read,
        naming(folder.path, name),
        open(folder.create(name, 0o444), "wb") as write,
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


class OpenTasks:
    """What the server changes in the folder of a site, which `open_tasks` gives.

    Args:
        tasks: its ``tasks/``, open.
        staging: the server's temporary folder, open.
    """

    def __init__(self, tasks: Folder, staging: Folder) -> None:
        self._tasks = tasks
        self._staging = staging

    def put_manifest(self, task_id: TaskId, manifest: bytes, *, durable: bool = False) -> None:
        """Publish a task, or the end of a run; see `put_bytes`."""
        over = "" if task_id.is_end else spare_of(task_id.run)
        _put(manifest, self._tasks, f"{task_id}.json", self._staging, durable=durable, over=over)

    def put_copies(
        self, task_id: TaskId, files: Mapping[str, Path], *, spare: TaskId | None = None, durable: bool = False
    ) -> None:
        """Copy whole files to a task, each under its key's name, read-only; block sharing where the disk can.

        `spare` is what `empty` left of another task; `durable` is that of `put_arrays`.
        """
        with self._arrays(task_id, spare, durable=durable) as arrays:
            for name, source in files.items():
                self._put_copy(task_id, arrays, name, source, durable=durable)

    def put_links(
        self, task_id: TaskId, files: Mapping[str, Path], *, spare: TaskId | None = None, durable: bool = False
    ) -> None:
        """Give whole files a second name at a task, each under its key; copies where the disk has no hard links.

        `spare` and `durable` are those of `put_copies`; the content of the files is synced already.
        """
        with self._arrays(task_id, spare, durable=durable) as arrays:
            for name, source in files.items():
                try:
                    try:
                        arrays.link(name, source)
                    except FileExistsError:  # from a server that died
                        arrays.remove(name)
                        arrays.link(name, source)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    self._put_copy(task_id, arrays, name, source, durable=durable)

    @contextmanager
    def _arrays(self, task_id: TaskId, spare: TaskId | None, *, durable: bool) -> Iterator[Folder]:
        """The folder of a task's arrays. With `durable` the names of the arrays are synced after that, then that of
        their folder: a new folder is a name, too, and nobody promises that it is written before the manifest beside
        it."""
        if spare is not None:
            self.rename_empty(spare, task_id)
        with self._tasks.open_made(str(task_id)) as arrays:
            yield arrays
            if durable:
                arrays.sync()
                self._tasks.sync()

    def _put_copy(self, task_id: TaskId, arrays: Folder, name: str, source: Path, *, durable: bool) -> None:
        beside = f"{task_id}.{name}"
        _copy(source, self._staging, beside, durable=durable)
        arrays.take(name, self._staging, beside)

    def remove(self, task_id: TaskId) -> None:
        """Take back a task: the manifest first, so that nobody meets a manifest without arrays."""
        _remove(self._tasks, str(task_id))

    def empty(self, task_id: TaskId, *, durable: bool = False) -> bool:
        """Take back a task and leave its folder, empty, for another, and its manifest as the spare one.

        Returns:
            Whether the folder is there. If it was not, or where things must survive a power cut, no manifest is spared.
        """
        if not durable and self._tasks.has(str(task_id)):
            self._tasks.set_aside(f"{task_id}.json", self._staging, spare_of(task_id.run))
        else:
            self._tasks.remove(f"{task_id}.json")
        return self._tasks.empty(str(task_id))

    def rename_empty(self, old: TaskId, new: TaskId) -> bool:
        """Give a folder that `empty` has left the name of another task's, in place of an empty folder.

        Returns:
            False where that cannot be; True where it has that name already, or had it.
        """
        return old == new or self._tasks.reuse(str(old), str(new))

    def remove_spare(self, task_id: TaskId) -> None:
        """Remove what `empty` has set aside, and the folder that it has left, under whichever name."""
        self._staging.remove(spare_of(task_id.run))
        if not self._tasks.has(f"{task_id}.json"):
            self._tasks.remove_tree(str(task_id))

    def remove_manifest(self, task_id: TaskId) -> None:
        """Take back a task and leave its arrays to those that are at work on them, or take back an end."""
        self._tasks.remove(f"{task_id}.json")

    def remove_outside(self, run: str, first: int, last: int) -> None:
        """Take back the tasks of a run before its round `first`, also those of which only the arrays are left, and
        folders without a manifest after its round `last`."""
        names = set(self._tasks.names())
        for found in map(TaskId.parse, {name.removesuffix(".json") for name in names}):
            if found and found.run == run and not found.is_end:
                later = found.round > last and f"{found}.json" not in names
                if found.round < first or later:
                    self.remove(found)

    def remove_staged(self, run: str) -> None:
        """Remove the temporary files of a run whose server died."""
        for name in self._staging.names():
            if name.startswith(f"{run}."):
                with contextlib.suppress(OSError):  # no file of the server's
                    self._staging.remove(name)


@contextmanager
def open_tasks(site: SiteFolder) -> Iterator[OpenTasks]:
    """The one way in for what the server changes in the folder of a site: a site may put links there at any moment, so
    each folder is opened once, as a plain one, and all that follows is done in what is open.

    Raises:
        OSError: there is a link on the way, or the site's folder leads to that of another site.
    """
    with _open_root(site) as root, root.open(site.tasks.name) as tasks, root.open(site.staging(SERVER).name) as staging:
        yield OpenTasks(tasks, staging)


def _open_root(site: SiteFolder) -> Folder:
    """Hold the folder of a site open, which may be a link to where it lies."""
    exchange = Folder(site.root.parent)
    try:
        return exchange.open(site.root.name)
    except NotADirectoryError:
        root = exchange.open_linked(site.root.name)
    try:
        _check_own(site, root)
    except BaseException:
        with root:
            raise
    return root


def _check_own(site: SiteFolder, root: Folder) -> None:
    """Make sure that what was a link a moment ago did not lead to the folder of another site."""
    found = Path(os.path.realpath(site.root))
    if found.parent == site.root.parent.resolve():
        raise OSError(errno.ENOTDIR, f"it leads to the folder of {found.name}", str(site.root))
    if root.fd is not None and not os.path.samestat(found.stat(), os.fstat(root.fd)):
        raise OSError(errno.ENOTDIR, "it leads somewhere else than a moment ago", str(site.root))


def remove_published(folder: Path, stem: str) -> None:
    """Take back a result: the manifest first, so that nobody meets a manifest without arrays."""
    _remove(Folder(folder), stem)


def spare_published(folder: Path, task_id: TaskId, staging: Path) -> None:
    """Take back a result and leave its arrays for another to be written over them, its manifest as the spare one."""
    Folder(folder).set_aside(f"{task_id}.json", Folder(staging), spare_of(task_id.run))


def _remove(folder: Folder, stem: str) -> None:
    folder.remove(f"{stem}.json")
    folder.remove_tree(stem)


def open_site(site: SiteFolder, side: Side, *, durable: bool = False) -> None:
    """Make the folders of a site that `side`, ``"server"`` or ``"site"``, needs; those that exist stay as they are.

    With `durable` their names survive a power cut, whichever side made them.

    Raises:
        BadInputError: a folder cannot be made or written, or is a link: what is written would go where that leads.
    """
    needed = [site.tasks, site.results, site.staging(side)] + ([site.logs] if side == "site" else [])
    written = site.tasks if side == SERVER else site.results
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
        read_about(exchange)
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
            beside = root / f"{HIDDEN}{secrets.token_hex(8)}"
            about = encode(ExchangeAbout(PROTOCOL, secrets.token_hex(8)))
            put_bytes(about, beside, root, durable=durable)
            with contextlib.suppress(FileExistsError):  # another server was first: its identity stays
                try:
                    os.link(beside, exchange.about)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    _create(about, Folder(root), exchange.about.name, durable=durable)
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
        about = read_about(exchange)
        if about.server_key != public:
            beside = exchange.root / f"{HIDDEN}{secrets.token_hex(8)}"
            shown = msgspec.structs.replace(about, server_key=public)
            put_document(shown, beside, exchange.root, durable=durable)
            os.replace(beside, exchange.about)
            if durable:
                sync_folder(exchange.root)
    except OSError as error:
        raise BadInputError(f"{exchange.about} cannot be written: {error.strerror} ({error.filename})") from error
    except ExchangeError as error:
        raise BadInputError(str(error)) from error
