r"""Differences: slopes and gradients by central differences, descent, and the two checkers. Chapter 4.

Everything here works on any function `f`, knows nothing of networks, and computes in float64: a
difference of nearly equal numbers needs every digit there is.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "check_gradients",
    "check_vjp",
    "gradient_descent",
    "gradient_path",
    "numerical_diff",
    "numerical_gradient",
    "tangent_line",
]

Array = np.ndarray
Point = TypeVar("Point", ArrayLike, dict[str, Array])


def numerical_diff(f: Callable[[Any], Any], x: ArrayLike, h: float = 1e-4) -> Any:
    r"""Slope of a function of one variable, by the central difference.

    $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h}$$

    Parameters
    ----------
    f : callable
        Takes and returns a number; or an array, element by element.
    x : array_like
        Where to take the slope.
    h : float
        Half the distance of the two points.

    Returns
    -------
    float or array
        float64, in the shape of `x`.

    References
    ----------
    W. Press and others, "Numerical Recipes", 3rd edition, section 5.7: the error of the formula
    grows like h**2, that of the rounding like 1/h.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.numerical_diff(lambda x: 0.01 * x**2 + 0.1 * x, 5))    # exactly: 0.2
    0.1999999999990898
    """
    x = np.asarray(x, dtype=np.float64)[()]
    return (f(x + h) - f(x - h)) / (2 * h)


def tangent_line(f: Callable[[Any], Any], x: float) -> Callable[[Any], Any]:
    r"""Tangent of a function of one variable at the point `x`, as a function.

    $$\ell(u) = f'(x)\, u + \bigl(f(x) - f'(x)\, x\bigr)$$

    Parameters
    ----------
    f : callable
        Takes and returns a number.
    x : float
        Where the line touches.

    Returns
    -------
    callable
        The line. Its intercept is its value at 0.

    References
    ----------
    [numerical_diff][nnfunc.gradient.numerical_diff] gives the slope.

    Examples
    --------
    >>> import nnfunc as nn
    >>> line = nn.tangent_line(lambda x: x**2, 3.0)
    >>> print(round(line(0.0), 6), round(line(3.0), 6))
    -9.0 9.0
    """
    slope = numerical_diff(f, x)
    intercept = f(x) - slope * x
    return lambda u: slope * u + intercept


def numerical_gradient(f: Callable[[Any], Any], x: Point, h: float = 1e-4) -> Point:
    r"""Gradient of a function of many variables, one central difference for each of them.

    $$\frac{\partial f}{\partial x_i} \approx \frac{f(x + h e_i) - f(x - h e_i)}{2h}$$

    The points are made in a private float64 copy, which `f` sees read-only: `x` stays as it was,
    ints lose nothing, and an `f` that writes into its argument is stopped.

    Parameters
    ----------
    f : callable
        Takes `x` (or the dict) and returns one number. It is called twice for each number in `x`.
    x : array_like or dict of arrays
        Where to take the gradient.
    h : float
        The step.

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
    >>> params = {"w": [3.0, 4.0], "b": 2.0}
    >>> grads = nn.numerical_gradient(lambda p: (p["w"] ** 2).sum() * p["b"], params)
    >>> print(grads["w"].round(6), grads["b"].round(6))
    [12. 16.] 25.0
    """
    if not isinstance(x, dict):
        return numerical_gradient(lambda point: f(point["x"]), {"x": x}, h)["x"]
    arrays = {name: np.array(a, dtype=np.float64) for name, a in x.items()}
    seen = {name: _read_only(a) for name, a in arrays.items()}
    return {name: _differences(f, seen, a, h) for name, a in arrays.items()}


def _read_only(a: Array) -> Array:
    view = a.view()
    view.flags.writeable = False
    return view


def _differences(f: Callable[[Any], Any], seen: dict[str, Array], a: Array, h: float) -> Array:
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
        raise ValueError(
            f"numerical_gradient: f returned an array of shape {np.shape(value)}, wanted one number; "
            "for one gradient a row, call it for each row"
        )
    return value


def gradient_path(f: Callable[[Any], Any], x0: ArrayLike, lr: float = 0.01, step_num: int = 100) -> Array:
    r"""Every point of gradient descent, the start included.

    $$x_{k+1} = x_k - \eta\, \nabla f(x_k)$$

    Parameters
    ----------
    f : callable
        Takes an array and returns one number.
    x0 : array_like
        The start.
    lr : float
        The learning rate $\eta$ (eta).
    step_num : int
        How many steps.

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
    path = [np.array(x0, dtype=np.float64)]
    for _ in range(step_num):
        path.append(path[-1] - lr * numerical_gradient(f, path[-1]))
    return np.stack(path)


def gradient_descent(f: Callable[[Any], Any], x0: ArrayLike, lr: float = 0.01, step_num: int = 100) -> Array:
    r"""Walk downhill: follow the negative gradient, and return where the walk ends.

    $$x_{k+1} = x_k - \eta\, \nabla f(x_k)$$

    Parameters
    ----------
    f : callable
        Takes an array and returns one number.
    x0 : array_like
        The start; it is not written to.
    lr : float
        The learning rate $\eta$ (eta).
    step_num : int
        How many steps.

    Returns
    -------
    array
        The last point, float64, in the shape of `x0`.

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
    >>> print(nn.gradient_descent(lambda x: (x**2).sum(), [-3.0, 4.0], lr=0.1))
    [-6.11110793e-10  8.14814391e-10]
    """
    return gradient_path(f, x0, lr, step_num)[-1]


def check_gradients(
    f: Callable[[dict[str, Array]], Any], params: dict[str, ArrayLike], grads: dict[str, Array]
) -> dict[str, float]:
    r"""How far gradients are from central differences: the mean absolute difference of each array.

    $$\frac1n \sum_i \left| g_i - \frac{f(x + h e_i) - f(x - h e_i)}{2h} \right|$$

    Parameters
    ----------
    f : callable
        Takes `params` and returns the loss, one number.
    params : dict of arrays
        Where the gradients were taken.
    grads : dict of arrays
        The gradients under test, keyed like `params`.

    Returns
    -------
    dict of float
        Keyed like `params`. In float64 a right gradient of a loss near one comes out below 1e-9,
        a wrong one somewhere near the size of the gradient itself.

    Raises
    ------
    ValueError
        If keys or shapes differ.

    References
    ----------
    Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    section 4.1.

    Examples
    --------
    >>> import nnfunc as nn
    >>> params = {"w": [3.0, 4.0]}
    >>> loss = lambda p: (p["w"] ** 2).sum()
    >>> nn.check_gradients(loss, params, {"w": [6.0, 8.0]})["w"] < 1e-9
    True
    >>> print(round(nn.check_gradients(loss, params, {"w": [6.0, 9.0]})["w"], 6))
    0.5
    """
    if params.keys() != grads.keys():
        raise ValueError(f"check_gradients: params has {sorted(params)}, grads has {sorted(grads)}")
    for name in params:
        if np.shape(params[name]) != np.shape(grads[name]):
            raise ValueError(
                f"check_gradients: {name} has shape {np.shape(params[name])}, its gradient {np.shape(grads[name])}"
            )
    numerical = numerical_gradient(f, params)
    return {name: float(np.mean(abs(numerical[name] - np.asarray(grads[name])))) for name in params}


def check_vjp(
    op: Callable[..., tuple[Any, Callable]], args: Sequence[Any], seed: int = 0, rtol: float = 1e-6, h: float = 1e-4
) -> tuple[float, ...]:
    r"""Check an op's pullback, the vector-Jacobian product, against central differences.

    For each argument a random direction v and a random w in the shape of the output must give one
    number by two ways:

    $$\langle w,\; \tfrac{1}{2h} \bigl( y(x + h v) - y(x - h v) \bigr) \rangle
    = \langle \mathrm{pullback}(w),\; v \rangle$$

    Parameters
    ----------
    op : callable
        ``op(*args)`` gives ``(y, pullback)``, and ``pullback(dy)`` gives one gradient for each of
        the first args (for a loss: of the scores, not of the labels).
    args : sequence
        Float arrays first, then what has no gradient.
    seed : int
        Chooses v and w.
    rtol : float
        The largest relative difference that passes.
    h : float
        The step.

    Returns
    -------
    tuple of float
        For each gradient the relative difference of the two numbers.

    Raises
    ------
    ValueError
        If a gradient is wrong, or has another shape than its argument.

    References
    ----------
    A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, 2008, section 3.2.

    Examples
    --------
    >>> import nnfunc as nn
    >>> import numpy as np
    >>> x = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> print(max(nn.check_vjp(nn.ops.mul, (x, x + 1))) < 1e-6)
    True
    >>> wrong = lambda x: (x**2, lambda dy: (dy * x,))
    >>> nn.check_vjp(wrong, (x,))
    Traceback (most recent call last):
      ...
    ValueError: check_vjp: gradient 0 of <lambda> is wrong: 1.83612 by its pullback, 3.67223 by differences
    """
    # A stream of its own: default_rng(seed) may well have drawn the arguments, and then w is one of them.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    args = [np.array(a, dtype=np.float64) if np.asarray(a).dtype.kind == "f" else a for a in args]
    name = getattr(op, "__name__", repr(op))
    y, pullback = op(*args)
    w = rng.standard_normal(np.shape(y))
    differences = []
    for k, dx in enumerate(pullback(w)):
        if np.shape(dx) != np.shape(args[k]):
            raise ValueError(
                f"check_vjp: gradient {k} of {name} has shape {np.shape(dx)}, its argument {np.shape(args[k])}"
            )
        v = rng.standard_normal(np.shape(dx))
        plus, minus = (op(*args[:k], args[k] + step * v, *args[k + 1 :])[0] for step in (h, -h))
        numerical, exact = np.sum(w * (plus - minus)) / (2 * h), np.sum(dx * v)
        rounding = 10 * np.finfo(np.float64).eps * np.sum(abs(w * y)) / h
        apart, size = abs(numerical - exact), max(abs(numerical), abs(exact))
        if not apart <= rtol * size + rounding:
            raise ValueError(
                f"check_vjp: gradient {k} of {name} is wrong: "
                f"{exact:.6g} by its pullback, {numerical:.6g} by differences"
            )
        differences.append(float(apart / size) if size else 0.0)
    return tuple(differences)
