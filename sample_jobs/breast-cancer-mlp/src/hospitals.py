"""scikit-learn's breast cancer data, dealt out to four hospitals. Each makes the same split and keeps its own part."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHARES = (0.5, 0.25, 0.15, 0.1)
SEED = 1

Patients = tuple[NDArray[np.float32], NDArray[np.float32]]


def load_hospital(site: int) -> tuple[Patients, Patients]:
    """The patients of one hospital: 30 measurements of each, and 1 where the tumour is malignant, else 0.

    Returns:
        Half of them to train with, and half to evaluate with. Measurements are scaled by what the hospital
        itself has seen.
    """
    measurements, malignant = _read()
    order = np.random.default_rng(SEED).permutation(len(malignant))
    ends = np.cumsum([0, *(int(share * len(order)) for share in SHARES)])
    own = order[ends[site] : ends[site + 1]]
    x, y = measurements[own], malignant[own]
    count = len(y) // 2
    x = (x - x[:count].mean(axis=0)) / x[:count].std(axis=0)
    return (x[:count], y[:count]), (x[count:], y[count:])


def _read() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `sklearn.datasets.load_breast_cancer` gives, without the second or two that importing it takes."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("this job needs scikit-learn, which has the data: pip install 'fltui[samples]'")
    path = Path(package.origin).parent / "datasets" / "data" / "breast_cancer.csv"
    table = np.loadtxt(path, np.float32, delimiter=",", skiprows=1)
    return table[:, :30], 1 - table[:, 30]
