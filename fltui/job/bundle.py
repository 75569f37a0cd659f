"""Which files go with a script: itself and the modules beside it that it imports."""

from __future__ import annotations

import ast
import sys
from pathlib import Path, PurePosixPath

from fltui.errors import BadInputError


def find(path: str) -> Path | None:
    """A file or folder that a job script names: beside the job script first, then in the current folder."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    bases = [Path(main).resolve().parent] if main else []
    for base in (*bases, Path.cwd()):
        if (base / path).exists():
            return base / path
    return None


def place(path: str) -> str:
    """Where it goes below ``custom/``: its own relative path, or its bare name if that would leave the folder."""
    pure = PurePosixPath(Path(path).as_posix())
    return pure.name if pure.is_absolute() or ".." in pure.parts else pure.as_posix()


def script_files(script: str) -> dict[str, Path]:
    """A script with the local modules it imports, by their place below ``custom/``; empty if it does not exist."""
    found = find(script)
    if found is None or not found.is_file():
        return {}
    return with_imports(found, PurePosixPath(place(script)))


def with_imports(found: Path, inside: PurePosixPath) -> dict[str, Path]:
    """A Python file that goes to `inside`, with the local modules it imports, by their place below ``custom/``."""
    return _with_imports({inside.as_posix(): found}, found.parent, inside.parent)


def folder_with_imports(folder: Path, name: str) -> dict[str, Path]:
    """A package, and the modules beside it that it imports, by their place below ``custom/``."""
    return _with_imports(folder_files(folder, name), folder.parent, PurePosixPath())


def _with_imports(files: dict[str, Path], folder: Path, home: PurePosixPath) -> dict[str, Path]:
    """Files and what they import of a folder, which goes to `home`."""
    queue = [file for file in files.values() if file.suffix == ".py"]
    while queue:
        for module in _imported(queue.pop()):
            for name, beside in _module_files(folder, module).items():
                there = (home / name).as_posix()
                if there not in files:
                    files[there] = beside
                    queue += [beside] if beside.suffix == ".py" else []
    return files


def _module_files(folder: Path, module: str) -> dict[str, Path]:
    """The files of a module or package in `folder`, by their place below it; empty if it is not from there."""
    if (folder / f"{module}.py").is_file():
        return {f"{module}.py": folder / f"{module}.py"}
    if any((folder / module).rglob("*.py")):
        return folder_files(folder / module, module)
    return {}


def folder_files(folder: Path, inside: str) -> dict[str, Path]:
    """Every file of a folder, by its place below ``custom/``."""
    return {
        (PurePosixPath(inside) / file.relative_to(folder).as_posix()).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def named_files(path: str) -> dict[str, Path]:
    """A file or folder that a job names outright.

    Raises:
        BadInputError: there is none.
    """
    found = find(path)
    if found is None:
        raise BadInputError(f"{path} does not exist, neither beside the job script nor in the current folder")
    return folder_files(found, place(path)) if found.is_dir() else {place(path): found}


def _imported(script: Path) -> set[str]:
    try:
        tree = ast.parse(script.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # the site that runs it will say so
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names
