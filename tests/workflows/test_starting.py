"""What a workflow begins from: a model that is given, or a checkpoint."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fltui.errors import BadInputError
from fltui.run.models import Models
from fltui.workflows.cross_site import CrossSiteEval
from fltui.workflows.cyclic import Cyclic
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.starting import initial_model
from tests.workflows.hall import adds, run

W, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3)


def test_an_npz_is_a_model_by_the_names_in_it(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "model.npz", w=W, b=B)
        found = initial_model(None, tmp_path / "model.npz", "FedAvg")
        assert found.keys() == {"w", "b"}
        assert (found["w"].dtype, found["w"].tolist()) == (np.dtype(np.float32), W.tolist())


def test_an_npy_becomes_the_unnamed_array(tmp_path: Path) -> None:
    np.save(tmp_path / "model.npy", W)
    assert initial_model(None, tmp_path / "model.npy", "FedAvg")["numpy_key"].tolist() == W.tolist()


def test_a_model_of_a_run_is_one_without_what_an_optimiser_kept(tmp_path: Path) -> None:
    with Models(tmp_path, durable=False).new(3, ["w", "b"]) as new:
        new.add_all({"w": W, "b": B}, {"momentum": {"w": W}})
    found = initial_model(None, tmp_path / "round-0003", "FedAvg")
    assert {name: array.tolist() for name, array in found.items()} == {"w": W.tolist(), "b": B.tolist()}


async def test_a_run_begins_where_another_one_ended(tmp_path: Path) -> None:
    first = await run(tmp_path / "a", FedAvg(1, 2, model={"w": np.zeros(2)}), {"a": adds(1)})
    workflow = FedAvg(1, 2, start_round=2, initial_ckpt=str(first.models.folder(2)))
    assert workflow.initial_ckpt is None  # it is part of the job now
    second = await run(tmp_path / "b", workflow, {"a": adds(1)})
    assert [request.round for request in second.requests] == [2, 3]
    assert second.model(4)["w"].tolist() == [4.0, 4.0]


def test_a_relative_one_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "model.npy", B)
    monkeypatch.chdir(tmp_path)
    assert FedAvg(initial_ckpt="model.npy").model["numpy_key"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("workflow", [FedAvg, Cyclic, CrossSiteEval])
def test_a_model_and_a_checkpoint_are_one_too_many(tmp_path: Path, workflow: type[FedAvg]) -> None:
    with pytest.raises(BadInputError) as caught:
        workflow(model=[1.0], initial_ckpt="model.npz")
    assert str(caught.value) == f"{workflow.__name__}: give either model or initial_ckpt, not both"


def _zip(path: Path) -> None:
    np.savez(path, w=W)
    path.write_bytes(path.read_bytes()[:100])


def _changed(path: Path) -> None:
    np.savez_compressed(path, w=np.arange(1000))
    data = bytearray(path.read_bytes())
    data[60:80] = b"x" * 20
    path.write_bytes(data)


def _empty_zip(path: Path) -> None:
    zipfile.ZipFile(path, "w").close()


NO_MODELS: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty.npz", lambda path: path.write_bytes(b""), "File is not a zip file"),
    ("cut.npz", _zip, "File is not a zip file"),
    ("changed.npz", _changed, ""),
    ("array.npz", lambda path: np.save(path.open("wb"), W), "File is not a zip file"),
    ("none.npz", _empty_zip, "it has no arrays"),
    ("objects.npz", lambda path: np.savez(path, w=np.array([{}], object)), "Object arrays cannot be loaded"),
    ("empty.npy", lambda path: path.write_bytes(b""), ""),
    ("notes.txt", lambda path: path.write_text("hello"), ""),
    ("objects.npy", lambda path: np.save(path, np.array([{}], object)), ""),
    (
        "folder",
        lambda path: path.mkdir(),
        "it has no model.json, as the folders below models/ of a run have, such as models/final",
    ),
]


@pytest.mark.parametrize(("name", "make", "reason"), NO_MODELS, ids=[name for name, _, _ in NO_MODELS])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_checkpoint_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(BadInputError) as caught:
        FedAvg(initial_ckpt=str(tmp_path / name))
    assert str(caught.value).startswith(f"FedAvg: initial_ckpt {tmp_path / name} is no model: {reason}")


def test_a_folder_whose_arrays_are_gone_is_refused(tmp_path: Path) -> None:
    with Models(tmp_path, durable=False).new(0, ["w"]) as new:
        new.add("w", W)
    (tmp_path / "round-0000/w.npy").unlink()
    with pytest.raises(BadInputError, match=r"initial_ckpt .*/round-0000 is no model: .*w\.npy"):
        FedAvg(initial_ckpt=str(tmp_path / "round-0000"))


def test_one_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadInputError) as caught:
        Cyclic(initial_ckpt="nowhere.npz")
    assert str(caught.value) == (
        "Cyclic: initial_ckpt 'nowhere.npz' does not exist, neither beside the job script nor in the current folder"
    )


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", w=np.array([1.0, np.nan]))
    with pytest.raises(BadInputError, match="FedAvg: model: parameter 'w' holds NaN or Inf"):
        FedAvg(initial_ckpt=str(tmp_path / "model.npz"))
    np.savez(tmp_path / "text.npz", w=np.array(["a"]))
    with pytest.raises(BadInputError, match="FedAvg: model: parameter 'w' has dtype <U1; arrays of bool, int and"):
        FedAvg(initial_ckpt=str(tmp_path / "text.npz"))
