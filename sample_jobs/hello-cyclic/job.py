"""Hello Cyclic: the job. Three sites, one after the other; each adds its own number to the weights it receives."""

from fltui import Cyclic, FedJob, ScriptExecutor

SITES = 3

if __name__ == "__main__":
    job = FedJob(name="hello-cyclic")
    job.to(Cyclic(num_clients=SITES, num_rounds=2), "server")
    for i in range(SITES):
        job.to(ScriptExecutor("src/cyclic_fl.py", f"--delta {10**i}"), f"site-{i}")
    job.simulator_run("/tmp/fltui/jobs/workdir")
