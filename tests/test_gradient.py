"""Differences: the slopes and descents that the sources print, and whether the two checkers can see a mistake."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn


def function_1(x):
    return 0.01 * x**2 + 0.1 * x


def function_2(x):
    return (x**2).sum()


# The numbers of the sources


@pytest.mark.rows("S0-01", "S0-04", "S0-06")
@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (function_1, 5, 0.1999999999990898),
        (function_1, 10, 0.2999999999986347),
        (lambda x0: x0 * x0 + 4.0**2.0, 3.0, 6.00000000000378),
        (lambda x1: 3.0**2.0 + x1 * x1, 4.0, 7.999999999999119),
    ],
)
def test_numerical_diff_to_the_last_bit(f, x, slope):
    assert nn.numerical_diff(f, x) == slope


@pytest.mark.rows("S0-03")
@pytest.mark.traps("T33")
def test_numerical_diff_is_the_central_difference_of_the_given_step():
    f = lambda x: x**3
    for h in (1.0, 0.5, 0.125):
        assert_allclose(nn.numerical_diff(f, 2.0, h), 12 + h**2, rtol=1e-15)  # exact for a cubic: f' + h**2
    assert_array_equal(nn.numerical_diff(f, [[0, 1]], 1), [[1.0, 4.0]])
    errors = [abs(nn.numerical_diff(np.exp, 0.0, h) - 1) for h in (1e-1, 1e-4, 1e-12)]
    assert errors[1] < 1e-8 < errors[2] < errors[0]


@pytest.mark.rows("S3-21")
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.sin, np.cos),
        (lambda x: x**2 / 100 + x / 10, lambda x: x / 50 + 1 / 10),
        (nn.sigmoid, lambda x: nn.sigmoid(x) * (1 - nn.sigmoid(x))),
    ],
)
def test_slopes_that_algebra_gives(f, slope):
    x = np.linspace(-3, 3, 13)
    assert_allclose(nn.numerical_diff(f, x), slope(x), atol=1e-8)


@pytest.mark.parametrize("x", [[1.0, 2.0], [[1.0], [2.0]], [1.0]])
def test_a_function_of_many_variables_has_no_one_slope(x):
    with pytest.raises(ValueError, match=rf"^numerical_diff: f returned shape .., wanted .*{len(x)}.*; or"):
        nn.numerical_diff(function_2, x)
    assert_allclose(nn.numerical_diff(lambda u: np.stack([np.cos(u), np.sin(u)]), 0.0), [0, 1], atol=1e-8)  # a curve


@pytest.mark.rows("S3-19")
@pytest.mark.parametrize(("x", "slope", "intercept"), [(5, 0.2, -0.25), (10, 0.3, -1.0)])
def test_tangent_line(x, slope, intercept):
    line = nn.tangent_line(function_1, x)
    assert_allclose(line(0.0), intercept, rtol=1e-10)
    assert_allclose(line(1.0) - line(0.0), slope, rtol=1e-10)
    assert_allclose(line(x), function_1(x), rtol=1e-14)
    assert_allclose(line(np.array([0.0, 1.0])), [intercept, slope + intercept], rtol=1e-10)


@pytest.mark.rows("S0-05", "S0-07", "S2-02", "S4-07")
@pytest.mark.parametrize(
    ("x", "gradient"),
    [
        ([3.0, 4.0], [6.00000000000378, 7.999999999999119]),
        ([0.0, 2.0], [0.0, 4.000000000004]),
        ([3.0, 0.0], [6.000000000012662, 0.0]),
    ],
)
def test_numerical_gradient_to_the_last_bit(x, gradient):
    assert_array_equal(nn.numerical_gradient(function_2, np.array(x)), gradient)


@pytest.mark.rows("S4-06", "S4-09")
@pytest.mark.traps("T10")
def test_a_gradient_for_each_row():
    x = np.array([[3.0, 4.0], [4.0, 5.0], [6.0, 7.0], [1.0, 4.0]])
    expected = [[6, 8], [8, 10], [12, 14], [2, 8]]
    assert_allclose([nn.numerical_gradient(function_2, row) for row in x], expected, rtol=1e-10)
    assert_allclose(nn.numerical_gradient(function_2, x), expected, rtol=1e-9)  # a scalar loss of all the rows
    values = [2 * nn.sum_squared_error(row, [0, 0]) for row in [[3, 4], [4, 5], [6, 7], [7, 6]]]
    assert_allclose(values, [25, 41, 85, 85])


@pytest.mark.rows("S3-22")
@pytest.mark.traps("T13")
def test_gradient_field_of_the_quiver():
    grid = np.arange(-2, 2.5, 0.25)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert len(points) == 324
    field = np.array([nn.numerical_gradient(function_2, p) for p in points])
    assert abs(field - 2 * points).max() < 1e-9
    product = np.array([nn.numerical_gradient(np.prod, p) for p in points])
    assert_allclose(product, points[:, ::-1], atol=1e-9)


@pytest.mark.rows("S0-08", "S0-09", "S0-10", "S2-04", "S2-05")
@pytest.mark.traps("T06", "T35")
@pytest.mark.parametrize(
    ("lr", "end", "rtol"),
    [
        (0.1, [-6.11110793e-10, 8.14814391e-10], 2e-9),
        (10.0, [-2.58983747e13, -1.29524862e12], 5e-9),
        (10e-10, [-2.9999994, 3.9999992], 1e-12),
        (1e-10, [-2.99999994, 3.99999992], 1e-12),
    ],
)
def test_gradient_descent_for_three_learning_rates(lr, end, rtol):
    assert_allclose(nn.gradient_descent(function_2, [-3.0, 4.0], lr=lr, step_num=100), end, rtol=rtol)


@pytest.mark.rows("S0-09")
@pytest.mark.traps("T06")
def test_divergence_ends_where_the_step_is_lost_in_rounding():
    path = nn.gradient_path(function_2, [-3.0, 4.0], lr=10.0)
    assert_allclose(path[1:3], [[57, -76], [-1083, 1444]], rtol=1e-9)
    assert (path[10:] == path[10]).all()
    assert (path[9] != path[10]).any()


@pytest.mark.rows("S3-24")
@pytest.mark.traps("T14")
def test_descent_path():
    start = np.array([-3.0, 4.0])
    path = nn.gradient_path(function_2, start, lr=0.1, step_num=20)
    assert path.shape == (21, 2)
    assert_array_equal(path[0], start)
    assert_allclose(path[[1, -2, -1]], [[-2.4, 3.2], [-0.04323456, 0.05764608], [-0.03458765, 0.04611686]], rtol=2e-7)
    assert_array_equal(nn.gradient_descent(function_2, start, lr=0.1, step_num=20), path[-1])
    assert_array_equal(start, [-3, 4])


@pytest.mark.traps("T21")
def test_every_step_goes_down():
    path = nn.gradient_path(function_2, [-3.0, 4.0], lr=0.1, step_num=20)
    assert (np.diff([function_2(x) for x in path]) < 0).all()


SIMPLE_W = np.array([[1.32466528, -0.60007556, -0.60386757], [0.70541027, -0.61224961, 0.61487819]])
SIMPLE_X = np.array([0.6, 0.9])


@pytest.mark.rows("S0-11", "S0-12", "S0-13", "S0-14", "S0-15")
def test_simple_net():
    def loss(W):
        return nn.cross_entropy_error(nn.softmax(SIMPLE_X @ W), [0, 0, 1])

    scores, _ = nn.ops.affine(SIMPLE_X, SIMPLE_W, np.zeros(3))
    assert_allclose(scores, [1.42966841, -0.91106999, 0.19106983], atol=1e-8)
    assert_allclose(loss(SIMPLE_W), 1.5650536149292247, atol=1e-8)
    dW = nn.numerical_gradient(loss, SIMPLE_W)
    printed = [[0.43288568, 0.04166808, -0.47455375], [0.64932851, 0.06250211, -0.71183063]]
    assert_allclose(dW, printed, atol=1.5e-8)


@pytest.mark.rows("S0-15", "S2-09", "S3-25")
@pytest.mark.parametrize(
    ("W", "expected"),
    [
        (SIMPLE_W, [[0.43288588, 0.0416681, -0.47455398]]),
        # Any W that gives the second source's y has its gradient: here W = x^T log(y) / (x x^T).
        (
            np.outer(SIMPLE_X, np.log([0.35458482, 0.33156277, 0.31385241])) / (SIMPLE_X @ SIMPLE_X),
            [[0.21275089, 0.19893766, -0.41168855], [0.31912634, 0.29840649, -0.61753283]],
        ),
        (np.random.default_rng(0).random((2, 3)), None),
    ],
)
def test_simple_net_gradient_without_epsilon(W, expected):
    params = {"W1": W, "b1": np.zeros(3)}
    grad = nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    _, grads, _ = grad(params, SIMPLE_X[None], np.array([2]))
    if expected is not None:
        assert_allclose(grads["W1"][: len(expected)], expected, atol=2e-8)
    assert_allclose(grads["W1"].sum(axis=1), 0, atol=1e-15)
    assert_allclose(grads["W1"][1], 1.5 * grads["W1"][0], rtol=1e-14)


@pytest.mark.rows("S3-15", "S4-05")
def test_accuracy_has_no_slope(rng):
    x, t, W = rng.standard_normal((20, 4)), rng.integers(3, size=20), rng.standard_normal((4, 3))
    accuracy = lambda W: nn.accuracy(x @ W, t)
    assert 0 < accuracy(W) < 1
    assert_array_equal(nn.numerical_gradient(accuracy, W), np.zeros((4, 3)))
    assert abs(nn.numerical_gradient(lambda W: nn.cross_entropy_error(nn.softmax(x @ W), t), W)).max() > 0.1


NO_STEP = [0, -1e-4, np.nan, np.inf, "1e-4", True, None, [1e-4]]


@pytest.mark.parametrize("h", NO_STEP, ids=repr)
@pytest.mark.parametrize("f", [nn.numerical_diff, nn.numerical_gradient])
def test_a_step_is_a_number_above_zero(f, h):
    with pytest.raises(ValueError, match=rf"^{f.__name__}: h is .*, wanted a number in \(0, inf\)$"):
        f(np.sin, 1.0, h)


@pytest.mark.parametrize("walk", [nn.gradient_path, nn.gradient_descent])
def test_descent_has_a_rate_from_zero_up_and_a_whole_number_of_steps(walk):
    for lr in (-0.1, np.nan, np.inf, "0.1", None):
        with pytest.raises(ValueError, match=r"^gradient_path: lr is .*, wanted a number in \[0, inf\)$"):
            walk(function_2, [3.0], lr)
    for steps in (-1, 2.0, np.nan, True, "2", None):
        with pytest.raises(ValueError, match=r"^gradient_path: step_num is .*, wanted an int from 0 up$"):
            walk(function_2, [3.0], 0.1, steps)
    assert_array_equal(np.ravel(walk(function_2, [3.0], 0, np.int64(1)))[-1:], [3.0])
    assert_array_equal(np.ravel(walk(function_2, [3.0], step_num=0)), [3.0])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(
    ("f", "name"), [(nn.numerical_diff, "x"), (nn.numerical_gradient, "x"), (nn.gradient_path, "x0")]
)
def test_a_mask_is_refused_and_a_matrix_is_an_array(f, name):
    with pytest.raises(ValueError, match=rf"^\w+: {name} is a masked array"):
        f(lambda x: np.sum(x), np.ma.array([1.0, 2.0], mask=[True, False]))
    squares = (lambda x: x * x) if f is nn.numerical_diff else function_2
    assert_allclose(f(squares, np.matrix([[1.0, 2.0]]))[-1], f(squares, [[1.0, 2.0]])[-1])


# What goes in stays as it was


@pytest.mark.traps("T02", "T11")
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16, np.float32, np.float64])
def test_the_gradient_is_float64_whatever_comes(dtype):
    x = np.array([3, 4], dtype)
    grad = nn.numerical_gradient(function_2, x)
    assert_allclose(grad, [6, 8], rtol=1e-11)
    assert grad.dtype == np.float64
    assert_array_equal(x, np.array([3, 4], dtype), strict=True)
    assert nn.gradient_descent(function_2, x, lr=0.25, step_num=1) == pytest.approx([1.5, 2.0])


@pytest.mark.traps("T11")
def test_every_other_variable_stands_still_while_one_moves():
    seen = []
    nn.numerical_gradient(lambda x: seen.append(x.copy()) or 0.0, [3.0, 4.0], h=0.5)
    assert_array_equal(seen, [[3.5, 4], [2.5, 4], [3, 4.5], [3, 3.5]])
    assert_allclose(nn.numerical_gradient(lambda x: x[0] * x[1] ** 2, [3.0, 4.0]), [16, 24], rtol=1e-10)


def test_a_dict_of_arrays_gives_a_dict_in_its_order():
    params = {"b": np.float32(2.0), "W": np.array([[1, 2]]), "empty": np.zeros((0, 3))}
    grads = nn.numerical_gradient(lambda p: p["b"] ** 2 * p["W"].sum() + p["empty"].sum(), params)
    assert list(grads) == ["b", "W", "empty"]
    assert {name: g.shape for name, g in grads.items()} == {"b": (), "W": (1, 2), "empty": (0, 3)}
    assert_allclose(grads["b"], 12)
    assert_allclose(grads["W"], [[4, 4]])


# Can the checkers see a mistake?


@pytest.mark.rows("S3-31", "S3-32")
@pytest.mark.traps("T05", "T15")
def test_gradient_check_of_the_sources(mnist):
    (x, t), _ = mnist
    x, t = x[:3].astype(np.float64), t[:3]
    params = nn.init_mlp(0, (784, 50, 10), scale=0.01, dtype=np.float64)
    net = nn.mlp(nn.layers.relu)
    _, grads, _ = nn.value_and_grad(net, nn.ops.softmax_cross_entropy)(params, x, t)
    exact = lambda p: nn.ops.softmax_cross_entropy(net(p, x)[0], t)[0]
    with_epsilon = lambda p: nn.cross_entropy_error(nn.softmax(net(p, x)[0]), t)

    differences = nn.check_gradients(exact, params, grads)
    assert differences.keys() == params.keys()
    assert max(differences.values()) < 1e-9
    # The epsilon in the logarithm makes the check far worse, in every array but most in W2.
    few = {"b1", "W2", "b2"}
    blurred = nn.check_gradients(
        lambda p: with_epsilon(params | p), {n: params[n] for n in few}, {n: grads[n] for n in few}
    )
    assert all(blurred[name] > 10 * differences[name] for name in few)
    assert blurred["W2"] > 1000 * differences["W2"]


def test_check_gradients_sees_mistakes(rng):
    params = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}
    loss = lambda p: (p["W"] ** 2).sum() + (p["W"].sum(axis=0) * p["b"]).sum()
    right = {"W": 2 * params["W"] + params["b"], "b": params["W"].sum(axis=0)}
    assert max(nn.check_gradients(loss, params, right).values()) < 1e-9
    wrong = nn.check_gradients(loss, params, right | {"b": right["b"] + [0.5, -0.5]})  # the errors must not cancel
    assert wrong["W"] < 1e-9
    assert_allclose(wrong["b"], 0.5, rtol=1e-8)
    nan = nn.check_gradients(loss, params, right | {"b": right["b"] * np.nan})
    assert not nan["b"] < 1e-9
    with pytest.raises(ValueError, match=r"^check_gradients: c has shape \(0,\); there is nothing"):
        nn.check_gradients(loss, params | {"c": []}, right | {"c": []})


def relu_network(x, t):
    params, net = nn.init_mlp(0, (2, 8, 3), dtype=np.float64), nn.mlp()
    grad = nn.value_and_grad(net, nn.ops.softmax_cross_entropy)
    return lambda p: grad(p, x, t)[0], params, grad(params, x, t)[1]


def test_check_gradients_tells_a_kink_from_a_mistake():
    x, t = nn.spiral(0)
    x, t = x[:5].astype(np.float64), t[:5]
    assert_array_equal(x[0], 0)  # where every relu of the first layer stands on its kink
    with pytest.raises(
        ValueError, match=r"^check_gradients: the gradient of b1\[\d\] is .*: perhaps a kink.*another point$"
    ):
        nn.check_gradients(*relu_network(x, t))
    loss, params, grads = relu_network(x + 0.1, t)
    assert max(nn.check_gradients(loss, params, grads).values()) < 1e-9
    assert nn.check_gradients(loss, params, grads | {"b1": 1.5 * grads["b1"]})["b1"] > 0.01
    blurred = nn.check_gradients(lambda p: np.float32(loss(p)), params, grads)  # what float32 rounds is no kink
    assert 1e-6 < blurred["W1"] < 1e-2


@pytest.mark.parametrize("power", [2, 4])
def test_a_bend_is_no_kink(power):
    loss = lambda p: (1e3 * p["w"] ** power).sum()
    apart = nn.check_gradients(loss, {"w": [0.0, 1.0]}, {"w": [0.0, 1e3 * power + 0.5]})
    assert_allclose(apart["w"], 0.25, rtol=1e-3)
    assert nn.check_gradients(loss, {"w": [0.0]}, {"w": [1e-12]})["w"] < 1e-9


def op(f, pullback):
    """An op of one argument from a function and the way back that it claims."""
    return lambda x: (f(x), lambda dy: (pullback(x, dy),))


def affine_with(pullback):
    return lambda x, W, b: (x @ W + b, lambda dy: pullback(x, W, dy))


SQUARE, BATCH = np.array([[1.0, -2.0, 0.5], [0.3, 1.5, 2.0], [-1.0, 0.7, 0.9]]), np.array([[0.2, 1.0, -0.5]] * 4)
WRONG = {
    "a factor of 2": (op(np.square, lambda x, dy: dy * x), (BATCH,)),
    "one per mille": (op(np.square, lambda x, dy: 2.002 * dy * x), (BATCH,)),
    "the sign": (op(np.cos, lambda x, dy: dy * np.sin(x)), (BATCH,)),
    "one entry": (op(np.square, lambda x, dy: 2 * dy * x + np.eye(4, 3) * 1e-3), (BATCH,)),
    "dy left out": (op(np.exp, lambda x, dy: np.exp(x)), (BATCH,)),
    "zero for what is small": (op(lambda x: 1e-7 * x**2, lambda x, dy: 0 * x), (BATCH,)),
    "not a number": (op(np.square, lambda x, dy: np.nan * x), (BATCH,)),
    "another shape": (op(np.square, lambda x, dy: (2 * dy * x)[:1]), (BATCH,)),
    "W not transposed": (affine_with(lambda x, W, dy: (dy @ W, x.T @ dy, dy.sum(0))), (BATCH, SQUARE, SQUARE[0])),
    "dW transposed": (affine_with(lambda x, W, dy: (dy @ W.T, dy.T @ x, dy.sum(0))), (BATCH, SQUARE, SQUARE[0])),
    "db of one sample": (affine_with(lambda x, W, dy: (dy @ W.T, x.T @ dy, dy[0])), (BATCH, SQUARE, SQUARE[0])),
    "db not summed": (affine_with(lambda x, W, dy: (dy @ W.T, x.T @ dy, dy)), (BATCH, SQUARE, SQUARE[0])),
    "db a mean": (affine_with(lambda x, W, dy: (dy @ W.T, x.T @ dy, dy.mean(0))), (BATCH, SQUARE, SQUARE[0])),
    "softmax by its diagonal alone": (
        op(nn.softmax, lambda x, dy: dy * nn.softmax(x) * (1 - nn.softmax(x))),
        (SQUARE,),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_check_vjp_sees(mistake):
    wrong, args = WRONG[mistake]
    for seed in range(3):
        with pytest.raises(ValueError, match="check_vjp: gradient"):
            nn.check_vjp(wrong, args, seed)


LEFT_OUT = {
    "all": (lambda x, W: (x @ W, lambda dy: ()), "the pullback of <lambda> returned a tuple of 0, wanted"),
    "all, by None": (lambda x, W: (x @ W, lambda dy: (None, None)), "the pullback of <lambda> returned a tuple"),
    "the last": (lambda x, W: (x @ W, lambda dy: (dy @ W.T,)), "gradient 1 of <lambda> is None, wanted an array"),
    "the first": (lambda x, W: (x @ W, lambda dy: (None, x.T @ dy)), "gradient 0 of <lambda> is None, wanted an"),
    "of a loss": (
        lambda y, t: (np.sum(y - t), lambda dloss=1.0: (None, np.full(t.shape, -dloss))),
        "gradient 0 of <lambda> is None",
    ),
    "one too many": (lambda x, W: (x @ W, lambda dy: (dy @ W.T, x.T @ dy, dy)), "the pullback of <lambda> returned"),
    "the tuple": (lambda x, W: (x @ W, lambda dy: dy @ W.T), "the pullback of <lambda> returned an array of shape"),
    "the pullback": (lambda x, W: x @ W, "<lambda>: returned an array of shape (4, 3), wanted (y, pullback)"),
}


@pytest.mark.parametrize("left", LEFT_OUT)
def test_check_vjp_misses_what_is_left_out(left):
    op, message = LEFT_OUT[left]
    with pytest.raises(ValueError, match=f"^check_vjp: {re.escape(message)}"):
        nn.check_vjp(op, (BATCH, BATCH if left == "of a loss" else SQUARE))


def test_of_numbers_alone_each_has_a_gradient_and_behind_arrays_they_are_settings():
    half = lambda x, y: (x * y, lambda dz: (dz * y,))
    with pytest.raises(ValueError, match="gradient 1 of <lambda> is None"):
        nn.check_vjp(half, (100.0, 1.1))
    assert len(nn.check_vjp(half, (BATCH, 1.1))) == 1
    assert len(nn.check_vjp(nn.ops.dropout, (BATCH, 0.5, (0, 1)))) == 1
    assert len(nn.check_vjp(nn.ops.sum_squared_error, (BATCH, BATCH + 1))) == 1, "the targets of a loss"
    scaled = lambda x, a: (x * a, lambda dy: (dy * a, np.sum(dy * x)))
    assert len(nn.check_vjp(scaled, (BATCH, 1.1))) == 2


def embedding(ids, E):
    def pullback(dy):
        dE = np.zeros_like(E)
        np.add.at(dE, ids, dy)
        return None, dE

    return E[ids], pullback


@pytest.mark.parametrize("ids", [[2, 0, 2], np.array([[1, 1], [0, 2]])])
def test_what_holds_no_floats_has_no_gradient(ids):
    (far,) = nn.check_vjp(embedding, (ids, SQUARE))
    assert far < 1e-9
    doubled = lambda ids, E: (E[ids], lambda dy: (None, 2 * embedding(ids, E)[1](dy)[1]))
    with pytest.raises(ValueError, match="gradient 1 of <lambda> is wrong"):
        nn.check_vjp(doubled, (ids, SQUARE))
    bare = lambda ids, E: (E[ids], lambda dy: embedding(ids, E)[1](dy)[1:])
    with pytest.raises(ValueError, match=r"gradient 0 of <lambda> is an array of shape .3, 3., wanted a"):
        nn.check_vjp(bare, (ids, SQUARE))
    assert max(nn.check_vjp(nn.ops.mul, ([1, 2], [3, 4]))) < 1e-9, "whole numbers with a gradient count as floats"


def test_arrays_in_a_tuple_are_checked_one_by_one():
    together = lambda xs: (xs[0] * xs[1], lambda dy: ((dy * xs[1], dy * xs[0]),))
    with pytest.raises(ValueError, match=r"^check_vjp: argument 0 is no array"):
        nn.check_vjp(together, ((BATCH, SQUARE),))

    def apart(x, y):
        z, pullback = together((x, y))
        return z, lambda dz: pullback(dz)[0]

    assert max(nn.check_vjp(apart, (BATCH, BATCH + 1))) < 1e-6


def writes_x(x):
    np.multiply(x, 2, out=x)
    return x, lambda dy: (2 * dy,)


def writes_dy(x):
    def pullback(dy):
        dy *= 2
        return (dy,)

    return 2 * x, pullback


def writes_ids(ids, E):
    ids[0] = 0
    return embedding(ids, E)


@pytest.mark.parametrize("op", [writes_x, writes_dy, writes_ids])
def test_check_vjp_refuses_an_op_that_writes_into_what_it_is_given(op):
    args = (np.array([2, 0, 2]), SQUARE.copy()) if op is writes_ids else (SQUARE.copy(),)
    with pytest.raises(ValueError, match="read-only"):
        nn.check_vjp(op, args)
    assert_array_equal(args[-1], SQUARE)


def test_check_vjp_passes_on_what_an_op_says():
    with pytest.raises(ValueError, match=r"^affine: x"):
        nn.check_vjp(nn.ops.affine, (BATCH, BATCH, SQUARE[0]))
    for args, message in [
        ((np.ma.array(SQUARE),), "argument 0 is a masked array"),
        (([[1.0], [2.0, 3.0]],), "argument 0 is no array"),
    ]:
        with pytest.raises(ValueError, match=f"^check_vjp: {message}"):
            nn.check_vjp(nn.ops.relu, args)


@pytest.mark.parametrize(
    ("setting", "values"),
    [("h", NO_STEP), ("rtol", [-1e-9, 1, np.nan, np.inf, "0"]), ("seed", [-1, 0.0, None, True, (0,)])],
)
def test_the_settings_of_check_vjp_have_bounds(setting, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^check_vjp: {setting} is .*, wanted a"):
            nn.check_vjp(nn.ops.relu, (BATCH,), **{setting: value})


HALF = op(np.square, lambda x, dy: dy * x)
BESIDE = {
    "a tiny step": (HALF, {"h": 1e-14}),
    "a tiny step, a small number": (op(lambda x: 1e-7 * x**2, lambda x, dy: 1e-7 * dy * x), {"h": 1e-14}),
    "a step that is lost": (HALF, {"h": 1e-30}),
    "a large constant": (op(lambda x: x**2 + 1e12, lambda x, dy: dy * x), {}),
    "one so large that no difference is left": (op(lambda x: x + 1e20, lambda x, dy: 0 * dy), {}),
    "float32": (op(lambda x: np.float32(x) ** 2, lambda x, dy: 2.002 * dy * x), {}),
    "not a number": (op(lambda x: x * np.nan, lambda x, dy: dy), {}),
    "infinite": (op(lambda x: np.full_like(x, np.inf), lambda x, dy: dy), {}),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("what", BESIDE)
def test_check_vjp_says_where_it_cannot_tell(what):
    blurred, settings = BESIDE[what]
    for seed in range(20):
        with pytest.raises(ValueError, match=r"^check_vjp: cannot tell whether gradient 0 of <lambda> is right: "):
            nn.check_vjp(blurred, (BATCH,), seed, **settings)


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("h", [1e-4, 1e-6])
def test_the_room_for_rounding_is_as_wide_as_rounding(constant, h):
    """A sum has no error but rounding: rightly let pass, at every seed; and a hundred times as much is seen."""
    shifted = lambda wrong: op(lambda x: constant + x, lambda x, dy: (1 + wrong) * dy)
    largest = max(nn.check_vjp(shifted(0.0), (BATCH,), seed, rtol=0.0)[0] for seed in range(200))
    assert largest > 0
    for seed in range(20):
        with pytest.raises(ValueError, match="gradient 0 of <lambda> is wrong"):
            nn.check_vjp(shifted(1000 * np.finfo(float).eps * (1 + constant) / h), (BATCH,), seed, rtol=0.0)


@pytest.mark.parametrize("rtol", [1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_relative_difference_that_passes_is_the_one_told(rtol, sign):
    off = lambda apart: op(lambda x: 2 * x, lambda x, dy: 2 * dy / (1 - apart if sign > 0 else 1 / (1 - apart)))
    (far,) = nn.check_vjp(off(0.99 * rtol), (BATCH,), rtol=rtol)
    assert_allclose(far, 0.99 * rtol, rtol=1e-4)
    with pytest.raises(ValueError, match="is wrong"):
        nn.check_vjp(off(1.01 * rtol), (BATCH,), rtol=rtol)


def test_no_slope_at_all_passes_beside_numbers_of_any_common_size():
    for constant in (0.0, 1e-9, 1.0, 1e3):
        flat = np.full_like(BATCH, constant)
        assert nn.check_vjp(lambda x, y=flat: (y, lambda dy: (0 * x,)), (BATCH,)) == (0.0,)


def test_a_slope_that_is_nothing_but_rounding_passes():
    """As that of a bias in front of batch normalisation, which takes it away again."""
    shifted = lambda b: ((BATCH + b) - (BATCH + b).mean(axis=0) + SQUARE[0], lambda dy: (0 * b,))
    for seed in range(20):
        assert len(nn.check_vjp(shifted, (SQUARE[1],), seed)) == 1


@pytest.mark.parametrize("x", [[0.0, 1.0, 2.0], [0.0, 0.0, -1.0]])
def test_a_kink_is_named_where_it_may_be_meant(x):
    message = "gradient 0 of relu is wrong: .* by differences; the slopes to its two sides are .*: perhaps a kink"
    with pytest.raises(ValueError, match=message):
        nn.check_vjp(nn.ops.relu, (np.array(x),))
    assert max(nn.check_vjp(nn.ops.relu, (np.array(x) + 0.1,))) < 1e-9


def test_a_mistake_is_no_kink():
    for wrong, args in WRONG.values():
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is looked at)
            nn.check_vjp(wrong, args)
        assert "kink" not in str(error.value)
    with pytest.raises(ValueError, match=r"by differences$"):
        nn.check_vjp(op(nn.relu, lambda x, dy: -dy), (np.zeros(1),))


@pytest.mark.traps("T17")
def test_check_vjp_sees_a_loss_that_ignores_the_gradient_handed_to_it():
    def deaf(z, t):
        loss, pullback = nn.ops.softmax_cross_entropy(z, t)
        return loss, lambda dloss: pullback(1.0)

    assert max(nn.check_vjp(nn.ops.softmax_cross_entropy, (SQUARE, [0, 2, 1]))) < 1e-6
    with pytest.raises(ValueError, match=r"check_vjp: gradient 0 of .*deaf is wrong"):
        nn.check_vjp(deaf, (SQUARE, [0, 2, 1]))


def test_check_vjp_tells_how_far_apart_the_two_are():
    almost = op(np.square, lambda x, dy: 2.002 * dy * x)
    assert_allclose(nn.check_vjp(almost, (BATCH,), rtol=1e-2), [0.001 / 1.001], rtol=1e-6)
    assert nn.check_vjp(op(np.zeros_like, lambda x, dy: 0 * x), (BATCH,)) == (0.0,)


@given(st.integers(0, 2**32), st.floats(1e-6, 1e6))
def test_check_vjp_lets_the_right_one_pass_at_every_scale(seed, scale):
    right = op(lambda x: scale * x**2, lambda x, dy: 2 * scale * dy * x)
    assert max(nn.check_vjp(right, (BATCH,), seed)) < 1e-6


def test_check_vjp_does_not_draw_what_its_caller_drew_from_the_same_seed():
    """Batch norm's gradient along its own input is next to nothing, so that w = x would find nothing but rounding."""
    drawn = []
    x = np.random.default_rng(0).standard_normal((5, 4))

    def op(x):
        return x, lambda w: (drawn.append(w) or w,)

    nn.check_vjp(op, [x])
    assert not np.allclose(drawn[0], x)


def test_a_mask_is_handed_to_an_op_as_it_is():
    def masked(x, mask):
        assert mask.dtype == bool
        return x * mask, lambda dy: (dy * mask, None)

    assert nn.check_vjp(masked, (np.ones(3), np.array([True, False, True])))[0] < 1e-6
