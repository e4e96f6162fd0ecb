r"""Layers: ops that find their weights in a dict by name. Chapters 5 to 7.

A layer is called with the parameters, an input and a mode, ``y, pullback, stats = layer(params, x)``, and its pullback
gives the gradient by the input and those of its weights by name, ``dx, grads = pullback(dy)``. `lift` makes a layer of
an op, `serial` a layer of layers.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache, partial, reduce
from inspect import Parameter, signature
from operator import or_
from typing import Any, cast

from . import ops
from ._arrays import Array, array, check_key, entries, kind_of, mapping, name_of, pair_of, real
from .conv import Pair
from .forms import EVAL, Layer, Mode, Op, Params

__all__ = [
    "affine",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "dropout",
    "fan_out",
    "flatten",
    "identity",
    "join",
    "lift",
    "max_pool2d",
    "parallel",
    "relu",
    "serial",
    "sigmoid",
    "softmax",
    "tanh",
    "tap",
]


def lift(op: Op, *names: str, **settings: Any) -> Layer:
    r"""Make a layer of an op by naming its weights.

    $$\mathrm{layer}(params, x)
    = \mathrm{op}(x, params[name_1], params[name_2], \dots)$$

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
        ``layer(params, x, mode=EVAL) -> (y, pullback, stats)`` with ``pullback(dy) -> (dx, grads)``. It carries
        ``layer.op``, ``layer.names`` and ``layer.settings``. It refuses `params` that lack a name, and its pullback a
        call after a run with ``Mode(grad=False)``, with a ValueError.

    References
    ----------
    The pair of value and pullback is the `vjp` of D. Maclaurin and others, "Autograd", 2015.

    Examples
    --------
    >>> from nnfunc import layers, ops
    >>> layer = layers.lift(ops.affine, "W1", "b1")
    >>> y, pullback, stats = layer({"W1": [[1.0], [1.0]], "b1": [0.0]}, [[1.0, 2.0]])
    >>> dx, grads = pullback(y)
    >>> print(y, dx, grads["b1"])
    [[3.]] [[3. 3.]] [3.]
    """
    label = f"{name_of(op)}({', '.join(names)})" if names else name_of(op)
    takes_dx = _takes_dx(cast(Hashable, op))

    def layer(params, x, mode=EVAL):
        if type(mode) is not Mode:
            _check_mode(label, mode)
        weights = names and _named(label, "params", names, params)
        given = settings | {"dx": mode.dx} if takes_dx else settings
        answer = op(x, *weights, **given)
        y, back = answer if type(answer) is tuple and len(answer) == 2 else entries(op, answer, 2, "(y, pullback)")
        return y, _by_name(label, names, back, mode), {}

    return _labelled(layer, label, op=op, names=names, settings=settings)


@lru_cache(256)
def _takes_dx(op: Any) -> bool:
    """Ask an op's signature, which sees through wrappers; once an op, since mlp lifts its ops anew each step."""
    dx = signature(op).parameters.get("dx")
    return dx is not None and dx.kind is Parameter.KEYWORD_ONLY


def _named(label: str, what: str, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
    try:
        return [*map(given.__getitem__, names)]
    except (LookupError, TypeError, AttributeError):
        missing = ", ".join(name for name in names if name not in mapping(label, what, given))
        raise ValueError(f"{label}: {what} has no {missing}; it has {', '.join(given) or 'no names'}") from None


def _by_name(label: str, names: Sequence[str], back: Callable, mode: Mode) -> Callable:
    """Return a pullback that gives the gradients of the weights by name, or, where none is wanted, refuses."""

    def pullback(dy):
        answer = back(dy)
        if type(answer) is not tuple or len(answer) != 1 + len(names):
            entries(label, answer, 1 + len(names), f"({', '.join(['dx', *(f'd{name}' for name in names)])})")
        return answer[0], dict(zip(names, answer[1:], strict=True))

    return pullback if mode.grad else _no_pullback


def _check_mode(label: str, mode: Mode) -> None:
    if not isinstance(mode, Mode):
        raise ValueError(f"{label}: mode is {kind_of(mode)}, wanted a Mode, say Mode(stats, key=(seed, step)) to train")
    if mode.key is not None:
        check_key(label, mode.key)


def _labelled(layer: Any, label: str, **facts: Any) -> Layer:
    layer.__name__ = layer.__qualname__ = label
    layer.__dict__.update(facts)
    return layer


def _no_pullback(dy: Any) -> None:
    """Stand in for the pullback of a layer that ran with ``Mode(grad=False)``: refuse."""
    raise ValueError("pullback: the layer ran with Mode(grad=False), which keeps nothing for the way back")


def serial(*layers: Layer) -> Layer:
    r"""Chain layers. The chain is again a layer.

    $$y = f_n(\dots f_2(f_1(x))), \qquad dx = f_1^*(f_2^*(\dots f_n^*(dy)))$$

    where f* is the pullback of f. Gradients of a name that several layers share are added up, so tied weights need no
    more than one name. What the layers observe comes out together; none of them sees what another has only just
    observed. The empty chain is the identity.

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
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> from nnfunc import layers
    >>> net = layers.serial(layers.affine(1), layers.relu)
    >>> y, pullback, stats = net({"W1": [[1.0, -1.0]], "b1": [0.0, 0.0]}, [[2.0]])
    >>> dx, grads = pullback([[1.0, 1.0]])
    >>> print(y, dx, grads["W1"])
    [[2. 0.]] [[1.]] [[2. 0.]]
    """
    label = _label("serial", layers)

    def net(params, x, mode=EVAL):
        _check_mode("serial", mode)
        backs: list[Callable] = []
        stats: Params = {}
        for i in range(len(layers)):
            dx = mode.dx or i > 0
            x, back, new = _forward(layers, i, params, x, mode, dx)
            stats |= new
            if mode.grad:
                backs.append(back)

        def pullback(dy):
            grads: Params = {}
            for i in reversed(range(len(layers))):
                dy, new = _backward(layers, i, backs[i], dy)
                _add(grads, new)
            return dy, grads

        return x, pullback if mode.grad else _no_pullback, stats

    return _labelled(net, label, expand=lambda params: layers)


def _run(layer: Layer, params: Any, x: Any, mode: Mode) -> Any:
    return entries(layer, layer(params, x, mode), 3, "(y, pullback, stats)")


def _forward(layers: Sequence[Layer], i: int, params: Any, x: Any, mode: Mode, dx: bool) -> Any:
    """Run layer `i` of several under a key of its own; if it fails, say where."""
    inner = Mode(mode.stats, mode.key and (*mode.key, i), mode.grad, dx)
    try:
        answer = layers[i](params, x, inner)
        if type(answer) is not tuple or len(answer) != 3:
            entries(layers[i], answer, 3, "(y, pullback, stats)")
        return answer
    except Exception as error:
        _note(error, layers, i, "input", x)
        raise


def _backward(layers: Sequence[Layer], i: int, back: Callable, dy: Any) -> Any:
    try:
        if dy is None:
            raise ValueError(f"{name_of(layers[i])}: the gradient is None; only a net's first layer may leave dx out")
        answer = back(dy)
        return answer if type(answer) is tuple and len(answer) == 2 else entries(layers[i], answer, 2, "(dx, grads)")
    except Exception as error:
        _note(error, layers, i, "gradient", dy)
        raise


def _note(error: Exception, layers: Sequence[Layer], i: int, what: str, x: Any) -> None:
    arrays = x if isinstance(x, tuple) else (x,)
    shapes = ", ".join(f"shape {a.shape}" if hasattr(a, "shape") else kind_of(a) for a in arrays)
    error.add_note(f"in layer {i} of {len(layers)}: {name_of(layers[i])}, {what} {shapes}")


def _add(grads: Params, new: Params) -> Params:
    """Add gradients to those of the same names."""
    for name, g in new.items():
        grads[name] = grads[name] + g if name in grads else g
    return grads


def _leaves(layer: Layer, params: Mapping[str, Array], mode: Mode = EVAL) -> Iterator[tuple[Layer, Mode]]:
    """Walk over the layers of a net, however its chains are nested, each with the mode in which it runs."""
    if not hasattr(layer, "expand"):
        yield layer, mode
        return
    for i, inner in enumerate(layer.expand(params)):
        yield from _leaves(inner, params, mode._replace(key=mode.key and (*mode.key, i)))


def _label(kind: str, layers: Sequence[Layer]) -> str:
    """Name layers that are put together by what they are, and refuse what is no layer."""
    for i, layer in enumerate(layers):
        _check_layer(kind, f"layer {i}", layer)
    return f"{kind}({', '.join(map(name_of, layers))})"


def _check_layer(where: str, name: str, f: Any) -> None:
    """Refuse what is no layer: what cannot be called, a value function, an op, or a function here not yet called."""
    twin = globals().get(name_of(f))
    made = any(hasattr(f, fact) for fact in ("names", "expand", "branches"))
    if made or (callable(f) and not hasattr(f, "takes") and f is not twin):
        return
    example = "" if twin is None else f", say nnfunc.layers.{name_of(f)}{'' if hasattr(twin, 'names') else '(...)'}"
    raise ValueError(f"{where}: {name} is {kind_of(f)}; wanted a layer, layer(params, x, mode){example}")


def fan_out(*layers: Layer) -> Layer:
    r"""Send one input through several layers, side by side: the way into a residual block, or to several heads.

    $$y = (f_1(x), f_2(x), \dots), \qquad dx = f_1^*(dy_1) + f_2^*(dy_2) + \dots$$

    Parameters
    ----------
    *layers : callable
        Each ``layer(params, x, mode) -> (y, pullback, stats)``. Keys, statistics and shared names go as in a chain.

    Returns
    -------
    callable
        The layer. Its output is a tuple, and so is the gradient that its pullback takes.

    Raises
    ------
    ValueError
        For what is no layer; by the layer, for a key that is no tuple of ints from 0 up.

    References
    ----------
    K. He and others, "Deep residual learning for image recognition", 2015, figure 2.

    Examples
    --------
    >>> from nnfunc import layers, ops
    >>> residual = layers.serial(layers.fan_out(layers.relu, layers.identity), layers.join(ops.add))
    >>> y, pullback, stats = residual({}, [[-1.0, 2.0]])
    >>> print(y, pullback([[1.0, 1.0]])[0])
    [[-1.  4.]] [[1. 2.]]
    """
    beside = _side_by_side("fan_out", layers)

    def layer(params, x, mode=EVAL):
        ys, back, stats = beside(params, (x,) * len(layers), mode)

        def pullback(dys):
            dxs, grads = back(dys)
            return reduce(_sum, dxs) if mode.dx else None, grads

        return ys, pullback, stats

    return _labelled(layer, beside.__name__, branches=layers)


def parallel(*layers: Layer) -> Layer:
    r"""Give each of several layers its own entry of a tuple: the way in for several inputs.

    $$y = (f_1(x_1), f_2(x_2), \dots), \qquad dx = (f_1^*(dy_1), f_2^*(dy_2), \dots)$$

    Parameters
    ----------
    *layers : callable
        Each ``layer(params, x, mode) -> (y, pullback, stats)``. Keys, statistics and shared names go as in a chain.

    Returns
    -------
    callable
        The layer. Its input and output are tuples, and so are their gradients.

    Raises
    ------
    ValueError
        For what is no layer; by the layer, for an input that is no tuple of so many, or a key that is no tuple of ints.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 6.5.

    Examples
    --------
    >>> from nnfunc import layers, ops
    >>> both = layers.serial(layers.parallel(layers.relu, layers.tanh), layers.join(ops.add))
    >>> print(both({}, ([[-1.0, 2.0]], [[0.0, 0.0]]))[0])
    [[0. 2.]]
    """
    return _side_by_side("parallel", layers)


def _side_by_side(kind: str, layers: Sequence[Layer]) -> Any:
    label = _label(kind, layers)

    def layer(params, xs, mode=EVAL):
        _check_mode(label, mode)
        if not isinstance(xs, tuple) or len(xs) != len(layers):
            raise ValueError(f"{label}: the input is {kind_of(xs)}, wanted a tuple of {len(layers)}")
        runs = [_forward(layers, i, params, x, mode, mode.dx) for i, x in enumerate(xs)]
        backs = [back for _, back, _ in runs if mode.grad]
        stats: Params = reduce(or_, (new for _, _, new in runs), {})

        def pullback(dys):
            if not isinstance(dys, tuple) or len(dys) != len(layers):
                raise ValueError(f"{label}: the gradient is {kind_of(dys)}, wanted a tuple of {len(layers)}")
            pulled = [_backward(layers, i, backs[i], dy) for i, dy in enumerate(dys)]
            grads: Params = reduce(_add, (new for _, new in pulled), {})
            return tuple(dx for dx, _ in pulled), grads

        return tuple(y for y, _, _ in runs), pullback if mode.grad else _no_pullback, stats

    return _labelled(layer, label, branches=layers)


def _sum(a: Any, b: Any) -> Any:
    return tuple(map(_sum, a, b)) if isinstance(a, tuple) else a + b


def join(op: Op, **settings: Any) -> Layer:
    r"""Feed a tuple to an op of several inputs, and so make one of what branches gave.

    $$y = \mathrm{op}(x_1, x_2, \dots)$$

    Parameters
    ----------
    op, **settings : callable
        ``op(x1, x2, ..., **settings) -> (y, pullback)``, ``pullback(dy) -> (dx1, dx2, ...)``.

    Returns
    -------
    callable
        The layer, which has no weights. Its input is a tuple, and so is the gradient by it.

    Raises
    ------
    ValueError
        By the layer, for an input that is no tuple.

    References
    ----------
    K. He and others, "Deep residual learning for image recognition", 2015, formula 1.

    Examples
    --------
    >>> from nnfunc import layers, ops
    >>> y, pullback, stats = layers.join(ops.mul)({}, (3.0, 4.0))
    >>> print(y, *pullback(1.0)[0])
    12.0 4.0 3.0
    """

    def together(xs):
        if not isinstance(xs, tuple):
            raise ValueError(f"{together.__name__}: the input is {kind_of(xs)}, wanted a tuple")
        y, back = entries(op, op(*xs, **settings), 2, "(y, pullback)")
        return y, lambda dy: (entries(op, back(dy), len(xs), f"{len(xs)} gradients"),)

    together.__name__ = f"join({name_of(op)})"
    return lift(together)


def affine(i: int | str) -> Layer:
    r"""Affine layer number `i`: [nnfunc.ops.affine][] with the weights ``W{i}``, (D, M), and ``b{i}``, (M,).

    $$y = x W_i + b_i$$

    Parameters
    ----------
    i : int or str
        The layer's number, or what else its weights are called by.

    Returns
    -------
    callable
        The layer.

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


def conv2d(i: int | str, stride: Pair = 1, pad: Pair = 0) -> Layer:
    r"""Convolution number `i`: [nnfunc.conv.conv2d][] with ``W{i}``, (F, C, FH, FW), and ``b{i}``, (F,).

    $$y = W_i * x + b_i$$

    Parameters
    ----------
    i, stride, pad
        The layer's number or name; step and padding with zeros, as the op takes them.

    Returns
    -------
    callable
        The layer.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> from nnfunc import layers
    >>> layers.conv2d(1, pad=1).names
    ('W1', 'b1')
    """
    return _windowed(ops.conv2d, f"W{i}", f"b{i}", stride=stride, pad=pad)


def _windowed(op: Op, *names: str, **pairs: Pair) -> Layer:
    """Lift an op that moves a window; its settings become pairs."""
    least = {"size": 1, "stride": 1, "pad": 0}
    settings = {name: pair_of(name_of(op), name, pair, least[name]) for name, pair in pairs.items()}
    return lift(op, *names, **settings)


def max_pool2d(size: Pair, stride: Pair | None = None, pad: Pair = 0) -> Layer:
    r"""Max pooling: [nnfunc.conv.max_pool2d][] as a layer.

    $$y = \max_{window} x$$

    Parameters
    ----------
    size, stride, pad : int or pair of int
        The window, its step (the window's size if not given), and the padding, smaller than the window.

    Returns
    -------
    callable
        The layer.

    References
    ----------
    D. Scherer, A. Müller, S. Behnke, 2010.

    Examples
    --------
    >>> from nnfunc import layers
    >>> print(layers.max_pool2d(2)({}, [[[[1.0, 5.0, 2.0, 2.0], [4.0, 0.0, 2.0, 1.0]]]])[0])
    [[[[5. 2.]]]]
    """
    return _windowed(ops.max_pool2d, size=size, stride=size if stride is None else stride, pad=pad)


def avg_pool2d(size: Pair, stride: Pair | None = None, pad: Pair = 0) -> Layer:
    r"""Average pooling: [nnfunc.conv.avg_pool2d][] as a layer.

    $$y = \mathrm{mean}_{window}\, x$$

    Parameters
    ----------
    size, stride, pad : int or pair of int
        The window, its step (the window's size if not given), and the padding, smaller than the window.

    Returns
    -------
    callable
        The layer.

    References
    ----------
    Y. LeCun and others, 1998, section II.

    Examples
    --------
    >>> from nnfunc import layers
    >>> print(layers.avg_pool2d(2)({}, [[[[1.0, 5.0, 2.0, 2.0], [4.0, 0.0, 2.0, 1.0]]]])[0])
    [[[[2.5  1.75]]]]
    """
    return _windowed(ops.avg_pool2d, size=size, stride=size if stride is None else stride, pad=pad)


def batch_norm(i: int | str, momentum: float = 0.9, eps: float = 1e-5) -> Layer:
    r"""Batch normalisation number `i`, with ``gamma{i}`` and ``beta{i}``, and running ``mean{i}`` and ``var{i}``.

    In training it normalises by the batch and observes

    $$\mu_{run} \leftarrow \rho\, \mu_{run} + (1 - \rho)\, \mu, \qquad
    \sigma^2_{run} \leftarrow \rho\, \sigma^2_{run} + (1 - \rho)\, \sigma^2$$

    and hands both out as stats; in evaluation it normalises by them, and its pullback takes them as constants.

    Parameters
    ----------
    i : int or str
        The layer's number or name.
    momentum, eps : float
        The share of the old statistics that stays, rho; and what keeps the root from zero.

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
    >>> import nnfunc as nn
    >>> params = nn.init_batch_norm(1, features=1)
    >>> mode = nn.layers.Mode(nn.init_stats(params), key=(0, 0))
    >>> y, pullback, new = nn.layers.batch_norm(1)(params, [[1.0], [3.0]], mode)
    >>> print(y.round(3).tolist(), new["mean1"].round(3), new["var1"].round(3))
    [[-1.0], [1.0]] [0.2] [1.]
    """
    rho = real("batch_norm", "momentum", momentum, "[0, 1]")
    eps = real("batch_norm", "eps", eps)
    names, observed = (f"gamma{i}", f"beta{i}"), (f"mean{i}", f"var{i}")
    label = f"batch_norm({', '.join(names)})"
    normalized = partial(ops._batch_norm, eps=eps)

    def layer(params, x, mode=EVAL):
        if type(mode) is not Mode:
            _check_mode(label, mode)
        weights = _named(label, "params", names, params)
        old = _named(label, "mode.stats", observed, mode.stats)
        training = mode.key is not None
        y, back, *batch = normalized(x, *weights, *old, own=training)
        stats = {}
        seen = zip(observed, old, batch, strict=True) if training else ()
        for name, a, b in seen:
            stats[name] = rho * array(label, name, a)[0] + (1 - rho) * b
        return y, _by_name(label, names, back, mode), stats

    op, settings = ops.batch_norm, {"eps": eps}
    return _labelled(layer, label, op=op, names=names, settings=settings)


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
    >>> from nnfunc import layers
    >>> drop, ones = layers.dropout(0.5), [1.0] * 99
    >>> print(set(drop({}, ones)[0].tolist()), set(drop({}, ones, layers.Mode(key=(0, 1)))[0].tolist()))
    {1.0} {0.0, 2.0}
    """
    rate = real("dropout", "rate", rate, "[0, 1)")

    def layer(params, x, mode=EVAL):
        _check_mode("dropout", mode)
        drop = identity if mode.key is None else lift(ops.dropout, rate=rate, key=mode.key)
        return drop(params, x, mode)

    return _labelled(layer, f"dropout({rate})", op=ops.dropout, names=(), settings={"rate": rate})


def tap(name: str) -> Layer:
    r"""Identity that hands its input out as a statistic, to look at what goes on inside a network.

    $$y = x, \qquad stats[name] = x$$

    For looking: a training step would carry what was tapped along in its state, and dropout behind a tap is one layer
    further on, so that it draws another mask.

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
    >>> from nnfunc import layers
    >>> y, pullback, stats = layers.serial(layers.tap("before"), layers.relu)({}, [[-1.0, 2.0]])
    >>> print(y, stats)
    [[0. 2.]] {'before': array([[-1.,  2.]])}
    """

    def layer(params, x, mode=EVAL):
        y, pullback, _ = identity(params, x, mode)
        return y, pullback, {name: y}

    return _labelled(layer, f"tap({name})", op=ops.identity, names=(), settings={})


identity = lift(ops.identity)
sigmoid = lift(ops.sigmoid)
tanh = lift(ops.tanh)
relu = lift(ops.relu)
softmax = lift(ops.softmax)
flatten = lift(ops.flatten)
