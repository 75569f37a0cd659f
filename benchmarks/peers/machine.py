"""The machine that everything is measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec

from fltui.exchange.mount import mount_of


class Machine(msgspec.Struct, frozen=True):
    """What a reader needs to judge a figure.

    Attributes:
        cores: those that this process may use.
        processor: its name.
        memory_gb: in 10^9 bytes.
        file_system: of the temporary folder in which the jobs run.
    """

    cores: int
    processor: str
    memory_gb: float
    kernel: str
    file_system: str
    python: str


def this_machine(temporary: Path) -> Machine:
    """The machine, as Linux tells it."""
    return Machine(
        len(os.sched_getaffinity(0)),
        parse_processor(Path("/proc/cpuinfo").read_text(errors="replace")) or platform.machine(),
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        f"{platform.system()} {platform.release()}",
        mount_of(temporary).kind,
        platform.python_version(),
    )


def parse_processor(cpuinfo: str) -> str:
    """The first processor's name in ``/proc/cpuinfo``; empty where there is none, as on some architectures."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""
