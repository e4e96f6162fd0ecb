r"""Networks: read a network off its parameters, predict with it, and take its gradient. Chapters 3 to 5."""

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from . import layers, ops
from .differences import CHANGES, ROW_BY_ROW, column_differences, op_of, row_differences
from .functions import Array
from .gradient import numerical_gradient
from .layers import EVAL, Layer, Mode, Params

__all__ = ["deep_convnet", "mlp", "numerical_value_and_grad", "predict", "simple_convnet", "value_and_grad"]

Loss = Callable[[Any, Any], tuple[Any, Callable[..., tuple[Any, ...]]]]
Grad = Callable[..., tuple[Any, Params, Params]]


def mlp(activation: Layer = layers.relu, dropout: float = 0.0) -> Layer:
    r"""Multi-layer perceptron, as deep as its parameters say.

    $$a_i = z_{i-1} W_i + b_i, \qquad z_i = h(a_i), \qquad z_0 = x$$

    The last layer has no activation: the network gives scores. Where the parameters hold gamma and
    beta, batch normalisation stands between the affine map and the activation.

    Parameters
    ----------
    activation : layer
        What follows each affine layer but the last: h.
    dropout : float
        The share of each hidden layer's output that is dropped in training.

    Returns
    -------
    callable
        ``net(params, x, mode=EVAL) -> (scores, pullback, stats)``, with ``net.expand(params)``.
        `params` holds W1, b1, W2, b2, ..., with batch normalisation also gamma1, beta1, ... for
        each hidden layer, and nothing else.

    Raises
    ------
    ValueError
        For a dropout rate out of range; by the network, if a number is missing between W1 and the
        last W, or a name is unknown.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, chapter 6.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params = nn.init_mlp(0, (4, 8, 3))
    >>> [layer.__name__ for layer in nn.mlp().expand(params)]
    ['affine(W1, b1)', 'relu', 'affine(W2, b2)']
    """
    drop = [layers.dropout(dropout)] if dropout else []

    def expand(params):
        depth, normalised = _depth(params)
        chain = []
        for i in range(1, depth):
            chain += [layers.affine(i), *([layers.batch_norm(i)] if normalised else []), activation, *drop]
        return (*chain, layers.affine(depth))

    def net(params, x, mode=EVAL):
        return layers.serial(*expand(params))(params, x, mode)

    net.expand = expand
    return net


def _depth(params: Mapping[str, Array]) -> tuple[int, bool]:
    depth = sum(name[:1] == "W" for name in params) or 1
    normalised = "gamma1" in params
    wanted = {f"{letter}{i}" for i in range(1, depth + 1) for letter in "Wb"}
    form = "W1, b1, W2, b2, ... without a gap"
    if normalised:
        wanted |= {f"{word}{i}" for i in range(1, depth) for word in ("gamma", "beta")}
        form += ", and gamma1, beta1, ... for each hidden layer"
    if params.keys() != wanted:
        raise ValueError(f"mlp: params has {', '.join(params) or 'no names'}; wanted {form}")
    return depth, normalised


def simple_convnet() -> Layer:
    r"""Convolution, pooling and two affine layers: the convolutional network of chapter 7.

    $$x \to conv \to relu \to pool \to affine \to relu \to affine \to scores$$

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
    >>> params = nn.init_simple_convnet(0)
    >>> nn.predict(nn.simple_convnet(), params, np.zeros((2, 1, 28, 28), np.float32)).shape
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

    $$x \to 3 \times (conv \to relu \to conv \to relu \to pool) \to affine \to relu \to dropout
    \to affine \to dropout \to scores$$

    All filters are 3 x 3. The fourth convolution pads by 2, so that the images shrink from 28 over
    14 and 8 to 4.

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
    K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
    2015; the sizes are those of Deep Learning from Scratch, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params = nn.init_deep_convnet(0)
    >>> nn.predict(nn.deep_convnet(), params, np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    chain = []
    for i in (1, 3, 5):
        chain += [layers.conv2d(i, pad=1), layers.relu, layers.conv2d(i + 1, pad=2 if i == 3 else 1), layers.relu]
        chain += [layers.max_pool2d(2)]
    chain += [layers.flatten, layers.affine(7), layers.relu, layers.dropout(0.5), layers.affine(8), layers.dropout(0.5)]
    return layers.serial(*chain)


def predict(
    net: Layer, params: Params, x: Array, stats: Mapping[str, Array] = {}, batch_size: int | None = None
) -> Array:
    r"""Scores of a network in evaluation.

    $$\mathrm{scores} = \mathrm{net}(params, x)$$

    Parameters
    ----------
    net : layer
        The network.
    params : dict of arrays
        Its parameters.
    x : array, shape (N, ...)
        A batch.
    stats : dict of arrays
        Running statistics, if the network has any.
    batch_size : int, optional
        How many samples to send through at once; all of them if not given. The scores are the
        same, a smaller batch needs less memory.

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
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params = {"W1": np.array([[1.0, 2.0]]), "b1": np.array([0.5, 0.0])}
    >>> print(nn.predict(nn.mlp(), params, np.array([[1.0], [2.0]])))
    [[1.5 2. ]
     [2.5 4. ]]
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"predict: batch_size is {batch_size}, wanted at least 1")
    mode = Mode(stats, grad=False)
    if batch_size is None or len(x) <= batch_size:
        return net(params, x, mode)[0]
    parts = [net(params, x[i : i + batch_size], mode)[0] for i in range(0, len(x), batch_size)]
    return np.concatenate(parts)


def value_and_grad(net: Layer, loss: Loss) -> Grad:
    r"""Loss of a network and its gradient by every parameter, by backpropagation.

    $$E = \mathrm{loss}(\mathrm{net}(params, x), t), \qquad
    \mathrm{grads}[name] = \frac{\partial E}{\partial params[name]}$$

    Parameters
    ----------
    net : layer
        The network.
    loss : op
        ``loss(scores, t) -> (value, pullback)``, say
        [softmax_cross_entropy][nnfunc.ops.softmax_cross_entropy].

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
    D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> grad = nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    >>> params = {"W1": np.zeros((1, 2)), "b1": np.zeros(2)}
    >>> value, grads, stats = grad(params, np.array([[3.0]]), np.array([0]))
    >>> print(round(value, 6), grads["W1"], grads["b1"])
    0.693147 [[-1.5  1.5]] [-0.5  0.5]
    """

    def grad(params, x, t, mode=EVAL):
        scores, pullback, stats = net(params, x, Mode(mode.stats, mode.key, grad=True, dx=False))
        value, back = loss(scores, t)
        grads = pullback(*back())[1]
        if grads.keys() != params.keys():
            _refuse_unused("value_and_grad", params, grads)
        return value, grads, stats

    return grad


def _refuse_unused(where: str, params: Params, used: Container[str]) -> None:
    unused = [name for name in params if name not in used]
    if unused:
        raise ValueError(f"{where}: no layer uses {', '.join(unused)}")


def numerical_value_and_grad(net: Layer, loss: Loss, h: float = 1e-4) -> Grad:
    r"""Loss of a network and its gradient by every parameter, by central differences.

    $$\mathrm{grads}[name]_i = \frac{E(\theta + h e_i) - E(\theta - h e_i)}{2h}$$

    The differences are those of [numerical_gradient][nnfunc.gradient.numerical_gradient]; only work
    that gives the same number each time is not repeated. What lies before the perturbed layer is
    computed once, and in an affine layer ``W[i, j]`` moves nothing but column j of the output, by
    ``h * x[:, i]``, so its matrix product is never taken again. Where the samples of a batch do not
    meet before the loss, a sample in which ``x[n, i]`` is zero is not even looked at.

    Parameters
    ----------
    net : layer
        The network.
    loss : op
        ``loss(scores, t) -> (value, pullback)``.
    h : float
        The step of the differences.

    Returns
    -------
    callable
        ``grad(params, x, t, mode=EVAL) -> (value, grads, stats)`` like that of
        [value_and_grad][nnfunc.networks.value_and_grad], in float64.

    Raises
    ------
    ValueError
        By the gradient, if no layer uses one of the parameters, or `loss` gives no single number.

    References
    ----------
    W. Press and others, "Numerical Recipes", 3rd edition, section 5.7.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> grad = nn.numerical_value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    >>> params = {"W1": np.zeros((1, 2)), "b1": np.zeros(2)}
    >>> value, grads, stats = grad(params, np.array([[3.0]]), np.array([0]))
    >>> print(round(value, 6), grads["W1"].round(6), grads["b1"].round(6))
    0.693147 [[-1.5  1.5]] [-0.5  0.5]
    """

    def grad(params, x, t, mode=EVAL):
        params = {name: np.asarray(p, dtype=np.float64) for name, p in params.items()}
        x = np.asarray(x)
        x = x.astype(np.float64, copy=False) if x.dtype.kind == "f" else x
        scores, _, stats = net(params, x, mode._replace(grad=False))  # says where, if something does not fit
        chain = list(_leaves(net, params, mode._replace(grad=False)))
        inputs = [x]
        for layer, inner in chain:
            inputs.append(layer(params, inputs[-1], inner)[0])

        def rest(k, params, x):
            for layer, inner in chain[k:]:
                x = layer(params, x, inner)[0]
            return loss(x, t)[0]

        users = {name: [k for k, (f, _) in enumerate(chain) if name in getattr(f, "names", params)] for name in params}
        _refuse_unused("numerical_value_and_grad", params, {name for name in params if users[name]})
        grads: Params = {}
        for k, (layer, _) in enumerate(chain):
            names = getattr(layer, "names", ())
            if op_of(layer) is ops.affine and all(users[name] == [k] for name in names):
                if loss in CHANGES and inputs[k].ndim == 2 and all(op_of(f) in ROW_BY_ROW for f, _ in chain[k:]):
                    change = CHANGES[loss](inputs[-1], t)
                    new = row_differences(params, chain[k + 1 :], inputs[k:], change, h)
                else:
                    new = column_differences(partial(rest, k + 1, params), inputs[k], inputs[k + 1], h)
                grads |= zip(names, (new[:-1], new[-1]), strict=True)
        for name in params.keys() - grads:
            k = users[name][0]
            grads |= numerical_gradient(lambda p, k=k: rest(k, params | p, inputs[k]), {name: params[name]}, h)
        return loss(scores, t)[0], {name: grads[name] for name in params}, stats

    return grad


def _leaves(layer: Layer, params: Params, mode: Mode) -> Iterator[tuple[Layer, Mode]]:
    if not hasattr(layer, "expand"):
        yield layer, mode
        return
    for i, inner in enumerate(layer.expand(params)):
        yield from _leaves(inner, params, mode._replace(key=mode.key and (*mode.key, i)))
