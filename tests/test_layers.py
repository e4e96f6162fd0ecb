"""Layers: what `lift` makes of an op, and that chains of layers behave as composition should."""

import functools
import inspect
import re
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops
from nnfunc.layers import EVAL, Mode, affine, lift, serial

ACTIVATIONS = [layers.relu, layers.sigmoid, layers.tanh, layers.softmax, layers.identity]


@st.composite
def nets(draw):
    """A chain of up to six layers of random widths, its parameters and a batch."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    width = draw(st.integers(1, 3))
    x, params, chain = rng.standard_normal((draw(st.integers(1, 4)), width)), {}, []
    for i in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            chain.append(draw(st.sampled_from(ACTIVATIONS)))
            continue
        outputs = draw(st.integers(1, 4))
        params |= {f"W{i}": rng.standard_normal((width, outputs)), f"b{i}": 0.5 + rng.random(outputs)}
        chain.append(affine(i))
        width = outputs
    return chain, params, x


def gradients(net, params, x, seed=7):
    """Return the value, a random dy, and the gradients by x and by the parameters."""
    y, pullback, _ = net(params, x)
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    dx, grads = pullback(dy)
    return y, dy, dx, grads


def assert_same(a, b):
    """Compare what `gradients` returned for two nets: equal to the last bit."""
    assert a[3].keys() == b[3].keys()
    for u, v in zip((*a[:3], *(a[3][name] for name in a[3])), (*b[:3], *(b[3][name] for name in a[3])), strict=True):
        assert_array_equal(u, v, strict=True)


# lift


def test_a_lifted_layer_is_its_op(rng):
    x, W, b, dy = (rng.standard_normal(shape) for shape in [(4, 3), (3, 2), (2,), (4, 2)])
    y, pullback = ops.affine(x, W, b)
    layer = lift(ops.affine, "kernel", "shift")
    out, back, stats = layer({"shift": b, "kernel": W, "other": x}, x)
    dx, grads = back(dy)
    assert stats == {}
    assert list(grads) == ["kernel", "shift"]
    for a, again in zip((y, *pullback(dy)), (out, dx, *grads.values()), strict=True):
        assert_array_equal(a, again, strict=True)
    assert layer.op is ops.affine
    assert layer.names == ("kernel", "shift")
    assert layer.__name__ == "affine(kernel, shift)"


def test_a_lifted_layer_hands_its_settings_on():
    def power(x, W, *, exponent):
        return W * x**exponent, lambda dy: (dy * exponent * W * x ** (exponent - 1), np.sum(dy * x**exponent))

    y, pullback, _ = lift(power, "W1", exponent=3)({"W1": np.array(2.0)}, np.array([1.0, 2.0]))
    assert_array_equal(y, [2, 16])
    assert_array_equal(pullback(np.ones(2))[0], [6, 24])


@pytest.mark.parametrize("name", ["identity", "sigmoid", "tanh", "relu", "softmax", "flatten"])
def test_the_named_layers_are_the_ops_of_their_names(name, rng):
    layer, x = getattr(layers, name), rng.standard_normal((2, 3))
    assert layer.op is getattr(ops, name)
    assert layer.names == ()
    assert layer.__name__ == name
    assert_array_equal(layer({}, x)[0], getattr(ops, name)(x)[0])


def test_affine_takes_the_weights_of_its_number():
    assert affine(12).names == ("W12", "b12")
    assert affine(12).op is ops.affine


def test_wanting_no_gradient_by_the_input(rng):
    x, params = rng.standard_normal((4, 3)), {"W1": rng.standard_normal((3, 2)), "b1": np.zeros(2)}
    wanted, unwanted = (affine(1)(params, x, Mode(dx=dx))[1](np.ones((4, 2))) for dx in (True, False))
    assert_allclose(wanted[0], np.ones((4, 2)) @ params["W1"].T)
    assert unwanted[0] is None
    assert_array_equal(unwanted[1]["W1"], wanted[1]["W1"])


@pytest.mark.parametrize(
    ("layer", "op", "names", "label"),
    [
        (layers.conv2d(3, stride=2, pad=(0, 1)), ops.conv2d, ("W3", "b3"), "conv2d(W3, b3)"),
        (layers.max_pool2d(2), ops.max_pool2d, (), "max_pool2d"),
        (layers.avg_pool2d((2, 1)), ops.avg_pool2d, (), "avg_pool2d"),
        (layers.batch_norm(4), ops.batch_norm, ("gamma4", "beta4"), "batch_norm(gamma4, beta4)"),
        (layers.dropout(0.25), ops.dropout, (), "dropout(0.25)"),
        (layers.tap("inside"), ops.identity, (), "tap(inside)"),
    ],
)
def test_every_layer_shows_its_op_and_its_names(layer, op, names, label):
    assert (layer.op, layer.names, layer.__name__) == (op, names, label)


@pytest.mark.parametrize(
    ("layer", "op", "settings"),
    [
        (layers.conv2d(1, stride=(2, 1), pad=1), ops.conv2d, {"stride": (2, 1), "pad": 1}),
        (layers.max_pool2d((3, 2), stride=2, pad=1), ops.max_pool2d, {"size": (3, 2), "stride": 2, "pad": 1}),
        (layers.max_pool2d(2), ops.max_pool2d, {"size": 2}),
        (layers.avg_pool2d(3, stride=(1, 2), pad=(1, 0)), ops.avg_pool2d, {"size": 3, "stride": (1, 2), "pad": (1, 0)}),
    ],
)
def test_layers_hand_stride_and_padding_to_their_ops(layer, op, settings, rng):
    params = {"W1": rng.standard_normal((3, 2, 3, 2)), "b1": rng.standard_normal(3)}
    x = rng.standard_normal((2, 2, 7, 6))
    y, pullback = op(x, *(params[name] for name in layer.names), **settings)
    out, back, stats = layer(params, x)
    dx, grads = back(y)
    assert stats == {}
    for a, again in zip((y, *pullback(y)), (out, dx, *grads.values()), strict=True):
        assert_array_equal(a, again, strict=True)


# Batch normalisation

NORM = layers.batch_norm(1)


def norm_case(rng, dtype=np.float64, shape=(6, 3)):
    """Return parameters, statistics and a batch for NORM."""
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)
    params = {"gamma1": draw(3), "beta1": draw(3)}
    return params, {"mean1": draw(3), "var1": (0.5 + rng.random(3)).astype(dtype)}, draw(*shape)


SHAPES = [(6, 3), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_in_training_is_the_op_and_observes_the_batch(shape, rng):
    params, stats, x = norm_case(rng, shape=shape)
    y, pullback, new = NORM(params, x, Mode(stats, key=(0, 0)))
    expected, back = ops.batch_norm(x, params["gamma1"], params["beta1"])
    assert_array_equal(y, expected)
    dx, grads = pullback(y)
    assert list(grads) == ["gamma1", "beta1"]
    for a, again in zip(back(y), (dx, *grads.values()), strict=True):
        assert_array_equal(a, again)
    rows = np.moveaxis(x, 1, -1).reshape(-1, 3)
    assert list(new) == ["mean1", "var1"]
    assert_allclose(new["mean1"], 0.9 * stats["mean1"] + 0.1 * rows.mean(axis=0), rtol=1e-13)
    assert_allclose(new["var1"], 0.9 * stats["var1"] + 0.1 * rows.var(axis=0), rtol=1e-13)


def test_statistics_of_lists_count_as_arrays():
    params = {"gamma1": [1.0], "beta1": [0.0]}
    mode = layers.Mode({"mean1": [1.0], "var1": [2]}, key=(0,))
    _, _, stats = layers.batch_norm(1)(params, [[1.0], [3.0]], mode)
    assert_allclose([stats["mean1"], stats["var1"]], [[0.9 * 1 + 0.1 * 2], [0.9 * 2 + 0.1 * 1]])


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_in_evaluation_uses_the_statistics_and_observes_nothing(shape, rng):
    params, stats, x = norm_case(rng, shape=shape)
    y, _, new = NORM(params, x, Mode(stats))
    assert new == {}
    mean, var, gamma, beta = (
        a.reshape(1, 3, *[1] * (len(shape) - 2)) for a in (*stats.values(), params["gamma1"], params["beta1"])
    )
    assert_allclose(y, gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, rtol=1e-12, atol=1e-14)
    alone = np.concatenate([NORM(params, row[None], Mode(stats))[0] for row in x])
    assert_allclose(y, alone, rtol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", [None, (3, 1)])
def test_gradients_of_batch_norm_against_differences(key, shape, rng):
    params, stats, x = norm_case(rng, shape=shape)
    op = lambda *args: as_op(NORM, Mode(stats, key), ["gamma1", "beta1"], *args)
    assert len(nn.check_vjp(op, [x, *params.values()])) == 3


def as_op(layer, mode, names, x, *weights):
    y, pullback, _ = layer(dict(zip(names, weights, strict=True)), x, mode)

    def back(dy):
        dx, grads = pullback(dy)
        return dx, *(grads[name] for name in names)

    return y, back


@pytest.mark.traps("T29")
def test_running_statistics_start_at_0_and_1_and_forget_at_the_rate_of_momentum():
    """A net that has seen nothing yet passes its input on, up to eps; with a variance of 0 it were 300 times that."""
    params = nn.init_batch_norm(1, 2, dtype=np.float64)
    stats = nn.init_stats(params)
    x = np.array([[1.0, -2.0], [3.0, 0.5]])
    assert_allclose(NORM(params, x, Mode(stats))[0], x / np.sqrt(1 + 1e-5), rtol=1e-14)
    for _ in range(20):
        stats = NORM(params, x, Mode(stats, key=(0, 0)))[2]
    assert_allclose(stats["mean1"], x.mean(axis=0) * (1 - 0.9**20), rtol=1e-12)
    assert_allclose(stats["var1"], x.var(axis=0) * (1 - 0.9**20) + 0.9**20, rtol=1e-12)
    for momentum in (0.0, 0.5, 1.0):
        new = layers.batch_norm(1, momentum)(params, x, Mode(nn.init_stats(params), key=(0, 0)))[2]
        assert_allclose(new["mean1"], (1 - momentum) * x.mean(axis=0), rtol=1e-6)


def test_eps_reaches_the_root_in_training_and_in_evaluation():
    params = nn.init_batch_norm(1, 1, dtype=np.float64)
    stats = nn.init_stats(params)
    wide, x = layers.batch_norm(1, eps=3.0), np.array([[-1.0], [1.0]])
    for key in (None, (0, 0)):
        assert_allclose(wide(params, x, Mode(stats, key))[0], x / 2)


@pytest.mark.parametrize("key", [None, (1, 2)])
def test_batch_norm_keeps_float32(key, rng):
    params, stats, x = norm_case(rng, np.float32)
    wide = layers.batch_norm(1, momentum=np.float64(0.9), eps=np.float64(1e-5))
    y, pullback, new = wide(params, x, Mode(stats, key))
    dx, grads = pullback(np.ones_like(y))
    assert {a.dtype for a in (y, dx, *grads.values(), *new.values())} == {np.dtype(np.float32)}


# Dropout


def test_dropout_does_nothing_in_evaluation(rng):
    x = rng.standard_normal((4, 3))
    y, pullback, stats = layers.dropout(0.9)({}, x)
    assert_array_equal(y, x)
    assert stats == {}
    dx, grads = pullback(x + 1)
    assert_array_equal(dx, x + 1)
    assert grads == {}


def test_layer_and_op_draw_the_same_mask(rng):
    x, dy = rng.standard_normal((2, 20, 20))
    y, pullback = ops.dropout(x, 0.3, (7, 5))
    out, back, stats = layers.dropout(0.3)({}, x, Mode(key=(7, 5)))
    assert_array_equal(y, out)
    assert_array_equal(*pullback(dy), back(dy)[0])
    assert stats == {}
    # In a chain the key is the chain's with the layer's index: this one stands second.
    out, _, _ = serial(layers.identity, layers.dropout(0.3))({}, x, Mode(key=(7, 5)))
    assert_array_equal(out, ops.dropout(x, 0.3, (7, 5, 1))[0])


def test_layers_steps_and_seeds_draw_masks_of_their_own():
    x, drop = np.ones((1, 200)), layers.dropout(0.5)
    net = serial(drop, layers.tap("a"), serial(drop, layers.tap("b")), layers.tap("c"))
    masks = []
    for key in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        stats = net({}, x, Mode(key=key))[2]
        second = stats["b"][stats["a"] > 0]
        masks += [stats["a"].tobytes(), second.tobytes()]
        assert 0.3 < np.mean(second > 0) < 0.7, "the second mask is not the first again"
        assert_array_equal(net({}, x, Mode(key=key))[0], stats["c"])
    assert len(set(masks)) == len(masks)


@pytest.mark.traps("official: a fresh mask per call")
@given(st.integers(0, 99), st.integers(0, 99))
def test_a_gradient_check_through_dropout_passes(seed, step):
    rng = np.random.default_rng(seed)
    net = serial(affine(1), layers.dropout(0.4), layers.tanh, serial(layers.dropout(0.2)), affine(2))
    params = nn.init_mlp(seed, (3, 6, 2), dtype=np.float64)
    x, dy, mode = rng.standard_normal((4, 3)), rng.standard_normal((4, 2)), Mode(key=(seed, step))
    loss = lambda p: np.sum(dy * net(p, p["x"], mode)[0])
    dx, grads = net(params, x, mode)[1](dy)
    assert max(nn.check_gradients(loss, params | {"x": x}, grads | {"x": dx}).values()) < 1e-7


# tap


@pytest.mark.parametrize("mode", [EVAL, Mode(key=(0, 1)), Mode(grad=False)])
def test_a_tap_shows_what_passes_and_changes_nothing(mode, rng):
    params, x = nn.init_mlp(0, (3, 4, 2), dtype=np.float64), rng.standard_normal((5, 3))
    net = serial(affine(1), layers.tap("before"), layers.relu, serial(layers.tap("after"), affine(2)))
    plain = serial(affine(1), layers.relu, affine(2))
    y, _, stats = net(params, x, mode)
    assert list(stats) == ["before", "after"]
    assert_array_equal(stats["before"], x @ params["W1"] + params["b1"])
    assert_array_equal(stats["after"], np.maximum(stats["before"], 0))
    assert_array_equal(y, plain(params, x)[0])
    if mode.grad:
        assert_same(gradients(net, params, x), gradients(plain, params, x))


def test_taps_and_running_statistics_come_back_together(rng):
    params, stats, x = norm_case(rng)
    net = serial(NORM, layers.tap("seen"), serial(layers.relu, layers.tap("positive")))
    y, _, new = net(params, x, Mode(stats, key=(0, 0)))
    assert list(new) == ["mean1", "var1", "seen", "positive"]
    assert_array_equal(new["positive"], y)
    assert list(net(params, x, Mode(stats))[2]) == ["seen", "positive"]


# serial


@given(nets())
def test_a_random_chain_against_differences(case):
    chain, params, x = case
    net = serial(*chain)
    _, dy, dx, grads = gradients(net, params, x)
    assert grads.keys() == params.keys()
    value = lambda p, x=x: np.sum(dy * net(p, x)[0])
    # relu's kink may lie between the two points of a difference: there the slope is no number to compare with
    numerical = nn.numerical_gradient(value, params) | {"x": nn.numerical_gradient(lambda x: value(params, x), x)}
    closer = nn.numerical_gradient(value, params, h=1e-5) | {
        "x": nn.numerical_gradient(lambda x: value(params, x), x, h=1e-5)
    }
    for name, g in (grads | {"x": dx}).items():
        smooth = abs(numerical[name] - closer[name]) < 1e-5 * (1 + abs(closer[name]))
        assert_allclose(g[smooth], closer[name][smooth], rtol=1e-5, atol=1e-7)


@given(nets())
def test_a_chain_is_the_composition_of_its_layers(case):
    chain, params, x = case
    y, dy, dx, grads = gradients(serial(*chain), params, x)
    out, backs = x, []
    for layer in chain:
        out, back, _ = layer(params, out)
        backs.append(back)
    assert_array_equal(y, out, strict=True)
    for back in reversed(backs):
        dy, new = back(dy)
        for name, g in new.items():
            assert_array_equal(grads[name], g, strict=True)
    assert_array_equal(dx, dy, strict=True)


@given(nets(), st.integers(0, 6), st.integers(0, 6))
def test_serial_is_associative_and_serial_of_nothing_is_its_one(case, i, j):
    chain, params, x = case
    i, j = sorted((min(i, len(chain)), min(j, len(chain))))
    flat = gradients(serial(*chain), params, x)
    left = serial(serial(*chain[:i], *chain[i:j]), serial(*chain[j:]))
    right = serial(serial(*chain[:i]), serial(*chain[i:j], *chain[j:]))
    with_ones = serial(serial(), *chain[:i], serial(), *chain[i:], serial())
    for net in (left, right, with_ones):
        assert_same(gradients(net, params, x), flat)


def test_serial_of_nothing_is_the_identity(rng):
    x = rng.standard_normal((2, 3))
    y, pullback, stats = serial()({}, x)
    assert_array_equal(y, x)
    assert stats == {}
    dx, grads = pullback(y + 1)
    assert_array_equal(dx, x + 1)
    assert grads == {}


def test_tied_weights_add_up(rng):
    """Three uses of one name: the gradient is the sum of what three names of equal arrays get."""
    x, W, b = rng.standard_normal((4, 3)), rng.standard_normal((3, 3)), rng.standard_normal(3)
    names = ["W1", "W2", "W3"]
    apart = serial(*(f for name in names for f in (lift(ops.affine, name, f"b{name}"), layers.tanh)))
    tied = serial(*(f for _ in names for f in (lift(ops.affine, "W", "b"), layers.tanh)))
    y, _, dx, grads = gradients(apart, dict.fromkeys(names, W) | {f"b{name}": b for name in names}, x)
    y_tied, _, dx_tied, grads_tied = gradients(tied, {"W": W, "b": b}, x)
    assert_array_equal(y, y_tied)
    assert_array_equal(dx, dx_tied)
    assert_allclose(grads_tied["W"], sum(grads[name] for name in names), rtol=1e-14)
    assert_allclose(grads_tied["b"], sum(grads[f"b{name}"] for name in names), rtol=1e-14)


def test_a_chain_shows_its_layers():
    inner = serial(layers.relu)
    net = serial(affine(1), inner)
    assert [f.__name__ for f in net.expand({})] == ["affine(W1, b1)", "serial(relu)"]
    assert net.expand({})[1] is inner


# The mode


def probe(seen, stats=None):
    """Return a layer that is the identity and notes the mode it runs in."""

    def layer(params, x, mode=EVAL):
        seen.append(mode)
        return x, lambda dy: (dy, {}), {name: f(mode.stats) for name, f in (stats or {}).items()}

    return layer


def test_evaluation_is_the_default_and_has_no_key():
    seen = []
    serial(probe(seen), serial(probe(seen)))({}, np.zeros(1))
    assert EVAL == Mode() == Mode({}, None, True, True)
    assert [mode.key for mode in seen] == [None, None]


def test_each_layer_in_training_has_a_key_of_its_own():
    seen = []
    net = serial(probe(seen), serial(probe(seen), probe(seen)), probe(seen))
    net({}, np.zeros(1), Mode(key=(0, 0)))
    assert [mode.key for mode in seen] == [(0, 0, 0), (0, 0, 1, 0), (0, 0, 1, 1), (0, 0, 2)]


def test_only_the_first_layer_hears_that_nobody_wants_dx():
    seen = []
    net = serial(serial(probe(seen), probe(seen)), probe(seen))
    net({}, np.zeros(1), Mode(dx=False))
    net({}, np.zeros(1), Mode())
    assert [mode.dx for mode in seen] == [False, True, True, True, True, True]


def test_statistics_reach_every_layer_and_come_back_merged():
    seen = []
    net = serial(
        probe(seen, {"a": lambda s: s["a"] + 1}), serial(probe(seen, {"b": lambda s: s["a"] * 10})), probe(seen)
    )
    given_stats = {"a": 1, "c": 5}
    _, _, stats = net({}, np.zeros(1), Mode(given_stats))
    assert stats == {"a": 2, "b": 10}
    assert given_stats == {"a": 1, "c": 5}
    assert all(mode.stats == given_stats for mode in seen)


@pytest.mark.parametrize("grad", [True, False])
def test_without_gradients_nothing_is_kept(grad, rng):
    """Not even by a layer that knows nothing of the mode and whose pullback holds its input."""
    inputs, kept = [], []

    def watch(params, x, mode=EVAL):
        kept.append([earlier() is not None for earlier in inputs])
        inputs.append(weakref.ref(x))
        return x + 0, lambda dy: (dy + 0 * x, {}), {}

    params = nn.init_mlp(0, (3, 4, 2))
    net = serial(affine(1), watch, layers.relu, watch, affine(2), watch)
    result = net(params, rng.standard_normal((5, 3)), Mode(grad=grad))
    assert result[0].shape == (5, 2)
    assert kept[-1] == [grad, grad]
    assert [x() is not None for x in inputs] == [grad] * 3


def test_an_op_without_a_name_is_lifted_too(rng):
    layer = layers.lift(functools.partial(ops.dropout, rate=0.5, key=(0, 1)))
    x = rng.normal(size=(4, 3))
    assert_array_equal(layer({}, x)[0], ops.dropout(x, 0.5, (0, 1))[0])
    assert layer.__name__.startswith("functools.partial(")


# fan_out, parallel, join


RESIDUAL = layers.serial(layers.fan_out(layers.serial(affine(1), layers.tanh), layers.identity), layers.join(ops.add))


@pytest.mark.parametrize("key", [None, (3, 5)])
def test_branches_against_differences(key, rng):
    """Two branches with shared weights, chance and statistics, two outputs that meet again, then two inputs."""
    net = layers.serial(
        layers.fan_out(
            layers.serial(affine(1), layers.batch_norm(1), layers.tanh),
            layers.serial(affine(1), layers.dropout(0.4)),
            affine(2),
        ),
        layers.parallel(affine(3), layers.identity, layers.sigmoid),
        layers.join(three),
    )
    params = {f"{letter}{i}": rng.standard_normal((3, 3) if letter == "W" else 3) for i in (1, 2, 3) for letter in "Wb"}
    params |= {"gamma1": 1 + rng.random(3), "beta1": rng.standard_normal(3)}
    mode = Mode({"mean1": rng.standard_normal(3), "var1": 1 + rng.random(3)}, key)
    x, w = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    dx, grads = net(params, x, mode)[1](w)
    assert grads.keys() == params.keys()

    def loss(p):
        return np.sum(w * net(p, p["x"], mode)[0])

    at = params | {"x": x}
    apart = nn.check_gradients(loss, at, grads | {"x": dx})
    assert max(apart.values()) < 2e-6  # the batch's variance bends


def three(x, y, z):
    """An op of three inputs that treats them unalike."""
    return x * y - z, lambda dy: (dy * y, dy * x, -dy)


def test_a_residual_block_adds_its_input(rng):
    params = {"W1": rng.standard_normal((3, 3)), "b1": rng.standard_normal(3)}
    x, dy = rng.standard_normal((2, 4, 3))
    y, pullback, _ = RESIDUAL(params, x)
    inner, back, _ = layers.serial(affine(1), layers.tanh)(params, x)
    assert_array_equal(y, inner + x)
    dx, grads = pullback(dy)
    assert_array_equal(dx, back(dy)[0] + dy)
    assert_array_equal(grads["W1"], back(dy)[1]["W1"])


def test_each_branch_in_training_has_a_key_of_its_own(rng):
    seen = []

    def spy(params, x, mode):
        seen.append(mode)
        return x, lambda dy: (dy, {}), {f"seen{len(seen)}": x}

    mode = Mode({"m": 1}, key=(1, 2), grad=False)
    y, _, stats = layers.fan_out(spy, layers.serial(spy))({}, np.ones(2), mode)
    assert isinstance(y, tuple)
    assert [m.key for m in seen] == [(1, 2, 0), (1, 2, 1, 0)]
    assert [m.stats for m in seen] == [{"m": 1}] * 2
    assert {m.grad for m in seen} == {False}
    assert list(stats) == ["seen1", "seen2"]
    layers.parallel(spy, spy)({}, y, Mode(key=(7,)))
    assert [m.key for m in seen[2:]] == [(7, 0), (7, 1)]


def test_branches_hear_whether_anybody_wants_dx(rng):
    params = {"W1": np.ones((3, 3)), "b1": np.zeros(3)}
    x = rng.standard_normal((4, 3))
    for dx in (True, False):
        _, pullback, _ = RESIDUAL(params, x, Mode(dx=dx))
        assert (pullback(x)[0] is None) is not dx
    behind = layers.serial(affine(1), RESIDUAL)
    assert nn.value_and_grad(behind, ops.mean_squared_error)(params, x, x)[1]["W1"].shape == (3, 3)
    both = layers.parallel(affine(1), layers.identity)
    assert both(params, (x, x), Mode(dx=False))[1]((x, x))[0][0] is None


def test_a_fan_out_of_tuples_adds_their_gradients_one_by_one(rng):
    net = layers.serial(
        layers.parallel(layers.tanh, layers.sigmoid), layers.fan_out(layers.join(ops.add), layers.join(ops.mul))
    )
    x, y = rng.standard_normal((2, 3))
    _, pullback, _ = net({}, (x, y))
    (dx, dy), _ = pullback((np.ones(3), np.full(3, 2.0)))
    a, b = np.tanh(x), nn.sigmoid(y)
    assert_allclose(dx, (1 + 2 * b) * (1 - a * a))
    assert_allclose(dy, (1 + 2 * a) * b * (1 - b))


def test_two_heads_and_two_inputs_train(rng):
    """Two losses of two heads, added; and a net of two inputs, in batches of tuples."""
    net = layers.serial(
        layers.parallel(affine(1), affine(2)), layers.join(ops.add), layers.fan_out(affine(3), affine(4))
    )
    params = {}
    for i, (inputs, outputs) in enumerate([(3, 4), (2, 4), (4, 2), (4, 1)], 1):
        params |= nn.init_affine(0, i, inputs, outputs)
    x = rng.standard_normal((20, 3)).astype(np.float32), rng.standard_normal((20, 2)).astype(np.float32)
    t = (x[0][:, :1] > 0).ravel().astype(int)

    def loss(scores, t):
        (one, back_one), (two, back_two) = (
            ops.softmax_cross_entropy(scores[0], t),
            ops.mean_squared_error(scores[1], t[:, None]),
        )
        return one + two, lambda dloss=1.0: ((*back_one(dloss), *back_two(dloss)),)

    optimizer = nn.adam(0.05)
    step = nn.train_step(nn.value_and_grad(net, loss), optimizer)
    run = nn.fit(step, nn.init_state(optimizer, params), nn.minibatches(x, t, 10), 60)
    state, curves = nn.history(run)
    assert curves["loss"][1][-1] < 0.3 < curves["loss"][1][0]
    scores = nn.predict(net, state.params, x)
    for whole, parts in zip(scores, nn.predict(net, state.params, x, batch_size=7), strict=True):
        assert_allclose(parts, whole, rtol=1e-6)
    assert nn.accuracy(scores[0], t) > 0.9


def test_the_place_of_an_error_is_told_whatever_its_kind():
    def broken(params, x, mode):
        return params["absent"]

    net = layers.serial(layers.relu, layers.fan_out(layers.identity, broken))
    with pytest.raises(KeyError) as error:
        net({}, np.ones((2, 3)))
    assert error.value.__notes__ == [
        "in layer 1 of 2: broken, input shape (2, 3)",
        "in layer 1 of 2: fan_out(identity, broken), input shape (2, 3)",
    ]


def test_the_shapes_of_several_inputs_are_told():
    net = layers.serial(layers.fan_out(layers.relu, affine(1)), layers.join(ops.add))
    with pytest.raises(ValueError, match=r"^add: x \(2, 3\), y \(2, 4\)") as error:
        net({"W1": np.ones((3, 4)), "b1": np.ones(4)}, np.ones((2, 3)))
    assert error.value.__notes__ == ["in layer 1 of 2: join(add), input shape (2, 3), shape (2, 4)"]


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (
            layers.parallel(layers.relu, layers.tanh),
            np.ones(2),
            "parallel(relu, tanh): the input is an array of shape (2,), wanted a tuple of 2",
        ),
        (
            layers.parallel(layers.relu, layers.tanh),
            (1.0,),
            "parallel(relu, tanh): the input is a tuple of 1, wanted a tuple of 2",
        ),
        (layers.join(ops.add), np.ones(2), "join(add): the input is an array of shape (2,), wanted a tuple"),
    ],
)
def test_tuples_of_another_length_are_refused(layer, x, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer({}, x)


def test_a_gradient_that_is_no_tuple_of_so_many_is_refused():
    _, pullback, _ = layers.fan_out(layers.relu, layers.tanh)({}, np.ones(2))
    for dy, came in ((np.ones(2), "an array of shape (2,)"), ((np.ones(2),), "a tuple of 1")):
        message = f"fan_out(relu, tanh): the gradient is {came}, wanted a tuple of 2"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            pullback(dy)


def test_what_is_put_together_is_called_by_what_it_holds():
    assert RESIDUAL.__name__ == "serial(fan_out(serial(affine(W1, b1), tanh), identity), join(add))"
    assert nn.mlp(layers.tanh, dropout=0.5).__name__ == "mlp(tanh, dropout(0.5))"
    assert layers.parallel(nn.mlp(), layers.relu).__name__ == "parallel(mlp(relu), relu)"


def test_an_op_is_asked_for_its_signature_once(monkeypatch):
    asked = []
    monkeypatch.setattr(layers, "signature", lambda op: asked.append(op) or inspect.signature(op))

    def fresh(x, *, dx=True):
        return x, lambda dy: (dy if dx else None,)

    for _ in range(3):
        assert lift(fresh)({}, np.ones(2), Mode(dx=False))[1](np.ones(2))[0] is None
    assert asked == [fresh]


def test_a_lifted_layer_carries_its_settings():
    assert lift(ops.dropout, rate=0.5, key=(1,)).settings == {"rate": 0.5, "key": (1,)}
    assert layers.conv2d(1, stride=2, pad=(0, 1)).settings == {"stride": (2, 2), "pad": (0, 1)}
    assert layers.max_pool2d(2).settings == {"size": (2, 2), "stride": (2, 2), "pad": (0, 0)}
    assert affine(1).settings == {}


@pytest.mark.parametrize("gradients", [(), (1.0,), (1.0, 2.0, 3.0), [1.0, 2.0], None])
def test_a_pullback_gives_a_gradient_for_the_input_and_each_weight(gradients):
    layer = lift(lambda x, w: (x * w, lambda dy: gradients), "w")
    _, pullback, _ = layer({"w": np.ones(2)}, np.ones(2))
    with pytest.raises(ValueError, match=r"returned .*, wanted \(dx, dw\)"):
        pullback(np.ones(2))
    none = lift(lambda x: (x, lambda dy: ()))({}, np.ones(2))[1]
    with pytest.raises(ValueError, match=r"returned .*, wanted \(dx\)"):
        none(np.ones(2))


@pytest.mark.parametrize("answer", [None, (1.0,), (1.0, {}, {}), [1.0, {}]])
def test_a_layer_in_a_chain_whose_way_back_gives_no_pair_is_told(answer):
    net = serial(lambda params, x, mode: (x, lambda dy: answer, {}))
    with pytest.raises(ValueError, match=r"returned .*, wanted \(dx, grads\)"):
        net({}, np.ones(2))[1](np.ones(2))


def test_two_branches_take_two_gradients():
    _, pullback, _ = layers.parallel(layers.relu, layers.tanh)({}, (np.ones(2), np.ones(2)))
    for wrong in ((np.ones(2),), (np.ones(2),) * 3, [np.ones(2)] * 2):
        with pytest.raises(ValueError, match=r"the gradient is .*, wanted a tuple of 2$"):
            pullback(wrong)


@pytest.mark.parametrize(("setting", "value"), [("stride", 0), ("pad", -1), ("size", 0)])
def test_a_layer_that_cannot_be_is_refused_when_it_is_made(setting, value):
    with pytest.raises(ValueError, match=rf"^max_pool2d: {setting} is {value}, wanted an int from {value + 1} up"):
        layers.max_pool2d(**{"size": 2} | {setting: value})


def test_what_is_no_layer_is_refused_by_what_takes_layers():
    for wrong in (ops.relu, nn.relu, layers.affine, 3):
        with pytest.raises(ValueError, match=r"^serial: layer 0 is .*; wanted a layer"):
            serial(wrong)
    serial(layers.affine(1), lambda params, x, mode: (x, None, {}))


def test_a_mode_of_a_kind_of_its_own_is_a_mode():
    class Loud(Mode):
        pass

    assert layers.relu({}, np.ones(2), Loud())[0].tolist() == [1, 1]


def test_the_walk_over_the_layers_goes_into_chains_within_chains():
    net = serial(layers.affine(1), serial(layers.relu, serial(layers.affine(2))))
    params = {"W1": 1, "b1": 1, "W2": 1, "b2": 1}
    found = [(layer.__name__, mode.key) for layer, mode in layers._leaves(net, params, Mode(key=(5,)))]
    assert found == [("affine(W1, b1)", (5, 0)), ("relu", (5, 1, 0)), ("affine(W2, b2)", (5, 1, 1, 0))]
