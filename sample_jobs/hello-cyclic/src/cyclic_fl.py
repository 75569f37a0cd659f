"""Hello Cyclic: the training script of every site."""

import argparse

import numpy as np

import fltui.client as flare

NUMPY_KEY = "numpy_key"


def main() -> None:
    """Take part in a run: receive what the site before has sent, train, send it on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delta", type=float, default=1.0, help="what training adds to every weight")
    a = parser.parse_args()

    flare.init()
    while flare.is_running():
        model = flare.receive()
        weights = model.params.get(NUMPY_KEY)
        if weights is None:  # the first site of the first round starts from its own model
            weights = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float32)
        print(f"round {model.current_round}: received {weights.tolist()}")
        metrics = {"mean": float(weights.mean())}
        flare.send(flare.FLModel(params={NUMPY_KEY: weights + np.float32(a.delta)}, metrics=metrics))


if __name__ == "__main__":
    main()
