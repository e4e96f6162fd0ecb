"""The checkers are checked: each op's gradient, spoiled in each of many ways, is refused; test_gradient.py has more."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import nnfunc as nn
from nnfunc import layers, ops

from . import calls
from .calls import OPS, PUBLIC


def without_the_largest(g):
    return np.where(abs(g) == abs(g).max(), 0, g)


MISTAKES = {
    "a factor 1.0001": lambda g: 1.0001 * g,
    "a factor 0.9999": lambda g: 0.9999 * g,
    "zero": lambda g: 0 * g,
    "the sign": lambda g: -g,
    "the largest entry left out": without_the_largest,
    "a constant added": lambda g: g + 1e-3 * abs(g).max(),
    "next to its place": lambda g: np.roll(g, 1),
    "back to front": lambda g: g[::-1],
    "transposed": lambda g: g.swapaxes(-1, -2).reshape(g.shape) if g.ndim > 1 else g[::-1],
    "not a number": lambda g: g * np.nan,
}
CASES = {f"{name}({case.names})": (PUBLIC[name], case) for name, cases in OPS.items() for case in cases}


def spoiled(op, k, mistake):
    """Return an op whose gradient number k is wrong."""

    def wrong(*args):
        y, pullback = op(*args)

        def back(dy=1.0):
            return tuple(mistake(g) if n == k else g for n, g in enumerate(pullback(dy)))

        return y, back

    return wrong


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_check_vjp_refuses_each_gradient_of_each_op_that_is_spoiled(name, seed):
    f, case = CASES[name]
    args, right = case.of(calls.given(N=5)), lambda *args: f(*args, **case.settings)
    gradients = len(nn.check_vjp(right, args, seed))
    assert gradients == len(args) - (right(*args)[0].shape == ()), "of a loss that by the scores alone"
    for k in range(gradients):
        for mistake in MISTAKES.values():
            with pytest.raises(ValueError, match=rf"^check_vjp: gradient {k} of wrong is wrong: [^;]*$"):
                nn.check_vjp(spoiled(right, k, mistake), args, seed)


# A term left out


def softmax_of_its_diagonal(x):
    y = nn.softmax(x)
    return y, lambda dy: (dy * y * (1 - y),)


def log_softmax_of_its_own_score(x):
    y = nn.log_softmax(x)
    return y, lambda dy: (dy - np.exp(y) * dy,)


def batch_norm_without(mean, spread):
    """Leave out what a sample does to the mean of the batch, or to its variance."""

    def op(x, gamma, beta):
        m, scale = x.mean(axis=0), 1 / np.sqrt(x.var(axis=0) + 1e-5)
        x_hat = (x - m) * scale

        def pullback(dy):
            dgamma, dbeta = (dy * x_hat).sum(axis=0), dy.sum(axis=0)
            by_mean, by_spread = dbeta / len(x) * mean, x_hat * dgamma / len(x) * spread
            return gamma * scale * (dy - by_mean - by_spread), dgamma, dbeta

        return gamma * x_hat + beta, pullback

    return op


def residual_without_its_skip(x):
    y = nn.tanh(x)
    return x + y, lambda dy: (dy * (1 - y * y),)


def tied_once(x, W):
    """A weight that is used twice gets two gradients."""
    h = np.tanh(x @ W)

    def pullback(dy):
        dh = (dy @ W.T) * (1 - h * h)
        return dh @ W.T, h.T @ dy

    return h @ W, pullback


def last_window_alone(x):
    """Of two windows that overlap on a pixel the second one overwrites what the first has given it."""

    def pullback(dy):
        dx = np.zeros_like(x)
        dx[:, :-1] = dy
        dx[:, 1:] = dy
        return (dx,)

    return x[:, :-1] + x[:, 1:], pullback


LEFT_OUT = {
    "softmax, the other classes": (softmax_of_its_diagonal, "x", 0),
    "log_softmax, the other classes": (log_softmax_of_its_own_score, "x", 0),
    "batch_norm, the mean": (batch_norm_without(0, 1), "x w b", 0),
    "batch_norm, the variance": (batch_norm_without(1, 0), "x w b", 0),
    "a residual, its skip": (residual_without_its_skip, "x", 0),
    "a shared weight, one use": (tied_once, "x W", 1),
    "windows that overlap": (last_window_alone, "x", 0),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_check_vjp_refuses_a_gradient_without_one_of_its_terms(name):
    wrong, names, k = LEFT_OUT[name]
    args = [getattr(calls.given(N=5), key) for key in names.split()]
    for seed in range(3):
        with pytest.raises(ValueError, match=rf"^check_vjp: gradient {k} of \w+ is wrong: [^;]*$"):
            nn.check_vjp(wrong, args, seed)
    assert len(nn.check_vjp(batch_norm_without(1, 1), [getattr(calls.given(N=5), key) for key in ("x", "w", "b")])) == 3


# However small, however large


@pytest.mark.parametrize("scale", [1e-290, 1e-200, 1e-100, 1e-30, 1e-12, 1e-6, 1.0, 1e6, 1e100])
def test_neither_zero_nor_nearly_right_passes_however_small_all_is(scale):
    x = calls.given().x
    for wrong in (0, 0.5, 1.0001):
        with pytest.raises(ValueError, match=r"^check_vjp: gradient 0 of <lambda> is wrong"):
            nn.check_vjp(lambda x, wrong=wrong: (scale * x**2, lambda dy: (wrong * 2 * scale * dy * x,)), (x,))
    (far,) = nn.check_vjp(lambda x: (scale * x**2, lambda dy: (2 * scale * dy * x,)), (x,))
    assert far < 1e-7


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_a_slope_that_rounding_covers_beside_a_constant_cannot_be_told(wrong):
    x = calls.given().x
    with pytest.raises(ValueError, match="cannot tell"):
        nn.check_vjp(lambda x: (1 + 1e-11 * x**2, lambda dy: (wrong * 2e-11 * dy * x,)), (x,))


# Right at one point


def remembered():
    """An op that keeps the slope of its first call."""
    slopes = []

    def cubed(x):
        slopes.append(3 * x**2)
        return x**3, lambda dy: (dy * slopes[0],)

    return cubed


def test_what_is_right_at_one_point_alone_is_refused_at_the_next():
    """At the first no check can know; that is why ops are looked at with random arguments, and more than once."""
    x, op = calls.given().x, remembered()
    assert nn.check_vjp(op, (x,))[0] < 1e-6
    with pytest.raises(ValueError, match=r"^check_vjp: gradient 0 of cubed is wrong"):
        nn.check_vjp(op, (x + 0.1,))
    loss = lambda p: (p["x"] ** 3).sum()
    grads = {"x": 3 * x**2}
    assert nn.check_gradients(loss, {"x": x}, grads)["x"] < 1e-7
    assert nn.check_gradients(loss, {"x": x + 0.1}, grads)["x"] > 0.1


# check_gradients


def network():
    i = calls.given(N=5)
    grad = nn.value_and_grad(nn.mlp(layers.tanh), ops.softmax_cross_entropy)
    return lambda p: grad(p, i.x, i.t)[0], i.params, grad(i.params, i.x, i.t)[1]


@pytest.mark.parametrize("scale", [1e-100, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_check_gradients_tells_each_array_that_is_spoiled_from_those_that_are_right(mistake, scale):
    loss, params, grads = network()
    scaled, right = lambda p: scale * loss(p), {name: scale * g for name, g in grads.items()}
    sizes = {name: abs(g).mean() for name, g in right.items()}
    for spoiled_name in params:
        given = right | {spoiled_name: MISTAKES[mistake](right[spoiled_name])}
        for name, far in nn.check_gradients(scaled, params, given).items():
            assert (far < 1e-7 * sizes[name]) == (name != spoiled_name)
            assert name != spoiled_name or not far < 5e-5 * sizes[name]


@pytest.mark.parametrize("name", ["W1", "b2"])
def test_check_gradients_refuses_a_gradient_that_is_missing_or_of_another_shape(name):
    loss, params, grads = network()
    with pytest.raises(ValueError, match=r"^check_gradients: params has .*, grads has"):
        nn.check_gradients(loss, params, {key: g for key, g in grads.items() if key != name})
    with pytest.raises(ValueError, match=rf"^check_gradients: {name} has shape"):
        nn.check_gradients(loss, params, grads | {name: grads[name][None]})


# Kinks

KINKS = {
    "relu": (ops.relu, [[0.0, 1.0]]),
    "the largest of equals": (lambda x: ops.max_pool2d(x, 2), np.zeros((1, 1, 2, 2))),
    "an absolute value": (lambda x: (abs(x), lambda dy: (dy * np.where(x < 0, -1, 1),)), [[0.0, -1.0]]),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("seed", range(3))
def test_a_kink_is_told_as_such_and_what_lies_beyond_both_slopes_is_none(name, seed):
    op, x = KINKS[name]
    with pytest.raises(ValueError, match=r"is wrong: .*; the slopes to its two sides are .*: perhaps a kink"):
        nn.check_vjp(op, (x,), seed)
    far_off = spoiled(op, 0, lambda g: g + 100)
    with pytest.raises(ValueError, match=r"^check_vjp: gradient 0 of wrong is wrong: [^;]*$"):
        nn.check_vjp(far_off, (x,), seed)


@pytest.mark.parametrize("slope", [-0.2, 0.02, 0.98, 1.2])
def test_a_slope_at_a_kink_may_be_any_between_those_of_its_two_sides(slope):
    """Those of relu are 0 and 1."""
    op = lambda x: (nn.relu(x), lambda dy: (slope * dy,))
    for seed in range(5):
        with pytest.raises(ValueError, match=r"^check_vjp: gradient 0 of <lambda> is wrong") as error:
            nn.check_vjp(op, (np.zeros(1),), seed)
        assert ("perhaps a kink" in str(error.value)) == (0 < slope < 1)


def test_the_kink_of_one_weight_is_told_by_its_name_and_place():
    loss = lambda p: nn.relu(p["W"]).sum() + (p["b"] ** 2).sum()
    params = {"W": [[1.0, 2.0], [0.0, -1.0]], "b": [1.0]}
    right = {"W": [[1.0, 1.0], [0.0, 0.0]], "b": [2.0]}
    message = (
        r"^check_gradients: the gradient of W\[1, 0\] is 0; the slopes to its two sides are 0 and 1: perhaps a kink"
    )
    with pytest.raises(ValueError, match=message):
        nn.check_gradients(loss, params, right)
    beside = params | {"W": [[1.0, 2.0], [-0.1, -1.0]]}
    assert_allclose(nn.check_gradients(loss, beside, right)["W"], 0, atol=1e-9)


# Where rounding covers what is looked for


@pytest.mark.parametrize(("constant", "told"), [(1e4, True), (3e5, True), (1e9, False), (1e12, False)])
@pytest.mark.parametrize("wrong", [1.0, 0.5, 1.01])
def test_beside_a_constant_a_slope_is_told_until_rounding_is_a_thousandth_of_it(constant, told, wrong):
    x = calls.given().x
    op = lambda x: (constant + x**2, lambda dy: (wrong * 2 * dy * x,))
    for seed in range(10):
        if told and wrong == 1.0:
            assert nn.check_vjp(op, (x,), seed)[0] < 1e-3
            continue
        said = "gradient 0 of <lambda> is wrong" if told else "cannot tell whether gradient 0 of <lambda> is right"
        with pytest.raises(ValueError, match=f"^check_vjp: {said}"):
            nn.check_vjp(op, (x,), seed)
