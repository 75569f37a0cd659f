"""Which mount a folder lies on; that this decides on polling is tested with the watcher."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fltui.exchange.mount import Mount, mount_of

MOUNTS = r"""
1 0 0:1 / / rw,relatime shared:1 - ext4 /dev/sda rw,errors=remount-ro
2 1 0:2 / /mnt/share rw,noatime - nfs4 server:/my\040data ro,vers=4.2
3 1 0:3 / /mnt/odd rw - tmpfs  rw
""".strip()


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/home", Mount("ext4", "/", frozenset({"rw", "relatime", "errors=remount-ro"}), "/dev/sda")),
        (
            "/mnt/share/x",
            Mount("nfs4", "/mnt/share", frozenset({"rw", "noatime", "ro", "vers=4.2"}), "server:/my data"),
        ),
        ("/mnt/odd", Mount("tmpfs", "/mnt/odd", frozenset({"rw"}), "")),
    ],
)
def test_a_mount_has_a_type_options_and_a_source(monkeypatch: pytest.MonkeyPatch, path: str, mount: Mount) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda self, **_: MOUNTS)
    assert mount_of(Path(path)) == mount


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of its mounts")
def test_this_system_knows_its_own() -> None:
    assert mount_of(Path("/proc")).kind == "proc"
    assert mount_of(Path("/proc/self")).point == "/proc"


def test_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert mount_of(Path("/")) == Mount()
