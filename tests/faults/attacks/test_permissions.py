"""The folder layouts of ``docs/deploy.md``, made by its own commands, and used by a user for each side.

The users exist in a mount namespace of their own, with a copy of ``/etc``; nothing of this machine is changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fltui
from tests.jobs import GOOD, write_job

GUIDE = Path(__file__).parents[3] / "docs" / "deploy.md"

NAMESPACE = """
set -e
mount --make-rprivate /
mount --bind "$1/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /home
mount -t tmpfs -o mode=755 tmpfs /var/mail 2>/dev/null || true
mkdir -p "$1/python"
mount --bind "$2" "$1/python"
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p "$2"
mount --bind "$1/python" "$2"
echo ready
exec cat
"""
"""Gives the namespace its own users, and opens the way to a Python that lies in root's home."""

_TOOLS = ("unshare", "nsenter", "setpriv", "useradd", "groupadd", "usermod", "install", "setfacl")


def _missing_means() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can be several users"
    lacking = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    try:
        tried = subprocess.run(["unshare", "-m", "mount", "--make-rprivate", "/"], check=False, capture_output=True)
    except OSError as error:
        return f"no mount namespace: {error}"
    return "" if tried.returncode == 0 else f"no mount namespace: {tried.stderr.decode(errors='replace').strip()}"


pytestmark = pytest.mark.skipif(bool(_missing_means()), reason=_missing_means() or "never")


@dataclass
class Machine:
    """A machine with users of its own.

    Attributes:
        folder: where everything lies; all users may enter it.
        holder: the process whose namespace it is.
    """

    folder: Path
    holder: int

    @property
    def exchange(self) -> Path:
        """The exchange folder."""
        return self.folder / "exchange"

    def command(self, *words: str | Path, user: str = "", umask: str = "022") -> list[str]:
        """A command as a user of this machine, root by default."""
        login = ["setpriv", f"--reuid={user}", f"--regid={self.group(user)}", "--init-groups"] if user else []
        shell = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
        clean = ["env", "-i", f"HOME={self.folder}/{user}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", *login, *clean, *shell, *map(str, words)]

    def group(self, user: str) -> str:
        """The number of the user's own group."""
        passwd = (self.folder / "etc" / "passwd").read_text()
        return next(line.split(":")[3] for line in passwd.splitlines() if line.startswith(f"{user}:"))

    def run(self, *words: str | Path, user: str = "", umask: str = "022") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = self.command(*words, user=user, umask=umask)
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, timeout=60)

    def start(self, *words: str | Path, user: str, umask: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        command = self.command(*words, user=user, umask=umask)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=self.folder)

    def fltui(self, *words: str | Path, user: str, umask: str = "022") -> subprocess.CompletedProcess[str]:
        """Run ``fltui`` to its end."""
        return self.run(sys.executable, "-m", "fltui", *words, user=user, umask=umask)

    def doctor(self, user: str, *words: str, umask: str = "022") -> tuple[int, dict[str, dict[str, Any]]]:
        """The exit code of ``fltui doctor`` and its findings by name."""
        done = self.fltui("doctor", self.exchange, "--json", *words, user=user, umask=umask)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert found, done.stderr
        return done.returncode, {one["name"]: one for one in found[:-1]}

    def lay_out(self, layout: str) -> None:
        """Make users and folders with the commands of the guide."""
        done = self.run("sh", "-e", "-c", commands(layout).replace("/srv/fl/exchange", str(self.exchange)))
        assert done.returncode == 0, done.stderr
        for user in ("fl-server", "fl-site-1", "fl-site-2"):
            home = self.folder / user
            home.mkdir()
            assert self.run("chown", user, home).returncode == 0
        reads = self.run("sh", "-c", f"test -x {sys.executable} && test -r {fltui.__file__}", user="fl-server")
        if reads.returncode:
            pytest.skip("Python or fltui lies where other users may not read it")


def commands(layout: str) -> str:
    """The commands of the guide that make a layout."""
    found = re.search(rf"<!-- layout: {layout} -->\n```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found, f"{GUIDE} has no layout {layout!r}"
    return found[1]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine without any of fltui's users."""
    folder = Path(tempfile.mkdtemp(prefix="fltui-permissions-"))
    folder.chmod(0o755)
    try:
        _lay_etc(folder / "etc")
        words = ["unshare", "-m", "sh", "-c", NAMESPACE, "sh", str(folder), os.path.realpath(sys.base_prefix)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "ready\n", "the namespace could not be made"
                yield Machine(folder, holder.pid)
            finally:
                holder.kill()
    finally:
        shutil.rmtree(folder)


def _lay_etc(etc: Path) -> None:
    """An ``/etc`` with no users but root, and with what programs and ``useradd`` look up in it."""
    etc.mkdir()
    for name in ("ld.so.cache", "login.defs"):
        if (found := Path("/etc", name)).is_file():
            shutil.copy(found, etc)
    for name in ("pam.d", "security"):
        if (found := Path("/etc", name)).is_dir():
            shutil.copytree(found, etc / name)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\n")
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "shadow").write_text("root:*:20000:0:99999:7:::\n")
    (etc / "gshadow").write_text("root:*::\n")


ATTEMPTS = {
    "list what site-2 sent": "ls site-2/results",
    "read what site-2 sent": "cat site-2/results/*.json",
    "read what site-2 logged": "cat site-2/logs/*.log",
    "read the tasks of site-2": "ls site-2/tasks",
    "send in the name of site-2": "touch site-2/results/new",
    "remove what site-2 sent": "rm -r site-2/results",
    "forge the status of site-2": "touch site-2/status.json",
    "forge a task": "touch site-1/tasks/new",
    "change a task": "sh -c 'for task in site-1/tasks/*.json; do echo >> $task || exit 1; done'",
    "change the model of a task": "sh -c 'for array in site-1/tasks/*/*.npy; do echo >> $array || exit 1; done'",
    "remove tasks": "rm site-1/tasks/*.json",
    "put a link in place of the tasks": "mv site-1/tasks site-1/mine",
    "reach into the server's temporary files": "touch site-1/.syncthing.fltui.server/new",
    "remove the server's temporary files": "rm -r site-1/.syncthing.fltui.server",
    "write exchange.json": "touch exchange.json",
    "remove exchange.json": "rm exchange.json",
    "replace another site": "mv site-2 mine",
    "appear as another site": "mkdir site-3",
}
"""What site-1 may not do, as commands in the exchange folder."""


@pytest.mark.parametrize(("layout", "umask"), [("groups", "027"), ("lists", "077")])
def test_a_run_completes_with_a_user_for_each_side_and_no_site_reaches_another(
    machine: Machine, layout: str, umask: str
) -> None:
    machine.lay_out(layout)
    if layout == "groups":  # the stricter way that the guide tells of, too
        assert machine.run("chmod", "2710", machine.exchange).returncode == 0
    job = write_job(machine.folder / "job", {"site-1": GOOD, "site-2": GOOD}, "num_rounds=6")
    (machine.folder / "job").chmod(0o755)
    program = (sys.executable, "-m", "fltui")
    place = ("--exchange", machine.exchange)
    runs = machine.folder / "fl-server" / "runs"
    words = (*program, "server", job, "--sites", "site-1,site-2", *place, "--runs", runs, "--wait", "30", "--json")
    with ExitStack() as running:
        server = running.enter_context(machine.start(*words, user="fl-server", umask=umask))
        running.callback(server.kill)
        clients = []
        for site in ("site-1", "site-2"):
            script = job.parent / f"{site}.py"
            client = running.enter_context(
                machine.start(*program, "client", script, "--site", site, *place, user=f"fl-{site}", umask=umask)
            )
            running.callback(client.kill)
            clients.append(client)
        out, err = server.communicate(timeout=60)
        if server.returncode:
            for client in clients:
                client.kill()
        said = [client.communicate(timeout=60)[1] for client in clients]
    assert server.returncode == 0, (err, said)
    assert [client.returncode for client in clients] == [0, 0], said
    events = [json.loads(line) for line in out.splitlines()]
    assert sum(event["event"] == "result_accepted" for event in events) == 12
    for site in ("site-1", "site-2"):
        tasks = sorted(
            path.name.split(".r")[1][:4] for path in (machine.exchange / site / "tasks").glob("*.train.*.json")
        )
        assert tasks == ["0003", "0004", "0005"], "the server could not remove old tasks"
        results = sorted(path.name.split(".r")[1][:4] for path in (machine.exchange / site / "results").glob("*.json"))
        assert set(results) <= {"0002", "0003", "0004", "0005"}, "the site could not remove old results"
        assert not list((machine.exchange / site / ".syncthing.fltui.server").iterdir())
        assert not list((machine.exchange / site / ".syncthing.fltui.site").iterdir())

    attempts = f"cd {machine.exchange}\n" + "\n".join(
        f'{attempt} >/dev/null 2>&1 </dev/null && echo "{what}"' for what, attempt in ATTEMPTS.items()
    )
    succeeded = machine.run("sh", "-c", attempts, user="fl-site-1").stdout
    assert succeeded == ""
    own = machine.run("sh", "-c", f"cd {machine.exchange}/site-1; cat tasks/*.json results/*.json", user="fl-site-1")
    assert own.returncode == 0, own.stderr

    for user, side in (("fl-server", "server"), ("fl-site-1", "site-1")):
        code, findings = machine.doctor(user, "--as", side, umask=umask)
        assert code == 0, [one for one in findings.values() if one["level"] == "unsafe"]
        assert findings["permissions"]["level"] == "ok"
        assert findings["own rights"]["level"] == "ok"
        assert findings["new files"]["level"] == "ok"
        assert not [one for one in findings.values() if one["level"] in ("warning", "unsafe")]

    # The same attempts where every door is open: none of them fails for a reason of its own.
    assert machine.run("setfacl", "-R", "-b", "-k", machine.exchange).returncode == 0
    assert machine.run("chmod", "-R", "a=rwx,u-s,g-s,-t", machine.exchange).returncode == 0
    assert machine.run("sh", "-c", attempts, user="fl-site-1").stdout.splitlines() == list(ATTEMPTS)


FAULTS = {
    "chmod 0777 . site-1 site-1/results": ("writers", "everybody can write in site-1/results (mode 2777)"),
    "setfacl -m u:fl-site-2:rwx . site-1 site-1/results": ("writers", "fl-site-2, the user of site-2, can write in"),
    "chown fl-site-1 site-1/tasks": ("writers", "site-1/tasks belongs to fl-site-1, expected fl-server"),
}
"""What is done to a good layout, and what the doctor has to say."""


def test_the_doctor_names_the_folder_that_is_open(machine: Machine) -> None:
    machine.lay_out("groups")
    good = machine.folder / "good"
    assert machine.run("cp", "-a", machine.exchange, good).returncode == 0
    code, findings = machine.doctor("fl-server")
    assert code == 0, findings
    for fault, (name, seen) in FAULTS.items():
        assert machine.run("sh", "-c", f"cd {machine.exchange} && {fault}").returncode == 0, fault
        code, findings = machine.doctor("fl-server")
        assert code == 1, fault
        assert name in findings, (fault, findings)
        assert findings[name]["level"] == "unsafe", fault
        assert seen in findings[name]["seen"], fault
        assert findings[name]["fix"], fault
        shutil.rmtree(machine.exchange)
        assert machine.run("cp", "-a", good, machine.exchange).returncode == 0
    code, findings = machine.doctor("fl-site-1", umask="077")
    assert code == 1
    assert "umask 077 cannot be read by fl-server" in findings["new files"]["seen"]
    code, findings = machine.doctor("fl-site-1", "--as", "site-2")
    assert code == 1
    assert findings["own rights"]["seen"].startswith("fl-site-1, as site-2, cannot ")
