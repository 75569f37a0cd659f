"""Hello FedAvg with NumPy: the training script of every site."""

import argparse

import numpy as np

import fltui.client as flare

NUMPY_KEY = "numpy_key"


def train(weights: np.ndarray, delta: float) -> np.ndarray:
    """Stand in for training: add `delta` to every weight."""
    return weights + np.float32(delta)


def evaluate(weights: np.ndarray) -> float:
    """Stand in for evaluation: the mean of the weights."""
    return float(np.mean(weights))


def main() -> None:
    """Take part in a run: receive, train, send, until the run ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delta", type=float, default=1.0, help="what training adds to every weight")
    arguments = parser.parse_args()

    flare.init()
    print(f"system info: {flare.system_info()}")

    while flare.is_running():
        input_model = flare.receive()
        print(f"current round: {input_model.current_round} of {input_model.total_rounds}")
        print(f"received weights: {input_model.params}")

        if input_model.params == {}:  # the server has no model yet: start from our own
            weights = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float32)
        else:
            weights = input_model.params[NUMPY_KEY]

        metrics = {"accuracy": evaluate(weights)}
        new_weights = train(weights, arguments.delta)

        print(f"sending weights: {new_weights.tolist()}")
        flare.send(flare.FLModel(params={NUMPY_KEY: new_weights}, metrics=metrics))


if __name__ == "__main__":
    main()
