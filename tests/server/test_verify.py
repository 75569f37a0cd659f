"""Verifying runs of all kinds of ends. What tampering does is in `tests.faults.attacks.test_tampering`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace as replace_identity
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from fltui.exchange.layout import SERVER
from fltui.exchange.manifest import Result, decode, digest
from fltui.exchange.signing import NOBODY, Identity, Signer, fingerprint
from fltui.model import Params, ParamsType
from fltui.run.events import (
    AnyEvent,
    Event,
    MetricLogged,
    ModelSaved,
    ResultAccepted,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunStarted,
)
from fltui.run.folder import RunFolder
from fltui.run.journal import Journal, read_journal
from fltui.run.options import RunOptions
from fltui.run.seal import write_seal
from fltui.server.verify import Verified, verify
from tests.server.plays import MODEL, Play, drift


def told(found: Verified) -> str:
    """The difference as a sentence, empty without one."""
    return str(found.difference or "")


def cut(folder: RunFolder, kind: type[Event], which: int = 1) -> None:
    """Let the server have died before the event of a kind that comes after `which` others of that kind."""
    places = [event.seq for event in read_journal(folder.journal) if isinstance(event, kind)]
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[: places[which]]))
    folder.seal.unlink(missing_ok=True)
    folder.summary.unlink()


def forge(folder: RunFolder, change: Callable[[AnyEvent], AnyEvent | None], *, sealed: bool = True) -> None:
    """Rewrite a run's journal and seal as one would who knows how: chain and digests are right again."""
    folder.seal.unlink(missing_ok=True)
    events = list(read_journal(folder.journal))
    folder.journal.unlink()
    journal = Journal(folder.journal)
    for event in events:
        if isinstance(event, RunFinished) and event.seal:
            event = replace(event, seal=write_seal(folder) if sealed else "")
        changed = change(event)
        if changed is not None:
            journal.append(changed)
    journal.close()


def test_a_good_run_is_recomputed_from_what_the_sites_sent(tmp_path: Path) -> None:
    found = verify(Play(tmp_path).run())
    assert (told(found), found.notes) == ("", [])
    assert (found.rounds, found.recomputed, found.state) == (3, 3, "FINISHED:COMPLETED")
    assert found.files > 20
    assert len(found.head) == 64


def test_verifying_writes_nothing_and_can_be_done_again(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")}
    assert told(verify(folder)) == told(verify(folder)) == ""
    assert {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")} == before


@pytest.mark.parametrize("model", [{}, {"w": np.ones(200_000, np.float16)}], ids=["none", "several blocks"])
def test_whatever_the_first_model_is(tmp_path: Path, model: Params) -> None:
    def train(site: str, number: int, params: Params) -> tuple[Params, ParamsType]:
        return drift(site, number, params or MODEL)

    found = verify(Play(tmp_path, model=model, train=train).run())
    assert (told(found), found.recomputed) == ("", 3)


def test_full_results_and_differences_together(tmp_path: Path) -> None:
    def train(site: str, number: int, params: Params) -> tuple[Params, ParamsType]:
        return drift(site, number, params)[0], ParamsType.DIFF if site == "a" else ParamsType.FULL

    found = verify(Play(tmp_path, train=train).run())
    assert (told(found), found.recomputed) == ("", 3)


def test_a_run_without_its_results_is_verified_as_far_as_it_goes(tmp_path: Path) -> None:
    found = verify(Play(tmp_path, options=RunOptions()).run())
    assert told(found) == ""
    assert (found.rounds, found.recomputed) == (3, 0)
    assert [note for note in found.notes if "the results were not kept" in note]


@pytest.mark.parametrize("keep", [1, 2])
def test_models_that_were_not_to_stay_are_not_missed(tmp_path: Path, keep: int) -> None:
    folder = Play(tmp_path, rounds=5, options=RunOptions(keep_results=True, keep_models=keep)).run()
    assert len(list(folder.models.glob("round-*"))) == keep + 1
    found = verify(folder)
    assert (told(found), found.recomputed) == ("", 5)
    shutil.rmtree(folder.models / "round-0005")
    forge(folder, lambda event: event, sealed=False)
    assert told(verify(folder)) == "models/round-0005 is missing"


@pytest.mark.parametrize(
    "kind", [RoundFinished, ModelSaved, ResultAccepted, RunFinished], ids=lambda kind: kind.__name__
)
def test_a_run_whose_server_died_is_verified_up_to_there(tmp_path: Path, kind: type[Event]) -> None:
    folder = Play(tmp_path).run()
    cut(folder, kind, 0 if kind is RunFinished else 2)
    found = verify(folder)
    assert told(found) == ""
    assert 0 < found.recomputed == found.rounds < 4
    assert [note for note in found.notes if "its server died" in note]


def test_a_line_that_the_server_did_not_get_whole_is_told_of(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    cut(folder, RoundFinished)
    with folder.journal.open("ab") as file:
        file.write(b'{"event":"round_fini')
    found = verify(folder)
    assert (told(found), found.recomputed) == ("", 1)
    assert [note for note in found.notes if "not whole" in note]


def test_a_run_that_had_not_begun(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    folder.journal.write_bytes(b"")
    folder.seal.unlink()
    assert told(verify(folder)) == "journal.jsonl has no event, but the run has a model"
    shutil.rmtree(folder.models)
    found = verify(folder)
    assert (told(found), found.rounds) == ("", 0)
    assert "had not begun" in found.notes[-1]


@pytest.mark.parametrize("kind", [RoundFinished, ResultAccepted], ids=lambda kind: kind.__name__)
def test_a_run_that_was_resumed_is_one_run(tmp_path: Path, kind: type[Event]) -> None:
    play = Play(tmp_path)
    folder = play.run()
    cut(folder, kind)
    found = verify(play.resume(folder))
    assert (told(found), found.notes) == ("", [])
    assert (found.rounds, found.recomputed) == (3, 3)


def test_a_run_that_failed_and_was_resumed(tmp_path: Path) -> None:
    play = Play(tmp_path, fail_at=1)
    folder = play.run()
    found = verify(folder)
    assert (told(found), found.state, found.recomputed) == ("", "FINISHED:FAILED", 1)
    assert found.notes == ["round 1 did not finish, so there is nothing of it to recompute"]
    play.fail_at = None
    found = verify(play.resume(folder))
    assert (told(found), found.state, found.recomputed) == ("", "FINISHED:COMPLETED", 3)


def test_a_run_that_is_still_running(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    cut(folder, RoundFinished, 2)
    with folder.held():
        found = verify(folder)
    assert (told(found), found.recomputed) == ("", 2)
    assert [note for note in found.notes if "still running" in note]


def test_a_head_that_was_noted_is_in_the_journal(tmp_path: Path) -> None:
    play = Play(tmp_path)
    folder = play.run()
    head = verify(folder).head
    assert verify(folder, head).notes == []
    assert (
        told(verify(folder, "0" * 64))
        == f"journal.jsonl is not the one that was noted: expected {'0' * 64}, found {head}"
    )
    cut(folder, RoundFinished)
    middle = verify(folder).head
    found = verify(play.resume(folder), middle)
    assert told(found) == ""
    assert [note for note in found.notes if "events came later" in note]
    assert "not the one that was noted" in told(verify(folder, head))


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("named", ["", "chains"])
def test_a_journal_whose_chain_was_taken_away_is_no_journal(tmp_path: Path, named: str, sealed: bool) -> None:
    folder = Play(tmp_path).run()
    head = verify(folder).head
    lines = folder.journal.read_text().splitlines()
    if not sealed:
        lines.pop()
        folder.seal.unlink()
    bare = [line.replace('"chain"', f'"{named}"') if named else line.rpartition(",")[0] + "}" for line in lines]
    for first in (0, 3, len(lines) - 1):  # from the first, from some line on, the last alone
        folder.journal.write_text("".join(f"{line}\n" for line in [*lines[:first], *bare[first:]]))
        for noted in ("", head):
            assert f"event {first}, does not follow from those before it" in told(verify(folder, noted))


def test_a_server_that_died_between_the_seal_and_the_last_event(tmp_path: Path) -> None:
    """The files are sealed and the end is not told: as if lines had been cut off. To resume the run ends it."""
    play = Play(tmp_path)
    folder = play.run()
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:-1]))
    found = told(verify(folder))
    assert found.startswith("journal.jsonl ends before the end of the run, though the run was sealed")
    assert found.endswith("in which case 'fltui resume' ends the run")
    found_again = verify(play.resume(folder))
    assert (told(found_again), found_again.state, found_again.recomputed) == ("", "FINISHED:COMPLETED", 3)
    assert found_again.files > 20


@pytest.mark.parametrize("place", ["models/round-0001/model.json", "job/meta.json", "store/0.npy", "logs/a.log"])
def test_what_is_no_file_holds_nobody_up_in_a_run_without_a_seal(tmp_path: Path, place: str) -> None:
    folder = Play(tmp_path).run()
    cut(folder, RoundFinished, 2)
    (folder.root / place).unlink(missing_ok=True)
    os.mkfifo(folder.root / place)
    assert told(verify(folder)) == f"{place} is not a plain file"


@pytest.mark.parametrize("place", ["journal", "round", "store"])
def test_the_journal_is_closed_whatever_is_found(tmp_path: Path, place: str) -> None:
    """Also while the difference, and with it every frame it came through, is kept."""
    folder = Play(tmp_path).run()
    if place == "journal":
        folder.journal.write_bytes(folder.journal.read_bytes().replace(b'"round":1', b'"round":3', 1))
    elif place == "store":
        next(iter(folder.store.glob("*.npy"))).unlink()
    else:
        forge(folder, lambda e: replace(e, metrics={}) if isinstance(e, RoundFinished) and e.round == 0 else e)
    found = verify(folder)
    assert told(found)
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell which files are open")
    opened = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert os.path.realpath(folder.journal) not in opened
    del found


# Forged by somebody who rewrites chain and seal: what then remains is that the rounds do not add up.


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda event: replace(event, weight=9.0), "has other weights than the results"),
        (lambda event: replace(event, metrics={"loss": 0.0}), "has another metrics than the journal"),
        (lambda event: replace(event, params_type=ParamsType.DIFF), "has another kind of parameters than the journal"),
        (lambda event: replace(event, arrays=event.arrays[::-1]), "has another arrays than the journal"),
        (lambda event: replace(event, task_id=event.task_id + "x"), "has another task than the journal"),
        (lambda event: replace(event, signed_by="2" * 64), "not signed with the key of its site"),
    ],
)
def test_a_forged_result(tmp_path: Path, change: Callable[[ResultAccepted], ResultAccepted], expected: str) -> None:
    folder = Play(tmp_path).run()
    forge(folder, lambda e: change(e) if isinstance(e, ResultAccepted) and e.site == "b" and e.round == 1 else e)
    found = verify(folder)
    assert expected in told(found)
    assert found.difference is not None
    assert found.difference.round == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda event: replace(event, model="0" * 64), "does not agree with itself on the model that enters round 2"),
        (lambda event: replace(event, update_norm=1.0), "has another update norm than the results"),
        (lambda event: replace(event, weights={"a": event.weights["a"]}), "has other weights than the results"),
        (lambda event: replace(event, metrics={}), "has other metrics than the results"),
    ],
)
def test_a_forged_round(tmp_path: Path, change: Callable[[RoundFinished], RoundFinished], expected: str) -> None:
    folder = Play(tmp_path).run()
    forge(folder, lambda event: change(event) if isinstance(event, RoundFinished) and event.round == 1 else event)
    found = verify(folder)
    assert f"journal.jsonl (round 1) {expected}" in told(found)


def test_a_forged_model_is_not_what_the_results_give(tmp_path: Path) -> None:
    """Even where model, digests, chain and seal agree with each other."""
    folder, other = (
        Play(_made(tmp_path / name), train=_shifted(by)).run() for name, by in (("one", 0.0), ("other", 1.0))
    )
    shutil.rmtree(folder.models)
    shutil.copytree(other.models, folder.models, symlinks=True)
    theirs = {
        (type(event), event.round): event.model
        for event in read_journal(other.journal)
        if isinstance(event, ModelSaved | RoundFinished)
    }

    def change(event: AnyEvent) -> AnyEvent:
        if isinstance(event, ModelSaved | RoundFinished):
            return replace(event, model=theirs[type(event), event.round])
        if isinstance(event, RoundStarted):
            return replace(event, model=theirs[ModelSaved, event.round])
        if isinstance(event, RunFinished):
            return replace(event, seal=write_seal(folder))
        return event

    forge(folder, change)
    found = verify(folder)
    assert found.difference is not None
    assert (found.difference.file, found.difference.round) == ("models/round-0001/b.npy", 0)
    assert "is not what the results give: expected" in told(found)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _shifted(by: float) -> Callable[[str, int, Params], tuple[Params, ParamsType]]:
    def train(site: str, number: int, params: Params) -> tuple[Params, ParamsType]:
        found, kind = drift(site, number, params)
        return {name: (array + by).astype(array.dtype) for name, array in found.items()}, kind

    return train


def test_a_result_that_was_taken_out_of_the_history(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    forge(folder, lambda e: None if isinstance(e, ResultAccepted) and e.site == "b" and e.round == 1 else e)
    assert "round 1 has a weight of site 'b', of which no result was accepted" in told(verify(folder))


def test_a_history_that_goes_on_after_its_end(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    journal = Journal.reopen(folder.journal, lambda _: None)
    journal.append(MetricLogged(site="a", key="loss", value=0.0, round=0))
    journal.close()
    assert "goes on after the end of the run" in told(verify(folder))


def test_another_job_than_the_one_that_was_run(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    config = folder.job / "app_server" / "config" / "config_fed_server.json"
    config.write_text(config.read_text().replace('"num_rounds": 3', '"num_rounds": 4'))
    forge(folder, lambda event: event)
    assert (
        told(verify(folder)) == "job is another one than that of the journal: expected range(0, 3), found range(0, 4)"
    )
    config.write_text("{")
    forge(folder, lambda event: event, sealed=False)
    assert "job cannot be loaded" in told(verify(folder))


def keys() -> dict[str, Signer]:
    """A key for the server and each site."""
    return {name: Signer(Ed25519PrivateKey.from_private_bytes(name[:1].encode() * 32)) for name in (SERVER, "a", "b")}


def signed(folder: Path, **changes: Identity) -> Play:
    """A run in which everybody signs."""
    signers = keys()
    public = {name: signer.public for name, signer in signers.items() if name != SERVER}
    server = Identity(signers[SERVER], public, demanded=True)
    signs = {name: Identity(signers[name]) for name in public}
    return Play(folder, server=changes.pop("server", server), signs={**signs, **changes})


def test_signatures_are_checked(tmp_path: Path) -> None:
    found = verify(signed(tmp_path).run())
    assert (told(found), found.signatures) == ("", 6)


def test_a_result_that_was_put_in_the_place_of_a_signed_one(tmp_path: Path) -> None:
    folder = signed(tmp_path).run()
    signer = keys()["b"]
    target = next(e for e in read_journal(folder.journal) if isinstance(e, ResultAccepted) and e.site == "a")
    old = folder.store / f"{target.manifest}.json"
    new = signer.encode(decode(old.read_bytes(), Result, "old"))
    old.unlink()
    (folder.store / f"{digest(new)}.json").write_bytes(new)
    forge(folder, lambda event: replace(event, manifest=digest(new)) if event.seq == target.seq else event)
    found = verify(folder)
    assert f"store/{digest(new)}.json (round 0, site a) is not signed with the key" in told(found)


def test_a_run_that_was_forged_without_signatures(tmp_path: Path) -> None:
    folder = signed(tmp_path, server=NOBODY).run()
    demanding = {"keys": {name: signer.public for name, signer in keys().items()}, "require_signatures": True}
    forge(folder, lambda event: replace(event, **demanding) if isinstance(event, RunStarted) else event)
    assert "is not signed with the key of its site" in told(verify(folder))


@pytest.mark.parametrize("what", ["demanded", "named"])
def test_a_result_that_lost_its_manifest_is_no_signed_one(tmp_path: Path, what: str) -> None:
    """Neither where signatures are demanded, nor where the journal says who has signed."""
    folder = signed(tmp_path).run()

    def change(event: AnyEvent) -> AnyEvent:
        if isinstance(event, RunStarted):
            return replace(event, require_signatures=what == "demanded")
        if isinstance(event, ResultAccepted) and event.site == "b" and event.round == 1:
            return replace(event, manifest="", signed_by="" if what == "demanded" else event.signed_by)
        return event

    forge(folder, change)
    assert "journal.jsonl (round 1, site b) counts a result without its manifest" in told(verify(folder))


def test_a_result_without_a_manifest_is_none(tmp_path: Path) -> None:
    folder = Play(tmp_path).run()
    forge(folder, lambda event: replace(event, manifest="") if isinstance(event, ResultAccepted) else event)
    assert "counts a result without its manifest, so nothing shows that its site has sent it" in told(verify(folder))


def test_keys_are_those_that_a_person_trusts_or_told_of(tmp_path: Path) -> None:
    folder = signed(tmp_path).run()
    public = {name: signer.public for name, signer in keys().items()}
    a, b = (fingerprint(public[name]) for name in "ab")
    assert verify(folder, trusted=lambda: public).notes == []
    found = verify(folder, trusted=lambda: {"a": public["a"]})
    assert (told(found), found.signatures) == ("", 6)
    assert found.notes == [f"keys as the journal has them: no key of b ({b}) is trusted here"]
    assert verify(folder).notes == [f"keys as the journal has them: no key of a ({a}), b ({b}) is trusted here"]


def test_a_history_that_was_signed_anew_with_other_keys(tmp_path: Path) -> None:
    """Keys, signatures, chain and seal agree with each other, and with nobody that is trusted."""
    folder = signed(tmp_path).run()
    real = Signer(Ed25519PrivateKey.from_private_bytes(b"r" * 32)).public
    found = verify(folder, trusted=lambda: {"a": real})
    assert "journal.jsonl (site a) has another key of the site than is trusted here" in told(found)
    assert f"expected {fingerprint(real)}, found {fingerprint(keys()['a'].public)}" in told(found)


def test_a_run_without_signatures_needs_no_folder_of_keys(tmp_path: Path) -> None:
    assert verify(Play(tmp_path).run(), trusted=lambda: pytest.fail("looked at the keys")).difference is None


def test_a_signer_that_is_no_key(tmp_path: Path) -> None:
    folder = Play(tmp_path, options=RunOptions()).run()
    forge(folder, lambda event: replace(event, signed_by="me") if isinstance(event, ResultAccepted) else event)
    assert "journal.jsonl (site a) has no key where one has to be" in told(verify(folder))


def test_keys_made_for_a_simulated_run_show_nobody(tmp_path: Path) -> None:
    folder = signed(tmp_path).run()
    forge(folder, lambda event: replace(event, mode="simulator") if isinstance(event, RunStarted) else event)
    found = verify(folder, trusted=lambda: {"a": "0" * 64})
    assert (told(found), found.signatures) == ("", 6)
    assert found.notes == ["the run was simulated: its keys were made for it, and show nobody's identity"]


@pytest.mark.parametrize("leads", ["to the log", "nowhere"])
def test_the_log_of_a_site_may_be_a_link_while_a_run_has_not_ended(tmp_path: Path, leads: str) -> None:
    """As where exchange and runs lie on two disks, and the simulator was killed."""
    folder = Play(tmp_path).run()
    cut(folder, RoundFinished, 2)
    (tmp_path / "to the log").touch()
    (folder.logs / "a.log").symlink_to(tmp_path / leads)
    assert told(verify(folder)) == ""
    (folder.logs / "server.log").unlink()
    (folder.logs / "server.log").symlink_to(tmp_path / leads)
    assert told(verify(folder)) == "logs/server.log is not a plain file"


def with_a_new_key(play: Play) -> dict[str, str]:
    """From now on the site ``a`` signs with another key and the server trusts that one; the keys it trusts."""
    new = Signer(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
    trusted = {**play.server.trusted, "a": new.public}
    play.server = replace_identity(play.server, trusted=trusted)
    play.signs["a"] = Identity(new)
    return trusted


def test_an_older_key_of_a_site_is_noted_where_the_run_went_on_with_a_new_one(tmp_path: Path) -> None:
    play = signed(tmp_path)
    play.fail_at = 1
    folder = play.run()
    old = dict(play.server.trusted)
    new = with_a_new_key(play)
    play.fail_at = None
    play.resume(folder)
    found = verify(folder, trusted=lambda: new)
    assert (told(found), found.recomputed, found.signatures) == ("", 3, 6)
    assert found.notes == [f"some results of a are signed with an older key of it, {fingerprint(old['a'])}"]
    other = Signer(Ed25519PrivateKey.from_private_bytes(b"o" * 32)).public
    for trusted in (old, {**new, "a": other}):  # the newest is not trusted: it may be a thief's
        assert "has another key of the site than is trusted here" in told(verify(folder, trusted=lambda: trusted))  # noqa: B023


def test_a_key_that_the_server_never_trusted_is_no_older_one(tmp_path: Path) -> None:
    play = signed(tmp_path)
    play.fail_at = 1
    folder = play.run()
    new = with_a_new_key(play)
    play.fail_at = None
    play.resume(folder)
    other = Signer(Ed25519PrivateKey.from_private_bytes(b"o" * 32)).public
    forge(folder, lambda e: replace(e, signed_by=other) if isinstance(e, ResultAccepted) and e.site == "a" else e)
    assert "has another key of the site than is trusted here" in told(verify(folder, trusted=lambda: new))


def die_in_round_1(play: Play) -> RunFolder:
    """A run whose server died when the results of round 1 were there; the exchange has nothing that came later."""
    folder = play.run()
    cut(folder, RoundFinished)
    for path in (play.root / "exchange").glob("*/*/*.json"):
        if ".r0002." in path.name or ".end." in path.name:
            path.unlink()
    return folder


@pytest.mark.parametrize("change", ["a new key", "no key any more"])
def test_what_an_older_key_has_signed_does_not_count_in_a_round_that_goes_on(tmp_path: Path, change: str) -> None:
    """The server died, and whoever stole the key may have answered: the round begins again."""
    play = signed(tmp_path)
    play.server = replace_identity(play.server, demanded=False)
    folder = die_in_round_1(play)
    if change == "a new key":
        with_a_new_key(play)
    else:
        play.server = replace_identity(play.server, trusted={"b": play.server.trusted["b"]})
    found = verify(play.resume(folder), trusted=lambda: play.server.trusted)
    begun = [(event.round, event.attempt) for event in read_journal(folder.journal) if isinstance(event, RoundStarted)]
    assert begun == [(0, 1), (1, 1), (1, 2), (2, 1)]
    assert (told(found), found.recomputed) == ("", 3)


def test_a_round_goes_on_with_the_same_keys(tmp_path: Path) -> None:
    play = signed(tmp_path)
    folder = die_in_round_1(play)
    play.resume(folder)
    begun = [(event.round, event.attempt) for event in read_journal(folder.journal) if isinstance(event, RoundStarted)]
    assert begun == [(0, 1), (1, 1), (2, 1)]
