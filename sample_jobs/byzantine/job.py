"""Ten sites, three of them bad: the job.

python sample_jobs/byzantine/job.py --aggregator krum --attack huge
"""

import argparse

import numpy as np

from fltui import FedAvg, FedJob, GeometricMedian, Krum, Median, MultiKrum, ScriptExecutor, TrimmedMean, WeightedMean

SITES = 10
BAD = 3

AGGREGATORS = {
    "mean": WeightedMean(),
    "median": Median(),
    "trimmed-mean": TrimmedMean(beta=0.3),
    "geometric-median": GeometricMedian(),
    "krum": Krum(f=BAD),
    "multi-krum": MultiKrum(f=BAD, k=5),
}
ATTACKS = ("none", "sign-flip", "huge")


def byzantine_job(aggregator: str = "median", attack: str = "sign-flip", rounds: int = 30) -> FedJob:
    """The job with one of the aggregators, and what the last three sites do."""
    start = {"weights": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}
    workflow = FedAvg(num_clients=SITES, num_rounds=rounds, model=start, aggregator=AGGREGATORS[aggregator])
    job = FedJob(name=f"byzantine-{aggregator}")
    job.to(workflow, "server")
    for i in range(SITES):
        does = attack if i >= SITES - BAD else "none"
        job.to(ScriptExecutor("src/byzantine_fl.py", f"--sites {SITES} --attack {does}"), f"site-{i}")
    return job


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--aggregator", choices=tuple(AGGREGATORS), default="median")
    parser.add_argument("--attack", choices=ATTACKS, default="sign-flip")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workspace", default="/tmp/fltui/jobs/workdir", help="where runs/ and exchange/ are")
    a = parser.parse_args()
    byzantine_job(a.aggregator, a.attack, a.rounds).simulator_run(a.workspace)
