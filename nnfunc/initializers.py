r"""Initializers: the parameters a network starts from. Chapter 6.

A seed goes in and a dict of arrays comes out. With an int as seed an initializer is a pure function:
layer i draws from the seed's spawn i, whatever other layers there are. The one argument that a
function of this library may advance is a NumPy Generator, if that is what is passed.
"""

from collections.abc import Sequence
from math import inf, prod, sqrt
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .conv import Pair, conv_output_size, pair_of
from .layers import Params

__all__ = [
    "init_affine",
    "init_batch_norm",
    "init_conv2d",
    "init_deep_convnet",
    "init_mlp",
    "init_simple_convnet",
]

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
    s = _standard_deviation("init_affine", scale, inputs, outputs)
    W = s * _generator(rng, i).standard_normal((inputs, outputs))
    return {f"W{i}": W.astype(dtype), f"b{i}": np.zeros(outputs, dtype)}


def init_conv2d(
    rng: Any,
    i: int,
    filters: int,
    channels: int,
    size: Pair,
    scale: Scale = "he",
    dtype: DTypeLike = np.float32,
) -> Params:
    r"""Weights of convolution number `i`: normally distributed filters, b of zeros.

    $$W_{fcij} \sim \mathcal{N}(0, s^2), \qquad s_{\mathrm{He}} = \sqrt{\frac{2}{C F_h F_w}}, \quad
    s_{\mathrm{Xavier}} = \sqrt{\frac{2}{(C + F) F_h F_w}}$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    i : int
        The layer's number.
    filters : int
        How many filters, F.
    channels : int
        Channels of the images, C.
    size : int or pair of int
        Height and width of a filter.
    scale : 'he', 'xavier' or float
        The standard deviation s.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    dict of arrays
        ``W{i}`` of shape (F, C, FH, FW) and ``b{i}`` of shape (F,).

    Raises
    ------
    ValueError
        For a scale that is neither a name nor a number from 0 up, or a size that is no int or pair.

    References
    ----------
    K. He and others, "Delving deep into rectifiers", 2015, formula 10: fan-in.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params = nn.init_conv2d(0, 1, filters=30, channels=1, size=5)
    >>> params["W1"].shape, params["b1"].shape
    ((30, 1, 5, 5), (30,))
    """
    height, width = pair_of("init_conv2d", "size", size, 1)
    s = _standard_deviation("init_conv2d", scale, channels * height * width, filters * height * width)
    W = s * _generator(rng, i).standard_normal((filters, channels, height, width))
    return {f"W{i}": W.astype(dtype), f"b{i}": np.zeros(filters, dtype)}


def init_batch_norm(i: int, features: int, dtype: DTypeLike = np.float32) -> tuple[Params, Params]:
    r"""Return the parameters and the running statistics of batch normalisation number `i`.

    $$\gamma = 1, \quad \beta = 0; \qquad \mu_{run} = 0, \quad \sigma^2_{run} = 1$$

    Parameters
    ----------
    i : int
        The layer's number.
    features : int
        Features of the batch, or channels of the images.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    params : dict of arrays
        ``gamma{i}`` and ``beta{i}``.
    stats : dict of arrays
        ``mean{i}`` and ``var{i}``.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization", 2015.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, stats = nn.init_batch_norm(1, 2)
    >>> print(params["gamma1"], stats["var1"])
    [1. 1.] [1. 1.]
    """
    ones, zeros = np.ones(features, dtype), np.zeros(features, dtype)
    return {f"gamma{i}": ones, f"beta{i}": zeros}, {f"mean{i}": zeros.copy(), f"var{i}": ones.copy()}


def init_mlp(
    rng: Any, sizes: Sequence[int], scale: Scale = "he", dtype: DTypeLike = np.float32, batch_norm: bool = False
) -> Params | tuple[Params, Params]:
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
    batch_norm : bool
        Whether each hidden layer is to have batch normalisation.

    Returns
    -------
    dict of arrays
        W1, b1, W2, b2, ...; with batch normalisation a pair of dicts, parameters and statistics.

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
    >>> params, stats = nn.init_mlp(0, (784, 50, 10), batch_norm=True)
    >>> list(params), list(stats)
    (['W1', 'b1', 'gamma1', 'beta1', 'W2', 'b2'], ['mean1', 'var1'])
    """
    if len(sizes) < 2:
        raise ValueError(f"init_mlp: sizes is {tuple(sizes)}, wanted at least inputs and outputs")
    rng = _shared(rng)
    params: Params = {}
    stats: Params = {}
    for i in range(1, len(sizes)):
        params |= init_affine(rng, i, sizes[i - 1], sizes[i], scale, dtype)
        if batch_norm and i < len(sizes) - 1:
            new, observed = init_batch_norm(i, sizes[i], dtype)
            params, stats = params | new, stats | observed
    return (params, stats) if batch_norm else params


def init_simple_convnet(
    rng: Any,
    image: tuple[int, int, int] = (1, 28, 28),
    filters: int = 30,
    hidden: int = 100,
    classes: int = 10,
    scale: Scale = "he",
    dtype: DTypeLike = np.float32,
) -> Params:
    r"""Weights of [simple_convnet][nnfunc.networks.simple_convnet], with filters of 5 x 5.

    $$W_1 \in \mathbb{R}^{F \times C \times 5 \times 5}, \quad W_2 \in \mathbb{R}^{F O_h O_w \times M}, \quad
    W_3 \in \mathbb{R}^{M \times K}$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    image : tuple of int
        Channels, height and width of an image.
    filters : int
        How many filters, F.
    hidden : int
        Neurons of the hidden affine layer, M.
    classes : int
        How many classes, K.
    scale : 'he', 'xavier' or float
        The standard deviation of the weights.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    dict of arrays
        W1, b1, W2, b2, W3, b3.

    Raises
    ------
    ValueError
        For images too small for the filters, or a bad scale.

    References
    ----------
    Y. LeCun and others, 1998; the sizes are those of Deep Learning from Scratch, chapter 7.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.init_simple_convnet(0)["W2"].shape
    (4320, 100)
    """
    rng = _shared(rng)
    channels, *sides = image
    pixels = prod(conv_output_size(conv_output_size(side, 5), 2, stride=2) for side in sides)
    return (
        init_conv2d(rng, 1, filters, channels, 5, scale, dtype)
        | init_affine(rng, 2, filters * pixels, hidden, scale, dtype)
        | init_affine(rng, 3, hidden, classes, scale, dtype)
    )


def init_deep_convnet(rng: Any, dtype: DTypeLike = np.float32) -> Params:
    r"""Weights of [deep_convnet][nnfunc.networks.deep_convnet], for the images of MNIST, by He.

    $$W_{1 \dots 6} \in \mathbb{R}^{F \times C \times 3 \times 3}, \quad F = 16, 16, 32, 32, 64, 64; \quad
    W_7 \in \mathbb{R}^{1024 \times 50}, \quad W_8 \in \mathbb{R}^{50 \times 10}$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    dtype : dtype
        float32 unless told.

    Returns
    -------
    dict of arrays
        W1, b1, ... W8, b8.

    Raises
    ------
    ValueError
        For a seed that NumPy refuses, -1 say.

    References
    ----------
    K. He and others, 2015; the sizes are those of Deep Learning from Scratch, chapter 8.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.count_params(nn.init_deep_convnet(0))
    123552
    """
    rng = _shared(rng)
    channels = (1, 16, 16, 32, 32, 64, 64)
    params: Params = {}
    for i in range(1, 7):
        params |= init_conv2d(rng, i, channels[i], channels[i - 1], 3, "he", dtype)
    return params | init_affine(rng, 7, 64 * 4 * 4, 50, "he", dtype) | init_affine(rng, 8, 50, 10, "he", dtype)


def _shared(rng: Any) -> Any:
    """Return a seed as it is, or one generator for all layers."""
    return rng if isinstance(rng, (int, np.integer)) else np.random.default_rng(rng)


def _standard_deviation(where: str, scale: Scale, inputs: int, outputs: int) -> float:
    if scale == "he":
        return sqrt(2 / inputs)
    if scale == "xavier":
        return sqrt(2 / (inputs + outputs))
    if not isinstance(scale, Real) or not 0 <= scale < inf:
        raise ValueError(f"{where}: scale is {scale!r}, wanted 'he', 'xavier' or a standard deviation")
    return float(scale)


def _generator(rng: Any, i: int) -> np.random.Generator:
    if isinstance(rng, (int, np.integer)):
        rng = np.random.SeedSequence(int(rng), spawn_key=(i,))
    return np.random.default_rng(rng)
