r"""What is behind the fast numerical gradient: differences that do not repeat work. Chapter 4."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import functions, ops
from .functions import Array, class_targets
from .layers import Layer, Mode, Params

__all__: list[str] = []

ELEMENTWISE = {
    ops.identity: functions.identity,
    ops.relu: functions.relu,
    ops.sigmoid: functions.sigmoid,
    ops.tanh: functions.tanh,
}
# What makes of each row of a batch a row of its own, whatever the other rows are.
ROW_BY_ROW = {*ELEMENTWISE, ops.affine, ops.softmax, ops.log_softmax}

Chain = list[tuple[Layer, Mode]]


def op_of(layer: Layer) -> Any:
    """Return the op that a layer lifts, or None for a black box."""
    return getattr(layer, "op", None)


def column_differences(loss: Callable[[Array], Any], x: Array, y: Array, h: float) -> Array:
    """Return the differences of ``loss(x @ W + b)`` by W and, in the last row, by b; y is ``x @ W + b``."""
    y = y.copy()
    seen = y.view()
    seen.flags.writeable = False
    rows = [*np.moveaxis(x, -1, 0), np.ones(x.shape[:-1])]
    grad = np.zeros((len(rows), y.shape[-1]))
    for i, row in enumerate(rows):
        if not row.any():
            continue
        for j in range(y.shape[-1]):
            column = y[..., j].copy()
            y[..., j] = column + h * row
            plus = loss(seen)
            y[..., j] = column - h * row
            grad[i, j] = (plus - loss(seen)) / (2 * h)
            y[..., j] = column
    return grad


def row_differences(params: Params, after: Chain, inputs: list[Array], change: Callable, h: float) -> Array:
    """Return the same for samples that do not meet before the loss, sample by sample.

    Entry (i, j) of W moves ``y[n, j]`` by ``h * x[n, i]``: nothing where x is zero, and the same wherever two pixels
    of a sample are equal. An elementwise activation passes the move of one number on as the move of one number, and
    the affine layer behind it turns that into a multiple of one row of its weights.
    """
    x, y, *later = inputs
    pixels = np.pad(x, ((0, 0), (0, 1)), constant_values=1)  # the bias is one more pixel, always lit
    n, i = np.nonzero(pixels)
    pairs = np.stack([n, pixels[n, i]], axis=1, dtype=np.float64).view(complex)[:, 0]  # they sort faster than rows
    moves, which = np.unique(pairs, return_inverse=True, equal_nan=False)
    base = y
    activation = ELEMENTWISE.get(op_of(after[0][0])) if len(after) > 1 and op_of(after[1][0]) is ops.affine else None
    if activation:
        z, base, W = later[0], later[1], params[after[1][0].names[0]]
        after = after[2:]

    def slopes(rows, step):
        here, scores, loss_of = base[rows], inputs[-1][rows], change(rows)

        def moved(j, step):
            if activation:
                move = np.multiply.outer(W[j], activation(y[rows, j] + step) - z[rows, j])
            else:
                move = np.zeros(here.shape[::-1])
                move[j] = step
            if not after:
                return loss_of(move)
            out = here + move.T
            for layer, mode in after:
                out = layer(params, out, mode)[0]
            return loss_of((out - scores).T)

        return np.stack([(moved(j, step) - moved(j, -step)) / (2 * h) for j in range(y.shape[1])], axis=1)

    parts = np.array_split(moves, -(-len(moves) // 8192))  # few enough at a time to stay in the cache
    slope = np.concatenate([slopes(part.real.astype(int), h * part.imag) for part in parts])
    return np.stack([np.bincount(i, column[which], minlength=x.shape[1] + 1) for column in slope.T], axis=1)


def _cross_entropy_change(scores: Array, t: Any) -> Callable:
    t, p = class_targets("softmax_cross_entropy", "z", scores, t).T, functions.softmax(scores).T

    def at(rows):
        t_rows, p_rows = t[:, rows], p[:, rows]
        mass = t_rows.sum(axis=0)
        return lambda move: (mass * np.log1p(_dot(p_rows, np.expm1(move))) - _dot(t_rows, move)) / len(scores)

    return at


def _squared_error_change(scale: Callable[[Array], float], y: Array, t: Any) -> Callable:
    twice = 2 * (y - t).T
    return lambda rows: lambda move: scale(y) * _dot(move, twice[:, rows] + move)


def _dot(a: Array, b: Array) -> Array:
    return np.einsum("kn,kn->n", a, b)


# For each loss: from scores, labels and row numbers to a function from a move of the scores to that of the loss.
# A move has the rows of the batch last: there are thousands of them, and a loop along them is a fast one.
CHANGES = {
    ops.softmax_cross_entropy: _cross_entropy_change,
    ops.sum_squared_error: partial(_squared_error_change, lambda y: 0.5),
    ops.mean_squared_error: partial(_squared_error_change, lambda y: 1 / y.size),
}
