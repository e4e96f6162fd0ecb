r"""Optimizers: rules that take parameters, gradients and what they remember, and return new ones. Chapter 6.

An optimizer is a pair of pure functions, ``init(params) -> opt`` and
``step(params, grads, opt) -> (params, opt)``. A rule is written for one array; `per_array` lifts it
to dicts of them.
"""

from collections.abc import Callable
from math import cos, pi
from typing import Any, NamedTuple

import numpy as np

from .functions import Array, array, floating
from .layers import Params

__all__ = [
    "Optimizer",
    "adagrad",
    "adam",
    "constant",
    "cosine",
    "momentum",
    "nesterov",
    "per_array",
    "rmsprop",
    "sgd",
    "step_decay",
    "warm_up",
    "weight_decay",
]

Rate = float | Callable[[int], float]


class Optimizer(NamedTuple):
    """A pair of pure functions.

    Attributes
    ----------
    init : callable
        ``init(params) -> opt``: what the optimizer remembers before the first step.
    step : callable
        ``step(params, grads, opt) -> (params, opt)``: all of them new.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> init, step = nn.sgd(lr=0.5)
    >>> params = {"W1": np.array([1.0, 2.0])}
    >>> params, opt = step(params, {"W1": np.array([1.0, 1.0])}, init(params))
    >>> print(params, opt)
    {'W1': array([0.5, 1.5])} {'t': 1}
    """

    init: Callable[[Params], dict[str, Any]]
    step: Callable[[Params, Params, dict[str, Any]], tuple[Params, dict[str, Any]]]


def per_array(lr: Rate, *slots: str) -> Callable[[Callable[..., tuple[Array, ...]]], Optimizer]:
    r"""Lift an update rule for one array to an optimizer of dicts.

    $$(p, s_1, s_2, \dots) \leftarrow \mathrm{rule}(p, g, s_1, s_2, \dots, lr, t)$$

    Parameters
    ----------
    lr : float or callable
        The learning rate, or a function from the number of steps already taken to it.
    *slots : str
        The names of what the rule remembers for each array; they start as zeros.

    Returns
    -------
    callable
        A decorator: takes ``rule(p, g, *slots, lr, t)``, which returns the new p and slots, and
        gives an [Optimizer][nnfunc.optimizers.Optimizer]. Here t counts from 1.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    The form goes back to `jax.example_libraries.optimizers`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> @nn.per_array(0.1)
    ... def sign_descent(p, g, *, lr, t):
    ...     return (p - lr * np.sign(g),)
    >>> params = {"W1": np.array([1.0, 2.0])}
    >>> params, opt = sign_descent.step(params, {"W1": np.array([5.0, -5.0])}, sign_descent.init(params))
    >>> print(params["W1"])
    [0.9 2.1]
    """

    def decorate(rule: Callable[..., tuple[Array, ...]]) -> Optimizer:
        def init(params):
            return {"t": 0} | {slot: {name: array(p)[1].zeros_like(p) for name, p in params.items()} for slot in slots}

        def step(params, grads, opt):
            grads = _matching(params, grads)
            rate, t = float(lr(opt["t"]) if callable(lr) else lr), opt["t"] + 1
            new = {
                name: rule(p, grads[name], *(opt[slot][name] for slot in slots), lr=rate, t=t)
                for name, p in params.items()
            }
            params, *memory = ({name: arrays[k] for name, arrays in new.items()} for k in range(len(slots) + 1))
            if t % 64 == 0:
                memory = [{name: _flushed(a) for name, a in slot.items()} for slot in memory]
            return params, {"t": t} | dict(zip(slots, memory, strict=True))

        return Optimizer(init, step)

    return decorate


def _matching(params: Params, grads: Params) -> Params:
    """Return the gradients in the dtypes of their parameters, or refuse other names or shapes."""
    if params.keys() != grads.keys():
        lacking, extra = sorted(params.keys() - grads.keys()), sorted(grads.keys() - params.keys())
        raise ValueError(f"step: no gradient for {lacking}, no parameter for {extra}; the names must be the same")
    for name, p in params.items():
        if p.shape != grads[name].shape:
            raise ValueError(f"step: {name} has shape {p.shape}, its gradient {grads[name].shape}")
    return {name: g if g.dtype == params[name].dtype else _like(g, params[name]) for name, g in grads.items()}


def _flushed(a: Array) -> Array:
    """Return zero for what is about to become a subnormal number, with which processors reckon slowly."""
    a, xp = array(a)
    if not xp.isdtype(a.dtype, "real floating"):
        return a
    return a * xp.astype(xp.asarray(xp.abs(a) > 1024 * xp.finfo(a.dtype).smallest_normal), a.dtype)


def _like(g: Array, p: Array) -> Array:
    (p, _), (g, xp) = floating("step", "p", p), array(g)
    return xp.astype(g, p.dtype, copy=False)


def sgd(lr: Rate = 0.01) -> Optimizer:
    r"""Stochastic gradient descent.

    $$p \leftarrow p - \eta g$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.

    Returns
    -------
    Optimizer
        Remembers nothing but t.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array([1.0, 1.0])}, {"w": np.array([2.0, -4.0])}
    >>> optimizer = nn.sgd(lr=0.1)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"])
    [0.8 1.4]
    """

    @per_array(lr)
    def rule(p, g, *, lr, t):
        new = -lr * g
        new += p  # into the array just made: one pass less than p - lr * g
        return (new,)

    return rule


def momentum(lr: Rate = 0.01, momentum: float = 0.9) -> Optimizer:
    r"""Momentum: a ball that rolls and is slowed by friction.

    $$v \leftarrow \mu v - \eta g, \qquad p \leftarrow p + v$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.
    momentum : float
        The share $\mu$ of its velocity that the ball keeps.

    Returns
    -------
    Optimizer
        Remembers v.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array(1.0)}, {"w": np.array(1.0)}
    >>> optimizer = nn.momentum(lr=0.1)
    >>> opt = optimizer.init(params)
    >>> for _ in range(2):
    ...     params, opt = optimizer.step(params, grads, opt)
    >>> print(round(params["w"], 6), round(opt["v"]["w"], 6))    # 1 - 0.1 - 0.19
    0.71 -0.19
    """
    mu = float(momentum)

    @per_array(lr, "v")
    def rule(p, g, v, *, lr, t):
        v = mu * v - lr * g
        return p + v, v

    return rule


def nesterov(lr: Rate = 0.01, momentum: float = 0.9) -> Optimizer:
    r"""Nesterov's momentum: the step looks ahead along the new velocity.

    $$v \leftarrow \mu v - \eta g, \qquad p \leftarrow p + \mu v - \eta g$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.
    momentum : float
        $\mu$.

    Returns
    -------
    Optimizer
        Remembers v.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    Y. Nesterov, 1983, in the form of I. Sutskever and others, "On the importance of initialization
    and momentum in deep learning", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array(1.0)}, {"w": np.array(1.0)}
    >>> optimizer = nn.nesterov(lr=0.1)
    >>> params, opt = optimizer.step(params, grads, optimizer.init(params))
    >>> print(round(params["w"], 6), round(opt["v"]["w"], 6))    # 1 - 0.09 - 0.1
    0.81 -0.1
    """
    mu = float(momentum)

    @per_array(lr, "v")
    def rule(p, g, v, *, lr, t):
        v = mu * v - lr * g
        return p + mu * v - lr * g, v

    return rule


def adagrad(lr: Rate = 0.01, eps: float = 1e-7) -> Optimizer:
    r"""AdaGrad: each parameter's step shrinks by the gradients it has seen.

    $$h \leftarrow h + g^2, \qquad p \leftarrow p - \eta \frac{g}{\sqrt{h} + \varepsilon}$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.
    eps : float
        Keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers h.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array([1.0, 1.0])}, {"w": np.array([5.0, 0.05])}
    >>> optimizer = nn.adagrad(lr=0.1)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"].round(4))
    [0.9 0.9]
    """
    eps = float(eps)

    @per_array(lr, "h")
    def rule(p, g, h, *, lr, t):
        h = h + g * g
        return p - lr * g / (h**0.5 + eps), h

    return rule


def rmsprop(lr: Rate = 0.01, decay: float = 0.99, eps: float = 1e-7) -> Optimizer:
    r"""RMSprop: AdaGrad that forgets old gradients.

    $$h \leftarrow \rho h + (1 - \rho) g^2, \qquad p \leftarrow p - \eta \frac{g}{\sqrt{h} + \varepsilon}$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.
    decay : float
        The share $\rho$ of the past that stays.
    eps : float
        Keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers h.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    G. Hinton, "Neural networks for machine learning", lecture 6e, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array(1.0)}, {"w": np.array(5.0)}
    >>> optimizer = nn.rmsprop(lr=0.1, decay=0.75)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"].round(4))
    0.8
    """
    rho, eps = float(decay), float(eps)

    @per_array(lr, "h")
    def rule(p, g, h, *, lr, t):
        h = rho * h + (1 - rho) * (g * g)
        return p - lr * g / (h**0.5 + eps), h

    return rule


def adam(lr: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    r"""Adam: momentum and RMSprop together, corrected for starting from zero.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
    p \leftarrow p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}$$

    The eps is added to the corrected root, as in the paper's Algorithm 1. Deep Learning from
    Scratch corrects the learning rate instead, $\eta_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$,
    and adds eps to the uncorrected root: its rule is this one with $\varepsilon / \sqrt{1 - \beta_2^t}$
    in place of $\varepsilon$, at first some thirty times as much. Only where gradients are as small as
    that are its first steps shorter.

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a function from the number of steps already taken to it.
    beta1, beta2 : float
        The shares of the past that stay in m and v.
    eps : float
        Keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers m and v.

    Raises
    ------
    ValueError
        By the step, if params and grads have unequal names or shapes.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> params, grads = {"w": np.array([1.0, 1.0])}, {"w": np.array([5.0, -0.05])}
    >>> optimizer = nn.adam(lr=0.1)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"].round(4))
    [0.9 1.1]
    """
    beta1, beta2, eps = float(beta1), float(beta2), float(eps)

    @per_array(lr, "m", "v")
    def rule(p, g, m, v, *, lr, t):
        m = beta1 * m
        m += (1 - beta1) * g
        v = beta2 * v
        v += (1 - beta2) * (g * g)
        root = (1 - beta2**t) ** 0.5  # extends the fraction: m and v stay undivided
        new = v**0.5
        new += eps * root
        new = m / new
        new *= -lr * root / (1 - beta1**t)
        new += p
        return new, m, v

    return rule


def weight_decay(params: Params, lam: float) -> tuple[Array, Params]:
    r"""Weight decay: a penalty on large weights, with its gradients.

    $$P = \frac{\lambda}{2} \sum_W \sum_{ij} W_{ij}^2, \qquad dW = \lambda W$$

    Parameters
    ----------
    params : dict of arrays
        Only the names that begin with W count: biases are not pulled to zero.
    lam : float
        The strength lambda.

    Returns
    -------
    penalty : float
        To be added to the loss.
    grads : dict of arrays
        To be added to the gradients of the weights.

    References
    ----------
    A. Krogh, J. Hertz, "A simple weight decay can improve generalization", 1991.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> penalty, grads = nn.weight_decay({"W1": np.array([[3.0, 4.0]]), "b1": np.array([7.0])}, lam=0.1)
    >>> print(round(penalty, 6), grads)
    1.25 {'W1': array([[0.3, 0.4]])}
    """
    lam = float(lam)
    weights = {name: p for name, p in params.items() if name.startswith("W")}
    penalty = sum((W * W).sum() for W in weights.values())
    return 0.5 * lam * penalty, {name: lam * W for name, W in weights.items()}


def constant(lr: float) -> Callable[[int], float]:
    r"""Learning rate that stays.

    $$\eta_t = \eta$$

    Parameters
    ----------
    lr : float
        The learning rate.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    References
    ----------
    Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012.

    Examples
    --------
    >>> import nnfunc as nn
    >>> schedule = nn.constant(0.1)
    >>> print(schedule(0), schedule(1000))
    0.1 0.1
    """
    return lambda t: lr


def step_decay(lr: float, factor: float, steps: int) -> Callable[[int], float]:
    r"""Learning rate that is multiplied by a factor at each multiple of `steps`.

    $$\eta_t = \eta\, f^{\lfloor t / steps \rfloor}$$

    Parameters
    ----------
    lr : float
        The learning rate at the start.
    factor : float
        f, say 0.1.
    steps : int
        How long each rate lasts.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up.

    References
    ----------
    K. He and others, "Deep residual learning for image recognition", 2015, section 3.4.

    Examples
    --------
    >>> import nnfunc as nn
    >>> schedule = nn.step_decay(1.0, factor=0.5, steps=10)
    >>> print(schedule(0), schedule(9), schedule(10), schedule(25))
    1.0 1.0 0.5 0.25
    """
    _check_steps("step_decay", steps)
    return lambda t: lr * factor ** (t // steps)


def cosine(lr: float, steps: int, last: float = 0.0) -> Callable[[int], float]:
    r"""Learning rate that falls along half a cosine, and stays where it ends.

    $$\eta_t = \eta_{last} + \frac{\eta - \eta_{last}}{2} \Bigl( 1 + \cos \frac{\pi \min(t, steps)}{steps} \Bigr)$$

    Parameters
    ----------
    lr : float
        The learning rate at the start.
    steps : int
        How long it falls.
    last : float
        Where it ends.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Examples
    --------
    >>> import nnfunc as nn
    >>> schedule = nn.cosine(1.0, steps=100)
    >>> print(schedule(0), round(schedule(50), 6), round(schedule(100), 6))
    1.0 0.5 0.0
    """
    _check_steps("cosine", steps)
    return lambda t: last + 0.5 * (lr - last) * (1 + cos(pi * min(t, steps) / steps))


def warm_up(lr: Rate, steps: int) -> Callable[[int], float]:
    r"""Learning rate that grows in a straight line first, up to what it would have been.

    $$\eta_t = \min\Bigl( 1, \frac{t + 1}{steps} \Bigr)\, \eta'_t$$

    Parameters
    ----------
    lr : float or callable
        What to warm up to: a rate or another schedule, $\eta'$.
    steps : int
        How long it grows.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up.

    References
    ----------
    P. Goyal and others, "Accurate, large minibatch SGD", 2017, section 2.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> schedule = nn.warm_up(nn.constant(1.0), steps=4)
    >>> print([schedule(t) for t in range(6)])
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    _check_steps("warm_up", steps)
    return lambda t: min(1.0, (t + 1) / steps) * (lr(t) if callable(lr) else lr)


def _check_steps(where: str, steps: int) -> None:
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"{where}: steps is {steps!r}, wanted an int from 1 up")
