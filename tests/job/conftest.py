"""A folder to build jobs in."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which holds a training script."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "train.py").write_text("import fltui.client as flare\n")
    monkeypatch.chdir(folder)
    return folder
