"""What a chosen file of the exchange shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fltui.console.exchange.preview import BINARY_MOST, JSON_MOST, LINES, TEXT_MOST, Preview, preview
from fltui.console.exchange.tree import Kind, Node
from fltui.exchange.npy import write_array
from fltui.exchange.visible import visible


def look(path: Path) -> Preview:
    """The preview of a file."""
    return preview(path.parent, Node((path.name,), path.name, Kind.FILE))


def array(path: Path, values: NDArray[Any]) -> Preview:
    """The preview of an array that was written as fltui writes it."""
    write_array(path, "w", values, file=path.name)
    return look(path)


def _digits(first: int) -> str:
    return "  ".join(f"{number:2}" for number in range(first, first + 10))


def test_an_array_shows_dtype_shape_size_and_its_numbers(tmp_path: Path) -> None:
    found = array(tmp_path / "w.npy", np.arange(1, 10, dtype=np.float32).reshape(3, 3))
    assert (found.path, found.about, found.problem) == ("w.npy", "array · float32 3×3 · 164 B", "")
    assert found.lines == [
        "       0      1      2",
        "0  1.000  2.000  3.000",
        "1  4.000  5.000  6.000",
        "2  7.000  8.000  9.000",
    ]
    assert not found.wraps


def test_only_the_first_numbers_of_a_large_array_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(4 * 300 * 500, dtype=np.int64).reshape(4, 300, 500)
    read: list[int] = []
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        read.append(sum(map(len, buffers)))
        return real(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)
    found = array(tmp_path / "w.npy", values)
    assert found.lines[1].split() == ["0", *map(str, range(16))]
    assert found.lines[40].split()[:2] == ["39", str(39 * 500)]
    assert found.lines[-1] == "[0, :, :] of 4×300×500: the first 40 rows of 16 are shown"
    assert sum(read) < 16_384


@pytest.mark.parametrize(
    ("values", "about", "lines"),
    [
        (np.array(1.5, np.float32), "float32 scalar", ["  1.500"]),
        (np.zeros((0, 3), np.int16), "int16 0×3", ["it has no elements"]),
        (np.array([True, False]), "bool 2", ["       0      1", "0   True  False"]),
        (np.arange(12, dtype=np.uint8), "uint8 12", [f"    {_digits(0)}", f" 0  {_digits(0)}", "10  10  11"]),
        (np.array([np.nan, -np.inf]), "float64 2", ["      0     1", "0   NaN  -Inf"]),
    ],
)
def test_arrays_of_every_rank_and_kind_are_shown(
    tmp_path: Path, values: NDArray[Any], about: str, lines: list[str]
) -> None:
    found = array(tmp_path / "w.npy", values)
    assert found.about.startswith(f"array · {about} · ")
    assert found.lines == lines


def test_a_long_vector_says_what_is_left_out(tmp_path: Path) -> None:
    found = array(tmp_path / "w.npy", np.zeros(1000))
    assert found.lines[-1] == "1000: the first 40 rows of 10 are shown"


def test_an_array_that_is_being_written_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    array(path, np.arange(9, dtype=np.float32).reshape(3, 3))
    os.truncate(path, 150)
    found = look(path)
    assert found.problem == "w.npy has 150 of 164 bytes: it is being written, or was cut"
    assert found.lines[0].endswith("·NUMPY··v·{'desc")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x01\x00\xff\xff{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 3000 + b",), }",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }",
        b"\x93NUMPY\x02\x00v\x00\x00\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
    ],
)
def test_a_foreign_header_is_not_believed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    found = look(path)
    assert found.problem.startswith("w.npy ")
    assert found.about.startswith(("file · ", "array · "))
    assert len(found.lines) == -(-min(len(content), BINARY_MOST) // 16)


def test_json_is_indented(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text('{"kind":"task","shape":[3,3]}')
    found = look(path)
    assert found.about == "JSON · 29 B"
    assert found.lines == ["{", '  "kind": "task",', '  "shape": [', "    3,", "    3", "  ]", "}"]


@pytest.mark.parametrize("text", ["{", "", "NaN", "[" * 5000, '"\\', '{"a": "\x01"}', "\x00"])
def test_what_is_no_json_is_shown_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "task.json"
    path.write_text(text)
    found = look(path)
    assert found.problem.startswith("not JSON that can be read, shown as it is: ")
    assert len(found.lines) <= 1


def test_json_that_would_grow_beyond_bounds_is_not_indented(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text("[" * 500 + "1,1,1" + "]" * 500)
    assert len(look(path).lines) == 1
    path.write_text(f"[{','.join('1' * LINES * 2)}]")
    found = look(path)
    assert (len(found.lines), found.lines[-1]) == (LINES + 1, "… and 5,002 more lines")
    path.write_text(f'["{"x" * JSON_MOST}"]')
    found = look(path)
    assert found.about == "JSON · 256.0 KiB, its first 256.0 KiB"
    assert len(found.lines[0]) == 2000


def test_brackets_in_strings_are_no_depth(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text(msgspec.json.encode({"a": '[{"\\' * 100}).decode())
    assert len(look(path).lines) == 3


def test_a_log_shows_its_last_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"this is line {number}\n" for number in range(20_000)))
    found = look(path)
    assert found.lines[-1] == "this is line 19999"
    assert found.lines[0].startswith("this is line ")
    assert sum(len(line) + 1 for line in found.lines) <= TEXT_MOST
    assert found.about == "text · 360.2 KiB, the last 64.0 KiB"
    assert found.from_end


def test_one_endless_line_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("x" * 1_000_000)
    assert [len(line) for line in look(path).lines] == [2000]
    path.write_text("\n" * 1_000_000)
    found = look(path)
    assert (len(found.lines), found.about) == (LINES, "text · 976.6 KiB, the last 5,000 lines")


@pytest.mark.parametrize("name", ["run.log", "run.metrics.jsonl", "README", "task.json", "x.bin"])
def test_hostile_text_becomes_harmless(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    hostile = "\x1b]52;c;aGk=\x07\x9b31m\u202e[@click=app.quit]x[/]\r\n\x1b[2Jtab\there\n"
    path.write_bytes(hostile.encode() + b"\xff")
    found = look(path)
    text = "".join(found.lines)
    assert "[@click=app.quit]x[/]" in text
    assert "\\x1b]52;c;aGk=\\x07\\x9b31m\\u202e" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e\r\n\t")


def test_other_files_show_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(bytes(range(256)) * 2)
    found = look(path)
    assert found.about == "binary · 512 B, its first 256 bytes"
    assert found.lines[4] == "0040  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO"
    assert len(found.lines) == 16


def test_an_empty_file_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.log").touch()
    assert look(tmp_path / "run.log") == Preview("run.log", "text · 0 B", [], from_end=True)


@pytest.mark.parametrize("kind", [Kind.LINK, Kind.FIFO, Kind.SOCKET, Kind.DEVICE])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: Kind) -> None:
    found = preview(tmp_path, Node(("x",), "x", kind))
    assert found.problem == f"a {kind} is not followed or opened: x"


def test_a_link_that_took_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "exchange"
    root.mkdir()
    (root / "x.log").symlink_to(tmp_path / "secret")
    (root / "site").symlink_to(tmp_path)
    os.mkfifo(root / "fifo.log")
    for parts in (("x.log",), ("site", "secret"), ("fifo.log",)):
        found = preview(root, Node(parts, "x", Kind.FILE))
        assert "is not a plain file" in found.problem
        assert found.lines == []


def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    assert look(tmp_path / "\x1b[31m.log").problem == "\\x1b[31m.log is not there"


@pytest.mark.parametrize(
    ("parts", "own", "words"),
    [
        (("site-1",), True, "the server writes its tasks/"),
        (("site-1", "results"), True, "what this site answered"),
        (("stranger",), False, ""),
    ],
)
def test_a_folder_says_what_it_is_for(tmp_path: Path, parts: tuple[str, ...], own: bool, words: str) -> None:
    found = preview(tmp_path, Node(parts, parts[-1], Kind.FOLDER, own=own))
    assert (found.about, words in "".join(found.lines)) == ("folder", True)
    assert bool(found.lines) == bool(words)


def test_remarks_are_repeated_in_words(tmp_path: Path) -> None:
    assert preview(tmp_path, Node(("a",), "… and 7 more", Kind.MORE)).lines == ["and 7 more"]
    assert preview(tmp_path, Node(("a",), "a", Kind.UNREADABLE)).problem == "this folder cannot be opened by this user"


@given(name=st.sampled_from(["w.npy", "w.json", "w.log", "w"]), content=st.binary(max_size=300), magic=st.booleans())
def test_no_content_breaks_a_preview(tmp_path: Path, name: str, content: bytes, magic: bool) -> None:
    path = tmp_path / name
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (" if magic else b""
    path.write_bytes(head + content)
    found = look(path)
    assert all(visible(line) == line for line in [found.about, found.problem, *found.lines])
