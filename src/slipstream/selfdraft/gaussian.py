"""A Gaussian process over sets (rows of zeros and ones), and what trying another set is expected to gain."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

LENGTHS = (2.0, 6.0, 20.0, 60.0)
"""Differing members over which two sets' scores lose their likeness; long ones make members add up independently."""
NOISES = (0.01, 0.1, 0.5)
MOST_OBSERVATIONS = 400
_erf = np.vectorize(math.erf, otypes=[np.float64])


class GaussianProcess:
    """Kernel exp(-differences / length): positive definite, and as smooth as a score over sets can be. Length and
    noise are those of the grid under which the observations are likeliest."""

    def __init__(self, members: NDArray[np.bool_], scores: Sequence[float]) -> None:
        """Observations: members, shape (n, d), and their scores. The last 400 count: the cost grows with n cubed."""
        self._members: Rows = members[-MOST_OBSERVATIONS:].astype(np.float64)
        values = np.asarray(scores[-MOST_OBSERVATIONS:], np.float64)
        self._center, self._scale = float(values.mean()), float(values.std()) or 1.0
        normal = (values - self._center) / self._scale
        differences = _differences(self._members, self._members)
        best = -math.inf
        for length in LENGTHS:
            kernel = np.exp(-differences / length)
            for noise in NOISES:
                lower = np.linalg.cholesky(kernel + noise * np.eye(len(normal)))
                half = np.linalg.solve(lower, normal)
                likelihood = -0.5 * float(half @ half) - float(np.log(np.diag(lower)).sum())
                if likelihood > best:
                    best, self._length, self._lower = likelihood, length, lower
        self._weights = np.linalg.solve(self._lower.T, np.linalg.solve(self._lower, normal))

    def predict(self, members: NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Mean and standard deviation of the score of every row of `members`, each of shape (m,)."""
        kernel = np.exp(-_differences(members.astype(np.float64), self._members) / self._length)
        explained = np.linalg.solve(self._lower, kernel.T)
        deviation = np.sqrt(np.maximum(1e-12, 1 - (explained**2).sum(axis=0)))
        return self._center + self._scale * (kernel @ self._weights), self._scale * deviation

    def expected_improvement(self, members: NDArray[np.bool_], best: float) -> Rows:
        """By how much every row of `members` is expected to score above `best`, counting less as nothing."""
        mean, deviation = self.predict(members)
        ratio = (mean - best) / deviation
        below = 0.5 * (1 + _erf(ratio / math.sqrt(2)))
        density = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
        gain: Rows = (mean - best) * below + deviation * density
        return gain


def _differences(left: Rows, right: Rows) -> Rows:
    """Members in which two sets differ, for all pairs."""
    pairs: Rows = left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :] - 2 * left @ right.T
    return pairs
