"""Statistics over the patients of four hospitals, with noise that hides each of them: the job.

python sample_jobs/private-mean/job.py --noise 4
"""

import argparse

from fltui import FedJob, ScriptExecutor, Statistics

HOSPITALS = 4
BOUNDS = {"radius": (5.0, 30.0), "texture": (5.0, 45.0), "smoothness": (0.05, 0.2)}  # known without looking at the data


def statistics_job(noise: float | None = 4.0, seed: int | None = 0) -> FedJob:
    """The job with a noise multiplier; None for no noise. A known seed lets the noise be taken off."""
    workflow = Statistics(
        features=tuple(BOUNDS),
        num_clients=HOSPITALS,
        bins=10,
        bounds=BOUNDS,
        noise_multiplier=noise,
        noise_seed=seed,
    )
    job = FedJob(name="private-mean")
    job.to(workflow, "server")
    for i in range(HOSPITALS):
        job.to(ScriptExecutor("src/statistics_fl.py"), f"hospital-{i}")
    return job


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--noise", type=float, default=4.0)
    parser.add_argument("--workspace", default="/tmp/fltui/jobs/workdir", help="where runs/ and exchange/ are")
    a = parser.parse_args()
    statistics_job(a.noise).simulator_run(a.workspace)
