"""Sites in other people's shells, seen through their status files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fltui.errors import BadInputError, RunFailedError
from fltui.exchange.layout import PROTOCOL, ExchangeFolder, TaskId
from fltui.exchange.manifest import SiteActivity, Status
from fltui.exchange.publish import open_site, put_document
from fltui.exchange.silence import SILENCE
from fltui.run.folder import RunFolder, create_run
from fltui.server import remote
from fltui.server.ends import end_dead_runs
from fltui.server.remote import RemoteSites
from fltui.server.roster import Roster

RUN = "hello-20260101T000000Z-abcd"
LOST = ["a lost: not heard of for 30 s"]


async def never(_: float) -> None:
    """Waiting is not expected."""
    pytest.fail("the fleet waits")


class Watched:
    """A fleet of one site with its roster; time is what the test says it is."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exchange = ExchangeFolder(tmp_path)
        self.now = 1000.0
        self.told: list[str] = []
        self.roster = Roster(
            lambda site: self.told.append(f"{site} joined"),
            lambda site, reason: self.told.append(f"{site} lost: {reason}"),
            lambda: None,
        )
        self.fleet = RemoteSites(self.exchange, RUN, ["a"], wanted=1, at_least=1, wait=0)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def say(self, state: SiteActivity, counter: int, session: str = "s", run: str = "", reason: str = "") -> None:
        """The site writes its status."""
        site = self.exchange.site("a")
        open_site(site, "site")
        status = Status(PROTOCOL, "a", state, counter, session, run, reason=reason)
        put_document(status, site.status, site.staging("site"))

    async def start(self) -> None:
        """The fleet's first look; nobody is there yet."""
        with pytest.raises(RunFailedError, match="missing: a; start each with 'fltui client"):
            await self.fleet.start(self.roster, never, frozenset())

    def look(self, after: float = 1.0) -> list[str]:
        """What looks, one a second for some seconds, tell."""
        self.told.clear()
        for step in [1.0] * int(after) + [after % 1]:
            self.now += step
            self.fleet.look()
        return list(self.told)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A fleet of one site."""
    return Watched(tmp_path, monkeypatch)


async def test_a_site_that_appears_joins(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    assert watched.look() == ["a joined"]


async def test_a_leftover_status_is_no_life_until_it_changes(watched: Watched) -> None:
    watched.say("waiting", 7)
    await watched.start()
    assert watched.look() == []
    watched.say("waiting", 8)
    assert watched.look() == ["a joined"]


async def test_a_site_that_failed_before_the_server_began_is_missing_with_its_reason(watched: Watched) -> None:
    watched.say("failed", 2, reason="ImportError: no module")
    with pytest.raises(
        RunFailedError, match=r"missing: a \(it failed before this server began: ImportError: no module"
    ):
        await watched.fleet.start(watched.roster, never, frozenset())


async def test_silence_is_death_and_a_change_is_return(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1)
    watched.look()
    assert watched.look(SILENCE - 1) == []
    assert watched.look(2) == ["a lost: not heard of for 30 s"]
    watched.say("training", 2)
    assert watched.look() == ["a joined"]


async def test_a_status_that_is_carried_seldom_is_waited_for_as_long_as_it_took(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1)
    watched.look()
    for counter, told in ((2, LOST), (3, LOST), (4, []), (5, [])):
        assert watched.look(60) == told  # once is a pause, twice is a pace
        watched.say("training", counter)
        assert watched.look() == (["a joined"] if told else [])
    assert watched.look(120) == []
    assert watched.look(5) == ["a lost: not heard of for 122 s"]


async def test_an_answer_is_a_sign_of_life(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1)
    watched.look()
    for _ in range(3):
        assert watched.look(SILENCE - 1) == []
        watched.roster.answers["a"] += 1
    assert watched.look(SILENCE) == []
    assert watched.look(2) == LOST


async def test_an_answer_is_no_measure_of_how_seldom_a_status_comes(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1)
    watched.look()
    for counter in (2, 3):
        watched.look(55)
        watched.roster.answers["a"] += 1
        watched.look(5)
        watched.say("training", counter)
        watched.look()
    assert watched.look(115) == []


async def test_a_status_that_vanishes_is_silence(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1)
    watched.look()
    watched.exchange.site("a").status.unlink()
    assert watched.look(SILENCE - 1) == []
    assert watched.look(2) == ["a lost: not heard of for 30 s"]


async def test_a_failed_script_tells_its_reason(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    watched.look()
    watched.say("failed", 2, reason="ValueError: boom")
    assert watched.look() == ["a lost: ValueError: boom"]
    watched.say("starting", 1, session="new")
    assert watched.look() == ["a joined"]


@pytest.mark.parametrize("state", ["failed", "finished"])
async def test_last_words_of_another_script_leave_the_site_its_task(watched: Watched, state: SiteActivity) -> None:
    watched.fleet = RemoteSites(watched.exchange, RUN, ["a"], wanted=1, at_least=1, wait=60)

    async def wait(_: float) -> None:
        watched.say("training", 1)

    await watched.fleet.start(watched.roster, wait, frozenset())
    assert watched.roster.present == {"a"}
    watched.say(state, 9, session="old", reason="boom")  # delivered late, after the newer status
    watched.look()
    assert watched.roster.silent == {"a"}
    watched.say("training", 2)
    assert watched.look() == ["a joined"]
    assert watched.roster.silent == set()


def comings(watched: Watched, seconds: float, look: float = 0.5) -> int:
    """How often a site joins whose status alternates between two looks."""
    count, said, end = 0, 0, watched.now + seconds
    while watched.now < end:
        said += 1
        watched.say("failed" if said % 2 else "waiting", 10 + said, reason="boom")
        count += watched.look(look).count("a joined")
    return count


async def test_a_script_that_ends_over_and_over_is_taken_back_less_and_less_often(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    watched.look()
    assert comings(watched, 2) == 1  # at once
    assert comings(watched, 60) == 5  # after 1, 2, 4, 8, 16 s
    assert comings(watched, 300) in (9, 10)  # every 30 s


async def test_a_script_that_answers_between_its_ends_is_taken_back_at_once(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    watched.look()
    comings(watched, 300)
    watched.now += remote.LONGEST_REST
    watched.say("waiting", 1, session="better")
    assert watched.look() == ["a joined"]
    for number in range(2, 9):
        watched.roster.answers["a"] += 1
        watched.say("failed", number, session="better", reason="boom")
        assert watched.look() == ["a lost: boom"]
        watched.say("waiting", number, session="another")
        assert watched.look() == ["a joined"]
        watched.say("waiting", 1, session="better")
        assert watched.look() == []


async def test_old_last_words_do_not_end_a_run_that_waits_for_its_sites(watched: Watched) -> None:
    watched.fleet = RemoteSites(watched.exchange, RUN, ["a"], wanted=1, at_least=1, wait=60)
    looks = 0

    async def wait(_: float) -> None:
        nonlocal looks
        looks += 1
        watched.now += 1
        match looks:
            case 1:
                watched.say("failed", 9, session="old", reason="boom")
            case 3:
                watched.say("waiting", 1)

    await watched.fleet.start(watched.roster, wait, frozenset())
    assert watched.told == ["a lost: boom", "a joined"]


async def test_a_script_that_failed_at_once_ends_a_run_before_its_start_soon(watched: Watched) -> None:
    watched.fleet = RemoteSites(watched.exchange, RUN, ["a"], wanted=1, at_least=1, wait=60)
    begun = watched.now

    async def wait(_: float) -> None:
        watched.now += 1
        if watched.now == begun + 1:
            watched.say("failed", 2, reason="boom")

    with pytest.raises(RunFailedError, match="the first round cannot start: 1 sites are needed; a: boom"):
        await watched.fleet.start(watched.roster, wait, frozenset())
    assert watched.now - begun < 6


async def test_a_dropped_site_does_not_come_back(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    watched.look()
    watched.roster.drop("a", "dropped: wrong data")
    assert watched.told[-1] == "a lost: dropped: wrong data"
    watched.say("training", 2)
    assert watched.look() == []
    watched.say("failed", 3, reason="boom")
    assert watched.look() == []
    watched.say("waiting", 1, session="new")
    assert watched.look() == []
    assert watched.roster.absent == {"a": "dropped: wrong data"}


async def test_nobody_has_to_come_in_time_while_the_run_is_paused(watched: Watched) -> None:
    watched.roster.paused = True

    async def wait(_: float) -> None:
        watched.now += 1000
        if watched.roster.paused:
            watched.roster.paused = False
        else:
            watched.say("waiting", 1)

    watched.fleet = RemoteSites(watched.exchange, RUN, ["a"], wanted=1, at_least=1, wait=1500)
    await watched.fleet.start(watched.roster, wait, frozenset())
    assert watched.roster.present == {"a"}


async def test_dropped_sites_are_not_waited_for(watched: Watched) -> None:
    watched.fleet = RemoteSites(watched.exchange, RUN, ["a", "b"], wanted=2, at_least=1, wait=1500)
    watched.say("waiting", 1)

    async def wait(_: float) -> None:
        watched.say("waiting", 2)
        watched.roster.drop("b", "dropped: x")

    await watched.fleet.start(watched.roster, wait, frozenset())
    assert watched.told == ["b lost: dropped: x", "a joined"]


async def test_a_site_at_work_for_another_run_is_not_ours(watched: Watched) -> None:
    await watched.start()
    watched.say("training", 1, run="other-20260101T000000Z-0000")
    assert watched.look() == []


def test_a_run_whose_server_died_is_ended_for_its_sites(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path / "exchange")
    site = exchange.site("a")
    open_site(site, "server")
    open_site(site, "site")
    put_document(Status(PROTOCOL, "a", "waiting", 1, "s"), site.status, site.staging("site"))
    runs = tmp_path / "runs"
    dead, live, foreign = create_run(runs, "dead"), create_run(runs, "live"), RunFolder(tmp_path / "other" / "foreign")
    for folder in (dead, live, foreign):
        (site.tasks / f"{TaskId(folder.run, 0, 'train')}.json").write_text("{}")
    for folder in (dead, live):
        folder.journal.touch()
    with live.held():
        end_dead_runs(exchange, runs)
    ends = [one.run for one in site.published() if one.is_end]
    assert ends == [dead.run]


async def test_a_site_whose_folder_cannot_be_used_is_lost_once(watched: Watched) -> None:
    def refuse(site: str) -> None:
        raise BadInputError(f"site folder {site} is read-only")

    watched.roster = Roster(refuse, lambda site, reason: watched.told.append(f"{site} lost: {reason}"), lambda: None)
    await watched.start()
    watched.say("waiting", 1)
    assert watched.look() == ["a lost: site folder a is read-only"]
    watched.say("waiting", 2)
    assert watched.look() == []
    watched.say("waiting", 1, session="new")  # as often as it likes
    assert watched.look() == []


async def test_an_unknown_state_in_a_status_is_no_site(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    status = watched.exchange.site("a").status
    status.write_text(status.read_text().replace("waiting", "dancing"))
    assert watched.look() == []


async def test_garbage_in_a_status_is_no_site(watched: Watched) -> None:
    await watched.start()
    watched.say("waiting", 1)
    watched.exchange.site("a").status.write_text("{" * 100_000)
    assert watched.look() == []
