r"""Layers: ops that find their weights in a dict by name. Chapters 5 to 7.

A layer is called with the parameters, an input and a mode, ``y, pullback, stats = layer(params, x)``,
and its pullback gives the gradient by the input and those of its weights by name,
``dx, grads = pullback(dy)``. `lift` makes a layer of an op, `serial` a layer of layers.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import ops
from .functions import Array

__all__ = ["EVAL", "Mode", "affine", "flatten", "identity", "lift", "relu", "serial", "sigmoid", "softmax", "tanh"]

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
        Whether the gradient by the input is wanted. False leaves it None.

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
    label = f"{op.__name__}({', '.join(names)})" if names else op.__name__
    takes_dx = "dx" in (getattr(op, "__kwdefaults__", None) or {})

    def layer(params, x, mode=EVAL):
        try:
            weights = [params[name] for name in names]
        except KeyError:
            missing, there = (", ".join(names) for names in ([n for n in names if n not in params], params))
            raise ValueError(f"{label}: params has no {missing}; it has {there or 'no names'}") from None
        y, back = op(x, *weights, **settings, **({"dx": mode.dx} if takes_dx else {}))

        def pullback(dy):
            dx, *dweights = back(dy)
            return dx, dict(zip(names, dweights, strict=True))

        return y, pullback if mode.grad else no_pullback, {}

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
    tied weights need no more than one name.

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
        What a layer raises, with a note that says in which layer of the chain.

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
    error.add_note(f"in layer {i} of {len(layers)}: {name}, {what} shape {getattr(x, 'shape', ())}")


def affine(i: int) -> Layer:
    r"""Affine layer number `i`, with the weights ``W{i}`` and ``b{i}``.

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


identity = lift(ops.identity)
sigmoid = lift(ops.sigmoid)
tanh = lift(ops.tanh)
relu = lift(ops.relu)
softmax = lift(ops.softmax)
flatten = lift(ops.flatten)
