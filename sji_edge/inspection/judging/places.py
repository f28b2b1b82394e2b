"""Compares each joint with what the same place showed on the recipe's enrolled boards.

Every place has a mean and a spread for each feature of each cell. A place with few boards borrows from its package: its
mean is shrunk towards the package's by as much as the boards scatter around a place, compared with how much places
differ (an empirical Bayes estimate), and its package shares the spread. A joint's deviation is the root mean square of
its standardised features in a cell, averaged over the worst tenth of the cells and divided by the limit.

The limit comes from boards that were left out: each enrolled board is compared with the others, and ``MARGIN`` times
the ``QUANTILE`` of these deviations is the limit. New boards vary more than the few that were enrolled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.features import CELL_FEATURES

MIN_BOARDS = 3
QUANTILE = 0.99
MARGIN = 1.2
WORST_SHARE = 0.1
LEAST_SPREAD = 0.05
"""Features have unit variance over all good joints; nothing on a board repeats more precisely than this."""
PRIOR_JOINTS = 10
"""The spread of all joints counts as much as this number of a package's own."""
GREATEST_SHRINKAGE = 1000.0

Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Places:
    """What is usual at each place of a board.

    Attributes:
        mean: float32 ``(joints, d)``.
        precision: 1 / spread, float32 ``(joints, d)``.
        limit: the largest usual deviation, before it is divided by itself.
        held_out: deviations of the enrolled boards, each compared with the others, float64 ``(boards, joints)``, NaN
            where a joint was left out; ``limit`` is 1.
    """

    mean: Rows
    precision: Rows
    limit: float
    held_out: NDArray[np.float64]

    @property
    def boards(self) -> int:
        """Number of enrolled boards."""
        return len(self.held_out)

    def deviations(self, features: Rows, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how far joints are from what is usual at their place; 1 is too far.

        Args:
            features: of the joints that are seen, float32 ``(n, d)``, in the recipe's order.
            inside: which joints of the recipe these are, bool ``(joints,)``, n of them true.

        Returns:
            float64 ``(n,)``.
        """
        mean, precision = self.mean, self.precision
        if not inside.all():
            mean, precision = mean[inside], precision[inside]
        return _distances(features, mean, precision) / self.limit


def learn_places(features: Rows, packages: Sequence[str]) -> Places:
    """Learn what is usual at each place.

    Args:
        features: of each enrolled board's joints, float32 ``(boards, joints, d)``, NaN where a joint is left out;
            at least ``MIN_BOARDS`` boards.
        packages: of each joint.

    Raises:
        ValueError: too few boards, or fewer than two joints.
    """
    boards, joints = features.shape[:2]
    if boards < MIN_BOARDS or np.isfinite(features[:, :, 0]).sum() < 2 * MIN_BOARDS:
        raise ValueError(
            f"{boards} boards with {joints} joints are too few; at least {MIN_BOARDS} boards are needed"
        )
    groups = np.unique(np.array(packages), return_inverse=True)[1]
    held_out = np.full((boards, joints), np.nan)
    for board in range(boards):
        mean, spread = _usual(np.delete(features, board, axis=0), groups)
        held_out[board] = _distances(features[board], mean, 1.0 / spread)
    limit = MARGIN * float(np.nanquantile(held_out, QUANTILE))
    mean, spread = _usual(features, groups)
    return Places(mean, (1.0 / spread).astype(np.float32), limit, held_out / limit)


def _usual(features: Rows, groups: NDArray[np.intp]) -> tuple[Rows, Rows]:
    """Return mean and spread of each place, float32 ``(joints, d)`` each."""
    seen = np.isfinite(features[:, :, 0])
    filled = np.where(seen[:, :, None], features, 0.0)
    counts = seen.sum(axis=0)
    sums = filled.sum(axis=0)
    overall = sums.sum(axis=0) / counts.sum()
    mean = np.empty_like(sums)
    for group in range(int(groups.max()) + 1):
        own = groups == group
        mean[own] = _shrunk(filled[:, own], seen[:, own], sums[own], counts[own], overall)
    residuals = np.where(seen[:, :, None], filled - mean, 0.0) ** 2
    everywhere = residuals.sum(axis=(0, 1)) / counts.sum()
    spread = np.empty_like(mean)
    for group in range(int(groups.max()) + 1):
        own = groups == group
        total = residuals[:, own].sum(axis=(0, 1)) + PRIOR_JOINTS * everywhere
        spread[own] = np.sqrt(total / (counts[own].sum() + PRIOR_JOINTS))
    return mean.astype(np.float32), np.maximum(spread, LEAST_SPREAD).astype(np.float32)


def _shrunk(
    features: Rows, seen: NDArray[np.bool_], sums: Rows, counts: NDArray[np.intp], overall: Rows
) -> Rows:
    """Return the means of one package's places, shrunk towards the package's mean."""
    total = int(counts.sum())
    shared = overall if total == 0 else sums.sum(axis=0) / total
    known = counts > 1
    own = sums / np.maximum(counts, 1)[:, None]
    if known.sum() < 2:
        return _weighted(sums, counts, shared, 1.0)
    within = np.where(seen[:, :, None], features - own, 0.0)[:, known] ** 2
    scatter = float((within.sum(axis=0) / (counts[known] - 1)[:, None]).mean())
    between = float(own[known].var(axis=0, ddof=1).mean()) - scatter * float((1.0 / counts[known]).mean())
    shrinkage = min(scatter / max(between, 1e-9), GREATEST_SHRINKAGE)
    return _weighted(sums, counts, shared, shrinkage)


def _weighted(sums: Rows, counts: NDArray[np.intp], shared: Rows, weight: float) -> Rows:
    """Return the means of places to which ``weight`` joints like ``shared`` were added."""
    means: Rows = ((sums + weight * shared) / (counts + weight)[:, None]).astype(np.float32)
    return means


def _distances(features: Rows, mean: Rows, precision: Rows) -> NDArray[np.float64]:
    """Return the unscaled deviations, float64 ``(n,)``; NaN where features are not finite."""
    standardised = features - mean
    standardised *= precision
    count, width = standardised.shape
    group = CELL_FEATURES if width % CELL_FEATURES == 0 else width
    by_cell = standardised.reshape(count, group, width // group)
    squares = np.einsum("nij,nij->nj", by_cell, by_cell)
    cells = squares.shape[1]
    worst = max(1, math.ceil(WORST_SHARE * cells))
    squares.partition(cells - worst, axis=1)
    found: NDArray[np.float64] = np.sqrt(squares[:, -worst:] / group).mean(axis=1, dtype=np.float64)
    return found
