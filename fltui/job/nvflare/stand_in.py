"""The package ``fltui`` that goes with an export, so that scripts that import fltui run where it is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(__file__).parent / "payload" / "stand_in"


def files() -> dict[str, Path]:
    """Its files by their place below ``custom/``."""
    return {f"fltui/{file.relative_to(_FOLDER).as_posix()}": file for file in sorted(_FOLDER.rglob("*.py"))}


def lacking(source: bytes) -> str:
    """What a script imports of fltui that the package does not have; empty if it has all, or if this is no Python."""
    names = _names()
    for module, name in _imported(source):
        if module.partition(".")[0] != "fltui" or (not name and module in names):
            continue
        if module not in names:
            return module
        if name not in names[module] and f"{module}.{name}" not in names:
            return f"{module}.{name}"
    return ""


def _names() -> dict[str, set[str]]:
    """Its modules, and what is in each."""
    found: dict[str, set[str]] = {}
    for place, file in files().items():
        module = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[module] = {
            constant.value
            for node in ast.parse(file.read_bytes()).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for constant in ast.walk(node.value)
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        }
    return found


def _imported(source: bytes) -> Iterator[tuple[str, str]]:
    """The modules that a script imports, and the names that it takes out of them."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, "" if alias.name == "*" else alias.name) for alias in node.names)
