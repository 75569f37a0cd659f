"""Softmax regression on handwritten digits, where some sites are up to no good: the training script of every site."""

from __future__ import annotations

import argparse

import numpy as np
from digits import load_site
from numpy.typing import NDArray

import fltui.client as flare

STEPS = 5
BATCH = 128
LEARNING_RATE = 0.3

Params = dict[str, NDArray[np.float32]]


def probabilities(params: Params, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """How likely each image is each digit, a row per image."""
    scores = images @ params["weights"] + params["bias"]
    likely: NDArray[np.float32] = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    return likely


def train(params: Params, images: NDArray[np.float32], digits: NDArray[np.int64], seed: int) -> Params:
    """Some steps of stochastic gradient descent."""
    params = {name: array.copy() for name, array in params.items()}
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        rows = random.integers(len(digits), size=BATCH)
        error = (probabilities(params, images[rows]) - np.eye(10, dtype=np.float32)[digits[rows]]) / BATCH
        params["weights"] -= LEARNING_RATE * images[rows].T @ error
        params["bias"] -= LEARNING_RATE * error.sum(axis=0)
    return params


def attack(kind: str, received: Params, trained: Params, seed: int) -> Params:
    """What a bad site sends in place of its honest model."""
    random = np.random.default_rng(seed)
    if kind == "sign-flip":  # five times the honest update, the other way
        return {name: received[name] - 5 * (trained[name] - received[name]) for name in received}
    if kind == "huge":  # noise a hundred times as large as any weight
        return {name: random.normal(0, 100, array.shape).astype(np.float32) for name, array in received.items()}
    return trained


def main() -> None:
    """Take part in a run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--attack", choices=("none", "sign-flip", "huge"), default="none")
    a = parser.parse_args()

    flare.init()
    site = int(flare.get_site_name().removeprefix("site-"))
    images, digits, test_images, test_digits = load_site(site, a.sites, alpha=10)

    while flare.is_running():
        model = flare.receive()
        guesses = probabilities(model.params, test_images).argmax(axis=1)
        metrics = {"accuracy": float((guesses == test_digits).mean())}
        trained = train(model.params, images, digits, flare.get_seed())
        flare.send(flare.FLModel(params=attack(a.attack, model.params, trained, flare.get_seed()), metrics=metrics))


if __name__ == "__main__":
    main()
