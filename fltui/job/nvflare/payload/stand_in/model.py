"""Names that fltui has here."""

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

NUMPY_KEY = "numpy_key"
NUM_STEPS = "NUM_STEPS_CURRENT_ROUND"

__all__ = ["NUMPY_KEY", "NUM_STEPS", "FLModel", "ParamsType"]
