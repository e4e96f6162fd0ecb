r"""Differences: slopes and gradients by central differences, descent, and the two checkers. Chapter 4.

Everything here works on any function `f`, knows nothing of networks, and computes in float64: a difference of nearly
equal numbers needs every digit there is.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, overload

import numpy as np

from . import _arrays
from ._arrays import Array, check_some, entries, floating, generator, is_loss, kind_of, name_of, real, whole
from .forms import Op, Params

__all__ = [
    "check_gradients",
    "check_vjp",
    "gradient_descent",
    "gradient_path",
    "numerical_diff",
    "numerical_gradient",
    "tangent_line",
]


def numerical_diff(f: Callable[[Any], Any], x: Array, h: float = 1e-4) -> Any:
    r"""Slope of a function of one variable, by the central difference.

    $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h}$$

    Parameters
    ----------
    f : callable
        Takes a number; or an array, which it answers element by element.
    x, h : array_like, float
        Where to take the slope, and half the distance of the two points, above 0.

    Returns
    -------
    float or array
        float64, in the shape of `x`.

    Raises
    ------
    ValueError
        If `f` answers an array in another shape: it is a function of many variables.

    References
    ----------
    W. Press and others, "Numerical Recipes", section 5.7: the formula's error grows like h**2, the rounding's like 1/h.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.numerical_diff(lambda x: 0.01 * x**2 + 0.1 * x, 5))    # exactly: 0.2
    0.1999999999990898
    """
    x, h = _float64("numerical_diff", "x", x)[()], real("numerical_diff", "h", h, "(0, inf)")
    slope = (f(x + h) - f(x - h)) / (2 * h)
    if x.shape and np.shape(slope) != x.shape:
        raise ValueError(f"numerical_diff: f returned shape {np.shape(slope)}, wanted {x.shape}; or numerical_gradient")
    return slope


def _float64(where: str, name: str, x: Array) -> np.ndarray:
    return np.array(floating(where, name, _arrays.numpys(where, name, x)), dtype=np.float64)


def tangent_line(f: Callable[[Any], Any], x: float) -> Callable[[Any], Any]:
    r"""Tangent of a function of one variable at the point `x`, as a function.

    $$\ell(u) = f'(x)\, u + \bigl(f(x) - f'(x)\, x\bigr)$$

    Parameters
    ----------
    f, x : callable, float
        Takes and returns a number; and where the line touches.

    Returns
    -------
    callable
        The line. Its intercept is its value at 0.

    Raises
    ------
    ValueError
        If `x` is no number.

    References
    ----------
    [numerical_diff][nnfunc.gradient.numerical_diff] gives the slope.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(round(nn.tangent_line(lambda x: x**2, 3.0)(0.0), 6))
    -9.0
    """
    slope = numerical_diff(f, x)
    intercept = f(x) - slope * x
    return lambda u: slope * u + intercept


@overload
def numerical_gradient(f: Callable[[Any], Any], x: Mapping[str, Array], h: float = 1e-4) -> Params: ...
@overload
def numerical_gradient(f: Callable[[Any], Any], x: Array, h: float = 1e-4) -> np.ndarray: ...
def numerical_gradient(f: Callable[[Any], Any], x: Any, h: float = 1e-4) -> Any:
    r"""Gradient of a function of many variables, one central difference for each of them.

    $$\frac{\partial f}{\partial x_i} \approx \frac{f(x + h e_i) - f(x - h e_i)}{2h}$$

    The points are made in a private float64 copy, which `f` sees read-only: `x` stays as it was,
    ints lose nothing, and an `f` that writes into its argument is stopped.

    Parameters
    ----------
    f : callable
        Takes `x` (or the dict) and returns one number. It is called twice for each number in `x`.
    x, h : array_like or dict of arrays, float
        Where to take the gradient, and the step, above 0.

    Returns
    -------
    array or dict of arrays
        Like `x`, in float64.

    Raises
    ------
    ValueError
        If `f` returns anything but one number.

    References
    ----------
    W. Press and others, "Numerical Recipes", 3rd edition, section 5.7.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.numerical_gradient(lambda x: (x**2).sum(), [3, 4]))
    [6. 8.]
    >>> grads = nn.numerical_gradient(lambda p: (p["w"] ** 2).sum() * p["b"], {"w": [3.0, 4.0], "b": 2.0})
    >>> print(grads["w"].round(6), grads["b"].round(6))
    [12. 16.] 25.0
    """
    if not isinstance(x, Mapping):
        return numerical_gradient(lambda p: f(p["x"]), {"x": x}, h)["x"]
    where = "numerical_gradient"
    h = real(where, "h", h, "(0, inf)")
    arrays = {name: _float64(where, name, a) for name, a in x.items()}
    seen = {name: _read_only(a) for name, a in arrays.items()}
    return {name: _differences(f, seen, a, h) for name, a in arrays.items()}


def _read_only(a: np.ndarray) -> np.ndarray:
    view = a.view()
    view.flags.writeable = False
    return view


def _differences(f: Callable[[Params], Any], seen: Params, a: np.ndarray, h: float) -> np.ndarray:
    grad = np.empty_like(a)
    for i in np.ndindex(a.shape):
        middle = a[i]
        a[i] = middle + h
        plus = _number(f(seen))
        a[i] = middle - h
        grad[i] = (plus - _number(f(seen))) / (2 * h)
        a[i] = middle
    return grad


def _number(value: Any) -> Any:
    if np.shape(value) != ():
        wanted = "wanted one number; for one gradient a row, call it for each row"
        raise ValueError(f"numerical_gradient: f returned an array of shape {np.shape(value)}, {wanted}")
    return value


def gradient_path(f: Callable[[Any], Any], x0: Array, lr: float = 0.01, step_num: int = 100) -> np.ndarray:
    r"""Every point of gradient descent, the start included.

    $$x_{k+1} = x_k - \eta\, \nabla f(x_k)$$

    Parameters
    ----------
    f, x0 : callable, array_like
        Takes an array and returns one number; and the start.
    lr, step_num : float, int
        The learning rate $\eta$ (eta), from 0 up, and how many steps.

    Returns
    -------
    array, shape (step_num + 1, *x0.shape)
        float64; the first row is `x0`.

    Raises
    ------
    ValueError
        If `f` returns anything but one number.

    References
    ----------
    A. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.gradient_path(lambda x: (x**2).sum(), [-3.0, 4.0], lr=0.1, step_num=2).round(6))
    [[-3.    4.  ]
     [-2.4   3.2 ]
     [-1.92  2.56]]
    """
    lr = real("gradient_path", "lr", lr)
    steps = whole("gradient_path", "step_num", step_num)
    path = [_float64("gradient_path", "x0", x0)]
    for _ in range(steps):
        path.append(path[-1] - lr * numerical_gradient(f, path[-1]))
    return np.stack(path)


def gradient_descent(f: Callable[[Any], Any], x0: Array, lr: float = 0.01, step_num: int = 100) -> np.ndarray:
    r"""Walk downhill: the last point of [nnfunc.gradient.gradient_path][], which follows the negative gradient.

    $$x_{k+1} = x_k - \eta\, \nabla f(x_k)$$

    Parameters
    ----------
    f, x0, lr, step_num
        Those of `gradient_path`.

    Returns
    -------
    array
        The last point, float64, in the shape of `x0`.



    References
    ----------
    A. Cauchy, 1847.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.gradient_descent(lambda x: (x**2).sum(), [-3.0, 4.0], lr=0.1))
    [-6.11110793e-10  8.14814391e-10]
    """
    return gradient_path(f, x0, lr, step_num)[-1]


def check_gradients(
    f: Callable[[Params], Any], params: Mapping[str, Array], grads: Mapping[str, Array]
) -> dict[str, float]:
    r"""How far gradients are from central differences: the mean absolute difference of each array.

    $$\frac1n \sum_i \left| g_i - \frac{f(x + h e_i) - f(x - h e_i)}{2h} \right|$$

    Parameters
    ----------
    f : callable
        Takes `params` and returns the loss, one number.
    params, grads : dict of arrays
        Where the gradients were taken, and the gradients under test, keyed alike.

    Returns
    -------
    dict of float
        Keyed like `params`. In float64 a right gradient of a loss near one comes out below 1e-9,
        a wrong one somewhere near the size of the gradient itself.

    Raises
    ------
    ValueError
        If keys or shapes differ; or at a kink, where the slopes on two sides differ and the gradient
        lies between them, as it may where a relu gets 0: there no difference can judge it.

    References
    ----------
    Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012, section 4.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params, loss = {"w": [3.0, 4.0]}, lambda p: (p["w"] ** 2).sum()
    >>> for g in ([6.0, 8.0], [6.0, 9.0]):
    ...     print(f"{nn.check_gradients(loss, params, {'w': g})['w']:.6f}")
    0.000000
    0.500000
    """
    if params.keys() != grads.keys():
        raise ValueError(f"check_gradients: params has {sorted(params)}, grads has {sorted(grads)}")
    arrays = {name: _read_only(_float64("check_gradients", name, a)) for name, a in params.items()}
    given = {name: _float64("check_gradients", f"the gradient of {name}", g) for name, g in grads.items()}
    for name, a in arrays.items():
        check_some("check_gradients", name, a)
        if a.shape != given[name].shape:
            raise ValueError(f"check_gradients: {name} has shape {a.shape}, its gradient {given[name].shape}")
    numerical = numerical_gradient(f, arrays)
    apart = {name: abs(numerical[name] - given[name]) for name in params}
    for name, far in apart.items():
        if far.mean() > 1e-4 * abs(numerical[name]).mean():
            worst = np.arange(far.size).reshape(far.shape) == far.argmax()
            g, i = given[name][worst].item(), np.argwhere(worst)[0].tolist() or ""
            if kink := _kink(g, partial(_moved, f, arrays, name, worst)):
                raise ValueError(f"check_gradients: the gradient of {name}{i} is {g:.6g}{kink}; take another point")
    return {name: float(far.mean()) for name, far in apart.items()}


def _moved(f: Callable[[Any], Any], point: dict[Any, Any], k: Any, v: np.ndarray, step: float) -> Any:
    """Return a value beside the point: one of its arrays goes so many steps along v."""
    return f(point | {k: point[k] + step * v})


def _rounding(y: Any, w: Any, h: float) -> Any:
    """Return what rounded values can do to a difference; ten times their last digit is room enough."""
    return 10 * np.finfo(np.result_type(y, np.float16)).eps * np.sum(abs(w * y)) / h


def _slope(along: Callable[[float], Any], a: float, b: float, w: Any) -> Any:
    return np.sum(w * (along(b) - along(a))) / (b - a)


def _kink(exact: float, along: Callable[[float], Any], w: Any = 1.0, h: float = 1e-4) -> str:
    """Say so if a gradient lies between the slopes on two sides. At a mere bend half the step brings them together."""
    left, right = _slope(along, -h, 0, w), _slope(along, 0, h, w)
    width, nearer = abs(right - left), abs(_slope(along, 0, h / 2, w) - _slope(along, -h / 2, 0, w))
    bend = width <= _rounding(along(0), w, h) or nearer < 0.7 * width
    if bend or not abs((left + right) / 2 - exact) < 0.51 * width:
        return ""
    return f"; the slopes to its two sides are {left:.6g} and {right:.6g}: perhaps a kink, where any between will do"


def check_vjp(op: Op, args: Sequence[Any], seed: int = 0, rtol: float = 1e-6, h: float = 1e-4) -> tuple[float, ...]:
    r"""Check an op's pullback, the vector-Jacobian product, against central differences.

    For each argument a random direction v and a random w in the shape of the output must give one number by two ways:

    $$\langle w,\; \tfrac{1}{2h} \bigl( y(x + h v) - y(x - h v) \bigr) \rangle
    = \langle \mathrm{pullback}(w),\; v \rangle$$

    Parameters
    ----------
    op : callable
        ``op(*args)`` gives ``(y, pullback)``, and ``pullback(dy)`` a gradient for each argument that holds floats, in
        their order. None stands for an argument that holds none, as ids before weights; behind the last gradient it
        may be left out. The targets of a loss, and a plain number behind arrays, such as a rate, need no gradient.
    args : sequence
        The arguments. They are handed out read-only, floats in float64. The check is at this point; try others, too.
    seed : int
        Chooses v and w.
    rtol, h : float
        The largest relative difference that passes, below 1, and the step, above 0.

    Returns
    -------
    tuple of float
        For each gradient the relative difference of the two numbers.

    Raises
    ------
    ValueError
        If a gradient is wrong (a kink is named as possible where it lies between the slopes on two sides), is left out,
        or has another shape than its argument; if the op writes into what it is given; or if differences cannot tell.

    References
    ----------
    A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, 2008, section 3.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> x = [[1.0, -2.0], [0.5, 3.0]]
    >>> print(max(nn.check_vjp(nn.ops.mul, (x, x))) < 1e-6)
    True
    >>> nn.check_vjp(lambda x: (x**2, lambda dy: (dy * x,)), (x,))
    Traceback (most recent call last):
      ...
    ValueError: check_vjp: gradient 0 of <lambda> is wrong: 1.83612 by its pullback, 3.67223 by differences
    """
    name = name_of(op)
    rtol, h = real("check_vjp", "rtol", rtol, "[0, 1)"), real("check_vjp", "h", h, "(0, inf)")
    # A stream of its own: default_rng(seed) may well have drawn the arguments, and then w is one of them.
    rng = generator((whole("check_vjp", "seed", seed), 0))
    point = {k: _held(k, a) for k, a in enumerate(args)}
    y, pullback = _answer(op, point)
    w = _read_only(rng.standard_normal(y.shape))
    grads = pullback(w)
    if not isinstance(grads, tuple) or len(grads) > len(point) or all(dx is None for dx in grads):
        wanted = f"a tuple with gradients of the {len(point)} arguments"
        raise ValueError(f"check_vjp: the pullback of {name} returned {kind_of(grads)}, wanted {wanted}")
    differences: list[float] = []
    for k, (a, dx) in enumerate(zip_longest(point.values(), grads)):
        where = f"gradient {k} of {name}"
        floats = isinstance(a, np.ndarray) and a.dtype.kind == "f"
        setting = isinstance(args[k], float) and not isinstance(args[0], float)  # a number behind arrays, a rate say
        if dx is None and (not floats or setting or (y.shape == () and is_loss(pullback) and k)):
            continue
        if dx is None or np.shape(dx) != np.shape(a):
            raise ValueError(f"check_vjp: {where} is {kind_of(dx)}, wanted {kind_of(a)}")
        v = rng.standard_normal(np.shape(a))
        along = partial(_moved, lambda point: _answer(op, point)[0], point, k, v)
        differences.append(_compared(where, w, along, np.sum(dx * v), rtol, h))
    return tuple(differences)


def _held(k: int, a: Any) -> Any:
    """Return an argument that cannot be written to; floats in float64."""
    given = _arrays.numpys("check_vjp", f"argument {k}", a)
    if given.dtype.kind == "f":
        return _read_only(np.array(given, dtype=np.float64))
    return _read_only(a) if isinstance(a, np.ndarray) else a


def _answer(op: Op, point: dict[int, Any]) -> tuple[np.ndarray, Callable]:
    y, pullback = entries(f"check_vjp: {name_of(op)}", op(*point.values()), 2, "(y, pullback)")
    return floating("check_vjp", f"the value of {name_of(op)}", y), pullback


def _compared(where: str, w: np.ndarray, along: Callable, exact: Any, rtol: float, h: float) -> float:
    """Return how far a number is from what differences say, or refuse it as too far."""
    y, numerical = along(0), _slope(along, -h, h, w)
    apart, size, rounding = abs(numerical - exact), max(abs(numerical), abs(exact)), _rounding(y, w, h)
    said = f"{exact:.6g} by its pullback, {numerical:.6g} by differences"
    # A slope of 0, but for rounding, has no size of its own; beside it stand slopes of 1, or of y if that is less.
    least = 0 if abs(exact) > h * rounding else min(np.linalg.norm(w), np.sum(abs(w * y)))
    if not rounding <= 1e-3 * max(size, least):
        raise ValueError(f"check_vjp: cannot tell whether {where} is right: {said}, rounded by {rounding:.2g}")
    if not apart <= rtol * size + rounding:
        raise ValueError(f"check_vjp: {where} is wrong: {said}{_kink(exact, along, w, h)}")
    return float(apart / size) if size else 0.0
