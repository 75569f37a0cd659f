"""Names of nvflare that have another name in fltui, or none of their own."""

from __future__ import annotations

from enum import StrEnum

from fltui.model import NUM_STEPS, NUMPY_KEY


class NPConstants:
    """What a model of one unnamed array is called."""

    NUMPY_KEY = NUMPY_KEY


class MetaKey:
    """Keys of `FLModel.meta`."""

    NUM_STEPS_CURRENT_ROUND = NUM_STEPS


class AnalyticsDataType(StrEnum):
    """What kind of value `fltui.client.log` is given."""

    SCALAR = "SCALAR"
    METRIC = "METRIC"
