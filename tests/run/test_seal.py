from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import blake3
import numpy as np
import pytest

from fltui.run.folder import RunFolder, create_run
from fltui.run.models import Models
from fltui.run.seal import DifferenceError, check_seal, write_seal


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that is over, as far as files go."""
    folder = create_run(tmp_path / "runs", "test")
    models = Models(folder.models, durable=False)
    for number in range(2):
        with models.new(number, ["w"]) as new:
            new.add("w", np.full(3, number, np.float32))
    models.point("final", 1)
    folder.job.mkdir()
    (folder.job / "meta.json").write_text("{}")
    (folder.logs / "server.log").write_text("all is well\n")
    (folder.store / f"{blake3.blake3(b'sent').hexdigest()}.npy").write_bytes(b"sent")
    folder.journal.write_text("")
    (folder.control / "later.json").write_text("{}")
    return folder


def check(folder: RunFolder, digest: str) -> int:
    """How many files there are."""
    return check_seal(folder, digest, lambda *_: None)


def difference(folder: RunFolder, digest: str) -> str:
    """What is found, as a sentence."""
    with pytest.raises(DifferenceError) as found:
        check(folder, digest)
    assert str(found.value).startswith(found.value.file)
    return str(found.value)


def test_every_file_is_sealed_but_the_journal_and_requests(folder: RunFolder) -> None:
    digest = write_seal(folder)
    lines = dict(line.split("  ")[::-1] for line in folder.seal.read_text().splitlines())
    there = {path.relative_to(folder.root).as_posix() for path in folder.root.rglob("*") if path.is_file()}
    assert lines.keys() - {"models/final/model.json", "models/final/w.npy"} == there - {
        "journal.jsonl",
        "control/later.json",
        "seal.b3",
    }
    assert all(blake3.blake3((folder.root / path).read_bytes()).hexdigest() == found for path, found in lines.items())
    assert blake3.blake3(folder.seal.read_bytes()).hexdigest() == digest
    assert check(folder, digest) == len(lines)


def test_sealing_again_gives_the_same_and_leaves_nothing_behind(folder: RunFolder) -> None:
    before = {path.name for path in folder.root.iterdir()}
    assert write_seal(folder) == write_seal(folder, durable=True)
    assert {path.name for path in folder.root.iterdir()} == before | {"seal.b3"}


def test_what_cannot_be_read_is_not_sealed(folder: RunFolder) -> None:
    (folder.logs / "site.log").symlink_to("nowhere")
    with pytest.raises(OSError, match="not a plain file"):
        write_seal(folder)
    assert not [path for path in folder.root.iterdir() if "seal" in path.name]


def test_arrays_that_were_damaged_before_the_end_are_found(folder: RunFolder) -> None:
    path = folder.models / "round-0000" / "w.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert "models/round-0000/w.npy is not what it was at the end" in difference(folder, write_seal(folder))


@pytest.mark.parametrize(
    "name", ["two\nlines.py", "back\\slash.py", "two  spaces.py", "\u2028 ü.py", os.fsdecode(b"\xff.py")]
)
def test_names_of_any_kind(folder: RunFolder, name: str) -> None:
    path = folder.job / name
    path.write_text("1")
    digest = write_seal(folder)
    check(folder, digest)
    path.write_text("2")
    with pytest.raises(DifferenceError) as found:
        check(folder, digest)
    assert found.value.file == f"job/{name}"


def _remove(path: Path) -> None:
    path.unlink()


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [_remove, _make_folder, _make_pipe, _link_away])
@pytest.mark.parametrize("place", ["job/meta.json", "models/round-0001/w.npy", "logs/server.log"])
def test_what_takes_the_place_of_a_file(folder: RunFolder, spoil: Callable[[Path], None], place: str) -> None:
    digest = write_seal(folder)
    spoil(folder.root / place)
    assert place in difference(folder, digest)


@pytest.mark.parametrize(
    "place", ["a", "zz", "job/a", "store/0.npy", "models/round-0001/x", "models/final/x", ".hidden"]
)
def test_a_file_that_was_not_there(folder: RunFolder, place: str) -> None:
    digest = write_seal(folder)
    (folder.root / place).write_text("new")
    assert f"{place.replace('final', 'round-0001')} was not there at the end" in difference(folder, digest)


@pytest.mark.parametrize("place", ["job", "job/app_a/custom"])
def test_what_python_leaves_beside_a_script_is_no_difference(folder: RunFolder, place: str) -> None:
    beside = folder.root / place
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "train.py").write_text("")
    digest = write_seal(folder)
    (beside / "__pycache__").mkdir()
    for name in ("train.cpython-311.pyc", "train.cpython-311.opt-1.pyc"):
        (beside / "__pycache__" / name).write_text("")
        check(folder, digest)


@pytest.mark.parametrize(
    "place",
    [
        "__pycache__/train.cpython-311.pyc",
        "logs/__pycache__/train.cpython-311.pyc",
        "models/__pycache__/train.cpython-311.pyc",
        "job/__pycache__/other.cpython-311.pyc",
        "job/__pycache__/train.pyc",
        "job/__pycache__/train.py",
        "job/__pycache__/train.so",
        "job/__pycache__/deep/train.cpython-311.pyc",
        "job/__pycache__/__pycache__/train.cpython-311.pyc",
    ],
)
def test_what_python_does_not_leave_is_a_difference(folder: RunFolder, place: str) -> None:
    (folder.job / "train.py").write_text("")
    (folder.logs / "train.py").write_text("")
    digest = write_seal(folder)
    (folder.root / place).parent.mkdir(parents=True)
    (folder.root / place).write_text("")
    assert difference(folder, digest) == f"{place} was not there at the end of the run"


def test_a_link_is_not_what_python_leaves(folder: RunFolder) -> None:
    (folder.job / "train.py").write_text("")
    digest = write_seal(folder)
    (folder.job / "__pycache__").mkdir()
    (folder.job / "__pycache__" / "train.cpython-311.pyc").symlink_to("/dev/null")
    assert "was not there at the end" in difference(folder, digest)


@pytest.mark.parametrize("place", ["a", "job/a", "store/a", "models/round-0002", "job/__pycache__", "logs/a/b"])
def test_an_empty_folder_that_was_not_there(folder: RunFolder, place: str) -> None:
    digest = write_seal(folder)
    (folder.root / place).mkdir(parents=True)
    assert difference(folder, digest) == f"{place}/ was not there at the end of the run, or was not empty"


def test_folders_that_may_be_empty(folder: RunFolder) -> None:
    """A store whose results were not kept, an app without files, a model that was begun as the run failed."""
    for path in folder.store.iterdir():
        path.unlink()
    (folder.job / "app_a" / "custom").mkdir(parents=True)
    (folder.models / ".round-0002").mkdir()
    (folder.control / "a").mkdir()
    check(folder, write_seal(folder))


@pytest.mark.parametrize("place", ["job/meta.json", "models/round-0001/w.npy", "logs/server.log", "seal.b3", "logs"])
def test_a_link_to_the_same_content_in_the_place_of_what_was_there(folder: RunFolder, place: str) -> None:
    digest = write_seal(folder)
    path, away = folder.root / place, folder.root.parent / "away"
    path.rename(away)
    path.symlink_to(away)
    told = difference(folder, digest)
    assert told.startswith(place)
    assert "is not a plain file" in told or "was not there at the end" in told


def test_the_final_model_does_not_lead_out_of_the_run(folder: RunFolder) -> None:
    digest = write_seal(folder)
    shutil.copytree(folder.models / "round-0001", folder.root.parent / "away")
    (folder.models / "final").unlink()
    (folder.models / "final").symlink_to(folder.root.parent / "away")
    assert "models/final" in difference(folder, digest)


def test_the_final_model_may_be_a_copy_and_not_another(folder: RunFolder) -> None:
    digest = write_seal(folder)
    (folder.models / "final").unlink()
    (folder.models / "final").symlink_to("round-0000")
    assert "models/final/model.json is not what it was at the end" in difference(folder, digest)
    (folder.models / "final").unlink()
    assert "models/final/model.json is missing" in difference(folder, digest)


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read"), ("", "was changed after the end: expected")])
def test_the_seal_itself(folder: RunFolder, text: str | None, told: str) -> None:
    digest = write_seal(folder)
    folder.seal.unlink()
    if text is not None:
        folder.seal.write_text(text)
    assert difference(folder, digest).startswith(f"seal.b3 {told}")


def test_a_seal_does_not_give_a_stored_file_another_digest(folder: RunFolder) -> None:
    """As one would who changes a result and seals the run again."""
    write_seal(folder)
    (path,) = folder.store.iterdir()
    path.write_bytes(b"other")
    forged = folder.seal.read_text().replace(f"{path.stem}  ", f"{blake3.blake3(b'other').hexdigest()}  ")
    folder.seal.write_text(forged)
    told = difference(folder, blake3.blake3(forged.encode()).hexdigest())
    assert f"store/{path.name} is sealed with another digest than its name" in told
