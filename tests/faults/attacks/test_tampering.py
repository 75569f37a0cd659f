"""Whoever changes anything in the folder of a run that is over is found out, and the very file is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest

from fltui.run.events import ResultAccepted
from fltui.run.folder import RunFolder, list_runs
from fltui.run.journal import read_journal
from fltui.server.verify import Verified, verify
from tests.jobs import drifting, fltui, write_job


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two real sites and three rounds whose results were kept."""
    folder = tmp_path_factory.mktemp("good")
    job = write_job(folder / "job", {"a": drifting(0.1), "b": drifting(0.7)}, "num_rounds=3")
    done = fltui(folder, "run", job, "--keep-results")
    assert done.code == 0, done.err
    (run,) = list_runs(folder / "runs")
    return run


@pytest.fixture
def copy(good: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it, to be spoilt."""
    return RunFolder(shutil.copytree(good.root, tmp_path / good.run, symlinks=True))


def files(folder: RunFolder) -> list[str]:
    """Every file below a run folder."""
    return sorted(path.relative_to(folder.root).as_posix() for path in folder.root.rglob("*") if path.is_file())


def named(found: Verified) -> str:
    """The file of the difference; empty without one."""
    return found.difference.file if found.difference else ""


def test_a_run_that_nobody_touched_is_verified(copy: RunFolder) -> None:
    found = verify(copy)
    assert (str(found.difference or ""), found.notes) == ("", [])
    assert (found.rounds, found.recomputed) == (3, 3)
    assert found.files == len(files(copy)) - len({"journal.jsonl", "seal.b3"}) + len({"model.json", "numpy_key.npy"})


def _flip(place: Callable[[int], int]) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        at = place(len(data))
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return flip


SPOILT: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": _flip(lambda size: 0),
    "byte in the middle": _flip(lambda size: size // 2),
    "last byte": _flip(lambda size: size - 1),
    "a byte more": lambda data: data + b"x",
    "a line more": lambda data: data + b"\n",
    "a line with a zero byte more": lambda data: data + b"\0...\n",
    "a byte less": lambda data: data[:-1],
    "nothing left": lambda data: b"",
    "file gone": lambda data: None,
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_change_of_any_file_is_found_and_the_file_named(copy: RunFolder, how: str) -> None:
    there = files(copy)
    assert len(there) > 25
    for name in there:
        path = copy.root / name
        data = path.read_bytes()
        if not data and how not in ("a byte more", "a line more", "file gone"):
            continue
        spoilt = SPOILT[how](data)
        path.unlink()
        if spoilt is not None:
            path.write_bytes(spoilt)
        assert named(verify(copy)) == name, how
        path.write_bytes(data)
    assert named(verify(copy)) == ""


def test_every_byte_of_the_journal_counts(copy: RunFolder) -> None:
    """Not all of them here: a flip in every field of every kind of event, and around every line's end."""
    data = copy.journal.read_bytes()
    for at in {*range(0, len(data), 97), *(i + d for i, byte in enumerate(data) if byte == 10 for d in (-2, -1, 0, 1))}:
        if at < len(data):
            copy.journal.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert named(verify(copy)) == "journal.jsonl", at


def lines_of(folder: RunFolder) -> list[bytes]:
    """The lines of a journal."""
    return folder.journal.read_bytes().splitlines(keepends=True)


def rechained(line: bytes, before: bytes) -> bytes:
    """A line with the chain that it should have after another line."""
    head = before[-67:-3] if before else b""
    return line[:-67] + blake3.blake3(head + line[:-77]).hexdigest().encode() + b'"}\n'


def _edits(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    for at, line in enumerate(lines):
        yield f"without line {at}", lines[:at] + lines[at + 1 :]
        yield f"line {at} twice", [*lines[: at + 1], line, *lines[at + 1 :]]
        if at + 1 < len(lines):
            yield f"lines {at} and {at + 1} swapped", [*lines[:at], lines[at + 1], line, *lines[at + 2 :]]
        edited = line.replace(b'"metrics":{"mean":', b'"metrics":{"mean":1').replace(b'"rounds":3', b'"rounds":2')
        if edited != line:
            edited = rechained(edited, lines[at - 1])
            yield f"line {at} edited and chained again", [*lines[:at], edited, *lines[at + 1 :]]
        yield f"line {at} without its chain", [*lines[:at], line[:-77] + b"}\n", *lines[at + 1 :]]


def test_an_edited_history_is_found_though_every_line_is_an_event(copy: RunFolder) -> None:
    lines = lines_of(copy)
    edited = list(_edits(lines))
    assert sum("chained again" in how for how, _ in edited) > 6
    for how, changed in edited:
        copy.journal.write_bytes(b"".join(changed))
        assert named(verify(copy)) == "journal.jsonl", how


def test_results_that_changed_places_are_found_with_round_and_site(copy: RunFolder) -> None:
    accepted = [event for event in read_journal(copy.journal) if isinstance(event, ResultAccepted)]
    one, other = (copy.store / f"{event.arrays[0].blake3}.npy" for event in accepted[2:4])
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    first = min(one, other)
    found = verify(copy)
    assert found.difference is not None
    assert found.difference.file == f"store/{first.name}"
    assert (found.difference.round, found.difference.site) in {(1, "a"), (1, "b")}
    assert (found.difference.expected, len(found.difference.found)) == (first.stem, 64)


def test_results_that_changed_places_are_found_without_a_seal(copy: RunFolder) -> None:
    """As in a run whose server died."""
    lines = lines_of(copy)
    copy.journal.write_bytes(b"".join(lines[:-1]))
    copy.seal.unlink()
    copy.summary.unlink()
    assert named(verify(copy)) == ""
    for path in sorted(copy.store.iterdir()):
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        found = verify(copy)
        assert found.difference is not None
        assert found.difference.file == f"store/{path.name}"
        assert found.difference.site in ("a", "b")
        path.unlink()
        assert named(verify(copy)) == f"store/{path.name}"
        path.write_bytes(data)


@pytest.mark.parametrize(
    "place", ["extra", "job/extra.py", "models/round-0001/extra.npy", "store/extra.npy", "logs/c.log"]
)
def test_a_file_more_is_found(copy: RunFolder, place: str) -> None:
    (copy.root / place).write_bytes(b"new")
    assert named(verify(copy)) == place


def test_only_a_head_noted_elsewhere_shows_that_the_last_event_was_replaced(copy: RunFolder) -> None:
    """What chain and seal cannot prove: the last line can be written anew with its chain."""
    head = verify(copy).head
    lines = lines_of(copy)
    last = lines[-1].replace(b'"seconds":', b'"seconds":1')
    copy.journal.write_bytes(b"".join([*lines[:-1], rechained(last, lines[-2])]))
    assert named(verify(copy)) == ""
    assert named(verify(copy, head)) == "journal.jsonl"
