"""What a machine lacks skips a test, wherever in it that turns out."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.engines.programs import NotHereError


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """In a fixture."""
    yield from _skipped()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """In the test itself."""
    yield from _skipped()


def _skipped() -> Generator[None]:
    try:
        yield
    except NotHereError as error:
        pytest.skip(str(error))
