"""FedAvg in flwr's simulation: the server app and the client app, which adds 1 and notes when each round reached it.

flwr_app.py START ROUNDS SITES NOTES FINAL

One process of a worker per site, each with one processor, so that the sites of a round work side by side.
"""

import sys
import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation


def client_app(notes: str) -> ClientApp:
    """The app that every site runs."""

    def train(message: Message, context: Context) -> Message:  # noqa: ARG001
        with open(notes, "a", encoding="ascii") as file:
            file.write(f"{message.content['config']['server-round']} {time.monotonic()}\n")
        (weights,) = message.content["arrays"].to_numpy_ndarrays()
        # The tutorial's metric; of the first elements only, so that it costs the same for a model of any size.
        metrics = MetricRecord({"accuracy": float(weights.ravel()[:9].mean()), "num-examples": 1})
        content = RecordDict({"arrays": ArrayRecord([weights + 1]), "metrics": metrics})
        return Message(content=content, reply_to=message)

    app = ClientApp()
    app.train()(train)
    return app


def server_app(start: str, rounds: int, sites: int, final: str) -> ServerApp:
    """The app that averages, and saves the final model: flwr itself saves none."""

    def serve(grid: Grid, context: Context) -> None:  # noqa: ARG001
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=sites, min_available_nodes=sites)
        result = strategy.start(grid=grid, initial_arrays=ArrayRecord([np.load(start)]), num_rounds=rounds)
        (weights,) = result.arrays.to_numpy_ndarrays()
        np.save(final, weights)

    app = ServerApp()
    app.main()(serve)
    return app


def main() -> None:
    """Run the simulation."""
    start, rounds, sites, notes, final = sys.argv[1:]
    run_simulation(
        server_app=server_app(start, int(rounds), int(sites), final),
        client_app=client_app(notes),
        num_supernodes=int(sites),
        backend_config={
            "init_args": {"num_cpus": int(sites)},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )


if __name__ == "__main__":
    main()
