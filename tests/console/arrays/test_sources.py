"""Which array on disk a person means."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fltui.console.arrays.sources import GLOBAL_MODEL, Gap, Loaded, Plan, Shown, load, plan, sources_of
from fltui.console.runs.view import RunView
from fltui.console.safe import safe_struct
from fltui.exchange.manifest import ArrayEntry
from fltui.exchange.npy import write_array
from fltui.model import ParamsType
from fltui.run.events import ResultAccepted, RoundStarted, SiteLost
from fltui.run.models import Models
from tests.console.books import Book, hello, weights

CHANGE = Shown("change")
RESULT = Shown("result", "site-0")
UPDATE = Shown("update", "site-0")


def looked_at(book: Book, chosen: int | None = None) -> RunView:
    """The run as a person sees it."""
    return RunView(book.folder, book.folder.state(), chosen=chosen)


def shown(view: RunView, source: Shown, parameter: str = "") -> Loaded:
    """What is found for a source."""
    found = plan(view, source)
    assert isinstance(found, Plan)
    return load(found, parameter)


def why(view: RunView, source: Shown) -> str:
    """The sentence that is shown in place of an array."""
    found = plan(view, source)
    if isinstance(found, Gap):
        return found.why
    loaded = load(found, "")
    assert loaded.array is None
    return loaded.problem


def numbers(loaded: Loaded) -> NDArray[np.float64]:
    """All elements that were found."""
    assert loaded.array is not None, loaded.problem
    return loaded.array.read(0, loaded.array.size)


def change_result(book: Book, view: RunView, **fields: object) -> None:
    """The result of site-0 in the last round, with other fields."""
    accepted = view.state.rounds[2].accepted
    accepted["site-0"] = msgspec.structs.replace(accepted["site-0"], **fields)


def entry_with(view: RunView, **fields: object) -> list[ArrayEntry]:
    """The arrays of that result, the first with other fields."""
    found = view.state.rounds[2].accepted["site-0"].arrays
    return [msgspec.structs.replace(found[0], **fields), *found[1:]]


def drop_store(book: Book) -> None:
    """The round is over: its private copies go."""
    shutil.rmtree(book.folder.store)
    book.folder.store.mkdir()


def publish(exchange: Path, book: Book, site: str, number: int, array: NDArray[np.float32]) -> Path:
    """The site's own file in the exchange folder."""
    folder = exchange / site / "results" / book.task(number)
    folder.mkdir(parents=True)
    write_array(folder / "numpy_key.npy", "numpy_key", array, file="numpy_key.npy")
    return folder / "numpy_key.npy"


def test_sources_are_the_model_its_change_and_two_of_every_site_in_natural_order(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.start(3, ["site-10", "site-9"])
    assert [str(source) for source in sources_of(looked_at(book))] == [
        "global",
        "change",
        "site-9",
        "site-9 \N{MINUS SIGN} global",
        "site-10",
        "site-10 \N{MINUS SIGN} global",
    ]


def test_the_global_model_is_the_one_that_left_the_round(tmp_path: Path) -> None:
    found = shown(looked_at(hello(tmp_path), chosen=1), GLOBAL_MODEL)
    np.testing.assert_array_equal(numbers(found).reshape(3, 3), weights(2))
    assert (found.plan.when, found.parameter, found.names) == ("after round 1", "numpy_key", ["numpy_key"])
    assert (found.dtype, found.shape, found.plan.signed) == ("float32", "3×3", False)
    assert found.base is not None
    assert found.base.read(0, 9).tolist() == [1.0] * 9


def test_the_global_model_of_a_round_that_runs_is_the_one_that_entered_it(tmp_path: Path) -> None:
    book = hello(tmp_path, 2, end=False)
    book.ask(2)
    found = shown(looked_at(book), GLOBAL_MODEL)
    np.testing.assert_array_equal(numbers(found).reshape(3, 3), weights(2))
    assert found.plan.when == "entering round 2"


def test_the_first_model_has_none_before_it(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    found = shown(looked_at(book), GLOBAL_MODEL)
    assert found.array is not None
    assert found.base is None
    book = Book(tmp_path / "other")
    book.start()
    book.model(0, weights(0))
    book.ask(0)
    assert shown(looked_at(book), GLOBAL_MODEL).plan.base is None


def test_a_run_without_a_round_and_a_round_without_a_model_say_so(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.start()
    view = looked_at(book)
    assert why(view, GLOBAL_MODEL) == "no round has begun yet: there is no model to show"
    assert why(view, CHANGE) == "no round has begun yet: there is no model to show"
    assert why(view, RESULT) == "no round has begun yet: site-0 has sent nothing"
    book.model(0, None)
    assert why(looked_at(book), GLOBAL_MODEL) == "the model entering round 0 is empty: the sites start from their own"
    book.ask(0)
    view = looked_at(book)
    assert why(view, CHANGE) == "round 0 is not finished: it has changed nothing yet"
    assert why(view, RESULT) == "site-0 has not answered in round 0 yet"


def test_a_change_is_the_model_minus_the_one_that_entered_the_round(tmp_path: Path) -> None:
    found = shown(looked_at(hello(tmp_path)), CHANGE)
    assert numbers(found).tolist() == [1.0] * 9
    assert (found.plan.when, found.plan.signed) == ("in round 2", True)


def test_the_change_of_a_round_that_runs_is_that_of_the_one_before(tmp_path: Path) -> None:
    book = hello(tmp_path, 2, end=False)
    book.ask(2)
    found = shown(looked_at(book), CHANGE)
    assert found.plan.when == "in round 1"
    assert numbers(found).tolist() == [1.0] * 9


def test_the_change_of_a_round_without_a_model_is_told_to_be_none(tmp_path: Path) -> None:
    view = looked_at(hello(tmp_path), chosen=0)
    assert why(view, CHANGE) == "the model entering round 0 is empty: there is nothing to subtract"
    assert why(view, UPDATE) == "the model entering round 0 is empty: there is nothing to subtract"


def test_a_result_comes_from_the_store(tmp_path: Path) -> None:
    found = shown(looked_at(hello(tmp_path)), RESULT)
    np.testing.assert_array_equal(numbers(found).reshape(3, 3), weights(3))
    assert found.plan.when == "in round 2"
    assert found.base is not None
    assert found.base.read(0, 9).tolist() == [1.0] * 9


def test_an_update_is_the_result_minus_the_model_that_was_sent(tmp_path: Path) -> None:
    found = shown(looked_at(hello(tmp_path)), UPDATE)
    assert numbers(found).tolist() == [1.0] * 9
    assert found.plan.signed


def test_a_result_that_was_sent_as_a_difference_is_the_update(tmp_path: Path) -> None:
    book = hello(tmp_path)
    view = looked_at(book)
    change_result(book, view, params_type=ParamsType.DIFF)
    for source in (RESULT, UPDATE):
        found = shown(view, source)
        assert found.plan.signed
        assert found.plan.when == "in round 2, sent as a difference"
        np.testing.assert_array_equal(numbers(found).reshape(3, 3), weights(3))


def test_a_result_that_left_the_store_comes_from_the_exchange(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    publish(tmp_path / "exchange", book, "site-0", 2, weights(3))
    view = looked_at(book)
    view.state.exchange = str(tmp_path / "exchange")
    drop_store(book)
    np.testing.assert_array_equal(numbers(shown(view, RESULT)).reshape(3, 3), weights(3))


def test_a_result_that_is_nowhere_says_how_to_keep_it(tmp_path: Path) -> None:
    book = hello(tmp_path)
    drop_store(book)
    sentence = "the result of site-0 in round 2 is not kept; run with --keep-results to keep it"
    assert why(looked_at(book), RESULT) == sentence


def test_a_result_of_another_shape_than_its_entry_is_not_shown(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    publish(tmp_path / "exchange", book, "site-0", 2, np.ones((2, 2), np.float32))
    view = looked_at(book)
    view.state.exchange = str(tmp_path / "exchange")
    drop_store(book)
    expected = "holds float32 of shape 2×2, expected <f4 of shape 3×3"
    assert why(view, RESULT).endswith(expected)


def test_links_in_the_exchange_are_not_followed(tmp_path: Path) -> None:
    book = hello(tmp_path / "runs")
    path = publish(tmp_path / "exchange", book, "site-0", 2, weights(3))
    path.rename(tmp_path / "secret.npy")
    path.symlink_to(tmp_path / "secret.npy")
    view = looked_at(book)
    view.state.exchange = str(tmp_path / "exchange")
    drop_store(book)
    assert "is not a plain file in plain folders" in why(view, RESULT)
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    assert "is not a plain file in plain folders" in why(view, RESULT)


@pytest.mark.parametrize("digest", ["../secret", "a" * 63, "A" * 64, "a" * 64 + "\n", ""])
def test_a_digest_that_is_none_is_not_used_as_a_path(tmp_path: Path, digest: str) -> None:
    book = hello(tmp_path)
    view = looked_at(book)
    change_result(book, view, arrays=entry_with(view, blake3=digest))
    assert why(view, RESULT).endswith("has no digest that names a file")


@pytest.mark.parametrize(
    "file", ["../x.npy", "/etc/x.npy", "a/b.npy", "..", "", "x.npy\n", ".x.npy", "x\0.npy", "\x1b.npy"]
)
def test_a_file_name_that_is_none_is_not_used_as_a_path(tmp_path: Path, file: str) -> None:
    book = hello(tmp_path)
    view = looked_at(book)
    change_result(book, view, arrays=entry_with(view, file=file))
    drop_store(book)
    assert why(view, RESULT).endswith("which is no file name of an array")
    assert why(view, RESULT).isprintable()


def test_task_ids_and_sites_that_are_none_are_not_used_as_a_path(tmp_path: Path) -> None:
    book = hello(tmp_path)
    drop_store(book)
    for fields in ({"task_id": "../../x"}, {"site": ".."}, {"site": "a/b"}):
        view = looked_at(book)
        change_result(book, view, **fields)
        assert why(view, RESULT).endswith("has no place in the exchange folder")


def test_a_site_that_sent_nothing_is_told_apart(tmp_path: Path) -> None:
    book = hello(tmp_path, 1, end=False)
    book.ask(1, ["site-0"])
    book.reject("site-0", 1, "'w' holds NaN or Inf")
    view = looked_at(book)
    assert why(view, RESULT) == "the result of site-0 in round 1 was rejected: 'w' holds NaN or Inf"
    assert why(view, Shown("result", "site-1")) == "site-1 was not asked in round 1"
    assert why(view, Shown("update", "nobody")) == "nobody is not a site of this run"
    book = hello(tmp_path / "other", 1, end=False)
    book.ask(1)
    book.write(SiteLost(site="site-0", reason="its script ended"))
    assert why(looked_at(book), RESULT) == "site-0 is lost in round 1: its script ended"
    book.answer("site-1", 1, weights(5))
    book.close_round(1, weights(5), ["site-1"])
    assert why(looked_at(book), RESULT) == "site-0 did not answer in round 1"


def test_a_model_that_is_gone_is_told_so(tmp_path: Path) -> None:
    book = hello(tmp_path)
    shutil.rmtree(book.folder.models / "round-0003")
    assert why(looked_at(book), GLOBAL_MODEL) == "the model after round 2 is not in the run folder"
    (book.folder.models / "round-0002" / "numpy_key.npy").unlink()
    assert why(looked_at(book, chosen=1), GLOBAL_MODEL).endswith("is not there")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"round": 3}',
        b'{"round": 3, "digest": "", "arrays": [{"name": "\x1b[2J"}]}',
        b'{"round": 3, "digest": "", "arrays": {"\\u001b]52;c;eA==\\u0007": 1}}',
    ],
)
def test_a_broken_model_is_told_in_a_harmless_sentence(tmp_path: Path, data: bytes) -> None:
    book = hello(tmp_path)
    (book.folder.models / "round-0003" / "model.json").write_bytes(data)
    sentence = why(looked_at(book), GLOBAL_MODEL)
    assert sentence.startswith("model.json of the model after round 2 cannot be read: ")
    assert sentence.isprintable()


def test_a_model_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    book = hello(tmp_path)
    about = book.folder.models / "round-0003" / "model.json"
    about.rename(tmp_path / "elsewhere.json")
    about.symlink_to(tmp_path / "elsewhere.json")
    assert "is not a plain file in plain folders" in why(looked_at(book), GLOBAL_MODEL)


def test_hostile_parameter_names_are_harmless_and_the_same_in_models_and_results(tmp_path: Path) -> None:
    hostile = "w\x1b]52;c;eA==\x07\u202e[@click=app.quit]x[/]"
    book = hello(tmp_path)
    for number in (2, 3):
        path = book.folder.models / f"round-{number:04}" / "model.json"
        text = path.read_text().replace('"numpy_key"', msgspec.json.encode(hostile).decode(), 1)
        path.write_text(text)
    view = looked_at(book)
    accepted = view.state.rounds[2].accepted
    sent = msgspec.structs.replace(accepted["site-0"], arrays=entry_with(view, name=hostile))
    accepted["site-0"] = safe_struct(sent)
    found = shown(view, UPDATE)
    assert numbers(found).tolist() == [1.0] * 9
    assert re.fullmatch(r"w\\x1b\]52;c;eA==\\x07\\u202e\[@click=app\.quit\]x\[/\]", found.parameter)
    assert shown(view, GLOBAL_MODEL).names == [found.parameter]


def test_a_parameter_is_kept_where_there_is_one_of_that_name(tmp_path: Path) -> None:
    view = looked_at(hello(tmp_path))
    assert shown(view, GLOBAL_MODEL, "gone").parameter == "numpy_key"
    sent = view.state.rounds[2].accepted["site-0"]
    other = ResultAccepted(
        round=2,
        site="site-0",
        task_id=sent.task_id,
        params_type=ParamsType.FULL,
        weight=1.0,
        metrics={},
        arrays=[msgspec.structs.replace(sent.arrays[0], name="a"), *sent.arrays],
        bytes=0,
    )
    view.state.rounds[2].accepted["site-0"] = other
    assert shown(view, RESULT).parameter == "a"
    assert shown(view, RESULT, "numpy_key").parameter == "numpy_key"
    assert why(view, UPDATE) == "the model entering round 2 has no parameter 'a'"


def grouped_book(tmp_path: Path) -> Book:
    """A run whose last model has an optimiser's momentum, and the own model of a site."""
    book = hello(tmp_path, 2, end=False)
    models = Models(book.folder.models, durable=False)
    for number, plus in ((1, 1), (2, 3)):
        with models.new(number, ["numpy_key"]) as new:
            new.add_all({"numpy_key": weights(plus)}, {"momentum": {"numpy_key": weights(plus * 10)}})
            if number == 2:
                new.group("site-0", ["numpy_key"]).add("numpy_key", weights(50))
                new.group("empty", [])
    return book


def test_groups_of_the_model_are_sources_after_the_change(tmp_path: Path) -> None:
    view = looked_at(grouped_book(tmp_path))
    groups = shown(view, GLOBAL_MODEL).groups
    assert sorted(groups) == ["empty", "momentum", "site-0"]
    assert [str(source) for source in sources_of(view, groups)[:6]] == [
        "global",
        "change",
        "empty",
        "momentum",
        "model of site-0",
        "site-0",
    ]


def test_a_group_is_read_from_its_own_folder_and_told_how_far_it_moved(tmp_path: Path) -> None:
    view = looked_at(grouped_book(tmp_path))
    found = shown(view, Shown("group", group="momentum"), "numpy_key")
    np.testing.assert_array_equal(numbers(found).reshape(3, 3), weights(30))
    assert found.base is not None
    assert found.base.read(0, 9).tolist() == [20.0] * 9
    own = shown(view, Shown("own", "site-0", "site-0"))
    np.testing.assert_array_equal(numbers(own).reshape(3, 3), weights(50))
    assert own.base is None


def test_a_group_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    book = grouped_book(tmp_path)
    own = Shown("own", "site-0", "site-0")
    assert why(looked_at(book, chosen=0), own) == "there is no site-0 with the model after round 0"
    assert why(looked_at(book), Shown("group", group="empty")) == "empty has no arrays with the model after round 1"


def test_a_result_of_metrics_alone_says_so(tmp_path: Path) -> None:
    book = hello(tmp_path)
    view = looked_at(book)
    change_result(book, view, arrays=[])
    for source in (RESULT, UPDATE):
        assert why(view, source) == "the result of site-0 in round 2 holds metrics alone, and no arrays"


def test_an_update_is_of_what_the_sites_got_in_the_round(tmp_path: Path) -> None:
    book = grouped_book(tmp_path)
    book.write(RoundStarted(round=2, task_name="train", sites=["site-0"], model="a" * 64, part="site-0"))
    book.answer("site-0", 2, weights(51))
    assert numbers(shown(looked_at(book), UPDATE)).tolist() == [1.0] * 9
