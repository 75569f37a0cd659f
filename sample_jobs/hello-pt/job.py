"""Hello PyTorch: the job. Three sites train a small convolutional network on handwritten digits."""

import sys
from importlib.util import find_spec

from fltui import FedAvg, FedJob, ScriptExecutor

SITES = 3

if __name__ == "__main__":
    if find_spec("torch") is None:
        sys.exit("hello-pt needs PyTorch, which is not installed here: pip install torch")
    job = FedJob(name="hello-pt")
    job.to(FedAvg(num_clients=SITES, num_rounds=10), "server")
    for i in range(SITES):
        job.to(ScriptExecutor("src/pt_fl.py"), f"site-{i}")
    job.simulator_run("/tmp/fltui/jobs/workdir")
