"""Three hosts with networks of their own. The link of one is cut in the middle of a round, and restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fltui.run.events import (
    ResultAccepted,
    ResultDiscarded,
    ResultRejected,
    RoundFinished,
    RunPaused,
    RunResumed,
    SiteLost,
)
from tests.engines.federation import SERVER, Federation, undisturbed
from tests.engines.hosts import Hosts, hosts
from tests.engines.mounts import sshfs
from tests.engines.rclone import Carriers, configured
from tests.engines.sshd import SshServer, ssh_server
from tests.engines.syncthing import await_true
from tests.jobs import Gate, drifting, write_job

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]

STEPS = {"site-0": 0.3, "site-1": 0.7}
PATIENCE = {"RCLONE_TIMEOUT": "4s", "RCLONE_CONTIMEOUT": "2s"}


@dataclass(frozen=True)
class Field:
    """A server's host, where its exchange is served by SSH, and the hosts of two sites.

    Attributes:
        network: the hosts.
        ssh: at the server's.
        federation: everybody, each on the host of its own.
    """

    network: Hosts
    ssh: SshServer
    federation: Federation

    def end(self) -> None:
        """Wait until everybody has ended well."""
        federation = self.federation
        codes = {who: federation.ended(who, 90) for who in (SERVER, *STEPS)}
        assert codes == dict.fromkeys(codes, 0), {who: federation.said(who)[-1500:] for who in codes}


@contextmanager
def field(folder: Path, scripts: dict[str, Path]) -> Iterator[Field]:
    """The hosts, with nobody at work yet."""
    with hosts(SERVER, *STEPS) as network:
        within = {who: network.within(who) for who in (SERVER, *STEPS)}
        federation = Federation(folder, scripts, within=within)
        federation.exchange(SERVER).mkdir()
        place = ssh_server(folder / "sshd", network.address(SERVER), 22, network.within(SERVER))
        with place as ssh, federation:
            yield Field(network, ssh, federation)


@contextmanager
def by_rclone(field: Field) -> Iterator[None]:
    """Each site's own folder is carried to and from the server's by rclone over sftp."""
    federation = field.federation
    variables = configured(federation.root, field.ssh.remote("hub")) | PATIENCE
    carriers = Carriers(federation, f"hub:{federation.exchange(SERVER)}", variables, federation.within)
    try:
        carriers.prepare(SERVER)
        for site in STEPS:
            carriers.prepare(site)
            carriers.start(site)
        yield
    finally:
        carriers.close()


@contextmanager
def by_sshfs(field: Field) -> Iterator[None]:
    """Each site has the server's folder mounted."""
    federation = field.federation
    first, second = (
        sshfs(field.ssh, federation.exchange(SERVER), federation.exchange(site), within=federation.within[site])
        for site in STEPS
    )
    with first, second:
        yield


def job_of(folder: Path, gates: dict[str, tuple[Gate, int]], arguments: str) -> tuple[Path, dict[str, Path]]:
    """A job whose scripts wait at gates, and the scripts."""
    lines = {site: [gate.line(number)] for site, (gate, number) in gates.items()}
    scripts = {
        site: drifting(step, "print('training', round, flush=True)", *lines.get(site, ()))
        for site, step in STEPS.items()
    }
    job = write_job(folder, scripts, arguments)
    return job, {site: folder / f"{site}.py" for site in STEPS}


def calm(folder: Path, arguments: str) -> list[RoundFinished]:
    """What the simulator makes of the same job."""
    return undisturbed(folder, job_of(folder / "job", {}, arguments)[0])


def is_lost(field: Field) -> bool:
    """Whether the server has not heard of site-1 for so long that it says so."""
    return field.federation.has(SiteLost, site="site-1")


def has_noticed(field: Field) -> bool:
    """Whether the script of site-1 has said that its answer has to wait."""
    said = field.federation.said("site-1")
    return "the exchange folder is away" in said or "cannot be written" in said


@pytest.mark.parametrize(("carried", "until"), [(by_rclone, is_lost), (by_sshfs, has_noticed)])
def test_a_round_waits_for_the_site_whose_link_is_cut(
    tmp_path: Path, carried: Callable[[Field], AbstractContextManager[None]], until: Callable[[Field], bool]
) -> None:
    expected = calm(tmp_path / "calm", "num_rounds=3")
    gate = Gate(tmp_path / "gate")
    job, scripts = job_of(tmp_path / "job", {"site-1": (gate, 1)}, "num_rounds=3")
    with field(tmp_path / "field", scripts) as found, carried(found):
        federation = found.federation
        federation.serve(job, "--wait", "300")
        for site in STEPS:
            federation.join(site)
        await_true(lambda: "training 1" in federation.said("site-1"), "site-1 is at round 1", 60)
        found.network.cut("site-1")
        gate.open()  # what it makes of the round stays on its side
        federation.await_event(ResultAccepted, site="site-0", round=1)
        await_true(lambda: until(found), f"{until.__name__}: {federation.said('site-1')[-500:]}", 60)
        found.network.restore("site-1")
        found.end()
        federation.check(3, expected)


def test_a_round_ends_by_quorum_without_the_site_whose_link_is_cut_and_it_joins_again(tmp_path: Path) -> None:
    arguments = "num_rounds=5, min_clients=1, wait_time_after_min_received=2.5"
    gates = {site: (Gate(tmp_path / site), number) for site, number in (("site-0", 3), ("site-1", 1))}
    job, scripts = job_of(tmp_path / "job", gates, arguments)
    with field(tmp_path / "field", scripts) as found, by_rclone(found):
        federation = found.federation
        federation.serve(job, "--wait", "300")
        for site in STEPS:
            federation.join(site)
        await_true(lambda: "training 1" in federation.said("site-1"), "site-1 is at round 1", 60)
        found.network.cut("site-1")
        gates["site-1"][0].open()
        federation.await_event(RoundFinished, round=1)
        assert federation.has(ResultRejected, site="site-1", round=1)
        await_true(lambda: "training 3" in federation.said("site-0"), "site-0 is at round 3", 60)
        found.network.restore("site-1")
        federation.await_event(ResultAccepted, site="site-1", round=3)  # it took the newest task at once
        gates["site-0"][0].open()
        found.end()
        assert federation.has(ResultDiscarded, site="site-1", round=1)  # it came, and is told of
        rounds = {event.round: sorted(event.weights) for event in federation.rounds()}
        assert rounds[0] == rounds[4] == ["site-0", "site-1"]
        assert rounds[1] == rounds[2] == ["site-0"]


def test_a_server_pauses_while_its_mounted_exchange_cannot_be_reached(tmp_path: Path) -> None:
    expected = calm(tmp_path / "calm", "num_rounds=3")
    gate = Gate(tmp_path / "gate")
    job, scripts = job_of(tmp_path / "job", {"site-1": (gate, 1)}, "num_rounds=3")
    with hosts(SERVER, "storage") as network:
        within = {SERVER: network.within(SERVER), **dict.fromkeys(STEPS, network.within("storage"))}
        federation = Federation(tmp_path / "field", scripts, within=within)
        federation.exchange("site-0").mkdir()
        federation.exchange("site-1").symlink_to(federation.exchange("site-0"))
        place = ssh_server(tmp_path / "sshd", network.address("storage"), 22, network.within("storage"))
        with (
            place as ssh,
            sshfs(ssh, federation.exchange("site-0"), federation.exchange(SERVER), within=within[SERVER]),
            federation,
        ):
            federation.serve(job)
            for site in STEPS:
                federation.join(site)
            federation.await_event(ResultAccepted, site="site-0", round=1)
            network.cut(SERVER)
            gate.open()
            federation.await_event(RunPaused, outage=True)
            network.restore(SERVER)
            federation.await_event(RunResumed)
            codes = {who: federation.ended(who, 90) for who in (SERVER, *STEPS)}
            assert codes == dict.fromkeys(codes, 0), {who: federation.said(who)[-1500:] for who in codes}
            federation.check(3, expected)
