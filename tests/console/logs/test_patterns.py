from __future__ import annotations

import threading
import time

import pytest

from fltui.console.logs.patterns import Pattern, TooSlowError, patience
from fltui.errors import BadInputError

HOSTILE = "a" * 2000 + "!"
SLOW = ["(a+)+$", "(a|aa)*$", ".*.*.*.*x", r"(?=(a+)+$)c", r"(\w+\s?)*$", r"(.)\1*\1*\1*\1*z"]


def found(pattern: str, text: str) -> bool:
    return bool(Pattern(pattern).matches(text))


def test_plain_text_is_found_anywhere() -> None:
    assert found("loss 0", "epoch 1: loss 0.5")
    assert not found("loss 1", "epoch 1: loss 0.5")


@pytest.mark.parametrize("pattern", ["error", "err[o]r"])
def test_case_does_not_count(pattern: str) -> None:
    assert found(pattern, "ValueError")
    assert found(pattern, "ERROR")


@pytest.mark.parametrize("pattern", ["Error", "Err[o]r"])
def test_case_counts_with_a_capital_letter(pattern: str) -> None:
    assert found(pattern, "ValueError")
    assert not found(pattern, "error")
    assert not found(pattern, "ERROR")


def test_a_capital_in_an_escape_is_no_capital_letter() -> None:
    assert found(r"error\S", "ERROR!")


def test_special_characters_make_a_regular_expression() -> None:
    assert Pattern("loss").is_plain
    assert not Pattern("lo.s").is_plain
    assert found(r"loss [0-9]\.5$", "epoch 1: loss 0.5")


def test_matches_have_a_begin_and_an_end() -> None:
    assert Pattern("aB").spans("aBxaB") == [(0, 2), (3, 5)]
    assert Pattern("ab").spans("aBxAb") == [(0, 2), (3, 5)]
    assert Pattern("x*").spans("axxa") == [(1, 3)]


@pytest.mark.parametrize("pattern", ["(a", "*", "[z-a]", "(?P<\x1b>a)", "a{9999999999999}", "(?<=a*)b"])
def test_what_is_no_regular_expression_is_refused_with_a_harmless_sentence(pattern: str) -> None:
    with pytest.raises(BadInputError, match="not a regular expression: ") as error:
        Pattern(pattern)
    assert str(error.value).isprintable()


def test_a_regular_expression_with_a_doubtful_future_is_no_warning() -> None:
    assert found("[[a]", "[")


@pytest.mark.parametrize("pattern", SLOW)
def test_patience_ends_with_a_pattern_that_would_take_forever(pattern: str) -> None:
    begun = time.process_time()
    with pytest.raises(TooSlowError), patience(0.01):
        Pattern(pattern).matches(HOSTILE)
    assert time.process_time() - begun < 10  # not the end of the universe


def test_patience_does_not_end_what_is_quick() -> None:
    for _ in range(100):
        with patience(5):
            assert found("a+!", HOSTILE)


def test_patience_that_was_left_does_not_end_anything_later() -> None:
    with patience(0.01):
        pass
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass


def test_in_another_thread_nothing_is_bounded() -> None:
    def match() -> None:
        with patience(0.000001):
            result.append(found("a+!", HOSTILE))

    result: list[bool] = []
    thread = threading.Thread(target=match)
    thread.start()
    thread.join()
    assert result == [True]
