"""FedProx (Li et al., "Federated Optimization in Heterogeneous Networks", 2020): averaging of models that each site has
trained with the penalty ``mu / 2 * |w - w_received|**2``, so that none drifts far off on data unlike those of others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fltui.arguments import check_number
from fltui.workflows.fedavg import FedAvg
from fltui.workflows.workflow import Federation, Request

FEDPROX_MU = "fedprox_mu"
"""Key of a task's meta: μ, for the scripts."""


@dataclass(frozen=True)
class FedProx(FedAvg):
    """`FedAvg` that tells the scripts μ, as ``meta["fedprox_mu"]``: they add ``mu * (w - w_received)`` to the gradient.

    Attributes:
        mu: μ, from 0, which is FedAvg.
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "mu", least=0)

    def prepare(self, request: Request, federation: Federation) -> Request:
        """See `Averaging.prepare`."""
        return super().prepare(replace(request, meta={**request.meta, FEDPROX_MU: self.mu}), federation)
