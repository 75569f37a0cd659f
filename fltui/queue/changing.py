"""Ending and deleting entries, whether or not a server is there to hear of it."""

from __future__ import annotations

from fltui.errors import BadInputError
from fltui.queue.documents import AbortRequest, EntryEnd
from fltui.queue.entries import Entry, Standing, read_entry
from fltui.queue.folder import EntryBusyError, EntryFolder, QueueFolder
from fltui.run.control import LONGEST_REASON


def abort(queue: QueueFolder, entry_id: str, reason: str = "asked for") -> bool:
    """End an entry. One that waits never starts; for one that runs this asks the server, which ends its run.

    Args:
        queue: the queue.
        entry_id: the entry's id.
        reason: why.

    Returns:
        Whether it is over already; else the server has to hear of it.

    Raises:
        BadInputError: it is over, gone, or cannot be written.
    """
    if len(reason) > LONGEST_REASON:
        raise BadInputError(f"the reason has {len(reason)} characters; {LONGEST_REASON} are the most")
    folder = queue.named(entry_id)
    try:
        try:
            with folder.held():
                entry = read_entry(folder)
                _check_not_over(entry)
                if entry.claim is None:
                    folder.put(EntryEnd(state="FINISHED:ABORTED", reason=f"before it began: {reason}"), folder.end)
                    return True
        except EntryBusyError:
            _check_not_over(read_entry(folder))
        folder.put(AbortRequest(reason=reason), folder.abort)
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        queue.ring()
    return False


def delete(queue: QueueFolder, entry_id: str) -> None:
    """Remove an entry that waits or is over, or a folder that is none; its run stays.

    Args:
        queue: the queue.
        entry_id: the entry's id.

    Raises:
        BadInputError: it runs, or cannot be removed.
    """
    folder = queue.named(entry_id)
    try:
        if not folder.root.is_dir() or folder.root.is_symlink():
            raise BadInputError(f"{folder.root} is not an entry of the queue")
        with folder.held():
            try:
                standing = read_entry(folder).standing
            except BadInputError:
                standing = Standing.OVER  # garbage, which nobody runs
            if standing is Standing.RUNNING:
                raise BadInputError(
                    f"entry {folder.id} has begun, and goes on when the server of the queue is there; abort it first"
                )
            folder.remove()
    except EntryBusyError as error:
        raise BadInputError(f"entry {folder.id} runs; abort it first") from error
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        queue.ring()


def _check_not_over(entry: Entry) -> None:
    if entry.standing is Standing.OVER:
        raise BadInputError(f"entry {entry.id} has ended already: {entry.status}")


def _unusable(folder: EntryFolder, error: OSError) -> BadInputError:
    return BadInputError(f"entry {folder.id} cannot be changed: {error.strerror} ({error.filename or folder.root})")
