"""Hello FedAvg with NumPy: the job. Two sites, three rounds; every site adds 1 to the weights it receives."""

from fltui import FedAvg, FedJob, ScriptExecutor
from fltui.client.config import ExchangeFormat

if __name__ == "__main__":
    n_clients = 2
    num_rounds = 3
    train_script = "src/hello-numpy_fl.py"

    job = FedJob(name="hello-fedavg-numpy")

    # The controller workflow runs at the server.
    controller = FedAvg(
        num_clients=n_clients,
        num_rounds=num_rounds,
    )
    job.to(controller, "server")

    # Every site runs the training script.
    for i in range(n_clients):
        executor = ScriptExecutor(
            task_script_path=train_script, task_script_args="", params_exchange_format=ExchangeFormat.NUMPY
        )
        job.to(executor, f"site-{i}")

    # job.export_job("/tmp/fltui/jobs/job_config")
    job.simulator_run("/tmp/fltui/jobs/workdir")
