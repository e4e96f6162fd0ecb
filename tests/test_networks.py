"""Networks: the sources' forward passes, PyTorch's gradients, the fast numerical gradient against the slow one."""

import re
import runpy
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
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
DEEP = ORACLE["load"]("deep.npz")


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


@pytest.mark.rows("S0-16", "S0-17", "S2-12", "S4-10", "S4-11", "S4-12")
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


@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.5]), st.booleans())
def test_mlp_reads_itself_off_its_parameters_in_any_order(random, rate, batch_norm):
    params = nn.init_mlp(0, (3, *[4] * 10, 2), batch_norm=batch_norm, dtype=np.float64)
    stats = nn.init_stats(params)
    params |= {name: p + 0.1 for name, p in params.items()}  # no two layers alike
    names = list(params)
    random.shuffle(names)
    shuffled, net = {name: params[name] for name in names}, nn.mlp(layers.tanh, rate)
    chain = []
    for i in range(1, 11):
        chain += [f"affine(W{i}, b{i})", *[f"batch_norm(gamma{i}, beta{i})"] * batch_norm, "tanh"]
        chain += ["dropout(0.5)"] * (rate > 0)
    assert [f.__name__ for f in net.expand(shuffled)] == [*chain, "affine(W11, b11)"]
    x = np.random.default_rng(0).standard_normal((5, 3))
    ours, theirs = (net(p, x, Mode(stats, key=(1, 2))) for p in (shuffled, params))
    assert_array_equal(ours[0], theirs[0])
    grads, expected = ours[1](ours[0])[1], theirs[1](ours[0])[1]
    assert grads.keys() == params.keys()
    for name in params:
        assert_array_equal(grads[name], expected[name])
    assert ours[2].keys() == stats.keys()


def test_mlp_drops_nothing_at_a_rate_of_zero_nor_in_evaluation(rng):
    params, x = nn.init_mlp(0, (3, 50, 2)), rng.standard_normal((4, 3))
    plain = nn.predict(nn.mlp(), params, x)
    assert_array_equal(nn.mlp()(params, x, Mode(key=(0, 0)))[0], plain)
    assert_array_equal(nn.predict(nn.mlp(dropout=0.5), params, x), plain)
    assert (nn.mlp(dropout=0.5)(params, x, Mode(key=(0, 0)))[0] != plain).all()


@pytest.mark.traps("official: batch_norm_gradient_check uses batch size 1")
def test_with_batch_norm_a_gradient_check_needs_more_than_one_sample(rng):
    """Of one sample nothing but beta would be left: every gradient but the last bias' would be zero."""
    params = nn.init_mlp(0, (4, 5, 5, 3), batch_norm=True, dtype=np.float64)
    stats = nn.init_stats(params)
    grad = nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy)
    with pytest.raises(ValueError, match="the variance of a feature wants at least 2 values, not 1"):
        grad(params, rng.standard_normal((1, 4)), [0], Mode(stats, (0, 0)))
    _, four, _ = grad(params, rng.standard_normal((4, 4)), np.arange(4) % 3, Mode(stats, (0, 0)))
    # A bias in front of batch norm does nothing: the mean takes it away again.
    assert [name for name in params if abs(four[name]).max() > 1e-12] == [n for n in params if n not in ("b1", "b2")]
    numerical = nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)
    x, t = rng.standard_normal((4, 4)), np.arange(4) % 3
    exact, differences = (f(params, x, t, Mode(stats, (0, 0)))[1] for f in (grad, numerical))
    for name in params:
        assert_allclose(exact[name], differences[name], atol=1e-7)


@pytest.mark.parametrize(
    ("net", "params", "chain"),
    [
        (
            nn.simple_convnet(),
            nn.init_simple_convnet(0),
            "conv2d(W1, b1) relu max_pool2d flatten affine(W2, b2) relu affine(W3, b3)",
        ),
        (
            nn.deep_convnet(),
            nn.init_deep_convnet(0),
            "conv2d(W1, b1) relu conv2d(W2, b2) relu max_pool2d conv2d(W3, b3) relu conv2d(W4, b4) relu max_pool2d "
            "conv2d(W5, b5) relu conv2d(W6, b6) relu max_pool2d flatten affine(W7, b7) relu dropout(0.5) "
            "affine(W8, b8) dropout(0.5)",
        ),
    ],
)
def test_the_layers_of_the_convnets(net, params, chain, mnist):
    assert " ".join(layer.__name__ for layer in net.expand(params)) == chain
    x = mnist[1][0][:3].reshape(3, 1, 28, 28)
    scores, pullback, stats = net(params, x, Mode(key=(0, 0)))
    assert scores.shape == (3, 10)
    dx, grads = pullback(np.ones_like(scores))
    assert stats == {}
    assert {a.dtype for a in (scores, dx, *grads.values())} == {np.dtype(np.float32)}
    assert {name: g.shape for name, g in grads.items()} == {name: p.shape for name, p in params.items()}


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


NETS = {
    "mlp, training": (nn.mlp(), (3, 4)),
    "mlp, evaluation": (nn.mlp(), None),
    "mlp, training with dropout": (nn.mlp(dropout=0.3), (5, 6)),
    "simple_convnet": (nn.simple_convnet(), None),
    "deep_convnet, training": (nn.deep_convnet(), (5, 6)),
    "deep_convnet, evaluation": (nn.deep_convnet(), None),
}


def assert_deep_net_as_in_torch(case, found, dtype, tolerance, laid_out=np.asarray):
    net, key = NETS[case]
    arrays = {name: laid_out(a.astype(dtype)) for name, a in found.items() if a.dtype.kind == "f"}
    params = {name: a for name, a in arrays.items() if name.rstrip("0123456789") in ("W", "b", "gamma", "beta")}
    stats = {name: arrays[name] for name in found if name.rstrip("0123456789") in ("mean", "var")}
    scores, pullback, new = net(params, arrays["x"], Mode(stats, key))
    loss, back = ops.softmax_cross_entropy(scores, found["t"])
    dx, grads = pullback(*back())
    ours = {"scores": scores, "loss": loss, "dx": dx} | {f"d{name}": g for name, g in grads.items()}
    ours |= {f"new {name}": a for name, a in new.items()}
    assert ours.keys() == found.keys() - params.keys() - stats.keys() - {"x", "t"}
    largest = max(abs(found[name]).max() for name in ours if name.startswith("d"))
    for name, a in ours.items():
        assert a.dtype == dtype
        size = largest if name.startswith("d") else abs(found[name]).max()
        assert_allclose(a, found[name], rtol=tolerance, atol=tolerance * size, err_msg=name)


@pytest.mark.parametrize("laid_out", [np.asarray, np.asfortranarray])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 2e-5)])
@pytest.mark.parametrize("case", NETS)
def test_deep_nets_against_the_stored_answers_of_torch(case, dtype, tolerance, laid_out):
    assert_deep_net_as_in_torch(case, DEEP[case], dtype, tolerance, laid_out)


def test_deep_nets_against_torch_itself(mnist):
    pytest.importorskip("torch", reason="PyTorch comes with the extra dev alone; its stored answers are tested above")
    assert DEEP.keys() == NETS.keys()
    for case, found in ORACLE["deep"](seed=0).items():
        for key, a in found.items():
            assert_allclose(DEEP[case][key], a, rtol=1e-10, atol=1e-12, err_msg=f"the stored {case} {key}")
    for case, found in ORACLE["deep"](seed=1).items():
        assert_deep_net_as_in_torch(case, found, np.float64, 1e-10)
    x, t = mnist[1][0][:2].reshape(2, 1, 28, 28), mnist[1][1][:2]
    theirs = lambda p, stats, x: ORACLE["deep_convnet"](p, x, (5, 6))
    found = ORACLE["train"](theirs, nn.init_deep_convnet(0), {}, x, t)
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-5)):
        assert_deep_net_as_in_torch("deep_convnet, training", found, dtype, tolerance)
    theirs, one = ORACLE["simple_convnet"], slice(0, 1)
    found = ORACLE["train"](theirs, nn.init_simple_convnet(0), {}, x[one], t[one])
    assert_deep_net_as_in_torch("simple_convnet", found, np.float64, 1e-10)


@pytest.mark.traps("official: half_float_network stores float16 in float64")
def test_half_precision_stays_half_all_the_way(mnist):
    rows = mnist[1][0][:20]
    images = rows.reshape(20, 1, 28, 28)
    norm = nn.init_mlp(0, (784, 20, 10), batch_norm=True)
    observed = nn.init_stats(norm)
    for net, params, stats, x in (
        (nn.mlp(dropout=0.5), norm, observed, rows),
        (nn.simple_convnet(), nn.init_simple_convnet(0, filters=3, hidden=9), {}, images),
        (nn.deep_convnet(), nn.init_deep_convnet(0), {}, images[:2]),
    ):
        half = lambda arrays: {name: a.astype(np.float16) for name, a in arrays.items()}
        scores, pullback, new = net(half(params), x.astype(np.float16), Mode(half(stats), (0, 0)))
        grads = pullback(scores)[1]
        assert {a.dtype for a in (scores, *grads.values(), *new.values())} == {np.dtype(np.float16)}
        ours = nn.predict(net, half(params), x.astype(np.float16), half(stats))
        theirs = nn.predict(net, params, x, stats)
        assert 2 * ours.nbytes == theirs.nbytes
        assert_allclose(ours, theirs, atol=0.02 * abs(theirs).max())


# Memory


def peak(f):
    """Return the most bytes that NumPy held at once while `f` ran."""
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def batch(mnist):
    """100 images for the deep network, whose first feature maps are 5 MB each."""
    (x, t), _ = mnist
    return nn.init_deep_convnet(0), x[:100].reshape(100, 1, 28, 28), t[:100]


def test_inference_needs_less_memory_than_the_way_to_a_gradient(batch):
    params, x, _ = batch
    net = nn.deep_convnet()
    net(params, x[:1])
    inference, training = (peak(lambda m=m: net(params, x, m)) for m in (Mode(grad=False), Mode(key=(0, 0))))
    assert 5e6 < inference < 0.75 * training
    assert peak(lambda: nn.predict(net, params, x)) < 0.75 * training
    assert peak(lambda: nn.predict(net, params, x, batch_size=20)) < 0.5 * inference


def test_a_training_step_of_the_deep_network_fits_into_half_a_gigabyte(batch):
    params, x, t = batch
    optimizer = nn.adam()
    step = nn.train_step(nn.value_and_grad(nn.deep_convnet(), ops.softmax_cross_entropy), optimizer)
    state = nn.init_state(optimizer, params)
    assert 20e6 < peak(lambda: step(state, (x, t))) < 500e6


@pytest.mark.parametrize("name", ["simple_convnet", "deep_convnet"])
def test_a_training_step_needs_little_more_than_what_it_must_hold(name, batch):
    _, x, t = batch
    net, params, optimizer = getattr(nn, name)(), getattr(nn, f"init_{name}")(0), nn.adam()
    step = nn.train_step(nn.value_and_grad(net, ops.softmax_cross_entropy), optimizer)
    state = nn.init_state(optimizer, params)
    step(state, (x, t))
    tracemalloc.start()
    forward = net(params, x, Mode(key=(0, 0), dx=False))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del forward
    weights = sum(p.nbytes for p in params.values())
    columns = x.itemsize * 10 * 9 * 16 * 28 * 28 if name == "deep_convnet" else 0  # of ten images, in the second layer
    # Old and new parameters, gradients, and Adam's m and v, old and new: the old ones were there before the step.
    assert peak(lambda: step(state, (x, t))) + 3 * weights < 1.5 * (held + 7 * weights + columns)


def test_inference_keeps_the_same_however_deep_the_net(rng):
    """One layer more costs nothing but its own turn; with gradients each one stays."""
    params = {"W": np.eye(10, dtype=np.float32), "b": np.zeros(10, np.float32)}
    params |= nn.init_batch_norm(1, 10)
    x, stats = np.ones((10_000, 10), np.float32), nn.init_stats(params)
    block = serial(TIED, layers.batch_norm(1), layers.relu, layers.dropout(0.5))
    run = lambda blocks, mode: peak(lambda: serial(*[block] * blocks)(params, x, mode))
    for mode in (Mode(stats, (0, 0)), Mode(stats)):
        shallow, deep = (run(blocks, mode._replace(grad=False)) for blocks in (2, 12))
        assert deep < 1.2 * shallow
        assert run(12, mode) > 3 * deep


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
    "an activation, then softmax": (serial(affine(1), layers.tanh, layers.softmax), (3, 4)),
    "two activations": (serial(affine(1), layers.tanh, layers.sigmoid, affine(2)), (3, 4, 2)),
    "an activation alone": (serial(affine(1), layers.sigmoid), (3, 4)),
    "chance": (serial(affine(1), noisy, layers.tanh, serial(noisy, affine(2))), (3, 4, 2)),
}
ODD = {
    "tied weights": (serial(TIED, layers.tanh, TIED, layers.sigmoid, TIED), {"W": (3, 3), "b": (3,)}),
    "shared bias": (SHARED_BIAS, {"W1": (3, 2), "W2": (2, 2), "b": (2,)}),
    "tied across a nest": (
        serial(TIED, serial(layers.tanh, TIED), affine(1)),
        {"W": (3, 3), "b": (3,), "W1": (3, 2), "b1": (2,)},
    ),
    "batch norm": (
        nn.mlp(layers.tanh),
        {
            "W1": (3, 4),
            "b1": (4,),
            "gamma1": (4,),
            "beta1": (4,),
            "W2": (4, 3),
            "b2": (3,),
            "gamma2": (3,),
            "beta2": (3,),
            "W3": (3, 2),
            "b3": (2,),
        },
    ),
    "dropout": (
        nn.mlp(layers.tanh, dropout=0.3),
        {"W1": (3, 5), "b1": (5,), "W2": (5, 4), "b2": (4,), "W3": (4, 2), "b3": (2,)},
    ),
    "black box": (
        serial(affine(1), squares, affine(2)),
        {"W1": (3, 4), "b1": (4,), "scale": (), "W2": (4, 2), "b2": (2,)},
    ),
    "nothing but a black box": (squares, {"scale": ()}),
}


OBSERVED = {f"{name}{i}": np.full(n, v) for i, n in ((1, 4), (2, 3)) for name, v in (("mean", 0.3), ("var", 2.0))}
MODES = {"chance": Mode(key=(1, 2)), "dropout": Mode(key=(1, 2)), "batch norm": Mode(OBSERVED, (1, 2))}


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
    few = x[:2] if name == "batch norm" else x[:1]
    x = {"random": x, "two of zeros": x * [0, 1, 0], "one sample": few}[columns]
    mode = MODES.get(name, EVAL)
    t = rng.standard_normal(net(params, x, mode)[0].shape)
    tolerance = 1e-4 if name == "batch norm" else 1e-6  # the curvature of a root of small variances
    check_numerical_gradient(net, params, x, t, mode, tolerance)
    if name == "batch norm":
        check_numerical_gradient(net, params, x, t, Mode(OBSERVED), tolerance)


@pytest.mark.traps("official: numerical gradients move the running mean")
@pytest.mark.parametrize("N", [3, 1])
@pytest.mark.parametrize("key", [None, (1, 2)])
@pytest.mark.parametrize("pool", [layers.max_pool2d(2), layers.avg_pool2d((3, 2), stride=2, pad=1)])
def test_the_fast_numerical_gradient_of_a_convolutional_net(pool, key, N, rng):
    net = serial(
        layers.conv2d(1, pad=(1, 0)),
        layers.batch_norm(1),
        layers.tanh,
        serial(pool, layers.dropout(0.3)),
        layers.conv2d(2, stride=2),
        layers.flatten,
        affine(3),
    )
    params = nn.init_conv2d(0, 1, 2, 2, (3, 2), dtype=np.float64) | nn.init_conv2d(0, 2, 2, 2, 2, dtype=np.float64)
    norm = nn.init_batch_norm(1, 2, dtype=np.float64)
    stats = nn.init_stats(norm)
    x = rng.standard_normal((N, 2, 6, 5))
    params |= {"gamma1": norm["gamma1"] + [0.3, -0.4], "beta1": norm["beta1"] + [0.1, 0.2]}
    inputs = net_width(net, params, stats, x)
    params |= nn.init_affine(0, 3, inputs, 2, dtype=np.float64)
    check_numerical_gradient(net, params, x, rng.standard_normal((N, 2)), Mode(stats, key))


def net_width(net, params, stats, x):
    """Return how many numbers of a sample reach the last layer."""
    return serial(*net.expand(params)[:-1])(params, x, Mode(stats))[0].shape[1]


def check_numerical_gradient(net, params, x, t, mode, tolerance=1e-6):
    value, grads, stats = nn.numerical_value_and_grad(net, ops.mean_squared_error)(params, x, t, mode)
    loss = lambda p: ops.mean_squared_error(net(p, x, mode)[0], t)[0]
    slow = nn.numerical_gradient(loss, params)
    exact_value, exact, exact_stats = nn.value_and_grad(net, ops.mean_squared_error)(params, x, t, mode)
    assert list(grads) == list(params)
    assert_allclose(value, exact_value, rtol=1e-15)
    np.testing.assert_equal(stats, exact_stats)
    for n in params:
        assert_allclose(grads[n], slow[n], rtol=0, atol=2e-11 * max(1, abs(slow[n]).max()), err_msg=n)
        assert_allclose(grads[n], exact[n], rtol=tolerance, atol=1e-7, err_msg=n)
        assert grads[n].shape == params[n].shape


def test_the_fast_differences_take_rows_of_labels_at_their_own_sum(rng):
    """Rows that sum to one within a thousandth are labels; the loss counts what they sum to."""
    x, params = rng.standard_normal((4, 3)), nn.init_mlp(0, (3, 4, 3), dtype=np.float64)
    t = nn.softmax(rng.standard_normal((4, 3))) * np.array([[1.0009], [0.9991], [1.0], [1.0005]])
    _, grads, _ = nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)(params, x, t)
    slow = nn.numerical_gradient(lambda p: ops.softmax_cross_entropy(nn.predict(nn.mlp(), p, x), t)[0], params)
    for name, g in slow.items():
        assert_allclose(grads[name], g, rtol=0, atol=2e-11)


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


@pytest.mark.rows("S1-06", "S1-09")
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


@pytest.mark.parametrize("broken", [np.inf, -np.inf, np.nan])
def test_a_broken_pixel_gives_nan_and_no_wrong_slope(broken, rng):
    x, t, params = rng.normal(size=(4, 3)), np.array([0, 1, 0, 1]), nn.init_mlp(0, (3, 5, 2), dtype=np.float64)
    x[1, 2] = broken
    net, loss = nn.mlp(layers.tanh), ops.softmax_cross_entropy
    with np.errstate(invalid="ignore"):
        value, grads, _ = nn.numerical_value_and_grad(net, loss)(params, x, t)
        slow = nn.numerical_gradient(lambda p: loss(nn.predict(net, p, x), t)[0], params)
    assert np.isnan(grads["W1"][2]).all()
    if np.isfinite(value):
        assert_allclose(grads["W1"][:2], slow["W1"][:2], atol=1e-10)
        assert_allclose(grads["W2"], slow["W2"], atol=1e-10)


# What was answered with a wrong number, or in others' words


def answering(grads):
    """Return a gradient function that answers with these gradients."""
    return lambda params, x, t, mode=EVAL: (1.0, grads, {})


def test_clipping_lets_nothing_pass_beside_a_gradient_that_is_nan():
    grads = {"W1": np.array([1e6, -1e6]), "b1": np.array([np.nan])}
    _, clipped, _ = nn.with_clipping(answering(grads), 1.0)({}, 0, 0)
    assert all(np.isnan(g).all() for g in clipped.values())


def test_clipping_keeps_the_direction_where_squares_overflow():
    grads = {"W1": np.array([3e200]), "b1": np.array([-4e200])}
    _, clipped, _ = nn.with_clipping(answering(grads), 1.0)({}, 0, 0)
    assert_allclose([clipped["W1"][0], clipped["b1"][0]], [0.6, -0.8], rtol=1e-12)


@pytest.mark.parametrize("scores", [[[0.1, np.nan, 0.9]], [[np.nan] * 3, [1, 2, 3]], [[np.inf, np.nan, 0.0]]])
def test_accuracy_of_scores_that_are_no_numbers_is_none(scores):
    assert np.isnan(nn.accuracy(scores, [1] * len(scores)))
    assert np.isnan(nn.accuracy(np.array(scores, np.float32), [1] * len(scores)))
    assert nn.accuracy([[np.inf, 0.0, -np.inf]], [0]) == 1.0, "infinite scores have an order"


def rows_of_losses(scores, t):
    return np.square(scores - t).sum(axis=1), lambda dloss=1.0: (2 * (scores - t),)


def bare(x, W):
    return x @ W, lambda dy: x.T @ dy


SIMPLE = {"W": np.ones((3, 2))}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.value_and_grad(lift(bare, "W"), rows_of_losses)(SIMPLE, np.ones((4, 3)), np.ones((4, 2))),
            "rows_of_losses: the loss is an array of shape (4,), wanted one number",
        ),
        (
            lambda: nn.value_and_grad(lift(bare, "W"), ops.mean_squared_error)(
                SIMPLE, np.ones((4, 3)), np.ones((4, 2))
            ),
            "bare(W): returned an array of shape (3, 2), wanted (dx, dW)",
        ),
        (
            lambda: nn.predict(lambda params, x, mode: x @ params["W"], SIMPLE, np.ones((5, 3))),
            "<lambda>: returned an array of shape (5, 2), wanted (y, pullback, stats)",
        ),
        (
            lambda: nn.predict(nn.mlp(), nn.init_mlp(0, (3, 2)), np.ones(3), batch_size=2),
            "predict: x has shape (3,); wanted (N, ...) to cut, one sample is x[None]",
        ),
        (
            lambda: nn.mlp(nn.relu),
            "mlp: activation is the value function relu; "
            "wanted a layer, layer(params, x, mode), say nnfunc.layers.relu",
        ),
        (
            lambda: serial(layers.affine),
            "serial: layer 0 is the function affine; "
            "wanted a layer, layer(params, x, mode), say nnfunc.layers.affine(...)",
        ),
        (
            lambda: nn.mlp()(nn.init_mlp(0, (3, 2)), np.ones((1, 3)), "train"),
            "serial: mode is 'train', wanted a Mode, say Mode(stats, key=(seed, step)) to train",
        ),
    ],
)
def test_what_is_of_another_form_is_told_so(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_a_layer_without_a_mode_is_told_by_its_place():
    net = serial(layers.relu, lambda params, x: (x, lambda dy: (dy, {}), {}))
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given") as error:
        net({}, np.ones((2, 3)))
    assert error.value.__notes__ == ["in layer 1 of 2: <lambda>, input shape (2, 3)"]


def test_two_outputs_are_predicted_in_batches(rng):
    heads = layers.fan_out(affine(1), layers.identity)
    params, x = nn.init_affine(0, 1, 3, 2), rng.standard_normal((7, 3)).astype(np.float32)
    for parts, whole in zip(nn.predict(heads, params, x, batch_size=3), nn.predict(heads, params, x), strict=True):
        assert_allclose(parts, whole, rtol=1e-6)


# In parts

SCORING = {"W1": np.arange(12.0).reshape(4, 3) / 12, "b1": np.zeros(3)}
ELEVEN = np.random.default_rng(3).standard_normal((11, 4)), np.arange(11) % 3


def gradient(*between):
    return nn.value_and_grad(layers.serial(*between, layers.affine(1)), nn.ops.softmax_cross_entropy)


@pytest.mark.parametrize("parts", [1, 2, 3, 11])
@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_the_parts_of_a_batch_have_the_gradient_of_the_whole(parts, dtype, close):
    params, x = {name: p.astype(dtype) for name, p in SCORING.items()}, ELEVEN[0].astype(dtype)
    grad = gradient()
    value, grads, _ = grad(params, x, ELEVEN[1])
    by_parts, grads_by_parts, stats = nn.in_parts(grad, parts)(params, x, ELEVEN[1])
    assert by_parts.dtype == dtype
    assert abs(by_parts - value) < close
    for name, g in grads.items():
        assert grads_by_parts[name].dtype == dtype
        assert_allclose(grads_by_parts[name], g, atol=close)
    assert stats == {}


def test_parts_go_where_map_sends_them():
    with ThreadPoolExecutor(2) as pool:
        _, there, _ = nn.in_parts(gradient(), 3, map=pool.map)(SCORING, *ELEVEN)
    _, here, _ = nn.in_parts(gradient(), 3)(SCORING, *ELEVEN)
    assert all(np.array_equal(there[name], here[name]) for name in here), "the order of the sum is that of the parts"


def test_parts_are_taken_one_by_one_and_none_is_kept():
    alive = []

    def counted(params, x, t, mode):
        g = np.zeros(3)
        alive.append(weakref.ref(g))
        assert sum(ref() is not None for ref in alive) <= 2
        return 1.0, {"b1": g}, {}

    value, _, _ = nn.in_parts(counted, 5)(SCORING, *ELEVEN)
    assert abs(value - 1) < 1e-15
    assert len(alive) == 5


def test_each_part_has_a_key_and_statistics_of_its_own():
    dropped, mode = gradient(layers.dropout(0.5)), Mode({}, key=(1, 2))
    value, _, _ = nn.in_parts(dropped, 2)(SCORING, *ELEVEN, mode)
    x, t = ELEVEN
    first = dropped(SCORING, x[:5], t[:5], Mode({}, key=(1, 2, 0)))[0]
    second = dropped(SCORING, x[5:], t[5:], Mode({}, key=(1, 2, 1)))[0]
    assert_allclose(value, 5 / 11 * first + 6 / 11 * second, rtol=1e-14)

    params = SCORING | nn.init_batch_norm(2, 4, np.float64)
    mode = Mode(nn.init_stats(params), key=(0, 0))
    _, _, stats = nn.in_parts(gradient(layers.batch_norm(2, momentum=0.9)), 2)(params, *ELEVEN, mode)
    assert_allclose(stats["mean2"], 0.1 * x.mean(axis=0), atol=1e-14)
    within = (5 * x[:5].var(axis=0) + 6 * x[5:].var(axis=0)) / 11
    assert_allclose(stats["var2"], 0.9 + 0.1 * within, rtol=1e-12)


def test_parts_take_tuples_of_inputs():
    grad = nn.value_and_grad(layers.serial(layers.join(nn.ops.add), layers.affine(1)), nn.ops.softmax_cross_entropy)
    x, t = ELEVEN
    wanted, got = (f(SCORING, (x, x**2), t) for f in (grad, nn.in_parts(grad, 4)))
    assert_allclose(got[1]["W1"], wanted[1]["W1"], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.in_parts(gradient(), 0), r"in_parts: parts is 0, wanted an int from 1 up"),
        (lambda: nn.in_parts(gradient(), 12)(SCORING, *ELEVEN), r"in_parts: parts is 12, wanted an int from 1 to 11"),
        (lambda: nn.in_parts(gradient(), 2)(SCORING, ELEVEN[0], ELEVEN[1][:5]), r"in_parts: x has 11 samples, t has 5"),
        (lambda: nn.in_parts(3, 2), r"in_parts: grad is 3, wanted a function"),
    ],
)
def test_parts_that_cannot_be_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def given_gradients(*gs):
    """A gradient function whose gradients are these, whatever it is asked."""
    return lambda params, x, t, mode=EVAL: (1.0, {f"g{k}": g for k, g in enumerate(gs)}, {})


@pytest.mark.parametrize("library", ["numpy", "array_api_strict"])
def test_only_gradients_that_are_too_long_are_shortened(library):
    xp = pytest.importorskip(library)
    for first, second, longest, factor in (
        ([3.0, 0.0], [[4.0]], 10.0, 1),
        ([3.0, 0.0], [[4.0]], 5.0, 1),
        ([3.0, 0.0], [[4.0]], 2.5, 0.5),
        ([3.0, 0.0], [[-4.0]], 1.0, 0.2),
        ([0.0, 0.0], [[0.0]], 1.0, 1),
        ([1e200, 0.0], [[0.0]], 1.0, 1e-200),
    ):
        grad = nn.with_clipping(given_gradients(xp.asarray(first), xp.asarray(second)), longest)
        _, grads, _ = grad({}, None, None)
        assert_allclose(np.asarray(grads["g0"]), factor * np.array(first), rtol=1e-12)
        assert_allclose(np.asarray(grads["g1"]), factor * np.array(second), rtol=1e-12)


def test_the_penalty_is_half_the_sum_of_squares_of_the_weights_alone():
    penalty, grads = nn.weight_decay({"W1": np.array([[1.0, -2.0]]), "W2": np.array([[3.0]]), "b1": np.ones(2)}, 0.5)
    assert_allclose(penalty, 0.25 * 14)
    assert_array_equal(grads["W1"], [[0.5, -1.0]])
    assert grads.keys() == {"W1", "W2"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "no names"),
        (("W1", "b1", "V9"), "W1, b1, V9"),
        (("W1",), "W1"),
        (("W1", "b1", "W3", "b3"), "W1, b1, W3, b3"),
    ],
)
def test_mlp_refuses_a_name_too_many_or_too_few(names, told):
    with pytest.raises(ValueError, match=f"^mlp: params has {told}; wanted W1, b1, W2, b2, ... without a gap$"):
        nn.predict(nn.mlp(), dict.fromkeys(names, np.ones((1, 1))), np.ones((1, 1)))
