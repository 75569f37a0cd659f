"""What a worker has to see; the worker is this process."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.simulator.cluster import sharing
from fltui.simulator.cluster.look import OURS, Sight, looked
from fltui.simulator.cluster.sharing import asked, fault_of


async def _fault(found: Sight | BaseException, folder: Path) -> str:
    with asked({"exchange folder": folder}, []) as question:
        return await fault_of("tcp://a:1", found, question, {"exchange folder": folder})


async def test_a_worker_that_sees_all_has_no_fault(tmp_path: Path) -> None:
    folders = {"exchange folder": tmp_path / "a", "run folder": tmp_path / "b"}
    for folder in folders.values():
        folder.mkdir()
    with asked(folders, [str(tmp_path), "/no/such"]) as question:
        found = looked(question, "mine")
        assert not found.faults
        assert found.data == {str(tmp_path)}
        assert await fault_of("tcp://a:1", found, question, folders) == ""
    assert [list(folder.iterdir()) for folder in folders.values()] == [[], []]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda probe: shutil.rmtree(probe.parent), "there is no {folder}"),
        (lambda probe: shutil.rmtree(probe), "another folder lies at {folder}"),
        (lambda probe: (probe / OURS).write_text("x"), "{folder} does not have what was written into it"),
        (lambda probe: (probe / "mine").mkdir(), "{folder} cannot be written: Is a directory"),
    ],
)
async def test_a_worker_that_sees_another_folder_says_so(tmp_path: Path, spoil: object, told: str) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    with asked({"exchange folder": folder}, []) as question:
        assert callable(spoil)
        spoil(Path(question.probes[0]))
        found = looked(question, "mine")
        fault = await fault_of("tcp://a:1", found, question, {"exchange folder": folder})
    assert fault.startswith(f"worker tcp://a:1 on host {found.host} does not share the exchange folder {folder}: ")
    assert told.format(folder=folder) in fault


async def test_what_a_worker_writes_has_to_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_DELIVERY", 0.0)
    assert f"what it writes into {tmp_path} is not seen here" in await _fault(Sight(wrote="mine"), tmp_path)


async def test_another_fltui_is_refused(tmp_path: Path) -> None:
    found = dataclasses.replace(Sight(host="far"), version="0.0.9")
    assert "worker tcp://a:1 on host far has fltui 0.0.9" in await _fault(found, tmp_path)
    assert "; install fltui" in await _fault(ModuleNotFoundError("No module named 'fltui'"), tmp_path)


def test_a_folder_that_cannot_be_written_here_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be written"), asked({"exchange folder": tmp_path / "none"}, []):
        pass
