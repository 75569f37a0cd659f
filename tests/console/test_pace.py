from __future__ import annotations

import pytest

from fltui.console.pace import Pace


class Machine:
    """A clock, and what was used of its processors."""

    def __init__(self) -> None:
        self.now = 50.0
        self.used = 3.0

    def work(self, seconds: float, rest: float = 0.0) -> None:
        """Use a processor, then rest."""
        self.now += seconds + rest
        self.used += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def pace(machine: Machine) -> Pace:
    return Pace(lambda: machine.now, lambda: machine.used)


def test_the_first_is_shown_at_once(pace: Pace) -> None:
    assert pace.is_time


def test_what_costs_little_is_shown_every_time(machine: Machine, pace: Pace) -> None:
    for _ in range(10):
        pace.showing()
        machine.work(0.0015, rest=0.0485)
        assert pace.is_time


def test_what_costs_much_waits_until_it_can_be_afforded(machine: Machine, pace: Pace) -> None:
    pace.showing()
    machine.work(0.016)
    assert not pace.is_time
    machine.work(0, rest=0.383)
    assert not pace.is_time
    machine.work(0, rest=0.002)
    assert pace.is_time


def test_however_much_it_costs_it_is_shown_twice_a_second(machine: Machine, pace: Pace) -> None:
    pace.showing()
    machine.work(0.498)
    assert not pace.is_time
    machine.work(0.003)
    assert pace.is_time


def test_after_a_rest_nothing_waits(machine: Machine, pace: Pace) -> None:
    pace.showing()
    machine.work(0.03, rest=1.0)
    assert pace.is_time
