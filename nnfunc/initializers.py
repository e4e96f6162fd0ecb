r"""Initializers: the parameters a network starts from. Chapter 6.

A seed goes in and a dict of arrays comes out. With an int as seed an initializer is a pure function:
layer i draws from the seed's spawn i, whatever other layers there are. The one argument that a
function of this library may advance is a NumPy Generator, if that is what is passed.
"""

from collections.abc import Sequence
from math import inf, sqrt
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .layers import Params

__all__ = ["init_affine", "init_mlp"]

Scale = str | float


def init_affine(
    rng: Any, i: int, inputs: int, outputs: int, scale: Scale = "he", dtype: DTypeLike = np.float32
) -> Params:
    r"""Weights of the affine layer number `i`: normally distributed W, b of zeros.

    $$W_{jk} \sim \mathcal{N}(0, s^2), \qquad
    s_{\mathrm{He}} = \sqrt{\frac{2}{D}}, \quad s_{\mathrm{Xavier}} = \sqrt{\frac{2}{D + M}}$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    i : int
        The layer's number.
    inputs, outputs : int
        D and M.
    scale : 'he', 'xavier' or float
        The standard deviation s: 'he' for ReLU, 'xavier' for sigmoid and tanh, or a number.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    dict of arrays
        ``W{i}`` of shape (D, M) and ``b{i}`` of shape (M,).

    Raises
    ------
    ValueError
        For a scale that is neither a name nor a number from 0 up.

    References
    ----------
    K. He and others, "Delving deep into rectifiers", 2015, formula 10; X. Glorot, Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010, formula 12.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params = nn.init_affine(0, 1, 784, 50, scale=0.01)
    >>> params["W1"].shape, params["b1"].shape, params["W1"].dtype
    ((784, 50), (50,), dtype('float32'))
    >>> print(round(float(params["W1"].std()), 3))
    0.01
    """
    s = _standard_deviation(scale, inputs, outputs)
    W = s * _generator(rng, i).standard_normal((inputs, outputs))
    return {f"W{i}": W.astype(dtype), f"b{i}": np.zeros(outputs, dtype)}


def init_mlp(rng: Any, sizes: Sequence[int], scale: Scale = "he", dtype: DTypeLike = np.float32) -> Params:
    r"""Weights of a multi-layer perceptron: [init_affine][nnfunc.initializers.init_affine] for each layer.

    $$W_i \in \mathbb{R}^{n_{i-1} \times n_i}, \qquad b_i = 0$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    sizes : sequence of int
        How many inputs, neurons in each hidden layer, and outputs: n_0, n_1, ...
    scale : 'he', 'xavier' or float
        The standard deviation of the weights.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    dict of arrays
        W1, b1, W2, b2, ...

    Raises
    ------
    ValueError
        For fewer than two sizes, or a bad scale.

    References
    ----------
    K. He and others, 2015; X. Glorot, Y. Bengio, 2010.

    Examples
    --------
    >>> import nnfunc as nn
    >>> {name: a.shape for name, a in nn.init_mlp(0, (784, 50, 10)).items()}
    {'W1': (784, 50), 'b1': (50,), 'W2': (50, 10), 'b2': (10,)}
    """
    if len(sizes) < 2:
        raise ValueError(f"init_mlp: sizes is {tuple(sizes)}, wanted at least inputs and outputs")
    if not isinstance(rng, (int, np.integer)):
        rng = np.random.default_rng(rng)
    params: Params = {}
    for i in range(1, len(sizes)):
        params |= init_affine(rng, i, sizes[i - 1], sizes[i], scale, dtype)
    return params


def _standard_deviation(scale: Scale, inputs: int, outputs: int) -> float:
    if scale == "he":
        return sqrt(2 / inputs)
    if scale == "xavier":
        return sqrt(2 / (inputs + outputs))
    if not isinstance(scale, Real) or not 0 <= scale < inf:
        raise ValueError(f"init_affine: scale is {scale!r}, wanted 'he', 'xavier' or a standard deviation")
    return float(scale)


def _generator(rng: Any, i: int) -> np.random.Generator:
    if isinstance(rng, (int, np.integer)):
        rng = np.random.SeedSequence(int(rng), spawn_key=(i,))
    return np.random.default_rng(rng)
