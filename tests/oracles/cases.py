"""The inputs that were put through flwr, made again from their seeds, and what came out (`flwr.json`)."""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Model = dict[str, Array]

STORED = Path(__file__).with_name("flwr.json")
SHAPES: dict[str, tuple[int, ...]] = {
    "scalar": (),
    "vector": (7,),
    "matrix": (3, 4),
    "cube": (2, 3, 2),
    "kernel": (2, 2, 3, 2),
}


@dataclass(frozen=True)
class Case:
    """One run of one strategy of flwr.

    Attributes:
        strategy: class in `flwr.serverapp.strategy`, or `server.Bulyan` for the one in `flwr.server.strategy`.
        arguments: what the class is made with.
        spread: how far the sites' elements are at most from where they stand on average.
        offset: added to every element.
        outliers: so many of the sites, the last, send something that is ten times as far off.
        equal_weights: every site has as many examples.
        reversed_names: every other site names its parameters in reverse order.
    """

    name: str
    strategy: str
    seed: int
    sites: int
    dtype: str = "float64"
    arguments: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 1
    spread: float = 1.0
    offset: float = 0.0
    outliers: int = 0
    equal_weights: bool = False
    reversed_names: bool = False

    def initial(self) -> Model:
        """The model before the first round."""
        random = self._random(0)
        return {name: self._array(1.0, shape, random) for name, shape in SHAPES.items()}

    def models(self, round_: int = 1) -> list[Model]:
        """What the sites send in a round, counted from 1; independent of what came out of the rounds before."""
        random = self._random(round_)
        centre = {name: random.random_sample(shape) for name, shape in SHAPES.items()}
        models = []
        for site in range(self.sites):
            spread = self.spread * (10 if site >= self.sites - self.outliers else 1)
            model = {name: self._array(spread, centre[name].shape, random, centre[name]) for name in SHAPES}
            turned = self.reversed_names and site % 2
            models.append(dict(reversed(model.items())) if turned else model)
        return models

    def weights(self, round_: int = 1) -> list[int]:
        """The sites' numbers of examples in a round."""
        numbers = self._random(1000 + round_).randint(1, 500, self.sites)
        return [100] * self.sites if self.equal_weights else numbers.tolist()

    def fingerprint(self) -> str:
        """Of the bytes of all inputs: tells whether they are still those that flwr was given."""
        digest = hashlib.sha256()
        for model in [self.initial(), *(model for r in range(1, self.rounds + 1) for model in self.models(r))]:
            for name, array in model.items():
                digest.update(
                    name.encode() + str(array.dtype).encode() + array.astype(array.dtype.newbyteorder("<")).tobytes()
                )
        digest.update(str([self.weights(r) for r in range(1, self.rounds + 1)]).encode())
        return digest.hexdigest()[:16]

    def description(self) -> dict[str, Any]:
        """All that the inputs and the run depend on, as stored."""
        return {**asdict(self), "arguments": dict(self.arguments), "inputs": self.fingerprint()}

    def outputs(self) -> list[Model]:
        """flwr's model after each round, in the dtype that it has there."""
        return [
            {name: np.array(found["values"], found["dtype"]).reshape(SHAPES[name]) for name, found in model.items()}
            for model in stored()["cases"][self.name]["outputs"]
        ]

    def _random(self, number: int) -> np.random.RandomState:
        # Unlike `default_rng`, whose streams may change with NumPy (NEP 19), this one is frozen.
        return np.random.RandomState([self.seed, number])

    def _array(
        self, spread: float, shape: tuple[int, ...], random: np.random.RandomState, centre: Array | float = 0.0
    ) -> Array:
        uniform = np.asarray(random.random_sample(shape))
        return np.asarray(self.offset + spread * (centre + (2 * uniform - 1)), self.dtype)


@functools.cache
def stored() -> dict[str, Any]:
    """What `flwr.json` holds."""
    found: dict[str, Any] = json.loads(STORED.read_text("utf-8"))
    return found


def _cases() -> list[Case]:
    f64, f32 = "float64", "float32"
    found: list[Case] = []

    def add(strategy: str, sites: int, dtype: str = f64, note: str = "", **rest: Any) -> None:
        arguments = rest.pop("arguments", {})
        words = [strategy, str(sites), dtype, *(f"{key}={value:g}" for key, value in arguments.items()), note]
        name = "-".join(word for word in words if word)
        seed = rest.pop("seed", zlib.crc32(name.encode()))
        found.append(Case(name, strategy, seed, sites, dtype, arguments, **rest))

    for sites, dtype in [(5, f64), (50, f64), (5, f32), (17, f32), (50, f32)]:
        add("FedAvg", sites, dtype)
    for sites, dtype, outliers in [(5, f64, 0), (8, f64, 2), (50, f64, 9), (9, f32, 2), (50, f32, 9)]:
        add("FedMedian", sites, dtype, outliers=outliers)
    for sites, dtype, beta in [
        (5, f64, 0.0),
        (5, f64, 0.2),
        (10, f64, 0.3),
        (17, f64, 0.1),
        (50, f64, 0.49),
        (7, f32, 0.3),
        (50, f32, 0.2),
    ]:
        add("FedTrimmedAvg", sites, dtype, arguments={"beta": beta}, outliers=int(beta * sites))
    for sites, dtype, f in [(5, f64, 0), (7, f64, 2), (50, f64, 12), (9, f32, 2), (50, f32, 12)]:
        add("Krum", sites, dtype, arguments={"num_malicious_nodes": f}, outliers=f)
    near: dict[str, Any] = {"spread": 1e-3, "offset": 100.0, "arguments": {"num_malicious_nodes": 2}}
    add("Krum", 10, f64, "near", **near)
    add("Krum", 10, f32, "near", **near)
    add("Krum", 10, f64, "reversed", arguments={"num_malicious_nodes": 2}, reversed_names=True, seed=4)
    for sites, dtype, f, k in [(7, f64, 2, 3), (50, f64, 12, 20), (12, f32, 3, 6)]:
        arguments = {"num_malicious_nodes": f, "num_nodes_to_select": k}
        add("MultiKrum", sites, dtype, "equal", arguments=arguments, outliers=f, equal_weights=True)
        add("MultiKrum", sites, dtype, arguments=arguments, outliers=f)
    for sites, dtype, f in [(5, f64, 0), (7, f64, 1), (11, f64, 2), (18, f64, 3), (50, f64, 11), (12, f32, 2)]:
        for strategy, argument in [("Bulyan", "num_malicious_nodes"), ("server.Bulyan", "num_malicious_clients")]:
            add(strategy, sites, dtype, arguments={argument: f}, outliers=f // 2)
    for sites, dtype, eta, momentum in [(6, f64, 0.7, 0.9), (6, f64, 0.5, 0.0), (6, f32, 1.0, 0.9)]:
        add("FedAvgM", sites, dtype, arguments={"server_learning_rate": eta, "server_momentum": momentum}, rounds=5)
    for dtype, eta, tau in [(f64, 0.1, 1e-3), (f64, 0.03, 0.05), (f32, 0.1, 0.05)]:
        add("FedAdagrad", 6, dtype, arguments={"eta": eta, "tau": tau}, rounds=5)
        for strategy in ("FedAdam", "FedYogi"):
            add(strategy, 6, dtype, arguments={"eta": eta, "tau": tau, "beta_1": 0.8, "beta_2": 0.95}, rounds=5)
    return found


CASES = {case.name: case for case in _cases()}


def of_strategy(*strategies: str) -> list[Case]:
    """The cases of these strategies."""
    return [case for case in CASES.values() if case.strategy in strategies]
