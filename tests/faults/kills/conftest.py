"""What tests of faults share."""

from __future__ import annotations

import pytest

from tests.faults.kills.undisturbed import Calm, undisturbed


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """A run that nobody disturbs."""
    return undisturbed(tmp_path_factory.mktemp("calm"))
