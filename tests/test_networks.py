"""Networks: the sources' forward passes, PyTorch's gradients, the fast numerical gradient against the slow one."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops
from nnfunc.layers import EVAL, Mode, affine, lift, serial

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracles" / "make_torch_fixtures.py"))
CASES = ORACLE["load"]("networks.npz")


# The numbers of the sources

THREE_LAYERS = {
    "W1": np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]),
    "b1": np.array([0.1, 0.2, 0.3]),
    "W2": np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]),
    "b2": np.array([0.1, 0.2]),
    "W3": np.array([[0.1, 0.3], [0.2, 0.4]]),
    "b3": np.array([0.1, 0.2]),
}


@pytest.mark.rows("S3-08")
def test_three_layers_forward():
    x = np.array([1.0, 0.5])
    assert_allclose(nn.predict(nn.mlp(layers.sigmoid), THREE_LAYERS, x), [0.31682708, 0.69627909], atol=5e-9)
    steps = [x]
    for layer in nn.mlp(layers.sigmoid).expand(THREE_LAYERS):
        steps.append(layer(THREE_LAYERS, steps[-1])[0])
    printed = [
        [0.3, 0.7, 1.1],
        [0.57444252, 0.66818777, 0.75026011],
        [0.51615984, 1.21402696],
        [0.62624937, 0.7710107],
        [0.31682708, 0.69627909],
    ]
    for step, expected in zip(steps[1:], printed, strict=True):
        assert_allclose(step, expected, atol=5e-9)


@pytest.mark.rows("S0-16", "S0-17", "S2-12", "S3-26", "S4-10", "S4-11", "S4-12")
def test_two_layer_net_of_the_sources(rng):
    params = nn.init_mlp(0, (784, 100, 10), scale=0.01)
    assert {name: p.shape for name, p in params.items()} == {
        "W1": (784, 100),
        "b1": (100,),
        "W2": (100, 10),
        "b2": (10,),
    }
    assert not params["b1"].any()
    assert not params["b2"].any()
    y = nn.softmax(nn.predict(nn.mlp(layers.sigmoid), params, rng.random((100, 784))))
    assert y.shape == (100, 10)
    assert_allclose(y.sum(axis=1), 1)


@pytest.mark.rows("S1-01", "S1-05")
def test_a_net_takes_one_point_or_many(rng):
    net, params = nn.mlp(layers.relu), nn.init_mlp(0, (2, 8, 2), scale=0.1, dtype=np.float64)
    points = rng.standard_normal((5, 2))
    assert_allclose([nn.predict(net, params, x) for x in points], nn.predict(net, params, points), rtol=1e-12)
    assert nn.count_params(params) == 42


# mlp


def test_mlp_goes_by_the_numbers_of_the_names_not_by_their_order(rng):
    params = nn.init_mlp(0, (3, *[4] * 10, 2), dtype=np.float64)
    x = rng.standard_normal((5, 3))
    alphabetic = dict(sorted(params.items()))
    assert list(alphabetic)[:3] == ["W1", "W10", "W11"]
    assert_array_equal(nn.predict(nn.mlp(), alphabetic, x), nn.predict(nn.mlp(), params, x))


def test_mlp_is_a_layer_like_another(rng):
    """It can stand in a chain, and has no activation after its last layer."""
    params, x = nn.init_mlp(0, (4, 5, 3)), rng.standard_normal((2, 2, 2))
    scores = nn.predict(serial(layers.flatten, nn.mlp()), params, x)
    h = np.maximum(x.reshape(2, 4) @ params["W1"], 0)
    assert_allclose(scores, h @ params["W2"], rtol=1e-12)
    assert [f.__name__ for f in nn.mlp(layers.tanh).expand(params)] == ["affine(W1, b1)", "tanh", "affine(W2, b2)"]
    assert [f.__name__ for f in nn.mlp().expand({"W1": 0, "b1": 0})] == ["affine(W1, b1)"]


# predict


@given(st.integers(0, 12), st.integers(1, 15))
def test_predict_in_batches_of_any_size(n, batch_size):
    params = nn.init_mlp(0, (3, 4, 2), dtype=np.float64)
    x = np.random.default_rng(n).standard_normal((n, 3))
    at_once = nn.predict(nn.mlp(), params, x)
    assert at_once.shape == (n, 2)
    in_parts = nn.predict(nn.mlp(), params, x, batch_size=batch_size)
    assert in_parts.dtype == at_once.dtype
    assert_allclose(in_parts, at_once, rtol=1e-13, atol=1e-15)


def test_predict_evaluates_keeps_nothing_and_sends_no_batch_larger_than_told():
    seen = []

    def net(params, x, mode=EVAL):
        seen.append((len(x), mode))
        return x + mode.stats["mean1"], None, {}

    stats = {"mean1": 5.0}
    assert_array_equal(nn.predict(net, {}, np.zeros((5, 1)), stats, batch_size=2), np.full((5, 1), 5.0))
    assert seen == [(n, Mode(stats, None, grad=False)) for n in (2, 2, 1)]


# value_and_grad


def assert_same_as_torch(case, found, dtype, tolerance):
    activation, loss = case.split()
    params = {name: a.astype(dtype) for name, a in found.items() if name[0] in "Wb"}
    net = nn.mlp(getattr(layers, activation))
    grad = nn.value_and_grad(net, getattr(ops, loss))
    value, grads, stats = grad(params, found["x"].astype(dtype), found["t"])
    assert stats == {}
    assert grads.keys() == params.keys()
    scores = nn.predict(net, params, found["x"].astype(dtype))
    for name, a in {"loss": value, "scores": scores, **{f"d{n}": g for n, g in grads.items()}}.items():
        assert a.dtype == dtype
        assert_allclose(a, found[name], rtol=tolerance, atol=tolerance * abs(found[name]).max(), err_msg=name)


@pytest.mark.rows("S3-26", "S3-31")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("case", CASES)
def test_against_the_stored_answers_of_torch(case, dtype, tolerance):
    assert_same_as_torch(case, CASES[case], dtype, tolerance)


def test_against_torch_itself():
    pytest.importorskip("torch", reason="PyTorch comes with the extra dev alone; its stored answers are tested above")
    for case, found in ORACLE["networks"](seed=0).items():
        for key, a in found.items():
            assert_allclose(CASES[case][key], a, rtol=1e-12, atol=1e-14, err_msg=f"the stored {case} {key}")
    for case, found in ORACLE["networks"](seed=1).items():
        assert_same_as_torch(case, found, np.float64, 1e-11)


def test_value_and_grad_asks_for_gradients_but_not_by_the_input():
    seen = []

    def net(params, x, mode=EVAL):
        seen.append(mode)
        return x * params["W1"], lambda dy: (None, {"W1": np.sum(dy * x)}), {"mean1": mode.stats["mean1"] + 1}

    grad = nn.value_and_grad(net, ops.sum_squared_error)
    mode = Mode({"mean1": 1.0}, (3, 4), grad=False)
    value, grads, stats = grad({"W1": np.array(2.0)}, np.array([1.0, 2.0]), np.array([0.0, 0.0]), mode)
    assert seen == [Mode({"mean1": 1.0}, (3, 4), grad=True, dx=False)]
    assert (value, grads["W1"], stats) == (10.0, 10.0, {"mean1": 2.0})


@pytest.mark.traps("T15", "T16")
def test_the_gradient_is_a_function_of_the_parameters_it_is_given(rng):
    x, t = rng.standard_normal((20, 4)), rng.integers(3, size=20)
    params = nn.init_mlp(0, (4, 6, 3), dtype=np.float64)
    grad, sgd = nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy), nn.sgd(0.5)
    first, opt = grad(params, x, t)[0], sgd.init(params)
    moved = params
    for _ in range(200):
        moved, opt = sgd.step(moved, grad(moved, x, t)[1], opt)
    assert grad(moved, x, t)[0] < first / 3
    assert grad(params, x, t)[0] == first


# numerical_value_and_grad


def squares(params, x, mode=EVAL):
    """Be a layer without .op and .names that uses a weight: a black box."""
    return x**2 * params["scale"], lambda dy: (2 * dy * x * params["scale"], {"scale": np.sum(dy * x**2)}), {}


def noisy(params, x, mode=EVAL):
    """Be a layer that chance decides, by the key."""
    mask = np.random.default_rng(mode.key).random(x.shape) if mode.key else 1
    return x * mask, lambda dy: (dy * mask, {}), {"mean": x.mean()}


TIED = lift(ops.affine, "W", "b")
SHARED_BIAS = serial(lift(ops.affine, "W1", "b"), layers.tanh, lift(ops.affine, "W2", "b"))
SMALL = {
    "sigmoid": (nn.mlp(layers.sigmoid), (3, 4, 2)),
    "relu": (nn.mlp(layers.relu), (3, 4, 2)),
    "tanh": (nn.mlp(layers.tanh), (3, 4, 2)),
    "one layer": (nn.mlp(), (3, 2)),
    "deep": (nn.mlp(layers.tanh), (3, 4, 5, 4, 3, 2)),
    "nested": (
        serial(serial(affine(1), layers.tanh), serial(serial(affine(2)), layers.sigmoid), affine(3)),
        (3, 4, 3, 2),
    ),
    "ends in softmax": (serial(nn.mlp(), layers.softmax), (3, 4, 2)),
    "chance": (serial(affine(1), noisy, layers.tanh, serial(noisy, affine(2))), (3, 4, 2)),
}
ODD = {
    "tied weights": (serial(TIED, layers.tanh, TIED, layers.sigmoid, TIED), {"W": (3, 3), "b": (3,)}),
    "shared bias": (SHARED_BIAS, {"W1": (3, 2), "W2": (2, 2), "b": (2,)}),
    "tied across a nest": (
        serial(TIED, serial(layers.tanh, TIED), affine(1)),
        {"W": (3, 3), "b": (3,), "W1": (3, 2), "b1": (2,)},
    ),
    "black box": (
        serial(affine(1), squares, affine(2)),
        {"W1": (3, 4), "b1": (4,), "scale": (), "W2": (4, 2), "b2": (2,)},
    ),
    "nothing but a black box": (squares, {"scale": ()}),
}


def small_net(name, rng):
    if name in ODD:
        net, shapes = ODD[name]
        return net, {n: rng.standard_normal(shape) for n, shape in shapes.items()}
    net, sizes = SMALL[name]
    return net, nn.init_mlp(int(rng.integers(99)), sizes, scale=0.7, dtype=np.float64)


@pytest.mark.parametrize("columns", ["random", "two of zeros", "one sample"])
@pytest.mark.parametrize("name", [*SMALL, *ODD])
def test_the_fast_numerical_gradient_is_the_slow_one(name, columns, rng):
    net, params = small_net(name, rng)
    x = rng.standard_normal((5, 3))
    x = {"random": x, "two of zeros": x * [0, 1, 0], "one sample": x[:1]}[columns]
    t = rng.standard_normal(net(params, x)[0].shape)
    mode = Mode(key=(1, 2)) if name == "chance" else EVAL
    value, grads, stats = nn.numerical_value_and_grad(net, ops.mean_squared_error)(params, x, t, mode)
    loss = lambda p: ops.mean_squared_error(net(p, x, mode)[0], t)[0]
    slow = nn.numerical_gradient(loss, params)
    exact_value, exact, exact_stats = nn.value_and_grad(net, ops.mean_squared_error)(params, x, t, mode)
    assert list(grads) == list(params)
    assert_allclose(value, exact_value, rtol=1e-15)
    assert stats == exact_stats
    for n in params:
        assert_allclose(grads[n], slow[n], rtol=0, atol=2e-11 * max(1, abs(slow[n]).max()), err_msg=n)
        assert_allclose(grads[n], exact[n], rtol=1e-6, atol=1e-7, err_msg=n)
        assert grads[n].shape == params[n].shape


@pytest.mark.rows("S0-18", "S2-13", "S4-13")
@pytest.mark.traps("T24")
def test_numerical_gradients_of_the_whole_net_of_the_sources():
    """Brute force, which would take minutes for all 79,510 of them, checks 50."""
    rng = np.random.default_rng(0)
    x, t = rng.random((100, 784)), rng.random((100, 10))
    params = nn.init_mlp(0, (784, 100, 10), scale=0.01, dtype=np.float64)
    net = nn.mlp(layers.sigmoid)
    numerical = nn.numerical_value_and_grad(net, ops.softmax_cross_entropy)
    with pytest.raises(ValueError, match="the rows of t sum to"):
        numerical(params, x, t)
    t = t / t.sum(axis=1, keepdims=True)
    _, grads, _ = numerical(params, x, t)
    assert [grads[name].shape for name in ("W1", "b1", "W2", "b2")] == [(784, 100), (100,), (100, 10), (10,)]
    loss = lambda p: ops.softmax_cross_entropy(net(p, x, Mode(grad=False))[0], t)[0]
    for name, k in {"W1": 20, "b1": 10, "W2": 10, "b2": 10}.items():
        for entry in rng.choice(params[name].size, k, replace=False):
            place = np.unravel_index(entry, params[name].shape)

            def along(v, name=name, place=place):
                p = params[name].copy()
                p[place] = v
                return loss(params | {name: p})

            assert abs(nn.numerical_diff(along, params[name][place]) - grads[name][place]) < 2e-11


def test_the_numerical_gradient_is_float64_and_leaves_the_parameters_alone(mnist):
    (x, t), _ = mnist
    x, t = x[:4, 300:340], t[:4]
    params = nn.init_mlp(0, (40, 3, 10))
    before = {name: p.copy() for name, p in params.items()}
    value, grads, _ = nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)(params, x, t)
    assert value.dtype == np.float64
    for name, p in params.items():
        assert grads[name].dtype == np.float64
        assert_array_equal(p, before[name], strict=True)
    _, exact, _ = nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy)(
        {name: p.astype(np.float64) for name, p in params.items()}, x.astype(np.float64), t
    )
    for name in params:
        assert_allclose(grads[name], exact[name], atol=1e-8)


@pytest.mark.rows("S1-06", "S1-08", "S1-09")
def test_xor_by_differences_as_far_apart_as_a_tenth():
    """The first 1,001 steps of the source with seed 0: its own random numbers, its step h, its epsilon."""
    legacy = np.random.RandomState(0)
    params = {"W1": 0.1 * legacy.randn(2, 8), "b1": np.zeros(8), "W2": 0.1 * legacy.randn(8, 2), "b2": np.zeros(2)}
    x, t = (a.astype(np.float64) if a.ndim == 2 else a for a in nn.xor())
    loss = lambda z, t: (nn.cross_entropy_error(nn.softmax(z), t), None)
    grad, sgd, losses = nn.numerical_value_and_grad(nn.mlp(), loss, h=0.1), nn.sgd(0.01), []
    opt = sgd.init(params)
    for _ in range(1002):
        value, grads, _ = grad(params, x, t)
        losses.append(value)
        params, opt = sgd.step(params, grads, opt)
    assert_allclose([losses[1], losses[1001]], [0.69458, 0.65322], atol=5e-6)


def test_lists_and_ints_do_for_data_and_parameters():
    params = {"W1": [[1, 2], [3, 4]], "b1": [0, 1]}
    arrays = {name: np.array(p, float) for name, p in params.items()}
    for make, tolerance in ((nn.value_and_grad, 1e-15), (nn.numerical_value_and_grad, 1e-8)):
        grad = make(nn.mlp(), ops.mean_squared_error)
        value, grads, _ = grad(params, [[1, 2]], [[0, 1]])
        expected, exact, _ = nn.value_and_grad(nn.mlp(), ops.mean_squared_error)(arrays, np.array([[1.0, 2]]), [[0, 1]])
        assert value == expected
        for name in arrays:
            assert_allclose(grads[name], exact[name], rtol=tolerance)


def test_the_step_of_the_differences_can_be_chosen():
    grad = nn.numerical_value_and_grad(squares, lambda y, t: (np.sum(y**3), None), h=0.5)
    _, grads, _ = grad({"scale": 2.0}, np.array([1.0]), None)
    assert_allclose(grads["scale"], (2.5**3 - 1.5**3) / 1)  # 12 + h**2
    rule = nn.numerical_value_and_grad(affine(1), lambda y, t: (np.sum(y**3), None), h=0.5)
    _, grads, _ = rule({"W1": np.array([[2.0]]), "b1": np.array([0.0])}, np.array([[1.0]]), None)
    assert_allclose([grads["W1"][0, 0], grads["b1"][0]], 12.25)
