"""Who may do what, judged from bits and lists."""

from __future__ import annotations

import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from fltui.exchange.doctor.access import CHANGE, LIST, READ, Access, Person, parse_list, read_access
from fltui.exchange.doctor.finding import Level
from fltui.exchange.doctor.layout import Layout, SiteLayout
from fltui.exchange.doctor.permissions import judge
from tests.exchange.doctor.layouts import FILE, FOLDER, ONE, OPEN, SERVER, TWO, USERS, layout, worst


@pytest.mark.parametrize(
    ("access", "who", "wanted", "allowed"),
    [
        (Access(ONE, 201, FOLDER | 0o700), USERS[ONE], CHANGE, True),
        (Access(ONE, 201, FOLDER | 0o077), USERS[ONE], READ, False),  # the owner's bits alone count for the owner
        (Access(SERVER, 201, FOLDER | 0o750), USERS[ONE], LIST, True),
        (Access(SERVER, 201, FOLDER | 0o750), USERS[ONE], CHANGE, False),
        (Access(SERVER, 201, FOLDER | 0o705), USERS[ONE], LIST, False),  # and the group's alone for its members
        (Access(SERVER, 201, FOLDER | 0o705), USERS[TWO], LIST, True),
        (Access(SERVER, 201, FOLDER | 0o000), Person(0, 0, frozenset({0})), CHANGE, True),
        (Access(SERVER, 201, FOLDER | 0o770, {ONE: 7}, {201: 0}), USERS[ONE], CHANGE, True),
        (Access(SERVER, 201, FOLDER | 0o750, {ONE: 7}, {201: 0}, mask=5), USERS[ONE], CHANGE, False),
        (Access(SERVER, 9, FOLDER | 0o770, {TWO: 5}, {9: 0, 300: 7}), USERS[ONE], CHANGE, True),
        (Access(SERVER, 9, FOLDER | 0o777, {}, {9: 7, 300: 0}), USERS[ONE], READ, False),
        (Access(SERVER, 201, FOLDER | 0o750), Person(ONE), LIST, None),
        (Access(SERVER, 201, FOLDER | 0o755), Person(ONE), LIST, True),
        (Access(SERVER, 201, FOLDER | 0o755), Person(ONE), CHANGE, False),
    ],
)
def test_rights_are_judged_as_the_kernel_does(access: Access, who: Person, wanted: int, allowed: bool | None) -> None:
    assert access.allows(who, wanted) is allowed


def test_an_access_list_is_read_as_linux_keeps_it() -> None:
    entries = [(1, 7, -1), (2, 5, 5001), (4, 1, -1), (8, 6, 5002), (16, 5, -1), (32, 0, -1)]
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    assert parse_list(data) == ({5001: 5}, {-1: 1, 5002: 6}, 5)
    for broken in (b"", data[:-1], struct.pack("<I", 3) + data[4:]):
        with pytest.raises(OSError, match="unknown version"):
            parse_list(broken)


def test_a_list_on_disk_takes_the_place_of_the_groups_bits(tmp_path: Path) -> None:
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    if subprocess.run(["setfacl", "-m", "u:5001:r-x,g::---", tmp_path], check=False, capture_output=True).returncode:
        pytest.skip("no access control lists on this file system")
    found = read_access(tmp_path)
    assert found is not None
    assert found.allows(Person(5001, 5001, frozenset({5001})), LIST)
    assert found.allows(Person(5002, found.group, frozenset({found.group})), LIST) is False


def test_the_layout_of_the_guide_is_safe() -> None:
    findings = judge(layout())
    assert worst(findings) == []
    assert findings[0].level is Level.OK
    assert "results by each site's own user alone (site-1 by one, site-2 by two)" in findings[0].seen


@pytest.mark.parametrize(
    ("changed", "name", "seen"),
    [
        (
            {"results": Access(ONE, 201, OPEN), "folder": Access(SERVER, 201, FOLDER | 0o1777)},
            "writers",
            "two, the user of site-2, can write in site-1/results (mode 0777)",
        ),
        ({"results": Access(ONE, 300, FOLDER | 0o770)}, "", ""),  # its folder keeps the others of the group out
        (
            {"results": Access(ONE, 300, FOLDER | 0o770), "folder": Access(SERVER, 300, FOLDER | 0o3770)},
            "writers",
            "two, the user of site-2, can write in site-1/results (mode 0770)",
        ),
        (
            {"results": Access(ONE, 201, OPEN)},
            "closed above",
            "only the folders above keep others out of site-1/results",
        ),
        ({"tasks": Access(SERVER, 201, FOLDER | 0o770)}, "writers", "one, the user of site-1, can write in"),
        ({"folder": Access(SERVER, 201, FOLDER | 0o2770)}, "writers", "can put another in the place of site-1/tasks"),
        ({"folder": Access(ONE, 201, FOLDER | 0o3770)}, "writers", "can put another in the place of site-1/tasks"),
        ({"tasks": Access(ONE, 201, FOLDER | 0o2750)}, "writers", "site-1/tasks belongs to one, expected serve"),
        ({"status.json": Access(TWO, 202, FILE | 0o640)}, "writers", "site-1/status.json belongs to two, expected one"),
        ({"tasks": Access(SERVER, 100, FOLDER | 0o750)}, "rights", "one cannot read site-1/tasks"),
        ({"results": Access(ONE, 201, FOLDER | 0o700)}, "rights", "serve cannot read site-1/results"),
        ({"folder": Access(SERVER, 201, FOLDER | 0o750)}, "rights", "one cannot write status.json in site-1/"),
        ({"results": Access(ONE, 201, stat.S_IFLNK | 0o777)}, "links", "site-1/results is a symbolic link"),
        ({"results": Access(ONE, 201, FOLDER | 0o2750, foreign=True)}, "access lists", "NFSv4 or Windows"),
        (
            {
                "results": Access(ONE, 201, FOLDER | 0o755),
                "folder": Access(SERVER, 201, FOLDER | 0o1775),
            },
            "readers",
            "two, the user of site-2, can read site-1/results",
        ),
        ({"results": Access(ONE, 300, FOLDER | 0o750)}, "setgid", "files of one in site-1/results get the group"),
    ],
)
def test_what_is_wrong_with_a_layout_is_named_with_its_folder(changed: dict[str, Access], name: str, seen: str) -> None:
    found = {one: (level, said) for one, level, said in worst(judge(layout(changed)))}
    if not name:
        assert "writers" not in found
        return
    assert name in found, found
    assert seen in found[name][1]
    assert found[name][0] is (
        Level.WARNING if name in ("readers", "setgid", "access lists", "closed above") else Level.UNSAFE
    )


@pytest.mark.parametrize(
    ("root", "about", "name", "level"),
    [
        (0o2777, 0o640, "exchange folder", Level.UNSAFE),
        (0o3777, 0o640, "exchange folder", Level.WARNING),
        (0o2770, 0o640, "exchange folder", Level.UNSAFE),
        (0o3770, 0o640, "exchange folder", Level.WARNING),
        (0o2755, 0o666, "exchange.json", Level.UNSAFE),
        (0o2750, 0o600, "rights", Level.UNSAFE),
    ],
)
def test_the_exchange_folder_itself_is_the_servers(root: int, about: int, name: str, level: Level) -> None:
    assert (name, level) in [(one, level) for one, level, _ in worst(judge(layout(root=root, about=about)))]


def test_before_the_first_run_the_tasks_tell_who_the_server_is() -> None:
    ready = layout()
    by_root = Layout(Access(0, 300, FOLDER | 0o2770), None, ready.sites, USERS)
    assert by_root.server == USERS[SERVER]
    assert Layout(by_root.root, Access(0, 300, FILE | 0o644), ready.sites, USERS).server.uid == 0


def test_groups_that_are_not_known_are_told_not_guessed() -> None:
    known = layout({"folder": Access(SERVER, 300, FOLDER | 0o3770), "results": Access(ONE, 300, FOLDER | 0o770)})
    unknown = Layout(known.root, known.about, known.sites, {**USERS, TWO: Person(TWO)})
    found = {one.name: one for one in judge(unknown)}
    assert found["writers unknown"].level is Level.NOTE
    assert "whether user 102, the user of site-2, can write in site-1/results" in found["writers unknown"].seen


def test_one_user_for_all_is_a_note() -> None:
    alone = SiteLayout("a", Access(ONE, 201, FOLDER | 0o755), {"results": Access(ONE, 201, FOLDER | 0o755)})
    found = judge(Layout(Access(ONE, 201, FOLDER | 0o755), None, {"a": alone}, USERS))
    assert [one.level for one in found] == [Level.NOTE, Level.NOTE]
    assert "nothing keeps the sites apart" in found[0].seen
