"""A power cut in the midst of a run with ``--durability power``: what the disk holds is mounted, and the run goes on.

The disk is the image of a loop device, copied while the processes stand still and the file system is mounted: what the
kernel has not written is lost. At every instant a second copy is made after another program has synced a file of its
own: ext4 and xfs then write every name there is, and not the content behind it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import blake3
import msgspec
import pytest

from fltui.errors import FltuiError
from fltui.exchange.layout import ExchangeFolder
from fltui.exchange.manifest import MALFORMED, ArrayEntry, End, Result, Task, decode
from fltui.job.folder import load_job
from fltui.run.events import AnyEvent, ModelSaved, ResultAccepted, RoundFinished, RunFinished, RunStarted
from fltui.run.folder import RunFolder, find_run
from fltui.run.journal import read_journal
from fltui.run.models import Models
from fltui.run.seal import check_seal
from tests.faults.power.recorded import await_stop, recorded
from tests.jobs import drifting, fltui, started, write_job

SCRIPTS = {"a": drifting(0.3), "b": drifting(0.7)}

MEGABYTE = 1 << 20
SIZES = {"ext4": 24 * MEGABYTE, "xfs": 320 * MEGABYTE}
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"], "xfs": ["mkfs.xfs", "-q"]}
MOUNT = {"ext4": "loop,commit=600", "xfs": "loop,nouuid"}
"""Without ext4's commit every 5 s: a copy must not meet it at work."""

CUTS = [
    ("server", "rename:*/tasks/*.r0000.train.a01.json"),
    ("server", "rename:*/store/*"),
    ("server", "write:*/journal.jsonl#result_accepted"),
    ("server", "rename:*/models/round-0001"),
    ("server", "sync:*/journal.jsonl#round_finished"),
    ("server", "sync:*/journal.jsonl#task_published"),
    ("a", "rename:*/results/*.r0001.train.a01.json"),
    ("server", "rename:*/models/final"),
    ("server", "sync:*/journal.jsonl#run_finished"),
]
"""Who is stopped after which call, in the only order there can be."""

RESUMED = (2, 3, 6)
"""The cuts after which the run is resumed; in the others only what lies on the disk is looked at."""


def _do(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


@contextmanager
def mounted(image: Path, kind: str, place: Path) -> Iterator[None]:
    """An image as a file system."""
    _do("mount", "-t", kind, "-o", MOUNT[kind], image, place)
    try:
        yield
    finally:
        try:
            _do("umount", place)
        except OSError:  # a process of a test that failed is still in it
            _do("umount", "--lazy", place)
            raise


@pytest.fixture(params=["ext4", "xfs"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A kind of file system that can be made and mounted here; ``disk`` holds an empty one. No image stays."""
    kind: str = request.param
    if os.geteuid() or shutil.which(MAKE[kind][0]) is None:
        pytest.skip(f"only root can mount, and only with {MAKE[kind][0]}")
    (tmp_path / "place").mkdir()
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(SIZES[kind])
    try:
        _do(*MAKE[kind], tmp_path / "disk")
        with mounted(tmp_path / "disk", kind, tmp_path / "place"):
            pass
    except OSError as error:
        pytest.skip(f"no {kind} can be mounted here: {error}")
    yield kind
    for image in (tmp_path / "disk", *tmp_path.glob("cut-*")):
        image.unlink()


def cut_power(folder: Path, number: int) -> None:
    """Copy the disk as it is, and once more after somebody else has synced something."""
    _do("cp", "--sparse=always", folder / "disk", folder / f"cut-{number}")
    with (folder / "place" / "other").open("w") as file:
        file.write("of another program")
        file.flush()
        os.fsync(file.fileno())
    _do("cp", "--sparse=always", folder / "disk", folder / f"cut-{number}-names")


def run_and_cut(folder: Path, job: Path, **settings: str) -> bytes:
    """Serve the job on the mounted disk, cutting the power at every instant of `CUTS`; the final model's bytes."""
    place = folder / "place"
    stops = {who: " ".join(stop for one, stop in CUTS if one == who) for who, _ in CUTS}
    with ExitStack() as opened:
        processes = {
            site: opened.enter_context(
                recorded(
                    place,
                    folder / f"{site}.record",
                    "fltui.client",
                    job.parent / f"{site}.py",
                    stops=stops.get(site, ""),
                    site=site,
                    **settings,
                )
            )
            for site in SCRIPTS
        }
        command = ("fltui", "server", job, "--json", "--wait", "60", "--durability", "power")
        processes["server"] = opened.enter_context(
            recorded(place, folder / "server.record", *command, stops=stops["server"], **settings)
        )
        for number, (who, _) in enumerate(CUTS):
            await_stop(processes[who])
            alive = [process for name, process in processes.items() if name != who and process.poll() is None]
            for process in alive:
                os.kill(process.pid, signal.SIGSTOP)  # not send_signal(), which reaps one that has just ended
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            cut_power(folder, number)
            following = CUTS[number + 1][0] if number + 1 < len(CUTS) else "server"
            for name, process in processes.items():
                if following == "server" or name in (following, "server"):  # else it could take the server further
                    process.send_signal(signal.SIGCONT)
        for process in processes.values():
            _, said = process.communicate()
            assert process.returncode == 0, said
    return (find_run("last", place / "runs").models / "final" / "numpy_key.npy").read_bytes()


def losses(place: Path) -> list[str]:
    """What the journal or a manifest tells of and the disk does not hold whole."""
    run = find_run("last", place / "runs")
    events = list(read_journal(run.journal))
    done = {event.round for event in events if isinstance(event, RoundFinished)}
    found = [loss for event in events for loss in _missing(lambda event=event: _check_event(run, event, done))]
    for site in ExchangeFolder(place / "exchange").sites():
        for path in (*site.tasks.glob("*.json"), *site.results.glob("*.json")):
            found += _missing(lambda path=path: _check_manifest(path))
    return found


def _missing(check: object) -> list[str]:
    assert callable(check)
    try:
        check()
    except (FltuiError, OSError, AssertionError, *MALFORMED) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def _check_event(run: RunFolder, event: AnyEvent, done: set[int]) -> None:
    models = Models(run.models, durable=False)
    match event:
        case RunStarted():
            load_job(run.job)
        case ModelSaved() | RoundFinished():
            model = models.load(event.round + isinstance(event, RoundFinished))
            _check_arrays(model.folder, list(model.entries.values()))
            assert model.digest == event.model, model.folder
        case ResultAccepted() if event.round not in done:
            for entry in event.arrays:
                _check_bytes(run.store / f"{entry.blake3}.npy", entry)
        case RunFinished():
            assert event.final_model
            assert check_seal(run, event.seal, lambda done, total: None) > 10
            assert all((run.root / path).stat().st_size for path in event.final_model.values())
            assert msgspec.json.decode(run.summary.read_bytes())["rounds"] == event.rounds
            assert len(run.metrics.read_text().splitlines()) == 1 + 3 * event.rounds, run.metrics


def _check_manifest(path: Path) -> None:
    kind = End if ".end." in path.name else Task if path.parent.name == "tasks" else Result
    manifest = decode(path.read_bytes(), kind, str(path))
    if isinstance(manifest, Task | Result):
        _check_arrays(path.with_suffix(""), manifest.arrays)


def _check_arrays(folder: Path, entries: list[ArrayEntry]) -> None:
    for entry in entries:
        _check_bytes(folder / entry.file, entry)


def _check_bytes(path: Path, entry: ArrayEntry) -> None:
    assert blake3.blake3(path.read_bytes()).hexdigest() == entry.blake3, f"{path} has {path.stat().st_size} bytes"


def resumed(folder: Path, job: Path) -> bytes:
    """Go on with the run on the mounted disk, with the clients started again; the final model's bytes."""
    place = folder / "place"
    run = find_run("last", place / "runs").run  # else a client that comes after the run's end would wait for another
    clients = [("client", job.parent / f"{site}.py", "--site", site, "--run", run) for site in SCRIPTS]
    with started(place, *clients[0]) as a, started(place, *clients[1]) as b:
        done = fltui(place, "resume", "last", "--json")
        assert done.code == 0, done.err
        assert [process.wait(timeout=20) for process in (a, b)] == [0, 0]
    return Path(done.last["final_model"]["numpy_key"]).read_bytes()


def test_a_power_cut_costs_nothing_that_was_told(tmp_path: Path, kind: str) -> None:
    job, place = write_job(tmp_path / "job", SCRIPTS), tmp_path / "place"
    with mounted(tmp_path / "disk", kind, place):
        whole = run_and_cut(tmp_path, job)
    for number, (_, instant) in enumerate(CUTS):
        for copy in (f"cut-{number}", f"cut-{number}-names"):
            with mounted(tmp_path / copy, kind, place):
                assert losses(place) == [], (instant, copy)
                if number in RESUMED and copy.endswith("names"):
                    assert resumed(tmp_path, job) == whole, instant
                    assert losses(place) == [], instant


def test_without_syncs_a_power_cut_costs_what_was_told(tmp_path: Path, kind: str) -> None:
    job, place = write_job(tmp_path / "job", SCRIPTS), tmp_path / "place"
    with mounted(tmp_path / "disk", kind, place):
        run_and_cut(tmp_path, job, no_sync="1")
    found = []
    for number in range(len(CUTS)):  # which of them is unlucky depends on when the system writes by itself
        with mounted(tmp_path / f"cut-{number}-names", kind, place):
            found += losses(place)
    assert any("is not whole JSON" in loss for loss in found)
