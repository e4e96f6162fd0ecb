r"""Values: activations, the losses on them, and accuracy. Chapters 2 to 4.

Every function takes arrays and returns new ones. Lists and numbers are taken too, ints count as
floats where a formula wants them, and any array that follows the Python array API standard is
answered in its own kind.
"""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "accuracy",
    "cross_entropy_error",
    "identity",
    "log_softmax",
    "mean_squared_error",
    "one_hot",
    "perceptron",
    "relu",
    "sigmoid",
    "softmax",
    "step",
    "sum_squared_error",
    "tanh",
]

Array = Any  # a NumPy array, or one of any library that follows the array API standard


def step(x: ArrayLike) -> Array:
    r"""Step function: 1 where x is positive, 0 elsewhere.

    $$h(x) = \begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    array of int
        The shape of `x`.

    References
    ----------
    F. Rosenblatt, "The perceptron", Psychological Review 65(6), 1958.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.step([-1.0, 0.0, 2.0]))
    [0 0 1]
    """
    x, xp = array(x)
    return xp.astype(xp.asarray(x > 0), xp.int64)


def sigmoid(x: ArrayLike) -> Array:
    r"""Sigmoid function.

    $$\sigma(x) = \frac{1}{1 + e^{-x}}$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    array
        Numbers from 0 to 1, in the shape and dtype of `x`.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.sigmoid([-1000.0, 0.0, 1000.0]))
    [0.  0.5 1. ]
    """
    x, xp = floating("sigmoid", "x", x)
    with np.errstate(over="ignore"):  # where the exponential is infinite, the quotient is rightly 0
        return 1 / (1 + xp.exp(-x))


def tanh(x: ArrayLike) -> Array:
    r"""Hyperbolic tangent.

    $$\tanh(x) = \frac{e^{x} - e^{-x}}{e^{x} + e^{-x}} = 2\,\sigma(2x) - 1$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    array
        Numbers from -1 to 1, in the shape and dtype of `x`.

    References
    ----------
    Y. LeCun and others, "Efficient BackProp", 1998, section 4.4.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.tanh([-1000.0, 0.0, 1000.0]))
    [-1.  0.  1.]
    """
    x, xp = floating("tanh", "x", x)
    return xp.tanh(x)


def relu(x: ArrayLike) -> Array:
    r"""Rectified linear unit.

    $$\mathrm{relu}(x) = \max(x, 0)$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    array
        The shape and dtype of `x`.

    References
    ----------
    V. Nair, G. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.relu([-2.0, 0.0, 3.0]))
    [0. 0. 3.]
    """
    x, xp = floating("relu", "x", x)
    return xp.maximum(x, 0.0)


def identity(x: ArrayLike) -> Array:
    r"""Identity: the output activation of a regression.

    $$y = x$$

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    array
        `x` itself.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.identity([0.3, 0.7]))
    [0.3 0.7]
    """
    return array(x)[0]


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    r"""Softmax: scores become probabilities.

    $$y_k = \frac{e^{x_k}}{\sum_j e^{x_j}}$$

    The largest score is subtracted first. That changes nothing in the formula and keeps the
    exponentials from overflowing.

    Parameters
    ----------
    x : array_like
        Scores of any shape.
    axis : int
        The axis of the classes.

    Returns
    -------
    array
        The shape and dtype of `x`; sums to one along `axis`.

    References
    ----------
    J. Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.softmax([0.3, 2.9, 4.0]))
    [0.01821127 0.24519181 0.73659691]
    """
    x, xp = floating("softmax", "x", x)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    r"""Logarithm of the softmax, without the detour through small probabilities.

    $$\log y_k = x_k - \log \sum_j e^{x_j}$$

    Parameters
    ----------
    x : array_like
        Scores of any shape.
    axis : int
        The axis of the classes.

    Returns
    -------
    array
        Numbers up to 0, in the shape and dtype of `x`.

    References
    ----------
    P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.log_softmax([0.0, -2000.0]))
    [    0. -2000.]
    """
    x, xp = floating("log_softmax", "x", x)
    if xp is np and x.ndim == 2 and axis in (-1, 1):  # many short rows: the same sums, six times as fast
        x = x - x.T.copy().max(axis=0)[:, None]
        return x - np.log(np.exp(x) @ np.ones((x.shape[1], 1), x.dtype))
    x = x - xp.max(x, axis=axis, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))


def one_hot(t: ArrayLike, classes: int) -> Array:
    r"""One-hot rows of labels.

    $$T_{nk} = \begin{cases} 1 & k = t_n \\ 0 & k \ne t_n \end{cases}$$

    Parameters
    ----------
    t : array_like of int
        Labels from 0 to ``classes - 1``, any shape.
    classes : int
        How many classes there are.

    Returns
    -------
    array of float32
        Shape ``t.shape + (classes,)``.

    Raises
    ------
    ValueError
        For labels that are no ints, or out of range.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.one_hot([2, 0], 3))
    [[0. 0. 1.]
     [1. 0. 0.]]
    """
    t, xp = array(t)
    return _one_hot("one_hot", t, xp, classes, xp.float32)


def perceptron(x: ArrayLike, w: ArrayLike, b: float) -> Array:
    r"""Perceptron: does the weighted sum of the inputs exceed the threshold?

    $$y = h(w \cdot x + b), \qquad h(a) = 1 \text{ if } a > 0 \text{ else } 0$$

    Parameters
    ----------
    x : array_like, shape (D,) or (N, D)
        One input, or a batch of them.
    w : array_like, shape (D,)
        Weights.
    b : float
        Bias, the negative of the threshold.

    Returns
    -------
    int or array of int, shape (N,)
        0 or 1 for each input.

    Raises
    ------
    ValueError
        If `w` has another number of entries than an input, or `b` is no number.

    References
    ----------
    F. Rosenblatt, "The perceptron", Psychological Review 65(6), 1958.

    Examples
    --------
    >>> import nnfunc as nn
    >>> inputs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    >>> print(nn.perceptron(inputs, w=(0.5, 0.5), b=-0.7))    # AND
    [0 0 0 1]
    """
    x, _ = array(x)
    w, _ = array(w)
    if w.ndim != 1 or x.ndim not in (1, 2) or x.shape[-1] != w.shape[0]:
        raise ValueError(f"perceptron: x has shape {x.shape}, w has shape {w.shape}; wanted (D,) or (N, D), and (D,)")
    if np.shape(b) != ():
        raise ValueError(f"perceptron: b has shape {np.shape(b)}; wanted a number")
    return step(x @ w + b)


def sum_squared_error(y: ArrayLike, t: ArrayLike) -> Array:
    r"""Half the sum of squared errors.

    $$E = \frac12 \sum_k (y_k - t_k)^2$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape. The sum runs over all elements.

    Returns
    -------
    float
        In the dtype of `y`.

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
    >>> print(nn.sum_squared_error([0.5, 0.5], [0.0, 1.0]))
    0.25
    """
    error, xp = _errors("sum_squared_error", y, t)
    return 0.5 * xp.sum(error**2)


def mean_squared_error(y: ArrayLike, t: ArrayLike) -> Array:
    r"""Mean of squared errors over all elements.

    $$E = \frac{1}{NK} \sum_n \sum_k (y_{nk} - t_{nk})^2$$

    Parameters
    ----------
    y, t : array_like
        Outputs and targets of one shape.

    Returns
    -------
    float
        In the dtype of `y`.

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
    >>> print(nn.mean_squared_error([0.5, 0.5], [0.0, 1.0]))
    0.25
    """
    error, xp = _errors("mean_squared_error", y, t)
    check_some("mean_squared_error", "y", error)
    return xp.mean(error**2)


def cross_entropy_error(y: ArrayLike, t: ArrayLike, eps: float = 1e-7) -> Array:
    r"""Cross-entropy of probabilities, the mean over the batch.

    $$E = -\frac1N \sum_n \sum_k t_{nk} \log(y_{nk} + \varepsilon)$$

    The small number keeps the logarithm finite where a probability is zero, and makes the loss a
    little wrong. Training starts from scores and needs none:
    [softmax_cross_entropy][nnfunc.ops.softmax_cross_entropy].

    Parameters
    ----------
    y : array_like, shape (C,) or (N, C)
        Probabilities, of one sample or of a batch.
    t : array_like
        Labels: ints of shape ``y.shape[:-1]``, or one-hot rows (or rows of probabilities) of the
        shape of `y`.
    eps : float
        Added to each probability.

    Returns
    -------
    float
        In the dtype of `y`, in nats.

    Raises
    ------
    ValueError
        If `y` holds no probabilities, the labels do not fit `y`, or the batch is empty.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 6.2.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y = [[0.1, 0.9], [0.8, 0.2]]
    >>> print(round(nn.cross_entropy_error(y, [1, 0]), 6))    # labels ...
    0.164252
    >>> print(round(nn.cross_entropy_error(y, [[0, 1], [1, 0]]), 6))    # ... or one-hot rows
    0.164252
    """
    y, xp = floating("cross_entropy_error", "y", y)
    check_some("cross_entropy_error", "y", y)
    check_unit("cross_entropy_error", "y", y, "; scores go to nnfunc.ops.softmax_cross_entropy")
    t = class_targets("cross_entropy_error", "y", y, t)
    log_y = xp.log(xp.where(t > 0, y + float(eps), 1.0))
    return -xp.sum(t * log_y) / (y.size // y.shape[-1])


def accuracy(y: ArrayLike, t: ArrayLike) -> Array:
    r"""Share of the samples whose highest score stands at the label.

    $$\frac1N \sum_n [\arg\max_k y_{nk} = t_n]$$

    Parameters
    ----------
    y : array_like, shape (N, C) or (C,)
        Scores or probabilities.
    t : array_like
        Labels: ints of shape ``y.shape[:-1]``, or one-hot rows of the shape of `y`.

    Returns
    -------
    float
        From 0 to 1, in the dtype of `y`.

    Raises
    ------
    ValueError
        If the labels do not fit `y`, or the batch is empty.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 5.1.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]))
    0.5
    """
    y, xp = floating("accuracy", "y", y)
    check_some("accuracy", "y", y)
    t = class_targets("accuracy", "y", y, t)
    hits = xp.argmax(y, axis=-1) == xp.argmax(t, axis=-1)
    return xp.mean(xp.astype(xp.asarray(hits), y.dtype))


def class_targets(where: str, name: str, y: Array, t: ArrayLike) -> Array:
    """Bring labels of any accepted form to rows of probabilities that fit `y`, or refuse them.

    Ints of shape ``y.shape[:-1]`` become one-hot rows; rows of the shape of `y` must sum to one.
    `where` and `name` say in the error whose argument `y` is.
    """
    t, xp = array(t)
    if y.ndim == 0 or t.shape not in (y.shape, y.shape[:-1]):
        raise ValueError(
            f"{where}: t has shape {t.shape}, {name} has shape {y.shape}; "
            f"wanted int labels of shape {y.shape[:-1]} or one-hot rows of shape {y.shape}"
        )
    if t.shape == y.shape:
        t = xp.astype(t, y.dtype, copy=False)
        _check_rows(where, t)
        return t
    return _one_hot(where, t, xp, y.shape[-1], y.dtype)


def targets(where: str, name: str, y: Array, t: ArrayLike) -> Array:
    """Bring targets to the dtype of `y`, or refuse them for another shape. Nothing is broadcast."""
    t, xp = array(t)
    if t.shape != y.shape:
        raise ValueError(f"{where}: t has shape {t.shape}, wanted {y.shape}, the shape of {name}")
    return xp.astype(t, y.dtype, copy=False)


def array(x: ArrayLike) -> tuple[Array, ModuleType]:
    """Return `x` as an array, with the namespace of its library: NumPy, unless `x` brings another."""
    if isinstance(x, np.ndarray):
        return x, np
    if isinstance(x, np.generic) or not hasattr(x, "__array_namespace__"):
        return np.asarray(x), np
    return x, x.__array_namespace__()


def floating(where: str, name: str, x: ArrayLike, dtype: Any = np.float64) -> tuple[Array, ModuleType]:
    """Return `x` as an array of floats, with its namespace: ints and bools become `dtype`."""
    x, xp = array(x)
    if (xp is np and x.dtype.kind == "f") or xp.isdtype(x.dtype, "real floating"):
        return x, xp
    if not xp.isdtype(x.dtype, ("bool", "integral")):
        raise ValueError(f"{where}: {name} has dtype {x.dtype}, wanted real numbers")
    return xp.astype(x, dtype), xp


def cotangent(where: str, dy: ArrayLike, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the gradient that a pullback is given as an array, or refuse it for another shape than the output's."""
    if getattr(dy, "shape", None) != shape != np.shape(dy):
        raise ValueError(f"{where}: the gradient has shape {np.shape(dy)}, wanted {shape}, the shape of the output")
    return floating(where, "the gradient", dy, dtype)[0]


def _errors(where: str, y: ArrayLike, t: ArrayLike) -> tuple[Array, ModuleType]:
    y, xp = floating(where, "y", y)
    return y - targets(where, "y", y, t), xp


def check_some(where: str, name: str, y: Array) -> None:
    if y.size == 0:
        raise ValueError(f"{where}: {name} has shape {y.shape}; there is nothing to take a mean of")


def _one_hot(where: str, t: Array, xp: ModuleType, classes: int, dtype: Any) -> Array:
    if not (t.dtype.kind in "iu" if xp is np else xp.isdtype(t.dtype, "integral")):
        raise ValueError(f"{where}: t has dtype {t.dtype}, labels are ints")
    hits = t[..., None] == xp.arange(classes)
    if isinstance(t, np.ndarray) and np.count_nonzero(hits) != t.size:
        raise ValueError(f"{where}: t holds labels from {t.min()} to {t.max()}, wanted 0 to {classes - 1}")
    return xp.astype(hits, dtype)


def _check_rows(where: str, t: Array) -> None:
    if isinstance(t, np.ndarray) and t.size:
        sums = t.sum(axis=-1)
        if t.min() < 0 or not (abs(sums - 1) <= 1e-3).all():
            raise ValueError(
                f"{where}: the rows of t sum to {sums.min():.6g} ... {sums.max():.6g} (smallest entry {t.min():.6g}); "
                "wanted one-hot rows or probabilities, which sum to 1"
            )


def check_unit(where: str, name: str, y: Array, advice: str = "") -> None:
    if isinstance(y, np.ndarray) and y.size and not (y.min() >= -1e-3 and y.max() <= 1 + 1e-3):
        raise ValueError(f"{where}: {name} runs from {y.min():.6g} to {y.max():.6g}, wanted 0 to 1{advice}")
