r"""Layers: ops that find their weights in a dict by name. Chapters 5 to 7.

A layer is called with the parameters, an input and a mode, ``y, pullback, stats = layer(params, x)``,
and its pullback gives the gradient by the input and those of its weights by name,
``dx, grads = pullback(dy)``. `lift` makes a layer of an op, `serial` a layer of layers.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .conv import Pair
from .functions import Array

__all__ = [
    "EVAL",
    "Mode",
    "affine",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "dropout",
    "flatten",
    "identity",
    "lift",
    "max_pool2d",
    "relu",
    "serial",
    "sigmoid",
    "softmax",
    "tanh",
    "tap",
]

Params = dict[str, Array]
Layer = Callable[..., tuple[Any, Callable[..., tuple[Any, Params]], Params]]


class Mode(NamedTuple):
    """How a layer is to run.

    ``Mode()``, also named `EVAL`, is evaluation; with a key it is training.

    Attributes
    ----------
    stats : dict
        What data have taught so far, the running mean and variance of batch normalisation.
    key : tuple of int or None
        Decides what chance decides: ``(seed, step)`` in training, None in evaluation.
    grad : bool
        Whether the pullback will be called. False keeps nothing for it: inference in little memory.
    dx : bool
        Whether the gradient by the input is wanted. If not, layers that would spend a product on it
        (affine and conv2d) leave it None. `serial` hands it to its first layer alone.

    Examples
    --------
    >>> from nnfunc.layers import Mode
    >>> Mode(key=(0, 7))
    Mode(stats={}, key=(0, 7), grad=True, dx=True)
    """

    stats: Mapping[str, Array] = {}
    key: tuple[int, ...] | None = None
    grad: bool = True
    dx: bool = True


EVAL = Mode()


def lift(op: Callable, *names: str, **settings: Any) -> Layer:
    r"""Make a layer of an op by naming its weights.

    $$\mathrm{layer}(params, x) = \mathrm{op}(x, params[name_1], params[name_2], \dots)$$

    Parameters
    ----------
    op : callable
        ``op(x, *weights, **settings) -> (y, pullback)``, ``pullback(dy) -> (dx, *dweights)``.
    *names : str
        The names of the weights, in the order in which the op takes them.
    **settings
        Passed on to the op. A setting ``dx`` that the op takes by keyword comes from the mode.

    Returns
    -------
    callable
        ``layer(params, x, mode=EVAL) -> (y, pullback, stats)`` with
        ``pullback(dy) -> (dx, grads)``. It carries ``layer.op`` and ``layer.names``.

    Raises
    ------
    ValueError
        By the layer, if `params` lacks a name, or if its pullback is called after a run with
        ``Mode(grad=False)``.

    References
    ----------
    The pair of value and pullback is the `vjp` of D. Maclaurin and others, "Autograd", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import ops
    >>> from nnfunc.layers import lift
    >>> layer = lift(ops.affine, "W1", "b1")
    >>> y, pullback, stats = layer({"W1": np.ones((2, 3)), "b1": np.zeros(3)}, np.array([[1.0, 2.0]]))
    >>> print(y)
    [[3. 3. 3.]]
    >>> dx, grads = pullback(y)
    >>> print(dx, grads["b1"])
    [[9. 9.]] [3. 3. 3.]
    """
    name = getattr(op, "__name__", repr(op))
    label = f"{name}({', '.join(names)})" if names else name
    takes_dx = "dx" in (getattr(op, "__kwdefaults__", None) or {})

    def layer(params, x, mode=EVAL):
        _check_names(label, "params", names, params)
        weights = [params[name] for name in names]
        y, back = op(x, *weights, dx=mode.dx, **settings) if takes_dx else op(x, *weights, **settings)

        def pullback(dy):
            dx, *dweights = back(dy)
            return dx, dict(zip(names, dweights, strict=True))

        return y, pullback if mode.grad else no_pullback, {}

    return _named(layer, label, op, names)


def _check_names(label: str, what: str, names: tuple[str, ...], given: Mapping[str, Array]) -> None:
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"{label}: {what} has no {', '.join(missing)}; it has {', '.join(given) or 'no names'}")


def _named(layer: Layer, label: str, op: Callable, names: tuple[str, ...]) -> Layer:
    layer.__name__ = layer.__qualname__ = label
    layer.op, layer.names = op, names
    return layer


def no_pullback(dy: Any) -> None:
    """Stand in for the pullback of a layer that ran with ``Mode(grad=False)``: refuse."""
    raise ValueError("pullback: the layer ran with Mode(grad=False), which keeps nothing for the way back")


def serial(*layers: Layer) -> Layer:
    r"""Chain layers. The chain is again a layer.

    $$y = f_n(\dots f_2(f_1(x))), \qquad dx = f_1^*(f_2^*(\dots f_n^*(dy)))$$

    where f* is the pullback of f. Gradients of a name that several layers share are added up, so
    tied weights need no more than one name. What the layers observe comes out together; none of them
    sees what another has only just observed. The empty chain is the identity.

    Parameters
    ----------
    *layers : callable
        Each ``layer(params, x, mode) -> (y, pullback, stats)``.

    Returns
    -------
    callable
        The layer, which carries ``net.expand(params)``, the tuple of its layers. In training each
        layer's key is the chain's key with the layer's index appended.

    Raises
    ------
    ValueError
        What a layer raises, with a note that says in which layer of the chain; or by the chain, for a
        key that is no tuple of ints from 0 up.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> net = layers.serial(layers.affine(1), layers.relu)
    >>> params = {"W1": np.array([[1.0, -1.0]]), "b1": np.zeros(2)}
    >>> y, pullback, stats = net(params, np.array([[2.0]]))
    >>> dx, grads = pullback(np.ones((1, 2)))
    >>> print(y, dx, grads["W1"])
    [[2. 0.]] [[1.]] [[2. 0.]]
    """

    def net(params, x, mode=EVAL):
        if mode.key is not None:
            ops.check_key("serial", mode.key)
        backs, stats = [], {}
        for i, layer in enumerate(layers):
            inner = Mode(mode.stats, mode.key and (*mode.key, i), mode.grad, mode.dx or i > 0)
            try:
                x, back, new = layer(params, x, inner)
            except ValueError as error:
                _note(error, layers, i, "input", x)
                raise
            stats = stats | new
            if mode.grad:
                backs.append(back)

        def pullback(dy):
            grads: Params = {}
            for i in reversed(range(len(layers))):
                try:
                    dy, new = backs[i](dy)
                except ValueError as error:
                    _note(error, layers, i, "gradient", dy)
                    raise
                for name, g in new.items():
                    grads[name] = grads[name] + g if name in grads else g
            return dy, grads

        return x, pullback if mode.grad else no_pullback, stats

    net.expand = lambda params: layers
    return net


def _note(error: ValueError, layers: tuple[Layer, ...], i: int, what: str, x: Any) -> None:
    name = getattr(layers[i], "__name__", repr(layers[i]))
    shape = f"{what} shape {x.shape}" if hasattr(x, "shape") else f"{what} a {type(x).__name__}"
    error.add_note(f"in layer {i} of {len(layers)}: {name}, {shape}")


def affine(i: int) -> Layer:
    r"""Affine layer number `i`, with the weights ``W{i}``, (D, M), and ``b{i}``, (M,).

    $$y = x W_i + b_i$$

    Parameters
    ----------
    i : int
        The layer's number.

    Returns
    -------
    callable
        The layer: [nnfunc.ops.affine][], lifted.

    Raises
    ------
    ValueError
        By the layer, if `params` lacks a name or the shapes do not fit each other.

    References
    ----------
    C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.1.

    Examples
    --------
    >>> from nnfunc import layers
    >>> layers.affine(1).names
    ('W1', 'b1')
    """
    return lift(ops.affine, f"W{i}", f"b{i}")


def conv2d(i: int, stride: Pair = 1, pad: Pair = 0) -> Layer:
    r"""Convolution number `i`, with the filters ``W{i}``, (F, C, FH, FW), and the biases ``b{i}``, (F,).

    $$y = W_i * x + b_i$$

    Parameters
    ----------
    i : int
        The layer's number.
    stride, pad : int or pair of int
        Step and padding with zeros.

    Returns
    -------
    callable
        The layer: [nnfunc.conv.conv2d][], lifted.

    Raises
    ------
    ValueError
        By the layer, if `params` lacks a name, the shapes do not fit each other, or `stride` or `pad`
        is no int in its range.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> from nnfunc import layers
    >>> layers.conv2d(1, pad=1).names
    ('W1', 'b1')
    """
    return lift(ops.conv2d, f"W{i}", f"b{i}", stride=stride, pad=pad)


def max_pool2d(size: Pair, stride: Pair | None = None, pad: Pair = 0) -> Layer:
    r"""Max pooling as a layer; it has no weights.

    $$y = \max_{window} x$$

    Parameters
    ----------
    size : int or pair of int
        The window.
    stride : int or pair of int, optional
        The step; the window's size if not given.
    pad : int or pair of int
        Padding, smaller than the window.

    Returns
    -------
    callable
        The layer: [nnfunc.conv.max_pool2d][], lifted.

    Raises
    ------
    ValueError
        By the layer, if the window does not fit the images, or a setting is no int in its range.

    References
    ----------
    D. Scherer, A. Müller, S. Behnke, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> y, pullback, stats = layers.max_pool2d(2)({}, np.arange(16.0).reshape(1, 1, 4, 4))
    >>> print(y)
    [[[[ 5.  7.]
       [13. 15.]]]]
    """
    return lift(ops.max_pool2d, size=size, stride=stride, pad=pad)


def avg_pool2d(size: Pair, stride: Pair | None = None, pad: Pair = 0) -> Layer:
    r"""Average pooling as a layer; it has no weights.

    $$y = \mathrm{mean}_{window}\, x$$

    Parameters
    ----------
    size : int or pair of int
        The window.
    stride : int or pair of int, optional
        The step; the window's size if not given.
    pad : int or pair of int
        Padding, smaller than the window.

    Returns
    -------
    callable
        The layer: [nnfunc.conv.avg_pool2d][], lifted.

    Raises
    ------
    ValueError
        By the layer, if the window does not fit the images, or a setting is no int in its range.

    References
    ----------
    Y. LeCun and others, 1998, section II.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> y, pullback, stats = layers.avg_pool2d(2)({}, np.arange(16.0).reshape(1, 1, 4, 4))
    >>> print(y)
    [[[[ 2.5  4.5]
       [10.5 12.5]]]]
    """
    return lift(ops.avg_pool2d, size=size, stride=stride, pad=pad)


def batch_norm(i: int, momentum: float = 0.9, eps: float = 1e-5) -> Layer:
    r"""Batch normalisation number `i`, with ``gamma{i}`` and ``beta{i}``, and running ``mean{i}`` and ``var{i}``.

    In training it normalises by the batch and observes

    $$\mu_{run} \leftarrow \rho\, \mu_{run} + (1 - \rho)\, \mu, \qquad
    \sigma^2_{run} \leftarrow \rho\, \sigma^2_{run} + (1 - \rho)\, \sigma^2$$

    and hands both out as stats; in evaluation it normalises by them, and its pullback takes them as
    constants.

    Parameters
    ----------
    i : int
        The layer's number.
    momentum : float
        The share of the old statistics that stays, rho.
    eps : float
        Keeps the root from zero.

    Returns
    -------
    callable
        The layer.

    Raises
    ------
    ValueError
        By the layer, if `params` or the mode's stats lack a name, or the shapes do not fit each other.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization", 2015, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> params = {"gamma1": np.ones(1), "beta1": np.zeros(1)}
    >>> stats = {"mean1": np.zeros(1), "var1": np.ones(1)}
    >>> mode = layers.Mode(stats, key=(0, 0))
    >>> y, pullback, new = layers.batch_norm(1)(params, np.array([[1.0], [3.0]]), mode)
    >>> print(y.round(3).tolist(), new["mean1"].round(3), new["var1"].round(3))
    [[-1.0], [1.0]] [0.2] [1.]
    """
    momentum = float(momentum)
    names = gamma, beta = f"gamma{i}", f"beta{i}"
    observed = mean, var = f"mean{i}", f"var{i}"
    label = f"batch_norm({gamma}, {beta})"

    def layer(params, x, mode=EVAL):
        _check_names(label, "params", names, params)
        _check_names(label, "mode.stats", observed, mode.stats)
        stats = mode.stats[mean], mode.stats[var]
        shapes = np.shape(stats[0]), np.shape(stats[1])
        if set(shapes) != {np.shape(params[gamma])}:
            wanted = f"wanted {np.shape(params[gamma])}, the shape of {gamma}"
            raise ValueError(f"{label}: {mean} has shape {shapes[0]}, {var} {shapes[1]}; {wanted}")
        training = mode.key is not None
        y, back, *batch = ops.normalize(x, params[gamma], params[beta], eps, *(() if training else stats))

        def pullback(dy):
            dx, dgamma, dbeta = back(dy)
            return dx, {gamma: dgamma, beta: dbeta}

        new = (momentum * old + (1 - momentum) * now for old, now in zip(stats, batch, strict=True))
        return y, pullback if mode.grad else no_pullback, dict(zip(observed, new, strict=True)) if training else {}

    return _named(layer, label, ops.batch_norm, names)


def dropout(rate: float) -> Layer:
    r"""Dropout in training, identity in evaluation.

    $$y = x \frac{mask}{1 - r}$$

    Parameters
    ----------
    rate : float
        The share that is dropped, r, from 0 to below 1.

    Returns
    -------
    callable
        The layer; its mask follows from the mode's key: [nnfunc.ops.dropout][].

    Raises
    ------
    ValueError
        For a rate out of range; by the layer, for a key that is no tuple of ints from 0 up.

    References
    ----------
    N. Srivastava and others, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> x = np.ones((1, 4))
    >>> print(layers.dropout(0.5)({}, x)[0])
    [[1. 1. 1. 1.]]
    >>> print(np.unique(layers.dropout(0.5)({}, np.ones((1, 99)), layers.Mode(key=(0, 1)))[0]))
    [0. 2.]
    """
    rate = ops.check_rate("dropout", rate)

    def layer(params, x, mode=EVAL):
        y, back = ops.identity(x) if mode.key is None else ops.dropout(x, rate, mode.key)
        return y, (lambda dy: (back(dy)[0], {})) if mode.grad else no_pullback, {}

    return _named(layer, f"dropout({rate})", ops.dropout, ())


def tap(name: str) -> Layer:
    r"""Identity that hands its input out as a statistic, to look at what goes on inside a network.

    $$y = x, \qquad stats[name] = x$$

    For looking: a training step would carry what was tapped along in its state, and dropout behind a
    tap is one layer further on, so that it draws another mask.

    Parameters
    ----------
    name : str
        The name in the stats that the network returns.

    Returns
    -------
    callable
        The layer.

    Raises
    ------
    ValueError
        By the pullback, if the gradient has another shape than the input.

    References
    ----------
    Activation histograms: X. Glorot, Y. Bengio, 2010, figure 6.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfunc import layers
    >>> net = layers.serial(layers.tap("before"), layers.relu)
    >>> y, pullback, stats = net({}, np.array([[-1.0, 2.0]]))
    >>> print(y, stats)
    [[0. 2.]] {'before': array([[-1.,  2.]])}
    """

    def layer(params, x, mode=EVAL):
        y, back = ops.identity(x)
        return y, (lambda dy: (back(dy)[0], {})) if mode.grad else no_pullback, {name: y}

    return _named(layer, f"tap({name})", ops.identity, ())


identity = lift(ops.identity)
sigmoid = lift(ops.sigmoid)
tanh = lift(ops.tanh)
relu = lift(ops.relu)
softmax = lift(ops.softmax)
flatten = lift(ops.flatten)
