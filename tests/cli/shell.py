"""Commands as a person types them, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fltui import cli


class Shell:
    """Runs commands whose files are in a folder, which is the working directory.

    Attributes:
        folder: the folder.
        code: exit code of the last command.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.code = 0
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in ("RUNS", "EXCHANGE", "QUEUE", "REQUIRE_SIGNATURES", "TRACK"):
            monkeypatch.setenv(f"FLTUI_{name}", "")  # so that what the commands set is taken back
            monkeypatch.delenv(f"FLTUI_{name}")
        monkeypatch.setenv("FLTUI_CONFIG", str(folder / "config.toml"))
        monkeypatch.setenv("FLTUI_KEYS", str(folder / "keys"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """``fltui ARGUMENTS``: exit code, output, errors."""
        self._monkeypatch.setattr("sys.argv", ["fltui", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self._capsys.readouterr()
        self.code = int(ended.value.code or 0)
        return self.code, out, err

    def said(self, *arguments: str | Path) -> str:
        """All that a command prints."""
        _, out, err = self(*arguments)
        return out + err

    def json(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """The objects that a command that ends well prints."""
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]
