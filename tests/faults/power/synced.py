"""What would be lost if the power went: the rules of `--durability power`, checked on a list of calls.

A disk keeps for sure only what was synced: the content of a file by a sync of the file, a name by a sync of its folder.
Everything else it may keep or lose, in any order. So whatever is told, by a manifest or by an event, must be synced
before it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from tests.faults.power.recorded import Call

UNPROMISED = ("*/status.json", "*/logs/*", "*/control/*", "*/lock", "*/.syncthing.fltui.*")
"""Files that may be lost: they are for people, or are written again by themselves."""

CARRIED = {"metric_logged", "round_started", "model_saved"}
"""Events from which nothing follows but other events; the next one is synced with them."""


@dataclass
class _Node:
    """A file or folder, whatever its names are.

    Of a folder `unsynced` are the names that a cut may lose, and `gone` those that may be there again after it.
    """

    dirty: bool = False
    children: dict[str, _Node] = field(default_factory=dict)
    unsynced: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class Disk:
    """What calls leave, and which of it is sure. What was there before the first call is."""

    def __init__(self) -> None:
        self._root = _Node()

    def do(self, call: Call) -> None:
        """One more call."""
        folder, name = self._place(call.target)
        match call.op:
            case "create" | "mkdir" | "symlink":
                folder.children[name] = _Node()
                folder.unsynced.add(name)
            case "write":
                self._node(call.path).dirty = True
            case "sync":
                node = self._node(call.path)
                node.dirty = False
                node.unsynced.clear()
                node.gone.clear()
            case "rename" | "link":
                old_folder, old = self._place(call.path)
                folder.children[name] = old_folder.children.setdefault(old, _Node())
                folder.unsynced.add(name)
                if call.op == "rename":
                    self._remove(old_folder, old)
            case "unlink" | "rmdir":
                self._remove(folder, name)
            case op:
                raise ValueError(op)

    @staticmethod
    def _remove(folder: _Node, name: str) -> None:
        folder.children.pop(name, None)
        if name not in folder.unsynced:
            folder.gone.add(name)
        folder.unsynced.discard(name)

    def losable(self, path: str) -> Iterator[str]:
        """What a cut could take of a path: the names on the way to it, its content, all that is below it."""
        node, way = self._root, ""
        for name in path.split("/"):
            way = f"{way}/{name}".removeprefix("/")
            if name in node.unsynced:
                yield f"the name {way}"
            if name not in node.children:
                return
            node = node.children[name]
        yield from _losable(node, path)

    def content(self, path: str) -> Iterator[str]:
        """What a cut could take of a path apart from the names that lead to it."""
        return _losable(self._node(path), path)

    def names(self, path: str) -> list[str]:
        """The names in a folder."""
        return sorted(self._node(path).children)

    def returning(self, path: str) -> Iterator[str]:
        """What was removed below a path, and a cut could give back."""
        return _returning(self._node(path), path)

    def has(self, path: str) -> bool:
        """Whether there is such a name."""
        folder, name = self._place(path)
        return name in folder.children

    def logged(self, manifest: str) -> Iterator[str]:
        """The streams of logged values beside a result; a server counts what is in them, and skips as many."""
        if "/results/" in manifest:
            logs = f"{manifest.partition('/results/')[0]}/logs"
            yield from (f"{logs}/{name}" for name in self._node(logs).children if name.endswith(".metrics.jsonl"))

    def _place(self, path: str) -> tuple[_Node, str]:
        above, _, name = path.rpartition("/")
        return self._node(above), name

    def _node(self, path: str) -> _Node:
        node = self._root
        for name in path.split("/") if path not in ("", ".") else ():
            node = node.children.setdefault(name, _Node())
        return node


def _losable(node: _Node, path: str) -> Iterator[str]:
    if node.dirty:
        yield f"the content of {path}"
    for name, child in sorted(node.children.items()):
        if name in node.unsynced:
            yield f"the name {path}/{name}"
        yield from _losable(child, f"{path}/{name}")


def _returning(node: _Node, path: str) -> Iterator[str]:
    yield from (f"the removal of {path}/{name}" for name in sorted(node.gone))
    for name, child in sorted(node.children.items()):
        yield from _returning(child, f"{path}/{name}")


def broken_rules(calls: Sequence[Call]) -> list[str]:
    """Every place where something is told, or removed, that a power cut would belie.

    Args:
        calls: of one process, in order, below a folder that holds ``exchange/`` and ``runs/``.

    Returns:
        Sentences; none where all is well.
    """
    rules = _Rules()
    return [sentence for call in calls for sentence in rules.take(call)] + list(rules.end())


class _Rules:
    """The rules, while calls go by."""

    def __init__(self) -> None:
        self._disk = Disk()
        self._told = ""  # the manifest that was published last
        self._owed = ""  # an event from which something may follow, written and not safe
        self._complete: set[str] = set()  # folders of arrays whose manifest is there
        self._announced: set[str] = set()  # manifests of tasks that the journal tells of

    def take(self, call: Call) -> Iterator[str]:
        """One more call; what is wrong with it."""
        self._disk.do(call)
        if any(fnmatchcase(call.target, pattern) for pattern in UNPROMISED):
            return
        if call.op != "sync":
            yield from self._is_safe(self._told, f"before {call.label}")
            if self._owed:
                yield f"the event {self._owed} is not safe before {call.label}"
            self._told = self._owed = ""
        if call.op in ("rename", "link"):
            yield from (
                f"{call.target} gets its name before {lost} is safe" for lost in self._disk.content(call.target)
            )
        if call.op in ("rename", "link") and call.target.rpartition("/")[0] in self._complete:
            yield f"{call.target} comes after its manifest"
        if call.op == "unlink":
            self._complete.discard(call.path.removesuffix(".json"))
        if _is_manifest(call):
            self._told = call.target
            self._complete.add(call.target.removesuffix(".json"))
            if "/tasks/" in call.target and ".end." not in call.target and call.target not in self._announced:
                yield f"{call.target} is published before the journal tells of it"
            for path in (call.target.removesuffix(".json"), *self._disk.logged(call.target)):
                yield from self._is_safe(path, f"before {call.label}")
        if call.target.endswith("/journal.jsonl"):
            yield from self._journal(call)

    def end(self) -> Iterator[str]:
        """There are no more calls."""
        yield from self._is_safe(self._told, "at the end")
        if self._owed:
            yield f"the event {self._owed} is not safe at the end"

    def _is_safe(self, path: str, when: str) -> Iterator[str]:
        return (f"{lost} is not safe {when}" for lost in (self._disk.losable(path) if path else ()))

    def _journal(self, call: Call) -> Iterator[str]:
        if call.op == "sync" and not list(self._disk.losable(call.path)):
            self._owed = ""
        if call.op == "write":
            run = call.path.removesuffix("/journal.jsonl")
            for event in map(msgspec.json.decode, call.text.splitlines()):
                if event["event"] not in CARRIED:
                    self._owed = event["event"]
                if event["event"] == "task_published":
                    self._announced.add(f"exchange/{event['site']}/tasks/{event['task_id']}.json")
                for path in _vouched(event, run, self._disk):
                    yield from self._is_safe(path, f"before {call.label}")
                if event.get("seal"):
                    yield from (f"{one} is not safe before {call.label}" for one in self._disk.returning(run))


def _is_manifest(call: Call) -> bool:
    folder, _, name = call.to.rpartition("/")
    return call.op == "rename" and folder.endswith(("/tasks", "/results")) and name.endswith(".json")


def _vouched(event: dict[str, Any], run: str, disk: Disk) -> Iterable[str]:
    """The paths that an event tells of."""
    match event["event"]:
        case "run_started":
            return [*(f"{run}/{part}" for part in ("job", "models", "store")), "exchange/exchange.json"]
        case "result_accepted":
            kept = f"{run}/store/{event.get('manifest', '')}.json"
            arrays = [f"{run}/store/{entry['blake3']}.npy" for entry in event["arrays"]]
            return [*arrays, *([kept] if disk.has(kept) else [])]
        case "model_saved":
            return [f"{run}/{event['path']}"]
        case "round_started":
            return [f"{run}/models/round-{event['round']:04}"]
        case "round_finished":
            return [f"{run}/models/round-{event['round'] + 1:04}"]
        case "run_finished" if event["seal"]:  # it tells of every file
            return [f"{run}/{name}" for name in disk.names(run) if name not in ("journal.jsonl", "control")]
        case "run_finished":
            models = [f"{run}/models"] if event["final_model"] else []
            return [f"{run}/summary.json", f"{run}/metrics.csv", *models]
        case _:
            return []
