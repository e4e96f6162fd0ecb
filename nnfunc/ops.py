r"""Ops: a value and the way back. Chapter 5.

An op returns its value and its pullback, ``y, pullback = op(x, W, b)``. The pullback takes the
gradient of the loss by `y` and returns the gradients by each input, ``dx, dW, db = pullback(dy)``:
the vector-Jacobian product. A loss is an op on scores and targets; its pullback starts the way back,
``(dz,) = pullback()``. Nothing is kept but what the closure holds, and no argument is written to.
"""

from collections.abc import Callable
from math import nan, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import functions
from .conv import avg_pool2d as avg_pool2d
from .conv import conv2d as conv2d
from .conv import max_pool2d as max_pool2d
from .functions import Array, array, check_some, check_unit, class_targets, cotangent, floating, targets

__all__ = [
    "add",
    "affine",
    "batch_norm",
    "dropout",
    "flatten",
    "identity",
    "log_softmax",
    "mean_squared_error",
    "mul",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "sum_squared_error",
    "tanh",
]

Pullback = Callable[..., tuple[Any, ...]]


def add(x: ArrayLike, y: ArrayLike) -> tuple[Array, Pullback]:
    r"""Sum of two inputs. The gradient passes unchanged to both.

    $$z = x + y, \qquad dx = dz, \quad dy = dz$$

    Parameters
    ----------
    x, y : array_like
        Numbers, or arrays of one shape.

    Returns
    -------
    z : array
        The sum.
    pullback : callable
        ``pullback(dz) -> (dx, dy)``.

    Raises
    ------
    ValueError
        If the shapes differ, or `dz` has another shape than `z`.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> total, pullback = nn.ops.add(200.0, 450.0)    # the apples and the oranges
    >>> dapples, doranges = pullback(1.1)
    >>> print(total, dapples, doranges)
    650.0 1.1 1.1
    """
    x, y = _two("add", x, y)
    z = x + y

    def pullback(dz):
        dz = cotangent("add", dz, z.shape, z.dtype)
        return dz, dz

    return z, pullback


def mul(x: ArrayLike, y: ArrayLike) -> tuple[Array, Pullback]:
    r"""Product of two inputs. Each gets the gradient times the other.

    $$z = x y, \qquad dx = dz\, y, \quad dy = dz\, x$$

    Parameters
    ----------
    x, y : array_like
        Numbers, or arrays of one shape.

    Returns
    -------
    z : array
        The product, element by element.
    pullback : callable
        ``pullback(dz) -> (dx, dy)``.

    Raises
    ------
    ValueError
        If the shapes differ, or `dz` has another shape than `z`.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> price, pullback = nn.ops.mul(100.0, 2.0)    # two apples
    >>> dapple, dnumber = pullback(1.1)
    >>> print(price, round(dapple, 6), round(dnumber, 6))
    200.0 2.2 110.0
    """
    x, y = _two("mul", x, y)
    z = x * y

    def pullback(dz):
        dz = cotangent("mul", dz, z.shape, z.dtype)
        return dz * y, dz * x

    return z, pullback


def identity(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Identity, as an op.

    $$y = x, \qquad dx = dy$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y : array
        `x` itself.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.identity(3.0)
    >>> print(y, *pullback(0.5))
    3.0 0.5
    """
    y, _ = floating("identity", "x", x)
    return y, lambda dy: (cotangent("identity", dy, y.shape, y.dtype),)


def affine(x: ArrayLike, W: ArrayLike, b: ArrayLike, *, dx: bool = True) -> tuple[Array, Pullback]:
    r"""Affine map, on the last axis.

    $$y = x W + b, \qquad dx = dy\, W^T, \quad dW = x^T dy, \quad db = \sum_n dy_n$$

    Parameters
    ----------
    x : array_like, shape (..., D)
        One sample (D,), a batch (N, D), or more axes.
    W : array_like, shape (D, M)
        Weights.
    b : array_like, shape (M,)
        Bias.
    dx : bool
        Whether anybody wants the gradient by `x`; if not, it is None and costs nothing.

    Returns
    -------
    y : array, shape (..., M)
        The scores of M neurons.
    pullback : callable
        ``pullback(dy) -> (dx, dW, db)``.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.3.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.affine([[1.0, 2.0]], W=[[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]], b=[0.5, 0.5, 0.5])
    >>> print(y)
    [[1.5 2.5 8.5]]
    >>> dx, dW, db = pullback([[1.0, 0.0, 1.0]])
    >>> print(dx, dW, db, sep="\n")
    [[3. 3.]]
    [[1. 0. 1.]
     [2. 0. 2.]]
    [1. 0. 1.]
    """
    W, xp = floating("affine", "W", W)
    b, _ = floating("affine", "b", b)
    x, _ = floating("affine", "x", x, W.dtype)
    if W.ndim != 2 or b.shape != W.shape[1:]:
        raise ValueError(f"affine: W has shape {W.shape}, b has shape {b.shape}; wanted (D, M) and (M,)")
    if x.ndim == 0 or x.shape[-1] != W.shape[0]:
        features = f"{x.shape[-1]} features" if x.ndim else "no axes"
        raise ValueError(f"affine: x has {features}, W has {W.shape[0]} rows (x {x.shape}, W {W.shape})")
    y = x @ W
    y += b
    shape, dtype = y.shape, y.dtype

    def pullback(dy):
        dy = cotangent("affine", dy, shape, dtype)
        flat_x, flat_dy = _flat(xp, x), _flat(xp, dy)
        return dy @ W.T if dx else None, flat_x.T @ flat_dy, _sums(xp, flat_dy)

    return y, pullback


def sigmoid(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Sigmoid, as an op.

    $$y = \frac{1}{1 + e^{-x}}, \qquad dx = dy\, y (1 - y)$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y : array
        The shape of `x`.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.sigmoid(0.0)
    >>> print(y, *pullback(1.0))
    0.5 0.25
    """
    y = functions.sigmoid(x)
    return y, lambda dy: (cotangent("sigmoid", dy, y.shape, y.dtype) * (y * (1 - y)),)


def tanh(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Hyperbolic tangent, as an op.

    $$y = \tanh(x), \qquad dx = dy\, (1 - y^2)$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y : array
        The shape of `x`.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    Y. LeCun and others, "Efficient BackProp", 1998, section 4.4.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.tanh(0.0)
    >>> print(y, *pullback(2.0))
    0.0 2.0
    """
    y = functions.tanh(x)
    return y, lambda dy: (cotangent("tanh", dy, y.shape, y.dtype) * (1 - y * y),)


def relu(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Rectified linear unit, as an op. Its slope at 0 counts as 0.

    $$y = \max(x, 0), \qquad dx = dy\,[x > 0]$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y : array
        The shape of `x`.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    V. Nair, G. Hinton, ICML 2010; the slope at 0: D. Bertoin and others, "Numerical influence of
    ReLU'(0) on backpropagation", NeurIPS 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.relu([-2.0, 0.0, 3.0])
    >>> print(y, *pullback([5.0, 5.0, 5.0]))
    [0. 0. 3.] [0. 0. 5.]
    """
    y, xp = array(functions.relu(x))
    return y, lambda dy: (cotangent("relu", dy, y.shape, y.dtype) * xp.astype(xp.asarray(y > 0), y.dtype),)


def softmax(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Softmax over the last axis, as an op.

    $$y_k = \frac{e^{x_k}}{\sum_j e^{x_j}}, \qquad dx_k = y_k \Bigl( dy_k - \sum_j dy_j\, y_j \Bigr)$$

    Parameters
    ----------
    x : array_like, shape (..., C)
        Scores.

    Returns
    -------
    y : array, shape (..., C)
        Probabilities.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    J. Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.softmax([[0.0, 0.0]])
    >>> print(y, *pullback([[1.0, 0.0]]))
    [[0.5 0.5]] [[ 0.25 -0.25]]
    """
    y, xp = array(functions.softmax(x))

    def pullback(dy):
        dy = cotangent("softmax", dy, y.shape, y.dtype)
        return (y * (dy - xp.sum(dy * y, axis=-1, keepdims=True)),)

    return y, pullback


def log_softmax(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""Logarithm of the softmax over the last axis, as an op.

    $$y_k = x_k - \log \sum_j e^{x_j}, \qquad dx_k = dy_k - e^{y_k} \sum_j dy_j$$

    Parameters
    ----------
    x : array_like, shape (..., C)
        Scores.

    Returns
    -------
    y : array, shape (..., C)
        Logarithms of probabilities.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `dy` has another shape than `y`.

    References
    ----------
    P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.log_softmax([[0.0, 0.0]])
    >>> print(y.round(6), *pullback([[1.0, 0.0]]))
    [[-0.693147 -0.693147]] [[ 0.5 -0.5]]
    """
    y, xp = array(functions.log_softmax(x))

    def pullback(dy):
        dy = cotangent("log_softmax", dy, y.shape, y.dtype)
        return (dy - xp.exp(y) * xp.sum(dy, axis=-1, keepdims=True),)

    return y, pullback


def flatten(x: ArrayLike) -> tuple[Array, Pullback]:
    r"""One row of numbers for each sample; the batch axis stays.

    $$y_{n,\, (c H + h) W + w} = x_{n,c,h,w}$$

    Parameters
    ----------
    x : array_like, shape (N, ...)
        A batch of images, say.

    Returns
    -------
    y : array, shape (N, D)
        D is the product of the other axes.
    pullback : callable
        ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If `x` has no axis beside the batch, or `dy` has another shape than `y`.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998, section II.

    Examples
    --------
    >>> import nnfunc as nn
    >>> import numpy as np
    >>> y, pullback = nn.ops.flatten(np.zeros((5, 1, 28, 28)))
    >>> print(y.shape, pullback(y)[0].shape)
    (5, 784) (5, 1, 28, 28)
    """
    x, xp = array(x)
    if x.ndim < 2:
        raise ValueError(f"flatten: x has shape {x.shape}, wanted (N, ...); one sample is a batch x[None]")
    y = xp.reshape(x, (x.shape[0], prod(x.shape[1:])))
    return y, lambda dy: (xp.reshape(cotangent("flatten", dy, y.shape, y.dtype), x.shape),)


def batch_norm(x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, eps: float = 1e-5) -> tuple[Array, Pullback]:
    r"""Batch normalisation: each feature gets mean 0 and variance 1 over the batch, then a scale and a shift.

    $$\mu = \frac1m \sum x, \quad \sigma^2 = \frac1m \sum (x - \mu)^2, \quad
    \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \quad y = \gamma \hat x + \beta$$

    The gradient passes through mean and variance too:

    $$d\gamma = \sum dy\, \hat x, \quad d\beta = \sum dy, \quad
    dx = \frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}} \Bigl( dy - \frac{d\beta}{m} - \hat x\, \frac{d\gamma}{m} \Bigr)$$

    Parameters
    ----------
    x : array_like, shape (N, D) or (N, C, H, W)
        A batch. Images are normalised by channel, over N, H and W.
    gamma, beta : array_like, shape (D,) or (C,)
        Scale and shift.
    eps : float
        Keeps the root from zero.

    Returns
    -------
    y : array
        The shape of `x`.
    pullback : callable
        ``pullback(dy) -> (dx, dgamma, dbeta)``.

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or the batch is empty.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization", 2015, Algorithm 1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.batch_norm([[1.0], [3.0]], gamma=[2.0], beta=[10.0])
    >>> print(y.round(3).tolist())
    [[8.0], [12.0]]
    """
    y, pullback, _, _ = normalize(x, gamma, beta, eps)
    return y, pullback


def normalize(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, eps: float, mean: Array | None = None, var: Array | None = None
) -> tuple[Array, Pullback, Array, Array]:
    """Normalise by the batch's own mean and variance, or by given ones; return those used as well."""
    gamma, xp = floating("batch_norm", "gamma", gamma)
    beta, _ = floating("batch_norm", "beta", beta)
    x, _ = floating("batch_norm", "x", x, gamma.dtype)
    if x.ndim not in (2, 4) or not gamma.shape == beta.shape == (x.shape[1],):
        raise ValueError(
            f"batch_norm: x has shape {x.shape}, gamma {gamma.shape}, beta {beta.shape}; "
            "wanted (N, D) or (N, C, H, W), and (D,) or (C,) twice"
        )
    own, images = mean is None, x.ndim == 4

    def each(feature):
        return xp.reshape(feature, (-1, 1, 1)) if images else feature

    if own:
        check_some("batch_norm", "x", x)
        m = x.size // x.shape[1]
        mean = _sums(xp, x) / m
    x_hat = x - each(mean)
    if own:
        var = _sums(xp, x_hat * x_hat) / m
    scale = 1 / (var + float(eps)) ** 0.5
    x_hat *= each(scale)
    y = x_hat * each(gamma)
    y += each(beta)
    dtype = y.dtype

    def pullback(dy):
        dy = cotangent("batch_norm", dy, x_hat.shape, dtype)
        dgamma, dbeta = _sums(xp, dy * x_hat), _sums(xp, dy)
        dx = dy
        if own:
            dx = dx - x_hat * each(dgamma / m)
            dx -= each(dbeta / m)
        return dx * each(gamma * scale), dgamma, dbeta

    return y, pullback, mean, var


def dropout(x: ArrayLike, rate: float, key: tuple[int, ...]) -> tuple[Array, Pullback]:
    r"""Dropout: a share of the numbers becomes zero, the others grow to make up for it.

    $$y = x \frac{mask}{1 - r}, \qquad dx = dy \frac{mask}{1 - r}, \qquad P(mask = 1) = 1 - r$$

    Parameters
    ----------
    x : array_like
        Any shape.
    rate : float
        The share that is dropped, r, from 0 to below 1.
    key : tuple of int
        Decides the mask: the same key gives the same mask.

    Returns
    -------
    y : array
        The shape of `x`.
    pullback : callable
        ``pullback(dy) -> (dx,)``, with the same mask.

    Raises
    ------
    ValueError
        For a rate out of range, or a key that is no tuple of ints from 0 up.

    References
    ----------
    N. Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting",
    JMLR 15, 2014, section 10: the scaling during training.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.dropout(np.ones(1000), rate=0.5, key=(0, 1))
    >>> print(np.unique(y), bool((pullback(np.ones(1000))[0] == y).all()))
    [0. 2.] True
    """
    x, xp = floating("dropout", "x", x)
    rate = check_rate("dropout", rate)
    check_key("dropout", key)
    rng = np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))
    mask = xp.astype(xp.asarray(rng.random(x.shape, np.float32) >= rate), x.dtype)
    mask /= 1 - rate
    return x * mask, lambda dy: (cotangent("dropout", dy, mask.shape, mask.dtype) * mask,)


def check_rate(where: str, rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"{where}: rate is {rate}, wanted a share from 0 to below 1")
    return float(rate)


def check_key(where: str, key: tuple[int, ...]) -> None:
    if not isinstance(key, tuple) or not key or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in key):
        raise ValueError(f"{where}: key is {key!r}, wanted a tuple of ints from 0 up")


def softmax_cross_entropy(z: ArrayLike, t: ArrayLike) -> tuple[Array, Pullback]:
    r"""Cross-entropy of the softmax of scores, the mean over the batch.

    $$E = -\frac1N \sum_n \sum_k t_{nk} \log y_{nk}, \quad y = \mathrm{softmax}(z), \qquad dz = \frac{dE}{N} (y - t)$$

    There is no epsilon: the logarithm is taken of the scores, through the log-softmax.

    Parameters
    ----------
    z : array_like, shape (N, C)
        Scores (logits).
    t : array_like
        Labels: ints (N,), or one-hot rows (N, C), or rows of probabilities.

    Returns
    -------
    loss : float
        In the dtype of `z`, in nats.
    pullback : callable
        ``pullback(dloss=1.0) -> (dz,)``.

    Raises
    ------
    ValueError
        If the labels do not fit `z`, `z` is no batch, or the batch is empty.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, formula 4.108.

    Examples
    --------
    >>> import nnfunc as nn
    >>> loss, pullback = nn.ops.softmax_cross_entropy([[0.0, 0.0], [0.0, 0.0]], [0, 1])
    >>> print(round(loss, 6), *pullback())    # log 2, for two equal chances
    0.693147 [[-0.25  0.25]
     [ 0.25 -0.25]]
    """
    z, xp = floating("softmax_cross_entropy", "z", z)
    check_some("softmax_cross_entropy", "z", z)
    if z.ndim < 2:
        raise ValueError(f"softmax_cross_entropy: z has shape {z.shape}, wanted (N, C); one sample is a batch z[None]")
    rows = np.shape(t) == z.shape
    t = class_targets("softmax_cross_entropy", "z", z, t)
    log_y = functions.log_softmax(z)
    N = z.size // z.shape[-1]
    loss = -_expected(xp, t, log_y) / N

    def pullback(dloss=1.0):
        dz = xp.exp(log_y)
        if rows:  # they sum to one, but perhaps not to the last digit
            dz *= xp.sum(t, axis=-1, keepdims=True)
        dz -= t
        dz *= _factor("softmax_cross_entropy", dloss) / N
        return (dz,)

    return loss, pullback


def sigmoid_cross_entropy(z: ArrayLike, t: ArrayLike) -> tuple[Array, Pullback]:
    r"""Cross-entropy of the sigmoid of scores, the mean over all elements: yes-or-no questions.

    $$E = -\frac{1}{NK} \sum_{n,k} \bigl( t_{nk} \log y_{nk} + (1 - t_{nk}) \log (1 - y_{nk}) \bigr), \quad
    y = \sigma(z), \qquad dz = \frac{dE}{NK} (y - t)$$

    Computed as $\max(z, 0) - z t + \log(1 + e^{-|z|})$, which is the same and never overflows.

    Parameters
    ----------
    z : array_like
        Scores (logits), any shape.
    t : array_like
        Targets from 0 to 1, in the shape of `z`.

    Returns
    -------
    loss : float
        In the dtype of `z`, in nats.
    pullback : callable
        ``pullback(dloss=1.0) -> (dz,)``.

    Raises
    ------
    ValueError
        If the shapes differ, a target lies outside 0 to 1, or there is nothing to take a mean of.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, formula 4.90.

    Examples
    --------
    >>> import nnfunc as nn
    >>> loss, pullback = nn.ops.sigmoid_cross_entropy([0.0, 0.0], [0.0, 1.0])
    >>> print(round(loss, 6), *pullback())
    0.693147 [ 0.25 -0.25]
    """
    z, xp = floating("sigmoid_cross_entropy", "z", z)
    check_some("sigmoid_cross_entropy", "z", z)
    t = targets("sigmoid_cross_entropy", "z", z, t)
    check_unit("sigmoid_cross_entropy", "t", t)
    loss = xp.mean(xp.maximum(z, 0.0) - z * t + xp.log1p(xp.exp(-xp.abs(z))))
    return loss, lambda dloss=1.0: ((functions.sigmoid(z) - t) * (_factor("sigmoid_cross_entropy", dloss) / z.size),)


def sum_squared_error(y: ArrayLike, t: ArrayLike) -> tuple[Array, Pullback]:
    r"""Half the sum of squared errors, as an op.

    $$E = \frac12 \sum_k (y_k - t_k)^2, \qquad dy = dE\, (y - t)$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape.

    Returns
    -------
    loss : float
        In the dtype of `y`.
    pullback : callable
        ``pullback(dloss=1.0) -> (dy,)``.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, formula 5.11.

    Examples
    --------
    >>> import nnfunc as nn
    >>> loss, pullback = nn.ops.sum_squared_error([0.5, 0.5], [0.0, 1.0])
    >>> print(loss, *pullback())
    0.25 [ 0.5 -0.5]
    """
    y, _ = floating("sum_squared_error", "y", y)
    t = targets("sum_squared_error", "y", y, t)
    loss = functions.sum_squared_error(y, t)
    return loss, lambda dloss=1.0: ((y - t) * _factor("sum_squared_error", dloss),)


def mean_squared_error(y: ArrayLike, t: ArrayLike) -> tuple[Array, Pullback]:
    r"""Mean of squared errors, as an op.

    $$E = \frac{1}{NK} \sum_{n,k} (y_{nk} - t_{nk})^2, \qquad dy = \frac{2\, dE}{NK} (y - t)$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape.

    Returns
    -------
    loss : float
        In the dtype of `y`.
    pullback : callable
        ``pullback(dloss=1.0) -> (dy,)``.

    Raises
    ------
    ValueError
        If the shapes differ, or there is nothing to take the mean of.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, formula 5.5.

    Examples
    --------
    >>> import nnfunc as nn
    >>> loss, pullback = nn.ops.mean_squared_error([0.5, 0.5], [0.0, 1.0])
    >>> print(loss, *pullback())
    0.25 [ 0.5 -0.5]
    """
    y, _ = floating("mean_squared_error", "y", y)
    t = targets("mean_squared_error", "y", y, t)
    loss = functions.mean_squared_error(y, t)
    return loss, lambda dloss=1.0: ((y - t) * (2 * _factor("mean_squared_error", dloss) / y.size),)


def _two(where: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x, _ = floating(where, "x", x)
    y, _ = floating(where, "y", y)
    if x.shape != y.shape:
        raise ValueError(f"{where}: x has shape {x.shape}, y has shape {y.shape}; wanted one shape")
    return x, y


def _flat(xp: Any, x: Array) -> Array:
    return x if x.ndim == 2 else xp.reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


def _sums(xp: Any, x: Array) -> Array:
    """Sum over all axes but the second. A matrix product adds rows faster than a sum does."""
    return xp.ones(x.shape[0], dtype=x.dtype) @ x if x.ndim == 2 else xp.sum(x, axis=(0, 2, 3))


def _expected(xp: Any, t: Array, log_y: Array) -> Any:
    """Sum of t log_y, in which 0 times minus infinity is 0: a class that is ruled out takes no part."""
    total = np.vdot(t, log_y) if xp is np else nan
    return total if total == total else xp.sum(t * xp.where(t > 0, log_y, 0.0))


def _factor(where: str, dloss: ArrayLike) -> float:
    if np.shape(dloss) != ():
        raise ValueError(f"{where}: the gradient has shape {np.shape(dloss)}, wanted one number, like the loss")
    return float(dloss)
