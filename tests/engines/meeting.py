"""A place where all sides of a federation meet that rclone reaches: by sftp, by the S3 protocol, by SMB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines.bucket import bucket_server
from tests.engines.programs import program
from tests.engines.rclone import configured
from tests.engines.smb import SHARE, smb_server
from tests.engines.sshd import ssh_server


@dataclass(frozen=True)
class Meeting:
    """Where all sides meet.

    Attributes:
        remote: for rclone.
        variables: with which it knows it.
        path: where that is on this machine; None for a bucket.
    """

    remote: str
    variables: dict[str, str]
    path: Path | None = None


@contextmanager
def meeting(kind: str, folder: Path) -> Iterator[Meeting]:
    """Run what serves such a place, to the end of the block.

    Args:
        kind: ``sftp``, ``s3`` or ``smb``.
        folder: made for its files.
    """
    program("rclone")
    folder.mkdir(parents=True)
    if kind == "sftp":
        hub = folder / "hub"
        hub.mkdir()
        with ssh_server(folder / "sshd") as server:
            yield Meeting(f"hub:{hub}", configured(folder, server.remote("hub")), hub)
    elif kind == "s3":
        with bucket_server(folder, "hub", "meeting") as remote:
            yield Meeting("hub:meeting/exchange", configured(folder, remote))
    else:
        with smb_server(folder / "samba") as samba:
            hub = folder / "samba" / SHARE / "fl"
            yield Meeting(f"hub:{SHARE}/fl", configured(folder, samba.remote("hub")), hub)
