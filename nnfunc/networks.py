r"""Networks: read a network off its parameters, predict with it, and take its gradient. Chapters 3 to 6."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache, partial, reduce
from math import inf, sqrt
from typing import Any

import numpy as np

from . import layers
from ._arrays import (
    Array,
    entries,
    floating,
    function,
    kind_of,
    mapping,
    name_of,
    namespace,
    paired,
    real,
    rows,
    samples,
    single,
    whole,
)
from .forms import EVAL, Grad, Layer, Loss, Mode, Params

__all__ = [
    "deep_convnet",
    "in_parts",
    "mlp",
    "predict",
    "simple_convnet",
    "value_and_grad",
    "weight_decay",
    "with_clipping",
    "with_weight_decay",
]


def mlp(activation: Layer = layers.relu, dropout: float = 0.0) -> Layer:
    r"""Multi-layer perceptron, as deep as its parameters say.

    $$a_i = z_{i-1} W_i + b_i, \qquad z_i = h(a_i), \qquad z_0 = x$$

    The last layer has no activation: the network gives scores. Where the parameters hold gamma and beta, batch
    normalisation stands between the affine map and the activation.

    Parameters
    ----------
    activation, dropout : layer, float
        What follows each affine layer but the last, h; and the share of each hidden output that training drops.

    Returns
    -------
    callable
        ``net(params, x, mode=EVAL) -> (scores, pullback, stats)``, with ``net.expand(params)``. `params` holds W1,
        b1, W2, b2, ..., with batch normalisation also gamma1, beta1, ... for each hidden layer, and nothing else.

    Raises
    ------
    ValueError
        By the network, if a number is missing between W1 and the last W, or a name is unknown.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, chapter 6.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [layer.__name__ for layer in nn.mlp().expand(nn.init_mlp(0, (4, 8, 3)))]
    ['affine(W1, b1)', 'relu', 'affine(W2, b2)']
    """
    layers._check_layer("mlp", "activation", activation)
    drop = [layers.dropout(dropout)] if real("mlp", "dropout", dropout, "[0, 1)") else []
    between = (activation, *drop)

    def chain(params):
        return _perceptrons(between, *mapping("mlp", "params", params))

    def net(params, x, mode=EVAL):
        return chain(params)(params, x, mode)

    label = ", ".join(map(name_of, between))
    return layers._labelled(net, f"mlp({label})", expand=lambda params: chain(params).expand(params))


@lru_cache(64)
def _perceptrons(between: tuple[Layer, ...], *names: str) -> Any:
    """Chain affine layers and what stands between them; once for all steps, since the names stay."""
    depth, normalised = _depth(names)
    chain: list[Layer] = []
    for i in range(1, depth):
        chain += [layers.affine(i), *([layers.batch_norm(i)] if normalised else []), *between]
    return layers.serial(*chain, layers.affine(depth))


def _depth(names: Collection[str]) -> tuple[int, bool]:
    """Read off names how deep a net is and whether it normalises, or refuse a name too many or too few."""
    depth, normalised = sum(name[:1] == "W" for name in names) or 1, "gamma1" in names
    wanted = {f"{letter}{i}" for letter in ("W", "b") for i in range(1, depth + 1)}
    wanted |= {f"{word}{i}" for word in ("gamma", "beta") for i in range(1, depth) if normalised}
    if {*names} != wanted:
        form = "W1, b1, W2, b2, ... without a gap"
        form += ", and gamma1, beta1, ... for each hidden layer" if normalised else ""
        raise ValueError(f"mlp: params has {', '.join(names) or 'no names'}; wanted {form}")
    return depth, normalised


def simple_convnet() -> Layer:
    r"""Convolution, pooling and two affine layers: the convolutional network of chapter 7.

    $$x \to conv \to relu \to pool
    \to affine \to relu \to affine \to scores$$

    Returns
    -------
    callable
        A chain with the weights W1, b1 (filters), W2, b2, W3, b3: see
        [init_simple_convnet][nnfunc.initializers.init_simple_convnet].

    Raises
    ------
    ValueError
        By the network, if the images do not fit the weights, or `params` lacks a name.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> nn.predict(nn.simple_convnet(), nn.init_simple_convnet(0), np.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """
    return layers.serial(
        layers.conv2d(1),
        layers.relu,
        layers.max_pool2d(2),
        layers.flatten,
        layers.affine(2),
        layers.relu,
        layers.affine(3),
    )


def deep_convnet() -> Layer:
    r"""Six convolutions in three pairs, each pair followed by pooling, two affine layers, two dropouts.

    $$x \to 3 \times (conv \to relu \to conv \to relu \to pool)
    \to affine \to relu \to dropout
    \to affine \to dropout \to scores$$

    All filters are 3 x 3. The fourth convolution pads by 2, so that the images shrink from 28 over 14 and 8 to 4.

    Returns
    -------
    callable
        A chain with the weights W1, b1 ... W6, b6 (filters), W7, b7, W8, b8: see
        [init_deep_convnet][nnfunc.initializers.init_deep_convnet].

    Raises
    ------
    ValueError
        By the network, if the images do not fit the weights, or `params` lacks a name.

    References
    ----------
    K. Simonyan, A. Zisserman, "Very deep convolutional networks", 2015; sizes of Deep Learning from Scratch, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> nn.predict(nn.deep_convnet(), nn.init_deep_convnet(0), np.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """
    chain = []
    for i in (1, 3, 5):
        second = layers.conv2d(i + 1, pad=2 if i == 3 else 1)
        chain += [layers.conv2d(i, pad=1), layers.relu, second, layers.relu]
        chain += [layers.max_pool2d(2)]
    chain += [layers.flatten, layers.affine(7), layers.relu]
    chain += [layers.dropout(0.5), layers.affine(8), layers.dropout(0.5)]
    return layers.serial(*chain)


def predict(
    net: Layer, params: Mapping[str, Array], x: Array, stats: Mapping[str, Array] = {}, batch_size: int | None = None
) -> Any:
    r"""Scores of a network in evaluation.

    $$\mathrm{scores} = \mathrm{net}(params, x)$$

    Parameters
    ----------
    net, params : layer, dict of arrays
        The network and its parameters.
    x, stats : array, shape (N, ...), dict of arrays
        A batch, and running statistics, if the network has any.
    batch_size : int, optional
        How many samples to send through at once, all if not given: the scores are the same, the memory is less.

    Returns
    -------
    array, shape (N, C)
        Scores. [softmax][nnfunc.functions.softmax] makes them probabilities.

    Raises
    ------
    ValueError
        If the shapes do not fit, with the layer in which they do not, or `batch_size` is below 1.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 6.2.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.predict(nn.mlp(), {"W1": [[1.0, 2.0]], "b1": [0.5, 0.0]}, [[1.0], [2.0]]))
    [[1.5 2. ]
     [2.5 4. ]]
    """
    mode = Mode(stats, grad=False)

    if batch_size is None:
        return layers._run(net, params, x, mode)[0]
    size, (inputs, N) = whole("predict", "batch_size", batch_size, 1), samples("predict", "x", x)
    one_axis = not isinstance(inputs, tuple) and inputs.ndim == 1
    if one_axis and namespace(inputs).isdtype(inputs.dtype, "real floating"):  # a row of ids is a batch
        raise ValueError(f"predict: x has shape {inputs.shape}; wanted (N, ...) to cut, one sample is x[None]")
    batches = (rows(inputs, slice(i, min(i + size, N))) for i in range(0, max(N, 1), size))
    parts = [layers._run(net, params, batch, mode)[0] for batch in batches]
    return tuple(map(_joined, zip(*parts, strict=True))) if isinstance(parts[0], tuple) else _joined(parts)


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else namespace(parts[0]).concat(parts)


def value_and_grad(net: Layer, loss: Loss) -> Grad:
    r"""Loss of a network and its gradient by every parameter, by backpropagation.

    $$E = \mathrm{loss}(\mathrm{net}(params, x), t), \qquad
    \mathrm{grads}[name] = \frac{\partial E}{\partial params[name]}$$

    Parameters
    ----------
    net, loss : layer, op
        The network, and an op on scores and t, say [softmax_cross_entropy][nnfunc.ops.softmax_cross_entropy].

    Returns
    -------
    callable
        ``grad(params, x, t, mode=EVAL) -> (value, grads, stats)``, with grads keyed like params.

    Raises
    ------
    ValueError
        By the gradient, if no layer uses one of the parameters, or the shapes do not fit.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> import nnfunc as nn
    >>> grad = nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    >>> value, grads, stats = grad({"W1": [[0.0, 0.0]], "b1": [0.0, 0.0]}, [[3.0]], [0])
    >>> print(round(value, 6), grads["W1"], grads["b1"])
    0.693147 [[-1.5  1.5]] [-0.5  0.5]
    """
    _check_parts("value_and_grad", net, loss)

    def grad(params, x, t, mode=EVAL):
        layers._check_mode("value_and_grad", mode)
        way = Mode(mode.stats, mode.key, grad=True, dx=False)
        scores, pullback, stats = layers._run(net, params, x, way)
        value, back = _evaluated(loss, scores, t)
        (dscores,) = entries(loss, back(), 1, "(dscores,)")
        _, grads = pullback(dscores)
        _check_used("value_and_grad", params, grads.keys())
        return value, grads, stats

    return grad


def _evaluated(loss: Loss, scores: Any, t: Any) -> tuple[Any, Any]:
    """Return what a loss answers, if its value is one number."""
    value, back = entries(loss, loss(scores, t), 2, "(loss, pullback)")
    if getattr(value, "shape", None) != () and not isinstance(value, float):
        raise ValueError(f"{name_of(loss)}: the loss is {kind_of(value)}, wanted one number")
    return value, back


def _check_parts(where: str, net: Layer, loss: Loss) -> None:
    layers._check_layer(where, "net", net)
    if not callable(loss) or str(getattr(loss, "__module__", "")).endswith(".functions"):
        raise ValueError(f"{where}: loss is {kind_of(loss)}; wanted an op on scores and targets, one of nnfunc.ops say")


def _check_used(where: str, params: Mapping[str, Array], used: Set[str]) -> None:
    unused = params.keys() - used
    if unused:
        raise ValueError(f"{where}: no layer uses {', '.join(name for name in params if name in unused)}")


def with_weight_decay(grad: Grad, lam: float) -> Grad:
    r"""Add weight decay to a loss and its gradients: of the parameters whose names begin with W.

    $$E' = E + \frac{\lambda}{2} \sum_W \|W\|^2$$

    Parameters
    ----------
    grad, lam : callable, float
        What [value_and_grad][nnfunc.networks.value_and_grad] returns, and the strength lambda.

    Returns
    -------
    callable
        The same kind of function.

    References
    ----------
    A. Krogh, J. Hertz, "A simple weight decay can improve generalization", 1991.

    Examples
    --------
    >>> import nnfunc as nn
    >>> grad = nn.with_weight_decay(nn.value_and_grad(nn.mlp(), nn.ops.mean_squared_error), lam=0.1)
    >>> value, grads, stats = grad({"W1": [[2.0]], "b1": [0.0]}, [[1.0]], [[2.0]])    # a perfect fit
    >>> print(value, grads["W1"], grads["b1"])
    0.2 [[0.2]] [0.]
    """
    strength = real("with_weight_decay", "lam", lam)

    def decayed(params, x, t, mode=EVAL):
        value, grads, stats = grad(params, x, t, mode)
        penalty, pull = weight_decay(params, strength)
        pulled = {name: grads[name] + g for name, g in pull.items()}
        return value + penalty, grads | pulled, stats

    return decayed


def with_clipping(grad: Grad, max_norm: float) -> Grad:
    r"""Shorten gradients that are too long, all by one factor, so that their direction stays.

    $$g' = g\, \min\Bigl( 1, \frac{c}{\|g\|} \Bigr), \qquad \|g\|^2 = \sum_{name} \sum_i g_{name,i}^2$$

    Parameters
    ----------
    grad, max_norm : callable, float
        What [value_and_grad][nnfunc.networks.value_and_grad] returns, and the greatest length, c, above 0.

    Returns
    -------
    callable
        The same kind of function.



    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013, Algorithm 1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> grad = nn.with_clipping(nn.value_and_grad(nn.mlp(), nn.ops.sum_squared_error), max_norm=1.0)
    >>> value, grads, stats = grad({"W1": [[3.0]], "b1": [0.0]}, [[0.75]], [[-2.75]])
    >>> print(grads["W1"].round(6), grads["b1"].round(6))    # 3.75 and 5 before
    [[0.6]] [0.8]
    """
    longest = real("with_clipping", "max_norm", max_norm, "(0, inf]")

    def clipped(params, x, t, mode=EVAL):
        value, grads, stats = grad(params, x, t, mode)
        shrink = _shrink(longest, _norm([*grads.values()]))
        return value, {name: g * shrink for name, g in grads.items()}, stats

    return clipped


def _shrink(longest: float, norm: Any) -> Any:
    """Return the factor that makes a norm short enough; one that is nan makes all gradients nan."""
    if isinstance(norm, float):
        return 1.0 if norm <= longest else longest / norm
    xp = namespace(norm)
    short, one = norm <= longest, xp.ones_like(norm)
    return xp.where(short, one, longest / xp.where(short, one, norm))


def _norm(arrays: Sequence[Array]) -> Any:
    """Length of all numbers together, in float64 and, where their squares overflow, in units of the largest."""
    xp = namespace(arrays[0]) if arrays else np
    if xp is not np:
        largest = reduce(xp.maximum, [xp.max(xp.abs(a)) for a in arrays])
        unit = xp.where(largest > 0, largest, xp.ones_like(largest))
        return unit * sum(xp.sum(single(a / unit) ** 2) for a in arrays) ** 0.5
    with np.errstate(over="ignore"):
        squares = sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays)
    if squares != inf:
        return sqrt(squares)
    largest = max(float(abs(a).max()) for a in arrays if a.size)
    return largest * _norm([a / largest for a in arrays])


def in_parts(grad: Grad, parts: int, map: Callable = map) -> Grad:
    r"""Take the gradient of a batch part by part, here or wherever `map` sends the parts.

    $$E = \sum_k \frac{N_k}{N} E_k, \qquad dp = \sum_k \frac{N_k}{N} dp_k$$

    Python's own `map` takes one part after the other, so that a batch may be larger than the memory allows. That of a
    pool or a cluster takes them side by side. The loss has to be a mean over the batch, as all the
    library's are but the sum of squares.

    Parameters
    ----------
    grad, parts, map : callable, int, callable
        What [value_and_grad][nnfunc.networks.value_and_grad] returns, the number of parts, as equal as can be, and
        what calls a function for each entry of a list, in its order.

    Returns
    -------
    callable
        The same kind of function. Part k has the mode's key with k behind it. What is observed is averaged; batch
        norm takes mean and variance of each part by itself, so its gradient is not that of the whole batch.

    Raises
    ------
    ValueError
        By the function, for more parts than samples, or inputs and labels of unequal number.

    References
    ----------
    P. Goyal and others, "Accurate, large minibatch SGD", 2017, section 2.3.

    Examples
    --------
    >>> import nnfunc as nn
    >>> grad = nn.value_and_grad(nn.layers.affine(1), nn.ops.mean_squared_error)
    >>> params, x, t = {"W1": [[1.0]], "b1": [0.0]}, [[1.0], [2.0], [3.0]], [[0.0], [0.0], [3.0]]
    >>> for f in (grad, nn.in_parts(grad, 2)):
    ...     value, grads, _ = f(params, x, t)
    ...     print(round(float(value), 4), grads["W1"].round(4))
    1.6667 [[3.3333]]
    1.6667 [[3.3333]]
    """
    count = whole("in_parts", "parts", parts, 1)
    function("in_parts", "grad", grad, "as of nnfunc.value_and_grad")
    function("in_parts", "map", map, "like Python's map")

    def grad_in_parts(params, x, t, mode=EVAL):
        inputs, labels, N = paired("in_parts", x, t)
        whole("in_parts", "parts", count, 1, N)
        cuts = [slice(N * k // count, N * (k + 1) // count) for k in range(count)]
        batches = [(k, rows(inputs, cut), rows(labels, cut)) for k, cut in enumerate(cuts)]
        answers = map(partial(_part, grad, params, mode), batches)
        return _mean(answers, [(cut.stop - cut.start) / N for cut in cuts])

    return grad_in_parts


def _part(grad: Grad, params: Params, mode: Mode, numbered: tuple[int, Any, Any]) -> Any:
    k, x, t = numbered
    return grad(params, x, t, mode._replace(key=mode.key and (*mode.key, k)))


def _mean(answers: Iterable[Any], shares: Sequence[float]) -> Any:
    """Add up losses, gradients and what was observed, each by its share; none is kept longer than that."""
    value, grads, stats = 0.0, Params(), Params()
    for share, (E, *found) in zip(shares, answers, strict=True):
        value = value + share * E
        for total, new in zip((grads, stats), found, strict=True):
            layers._add(total, {name: share * a for name, a in new.items()})
    return value, grads, stats


def weight_decay(params: Mapping[str, Array], lam: float) -> tuple[np.ndarray, Params]:
    r"""Weight decay: a penalty on large weights, with its gradients.

    $$P = \frac{\lambda}{2} \sum_W \sum_{ij} W_{ij}^2, \qquad dW = \lambda W$$

    Parameters
    ----------
    params, lam : dict of arrays, float
        Only the names that begin with W count: biases are not pulled to zero. `lam` is the strength lambda.

    Returns
    -------
    penalty, grads : float, dict of arrays
        To be added to the loss, and to the gradients of the weights.

    References
    ----------
    A. Krogh, J. Hertz, "A simple weight decay can improve generalization", 1991.

    Examples
    --------
    >>> import nnfunc as nn
    >>> penalty, grads = nn.weight_decay({"W1": [[3.0, 4.0]], "b1": [7.0]}, lam=0.1)
    >>> print(round(penalty, 6), grads)
    1.25 {'W1': array([[0.3, 0.4]])}
    """
    strength = real("weight_decay", "lam", lam)
    weights = {name: floating("weight_decay", name, p) for name, p in params.items() if name.startswith("W")}
    penalty = sum(namespace(W).sum(single(W) ** 2) for W in weights.values())
    return 0.5 * strength * penalty, {name: strength * W for name, W in weights.items()}
