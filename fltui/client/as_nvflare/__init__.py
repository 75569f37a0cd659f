"""Stands in for nvflare where a site's script imports it: a script that was written for nvflare runs unchanged.

There are exactly the modules of `MODULES`, with exactly these names in them; each name is looked up when it is first
asked for. They come first even where the real nvflare is installed, as the script is to talk to fltui.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_CLIENT_API = (
    "get_config",
    "get_job_id",
    "get_site_name",
    "get_task_name",
    "init",
    "is_evaluate",
    "is_running",
    "is_submit_model",
    "is_train",
    "log",
    "receive",
    "send",
    "shutdown",
    "system_info",
)

_MODEL = {"FLModel": "fltui.model:FLModel", "ParamsType": "fltui.model:ParamsType"}

MODULES: dict[str, dict[str, str]] = {
    "nvflare": {},
    "nvflare.app_common": {},
    "nvflare.app_common.abstract": {},
    "nvflare.app_common.abstract.fl_model": {**_MODEL, "MetaKey": "fltui.client.as_nvflare.names:MetaKey"},
    "nvflare.app_common.np": {},
    "nvflare.app_common.np.constants": {"NPConstants": "fltui.client.as_nvflare.names:NPConstants"},
    "nvflare.client": {
        **{name: f"fltui.client.api:{name}" for name in _CLIENT_API},
        **_MODEL,
        "AnalyticsDataType": "fltui.client.as_nvflare.names:AnalyticsDataType",
        "evaluate": "fltui.client.decorators:evaluate",
        "train": "fltui.client.decorators:train",
    },
    "nvflare.client.tracking": {"SummaryWriter": "fltui.client.tracking:SummaryWriter"},
}
"""Module to the names in it, each with where it is taken from."""


class Finder:
    """Makes the modules of `MODULES`, and refuses every other that begins with ``nvflare``.

    It is a `MetaPathFinder` and a `Loader` of `importlib.abc`, and does not derive from them, as a script's process
    would load much for it.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the interface of a finder
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module, or None where its name does not begin with ``nvflare``.

        Raises:
            ImportError: fltui has no counterpart of it; the sentence names what there is.
        """
        if fullname.partition(".")[0] != "nvflare":
            return None
        if fullname not in MODULES:
            raise _refusal(fullname)
        # Each is a package, so that a name which is not in it is looked for as a module, and refused in a sentence.
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]  # the interface is all it needs

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Let a module find its names."""
        names = MODULES[module.__name__]

        def find(name: str) -> Any:
            if name not in names:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)
            place, _, attribute = names[name].partition(":")
            value = getattr(import_module(place), attribute)
            setattr(module, name, value)
            return value

        vars(module).update(__getattr__=find, __dir__=lambda: sorted(names), __all__=sorted(names))


def install() -> None:
    """Let this process find the stand-in, and forget the real nvflare where that is loaded already."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvflare"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder())


def _refusal(fullname: str) -> ImportError:
    parent, _, name = fullname.rpartition(".")
    if names := MODULES.get(parent):
        there = f"{parent} has {', '.join(sorted(names))}"
    else:
        there = f"a script of fltui may import {', '.join(sorted(module for module in MODULES if MODULES[module]))}"
    return ImportError(f"fltui has no counterpart of {fullname}; {there}", name=name, path=None)
