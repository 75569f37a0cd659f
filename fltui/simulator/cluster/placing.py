"""Which worker gets which site: pure, and known beforehand.

A site's script lives as long as the run and keeps what it needs. So it is not enough that some worker has a resource:
all sites have to find a place at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fltui.errors import BadInputError
from fltui.simulator.needs import Needs


@dataclass(eq=False)
class Seat:
    """A worker, and who is there.

    Attributes:
        address: the worker's.
        host: the name of its machine.
        threads: how many it works with: the more, the more sites it gets.
        resources: what it has in all.
        sees: the sites' data that is there.
        sites: who runs there, and what he needs.
    """

    address: str
    host: str
    threads: int = 1
    resources: Mapping[str, float] = field(default_factory=dict)
    sees: frozenset[str] = frozenset()
    sites: dict[str, Needs] = field(default_factory=dict)

    def could(self, needs: Needs) -> bool:
        """Whether it has what a site needs, if nobody else was there."""
        return (not needs.data or needs.data in self.sees) and all(
            self.resources.get(name, 0) >= amount for name, amount in needs.resources.items()
        )

    def can(self, needs: Needs) -> bool:
        """Whether it has that beside what others need who are there."""
        return self.could(needs) and all(
            self.resources[name] - self.taken(name) >= amount for name, amount in needs.resources.items()
        )

    def taken(self, resource: str) -> float:
        """How much of a resource the sites need that are there."""
        return sum(needs.resources.get(resource, 0) for needs in self.sites.values())


def seat_for(needs: Needs, seats: Iterable[Seat], *, alone: bool = False) -> Seat | None:
    """The worker for one more site: of those that can, the one with the fewest sites for each of its threads.

    Args:
        needs: of the site.
        seats: the workers.
        alone: rather one where nobody is.
    """

    def order(seat: Seat) -> tuple[bool, float, str]:
        return alone and bool(seat.sites), (len(seat.sites) + 1) / seat.threads, seat.address

    return min((seat for seat in seats if seat.can(needs)), key=order, default=None)


def check_places(needs: Iterable[Needs], seats: Iterable[Seat], cluster: str) -> None:
    """Make sure that all sites find a place at the same time.

    Args:
        needs: of all sites.
        seats: all workers that can be used.
        cluster: as it is called in sentences.

    Raises:
        BadInputError: one does not; the sentence says what is missing.
    """
    seats, needs = list(seats), list(needs)
    for one in needs:
        _check_one(one, seats, cluster)
    trial = [Seat(seat.address, seat.host, seat.threads, seat.resources, seat.sees) for seat in seats]
    # Who has the least choice chooses first, and of these who needs most.
    for one in sorted(
        needs, key=lambda one: (sum(seat.could(one) for seat in trial), -sum(one.resources.values()), one.site)
    ):
        seat = seat_for(one, trial)
        if seat is None:
            wanted = {name: sum(other.resources.get(name, 0) for other in needs) for name in one.resources}
            there = {name: sum(seat.resources.get(name, 0) for seat in seats) for name in one.resources}
            each = "; ".join(f"{name}: {wanted[name]:g} needed, {there[name]:g} there" for name in sorted(wanted))
            raise BadInputError(
                f"the workers of {cluster} have too little for all sites at the same time, and a site's script keeps "
                f"what it needs until the run ends ({each}): start more workers, or run with fewer sites"
            )
        seat.sites[one.site] = one


def _check_one(needs: Needs, seats: list[Seat], cluster: str) -> None:
    if any(seat.could(needs) for seat in seats):
        return
    if needs.data and not any(needs.data in seat.sees for seat in seats):
        hosts = ", ".join(sorted({seat.host for seat in seats}))
        raise BadInputError(
            f"the data of site {needs.site}, {needs.data}, is on no worker of {cluster}, or cannot be read there "
            f"(hosts: {hosts}); see --site-data"
        )
    beside = f" where its data, {needs.data}, is" if needs.data else ""
    raise BadInputError(
        f"site {needs.site} needs {needs.amounts()}, and no worker of {cluster} has that{beside}; workers say what "
        "they have when they are started, as with 'dask worker SCHEDULER --resources \"GPU=1\"'"
    )
