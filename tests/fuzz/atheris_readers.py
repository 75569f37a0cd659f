"""Fuzzing of the readers with atheris, guided by coverage; by hand, as the suite does without atheris.

In a virtual environment with fltui and its development extra: ``pip install atheris``, then
``python -m tests.fuzz.atheris_readers -max_total_time=600 CORPUS``, where CORPUS is a new folder. It ends at the first
input that raises anything but the product's own errors, or that allocates too much, and writes it beside.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Fuzz until told to stop; the arguments are libFuzzer's."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["fltui.exchange", "json"]):
        readers: Any = importlib.import_module("tests.fuzz.readers")
    folder = Path(tempfile.mkdtemp())
    intake = readers.Intake(folder)
    manifest = readers.good_manifest(folder / "good")
    array = next((folder / "good").glob("*/w.npy")).read_bytes()
    (result,) = readers.read_document(manifest)[:1]

    def one(data: bytes) -> None:
        kind, rest = data[:1], data[1:]
        if kind < b"\x80":
            readers.read_document(rest)
            intake.manifest(rest)
        else:
            found = intake.array(rest, result.arrays[0])
            assert found is None or rest == array[: -len(found)] + found

    for corpus in [Path(each) for each in sys.argv[1:] if not each.startswith("-")]:
        corpus.mkdir(exist_ok=True)
        (corpus / "manifest").write_bytes(b"\0" + manifest)
        (corpus / "array").write_bytes(b"\xff" + array)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
