"""Writes the job folder that ``nvflare simulator`` runs, with nvflare's own recipe for FedAvg with NumPy.

nvflare_job.py START ROUNDS SITES NOTES FOLDER
"""

import sys
from pathlib import Path

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe


def main() -> None:
    """Export the job into a new folder below FOLDER, named by the job."""
    start, rounds, sites, notes, folder = sys.argv[1:]
    recipe = NumpyFedAvgRecipe(
        name="peers",
        initial_ckpt=start,
        min_clients=int(sites),
        num_rounds=int(rounds),
        train_script=str(Path(__file__).with_name("nvflare_site.py")),
        train_args=notes,
    )
    recipe.export(folder)


if __name__ == "__main__":
    main()
