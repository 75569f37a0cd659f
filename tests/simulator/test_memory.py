"""Memory that the process of a site keeps."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from fltui.simulator.forked import Forked
from tests.simulator.launches import ends, launch, said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sites are forked on Linux only")

FREES = """
import os
import numpy as np
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
array = np.ones(16 << 20)
del array
print(resident() - before > 64 << 20, flush=True)
"""


@pytest.mark.parametrize(("size", "keeps"), [(160 << 20, True), (100 << 20, False), (0, False)])
async def test_a_script_keeps_what_it_frees_up_to_a_size(tmp_path: Path, size: int, keeps: bool) -> None:
    forked = Forked()
    one = msgspec.structs.replace(launch(tmp_path, "a", FREES), keeps_memory=size)
    try:
        assert (await ends(forked, [one]))["a"].code == 0
    finally:
        await forked.close()
    assert said(one) == [f"INFO {keeps}"]
