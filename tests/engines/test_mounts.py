"""The exchange on a mount: sshfs and ``rclone mount``, which are file systems in user space, and SMB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fltui.exchange.watch import is_remote
from tests.engines.federation import HELLO, SERVER, SITES, Federation
from tests.engines.meeting import meeting
from tests.engines.mounts import cifs, rclone_mount, sshfs
from tests.engines.smb import smb_server
from tests.engines.sshd import SshServer, ssh_server
from tests.jobs import HELLO_JOB, HELLO_SCRIPT

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    """An SSH server."""
    with ssh_server(tmp_path / "sshd") as found:
        yield found


def run_hello(federation: Federation) -> None:
    """The hello job, to its end."""
    with federation:
        federation.serve(HELLO_JOB)
        for site in SITES:
            federation.join(site)
        codes = {who: federation.ended(who) for who in (SERVER, *SITES)}
        assert codes == dict.fromkeys(codes, 0), {who: federation.said(who)[-1500:] for who in codes}
    federation.check(3)
    assert federation.final() == HELLO
    for who in codes:
        assert "away" not in federation.said(who)


def test_the_hello_job_with_sites_on_sshfs(tmp_path: Path, ssh: SshServer) -> None:
    federation = Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.exchange(SERVER).mkdir()
    with ExitStack() as mounts:
        for site in SITES:
            mounts.enter_context(sshfs(ssh, federation.exchange(SERVER), federation.exchange(site)))
            assert is_remote(federation.exchange(site))  # so that --watch auto polls there
        run_hello(federation)


def test_the_hello_job_with_a_server_on_sshfs(tmp_path: Path, ssh: SshServer) -> None:
    federation = Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.exchange("site-0").mkdir()
    federation.exchange("site-1").symlink_to(federation.exchange("site-0"))
    with sshfs(ssh, federation.exchange("site-0"), federation.exchange(SERVER)):
        run_hello(federation)


def test_the_hello_job_with_sites_on_smb(tmp_path: Path) -> None:
    federation = Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT))
    federation.exchange(SERVER).mkdir()
    with ExitStack() as opened:
        server = opened.enter_context(smb_server(tmp_path / "samba", federation.exchange(SERVER)))
        for site in SITES:
            opened.enter_context(cifs(server, federation.exchange(site)))
            assert is_remote(federation.exchange(site))
        run_hello(federation)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_the_hello_job_with_everybody_on_an_rclone_mount(tmp_path: Path, kind: str) -> None:
    federation = Federation(tmp_path, dict.fromkeys(SITES, HELLO_SCRIPT))
    with ExitStack() as opened:
        place = opened.enter_context(meeting(kind, tmp_path / "between"))
        for who in (SERVER, *SITES):
            opened.enter_context(rclone_mount(place.remote, federation.exchange(who), place.variables))
            assert is_remote(federation.exchange(who))
        run_hello(federation)
