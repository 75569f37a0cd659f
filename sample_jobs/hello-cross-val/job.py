"""Hello cross-site evaluation: the job. Three sites train together, then every model is tried on every site's data."""

import numpy as np

from fltui import CrossSiteEval, FedAvg, FedJob, ScriptExecutor

SITES = 3
WANTED = (0, 3, 9)

if __name__ == "__main__":
    job = FedJob(name="hello-cross-val")
    start = {"numpy_key": np.zeros((3, 3), np.float32)}
    job.to(FedAvg(num_clients=SITES, num_rounds=8, model=start), "server")
    job.to(CrossSiteEval(num_clients=SITES), "server")
    for i in range(SITES):
        job.to(ScriptExecutor("src/cross_val_fl.py", f"--wanted {WANTED[i]}"), f"site-{i}")
    job.simulator_run("/tmp/fltui/jobs/workdir")
