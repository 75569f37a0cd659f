"""What every site of a measured job runs: add 1 to the model.

add_one.py [GATE]

The first round waits until the file GATE is there, so that whatever is to be beside the run can start first.
"""

import sys
import time
from pathlib import Path

import fltui.client as flare


def main() -> None:
    """Take part in a run until it ends."""
    gate = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    flare.init()
    while flare.is_running():
        received = flare.receive()
        if received is None or received.params is None:
            break
        while gate and not gate.exists():
            time.sleep(0.01)  # before what is measured; a script has no watcher of its own
        gate = None
        weights = received.params["numpy_key"]
        # The tutorial's metric; of the first elements only, so that it costs the same for a model of any size.
        metrics = {"accuracy": float(weights.ravel()[:9].mean())}
        flare.send(flare.FLModel(params={"numpy_key": weights + 1}, metrics=metrics))


if __name__ == "__main__":
    main()
