"""The parts of a job that fltui exported for nvflare: the models' files, and the executor that runs a site's script.

Only nvflare's own classes do the work; those that its versions 2.5 to 2.9 name differently are chosen here.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

try:
    from nvflare.app_common.executors.client_api_executor import ClientAPIExecutor  # 2.9
except ModuleNotFoundError:
    from nvflare.app_common.executors.in_process_client_api_executor import InProcessClientAPIExecutor as _Executor

    _MODE: dict[str, str] = {}
else:
    _Executor = ClientAPIExecutor
    _MODE = {"execution_mode": "in_process"}

# nvflare looks into this folder last. What a script imports as fltui is to be what lies here, also where fltui is
# installed: that one would look for an exchange folder.
sys.path.insert(0, str(Path(__file__).parent))


class ScriptExecutor(_Executor):  # type: ignore[misc]  # nvflare has no types
    """nvflare's executor for a script that uses the Client API with NumPy arrays, in the client's process.

    The script may import what lies beside it, as when Python runs it by itself.

    Args:
        task_script_path: the script.
        task_script_args: its arguments, parted by spaces.
        params_transfer_type: FULL or DIFF.
    """

    def __init__(self, task_script_path: str, task_script_args: str = "", params_transfer_type: str = "FULL") -> None:
        sys.path.insert(0, str((Path(__file__).parent / task_script_path).parent))
        super().__init__(
            **_MODE,
            task_script_path=task_script_path,
            task_script_args=task_script_args,
            params_exchange_format="numpy",
            params_transfer_type=params_transfer_type,
        )


class ModelFiles(ModelPersistor):  # type: ignore[misc]  # as above
    """Reads the initial model from files beside this one, and writes the global model of every round.

    A model of ``numpy_key`` alone becomes ``models/server.npy``, every other one ``models/server.npz``.

    Args:
        files: parameter name to its .npy file; without any, the sites start from their own.
    """

    def __init__(self, files: dict[str, str] | None = None) -> None:
        super().__init__()
        self.files = files or {}

    def load_model(self, fl_ctx: Any) -> Any:  # noqa: ARG002 - as nvflare calls it
        """The initial model."""
        folder = Path(__file__).parent
        weights = {name: np.load(folder / file, allow_pickle=False) for name, file in self.files.items()}
        return make_model_learnable(weights=weights, meta_props={})

    def save_model(self, model: Any, fl_ctx: Any) -> None:
        """Write a global model."""
        workspace = fl_ctx.get_engine().get_workspace()
        root = getattr(workspace, "get_result_root", workspace.get_run_dir)(fl_ctx.get_job_id())
        folder = Path(root) / "models"
        folder.mkdir(parents=True, exist_ok=True)
        weights = model[ModelLearnableKey.WEIGHTS]
        if set(weights) == {"numpy_key"}:
            np.save(folder / "server.npy", weights["numpy_key"])
            return
        with zipfile.ZipFile(folder / "server.npz", "w") as archive:
            for name, array in weights.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
