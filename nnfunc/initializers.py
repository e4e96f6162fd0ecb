r"""Initializers: the parameters a network starts from. Chapter 6.

A seed goes in and a dict of arrays comes out, in float32 unless told. With an int as seed an initializer is a pure
function: layer i draws from the seed's spawn i, whatever other layers there are. The one argument that a function of
this library may advance is a NumPy Generator, if that is what is passed.
"""

from collections.abc import Mapping, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ._arrays import Array, Shape, flag, floating, generator, kind_of, mapping, namespace, pair_of, real, whole
from .conv import Pair, conv_output_size
from .forms import Params

__all__ = [
    "init_affine",
    "init_batch_norm",
    "init_conv2d",
    "init_deep_convnet",
    "init_mlp",
    "init_simple_convnet",
    "init_stats",
]

Scale = str | float


def init_affine(
    rng: Any, i: int | str, inputs: int, outputs: int, scale: Scale = "he", dtype: DTypeLike = np.float32
) -> Params:
    r"""Weights of the affine layer number `i`: normally distributed W, b of zeros.

    $$W_{jk} \sim \mathcal{N}(0, s^2), \qquad
    s_{\mathrm{He}} = \sqrt{\frac{2}{D}}, \quad s_{\mathrm{Xavier}} = \sqrt{\frac{2}{D + M}}$$

    Parameters
    ----------
    rng, i
        The seed, an int or anything that np.random.default_rng takes; and the layer's number, or its name.
    inputs, outputs : int
        D and M.
    scale, dtype : 'he', 'xavier' or float, dtype
        The standard deviation s: 'he' for ReLU, 'xavier' for sigmoid and tanh, or a number; and what floats to draw.

    Returns
    -------
    dict of arrays
        ``W{i}`` of shape (D, M) and ``b{i}`` of shape (M,).

    Raises
    ------
    ValueError
        For settings out of bounds, or a dtype other than floats.

    References
    ----------
    K. He and others, "Delving deep into rectifiers", 2015, formula 10; X. Glorot, Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010, formula 12.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params = nn.init_affine(0, 1, 784, 50, scale=0.01)
    >>> print(params["W1"].shape, params["b1"].shape, params["W1"].dtype, params["W1"].std().round(3))
    (784, 50) (50,) float32 0.01
    """
    shape = whole("init_affine", "inputs", inputs, 1), whole("init_affine", "outputs", outputs, 1)
    s = _standard_deviation("init_affine", scale, *shape)
    return _layer("init_affine", rng, i, s, shape, outputs, dtype)


def init_conv2d(
    rng: Any, i: int | str, filters: int, channels: int, size: Pair, scale: Scale = "he", dtype: DTypeLike = np.float32
) -> Params:
    r"""Weights of convolution number `i`: normally distributed filters, b of zeros.

    $$W_{fcij} \sim \mathcal{N}(0, s^2), \qquad s_{\mathrm{He}} = \sqrt{\frac{2}{C F_h F_w}}, \quad
    s_{\mathrm{Xavier}} = \sqrt{\frac{2}{(C + F) F_h F_w}}$$

    Parameters
    ----------
    rng, i
        Those of [init_affine][nnfunc.initializers.init_affine].
    filters, channels : int
        How many filters, F, and channels of the images, C.
    size : int or pair of int
        Height and width of a filter.
    scale, dtype
        Those of `init_affine`.

    Returns
    -------
    dict of arrays
        ``W{i}`` of shape (F, C, FH, FW) and ``b{i}`` of shape (F,).

    Raises
    ------
    ValueError
        For settings out of bounds, or a dtype other than floats.

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
    F, C = whole("init_conv2d", "filters", filters, 1), whole("init_conv2d", "channels", channels, 1)
    height, width = pair_of("init_conv2d", "size", size, 1)
    s = _standard_deviation("init_conv2d", scale, C * height * width, F * height * width)
    return _layer("init_conv2d", rng, i, s, (F, C, height, width), F, dtype)


def init_batch_norm(i: int | str, features: int, dtype: DTypeLike = np.float32) -> Params:
    r"""Return the parameters of batch normalisation number `i`, which start as the identity.

    $$\gamma = 1, \quad \beta = 0$$

    Parameters
    ----------
    i, features, dtype : int or str, int, dtype
        The layer's number or name; features of the batch, or channels of the images; and what floats.

    Returns
    -------
    dict of arrays
        ``gamma{i}`` and ``beta{i}``, of shape (features,).

    Raises
    ------
    ValueError
        For a dtype other than floats.



    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.init_batch_norm(1, 2))
    {'gamma1': array([1., 1.], dtype=float32), 'beta1': array([0., 0.], dtype=float32)}
    """
    _stream("init_batch_norm", i)
    C, kind = whole("init_batch_norm", "features", features, 1), _floats("init_batch_norm", dtype)
    return {f"gamma{i}": np.ones(C, kind), f"beta{i}": np.zeros(C, kind)}


def init_stats(params: Mapping[str, Array]) -> Params:
    r"""Return the running statistics with which batch normalisation starts, read off the parameters.

    $$\mu_{run} = 0, \qquad \sigma^2_{run} = 1$$

    Parameters
    ----------
    params : dict of arrays
        Of any network.

    Returns
    -------
    dict of arrays
        ``mean{i}`` and ``var{i}`` for each ``gamma{i}``, in its shape and dtype; without any, ``{}``.

    Raises
    ------
    ValueError
        For a gamma that holds no real numbers.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization", 2015, Algorithm 2; that the variance starts at 1 is custom.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.init_stats(nn.init_mlp(0, (784, 2, 10), batch_norm=True)))
    {'mean1': array([0., 0.], dtype=float32), 'var1': array([1., 1.], dtype=float32)}
    """
    stats: Params = {}
    for name, p in mapping("init_stats", "params", params).items():
        if name.startswith("gamma"):
            gamma, i = floating("init_stats", name, p), name.removeprefix("gamma")
            xp = namespace(gamma)
            stats |= {f"mean{i}": xp.zeros_like(gamma), f"var{i}": xp.ones_like(gamma)}
    return stats


def init_mlp(
    rng: Any, sizes: Sequence[int], scale: Scale = "he", dtype: DTypeLike = np.float32, batch_norm: bool = False
) -> Params:
    r"""Weights of a multi-layer perceptron: [init_affine][nnfunc.initializers.init_affine] for each layer.

    $$W_i \in \mathbb{R}^{n_{i-1} \times n_i}, \qquad b_i = 0$$

    Parameters
    ----------
    rng
        The seed, as in `init_affine`.
    sizes : sequence of int
        How many inputs, neurons in each hidden layer, and outputs: n_0, n_1, ...
    scale, dtype
        Those of `init_affine`.
    batch_norm : bool
        Whether hidden layers have batch normalisation, with [init_stats][nnfunc.initializers.init_stats] as statistics.

    Returns
    -------
    dict of arrays
        W1, b1, W2, b2, ...; with batch normalisation gamma1, beta1, ... too.

    Raises
    ------
    ValueError
        For fewer than two sizes, settings out of bounds, or a dtype other than floats.



    Examples
    --------
    >>> import nnfunc as nn
    >>> {name: a.shape for name, a in nn.init_mlp(0, (784, 50, 10)).items()}
    {'W1': (784, 50), 'b1': (50,), 'W2': (50, 10), 'b2': (10,)}
    >>> list(nn.init_mlp(0, (784, 50, 10), batch_norm=True))
    ['W1', 'b1', 'gamma1', 'beta1', 'W2', 'b2']
    """
    if not isinstance(sizes, (Sequence, np.ndarray)) or len(sizes) < 2:
        raise ValueError(f"init_mlp: sizes is {sizes!r}, wanted at least inputs and outputs")
    rng, normal = _shared("init_mlp", rng), flag("init_mlp", "batch_norm", batch_norm)
    params: Params = {}
    for i in range(1, len(sizes)):
        params |= init_affine(rng, i, sizes[i - 1], sizes[i], scale, dtype)
        if normal and i < len(sizes) - 1:
            params |= init_batch_norm(i, sizes[i], dtype)
    return params


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
    rng
        The seed, as in `init_affine`.
    image : tuple of int
        Channels, height and width of an image.
    filters, hidden, classes : int
        How many filters, F, neurons of the hidden affine layer, M, and classes, K.
    scale, dtype
        Those of `init_affine`.

    Returns
    -------
    dict of arrays
        W1, b1, W2, b2, W3, b3.

    Raises
    ------
    ValueError
        For images too small for the filters, settings out of bounds, or a dtype other than floats.

    References
    ----------
    Y. LeCun and others, 1998; the sizes are those of Deep Learning from Scratch, chapter 7.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.init_simple_convnet(0)["W2"].shape
    (4320, 100)
    """
    if not isinstance(image, (tuple, list)) or len(image) != 3:
        raise ValueError(f"init_simple_convnet: image is {image!r}, wanted (channels, height, width)")
    rng = _shared("init_simple_convnet", rng)
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
    rng, dtype
        Those of [init_affine][nnfunc.initializers.init_affine].

    Returns
    -------
    dict of arrays
        W1, b1, ... W8, b8.

    Raises
    ------
    ValueError
        For a dtype other than floats.



    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.count_params(nn.init_deep_convnet(0))
    123552
    """
    rng = _shared("init_deep_convnet", rng)
    channels = (1, 16, 16, 32, 32, 64, 64)
    params: Params = {}
    for i in range(1, 7):
        params |= init_conv2d(rng, i, channels[i], channels[i - 1], 3, "he", dtype)
    return params | init_affine(rng, 7, 64 * 4 * 4, 50, "he", dtype) | init_affine(rng, 8, 50, 10, "he", dtype)


def _shared(where: str, rng: Any) -> Any:
    """Return a seed as it is, or one generator for all layers."""
    if isinstance(rng, (int, np.integer)):
        return whole(where, "rng", rng)
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: rng is {kind_of(rng)}, wanted what np.random.default_rng takes") from error


def _stream(where: str, i: int | str) -> tuple[int, ...]:
    return (0, *i.encode()) if isinstance(i, str) else (whole(where, "i", i),)


def _layer(where: str, rng: Any, i: int | str, s: float, shape: Shape, outputs: int, dtype: DTypeLike) -> Params:
    """Return normally distributed W, and b of zeros. By an int as seed each layer draws from a stream of its own."""
    kind, stream, seed = _floats(where, dtype), _stream(where, i), _shared(where, rng)
    chance = generator((seed, *stream)) if isinstance(seed, int) else seed
    return {f"W{i}": (s * chance.standard_normal(shape)).astype(kind), f"b{i}": np.zeros(outputs, kind)}


def _floats(where: str, dtype: DTypeLike) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ValueError(f"{where}: dtype is {dtype!r}, wanted one of NumPy's floats, say np.float32") from error
    if kind.kind != "f":
        raise ValueError(f"{where}: dtype is {kind}, wanted floats, float32 say")
    return kind


def _standard_deviation(where: str, scale: Scale, inputs: int, outputs: int) -> float:
    if isinstance(scale, str) and scale in ("he", "xavier"):
        return sqrt(2 / (inputs if scale == "he" else inputs + outputs))
    return real(where, "scale", scale, advice=", 'he' or 'xavier'")
