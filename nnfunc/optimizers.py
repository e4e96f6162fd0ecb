r"""Optimizers: rules that take parameters, gradients and what they remember, and return new ones. Chapter 6.

An optimizer is a pair of pure functions, ``init(params) -> opt`` and ``step(params, grads, opt) -> (params, opt)``. A
rule is written for one array; `per_array` lifts it to dicts of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from ._arrays import (
    SINGLE_UP,
    Array,
    array,
    floating,
    function,
    is_half,
    is_traced,
    kind_of,
    like,
    mapping,
    namespace,
    real,
    whole,
)
from .forms import Optimizer, Params, Schedule

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "constant",
    "cosine",
    "momentum",
    "nesterov",
    "per_array",
    "rmsprop",
    "sgd",
    "step_decay",
    "warm_up",
]

Rate = float | Schedule
Rows = dict[str, Any]
Rule = Callable[..., tuple[Array, ...]]


def per_array(lr: Rate, *slots: str) -> Callable[[Rule], Optimizer]:
    r"""Lift an update rule for one array to an optimizer of dicts.

    $$(p, s_1, s_2, \dots) \leftarrow \mathrm{rule}(p, g, s_1, s_2, \dots, lr, t)$$

    Parameters
    ----------
    lr : float or callable
        The learning rate, or a schedule: a function from the number of steps already taken to it.
    *slots : str
        The names of what the rule remembers for each array; they start as zeros.

    Returns
    -------
    callable
        A decorator: takes ``rule(p, g, *slots, lr, t)``, which returns the tuple of the new p and slots,
        all of one shape, and gives an [Optimizer][nnfunc.forms.Optimizer]. Here t counts from 1.

    Raises
    ------
    ValueError
        For a rate that is neither a schedule nor a number from 0 up. By the step, if parameters, gradients
        and memory have unequal names or shapes, the memory is another optimizer's, the rule returns
        anything else, or the schedule no rate.

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
    >>> params = {"W1": [1.0, 2.0]}
    >>> sign_descent.step(params, {"W1": [5.0, -5.0]}, sign_descent.init(params))
    ({'W1': array([0.9, 2.1])}, {'t': 1})
    """

    def decorate(rule):
        where = _place(rule)
        schedule = _schedule(where, lr)

        def init(params):
            start = {slot: _zeros(where, params) for slot in slots}
            return {"t": 0} | start

        def step(params, grads, opt):
            rows = _matching(where, slots, params, grads, opt)
            t = opt["t"] + 1
            rate = schedule(t - 1)
            new = {}
            for name, row in rows.items():
                new[name] = rule(*row, lr=rate, t=t)
            params, *memory = _columns(where, slots, rows, new)
            if not is_traced(t) and t % 64 == 0:  # compilers do so anyway
                memory = [*map(_flushed, memory)]
            return params, {"t": t} | dict(zip(slots, memory, strict=True))

        return Optimizer(init, step)

    return decorate


def _place(rule: Rule) -> str:
    """Return the name that errors are to have: sgd, of its sgd.<locals>.rule."""
    function("per_array", "rule", rule, "rule(p, g, *slots, lr, t)")
    return getattr(rule, "__qualname__", "per_array").partition(".")[0]


def _schedule(where: str, lr: Rate) -> Schedule:
    """Return a rate as a function of the steps taken, whose every value is looked at."""
    if callable(lr):
        return lambda t: rate if is_traced(rate := lr(t)) else real(where, f"lr({t})", rate)
    rate = real(where, "lr", lr, advice=", or a schedule, say nnfunc.cosine(0.1, steps=1000)")
    return lambda t: rate


def _zeros(where: str, params: Mapping[str, Array]) -> dict[str, Array]:
    floats = {name: _weights(where, name, p) for name, p in mapping(where, "params", params).items()}
    return {name: namespace(p).zeros_like(p) for name, p in floats.items()}


def _matching(where: str, slots: tuple[str, ...], params: Any, grads: Any, opt: Any) -> Rows:
    """Return for each name a row of its parameter, gradient and memory, or refuse other names or shapes."""
    if mapping(where, "the memory", opt).keys() != {"t", *slots}:
        raise ValueError(f"{where}: the memory holds {', '.join(opt)}, wanted {', '.join(('t', *slots))}")
    names = mapping(where, "params", params).keys()
    kinds, trees = ("gradient", *slots), [grads, *map(opt.__getitem__, slots)]
    for kind, tree in zip(kinds, trees, strict=True):
        if (tree if type(tree) is dict else mapping(where, kind, tree)).keys() != names:
            lacking, extra = sorted(names - tree.keys()), sorted(tree.keys() - names)
            raise ValueError(f"{where}: no {kind} for {lacking}, no parameter for {extra}; the names must be the same")
    rows = {}
    for name, p in params.items():
        row = rows[name] = [p]
        for tree in trees:
            row.append(tree[name])
        g = row[1]
        if not (type(p) is type(g) is np.ndarray and p.dtype is g.dtype and p.dtype.char in SINGLE_UP):
            row[:2] = _floats(where, name, p, g)
    _check_shapes(where, kinds, rows, rows)
    return rows


def _floats(where: str, name: str, p: Any, g: Any) -> list[Any]:
    """Return a parameter and its gradient as arrays of one dtype."""
    p = _weights(where, name, p)
    return [p, like(floating(where, f"the gradient of {name}", g, p.dtype), p)]


def _weights(where: str, name: str, p: Any) -> Array:
    """Return a parameter as floats, or refuse half precision: most of its steps would be lost in rounding."""
    p = floating(where, name, p)
    if is_half(p):
        raise ValueError(f"{where}: {name} has dtype {p.dtype}; steps are smaller than it can hold, wanted float32 up")
    return p


def _columns(where: str, slots: tuple[str, ...], old: Rows, new: Rows) -> list[Params]:
    """Return new parameters and memory as dicts, or refuse a rule that returned anything else."""
    for row in new.values():
        if type(row) is not tuple or len(row) != 1 + len(slots):
            wanted = f"the tuple ({', '.join(('p', *slots))})"
            raise ValueError(f"{where}: the rule returned {kind_of(row)}, wanted {wanted}")
    _check_shapes(where, ("new value", *slots), old, new)
    columns = zip(*new.values(), strict=True) if new else [()] * (1 + len(slots))
    return [dict(zip(new, column, strict=True)) for column in columns]


def _check_shapes(where: str, kinds: Sequence[str], old: Rows, new: Rows) -> None:
    """Refuse rows in whose last places anything has another shape than the old parameter."""
    for name, row in new.items():
        shape = old[name][0].shape
        for k, a in enumerate(row, start=-len(row)):
            if getattr(a, "shape", ()) != shape:
                raise ValueError(f"{where}: {name} has shape {shape}, its {kinds[k]} {np.shape(a)}")


def _flushed(slot: Params) -> Params:
    """Return zero for what is about to become subnormal: with such numbers processors are slow."""
    least = {name: 1024 * namespace(a).finfo(a.dtype).smallest_normal for name, a in slot.items()}
    return {name: a * like(abs(a) > least[name], a) for name, a in slot.items()}


def sgd(lr: Rate = 0.01) -> Optimizer:
    r"""Stochastic gradient descent.

    $$p \leftarrow p - \eta g$$

    Parameters
    ----------
    lr : float or callable
        The learning rate $\eta$, or a schedule.

    Returns
    -------
    Optimizer
        Remembers nothing but t.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, grads = {"w": [1.0, 1.0]}, {"w": [2.0, -4.0]}
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
    lr, momentum : float
        The learning rate $\eta$, or a schedule, and the share $\mu$ of its velocity that the ball keeps.

    Returns
    -------
    Optimizer
        Remembers v.

    References
    ----------
    B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> import nnfunc as nn
    >>> init, step = nn.momentum(lr=0.1)
    >>> params, opt = step({"w": 1.0}, {"w": 1.0}, init({"w": 1.0}))
    >>> params, opt = step(params, {"w": 1.0}, opt)
    >>> print(round(params["w"], 6), round(opt["v"]["w"], 6))    # 1 - 0.1 - 0.19
    0.71 -0.19
    """
    mu = real("momentum", "momentum", momentum, "[0, 1)")

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
    lr, momentum : float
        The learning rate $\eta$, or a schedule, and $\mu$.

    Returns
    -------
    Optimizer
        Remembers v.

    References
    ----------
    Y. Nesterov, 1983, in the form of I. Sutskever and others, "On the importance of initialization and momentum", 2013.

    Examples
    --------
    >>> import nnfunc as nn
    >>> init, step = nn.nesterov(lr=0.1)
    >>> params, opt = step({"w": 1.0}, {"w": 1.0}, init({"w": 1.0}))
    >>> print(round(params["w"], 6), round(opt["v"]["w"], 6))    # 1 - 0.09 - 0.1
    0.81 -0.1
    """
    mu = real("nesterov", "momentum", momentum, "[0, 1)")

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
    lr, eps : float
        The learning rate $\eta$, or a schedule, and what keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers h.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, grads = {"w": [1.0, 1.0]}, {"w": [5.0, 0.05]}
    >>> optimizer = nn.adagrad(lr=0.1)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"].round(4))
    [0.9 0.9]
    """
    eps = real("adagrad", "eps", eps)

    @per_array(lr, "h")
    def rule(p, g, h, *, lr, t):
        h = h + g * g
        return p - lr * g / (h**0.5 + eps), h

    return rule


def rmsprop(
    lr: Rate = 0.01,
    decay: float = 0.99,
    eps: float = 1e-7,
) -> Optimizer:
    r"""RMSprop: AdaGrad that forgets old gradients.

    $$h \leftarrow \rho h + (1 - \rho) g^2, \qquad p \leftarrow p - \eta \frac{g}{\sqrt{h} + \varepsilon}$$

    Parameters
    ----------
    lr, decay, eps : float
        The rate $\eta$, or a schedule; the share $\rho$ of the past that stays; what keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers h.

    References
    ----------
    G. Hinton, "Neural networks for machine learning", lecture 6e, 2012.

    Examples
    --------
    >>> import nnfunc as nn
    >>> init, step = nn.rmsprop(lr=0.1, decay=0.75)
    >>> print(step({"w": 1.0}, {"w": 5.0}, init({"w": 1.0}))[0]["w"].round(4))
    0.8
    """
    rho = real("rmsprop", "decay", decay, "[0, 1)")
    eps = real("rmsprop", "eps", eps)

    @per_array(lr, "h")
    def rule(p, g, h, *, lr, t):
        h = rho * h + (1 - rho) * (g * g)
        return p - lr * g / (h**0.5 + eps), h

    return rule


def adam(
    lr: Rate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Optimizer:
    r"""Adam: momentum and RMSprop together, corrected for starting from zero.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
    p \leftarrow p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}$$

    The eps is added to the corrected root, as in the paper's Algorithm 1. Deep Learning from Scratch corrects the
    learning rate instead, $\eta_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$, and adds eps to the uncorrected
    root: its rule is this one with $\varepsilon / \sqrt{1 - \beta_2^t}$ in place of $\varepsilon$, at first some
    thirty times as much. Only where gradients are as small as that are its first steps shorter.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        The rate $\eta$, or a schedule; the shares of the past that stay in m and v; what keeps the quotient finite.

    Returns
    -------
    Optimizer
        Remembers m and v.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, Algorithm 1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, grads = {"w": [1.0, 1.0]}, {"w": [5.0, -0.05]}
    >>> optimizer = nn.adam(lr=0.1)
    >>> print(optimizer.step(params, grads, optimizer.init(params))[0]["w"].round(4))
    [0.9 1.1]
    """
    beta1 = real("adam", "beta1", beta1, "[0, 1)")
    beta2 = real("adam", "beta2", beta2, "[0, 1)")
    eps = real("adam", "eps", eps)

    @per_array(lr, "m", "v")
    def rule(p, g, m, v, *, lr, t):
        m = beta1 * m
        m += (1 - beta1) * g
        v = beta2 * v
        v += (1 - beta2) * (g * g)
        root = (1 - beta2**t) ** 0.5  # m and v stay undivided
        new = v**0.5
        new += eps * root
        new = m / new
        new *= -lr * root / (1 - beta1**t)
        new += p
        return new, m, v

    return rule


def adamw(
    lr: Rate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.01,
) -> Optimizer:
    r"""AdamW: Adam, with a weight decay that its memory does not see.

    $$p \leftarrow p - \eta \lambda p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}$$

    A penalty in the loss would be divided by the root as all gradients are: weights with large gradients decayed less.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        [adam][nnfunc.optimizers.adam]'s; `lr` may be a schedule.
    decay : float
        $\lambda$, by which the parameters whose names begin with W decay.

    Returns
    -------
    Optimizer
        Remembers m and v.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019, Algorithm 2; $\eta \lambda$ as in PyTorch.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, grads = {"W": [1.0, 1.0], "b": [1.0]}, {"W": [5.0, 0.0], "b": [0.0]}
    >>> init, step = nn.adamw(lr=0.1, decay=0.5)
    >>> params, opt = step(params, grads, init(params))
    >>> print(params["W"].round(4), params["b"])
    [0.85 0.95] [1.]
    """
    schedule = _schedule("adamw", lr)
    decay = real("adamw", "decay", decay)
    init, adams_step = adam(lr, beta1, beta2, eps)

    def step(params, grads, opt):
        new, memory = adams_step(params, grads, opt)
        share = schedule(opt["t"]) * decay
        weights = {name: array("adamw", name, p)[0] for name, p in params.items() if name.startswith("W")}
        return new | {name: new[name] - share * W for name, W in weights.items()}, memory

    return Optimizer(init, step)


def constant(lr: float) -> Schedule:
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
    >>> [nn.constant(0.1)(t) for t in (0, 1000)]
    [0.1, 0.1]
    """
    rate = real("constant", "lr", lr)
    return lambda t: rate


def step_decay(lr: float, factor: float, steps: int) -> Schedule:
    r"""Learning rate that is multiplied by a factor at each multiple of `steps`.

    $$\eta_t = \eta\, f^{\lfloor t / steps \rfloor}$$

    Parameters
    ----------
    lr, factor, steps : float, float, int
        The learning rate at the start, f, say 0.1, and how long each rate lasts.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    References
    ----------
    K. He and others, "Deep residual learning for image recognition", 2015, section 3.4.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [nn.step_decay(1.0, factor=0.5, steps=10)(t) for t in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """
    lr, factor = real("step_decay", "lr", lr), real("step_decay", "factor", factor)
    steps = whole("step_decay", "steps", steps, 1)
    return lambda t: lr * factor ** (t // steps)


def cosine(lr: float, steps: int, last: float = 0.0) -> Schedule:
    r"""Learning rate that falls along half a cosine, and stays where it ends.

    $$\eta_t = \eta_{last} + \frac{\eta - \eta_{last}}{2} \Bigl( 1 + \cos \frac{\pi \min(t, steps)}{steps} \Bigr)$$

    Parameters
    ----------
    lr, steps, last : float, int, float
        The learning rate at the start, how long it falls, and where it ends.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [round(nn.cosine(1.0, steps=100)(t), 6) for t in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    lr, last = real("cosine", "lr", lr), real("cosine", "last", last)
    steps = whole("cosine", "steps", steps, 1)
    return lambda t: last + 0.5 * (lr - last) * (1 + _library(t).cos(pi * _least(t, steps) / steps))


def warm_up(lr: Rate, steps: int) -> Schedule:
    r"""Learning rate that grows in a straight line first, up to what it would have been.

    $$\eta_t = \min\Bigl( 1, \frac{t + 1}{steps} \Bigr)\, \eta'_t$$

    Parameters
    ----------
    lr, steps : float or callable, int
        What to warm up to, a rate or another schedule, $\eta'$, and how long it grows.

    Returns
    -------
    callable
        A function of t, the number of steps already taken.

    References
    ----------
    P. Goyal and others, "Accurate, large minibatch SGD", 2017, section 2.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [nn.warm_up(nn.constant(1.0), steps=4)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    schedule, steps = _schedule("warm_up", lr), whole("warm_up", "steps", steps, 1)
    return lambda t: _least((t + 1) / steps, 1.0) * schedule(t)


def _least(a: Any, b: float) -> Any:
    return namespace(a).minimum(a, b) if is_traced(a) else min(a, b)


def _library(t: Any) -> Any:
    return namespace(t) if is_traced(t) else math
