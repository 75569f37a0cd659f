"""Three measurements of scikit-learn's breast cancer data, dealt out to four hospitals. Each keeps its part."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHARES = (0.5, 0.25, 0.15, 0.1)
COLUMNS = {"radius": 0, "texture": 1, "smoothness": 4}


def load_hospital(site: int) -> dict[str, NDArray[np.float64]]:
    """The patients of one hospital: a value of each measurement per patient."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("this job needs scikit-learn, which has the data: pip install 'fltui[samples]'")
    # What `sklearn.datasets.load_breast_cancer` gives, without the second or two that importing it takes.
    path = Path(package.origin).parent / "datasets" / "data" / "breast_cancer.csv"
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    order = np.random.default_rng(0).permutation(len(table))
    ends = np.cumsum([0, *(int(share * len(order)) for share in SHARES)])
    own = table[order[ends[site] : ends[site + 1]]]
    return {name: own[:, column] for name, column in COLUMNS.items()}
