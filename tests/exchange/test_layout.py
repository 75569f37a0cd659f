from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fltui.errors import BadInputError
from fltui.exchange.layout import (
    ExchangeFolder,
    SiteFolder,
    TaskId,
    array_files,
    check_name,
    job_of,
    new_run_id,
    run_stamp,
)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@pytest.mark.parametrize("name", ["site-1", "a", "Hospital_2.north", "0", "x" * 64, "console"])
def test_names_that_every_system_takes(name: str) -> None:
    assert check_name(name, "site") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".git", "-x", "a/b", "a\\b", "a b", "a\n", "a.", "x" * 65, "é", "con", "NUL.txt", "Com1"]
)
def test_names_that_some_system_refuses(name: str) -> None:
    with pytest.raises(BadInputError, match=r"site name .* cannot be used"):
        check_name(name, "site")


def test_a_run_id_tells_its_job_and_time() -> None:
    run = new_run_id("hello")
    assert run.startswith("hello-")
    assert len(run_stamp(run)) == len("20260131T120000Z")
    assert job_of(run) == "hello"


def test_a_foreign_run_id_has_no_stamp() -> None:
    assert run_stamp("hello") == ""
    assert job_of("hello") is None
    assert job_of("../hello-20260131T120000Z-beef") is None


def test_run_ids_differ() -> None:
    assert len({new_run_id("hello") for _ in range(5)}) > 1


def test_a_task_id_as_text() -> None:
    assert str(TaskId("hello-20260131T120000Z-beef", 3, "train")) == "hello-20260131T120000Z-beef.r0003.train.a01"


@given(
    run=names,
    number=st.integers(0, 999_999_999),
    name=st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
    attempt=st.integers(0, 999_999),
)
def test_task_ids_survive_the_way_through_text(run: str, number: int, name: str, attempt: int) -> None:
    task = TaskId(run, number, name, attempt)
    assert TaskId.parse(str(task)) == task


@given(st.text())
def test_any_other_text_is_no_task_id_or_reads_back_the_same(text: str) -> None:
    task = TaskId.parse(text)
    assert task is None or str(task) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run",
        "run.r0001.train",
        "run.r1.train.a01",
        "run.r00001.train.a01",
        "run.r0001.train.a1",
        "run.r0001.Train.a01",
        "run.r0001.train.a01\n",
        "../run.r0001.train.a01",
        "run.r0001.train.a01.sync-conflict-20260131-120000-ABCDEFG",
        "run.r\u0660\u0660\u0660\u0661.train.a01",
        "run.end",
    ],
)
def test_texts_that_are_no_task_id(text: str) -> None:
    assert TaskId.parse(text) is None


def test_a_plain_parameter_name_is_its_file_name() -> None:
    assert array_files(["numpy_key", "layer1.weight"]) == {
        "numpy_key": "numpy_key.npy",
        "layer1.weight": "layer1.weight.npy",
    }


def test_slugs_that_collide_are_numbered_in_sorted_order() -> None:
    assert array_files(["a/b", "a b", "A_B"]) == {"A_B": "A_B.npy", "a b": "a_b-2.npy", "a/b": "a_b-3.npy"}


def test_a_number_that_is_taken_is_skipped() -> None:
    assert array_files(["a", "a-2", "A"]) == {"A": "A.npy", "a": "a-2.npy", "a-2": "a-2-2.npy"}


@pytest.mark.parametrize(
    ("name", "file"),
    [("../../etc/passwd", "_.._etc_passwd.npy"), ("..", "_.npy"), ("con", "_con.npy"), ("AUX.x", "_AUX.x.npy")],
)
def test_hostile_parameter_names_give_harmless_files(name: str, file: str) -> None:
    assert array_files([name]) == {name: file}


@given(st.lists(st.text(min_size=1, max_size=120), unique=True, max_size=12))
def test_array_files_are_unique_and_safe(parameters: list[str]) -> None:
    files = array_files(parameters)
    assert files.keys() == set(parameters)
    assert len({file.lower() for file in files.values()}) == len(parameters)
    for file in files.values():
        assert file.isascii()
        assert len(file) <= 120
        assert not set(file) & set('/\\:*?"<>|\0 ')
        assert not file.startswith((".", "-"))
        assert file.split(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@given(st.lists(st.text("aA/ _.é", min_size=1, max_size=4), unique=True, max_size=10), st.randoms())
def test_array_files_do_not_depend_on_order(parameters: list[str], order: random.Random) -> None:
    shuffled = order.sample(parameters, len(parameters))
    assert array_files(parameters) == array_files(shuffled)


def test_a_site_folder_knows_its_places(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path / "site-1", "site-1")
    found = [site.tasks, site.results, site.status, site.log("run"), site.metrics("run")]
    assert [path.relative_to(site.root).as_posix() for path in found] == [
        "tasks",
        "results",
        "status.json",
        "logs/run.log",
        "logs/run.metrics.jsonl",
    ]


def test_each_side_stages_where_syncthing_does_not_look(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path, "site-1")
    assert {site.staging(side).name for side in ("server", "site")} == {
        ".syncthing.fltui.server",
        ".syncthing.fltui.site",
    }


def test_an_exchange_folder_refuses_a_site_that_would_leave_it(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        ExchangeFolder(tmp_path).site("../elsewhere")


def test_sites_are_the_folders_that_have_a_status(tmp_path: Path) -> None:
    for name in ("site-2", "site-1", ".hidden", "silent"):
        (tmp_path / name).mkdir()
        if name != "silent":
            (tmp_path / name / "status.json").write_text("{}")
    assert [site.name for site in ExchangeFolder(tmp_path).sites()] == ["site-1", "site-2"]


def test_neither_a_closed_folder_nor_one_called_server_is_a_site(private_folder: Path) -> None:
    for name in ("a", "closed", "server"):
        (private_folder / name).mkdir()
        (private_folder / name / "status.json").touch()
    (private_folder / "closed").chmod(0)
    assert [site.name for site in ExchangeFolder(private_folder).sites()] == ["a"]
