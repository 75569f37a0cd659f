"""Groups of sites, and what ``--sites`` means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fltui.errors import BadInputError
from fltui.queue.documents import Wishes
from fltui.queue.groups import chosen_sites, read_groups, taking_part, wishes_for
from tests.queue.made import put_entry, queue_in

GROUPS = {"hospitals": ["site-1", "site-2"], "labs": ["site-2", "site-3"]}


def test_a_word_is_a_number_a_group_or_a_site() -> None:
    assert wishes_for(None, GROUPS) == Wishes()
    assert wishes_for("3", GROUPS) == Wishes(count=3)
    assert wishes_for("hospitals, site-9", GROUPS) == Wishes(groups=["hospitals"], sites=["site-9"])
    assert chosen_sites(wishes_for("labs,hospitals,site-9", GROUPS), GROUPS) == ["site-1", "site-2", "site-3", "site-9"]


@pytest.mark.parametrize("text", ["0", "-2", "", ",", "../x", "server", "²", "٣", "1" * 40, "1" * 9999])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        wishes_for(text, GROUPS)


def test_a_group_that_is_gone_is_named() -> None:
    with pytest.raises(BadInputError, match=r"no group 'schools' .* known: hospitals, labs"):
        chosen_sites(Wishes(groups=["schools"]), GROUPS)


def test_a_job_takes_the_sites_that_were_chosen_or_those_it_names(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    named, anybody = put_entry(queue, "named"), put_entry(queue, "anybody", sites=())
    assert taking_part(Wishes(), {}, named.job) == ["site-1", "site-2"]
    assert taking_part(Wishes(count=1), {}, named.job) == ["site-1", "site-2"]
    assert taking_part(Wishes(groups=["labs"]), GROUPS, named.job) == ["site-2", "site-3"]
    assert taking_part(Wishes(count=2), {}, anybody.job) is None


def test_groups_are_read_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    assert read_groups(path) == {}
    path.write_text(json.dumps(GROUPS))
    assert read_groups(path) == GROUPS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is malformed, expected such as"),
        ('{"a": "site-1"}', "is malformed"),
        ('{"a": []}', "group a has no sites"),
        ('{"a": ["../../etc"]}', "site name"),
        ('{"a b": ["x"]}', "group name 'a b'"),
        (" " * (1 << 20) + "{}", "the most it may have"),
    ],
)
def test_broken_groups_are_told_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "groups.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match=f"^groups .*{said}"):
        read_groups(path)
