"""A job's own code: components that its author wrote, in the ``custom`` folder beside the configuration.

It runs with the rights of whoever loads the job, so it is loaded only where that person has agreed to run it. What runs
is then what a person can read there: no bytecode and no libraries are taken from that folder, nor is any left in it.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import FileFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from types import CodeType
from typing import Any

from fltui.errors import BadInputError
from fltui.job.bundle import folder_with_imports, with_imports

_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Code:
    """A job's own code.

    Attributes:
        folder: where it is; None where the job has none.
        may_run: somebody has agreed that it runs.
    """

    folder: Path | None = None
    may_run: bool = False


NO_CODE = Code()


class CodeRefusedError(BadInputError):
    """A job cannot be loaded without running code of its own, to which nobody has agreed."""


def class_files(kind: type[Any]) -> dict[str, Path]:
    """The files that a class needs to be loaded elsewhere, by their place below ``custom/``.

    Raises:
        BadInputError: it is in no file that can go along.
    """
    module, name = kind.__module__, f"{kind.__module__}.{kind.__qualname__}"
    if module == "__main__" or "<locals>" in kind.__qualname__:
        raise BadInputError(
            f"{kind.__qualname__} is defined in the job script itself; put it into a module beside the script, such as "
            "my_parts.py, and import it from there, so that the server can do the same"
        )
    if "." in kind.__qualname__:
        raise BadInputError(f"{name} is defined within another class; put it at the top of its module")
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise BadInputError(f"{name} comes from no file, so it cannot go along with the job")
    top = module.partition(".")[0]
    if top == "fltui" or _INSTALLED & set(Path(file).parts):
        raise BadInputError(
            f"{name} is part of an installed package and no component that a job can name; derive a class of your own "
            "from it, in a module beside the job script"
        )
    folders = getattr(sys.modules.get(top), "__path__", None)
    if folders is None:
        return with_imports(Path(file), PurePosixPath(f"{module}.py"))
    return folder_with_imports(Path(next(iter(folders))), top)


def has_module(custom: Path, path: str) -> bool:
    """Whether a job's own code has the module of a class, by the path of the class."""
    return _module_file(custom, path) is not None


def _module_file(custom: Path, path: str) -> Path | None:
    """The file of the module of a class, by the path of the class; None where there is none."""
    parts = path.split(".")[:-1]
    if not parts or not all(part.isidentifier() for part in parts):
        return None
    module = custom.joinpath(*parts)
    return next((file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file()), None)


def load_class(custom: Path, path: str) -> type[Any] | None:
    """A class of a job's own code; None if the code has no such module.

    Args:
        custom: the folder of the code.
        path: module and class, with dots.

    Raises:
        BadInputError: the module cannot be loaded, or has no such class, or another one has its name.
    """
    module, _, name = path.rpartition(".")
    file = _module_file(custom, path)
    if file is None:
        return None
    _open(custom)
    _check_names(custom, file)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    kind = getattr(found, name, None)
    if not isinstance(kind, type):
        raise BadInputError(f"{file} has no class {name!r}")
    return kind


def close_code(folder: Path) -> None:
    """Look for no more modules in a folder that goes away: whoever made it anew could put some there."""
    for opened in [one for one in _opened if folder in (one, *one.parents)]:
        _opened.remove(opened)
        sys.path[:] = [entry for entry in sys.path if entry != str(opened)]
    for entry in [one for one in sys.path_importer_cache if folder in Path(one).parents]:
        del sys.path_importer_cache[entry]


_opened: list[Path] = []
"""Folders of jobs' code where modules are looked for."""

_sources: dict[str, bytes] = {}
"""Modules that were loaded from there, by name. The same may lie in another folder by now, a copy of the job."""


class _Source(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        _sources[fullname] = source = self.get_data(path)
        code: CodeType = self.source_to_code(source, path)
        return code


def _finder(entry: str) -> FileFinder:
    if not any(folder in (Path(entry), *Path(entry).parents) for folder in _opened):
        raise ImportError(f"{entry} is no job's code", path=entry)
    return FileFinder(entry, (_Source, [".py"]))


def _open(custom: Path) -> None:
    """Look for modules there, last of all: Python's own and what is installed is not to be replaced by a job's."""
    if custom in _opened:
        return
    _opened.append(custom)
    if _finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _finder)
    if str(custom) not in sys.path:
        sys.path.append(str(custom))


def _check_names(custom: Path, file: Path) -> None:
    """Make sure that no other module is loaded in place of one here, or of one that it imports.

    Raises:
        BadInputError: one would be.
    """
    inside = file.relative_to(custom)
    places = {inside.as_posix(): file}
    if len(inside.parts) == 1:
        places |= with_imports(file, PurePosixPath(inside.as_posix()))
    for top in sorted({PurePosixPath(place).parts[0] for place in places}):
        module = custom / top if top.endswith(".py") else custom / top / "__init__.py"
        if module.is_file() and (other := _taken_for(top.removesuffix(".py"), module.read_bytes())):
            raise BadInputError(f"{custom / top} has the name of another module, {other}; rename it")


def _taken_for(name: str, source: bytes) -> str:
    """Where a module of that name comes from that is not `source`; empty if it is."""
    if name in sys.modules and name in _sources:
        return "" if _sources[name] == source else str(getattr(sys.modules[name], "__file__", name))
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return name
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    if origin is not None and origin.is_file() and origin.read_bytes() == source:
        return ""
    return str(origin or name)
