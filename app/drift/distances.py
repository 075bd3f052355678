"""How far recent rows are from the training rows: three distances that the calibrated drift test is made of. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Pairs = NDArray[np.intp]


def distribution_distances(reference: Matrix, rows: Matrix) -> Vector:
    """Greatest difference of the two distribution functions, 0 to 1, one for each column.

    The two-sample Kolmogorov-Smirnov statistic (Smirnov 1939). `reference` must be sorted down each column; both are
    float32, so that values which are equal in the table are equal here.
    """
    recent = np.sort(rows, axis=0)
    result = np.empty(reference.shape[1])
    for column, (old, new) in enumerate(zip(reference.T, recent.T, strict=True)):
        points = np.concatenate([old, new])
        difference = np.searchsorted(old, points, "right") / len(old) - np.searchsorted(
            new, points, "right"
        ) / len(new)
        result[column] = np.abs(difference).max()
    return result


def ranks(reference: Matrix, rows: Matrix) -> Vector:
    """Where each value stands among the reference's, 0 to 1; shape of `rows`. `reference` must be sorted."""
    result = np.empty(rows.shape)
    for column, (old, new) in enumerate(zip(reference.T, rows.T, strict=True)):
        result[:, column] = np.searchsorted(old, new, "left") + np.searchsorted(old, new, "right")
    return result / (2 * len(reference))


def correlations(standing: Vector, pairs: Pairs) -> Vector:
    """Correlation of each pair of columns, shape (pairs,); 0 where one of the two does not vary.

    On ranks this is Spearman's coefficient, up to the treatment of ties: no single far-off value decides it.
    """
    centred = standing - standing.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    shared = np.einsum("ip,ip->p", centred[:, pairs[:, 0]], centred[:, pairs[:, 1]]) / len(standing)
    scale = spread[pairs[:, 0]] * spread[pairs[:, 1]]
    result: Vector = np.divide(shared, scale, out=np.zeros(len(pairs)), where=scale > 1e-12)
    return result


def joint_distance(one: Vector, other: Vector) -> Vector:
    """Root mean square of the differences between two sets of correlations, along the last axis; 0 without any pair."""
    if one.shape[-1] == 0:
        return np.zeros(one.shape[:-1])
    result: Vector = np.sqrt(np.mean((one - other) ** 2, axis=-1))
    return result
