"""``fltui keys``, and what ``fltui server`` and ``fltui client`` say where keys are missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fltui import FedAvg, FedJob, ScriptExecutor
from fltui.exchange.signing import fingerprint
from tests.cli.shell import Shell
from tests.exchange.signers import signer
from tests.jobs import GOOD

KEY, OTHER = signer(1).public, signer(2).public


@pytest.mark.parametrize("command", ["init", "trust", "list", "show"])
def test_every_command_has_help_with_an_example(shell: Shell, command: str) -> None:
    code, out, _ = shell("keys", command, "--help")
    assert code == 0
    assert f"Example: fltui keys {command}" in out


@pytest.mark.parametrize(("name", "where"), [("server", "at every site"), ("clinic-a", "at the server")])
def test_init_says_what_to_do_next(shell: Shell, name: str, where: str) -> None:
    code, out, err = shell("keys", "init", name)
    public = (shell.folder / "keys" / f"{name}.pub").read_text().strip()
    assert (code, err) == (0, "")
    assert f"public key:  {public}" in out
    assert f"fingerprint: {fingerprint(public)}" in out
    assert f"next, {where}: fltui keys trust {name} {public}" in out
    assert "PRIVATE" not in out


def test_init_does_not_overwrite(shell: Shell) -> None:
    (made,) = shell.json("keys", "init", "server")
    code, out, err = shell("keys", "init", "server")
    assert (code, out) == (2, "")
    assert err.startswith("error: there is a key of server already")
    (shown,) = shell.json("keys", "show", "server")
    assert shown == {"kind": "own", **{key: made[key] for key in ("name", "public_key", "fingerprint")}}
    assert Path(made["private_key"]).stat().st_mode & 0o777 == 0o600


def test_a_key_or_its_file_is_trusted(shell: Shell) -> None:
    (shell.folder / "b.pub").write_text(f"{OTHER}\n")
    assert [found["added"] for found in shell.json("keys", "trust", "a", KEY)] == [True]
    assert [found["added"] for found in shell.json("keys", "trust", "a", KEY)] == [False]
    code, out, _ = shell("keys", "trust", "b", "b.pub")
    assert code == 0
    assert f"key of b is trusted; fingerprint {fingerprint(OTHER)}" in out
    assert "by telephone or in person" in out
    found = [(one["kind"], one["name"], one["public_key"]) for one in shell.json("keys", "list")]
    assert found == [("trusted", "a", KEY), ("trusted", "b", OTHER)]
    code, out, _ = shell("keys", "list")
    assert [line.split()[1] for line in out.splitlines()] == ["a", "b"]


def test_a_key_in_upper_case_is_the_same_key(shell: Shell) -> None:
    assert shell.json("keys", "trust", "a", f" {KEY.upper()}\n")[0]["public_key"] == KEY
    (shell.folder / "a.pub").write_text(KEY.upper())
    assert shell.json("keys", "trust", "a", "a.pub")[0]["added"] is False


def test_one_key_for_two_names_is_told_of(shell: Shell) -> None:
    assert "warning" not in shell("keys", "trust", "a", KEY)[1]
    code, out, _ = shell("keys", "trust", "b", KEY)
    assert (code, "warning: the same key is trusted as that of a: each" in out) == (0, True)
    assert shell.json("keys", "trust", "a", KEY)[0]["also_trusted_as"] == ["b"]


def test_a_fifo_in_the_place_of_a_key_holds_nobody_up(shell: Shell) -> None:
    shell("keys", "trust", "a", KEY)
    os.mkfifo(shell.folder / "keys" / "trusted" / "b.pub")
    code, out, _ = shell("keys", "list")
    assert (code, "b.pub cannot be read: it is not a plain file" in out) == (1, True)


def test_a_key_may_be_a_link(shell: Shell) -> None:
    (shell.folder / "b.pub").write_text(KEY)
    shell("keys", "trust", "a", OTHER)
    (shell.folder / "keys" / "trusted" / "b.pub").symlink_to(shell.folder / "b.pub")
    assert [one["public_key"] for one in shell.json("keys", "list")] == [OTHER, KEY]


def test_a_damaged_key_hides_no_other(shell: Shell) -> None:
    for name in ("a", "b", "server"):
        shell("keys", "init", name)
    shell("keys", "trust", "c", KEY)
    shell("keys", "trust", "d", OTHER)
    (shell.folder / "keys" / "b.key").write_text("garbage")
    (shell.folder / "keys" / "trusted" / "c.pub").write_text("garbage")
    code, out, err = shell("keys", "list")
    assert (code, err) == (1, "")
    lines = {tuple(line.split()[:2]): line for line in out.splitlines()}
    assert list(lines) == [("own", "a"), ("own", "b"), ("own", "server"), ("trusted", "c"), ("trusted", "d")]
    damaged = {key for key, line in lines.items() if "DAMAGED: " in line}
    assert damaged == {("own", "b"), ("trusted", "c")}
    assert "https" not in out
    code, out, _ = shell("keys", "list", "--json")
    found = {(one["kind"], one["name"]) for one in map(json.loads, out.splitlines()) if "damaged" in one}
    assert (code, found) == (1, damaged)


def test_another_key_needs_a_word(shell: Shell) -> None:
    shell.json("keys", "trust", "a", KEY)
    code, out, err = shell("keys", "trust", "a", OTHER)
    assert (code, out) == (2, "")
    assert "give --replace" in err
    assert shell.json("keys", "trust", "a", OTHER, "--replace")[0]["added"]
    assert shell.json("keys", "show", "a")[0]["public_key"] == OTHER


def test_no_keys_are_no_error(shell: Shell) -> None:
    assert shell.json("keys", "list") == []
    assert shell("keys", "list")[:2] == (0, f"no keys in {shell.folder}/keys; 'fltui keys init NAME' makes one\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("init", "../a"), "cannot be used"),
        (("init", "Server"), "cannot be used"),
        (("show", "nobody"), "there is no key of nobody"),
        (("trust", "a", "0123"), "is neither a public key"),
        (("trust", "a", "G" * 64), "is neither a public key"),
        (("trust", "a", "0" * 64), "this is no public key: anybody can sign for 0000"),
        (("trust", "a/b", KEY), "cannot be used"),
        (("trust", "a"), "Missing argument"),
        (("trust", "a", "no.pub"), "expected 64 digits"),
        (("trust", "a", "mine/server.key"), "is a private key"),
    ],
)
def test_bad_input_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    (shell.folder / "no.pub").write_text("not a key")
    monkeypatch.setenv("FLTUI_KEYS", str(shell.folder / "mine"))
    shell("keys", "init", "server")
    monkeypatch.setenv("FLTUI_KEYS", str(shell.folder / "keys"))
    code, out, err = shell("keys", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert not (shell.folder / "keys").exists()


@pytest.mark.parametrize("command", [("init", "server"), ("trust", "a", KEY)])
def test_no_keys_in_an_exchange(shell: Shell, command: tuple[str, ...]) -> None:
    (shell.folder / "exchange.json").write_text('{"protocol": 1, "exchange_id": "x"}')
    code, _, err = shell("keys", *command)
    assert code == 2
    assert err.startswith(f"error: keys cannot be in {shell.folder}/keys: {shell.folder} is an exchange")


# Before a run


@pytest.fixture
def job(tmp_path: Path) -> str:
    """A job of the sites a and b."""
    (tmp_path / "train.py").write_text(GOOD)
    job = FedJob("hello")
    job.to_server(FedAvg(num_clients=2, num_rounds=1))
    for site in ("a", "b"):
        job.to(ScriptExecutor(str(tmp_path / "train.py")), site)
    job.export_job(tmp_path / "jobs")
    return str(tmp_path / "jobs" / "hello")


def test_a_server_that_cannot_keep_its_word_does_not_begin(shell: Shell, job: str) -> None:
    code, out, err = shell("server", job, "--require-signatures")
    assert (code, out) == (2, "")
    assert err.endswith("type 'fltui keys init server'\n")
    shell.json("keys", "init", "server")
    shell.json("keys", "trust", "a", KEY)
    code, _, err = shell("server", job, "--require-signatures")
    assert code == 2
    assert "no key of site b is trusted" in err
    assert "'fltui keys trust b KEY'" in err
    assert not (shell.folder / "runs").exists()
    assert not (shell.folder / "exchange").exists()


def test_a_server_does_not_use_a_key_that_others_can_read(shell: Shell, job: str) -> None:
    (made,) = shell.json("keys", "init", "server")
    Path(made["private_key"]).chmod(0o644)
    code, _, err = shell("server", job)
    assert code == 2
    assert f"chmod 600 {made['private_key']}" in err
    assert not (shell.folder / "runs").exists()
