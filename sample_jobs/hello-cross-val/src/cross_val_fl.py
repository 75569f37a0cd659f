"""Hello cross-site evaluation: the script of every site, which trains, evaluates, and hands in its own model."""

import argparse

import numpy as np
from numpy.typing import NDArray

import fltui.client as flare

NUMPY_KEY = "numpy_key"


def train(weights: NDArray[np.float32], wanted: float) -> NDArray[np.float32]:
    """Stand in for training: go half of the way to what this site's data want."""
    return weights + np.float32(0.5) * (np.float32(wanted) - weights)


def evaluate(weights: NDArray[np.float32], wanted: float) -> float:
    """Stand in for evaluation: the squared distance from what this site's data want."""
    return float(((weights - wanted) ** 2).mean())


def main() -> None:
    """Take part in a run: the server asks for training, for metrics of a model, or for this site's own model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wanted", type=float, default=1.0, help="the weight that this site's data want")
    a = parser.parse_args()

    flare.init()
    own = np.zeros((3, 3), dtype=np.float32)
    while flare.is_running():
        model = flare.receive()
        if flare.is_train():
            weights = model.params[NUMPY_KEY]
            own = train(weights, a.wanted)
            metrics = {"loss": evaluate(weights, a.wanted)}
            flare.send(flare.FLModel(params={NUMPY_KEY: own}, metrics=metrics))
        elif flare.is_evaluate():
            flare.send(flare.FLModel(metrics={"loss": evaluate(model.params[NUMPY_KEY], a.wanted)}))
        elif flare.is_submit_model():
            flare.send(flare.FLModel(params={NUMPY_KEY: own}))


if __name__ == "__main__":
    main()
