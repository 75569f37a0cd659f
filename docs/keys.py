"""Write ``docs/keys.md``, the table of every key, from the tables that make them work: ``python docs/keys.py``."""

from __future__ import annotations

from pathlib import Path

import fltui.console.app
import fltui.console.screens.run_screen  # noqa: F401 - every screen and panel is loaded: their tables are found
from fltui.console.keys import all_bindings


def text() -> str:
    """The page."""
    lines = [
        "# Keys",
        "",
        "The keys of the console, by the ids that `[keys]` in `config.toml` takes. Commas separate several keys.",
        "",
        "| id | keys | what it does |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{binding.id}` | `{binding.key}` | {binding.tooltip or binding.description} |" for binding in all_bindings()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "keys.md").write_text(text(), encoding="utf-8")
