"""Code that a job brings along: what goes with a class, what is loaded, and what never is."""

from __future__ import annotations

import json
import logging
import os
import py_compile
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.job.code import class_files, close_code, has_module, load_class
from fltui.job.folder import load_job, write_job
from tests.job.own_code import FILTER, WORKFLOW, job_folder, put


@pytest.fixture
def name(tmp_path: Path) -> str:
    """Of a module that no other test has."""
    return "own_" + re.sub(r"\W", "_", tmp_path.name).lower()  # not "test_...", which pytest loads itself


@pytest.fixture(autouse=True)
def closed(tmp_path: Path) -> Iterator[None]:
    """Modules are not looked for any more in what a test has left."""
    before = set(sys.modules)
    yield
    close_code(tmp_path)
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job script, where Python looks for modules first."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


# What goes with a class.


def kind_in(module: str, name: str = "Scaled") -> type[Any]:
    kind: type[Any] = getattr(import_module(module), name)
    return kind


def test_a_class_goes_with_its_module_and_what_that_imports_beside_it(here: Path, name: str) -> None:
    put(here / f"{name}.py", f"import json, {name}_a\n" + FILTER.replace("\n    ", "\n"))
    put(here / f"{name}_a.py", f"def later():\n    import {name}_b\n")
    put(here / f"{name}_b.py", f"import {name}\n")
    put(here / f"{name}_unused.py", "")
    files = class_files(kind_in(name))
    assert files == {file: here / file for file in (f"{name}.py", f"{name}_a.py", f"{name}_b.py")}


@pytest.mark.parametrize(
    "module", ["", ".deep", ".deep.er"], ids=["the package", "a package in it", "a module of that"]
)
def test_a_class_in_a_package_goes_with_all_of_it_and_what_that_imports(here: Path, name: str, module: str) -> None:
    place = here / name
    put(place / "__init__.py", FILTER)
    put(place / "deep" / "__init__.py", FILTER)
    put(place / "deep" / "er.py", f"import {name}_beside\n" + FILTER.replace("\n    ", "\n"))
    put(here / f"{name}_beside.py", "")
    files = class_files(kind_in(f"{name}{module}"))
    expected = (f"{name}/__init__.py", f"{name}/deep/__init__.py", f"{name}/deep/er.py", f"{name}_beside.py")
    assert files == {file: here / file for file in expected}
    custom = copied(files, here.parent / "custom")
    assert has_module(custom, f"{name}{module}.Scaled")


def copied(files: dict[str, Path], custom: Path) -> Path:
    for inside, file in files.items():
        (custom / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, custom / inside)
    return custom


def test_a_class_in_the_job_script_itself_cannot_go(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Scaled", (), {"__module__": "__main__"})
    with pytest.raises(BadInputError) as caught:
        class_files(kind)
    assert str(caught.value) == (
        "Scaled is defined in the job script itself; put it into a module beside the script, such as my_parts.py, and "
        "import it from there, so that the server can do the same"
    )

    class Local:
        pass

    with pytest.raises(BadInputError, match="Local is defined in the job script itself"):
        class_files(Local)


class Outer:
    """Holds a class."""

    class Inner:
        """Held."""


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            Outer.Inner,
            "tests.job.test_code.Outer.Inner is defined within another class; put it at the top of its module",
        ),
        (type("X", (), {"__module__": "sys"}), "sys.X comes from no file, so it cannot go along with the job"),
        (
            type("Y", (), {"__module__": "fltui.aggregation.filters"}),
            "fltui.aggregation.filters.Y is part of an installed package and no component that a job can name; derive "
            "a class of your own from it, in a module beside the job script",
        ),
        (type("Z", (), {"__module__": "msgspec.json"}), "msgspec.json.Z is part of an installed package"),
    ],
)
def test_classes_that_cannot_go_are_told_of(kind: type[Any], told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        class_files(kind)
    assert str(caught.value).startswith(told)


# What is loaded.


def test_a_class_is_loaded_with_what_its_module_imports(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"{name}.py", f"import {name}_a\n\n\nclass Part:\n    value = {name}_a.VALUE\n")
    put(tmp_path / f"{name}_a.py", "VALUE = 7\n")
    kind = load_class(tmp_path, f"{name}.Part")
    assert kind is not None
    assert kind.value == 7


@pytest.mark.parametrize("place", ["{}/__init__.py", "{}/a.py", "{}/a/__init__.py"])
@pytest.mark.parametrize("plain", [True, False], ids=["with __init__", "without"])
def test_a_class_is_loaded_from_a_package(tmp_path: Path, name: str, place: str, plain: bool) -> None:
    file = put(tmp_path / place.format(name), "class Part: ...\n")
    if plain:
        put(tmp_path / name / "__init__.py", "class Part: ...\n")
    module = ".".join(file.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")
    assert load_class(tmp_path, f"{module}.Part") is not None


def test_what_a_module_imports_later_is_still_found(tmp_path: Path, name: str) -> None:
    put(
        tmp_path / f"{name}.py",
        f"class Part:\n    def later(self):\n        import {name}_a\n        return {name}_a\n",
    )
    put(tmp_path / f"{name}_a.py", "")
    kind = load_class(tmp_path, f"{name}.Part")
    assert kind is not None
    assert kind().later().__file__ == str(tmp_path / f"{name}_a.py")


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "a.b;c",
        "../x.Y",
        "",
        ".",
        "x",
        "x.",
        ".x",
        "..x.Y",
        "x..Y",
        "a/b.C",
        "x\0y.Z",
        "a b.C",
        "é/.X",
        ".",
    ],
)
def test_a_path_that_names_no_module_of_the_job_imports_nothing(tmp_path: Path, path: str) -> None:
    put(tmp_path / "custom" / "other.py", "raise SystemExit('was imported')\n")
    put(tmp_path / "x.py", "raise SystemExit('was imported')\n")
    before = list(sys.path)
    assert load_class(tmp_path / "custom", path) is None
    assert not has_module(tmp_path / "custom", path)
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise ValueError('no luck')", "cannot be loaded: ValueError: no luck"),
        ("import sys\nsys.exit(7)", "cannot be loaded: SystemExit: 7"),
        (
            "import no_such_module_anywhere",
            "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module_anyw",
        ),
        ("class Part", "cannot be loaded: SyntaxError: expected ':'"),
        ("\0", "cannot be loaded: SyntaxError: source code string cannot contain null bytes"),
        ("", "has no class 'Part'"),
        ("Part = 7", "has no class 'Part'"),
        ("from os import system as Part", "has no class 'Part'"),
    ],
)
def test_a_module_that_does_not_do_is_told_of(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = put(tmp_path / f"{name}.py", text)
    with pytest.raises(BadInputError) as caught:
        load_class(tmp_path, f"{name}.Part")
    assert str(caught.value).startswith(f"{file} {told}")


@pytest.mark.parametrize("module", ["json", "logging", "msgspec", "sys", "numpy", "antigravity", "fltui"])
def test_no_module_of_python_s_or_an_installed_one_is_replaced(tmp_path: Path, module: str) -> None:
    put(tmp_path / f"{module}.py", "raise SystemExit('was run')\nclass Part: ...\n")
    with pytest.raises(BadInputError, match=rf"{module}\.py has the name of another module, .*; rename it$"):
        load_class(tmp_path, f"{module}.Part")


def test_nor_is_one_that_a_module_of_the_job_imports(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"{name}.py", "import colorsys\nraise SystemExit('was run')\n")
    put(tmp_path / "colorsys.py", "raise SystemExit('was run')\n")
    with pytest.raises(
        BadInputError, match=r"/colorsys\.py has the name of another module, .*colorsys\.py; rename it$"
    ):
        load_class(tmp_path, f"{name}.Part")
    import colorsys

    assert Path(colorsys.__file__ or "").parent != tmp_path


def test_the_server_s_own_imports_come_first_afterwards(tmp_path: Path, name: str) -> None:
    """A job's folder may hold anything, such as the scripts of its sites."""
    put(tmp_path / f"{name}.py", "class Part: ...\n")
    for module in ("json", "logging", "wave", "msgspec", "dp_accounting"):
        put(tmp_path / f"{module}.py", "raise SystemExit('was run')\n")
    assert load_class(tmp_path, f"{name}.Part") is not None
    sys.modules.pop("wave", None)
    assert str(tmp_path) not in str(import_module("wave").__file__)
    assert (import_module("json"), import_module("logging")) == (json, logging)
    assert sys.path.index(str(tmp_path)) == len(sys.path) - 1


def test_a_copy_of_the_job_has_the_same_module_and_another_job_has_not(tmp_path: Path, name: str) -> None:
    put(tmp_path / "one" / f"{name}.py", "class Part: ...\n")
    put(tmp_path / "copy" / f"{name}.py", "class Part: ...\n")
    put(tmp_path / "other" / f"{name}.py", "class Part: x = 1\n")
    kind = load_class(tmp_path / "one", f"{name}.Part")
    shutil.rmtree(tmp_path / "one")
    close_code(tmp_path / "one")
    assert load_class(tmp_path / "copy", f"{name}.Part") is kind
    with pytest.raises(BadInputError) as caught:
        load_class(tmp_path / "other", f"{name}.Part")
    assert str(caught.value) == (
        f"{tmp_path}/other/{name}.py has the name of another module, {tmp_path}/one/{name}.py; rename it"
    )


def test_a_folder_that_goes_away_is_looked_into_no_more(tmp_path: Path, name: str) -> None:
    put(tmp_path / "job" / "custom" / f"{name}.py", "class Part: ...\n")
    put(tmp_path / "job" / "custom" / f"{name}_a.py", "")
    load_class(tmp_path / "job" / "custom", f"{name}.Part")
    close_code(tmp_path / "job")
    assert str(tmp_path / "job" / "custom") not in sys.path
    with pytest.raises(ModuleNotFoundError):
        import_module(f"{name}_a")


def test_what_runs_is_what_can_be_read(tmp_path: Path, name: str) -> None:
    """Bytecode that looks like that of the module, and says something else, is not taken."""
    file = put(tmp_path / f"{name}.py", "class Part: value = 1\n")
    false = put(tmp_path / "false.py", "class Part: value = 2\n")
    for one in (file, false):
        os.utime(one, (1e9, 1e9))
    there = tmp_path / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(str(false), str(there), str(file), doraise=True)
    put(tmp_path / f"{name}_a.py", f"import {name}_b\nclass Part: ...\n")
    py_compile.compile(str(false), str(tmp_path / f"{name}_b.pyc"), doraise=True)
    kind = load_class(tmp_path, f"{name}.Part")
    assert kind is not None
    assert kind.value == 1
    with pytest.raises(BadInputError, match=f"ModuleNotFoundError: No module named '{name}_b'"):
        load_class(tmp_path, f"{name}_a.Part")


def test_nothing_is_written_beside_the_code(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"{name}.py", f"import {name}_p.a\nclass Part: ...\n")
    put(tmp_path / f"{name}_p" / "__init__.py", "")
    put(tmp_path / f"{name}_p" / "a.py", "")
    load_class(tmp_path, f"{name}.Part")
    assert not list(tmp_path.rglob("*.pyc"))


# What a job folder may name.


def test_code_of_the_job_s_own_is_loaded_where_that_was_agreed(tmp_path: Path, name: str) -> None:
    folder = job_folder(tmp_path / "job", filters=[{"path": f"{name}.Scaled", "args": {"factor": 0.25}}])
    put(folder / "app_server" / "custom" / f"{name}.py", FILTER)
    with pytest.raises(BadInputError) as caught:
        load_job(folder)
    assert str(caught.value) == (
        f"{folder}/app_server/config/config_fed_server.json names the component '{name}.Scaled', which is not "
        "registered: it is code of the job's own and would run with your rights; --job-code lets it, if you trust it"
    )
    assert name not in sys.modules
    workflow: Any = load_job(folder, job_code=True).workflow
    assert (type(workflow.filters[0]).__module__, workflow.filters[0].factor) == (name, 0.25)


@pytest.mark.parametrize("app", ["", "app"], ids=["named sites", "all sites"])
def test_a_workflow_of_the_job_s_own_is_written_and_read_again(tmp_path: Path, name: str, app: str) -> None:
    path = {"path": f"{name}.Twice", "args": {"num_clients": 1, "extra": 5}}
    folder = job_folder(tmp_path / "job", workflow=path, app=app)
    put(folder / (app or "app_server") / "custom" / f"{name}.py", WORKFLOW)
    with pytest.raises(BadInputError, match="--job-code lets it"):
        load_job(folder)
    job = load_job(folder, job_code=True)
    again = write_job(job.with_sites(1), tmp_path / "again")
    assert (again / "app_server" / "custom" / f"{name}.py").is_file()
    workflow: Any = load_job(again, job_code=True).workflow
    assert (workflow.extra, workflow.title) == (5, "Twice 5")


def test_code_that_nothing_names_is_not_loaded_nor_taken_along(tmp_path: Path, name: str) -> None:
    folder = job_folder(tmp_path / "job")
    put(folder / "app_server" / "custom" / f"{name}.py", "raise SystemExit('was run')\n")
    assert load_job(folder).server_files == {}
    assert load_job(folder, job_code=True).server_files == {}


def test_a_filter_for_a_site_is_not_loaded_by_who_reads_the_job(tmp_path: Path, name: str) -> None:
    folder = job_folder(tmp_path / "job", site_filters=[{"path": f"{name}.Scaled"}])
    put(folder / "app_a" / "custom" / f"{name}.py", "raise SystemExit('was run')\n")
    for job_code in (False, True):
        (found,) = load_job(folder, job_code=job_code).app("a").filters
        assert found.path == f"{name}.Scaled"
    assert name not in sys.modules


HOSTILE: list[tuple[Any, str, str]] = [
    ("os.system", "", "'os.system', which is not registered; docs/workflows.md"),
    ("a.b;c", "", "'a.b;c', which is not registered"),
    ("../x.Y", "", "'../x.Y', which is not registered"),
    ("NAME.Part", "raise RuntimeError('boo')", "NAME.py cannot be loaded: RuntimeError: boo"),
    ("NAME.Part", "class Part: ...", "names the component 'NAME.Part', which is no dataclass"),
    ("NAME.Part", "class Other: ...", "NAME.py has no class 'Part'"),
    (
        "NAME.Part",
        "from dataclasses import dataclass\n@dataclass\nclass Part: ...",
        "filters has Part(), expected filters such as ClipNorm(1.0)",
    ),
    (
        "NAME.Part",
        "from dataclasses import dataclass\n@dataclass\nclass Part:\n    x: 'Nowhere' = 1",
        "the annotations of Part cannot be read: name 'Nowhere' is not defined",
    ),
    (
        "NAME.Part",
        "from dataclasses import dataclass\n@dataclass\nclass Part:\n    def __post_init__(self): raise KeyError('k')",
        "Part: 'k'",
    ),
    ("NAME.Part", "from fltui import FedAvg as Part", "filters has FedAvg("),
]


@pytest.mark.parametrize(("path", "text", "told"), HOSTILE, ids=[told[-50:] for _, _, told in HOSTILE])
def test_a_hostile_job_is_one_sentence(tmp_path: Path, name: str, path: str, text: str, told: str) -> None:
    folder = job_folder(tmp_path / "job", filters=[{"path": path.replace("NAME", name)}])
    put(folder / "app_server" / "custom" / f"{name}.py", text)
    with pytest.raises(BadInputError) as caught:
        load_job(folder, job_code=True)
    assert told.replace("NAME", name) in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("depth", [300, 460, 10_000])
def test_parts_within_parts_within_parts_end_in_a_sentence(tmp_path: Path, depth: int) -> None:
    inner = '{"path": "fltui.workflows.fedavg.FedAvg", "args": {"aggregator": ' * depth + "{}" + "}}" * depth
    folder = job_folder(tmp_path / "job")
    config = folder / "app_server" / "config" / "config_fed_server.json"
    config.write_text(f'{{"workflows": [{inner}]}}')
    with pytest.raises(BadInputError, match=r"nested too deep|is malformed|aggregator"):
        load_job(folder)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            {"filters": [{"path": "fltui.aggregation.filters.ClipNorm", "arg": {}}]},
            "argument 'filters' of FedAvg: Expect",
        ),
        ({"filters": [{"max_norm": 1.0}]}, "argument 'filters' of FedAvg: Expected components, each an object with"),
        ({"filters": {"path": "fltui.aggregation.filters.ClipNorm"}}, "FedAvg: filters is one filter, expected a list"),
        ({"filters": [5]}, "argument 'filters' of FedAvg: Expected `object`, got `int`"),
        ({"filters": "ClipNorm"}, "argument 'filters' of FedAvg: Expected `array`, got `str`"),
        ({"aggregator": {"f": 1}}, "argument 'aggregator' of FedAvg: Expected components, each an object with"),
        ({"server_optimizer": {}}, "argument 'server_optimizer' of FedAvg: Expected components"),
        (
            {"aggregator": {"path": "fltui.aggregation.filters.ClipNorm"}},
            "FedAvg: aggregator is ClipNorm(max_norm=1.0)",
        ),
    ],
    ids=str,
)
def test_parts_that_are_none_are_not_taken_for_their_defaults(tmp_path: Path, args: dict[str, Any], told: str) -> None:
    folder = job_folder(tmp_path / "job", workflow={"path": "fltui.workflows.fedavg.FedAvg", "args": args})
    with pytest.raises(BadInputError) as caught:
        load_job(folder)
    assert told in str(caught.value)
