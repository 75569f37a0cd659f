"""Filters: what changes a model on its way out, a site's update on its way in, or the round's update as a whole.

A filter is a small frozen dataclass with one or more of three methods. Each gets a view of what is about to pass and
gives a function that changes the elements of one block in place, or None to let all pass:

    @dataclass(frozen=True)
    class Halve(Filter):
        def result(self, view):
            def change(name, start, values):
                values *= 0.5
            return change

`result` sees an update as the difference to the model that the site has received, with what `task` has changed of it at
the server, in float64. At the server, in
``FedAvg(filters=[...])``, it is called for what each site has sent; at a site, by ``job.to(Halve(), "site-1")``, for
what the script sends, before it leaves the site.
"""

from __future__ import annotations

import hashlib
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fltui.aggregation.blocks import Source, spans
from fltui.aggregation.elements import norm_of, read
from fltui.aggregation.terms import Row, Term
from fltui.arguments import check_number
from fltui.errors import BadInputError, FltuiError

_MEASURED = 1 << 16
"""Elements of a block that a norm is made of. It is not the size of those that are changed, so a norm has the same bits
whatever that is."""

Change = Callable[[str, int, Row], None]
"""Changes elements in place: the parameter's name, the number of the first of them, and a block of its elements."""


@dataclass(frozen=True)
class View:
    """What is about to pass, seen through once or more.

    Attributes:
        terms: parameter name to its array, and the array that it is a difference to; those of floats alone.
        others: names of the parameters that are not of floats, which pass as they are.
        round: the round's number.
        site: whose update it is; empty for the model and for the update of all.
        at_site: it has not left the site yet.
        method: of the filter, to which it is shown.
        entropy: what the draws of this view begin from, a secret first.
        weights: of the sites in the update of all, by site.
    """

    terms: Mapping[str, tuple[Term, Source | None]]
    others: tuple[str, ...] = ()
    round: int = 0
    site: str = ""
    at_site: bool = False
    method: str = ""
    entropy: tuple[int, ...] = (0,)
    weights: Mapping[str, float] = field(default_factory=dict)

    def blocks(self, name: str, length: int = 0) -> Iterator[tuple[int, Row]]:
        """The blocks of a parameter: the number of the first element, and the elements; written over by the next.

        Args:
            name: of the parameter.
            length: elements of a block; the usual number if not given.
        """
        term, base = self.terms[name]
        size = term.source.size
        longest = next(spans(size, length), (0, 0))[1]
        found, old, scratch = np.empty(longest), np.empty(longest), np.empty(longest)
        for start, count in spans(size, length):
            values = found[:count]
            read(term.source, start, values, scratch)
            if base is not None and not term.is_difference:
                read(base, start, old[:count], scratch)
                values -= old[:count]
            yield start, values

    def norm(self) -> float:
        """The Euclidean norm of all elements together."""
        with np.errstate(over="ignore"):  # of squares, which `norm_of` allows for
            norms = [norm_of(values) for name in self.terms for _, values in self.blocks(name, _MEASURED)]
        return math.hypot(*norms)

    def generator(self, name: str, start: int, seed: int | None = None) -> np.random.Generator:
        """What the draws for one block come from; always the same for the same view, method, parameter and block.

        Args:
            name, start: of the block.
            seed: in place of the secret, for draws that anybody can make again.
        """
        secret, *rest = self.entropy
        known = secret if seed is None else seed
        # A digest of text, and not the numbers themselves: NumPy takes some that differ for the same.
        told = ascii((known, *rest, self.method, name, start)).encode()
        return np.random.default_rng(int.from_bytes(hashlib.blake2b(told, digest_size=32).digest(), "big"))


@dataclass(frozen=True)
class Filter:
    """Lets everything pass, see the module."""

    def task(self, view: View) -> Change | None:  # noqa: ARG002
        """Of the model that the sites receive; the server's own stays as it is. The elements are the model's own."""
        return None

    def result(self, view: View) -> Change | None:  # noqa: ARG002
        """Of one site's update."""
        return None

    def aggregate(self, view: View) -> Change | None:  # noqa: ARG002
        """Of the update that all sites' make together, before a server optimiser's step. The view shows no elements."""
        return None

    def check(self, *, at_site: bool) -> None:
        """Make sure that it can be where it was sent to, and has what it needs there.

        Raises:
            BadInputError: it cannot.
        """


@dataclass(frozen=True)
class ClipNorm(Filter):
    """Shrinks an update to a Euclidean norm, over all parameters together, where it is longer.

    Attributes:
        max_norm: above 0.
    """

    max_norm: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "max_norm", above=0)

    def result(self, view: View) -> Change | None:
        """See `Filter.result`."""
        norm = view.norm()
        if norm <= self.max_norm:
            return None
        factor = self.max_norm / norm

        def change(_name: str, _start: int, values: Row) -> None:
            values *= factor

        return change


@dataclass(frozen=True)
class ExcludeVars(Filter):
    """Keeps parameters at home: an update leaves them as they were, and a model is sent with zeros in their place.

    Attributes:
        names: of the parameters; one that ends with ``*`` stands for all that begin so.
    """

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.names
        if not isinstance(given, list | tuple) or not given or not all(isinstance(name, str) for name in given):
            raise BadInputError(f"ExcludeVars: names is {given!r}, expected a list of parameter names")
        object.__setattr__(self, "names", tuple(given))

    def task(self, view: View) -> Change | None:
        """See `Filter.task`."""
        return None if view.at_site else self._clear(view)

    def result(self, view: View) -> Change | None:
        """See `Filter.result`."""
        return self._clear(view)

    def _clear(self, view: View) -> Change:
        for pattern in self.names:
            if not any(_matches(name, pattern) for name in (*view.terms, *view.others)):
                raise BadInputError(f"ExcludeVars: the model has no parameter {pattern!r}")
            if lets_pass := [name for name in view.others if _matches(name, pattern)]:
                raise BadInputError(
                    f"ExcludeVars: parameter {lets_pass[0]!r} is not of floats, and filters let such pass as they are; "
                    "leave it out of the model"
                )

        def change(name: str, _start: int, values: Row) -> None:
            if any(_matches(name, pattern) for pattern in self.names):
                values.fill(0)

        return change


@dataclass(frozen=True)
class PercentilePrivacy(Filter):
    """Lets only the largest elements of an update pass, and those within bounds.

    Shokri and Shmatikov, "Privacy-Preserving Deep Learning", 2015, section 5: selective sharing.

    Attributes:
        percentile: elements whose size is below this percentile, over all parameters together, become 0; 0 to 100.
        gamma: the others are cut to ± gamma, above 0.
    """

    percentile: float = 10.0
    gamma: float = 0.01

    def __post_init__(self) -> None:
        check_number(self, "percentile", least=0, most=100)
        check_number(self, "gamma", above=0)

    def result(self, view: View) -> Change | None:
        """See `Filter.result`."""
        least = size_at(view, self.percentile)

        def change(_name: str, _start: int, values: Row) -> None:
            values[np.abs(values) < least] = 0
            np.clip(values, -self.gamma, self.gamma, out=values)

        return change


def asked(
    one: Filter, what: Literal["task", "result", "aggregate"], view: View, failed: Callable[[str], FltuiError]
) -> Change | None:
    """What a filter does to a view, by the method named.

    Whatever goes wrong in a filter that a user wrote, also later in its change, becomes one sentence.

    Args:
        one: the filter.
        what: the method.
        view: what it is shown.
        failed: makes the error of a sentence.
    """

    def wrong(error: Exception) -> FltuiError:
        if isinstance(error, BadInputError):
            return failed(str(error))
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return failed(f"{type(one).__name__}.{what}() failed in {where}: {type(error).__name__}: {error}")

    try:
        change: Change | None = getattr(one, what)(replace(view, method=what))
    except Exception as error:
        raise wrong(error) from error
    if change is None:
        return None
    made = change

    def guarded(name: str, start: int, values: Row) -> None:
        try:
            found: object = made(name, start, values)
        except Exception as error:
            raise wrong(error) from error
        if found is not None:
            raise failed(f"{type(one).__name__}.{what}(): its change returned values; it has to change them in place")

    return guarded


def size_at(view: View, percentile: float) -> float:
    """The least size of an element that at least `percentile` percent of all elements do not exceed.

    Found digit by digit: of floats that are not negative, the bits read as a whole number have the same order. So four
    passes over the elements do, with 65,536 counts in memory and not the elements.
    """
    total = sum(term.source.size for term, _ in view.terms.values())
    if not total:
        return 0.0
    rank = max(0, math.ceil(percentile / 100 * total) - 1)
    found, known = 0, 0
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, np.int64)
        for name in view.terms:
            for _, values in view.blocks(name):
                bits = np.abs(values).view(np.uint64)
                digits = bits[(bits >> np.uint64(shift + 16)) == found] if known else bits
                places = ((digits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
                counts += np.bincount(places, minlength=1 << 16)
        before = np.cumsum(counts)
        place = int(np.searchsorted(before, rank, side="right"))
        rank -= int(before[place - 1]) if place else 0
        found, known = (found << 16) | place, known + 1
    return float(np.array([found], np.uint64).view(np.float64)[0])


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
