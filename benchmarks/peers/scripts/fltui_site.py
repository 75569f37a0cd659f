"""What every site of fltui runs: add 1 to the model, and note when each round reached it.

fltui_site.py NOTES
"""

import sys
import time

import fltui.client as flare


def main() -> None:
    """Take part in a run until it ends."""
    notes = sys.argv[1]
    flare.init()
    while flare.is_running():
        received = flare.receive()
        if received is None or received.params is None:
            break
        with open(notes, "a", encoding="ascii") as file:
            file.write(f"{received.current_round} {time.monotonic()}\n")
        weights = received.params["numpy_key"]
        # The tutorial's metric; of the first elements only, so that it costs the same for a model of any size.
        metrics = {"accuracy": float(weights.ravel()[:9].mean())}
        flare.send(flare.FLModel(params={"numpy_key": weights + 1}, metrics=metrics))


if __name__ == "__main__":
    main()
