"""What a hostile site may try, each with the reason that the server gives."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import stat
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fltui.exchange.layout import TaskId, array_files
from fltui.exchange.manifest import MOST_METRICS
from fltui.exchange.npy import file_size, header
from fltui.exchange.publish import put_arrays, put_bytes
from fltui.model import NUM_STEPS
from tests.faults.attacks.hostility import FILE, NAME, Crime, Later, Scene, exchange_for_link, remove, while_read

ACTING = "\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.\x00\r\nround 0 finished\n\u2066"
"""Text that would act on a terminal, or look like a line of its own."""

QUOTED = json.dumps(ACTING).encode()

SIZE = file_size("<f4", [3, 3])


def _scenes(act: Callable[[Scene], object]) -> Callable[[Scene], Later | None]:
    """A crime of one expression."""

    def commit(scene: Scene) -> None:
        act(scene)

    return commit


def crime(name: str, act: Callable[[Scene], object], reason: str, **more: Any) -> Crime:
    return Crime(name, _scenes(act), reason, **more)


# Arrays


def saved(array: Any, *, size: int = SIZE, allow_pickle: bool = True) -> bytes:
    """What NumPy makes of an array, cut or filled up to a size."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()[:size].ljust(size, b"\0")


def header_bomb(path: Path) -> None:
    """An ``.npy`` of version 2 whose header claims 2 GiB, in a file that is as large."""
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"))
        file.truncate(12 + 2**31)


def deep_header() -> bytes:
    """A header that is nothing but brackets, of the right length."""
    return (b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118)[:128] + bytes(36)


def zipped() -> bytes:
    """A zip of the right length."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"")
    return file.getvalue()[:SIZE].ljust(SIZE, b"\0")


def fortran() -> bytes:
    """The right bytes in the wrong order, and the header says so."""
    return header("<f4", [3, 3]).replace(b"False", b"True ") + bytes(36)


NOT_THE_HEADER = "does not begin with the header of <f4 \\(3, 3\\), C order"

FORGED = {
    "a pickle": lambda: saved(np.array([{"a": 1}], dtype=object)),
    "a bare pickle": lambda: pickle.dumps(os.getcwd).ljust(SIZE, b"."),
    "objects": lambda: header("<f4", [3, 3]).replace(b"'<f4'", b"'|O' ") + bytes(36),
    "a zip": zipped,
    "a deep header": deep_header,
    "fortran order": fortran,
    "big endian": lambda: header("<f4", [3, 3]).replace(b"<f4", b">f4") + bytes(36),
    "integers": lambda: header("<f4", [3, 3]).replace(b"<f4", b"<i4") + bytes(36),
    "another shape": lambda: header("<f4", [3, 3]).replace(b"(3, 3)", b"(9, 1)") + bytes(36),
    "version 2": lambda: header("<f4", [3, 3]).replace(b"\x01\x00", b"\x02\x00", 1) + bytes(36),
}

THE_MODELS = r"expected <f4 \(3, 3\)"

CHANGED: dict[str, Any] = {
    "(1, 3)": np.ones((1, 3), np.float32),
    "(3,)": np.ones(3, np.float32),
    "()": np.float32(1),
    "no elements": np.ones((0, 3), np.float32),
    "float64": np.ones((3, 3)),
    "float16": np.ones((3, 3), np.float16),
    "int32": np.ones((3, 3), np.int32),
    "bool": np.ones((3, 3), np.bool_),
}

CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "10**12 elements": (
        {"shape": [10**12], "size": 4 * 10**12 + 128},
        "an array of 4000000000000 bytes does not travel",
    ),
    "10**12 elements of nothing": ({"shape": [0, 10**12]}, "an array of 4000000000000 bytes does not travel"),
    "10**12 elements in 164 bytes": ({"shape": [10**6, 10**6]}, "bytes does not travel"),
    "10**9 elements": ({"shape": [10**9], "size": 4 * 10**9 + 128}, r"is <f4 \(1000000000,\), " + THE_MODELS),
    "2**70 elements": ({"shape": [2**70]}, r"Expected `int` <= 9007199254740992"),
    "10**900 elements": ({"shape": [10**900]}, r"Expected `int`|out of range"),
    "thousands of digits": ({"size": 10**4000}, "a whole number of 4001 digits; 1000 are the most"),
    "a negative axis": ({"shape": [-3, -3]}, "Expected `int` >= 0"),
    "a negative size": ({"size": -164}, "Expected `int` >= 0"),
    "another size": ({"size": 165}, "claims 165 bytes, expected 164"),
    "2 GiB": ({"size": 12 + 2**31}, "claims 2147483660 bytes, expected 164"),
    "33 axes": ({"shape": [1] * 33}, "33 axes does not travel"),
    "objects": ({"dtype": "|O"}, r"dtype '\|O' does not travel"),
    "complex": ({"dtype": "<c8"}, "dtype '<c8' does not travel"),
    "big endian": ({"dtype": ">f4"}, "dtype '>f4' does not travel"),
    "text for a dtype": ({"dtype": ACTING}, r"dtype '\\x1b.*' does not travel"),
    "no digest": ({"blake3": "0"}, r"`\$\.arrays\[0\]\.blake3`"),
    "a file elsewhere": ({"file": "../../honest/results/x.npy"}, f"lies in '../.*', expected '{FILE}'"),
    "a file from the root": ({"file": "/etc/passwd"}, f"lies in '/etc/passwd', expected '{FILE}'"),
    "a file with NUL": ({"file": f"{FILE}\0.npy"}, rf"lies in '{FILE}\\x00.npy', expected"),
    "a file that acts": ({"file": ACTING}, r"lies in '\\x1b.*', expected"),
}

NAMES = {
    "a slash": f"../{NAME}",
    "dots": "..",
    "NUL": f"{NAME}\0",
    "a line feed": f"{NAME}\n",
    "what acts": ACTING,
    "Cyrillic": NAME.replace("e", "\u0435"),
    "fullwidth": NAME.replace("n", "\uff4e"),
    "a ligature": unicodedata.normalize("NFC", NAME + "\ufb01"),
    "zero width": NAME + "\u200b",
    "upper case": NAME.upper(),
}


def _forge(make: Callable[[], bytes]) -> Callable[[Scene], object]:
    return lambda scene: scene.file(make())


def _change(array: Any) -> Callable[[Scene], object]:
    return lambda scene: scene.send(array)


def _claim(claim: dict[str, Any]) -> Callable[[Scene], object]:
    return lambda scene: scene.claim(**claim)


def _rename(name: str) -> Callable[[Scene], object]:
    def act(scene: Scene) -> None:
        (entry,) = scene.put()
        (file,) = array_files([name]).values()
        (scene.array.parent / FILE).rename(scene.array.parent / file)
        scene.announce([msgspec.structs.replace(entry, name=name, file=file)])

    return act


def _twice(scene: Scene) -> None:
    (entry,) = scene.put()
    scene.announce([entry, entry])


def _one_more(scene: Scene) -> None:
    params = {NAME: scene.good(), "extra": np.zeros(2)}
    scene.announce(put_arrays(params, scene.array.parent, scene.site.staging("site")))


def _truncated_while_read(scene: Scene) -> Later:
    scene.send()
    reading = while_read(scene.array, lambda: os.truncate(scene.array, 140))
    reading.__enter__()
    return lambda: reading.__exit__(None, None, None)


def _grown_while_read(scene: Scene) -> Later:
    scene.send()

    def grow() -> None:
        with scene.array.open("ab") as file:
            file.write(b"more")

    reading = while_read(scene.array, grow)
    reading.__enter__()
    return lambda: reading.__exit__(None, None, None)


def _with(value: float) -> Callable[[Scene], object]:
    return lambda scene: scene.send(np.where(np.eye(3) > 0, np.float32(value), scene.good()))


ARRAYS = [
    *(crime(f"forged: {name}", _forge(make), NOT_THE_HEADER) for name, make in FORGED.items()),
    *(crime(f"changed: {name}", _change(array), THE_MODELS) for name, array in CHANGED.items()),
    *(crime(f"claim: {name}", _claim(claim), told) for name, (claim, told) in CLAIMS.items()),
    *(crime(f"name: {name}", _rename(text), f"lacks the parameter '{NAME}'") for name, text in NAMES.items()),
    crime("name: empty", lambda s: s.claim(name=""), "Expected `str` of length >= 1"),
    crime("name: 10,000 characters", lambda s: s.claim(name="x" * 10_000), "Expected `str` of length <= 1000"),
    crime("the parameter twice", _twice, "lists a parameter twice"),
    crime("another parameter", _one_more, "has the parameter 'extra', which the model does not have"),
    crime("no parameter", lambda s: s.announce([]), f"lacks the parameter '{NAME}'"),
    crime("NaN", _with(float("nan")), f"'{NAME}' holds NaN or Inf"),
    crime("Inf", _with(float("-inf")), f"'{NAME}' holds NaN or Inf"),
    crime("trailing bytes", lambda s: s.file(header("<f4", [3, 3]) + bytes(37)), "has 165 of 164 bytes"),
    crime("a header of 2 GiB", lambda s: s.replace(s.array, header_bomb), "has 2147483660 of 164 bytes"),
    crime("another digest", lambda s: s.claim(blake3="0" * 64), "differs from the digest in its manifest"),
    crime("no array", lambda s: s.replace(s.array, lambda _: None), "is not there"),
    Crime("truncated while it is read", _truncated_while_read, "has 140 of 164 bytes", inside=True),
    Crime("grown while it is read", _grown_while_read, "has 168 of 164 bytes", inside=True),
]


# What is no plain file


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:  # its address has to be short
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _second_name_of_array(scene: Scene) -> None:
    entries = scene.put()
    os.link(scene.array, scene.outside / f"{scene.task.task_id}.second")
    scene.announce(entries)


def _second_name_of_manifest(scene: Scene) -> None:
    second = scene.outside / f"{scene.task.task_id}.json"
    second.write_bytes(scene.text(scene.put()))
    os.link(second, scene.manifest)


def _link_for_arrays(scene: Scene) -> None:
    entries = scene.put()
    exchange_for_link(scene.array.parent, scene.outside)
    scene.announce(entries)


def _link_for_results(scene: Scene) -> None:
    entries = scene.put()
    exchange_for_link(scene.site.results, scene.other.results)
    put_bytes(scene.text(entries), scene.site.root / "real-results" / scene.manifest.name, scene.site.staging("site"))


def _put(where: str, make: Callable[[Path], object]) -> Callable[[Scene], object]:
    return lambda scene: scene.replace(getattr(scene, where), make)


def _put_a_file_for_results(scene: Scene) -> None:
    remove(scene.site.results)
    scene.site.results.write_text("mine")


PLACES: dict[str, Callable[[Path], object]] = {
    "a link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "a link to nowhere": lambda path: path.symlink_to("/nowhere/at/all"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "a device": _device,
}

NO_DEVICES = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "only root makes devices"
NOT_PLAIN = "is not a plain file"

PLAIN_FILES = [
    *(
        crime(
            f"{what} in place of {where}",
            _put(where, make),
            NOT_PLAIN,
            unmet=NO_DEVICES if make is _device else "",
        )
        for where in ("manifest", "array")
        for what, make in PLACES.items()
    ),
    crime("a second name of the manifest", _second_name_of_manifest, r"has a second name \(hard link\)"),
    crime("a second name of the array", _second_name_of_array, r"has a second name \(hard link\)"),
    crime(
        "a link in place of the folder of arrays",
        _link_for_arrays,
        "is not a plain file in plain folders",
    ),
    crime(
        "a link in place of results",
        _link_for_results,
        "is not a plain file in plain folders",
        mutes=True,
    ),
    crime(
        "a file in place of results",
        _put_a_file_for_results,
        "is not a plain file in plain folders",
        mutes=True,
    ),
]


# Manifests


def sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def _nested(left: str, right: str, depth: int) -> Callable[[Scene], object]:
    text = (left * depth + "1" + right * depth).encode()
    return lambda scene: scene.edit((b'"@"', text), meta={"x": "@"})


def with_meta(literal: str) -> Callable[[Scene], object]:
    return lambda scene: scene.edit((b'"@"', literal.encode()), meta={NUM_STEPS: "@"})


def _metric(literal: str) -> Callable[[Scene], object]:
    return lambda scene: scene.edit((b"12345.5", literal.encode()), metrics={"loss": 12345.5})


def _raw(data: bytes) -> Callable[[Scene], object]:
    return lambda scene: put_bytes(data, scene.manifest, scene.site.staging("site"))


def _of_the_other(scene: Scene) -> None:
    task = json.loads((scene.other.tasks / f"{scene.task.task_id}.json").read_bytes())
    scene.send(site=task["site"])


def _of_another_run(scene: Scene) -> None:
    run = f"{scene.task.run[:-4]}0000"
    scene.send(run=run, task_id=scene.task.task_id.replace(scene.task.run, run))


def _of_the_round_before(scene: Scene) -> None:
    assert scene.before is not None
    before, entries = scene.before, scene.put()
    scene.announce(entries, task_id=before.task_id, round=before.round, in_reply_to=before.in_reply_to)


WEIGHT = "expected a number from 0 to 2"

MANIFESTS = [
    crime(
        "a manifest of 1 GB",
        lambda s: s.replace(s.manifest, sparse(10**9)),
        "bytes; 1048576 are the most",
    ),
    crime("lists 100,000 deep", _nested("[", "]", 100_000), "nested too deep"),
    crime("objects 100,000 deep", _nested('{"a":', "}", 100_000), "nested too deep"),
    crime("half a million lists", _nested("[" + "[]," * 250_000, "]", 1), "more than 131072 lists and objects"),
    crime("a key twice", lambda s: s.edit((b'"round": ', b'"round": 7, "round": ')), "key 'round' appears twice"),
    crime("a key twice in meta", with_meta('{"a": 1, "a": 1}'), "key 'a' appears twice"),
    crime("an unknown field", lambda s: s.edit((b'"round"', b'"more": 1, "round"')), "unknown field `more`"),
    crime("no field", lambda s: s.edit((b'"in_reply_to"', b'"in_reply"')), "unknown field `in_reply`"),
    crime("UTF-16", lambda s: _raw(s.text(s.put()).decode().encode("utf-16"))(s), "breaks protocol 1"),
    crime("half a surrogate pair", with_meta(r'"\ud800"'), "breaks protocol 1"),
    crime("bytes that are no text", lambda s: s.edit((b'"@"', b'"\xff"'), meta={"x": "@"}), "is not whole JSON"),
    crime("no JSON", _raw(pickle.dumps([1])), "is not whole JSON"),
    crime("an empty manifest", _raw(b""), "is not whole JSON"),
    crime("a list", _raw(b"[]\n"), "breaks protocol 1"),
    crime("another protocol", lambda s: s.send(protocol=2), "speaks protocol 2"),
    crime("a protocol without end", lambda s: s.send(protocol=10**900), "breaks protocol 1|speaks protocol"),
    crime("a task for a result", lambda s: _raw((s.site.tasks / s.manifest.name).read_bytes())(s), "is of kind 'task'"),
    crime("a kind that acts", lambda s: s.edit((b'"result"', QUOTED)), r"breaks protocol 1: .*\\x1b"),
    crime("a field that acts", lambda s: s.edit((b'"round"', QUOTED + b': 1, "round"')), r"\\x1b"),
    crime("a site that acts", lambda s: s.send(site=ACTING), r"is a result of site '\\x1b"),
    crime("a task that acts", lambda s: s.send(task_id=ACTING), r"is a result of site 'hostile' for '\\x1b"),
    crime("a result for the other's task", _of_the_other, "is a result of site 'honest' for"),
    crime("a result for another run", _of_another_run, "is a result of site 'hostile' for '.*0000.r"),
    crime("a result for the round before", _of_the_round_before, "is a result of site 'hostile' for '"),
    crime("a stale result", lambda s: s.send(in_reply_to="0" * 64), "is stale"),
    crime("a weight of 1e999", with_meta("1e999"), "out of range"),
    crime("a weight of -1", with_meta("-1"), f"is -1, {WEIGHT}"),
    crime("a weight of NaN", with_meta("NaN"), "NaN is not a JSON number"),
    crime("a weight of true", with_meta("true"), f"is True, {WEIGHT}"),
    crime("a weight of 10**400", with_meta("1" + "0" * 400), f"is a huge number, {WEIGHT}"),
    crime("a weight of 2**53 + 2", with_meta(str(2**53 + 2)), f"is a huge number, {WEIGHT}"),
    crime("a weight of 1e-300", with_meta("1e-300"), "none between 0 and 1e-09"),
    crime("a weight of text that acts", with_meta(json.dumps(ACTING)), r"is '\\x1b"),
    crime("a metric of NaN", _metric("NaN"), "NaN is not a JSON number"),
    crime("a metric of 1e999", _metric("1e999"), "out of range"),
    crime("a metric of 1e300", _metric("1e300"), r"metric 'loss' is 1e\+300"),
    crime("a metric of true", _metric("true"), "Expected `float`, got `bool`"),
    crime("a metric that acts", lambda s: s.send(metrics={ACTING: 1e300}), r"metric '\\x1b"),
    crime(
        "a metric of 10,000 characters",
        lambda s: s.send(metrics={"x" * 10_000: 1.0}),
        "Expected `str` of length <= 200",
    ),
    crime(
        "metrics without end",
        lambda s: s.send(metrics={f"{n}": 1.0 for n in range(MOST_METRICS + 1)}),
        "Expected `object` of length <= 1000",
    ),
]


# What the server writes for the site


def _linked(part: Callable[[Scene], Path], target: Callable[[Scene], Path]) -> Callable[[Scene], Later]:
    def commit(scene: Scene) -> Later:
        scene.send()
        return lambda: exchange_for_link(part(scene), target(scene))

    return commit


def _next_task_linked(scene: Scene) -> None:
    scene.send()
    task_id = TaskId.parse(scene.task.task_id)
    assert task_id is not None
    following = TaskId(task_id.run, task_id.round + 1, task_id.name)
    ahead = scene.site.tasks / str(following)
    remove(ahead)  # a folder that was left empty may have that name already
    ahead.symlink_to(scene.outside, target_is_directory=True)


LINK = "it is a symbolic link, expected a plain folder"


def _lost(name: str, commit: Callable[[Scene], Later | None], reason: str) -> Crime:
    """What shows when the next task is to be published."""
    return Crime(name, commit, reason, told="lost", mutes=True)


WRITTEN = [
    _lost("tasks lead to the other's", _linked(lambda s: s.site.tasks, lambda s: s.other.tasks), LINK),
    _lost("staging leads elsewhere", _linked(lambda s: s.site.staging("server"), lambda s: s.outside), LINK),
    _lost(
        "the site's folder leads to the other's",
        _linked(lambda s: s.site.root, lambda s: s.other.root),
        "it leads to the folder of honest",
    ),
    _lost("the next task leads elsewhere", _next_task_linked, LINK),
]


CRIMES = [*ARRAYS, *PLAIN_FILES, *MANIFESTS, *WRITTEN]
