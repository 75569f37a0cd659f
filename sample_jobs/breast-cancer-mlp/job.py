"""Four hospitals of different size train one network; every model is then tried at every hospital: the job."""

import numpy as np

from fltui import CrossSiteEval, FedAvg, FedJob, ScriptExecutor

HOSPITALS = 4
HIDDEN = 16

if __name__ == "__main__":
    random = np.random.default_rng(0)
    start = {
        "hidden_weights": random.normal(0, 0.3, (30, HIDDEN)).astype(np.float32),
        "hidden_bias": np.zeros(HIDDEN, np.float32),
        "weights": random.normal(0, 0.3, HIDDEN).astype(np.float32),
        "bias": np.zeros(1, np.float32),
    }
    job = FedJob(name="breast-cancer-mlp")
    job.to(FedAvg(num_clients=HOSPITALS, num_rounds=40, model=start, key_metric="auc", patience=3), "server")
    job.to(CrossSiteEval(num_clients=HOSPITALS), "server")
    for i in range(HOSPITALS):
        job.to(ScriptExecutor("src/mlp_fl.py"), f"hospital-{i}")
    job.simulator_run("/tmp/fltui/jobs/workdir")
