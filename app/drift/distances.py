"""Distances between recent rows and training rows for the calibrated drift test. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Pairs = NDArray[np.intp]


def distribution_distances(reference: Matrix, rows: Matrix) -> Vector:
    """Return the greatest difference of the two distribution functions, 0 to 1, shape (columns,).

    The two-sample Kolmogorov-Smirnov statistic (Smirnov 1939). `reference` must be sorted by column. Both are float32,
    so that equal values of the table are equal here.
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
    """Return each value's rank among the reference's, 0 to 1; shape of `rows`. `reference` must be sorted by column."""
    result = np.empty(rows.shape)
    for column, (old, new) in enumerate(zip(reference.T, rows.T, strict=True)):
        result[:, column] = np.searchsorted(old, new, "left") + np.searchsorted(old, new, "right")
    return result / (2 * len(reference))


def correlations(standing: Vector, pairs: Pairs) -> Vector:
    """Return the correlation of each pair of columns, shape (pairs,); 0 where one of the two is constant.

    On ranks this is Spearman's coefficient (1904) up to the treatment of ties: an outlier cannot dominate it.
    """
    centred = standing - standing.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    shared = np.einsum("ip,ip->p", centred[:, pairs[:, 0]], centred[:, pairs[:, 1]]) / len(standing)
    scale = spread[pairs[:, 0]] * spread[pairs[:, 1]]
    result: Vector = np.divide(shared, scale, out=np.zeros(len(pairs)), where=scale > 1e-12)
    return result


def joint_distance(one: Vector, other: Vector) -> Vector:
    """Return the root mean square difference of two sets of correlations along the last axis; 0 without pairs."""
    if one.shape[-1] == 0:
        return np.zeros(one.shape[:-1])
    result: Vector = np.sqrt(np.mean((one - other) ** 2, axis=-1))
    return result
