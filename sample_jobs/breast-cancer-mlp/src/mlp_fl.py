"""A network of two layers that tells malignant tumours from benign ones: the training script of every hospital."""

from __future__ import annotations

import numpy as np
from hospitals import Patients, load_hospital
from numpy.typing import NDArray

import fltui.client as flare

STEPS = 20
BATCH = 16
LEARNING_RATE = 0.05

Params = dict[str, NDArray[np.float32]]


def forward(params: Params, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The hidden layer, a row per patient, and how likely each tumour is malignant."""
    hidden = np.tanh(x @ params["hidden_weights"] + params["hidden_bias"])
    return hidden, 1 / (1 + np.exp(-(hidden @ params["weights"] + params["bias"])))


def auc(params: Params, patients: Patients) -> float:
    """How often a malignant tumour is held for more likely so than a benign one: the area under the ROC curve."""
    x, y = patients
    _, likely = forward(params, x)
    malignant, benign = likely[y == 1, None], likely[y == 0]
    return float((malignant > benign).mean() + (malignant == benign).mean() / 2)


def train(received: Params, patients: Patients, seed: int) -> Params:
    """Some steps of stochastic gradient descent on the cross-entropy."""
    params = {name: array.copy() for name, array in received.items()}
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        rows = random.integers(len(patients[1]), size=BATCH)
        x, y = patients[0][rows], patients[1][rows]
        hidden, likely = forward(params, x)
        error = (likely - y) / BATCH
        behind = np.outer(error, params["weights"]) * (1 - hidden**2)
        params["weights"] -= LEARNING_RATE * hidden.T @ error
        params["bias"] -= LEARNING_RATE * error.sum(keepdims=True)
        params["hidden_weights"] -= LEARNING_RATE * x.T @ behind
        params["hidden_bias"] -= LEARNING_RATE * behind.sum(axis=0)
    return params


def main() -> None:
    """Take part in a run, and train a second model on the side that sees this hospital's patients alone."""
    flare.init()
    mine, held_out = load_hospital(int(flare.get_site_name().removeprefix("hospital-")))
    alone: Params = {}
    while flare.is_running():
        model = flare.receive()
        if flare.is_train():
            metrics = {"auc": auc(model.params, held_out)}
            alone = train(alone or model.params, mine, flare.get_seed())
            params = train(model.params, mine, flare.get_seed())
            meta = {"NUM_STEPS_CURRENT_ROUND": len(mine[1])}
            flare.send(flare.FLModel(params=params, metrics=metrics, meta=meta))
        elif flare.is_evaluate():
            flare.send(flare.FLModel(metrics={"auc": auc(model.params, held_out)}))
        elif flare.is_submit_model():
            flare.send(flare.FLModel(params=alone))


if __name__ == "__main__":
    main()
