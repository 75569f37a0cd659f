"""Softmax regression on handwritten digits: the training script of every site."""

from __future__ import annotations

import argparse

import numpy as np
from digits import load_site
from numpy.typing import NDArray

import fltui.client as flare
from fltui.client.scaffold import Scaffold

STEPS = 50
BATCH = 32
LEARNING_RATE = 1.0

Params = dict[str, NDArray[np.float32]]


def probabilities(params: Params, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """How likely each image is each digit, a row per image."""
    scores = images @ params["weights"] + params["bias"]
    likely: NDArray[np.float32] = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    return likely


def gradient(params: Params, images: NDArray[np.float32], digits: NDArray[np.int64]) -> Params:
    """The slope of the mean cross-entropy."""
    error = probabilities(params, images)
    error[np.arange(len(digits)), digits] -= 1
    error /= len(digits)
    return {"weights": images.T @ error, "bias": error.sum(axis=0)}


def evaluate(params: Params, images: NDArray[np.float32], digits: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and cross-entropy."""
    likely = probabilities(params, images)
    right = likely[np.arange(len(digits)), digits]
    return {"accuracy": float((likely.argmax(axis=1) == digits).mean()), "loss": float(-np.log(right + 1e-9).mean())}


def train(
    received: Params,
    images: NDArray[np.float32],
    digits: NDArray[np.int64],
    mu: float,
    correction: Params,
    seed: int,
) -> Params:
    """Some steps of stochastic gradient descent.

    FedProx pulls towards the received model by `mu`; Scaffold adds its correction to each slope.
    """
    params = {name: array.copy() for name, array in received.items()}
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        rows = random.integers(len(digits), size=BATCH)
        for name, slope in gradient(params, images[rows], digits[rows]).items():
            slope += mu * (params[name] - received[name])
            slope += correction.get(name, 0)
            params[name] -= LEARNING_RATE * slope
    return params


def main() -> None:
    """Take part in a run of FedAvg, FedProx or Scaffold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--alpha", type=float, default=0.3)
    a = parser.parse_args()

    flare.init()
    site = int(flare.get_site_name().removeprefix("site-")) % a.sites  # further sites share the images of these
    images, digits, test_images, test_digits = load_site(site, a.sites, a.alpha)
    scaffold = Scaffold()

    while flare.is_running():
        model = flare.receive()
        metrics = evaluate(model.params, test_images, test_digits)
        mu = model.meta.get("fedprox_mu", 0.0)
        correction = scaffold.begin(model) if model.groups else {}

        params = train(model.params, images, digits, mu, correction, flare.get_seed())

        meta = {"NUM_STEPS_CURRENT_ROUND": len(digits)}  # a site's weight in the mean is how many images it has
        if model.groups:
            flare.send(scaffold.end(params, steps=STEPS, learning_rate=LEARNING_RATE, metrics=metrics, meta=meta))
        else:
            flare.send(flare.FLModel(params=params, metrics=metrics, meta=meta))


if __name__ == "__main__":
    main()
