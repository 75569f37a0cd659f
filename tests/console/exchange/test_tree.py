"""The exchange folder as a tree."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from fltui.console.exchange import tree as module
from fltui.console.exchange.tree import Hints, Kind, Node, Tree, Wanted, scan
from tests.console.exchanges import OTHER, RUN, TASK, exchange


def wanted(
    root: Path, *sites: str, others: bool = False, opened: tuple[str, ...] = (), closed: tuple[str, ...] = ()
) -> Wanted:
    """What a person wants to see of `RUN`."""
    return Wanted(root, RUN, frozenset(sites or ("site-1",)), others, frozenset(opened), frozenset(closed))


def drawn(tree: Tree) -> list[str]:
    """The tree as indented text."""
    return [f"{'  ' * node.depth}{node.name}" for node in tree.nodes]


def of(tree: Tree, name: str) -> Node:
    """The node that is shown as `name`."""
    return next(node for node in tree.nodes if node.name == name)


def test_the_files_of_a_run_are_listed_by_site(tmp_path: Path) -> None:
    tree = scan(wanted(exchange(tmp_path)))
    assert drawn(tree) == [
        "site-1",
        "  tasks",
        "    …beef.r0000.train.a01",
        "    …beef.r0000.train.a01.json",
        "  results",
        "  logs",
        "    …beef.log",
        "  status.json",
        "exchange.json",
    ]
    assert of(tree, "tasks").hidden == 2
    assert of(tree, "…beef.log").size == 6
    assert tree.folders == [(), ("site-1",), *(("site-1", part) for part in ("tasks", "results", "logs"))]


def test_files_of_other_runs_are_shown_on_demand_and_known_as_such(tmp_path: Path) -> None:
    exchange(tmp_path, "site-1", "stranger")
    assert "stranger" not in drawn(scan(wanted(tmp_path)))
    tree = scan(wanted(tmp_path, others=True, opened=("stranger", "stranger/tasks")))
    assert not of(tree, f"{OTHER}.log").own
    assert not of(tree, "stranger").own
    assert not of(tree, ".syncthing.fltui.site").own
    assert of(tree, "tasks").hidden == 0
    assert f"    {TASK}.json" in drawn(tree)  # below a site that is not of the run, nothing is


def test_folders_open_and_close_as_a_person_wants(tmp_path: Path) -> None:
    exchange(tmp_path)
    tree = scan(wanted(tmp_path, opened=(f"site-1/tasks/{TASK}",), closed=("site-1/logs",)))
    assert "      w.npy" in drawn(tree)
    assert "    …beef.log" not in drawn(tree)
    assert of(tree, "…beef.r0000.train.a01").opened
    assert not of(tree, "logs").opened
    assert drawn(scan(wanted(tmp_path, closed=("site-1",)))) == ["site-1", "exchange.json"]


def test_many_sites_are_closed_at_first(tmp_path: Path) -> None:
    names = [f"site-{number}" for number in range(30)]
    exchange(tmp_path, *names)
    assert drawn(scan(wanted(tmp_path, *names))) == [*names, "exchange.json"]
    few = scan(wanted(tmp_path, *names[:10]))
    assert drawn(few)[:5] == ["site-0", "  tasks", "  results", "  logs", "  status.json"]


def test_a_folder_full_of_junk_is_capped_and_what_is_of_the_run_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange(tmp_path)
    for number in range(1200):
        (tmp_path / "site-1" / "tasks" / f"0-junk-{number:04}").touch()
    hidden = scan(wanted(tmp_path))
    assert of(hidden, "tasks").hidden == 1202
    tree = scan(wanted(tmp_path, others=True))
    inside = [node for node in tree.nodes if node.parts[:2] == ("site-1", "tasks") and node.depth == 2]
    assert [node.name for node in inside[:3]] == ["…beef.r0000.train.a01", "…beef.r0000.train.a01.json", "0-junk-0000"]
    assert len(inside) == module.MOST + 1
    assert (inside[-1].name, inside[-1].kind) == ("… and 704 more", Kind.MORE)
    assert len({node.key for node in tree.nodes}) == len(tree.nodes)
    monkeypatch.setattr(module, "LOOKED_AT", 1000)
    assert "… and more: only 1,000 names were read" in [node.name for node in scan(wanted(tmp_path)).nodes]


def test_what_is_not_a_file_or_folder_is_shown_as_what_it_is_and_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").touch()
    root = exchange(tmp_path / "exchange")
    tasks = root / "site-1" / "tasks"
    (tasks / f"{RUN}.link").symlink_to(secret)
    os.mkfifo(tasks / f"{RUN}.fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tasks)  # the name of a socket is short
        listening.bind(f"{RUN}.socket")
    tree = scan(wanted(root, opened=(f"site-1/tasks/{RUN}.link", f"site-1/tasks/{RUN}.fifo")))
    assert of(tree, f"…beef.link → {secret}").kind is Kind.LINK
    assert of(tree, "…beef.fifo").kind is Kind.FIFO
    assert of(tree, "…beef.socket").kind is Kind.SOCKET
    assert "key" not in "".join(drawn(tree))


def test_a_site_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = exchange(tmp_path / "elsewhere")
    root = tmp_path / "exchange"
    root.mkdir()
    (root / "site-1").symlink_to(elsewhere / "site-1")
    tree = scan(wanted(root, opened=("site-1",)))
    assert [node.kind for node in tree.nodes] == [Kind.LINK]
    assert tree.folders == [()]


def test_names_that_would_act_on_the_terminal_are_shown_as_escapes(tmp_path: Path) -> None:
    exchange(tmp_path)
    hostile = f"{RUN}.\x1b]52;c;aGk=\x07\u202e[@click=app.quit]x".encode() + b"\xff"
    (tmp_path / "site-1" / "logs" / os.fsdecode(hostile)).touch()
    found = next(node for node in scan(wanted(tmp_path)).nodes if "click" in node.name)
    assert found.name == "…beef.\\x1b]52;c;aGk=\\x07\\u202e[@click=app.quit]x\\udcff"
    assert os.fsencode(found.parts[-1]) == hostile


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    exchange(tmp_path)
    before = of(scan(wanted(tmp_path)), "…beef.log")
    assert of(scan(wanted(tmp_path)), "…beef.log") == before
    with (tmp_path / "site-1" / "logs" / f"{RUN}.log").open("a") as log:
        log.write("more\n")
    assert of(scan(wanted(tmp_path)), "…beef.log").stamp != before.stamp


def test_a_missing_or_empty_exchange_folder_is_one_sentence(tmp_path: Path) -> None:
    assert scan(wanted(tmp_path / "gone")).problem == f"the exchange folder {tmp_path / 'gone'} is not here"
    assert scan(wanted(tmp_path)).problem == f"nothing of this run is in the exchange folder {tmp_path}"
    (tmp_path / "file").touch()
    assert scan(wanted(tmp_path / "file")).problem.endswith("cannot be read: Not a directory")


def test_a_folder_that_may_not_be_read_is_said_to_be_so(private_folder: Path) -> None:
    exchange(private_folder)
    (private_folder / "site-1" / "tasks").chmod(0)
    found = of(scan(wanted(private_folder)), "tasks")
    assert (found.kind, found.opened) == (Kind.UNREADABLE, False)
    private_folder.chmod(0)
    assert scan(wanted(private_folder)).problem.endswith("cannot be read: Permission denied")
    private_folder.chmod(0o700)


def test_a_scan_that_nobody_waits_for_ends_early(tmp_path: Path) -> None:
    assert scan(wanted(exchange(tmp_path)), lambda: True).nodes == []


def test_hints_come_from_open_folders_until_they_are_closed(tmp_path: Path) -> None:
    stirred = threading.Event()
    hints = Hints(stirred.set)
    try:
        hints.watch(scan(wanted(exchange(tmp_path))))
        hints.watch(scan(wanted(tmp_path)))
        (tmp_path / "site-1" / "results" / f"{RUN}.r0000.train.a01.json").write_text("{}")
        assert stirred.wait(10)
    finally:
        hints.close()
    hints.watch(scan(wanted(tmp_path)))
    hints.close()


def test_hints_need_a_folder_that_is_there(tmp_path: Path) -> None:
    hints = Hints(lambda: None)
    hints.watch(scan(wanted(tmp_path / "gone")))
    hints.close()
