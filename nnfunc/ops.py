r"""Ops: a value and the way back. Chapter 5.

An op returns its value and its pullback, ``y, pullback = op(x, W, b)``. The pullback takes the gradient of the loss
by `y` and returns the gradients by each input, ``dx, dW, db = pullback(dy)``: the vector-Jacobian product. A loss is
an op on scores and targets; its pullback starts the way back, ``(dz,) = pullback()``. Nothing is kept but what the
closure holds, and no argument is written to.

What each op takes stands above it; `nnfunc.op` sees to it, there and on the way back, and says what it refuses.
"""

from functools import lru_cache
from math import nan, prod
from typing import Any

import numpy as np

from . import _arrays, functions
from ._arrays import Array, class_targets, like, namespace, op, real, takes, uniform
from .conv import avg_pool2d, conv2d, max_pool2d
from .forms import Pullback

__all__ = [
    "add",
    "affine",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "dropout",
    "flatten",
    "identity",
    "log_softmax",
    "max_pool2d",
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


@op("x (...), y (...)")
def add(x: Array, y: Array) -> tuple[np.ndarray, Pullback]:
    r"""Sum of two inputs. The gradient passes unchanged to both.

    $$z = x + y, \qquad dx = dz, \quad dy = dz$$

    Parameters
    ----------
    x, y : array_like
        Numbers, or arrays of one shape.

    Returns
    -------
    z, pullback : array, callable
        The sum; ``pullback(dz) -> (dx, dy)``.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> total, pullback = nn.ops.add(200.0, 450.0)    # the apples and the oranges
    >>> dapples, doranges = pullback(1.1)
    >>> print(total, dapples, doranges)
    650.0 1.1 1.1
    """
    return x + y, lambda dz: (dz, dz)


@op("x (...), y (...)")
def mul(x: Array, y: Array) -> tuple[np.ndarray, Pullback]:
    r"""Product of two inputs. Each gets the gradient times the other.

    $$z = x y, \qquad dx = dz\, y, \quad dy = dz\, x$$

    Parameters
    ----------
    x, y : array_like
        Numbers, or arrays of one shape.

    Returns
    -------
    z, pullback : array, callable
        The product, element by element; ``pullback(dz) -> (dx, dy)``.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> price, pullback = nn.ops.mul(100.0, 2.0)    # two apples
    >>> dapple, dnumber = pullback(1.1)
    >>> print(price, round(dapple, 6), round(dnumber, 6))
    200.0 2.2 110.0
    """
    return x * y, lambda dz: (dz * y, dz * x)


@op("x (...)")
def identity(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Identity, as an op.

    $$y = x, \qquad dx = dy$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y, pullback : array, callable
        `x` itself; ``pullback(dy) -> (dx,)``.

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
    return x, lambda dy: (dy,)


@op("x (..., D), W (D, M), b (M)")
def affine(x: Array, W: Array, b: Array, *, dx: bool = True) -> tuple[np.ndarray, Pullback]:
    r"""Affine map, on the last axis.

    $$y = x W + b, \qquad dx = dy\, W^T, \quad dW = x^T dy, \quad db = \sum_n dy_n$$

    Parameters
    ----------
    x : array_like, shape (..., D)
        One sample (D,), a batch (N, D), or more axes.
    W, b : array_like, shapes (D, M) and (M,)
        Weights and bias.
    dx : bool
        Whether anybody wants the gradient by `x`; if not, it is None and costs nothing.

    Returns
    -------
    y, pullback : array, callable
        The scores of M neurons, (..., M); ``pullback(dy) -> (dx, dW, db)``.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.3.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.affine([[1.0, 2.0]], W=[[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]], b=[0.5, 0.5, 0.5])
    >>> dx, dW, db = pullback([[1.0, 0.0, 1.0]])
    >>> print(y, dx, dW, db, sep="\n")
    [[1.5 2.5 8.5]]
    [[3. 3.]]
    [[1. 0. 1.]
     [2. 0. 2.]]
    [1. 0. 1.]
    """

    def pullback(dy):
        rows = _flat(dy)
        return dy @ W.T if dx else None, _flat(x).T @ rows, _sums(rows)

    return x @ W + b, pullback


@op("x (...)")
def sigmoid(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Sigmoid, as an op.

    $$y = \frac{1}{1 + e^{-x}}, \qquad dx = dy\, y (1 - y)$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y, pullback : array, callable
        The shape of `x`; ``pullback(dy) -> (dx,)``.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.sigmoid(0.0)
    >>> print(y, *pullback(1.0))
    0.5 0.25
    """
    y = functions.sigmoid(x)
    return y, lambda dy: (dy * (y * (1 - y)),)


@op("x (...)")
def tanh(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Hyperbolic tangent, as an op.

    $$y = \tanh(x), \qquad dx = dy\, (1 - y^2)$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y, pullback : array, callable
        The shape of `x`; ``pullback(dy) -> (dx,)``.

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
    return y, lambda dy: (dy * (1 - y * y),)


@op("x (...)")
def relu(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Rectified linear unit, as an op. Its slope at 0 counts as 0.

    $$y = \max(x, 0), \qquad dx = dy\,[x > 0]$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    y, pullback : array, callable
        The shape of `x`; ``pullback(dy) -> (dx,)``.

    References
    ----------
    V. Nair, G. Hinton, 2010; the slope at 0: D. Bertoin and others, "Numerical influence of ReLU'(0)", 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.relu([-2.0, 0.0, 3.0])
    >>> print(y, *pullback([5.0, 5.0, 5.0]))
    [0. 0. 3.] [0. 0. 5.]
    """
    y = namespace(x).maximum(x, 0.0)
    return y, lambda dy: (dy * like(y > 0, y),)


@op("x (..., C)")
def softmax(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Softmax over the last axis, as an op.

    $$y_k = \frac{e^{x_k}}{\sum_j e^{x_j}}, \qquad dx_k = y_k \Bigl( dy_k - \sum_j dy_j\, y_j \Bigr)$$

    Parameters
    ----------
    x : array_like, shape (..., C)
        Scores.

    Returns
    -------
    y, pullback : array, callable
        Probabilities, (..., C); ``pullback(dy) -> (dx,)``.

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
    y = functions.softmax(x)
    return y, lambda dy: (y * (dy - _row_sums(dy * y)),)


@op("x (..., C)")
def log_softmax(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""Logarithm of the softmax over the last axis, as an op.

    $$y_k = x_k - \log \sum_j e^{x_j}, \qquad dx_k = dy_k - e^{y_k} \sum_j dy_j$$

    Parameters
    ----------
    x : array_like, shape (..., C)
        Scores.

    Returns
    -------
    y, pullback : array, callable
        Logarithms of probabilities, (..., C); ``pullback(dy) -> (dx,)``.

    References
    ----------
    P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.log_softmax([[0.0, 0.0]])
    >>> print(y.round(6), *pullback([[1.0, 0.0]]))
    [[-0.693147 -0.693147]] [[ 0.5 -0.5]]
    """
    y = functions.log_softmax(x)
    return y, lambda dy: (dy - namespace(y).exp(y) * _row_sums(dy),)


@op("x (N, D, ...)")
def flatten(x: Array) -> tuple[np.ndarray, Pullback]:
    r"""One row of numbers for each sample; the batch axis stays.

    $$y_{n,\, (c H + h) W + w} = x_{n,c,h,w}$$

    Parameters
    ----------
    x : array_like, shape (N, ...)
        A batch of images, say.

    Returns
    -------
    y, pullback : array, callable
        Shape (N, D), where D is the product of the other axes; ``pullback(dy) -> (dx,)``.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998, section II.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.flatten([[[1.0, 2.0], [3.0, 4.0]]])
    >>> print(y, pullback(y)[0].shape)
    [[1. 2. 3. 4.]] (1, 2, 2)
    """
    xp, shape = namespace(x), x.shape
    return xp.reshape(x, (shape[0], prod(shape[1:]))), lambda dy: (xp.reshape(dy, shape),)


@op("x (N, C, ...), gamma (C), beta (C)")
def batch_norm(x: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> tuple[np.ndarray, Pullback]:
    r"""Batch normalisation: each feature gets mean 0 and variance 1 over the batch, then a scale and a shift.

    $$\mu = \frac1m \sum x, \quad \sigma^2 = \frac1m \sum (x - \mu)^2, \quad
    \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \quad y = \gamma \hat x + \beta$$

    The gradient passes through mean and variance too. The code has $c = x - \mu$ and $s$, the root:

    $$d\gamma = \sum dy\, \hat x, \quad d\beta = \sum dy, \quad
    dx = \frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}} \Bigl( dy - \frac{d\beta}{m} - \hat x\, \frac{d\gamma}{m} \Bigr)$$

    Parameters
    ----------
    x : array_like, shape (N, C) or (N, C, H, W)
        A batch of C features, or of images of C channels, normalised over N, H and W.
    gamma, beta, eps : array_like of shape (C,), the same, float
        Scale and shift, and what keeps the root from zero.

    Returns
    -------
    y, pullback : array, callable
        The shape of `x`; ``pullback(dy) -> (dx, dgamma, dbeta)``.

    Raises
    ------
    ValueError
        If the batch has fewer than two values a feature.

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
    # Its own mean and variance take the place of the two that a layer would give.
    return _batch_norm(x, gamma, beta, gamma, gamma, real("batch_norm", "eps", eps), own=True)[:2]


@takes("x (N, C, ...), gamma (C), beta (C), mean (C), var (C)")
def _batch_norm(x, gamma, beta, mean, var, eps, own):
    """Normalise by the batch's own mean and variance, or by those given; return those used as well."""
    xp, m = namespace(x), x.shape[0] * prod(x.shape[2:])

    def each(feature):
        axes = [1] * (x.ndim - 2)
        return xp.reshape(feature, (-1, *axes)) if axes else feature

    if own:
        _arrays.check_spread("batch_norm", x.shape, m)
        mean = _sums(x) / m
    c = x - each(mean)
    if own:
        var = _sums(c * c) / m
    s = (var + eps) ** 0.5
    slope = gamma / s
    y = c * each(slope) + each(beta)

    def pullback(dy):
        dgamma, dbeta = _sums(dy * c) / s, _sums(dy)
        dx = dy * each(slope)
        if own:
            dx -= c * each(slope * dgamma / (s * m))
            dx -= each(slope * dbeta / m)
        return dx, dgamma, dbeta

    return *_arrays.way_back("batch_norm", (y, pullback)), mean, var


@op("x (...)")
def dropout(x: Array, rate: float, key: tuple[int, ...]) -> tuple[np.ndarray, Pullback]:
    r"""Dropout: a share of the numbers becomes zero, the others grow to make up for it.

    $$y = x \frac{mask}{1 - r}, \qquad dx = dy \frac{mask}{1 - r}, \qquad P(mask = 1) = 1 - r$$

    Parameters
    ----------
    x : array_like
        Any shape.
    rate, key : float, tuple of int
        The share that is dropped, r, from 0 to below 1; and what decides the mask: the same key gives the same mask.
        JAX's arrays have another mask than NumPy's, from JAX's own generator.

    Returns
    -------
    y, pullback : array, callable
        The shape of `x`; ``pullback(dy) -> (dx,)``, with the same mask.

    References
    ----------
    N. Srivastava and others, "Dropout", JMLR 15, 2014, section 10: the scaling during training.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.dropout([1.0] * 1000, rate=0.5, key=(0, 1))
    >>> print(set(y.tolist()), bool((pullback([1.0] * 1000)[0] == y).all()))
    {0.0, 2.0} True
    """
    _arrays.check_key("dropout", key)
    rate = real("dropout", "rate", rate, "[0, 1)")
    kept = uniform(key, x) >= rate
    mask = like(kept, x) / (1 - rate)
    return x * mask, lambda dy: (dy * mask,)


@op("z (N, ..., C)")
def softmax_cross_entropy(z: Array, t: Array) -> tuple[np.ndarray, Pullback]:
    r"""Cross-entropy of the softmax of scores, the mean over the batch.

    $$E = -\frac1N \sum_n \sum_k t_{nk} \log y_{nk}, \quad y = \mathrm{softmax}(z), \qquad dz = \frac{dE}{N} (y - t)$$

    There is no epsilon: the logarithm is taken of the scores, through the log-softmax.

    Parameters
    ----------
    z, t : array_like
        Scores (logits), (N, C), and labels: ints (N,), or one-hot rows (N, C), or rows of probabilities.

    Returns
    -------
    loss, pullback : float, callable
        In the dtype of `z`, in nats; ``pullback(dloss=1.0) -> (dz,)``.

    Raises
    ------
    ValueError
        If the labels do not fit `z`, or the batch is empty.

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
    rows = np.shape(t) == z.shape
    t = class_targets("softmax_cross_entropy", "z", z, t)
    log_y = functions.log_softmax(z)
    xp, N = namespace(z), prod(z.shape[:-1])

    def pullback(dloss=1.0):
        dz = xp.exp(log_y)
        if rows:  # they sum to one, but perhaps not to the last digit
            dz *= xp.sum(t, axis=-1, keepdims=True)
        dz -= t
        dz *= dloss / N
        return (dz,)

    return -_expected(t, log_y) / N, pullback


@op("z (...), t (...)")
def sigmoid_cross_entropy(z: Array, t: Array) -> tuple[np.ndarray, Pullback]:
    r"""Cross-entropy of the sigmoid of scores, the mean over all elements: yes-or-no questions.

    $$E = -\frac{1}{NK} \sum_{n,k} \bigl( t_{nk} \log y_{nk}
    + (1 - t_{nk}) \log (1 - y_{nk}) \bigr), \quad
    y = \sigma(z), \qquad dz = \frac{dE}{NK} (y - t)$$

    Computed as $\max(z, 0) - z t + \log(1 + e^{-|z|})$, which is the same and never overflows.

    Parameters
    ----------
    z, t : array_like
        Scores (logits) of any shape, and targets from 0 to 1 of the same.

    Returns
    -------
    loss, pullback : float, callable
        In the dtype of `z`, in nats; ``pullback(dloss=1.0) -> (dz,)``.

    Raises
    ------
    ValueError
        If a target lies outside 0 to 1, or there is nothing to take a mean of.

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
    xp, t = namespace(z), like(t, z)
    _arrays.check_some("sigmoid_cross_entropy", "z", z)
    _arrays.check_range("sigmoid_cross_entropy", "t", t, 0, 1)
    wrong, size = xp.where(z > 0, 1 - t, t), xp.abs(z)  # infinite scores may be right
    loss = xp.mean(wrong * xp.where(wrong > 0, size, 0.0) + xp.log1p(xp.exp(-size)))
    return loss, lambda dloss=1.0: ((functions.sigmoid(z) - t) * (dloss / prod(z.shape)),)


@op("y (...), t (...)")
def sum_squared_error(y: Array, t: Array) -> tuple[np.ndarray, Pullback]:
    r"""Half the sum of squared errors, as an op.

    $$E = \frac12 \sum_k (y_k - t_k)^2, \qquad dy = dE\, (y - t)$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape.

    Returns
    -------
    loss, pullback : float, callable
        In the dtype of `y`; ``pullback(dloss=1.0) -> (dy,)``.

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
    return functions.sum_squared_error(y, t), lambda dloss=1.0: ((y - like(t, y)) * dloss,)


@op("y (...), t (...)")
def mean_squared_error(y: Array, t: Array) -> tuple[np.ndarray, Pullback]:
    r"""Mean of squared errors, as an op.

    $$E = \frac{1}{NK} \sum_{n,k} (y_{nk} - t_{nk})^2, \qquad dy = \frac{2\, dE}{NK} (y - t)$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape.

    Returns
    -------
    loss, pullback : float, callable
        In the dtype of `y`; ``pullback(dloss=1.0) -> (dy,)``.

    Raises
    ------
    ValueError
        If there is nothing to take the mean of.

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
    return functions.mean_squared_error(y, t), lambda dloss=1.0: ((y - like(t, y)) * (2 * dloss / prod(y.shape)),)


def _flat(x: Array) -> Array:
    return x if x.ndim == 2 else namespace(x).reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


def _sums(x: Array) -> Array:
    """Sum over all axes but the second. A matrix product adds rows faster than a sum does."""
    xp = namespace(x)
    if x.ndim != 2:
        return xp.sum(x, axis=(0, *range(2, x.ndim)))
    return (_ones if xp is np else xp.ones)(x.shape[0], dtype=x.dtype) @ x


@lru_cache(64)
def _ones(N: int, dtype: Any) -> np.ndarray:
    ones = np.ones(N, dtype)
    ones.setflags(write=False)
    return ones


def _row_sums(x: Array) -> Array:
    return namespace(x).sum(x, axis=-1, keepdims=True)


def _expected(t: Array, log_y: Array) -> Array:
    """Sum of t log_y, in which 0 times minus infinity is 0: a class that is ruled out takes no part."""
    xp = namespace(log_y)
    total = np.vdot(t, log_y) if xp is np else nan
    return total if total == total else xp.sum(t * xp.where(t > 0, log_y, 0.0))
