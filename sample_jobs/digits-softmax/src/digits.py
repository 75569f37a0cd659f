"""scikit-learn's handwritten digits, dealt out to sites. Every site makes the same split and keeps its own part."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TEST_IMAGES = 450
SEED = 3

Split = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


def load_site(site: int, sites: int, alpha: float) -> Split:
    """What one site has: its own images and their digits, and the test images that all sites share.

    Of each digit, every site gets a share drawn from a Dirichlet distribution: the smaller `alpha`, the fewer
    sites have it. Images are rows of 64 numbers from 0 to 1.
    """
    images, digits = _read()
    random = np.random.default_rng(SEED)
    order = random.permutation(len(digits))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    mine = []
    for digit in range(10):
        rows = train[digits[train] == digit]
        owners = random.choice(sites, len(rows), p=random.dirichlet(np.full(sites, alpha)))
        mine.append(rows[owners == site])
    own = np.concatenate(mine)
    return images[own], digits[own], images[test], digits[test]


def _read() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What `sklearn.datasets.load_digits` gives, without the second or two that importing it takes at every site."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("this job needs scikit-learn, which has the digits: pip install 'fltui[samples]'")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", np.float32, delimiter=",")
    return table[:, :-1] / np.float32(16), table[:, -1].astype(np.int64)
