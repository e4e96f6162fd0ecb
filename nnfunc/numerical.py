r"""The fast numerical gradient: differences that do not repeat work. Chapter 4."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from . import functions, layers, ops
from ._arrays import Array, class_targets, floating, numpys, real
from .forms import EVAL, Grad, Layer, Loss, Mode, Params
from .gradient import numerical_gradient
from .networks import _check_parts, _check_used, _evaluated

__all__ = ["numerical_value_and_grad"]

_ELEMENTWISE = {getattr(ops, name): getattr(functions, name) for name in ("identity", "relu", "sigmoid", "tanh")}
# What makes of each row of a batch a row of its own, whatever the other rows are.
_ROW_BY_ROW = {*_ELEMENTWISE, ops.affine, ops.softmax, ops.log_softmax}

Chain = list[tuple[Any, Mode]]  # layers, each with its mode


def numerical_value_and_grad(net: Layer, loss: Loss, h: float = 1e-4) -> Grad:
    r"""Loss of a network and its gradient by every parameter, by central differences.

    $$\mathrm{grads}[name]_i = \frac{E(\theta + h e_i) - E(\theta - h e_i)}{2h}$$

    The differences are those of [numerical_gradient][nnfunc.gradient.numerical_gradient]; only work
    that gives the same number each time is not repeated. What lies before the perturbed layer is
    computed once, and in an affine layer ``W[i, j]`` moves nothing but column j of the output, by
    ``h * x[:, i]``, so its matrix product is never taken again. Where the samples of a batch do not
    meet before the loss, a sample in which ``x[n, i]`` is zero is not even looked at.

    Parameters
    ----------
    net : layer
        The network.
    loss : op
        ``loss(scores, t) -> (value, pullback)``.
    h : float
        The step of the differences.

    Returns
    -------
    callable
        ``grad(params, x, t, mode=EVAL) -> (value, grads, stats)`` like that of
        [value_and_grad][nnfunc.networks.value_and_grad], in float64.

    Raises
    ------
    ValueError
        By the gradient, if no layer uses one of the parameters, or `loss` gives no single number.

    References
    ----------
    W. Press and others, "Numerical Recipes", 3rd edition, section 5.7.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> grad = nn.numerical_value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    >>> params = {"W1": np.zeros((1, 2)), "b1": np.zeros(2)}
    >>> value, grads, stats = grad(params, np.array([[3.0]]), np.array([0]))
    >>> print(round(value, 6), grads["W1"].round(6), grads["b1"].round(6))
    0.693147 [[-1.5  1.5]] [-0.5  0.5]
    """
    _check_parts("numerical_value_and_grad", net, loss)
    step = real("numerical_value_and_grad", "h", h, "(0, inf)")

    def grad(params, x, t, mode=EVAL):
        layers._check_mode("numerical_value_and_grad", mode)
        at = {name: floating("numerical_value_and_grad", name, _wide(p, name)) for name, p in params.items()}
        still = mode._replace(grad=False)
        scores, _, stats = layers._run(net, at, _wide(x), still)  # says where, if something does not fit
        chain: Chain = list(layers._leaves(net, at, still))
        inputs = [_wide(x)]
        for layer, inner in chain:
            inputs.append(layer(at, inputs[-1], inner)[0])

        def rest(k, x, some={}):
            return _evaluated(loss, _through(chain[k:], at | some, x), t)[0]

        users = {name: [k for k, (f, _) in enumerate(chain) if name in getattr(f, "names", at)] for name in at}
        _check_used("numerical_value_and_grad", at, {name for name in at if users[name]})
        grads: Params = {}
        for k, (layer, _) in enumerate(chain):
            if _op_of(layer) is ops.affine and all(users[name] == [k] for name in layer.names):
                if loss in _CHANGES and inputs[k].ndim == 2 and all(_op_of(f) in _ROW_BY_ROW for f, _ in chain[k:]):
                    new = _row_differences(at, chain[k + 1 :], inputs[k:], _CHANGES[loss](inputs[-1], t), step)
                else:
                    new = _column_differences(partial(rest, k + 1), inputs[k], inputs[k + 1], step)
                grads |= zip(layer.names, (new[:-1], new[-1]), strict=True)
        for name in at.keys() - grads:
            k = users[name][0]
            grads |= numerical_gradient(partial(rest, k, inputs[k]), {name: at[name]}, step)
        return _evaluated(loss, scores, t)[0], {name: grads[name] for name in at}, stats

    return grad


def _wide(x: Any, name: str = "x") -> Any:
    """Return floats in float64, the one dtype for differences; ids stay ints."""
    if isinstance(x, tuple):
        return tuple(map(_wide, x))
    a = numpys("numerical_value_and_grad", name, x)
    return a.astype(np.float64, copy=False) if a.dtype.kind == "f" else a


def _op_of(layer: Layer) -> Any:
    """Return the op that a layer lifts, or None for a black box."""
    return getattr(layer, "op", None)


def _through(chain: Chain, params: Params, x: Any) -> Any:
    """Return what layers make of x, one after the other."""
    for layer, mode in chain:
        x = layer(params, x, mode)[0]
    return x


def _column_differences(loss: Callable[[Array], Any], x: Array, y: Array, h: float) -> Array:
    """Return the differences of ``loss(x @ W + b)`` by W and, in the last row, by b; y is ``x @ W + b``."""
    rows = [*np.moveaxis(x, -1, 0), np.ones(x.shape[:-1])]
    grad = np.zeros((len(rows), y.shape[-1]))
    lit = [i for i, row in enumerate(rows) if row.any()]
    for i, j in product(lit, range(y.shape[-1])):
        move = np.zeros_like(y)
        move[..., j] = h * rows[i]
        grad[i, j] = (loss(y + move) - loss(y - move)) / (2 * h)
    return grad


def _row_differences(params: Params, after: Chain, inputs: list[Array], change: Callable, h: float) -> Array:
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
    activation = _ELEMENTWISE.get(_op_of(after[0][0])) if len(after) > 1 and _op_of(after[1][0]) is ops.affine else None
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
            return loss_of((_through(after, params, here + move.T) - scores).T)

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
_CHANGES: dict[Any, Callable] = {
    ops.softmax_cross_entropy: _cross_entropy_change,
    ops.sum_squared_error: partial(_squared_error_change, lambda y: 0.5),
    ops.mean_squared_error: partial(_squared_error_change, lambda y: 1 / y.size),
}
