"""What a job is made of: small dataclasses whose fields are their arguments in a job folder."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Part(msgspec.Struct, frozen=True):
    """A part of a job that is not made here, by its class and arguments.

    Attributes:
        path: of the class, as in a job folder.
        args: JSON values by name.
    """

    path: str
    args: dict[str, Any]


class Component:
    """A part of a job: a dataclass that checks itself and can be written down as JSON.

    Attributes:
        arrays: names of the fields that hold arrays; they are stored as ``.npy`` files beside the configuration.
    """

    arrays: ClassVar[frozenset[str]] = frozenset()

    @property
    def array_bytes(self) -> int:
        """Size of all arrays in these fields together."""
        return sum(array.nbytes for name in self.arrays for array in (getattr(self, name) or {}).values())


class ServerComponent(Component):
    """Runs at the server: a workflow. The engine knows how to run it; here it is only described.

    Attributes:
        no_site_filters: why filters at the sites cannot look at what its sites send; empty if they can.
    """

    no_site_filters: ClassVar[str] = ""

    @property
    def parts(self) -> tuple[ServerComponent, ...]:
        """The workflows that it is a series of; itself where it is one."""
        return (self,)

    @property
    def site_count(self) -> int:
        """How many sites it asks for."""
        raise NotImplementedError

    @property
    def quorum(self) -> int:
        """How many answers a round needs."""
        raise NotImplementedError

    def for_sites(self, count: int) -> Any:
        """The same component for a job of `count` sites."""
        raise NotImplementedError

    def for_rounds(self, count: int) -> Any:
        """The same component with `count` rounds."""
        raise NotImplementedError


class SiteComponent(Component):
    """Runs at a site: an executor."""
