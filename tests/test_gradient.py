"""Differences: the slopes and descents that the sources print, and whether the two checkers can see a mistake."""

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
    assert_array_equal(nn.numerical_diff(f, np.array([[0.0, 1.0]]), 1.0), [[1.0, 4.0]])
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
