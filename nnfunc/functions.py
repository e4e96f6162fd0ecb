r"""Values: activations, the losses on them, and accuracy. Chapters 2 to 4.

Every function takes arrays and returns new ones. Lists and numbers are taken too, ints count as floats where a formula
wants them, and any array that follows the Python array API standard is answered in its own kind. What does not fit the
shapes above a function is refused in these words.
"""

from math import prod

import numpy as np

from . import _arrays
from ._arrays import Array, array, class_targets, like, namespace, one_hot_rows, real, takes, whole

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


@takes("x (...)")
def step(x: Array) -> np.ndarray:
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

    Raises
    ------
    ValueError
        If `x` holds nan, which is neither.

    References
    ----------
    F. Rosenblatt, "The perceptron", Psychological Review 65(6), 1958.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.step([-1.0, 0.0, 2.0]))
    [0 0 1]
    """
    _arrays.check_range("step", "x", x)
    xp = namespace(x)
    return xp.astype(xp.asarray(x > 0), xp.asarray(0).dtype)


@takes("x (...)")
def sigmoid(x: Array) -> np.ndarray:
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
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.sigmoid([-1000.0, 0.0, 1000.0]))
    [0.  0.5 1. ]
    """
    with np.errstate(over="ignore"):  # where the exponential is infinite, the quotient is rightly 0
        return 1 / (1 + namespace(x).exp(-x))


@takes("x (...)")
def tanh(x: Array) -> np.ndarray:
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
    return namespace(x).tanh(x)


@takes("x (...)")
def relu(x: Array) -> np.ndarray:
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
    return namespace(x).maximum(x, 0.0)


@takes("x (...)")
def identity(x: Array) -> np.ndarray:
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
    return x


@takes("x (..., C)")
def softmax(x: Array, axis: int = -1) -> np.ndarray:
    r"""Softmax: scores become probabilities.

    $$y_k = \frac{e^{x_k}}{\sum_j e^{x_j}}$$

    The largest score is subtracted first, which changes nothing but keeps the exponentials from overflowing.

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
    xp = namespace(x)
    axis = whole("softmax", "axis", axis, -x.ndim, x.ndim - 1)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@takes("x (..., C)")
def log_softmax(x: Array, axis: int = -1) -> np.ndarray:
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
    P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.log_softmax([0.0, -2000.0]))
    [    0. -2000.]
    """
    xp = namespace(x)
    axis = whole("log_softmax", "axis", axis, -x.ndim, x.ndim - 1)
    if xp is np and x.ndim == 2 and axis in (-1, 1):  # many short rows: as columns, the same sums six times as fast
        x = x.T.copy()
        x -= x.max(axis=0)
        x -= np.log(np.exp(x).sum(axis=0))
        return x.T.copy()
    x = x - xp.max(x, axis=axis, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))


def one_hot(t: Array, classes: int) -> np.ndarray:
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
    t, xp = array("one_hot", "t", t)
    return one_hot_rows("one_hot", t, whole("one_hot", "classes", classes, 1), xp.float32)


@takes("x (..., D), w (D)")
def perceptron(x: Array, w: Array, b: float) -> np.ndarray:
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
        If `b` is no number.

    References
    ----------
    F. Rosenblatt, "The perceptron", Psychological Review 65(6), 1958.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.perceptron([(0, 0), (0, 1), (1, 0), (1, 1)], w=(0.5, 0.5), b=-0.7))    # AND
    [0 0 0 1]
    """
    b = real("perceptron", "b", b, "(-inf, inf)")
    return step(x @ w + b)


@takes("y (...), t (...)")
def sum_squared_error(y: Array, t: Array) -> np.ndarray:
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

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, formula 5.11.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.sum_squared_error([0.5, 0.5], [0.0, 1.0]))
    0.25
    """
    return 0.5 * namespace(y).sum((y - like(t, y)) ** 2)


@takes("y (...), t (...)")
def mean_squared_error(y: Array, t: Array) -> np.ndarray:
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
        If there is nothing to take the mean of.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, formula 5.5.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.mean_squared_error([0.5, 0.5], [0.0, 1.0]))
    0.25
    """
    _arrays.check_some("mean_squared_error", "y", y)
    return namespace(y).mean((y - like(t, y)) ** 2)


@takes("y (..., C)")
def cross_entropy_error(y: Array, t: Array, eps: float = 1e-7) -> np.ndarray:
    r"""Cross-entropy of probabilities, the mean over the batch.

    $$E = -\frac1N \sum_n \sum_k t_{nk} \log(y_{nk} + \varepsilon)$$

    The small number keeps the logarithm finite where a probability is zero, and makes the loss a little wrong.
    Training starts from scores and needs none: [softmax_cross_entropy][nnfunc.ops.softmax_cross_entropy].

    Parameters
    ----------
    y : array_like, shape (C,) or (N, C)
        Probabilities, of one sample or of a batch.
    t : array_like
        Labels: ints of shape ``y.shape[:-1]``, or one-hot rows (or rows of probabilities) of the shape of `y`.
    eps : float
        Added to each probability.

    Returns
    -------
    float
        In the dtype of `y`, in nats.

    Raises
    ------
    ValueError
        If the rows of `y` are no probabilities, the labels do not fit `y`, or the batch is empty.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 6.2.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y = [[0.1, 0.9], [0.8, 0.2]]
    >>> print(*(nn.cross_entropy_error(y, t).round(6) for t in ([1, 0], [[0, 1], [1, 0]])))    # labels, one-hot rows
    0.164252 0.164252
    """
    xp = namespace(y)
    eps = real("cross_entropy_error", "eps", eps)
    _arrays.check_probabilities("cross_entropy_error", "y", y)
    t = class_targets("cross_entropy_error", "y", y, t)
    log_y = xp.log(xp.where(t > 0, y + eps, 1.0))
    return -xp.sum(t * log_y) / prod(y.shape[:-1])


@takes("y (..., C)")
def accuracy(y: Array, t: Array) -> np.ndarray:
    r"""Share of the samples whose highest score stands at the label; nan where scores are nan.

    $$\frac1N \sum_n [\arg\max_k y_{nk} = t_n]$$

    Parameters
    ----------
    y, t : array_like
        Scores or probabilities, (N, C) or (C,), and labels: ints of shape ``y.shape[:-1]``, or one-hot rows.

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
    xp = namespace(y)
    t = class_targets("accuracy", "y", y, t)
    hits = xp.argmax(y, axis=-1) == xp.argmax(t, axis=-1)
    broken = xp.any(xp.isnan(y), axis=-1)
    return xp.mean(xp.where(broken, xp.nan, like(xp.asarray(hits), y)))
