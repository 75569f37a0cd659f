"""Softmax regression on handwritten digits: the job. Ten sites, and each has other digits than its neighbours.

python sample_jobs/digits-softmax/job.py --algorithm scaffold
"""

import argparse

import numpy as np

from fltui import FedAdam, FedAvg, FedJob, FedProx, Scaffold, ScriptExecutor

SITES = 10

ALGORITHMS = {
    "pooled": (FedAvg, {}),
    "fedavg": (FedAvg, {}),
    "fedprox": (FedProx, {"mu": 0.02}),
    "scaffold": (Scaffold, {}),
    "fedadam": (FedAvg, {"server_optimizer": FedAdam(learning_rate=0.2)}),
}


def digits_job(algorithm: str = "fedavg", rounds: int = 30) -> FedJob:
    """The job with one of the algorithms; ``pooled`` is one site that has the images of all."""
    sites = 1 if algorithm == "pooled" else SITES
    kind, options = ALGORITHMS[algorithm]
    start = {"weights": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}
    workflow = kind(num_clients=sites, num_rounds=rounds, model=start, **options)

    job = FedJob(name=f"digits-{algorithm}")
    job.to(workflow, "server")
    for i in range(sites):
        job.to(ScriptExecutor("src/softmax_fl.py", f"--sites {sites} --alpha 0.3"), f"site-{i}")
    return job


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithm", choices=tuple(ALGORITHMS), default="fedavg")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workspace", default="/tmp/fltui/jobs/workdir", help="where runs/ and exchange/ are")
    a = parser.parse_args()
    digits_job(a.algorithm, a.rounds).simulator_run(a.workspace)
