from __future__ import annotations

from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.job import bundle


def test_a_script_goes_alone_if_it_imports_nothing_local(here: Path) -> None:
    assert bundle.script_files("train.py") == {"train.py": here / "train.py"}


def test_modules_beside_the_script_go_with_it_and_so_do_theirs(here: Path) -> None:
    (here / "train.py").write_text("import numpy, net\nfrom data import load\n")
    (here / "net.py").write_text("def forward():\n    import layers\n")
    (here / "layers.py").write_text("import net\n")
    (here / "data.py").write_text("")
    (here / "unused.py").write_text("")
    assert sorted(bundle.script_files("train.py")) == ["data.py", "layers.py", "net.py", "train.py"]


def test_a_package_goes_as_a_whole(here: Path) -> None:
    (here / "train.py").write_text("from net.conv import Conv\n")
    (here / "net/__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "conv.py", "weights.txt", "__pycache__/conv.pyc"):
        (here / "net" / name).write_text("")
    assert sorted(bundle.script_files("train.py")) == [
        "net/__init__.py",
        "net/conv.py",
        "net/weights.txt",
        "train.py",
    ]


def test_a_script_keeps_its_folder(here: Path) -> None:
    (here / "src").mkdir()
    (here / "src/fit.py").write_text("import net")
    (here / "src/net.py").write_text("")
    assert bundle.script_files("src/fit.py").keys() == {"src/fit.py", "src/net.py"}


def test_a_script_that_is_no_python_goes_as_it_is(here: Path) -> None:
    (here / "train.py").write_text("this is no Python")
    assert bundle.script_files("train.py").keys() == {"train.py"}


def test_a_script_that_does_not_exist_has_no_files(here: Path) -> None:
    assert bundle.script_files("none.py") == {}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("train.py", "train.py"),
        ("./src/train.py", "src/train.py"),
        ("/home/me/train.py", "train.py"),
        ("../train.py", "train.py"),
        ("src/../../train.py", "train.py"),
    ],
)
def test_a_file_never_leaves_the_custom_folder(path: str, place: str) -> None:
    assert bundle.place(path) == place


def test_a_named_folder_goes_with_all_its_files(here: Path) -> None:
    (here / "data/north").mkdir(parents=True)
    (here / "data/north/a.csv").write_text("")
    assert bundle.named_files("data") == {"data/north/a.csv": here / "data/north/a.csv"}


def test_a_named_file_goes_alone(here: Path) -> None:
    assert bundle.named_files("train.py") == {"train.py": here / "train.py"}


def test_a_named_file_must_exist(here: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.csv does not exist, neither beside the job script"):
        bundle.named_files("none.csv")
