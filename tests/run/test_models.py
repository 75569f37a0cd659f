from __future__ import annotations

import json
import os
from pathlib import Path

import blake3
import msgspec
import numpy as np
import pytest

from fltui.run.models import Models, digest_of_model, model_digest


@pytest.fixture
def models(tmp_path: Path) -> Models:
    root = tmp_path / "models"
    root.mkdir()
    return Models(root, durable=False)


def save(models: Models, number: int, **params: float) -> None:
    """A model of single numbers."""
    with models.new(number, sorted(params)) as new:
        for name, value in params.items():
            new.add(name, np.array([value]))


def test_a_model_is_a_folder_of_arrays_and_their_description(models: Models) -> None:
    save(models, 3, w=1.5, b=0.5)
    assert sorted(entry.name for entry in models.folder(3).iterdir()) == ["b.npy", "model.json", "w.npy"]
    assert np.load(models.folder(3) / "w.npy") == [1.5]
    assert json.loads((models.folder(3) / "model.json").read_text())["round"] == 3


def test_a_loaded_model_opens_its_parameters(models: Models) -> None:
    save(models, 0, w=1.5)
    model, out = models.load(0), np.empty(1)
    with model.open("w") as source:
        source.read(0, out)
    assert out == [1.5]
    assert model.size == (models.folder(0) / "w.npy").stat().st_size


def test_a_parameter_can_be_written_block_by_block(models: Models) -> None:
    with models.new(0, ["w"]) as new, new.array("w", "<f8", [2, 2]) as out:
        out.write(np.array([1.0, 2.0]))
        out.write(np.array([3.0, 4.0]))
    assert np.load(models.folder(0) / "w.npy").tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_both_ways_of_writing_give_the_same_model(models: Models) -> None:
    with models.new(0, ["w"]) as new, new.array("w", "<f8", [1]) as out:
        out.write(np.array([1.5]))
    save(models, 1, w=1.5)
    assert models.load(0).digest == models.load(1).digest
    assert models.load(0).entries == models.load(1).entries


def test_a_model_without_arrays_has_no_digest(models: Models) -> None:
    save(models, 0)
    assert (models.load(0).entries, models.load(0).digest, models.load(0).size) == ({}, "", 0)


def test_a_model_that_failed_half_way_is_not_there(models: Models) -> None:
    with pytest.raises(ZeroDivisionError), models.new(0, ["w"]) as new:
        new.add("w", np.zeros(1))
        raise ZeroDivisionError
    assert not models.folder(0).exists()
    save(models, 0, w=2.0)
    assert models.load(0).entries.keys() == {"w"}


def test_writing_again_replaces_the_model(models: Models) -> None:
    save(models, 0, old=1.0)
    save(models, 0, new=2.0)
    assert models.load(0).entries.keys() == {"new"}
    assert not (models.folder(0) / "old.npy").exists()


def test_a_durable_model_reads_the_same(models: Models) -> None:
    save(models, 0, w=1.5)
    durable = Models(models.root, durable=True)
    save(durable, 1, w=1.5)
    assert durable.load(1).digest == models.load(0).digest


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no advice")
def test_every_array_of_a_model_is_left_to_the_disk(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    advice: list[tuple[int, int, int, int]] = []

    def advise(fd: int, start: int, length: int, found: int) -> None:
        advice.append((os.fstat(fd).st_ino, start, length, found))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    save(models, 3, w=1.5, b=0.5)
    models.leave_to_disk(3)
    models.leave_to_disk(2)  # there is none
    files = {path.stat().st_ino for path in models.folder(3).glob("*.npy")}
    assert sorted(advice) == [(file, 0, 0, os.POSIX_FADV_DONTNEED) for file in sorted(files)]
    assert np.load(models.folder(3) / "w.npy") == [1.5]


def test_a_pointer_leads_to_a_model_and_can_be_moved(models: Models) -> None:
    save(models, 0, w=0.0)
    save(models, 1, w=1.0)
    for number in (0, 1):
        assert np.load(models.point("final", number) / "w.npy") == [number]


def test_a_pointer_survives_moving_the_run(models: Models, tmp_path: Path) -> None:
    save(models, 0, w=1.5)
    models.point("final", 0)
    models.root.rename(tmp_path / "moved")
    assert np.load(tmp_path / "moved/final/w.npy") == [1.5]


def test_a_disk_without_links_gets_a_copy(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    save(models, 0, w=0.0)
    save(models, 1, w=1.0)
    models.point("final", 0)
    assert np.load(models.point("final", 1) / "w.npy") == [1.0]


def test_the_digest_depends_on_names_and_values_but_not_on_order(models: Models) -> None:
    save(models, 0, a=1.0, b=2.0)
    first, second = models.load(0).entries.values()
    digest = model_digest([first, second])
    assert digest == models.load(0).digest == model_digest([second, first])
    assert digest != model_digest([msgspec.structs.replace(first, name="c"), second])
    assert digest != model_digest([msgspec.structs.replace(first, blake3="0" * 64), second])


GROUPS: dict[str, dict[str, float]] = {"variance": {"w": 3.0}, "momentum": {"w": 2.0, "b/ias": 4.0}}


def save_grouped(models: Models, number: int) -> None:
    """A model of one number and two groups."""
    groups = {title: {name: np.array([value]) for name, value in group.items()} for title, group in GROUPS.items()}
    with models.new(number, ["w"]) as new:
        new.add_all({"w": np.array([1.5])}, groups)


def test_a_group_is_a_folder_in_that_of_the_model(models: Models) -> None:
    save_grouped(models, 0)
    folder = models.folder(0)
    assert sorted(entry.name for entry in folder.iterdir()) == ["model.json", "momentum", "variance", "w.npy"]
    assert sorted(entry.name for entry in (folder / "momentum").iterdir()) == ["b_ias.npy", "w.npy"]
    assert np.load(folder / "momentum/w.npy") == [2.0]
    about = json.loads((folder / "model.json").read_text())
    assert {title: [entry["name"] for entry in group] for title, group in about["groups"].items()} == {
        "momentum": ["b/ias", "w"],
        "variance": ["w"],
    }


def test_a_loaded_model_has_its_groups(models: Models) -> None:
    save_grouped(models, 0)
    model, out = models.load(0), np.empty(1)
    assert {title: sorted(group.entries) for title, group in model.groups.items()} == {
        "momentum": ["b/ias", "w"],
        "variance": ["w"],
    }
    with model.groups["momentum"].open("b/ias") as source:
        source.read(0, out)
    assert out == [4.0]
    assert (model.size, model.whole_size) == (136, 4 * 136)
    assert [place for place, _ in model.files()] == [
        ("w.npy",),
        ("momentum", "b_ias.npy"),
        ("momentum", "w.npy"),
        ("variance", "w.npy"),
    ]


def test_a_model_without_groups_is_described_and_digested_as_ever(models: Models) -> None:
    save(models, 0, w=1.5)
    about = json.loads((models.folder(0) / "model.json").read_text())
    assert about.keys() == {"round", "digest", "arrays"}
    (entry,) = models.load(0).entries.values()
    expected = blake3.blake3(f"w\n{entry.blake3}\n".encode()).hexdigest()
    assert about["digest"] == expected == model_digest([entry]) == model_digest([entry], {})


def test_the_digest_depends_on_the_groups(models: Models) -> None:
    save_grouped(models, 0)
    save(models, 1, w=1.5)
    model = models.load(0)
    groups = {title: list(group.entries.values()) for title, group in model.groups.items()}
    arrays = list(model.entries.values())
    assert model.digest == digest_of_model(model) == model_digest(arrays, dict(reversed(groups.items())))
    others = [
        {},
        {"momentum": groups["momentum"]},
        {"momentum": groups["variance"], "variance": groups["momentum"]},
        {**groups, "momentum": groups["momentum"][:1]},
        {**groups, "empty": []},
    ]
    digests = {model_digest(arrays, other) for other in others}
    assert model.digest not in digests
    assert len(digests) == len(others)
    assert models.load(1).digest == model_digest(arrays) == model_digest(arrays, others[0])


def test_a_model_is_taken_over_without_its_groups_and_carried_with_them(models: Models) -> None:
    save_grouped(models, 0)
    with models.new(1, ["w"]) as new:
        new.take_over(models.load(0))
    assert (models.load(1).groups, np.load(models.folder(1) / "w.npy")) == ({}, [1.5])
    carried = models.carry(models.load(0), 2).stored
    assert carried.digest == models.load(2).digest == models.load(0).digest
    assert np.load(models.folder(2) / "momentum/b_ias.npy") == [4.0]
    assert (models.folder(0) / "momentum/w.npy").samefile(models.folder(2) / "momentum/w.npy")
    models.remove(0)
    assert np.load(models.folder(2) / "momentum/w.npy") == [2.0]


@pytest.mark.parametrize("durable", [False, True])
def test_where_there_are_no_links_a_model_is_copied(
    models: Models, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    save_grouped(models, 0)
    monkeypatch.setattr(os, "link", refuse)
    digest = Models(models.root, durable=durable).carry(models.load(0), 1).stored.digest
    assert digest == models.load(0).digest
    assert not (models.folder(0) / "w.npy").samefile(models.folder(1) / "w.npy")


def test_a_group_can_be_written_block_by_block(models: Models) -> None:
    save_grouped(models, 0)
    with models.new(1, ["w"]) as new:
        new.add("w", np.array([1.5]))
        for title, group in GROUPS.items():
            writer = new.group(title, group)
            for name, value in group.items():
                with writer.array(name, "<f8", [1]) as out:
                    out.write(np.array([value]))
    assert new.stored.digest == models.load(0).digest


@pytest.mark.parametrize("name", ["../momentum", "a/b", "", ".hidden", "-x", "a" * 65, "x\n"])
def test_a_group_of_another_name_is_not_read(models: Models, name: str) -> None:
    save_grouped(models, 0)
    path = models.folder(0) / "model.json"
    about = json.loads(path.read_text())
    about["groups"][name] = about["groups"].pop("momentum")
    path.write_text(json.dumps(about))
    with pytest.raises(msgspec.ValidationError):
        models.load(0)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no advice")
def test_groups_are_left_to_the_disk_as_well(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *_: files.append(os.fstat(fd).st_ino))
    save_grouped(models, 3)
    models.leave_to_disk(3)
    assert sorted(files) == sorted(path.stat().st_ino for path in models.folder(3).rglob("*.npy"))
    assert len(files) == 4
