"""What goes once a round is over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fltui.exchange.layout import TaskId
from fltui.exchange.publish import open_exchange, open_site
from fltui.run.folder import RunFolder, create_run
from fltui.run.options import RunOptions
from fltui.server.retention import Retention
from fltui.server.round import Round


def over(number: int, *stored: str, size: int = 0, model: int = 0, unanswered: tuple[str, ...] = ()) -> Round:
    """A round that took in some arrays, by their digests, and left so many bytes in the exchange, with a model of so
    many."""
    request = SimpleNamespace(round=number, start_round=0, total_rounds=6, model=SimpleNamespace(whole_size=model))
    return cast(
        Round, SimpleNamespace(request=request, stored=set(stored), bytes_in_exchange=size, unanswered=unanswered)
    )


class Kept:
    """A run of one site whose rounds end one after the other, and what is left of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.run: RunFolder = create_run(folder / "runs", "hello")
        exchange = open_exchange(folder / "exchange")
        self.site = exchange.site("a")
        open_site(self.site, "server")
        self.retention = Retention(exchange, self.run, RunOptions(**options))

    def publish(self, number: int) -> None:
        """The task of a round, and the model that it carries."""
        task_id = TaskId(self.run.run, number, "train")
        self.site.task(task_id).write_text("{}\n")
        (self.site.tasks / str(task_id)).mkdir(exist_ok=self.retention.spare.pop("a", None) == task_id)
        (self.run.models / f"round-{number:04}").mkdir()
        self.retention.published([("a", task_id)])

    def play(self, rounds: int) -> None:
        """Rounds from the first to the last, the model that leaves the last one included."""
        for number in range(rounds):
            self.publish(number)
            self.retention.finished(over(number))
            if number == rounds - 1:
                (self.run.models / f"round-{rounds:04}").mkdir()
            self.retention.sweep(None)
        self.retention.finish()

    @property
    def tasks(self) -> list[int]:
        """Rounds whose tasks are there, whole."""
        found = sorted({name.removesuffix(".json") for name in (path.name for path in self.site.tasks.iterdir())})
        assert all((self.site.tasks / name).is_dir() and (self.site.tasks / f"{name}.json").exists() for name in found)
        return [task_id.round for name in found if (task_id := TaskId.parse(name))]

    @property
    def models(self) -> list[int]:
        """Rounds whose models are there."""
        return sorted(int(path.name[-4:]) for path in self.run.models.iterdir())


def test_the_tasks_of_the_last_rounds_stay(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=3)
    kept.play(6)
    assert kept.tasks == [3, 4, 5]
    assert kept.models == [0, 1, 2, 3, 4, 5, 6]


def test_one_folder_stays_empty_for_the_next_task_of_a_site(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=1)
    for number in range(3):
        kept.publish(number)
    kept.retention.finished(over(2))
    kept.retention.sweep(None)
    spare = kept.retention.spare["a"]
    assert spare.round == 3
    assert sorted(path.name for path in kept.site.tasks.iterdir() if path.is_dir()) == [
        str(TaskId(kept.run.run, number, "train")) for number in (2, 3)
    ]
    kept.retention.finish()
    assert kept.tasks == [2]


@pytest.mark.parametrize(("size", "keep"), [(1, 3), (400 << 20, 2), (600 << 20, 1), (1 << 40, 0)])
def test_of_large_models_fewer_rounds_stay_and_at_last_one(tmp_path: Path, size: int, keep: int) -> None:
    kept = Kept(tmp_path, keep_rounds=3)
    for number in range(6):
        kept.publish(number)
    kept.retention.finished(over(4, size=size))
    kept.retention.sweep(over(5))
    kept.retention.finish()
    assert kept.tasks == [*range(5 - keep, 5), 5]
    kept.retention.finished(over(5, size=size))
    kept.retention.sweep(None)
    kept.retention.finish()
    assert kept.tasks == [*range(6 - max(keep, 1), 6)]


def test_of_large_models_all_stay_while_somebody_is_still_at_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=3)
    for number, left in enumerate([[0], [0, 1], [0, 1, 2], [3]]):
        kept.publish(number)
        kept.retention.finished(over(number, size=1 << 40, unanswered=("b",) if number == 0 else ()))
        kept.retention.sweep(None)
        kept.retention.finish()
        assert kept.tasks == (left if number < 3 else [])


@pytest.mark.parametrize(("keep", "left"), [(1, [0, 6]), (2, [0, 5, 6]), (9, [0, 1, 2, 3, 4, 5, 6])])
def test_the_first_and_the_newest_models_stay(tmp_path: Path, keep: int, left: list[int]) -> None:
    kept = Kept(tmp_path, keep_models=keep)
    kept.play(6)
    assert kept.models == left


@pytest.mark.parametrize(
    ("keep", "left"), [(False, {"both.npy", "new.npy"}), (True, {"both.npy", "new.npy", "old.npy"})]
)
def test_private_copies_go_unless_they_are_kept_or_in_use(tmp_path: Path, keep: bool, left: set[str]) -> None:
    kept = Kept(tmp_path, keep_results=keep)
    for name in ("old", "both", "new"):
        (kept.run.store / f"{name}.npy").touch()
    kept.retention.finished(over(0, "old", "both"))
    kept.retention.sweep(over(1, "both", "new"))
    assert {path.name for path in kept.run.store.iterdir()} == left


@pytest.mark.parametrize(
    ("size", "options", "gone"),
    [
        (100 << 20, {}, [1, 2, 3, 4]),
        (100 << 20, {"keep_models": 9}, [1, 2, 3, 4]),
        (100 << 20, {"keep_models": 2}, []),  # they are removed in a while
        (1 << 20, {}, []),
    ],
)
def test_large_models_that_stay_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, options: dict[str, int], gone: list[int]
) -> None:
    kept, found = Kept(tmp_path, **options), list[int]()
    monkeypatch.setattr(kept.retention._models, "leave_to_disk", found.append)
    kept.retention.finished(over(4, model=size))
    kept.retention.sweep(None)
    if (leaving := kept.retention._leaving) is not None:
        leaving.join()
    assert found == gone


def test_nothing_goes_before_a_round_is_over(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=1)
    for number in range(3):
        kept.publish(number)
        kept.retention.sweep(None)
    assert kept.tasks == [0, 1, 2]


def test_a_link_in_the_site_s_folder_is_left_alone_and_stops_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_rounds=1)
    kept.publish(0)
    kept.site.tasks.rename(tmp_path / "elsewhere")
    kept.site.tasks.symlink_to(tmp_path / "elsewhere")
    kept.retention.finished(over(1))
    kept.retention.sweep(None)
    assert kept.tasks == [0]
