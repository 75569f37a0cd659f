"""Differential privacy: noise that hides what one site's update of a model was, and what that costs.

McMahan et al., "Learning Differentially Private Recurrent Language Models", 2018: every update is clipped to a norm C,
and noise of ``z C`` hides the sum of the updates. What follows from z and from the number of rounds for ε and δ is
computed by the package ``dp-accounting``, as the composition of Gaussian mechanisms by their Rényi divergence (Mironov,
"Rényi Differential Privacy", 2017).

What is hidden is what one site's update was: neighbouring runs differ in the updates of one site, replaced by nothing
(a difference of 0). Weights and who took part are known in both and not hidden, nor are metrics. Who is asked can be
seen in the exchange folder, so the choice of some sites each round is not taken to hide anybody. Every round counts
from round 0 on, also those of a run before that has left the model to begin with: its rounds are numbered on from
there.

The noise is drawn in float64. That hides from whoever sees models, and has not been proved against an attack on the
last bits of floats (Mironov, "On Significance of the Least Significant Bits for Differential Privacy", 2012), nor does
it come from a cryptographic generator: NumPy's PCG64 draws it, from a secret of 128 bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fltui.aggregation.filters import Change, ClipNorm, Filter, View
from fltui.aggregation.terms import Row
from fltui.arguments import check_number, check_whole
from fltui.errors import BadInputError

_LEAST_MULTIPLIER = 1e-3
"""Less noise hides nothing: epsilon is beyond 500,000, and soon no number any more."""

_ACCOUNTING = "dp_accounting"

_DRAWN = 1 << 16
"""Elements whose noise is drawn in one go, counted from the parameter's start. It is not the size of the blocks that
pass, which may become another: a run with noise could then not be verified any more."""


@dataclass(frozen=True)
class GaussianNoise(Filter):
    """Clips every update and adds noise: at the server to the mean of all (central), at a site to its own (local).

    Attributes:
        noise_multiplier: z, the noise's standard deviation by the norm that an update is clipped to; at least 0.001.
        max_norm: C, above 0.
        delta: δ, above 0 and at most 0.5; well below one over the number of sites.
        max_epsilon: no round begins that would bring ε above this; no limit if not given.
        seed: what the noise is drawn from, for a demonstration that comes out the same each time. Whoever knows it can
            take the noise off again. If not given, a secret that stays in the run folder or at the site.
    """

    noise_multiplier: float = 1.0
    max_norm: float = 1.0
    delta: float = 1e-5
    max_epsilon: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_number(self, "noise_multiplier", least=_LEAST_MULTIPLIER)
        check_number(self, "max_norm", above=0)
        check_number(self, "delta", above=0, most=0.5)
        check_number(self, "max_epsilon", above=0, optional=True)
        check_whole(self, "seed", 0, optional=True)

    def check(self, *, at_site: bool) -> None:  # noqa: ARG002
        """See `Filter.check`. The package is not loaded before it is to compute: that takes a second."""
        if find_spec(_ACCOUNTING) is None:
            raise _missing()

    def epsilon(self, rounds: int) -> float:
        """ε after so many rounds.

        Raises:
            BadInputError: the package that computes it is not installed.
        """
        return _epsilon(self.noise_multiplier, self.delta, rounds)

    def check_budget(self, rounds: int, where: str) -> None:
        """Make sure that one round more than `rounds` keeps within the budget.

        Raises:
            BadInputError: it does not.
        """
        if self.max_epsilon is not None and (after := self.epsilon(rounds + 1)) > self.max_epsilon:
            raise BadInputError(
                f"{where} does not begin: it would bring the epsilon spent from {self.epsilon(rounds):.6g} to "
                f"{after:.6g} (delta {self.delta:g}), above max_epsilon, which is {self.max_epsilon:.6g}"
            )

    def result(self, view: View) -> Change | None:
        """See `Filter.result`."""
        if view.others:
            raise BadInputError(
                f"GaussianNoise: parameter {view.others[0]!r} is not of floats, so no noise would hide it"
            )
        clip = ClipNorm(self.max_norm).result(view)
        if not view.at_site:
            return clip
        noise = self._noise(view, self.noise_multiplier * self.max_norm)

        def change(name: str, start: int, values: Row) -> None:
            if clip is not None:
                clip(name, start, values)
            noise(name, start, values)

        return change

    def aggregate(self, view: View) -> Change | None:
        """See `Filter.aggregate`: the mean changes by no more than the largest weight's part of C."""
        weights = view.weights.values()
        if not any(weights):
            return None  # nor is there a mean
        return self._noise(view, self.noise_multiplier * self.max_norm * max(weights) / sum(weights))

    def _noise(self, view: View, deviation: float) -> Change:
        def change(name: str, start: int, values: Row) -> None:
            for first in range(start - start % _DRAWN, start + values.size, _DRAWN):
                begin, end = max(start, first), min(start + values.size, first + _DRAWN)
                drawn = view.generator(name, first, self.seed).normal(0.0, deviation, end - first)
                values[begin - start : end - start] += drawn[begin - first :]

        return change


@functools.lru_cache(1024)
def _epsilon(noise_multiplier: float, delta: float, rounds: int) -> float:
    if rounds == 0:
        return 0.0
    accounting = _accounting()
    accountant = accounting.rdp.RdpAccountant()
    accountant.compose(accounting.GaussianDpEvent(noise_multiplier), rounds)
    return float(accountant.get_epsilon(delta))


def _accounting() -> Any:
    try:
        return import_module(_ACCOUNTING)
    except ImportError as error:
        raise _missing(f" ({error})") from error


def _missing(why: str = "") -> BadInputError:
    return BadInputError(
        f"GaussianNoise: the package dp-accounting computes the epsilon spent and is not here{why}; install "
        "'fltui[privacy]'"
    )
