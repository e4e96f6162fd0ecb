"""Laws: what holds for every public function, for any arrays, by the one table of how each is called.

Purity and dtype hold for all of them. What acts on each sample of a batch by itself is shown to; what breaks such a
law by right stands beside it with the reason, and must break it.
"""

import pickle
import random
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops
from nnfunc.layers import Mode

from . import calls
from .calls import CALLS, LAYERS, MODES, OPS, OPTIMIZERS, PUBLIC, SAMPLES, VALUES, held, leaves

few, some = settings(max_examples=5), settings(max_examples=12)
SIZES = st.fixed_dictionaries({"seed": st.integers(0, 999), "N": st.integers(4, 6), "D": st.integers(2, 4)})
# What is drawn, read or made of nothing but settings takes its time, and has no other answer for other arrays.
SAME_FOR_ALL = ("plots.", "initializers.", "datasets.load", "datasets.xor", "pretrained.", "networks.deep")


def drawn(data, name):
    """Draw the sizes of a call's arrays and what is in them."""
    return {} if name.startswith(SAME_FOR_ALL) else data.draw(SIZES)


@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_public_is_missing_here(name):
    assert name in CALLS, f"nnfunc.{name} is public: add a call of it to tests/calls.py"


# Purity


def chance():
    return pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002


@pytest.mark.traps("T01", "T11", "T14", "T18", "T31")
@pytest.mark.parametrize("name", CALLS)
@few
@given(data=st.data())
def test_pure(name, data):
    i = calls.given(**drawn(data, name))
    arguments, global_state = pickle.dumps(vars(i)), chance()
    first = CALLS[name](i)
    snapshot = pickle.dumps(leaves(first))
    second = CALLS[name](i)
    assert len(leaves(first)) == len(leaves(second)) > 0
    for a, b in zip(leaves(first), leaves(second), strict=True):
        assert_array_equal(a, b, strict=True)
    assert pickle.dumps(leaves(first)) == snapshot, "the second call changed what the first had returned"
    assert pickle.dumps(vars(i)) == arguments, "an argument was changed"
    assert chance() == global_state, "a global generator was used"


# dtype

# Differences need it; a smoothed curve is a picture.
IN_FLOAT64 = {"numerical.numerical_value_and_grad", "plots.smooth_curve"}
IN_FLOAT64 |= {name for name in CALLS if name.startswith("gradient.")}


@pytest.mark.traps("T02")
@pytest.mark.parametrize("name", CALLS)
@few
@given(data=st.data())
def test_float32_stays_float32_but_differences_are_float64(name, data):
    wanted = np.float64 if name in IN_FLOAT64 else np.float32
    for leaf in leaves(CALLS[name](calls.given(np.float32, **drawn(data, name)))):
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind == "f":
            assert leaf.dtype == wanted


# What counts with its arrays; what only hands them on leaves whole numbers as they are.
COUNTS = ("functions.", "ops.", "conv.", "layers.", "networks.", "optimizers.", "gradient.", "numerical.", "_arrays.op")


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith(COUNTS) and "deep" not in name])
@few
@given(sizes=SIZES)
def test_whole_numbers_are_what_they_are_in_float64(name, sizes):
    wholes, floats = (without_fractions(dtype, **sizes) for dtype in (np.int64, np.float64))
    for a, b in zip(leaves(CALLS[name](wholes)), leaves(CALLS[name](floats)), strict=True):
        assert_array_equal(a, b, strict=True)


def without_fractions(dtype, **sizes):
    """Return whole numbers for all arrays but an optimizer's memory, which is its own."""
    found = calls.inputs(**sizes)
    found["unit"] = np.eye(sizes["D"])[found["t"]]
    change = {name: calls.mapped(lambda a: held(rounded(a, dtype)), found[name]) for name in found.keys() - KEPT}
    return SimpleNamespace(**found | change)


KEPT = {"t", "memory", "count", "none"}


def rounded(a, dtype):
    """Round, but to no zero: it has no sign to divide by."""
    return np.where((abs(a) < 0.5) & (a != 0), np.copysign(1.0, a), a.round()).astype(dtype)


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "sum_squared_error", "mean_squared_error"]
)
def test_pixels_as_ints_train_a_float32_net_in_float32(loss):
    x, t = np.array([[0, 255], [3, 7]], np.uint8), np.eye(2, dtype=np.uint8)
    params = nn.init_mlp(0, (2, 4, 2))
    value, grads, _ = nn.value_and_grad(nn.mlp(), getattr(ops, loss))(params, x, t)
    assert value.dtype == np.float32
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


# Ops, and layers as ops of their input and their weights


def as_op(run, key):
    """Return a function that gives for some inputs an op, its arguments, and which of them have a row a sample."""

    def way(i):
        params, x = run.of(i)
        several, inputs = isinstance(x, tuple), len(run.names.split())

        def op(*args):
            weights = dict(zip(params, args[inputs:], strict=True))
            y, pullback, _ = run.layer(weights, args[:inputs] if several else args[0], Mode(i.stats, key))

            def back(dy):
                dx, grads = pullback(dy)
                return *(dx if several else (dx,)), *(grads[name] for name in weights)

            return y, back

        xs = x if several else (x,)
        return op, [*xs, *params.values()], [True] * len(xs) + [False] * len(params)

    return way


def plain(f, case):
    def way(i):
        return lambda *args: f(*args, **case.settings), case.of(i), [name in SAMPLES for name in case.names.split()]

    return way


LAYER_WAYS = {
    f"{name}({run.params}, {run.names}), {mode}": as_op(run, key)
    for name, runs in LAYERS.items()
    for run in runs
    for mode, key in MODES.items()
}
OP_WAYS = {f"{name}({case.names})": plain(PUBLIC[name], case) for name, cases in OPS.items() for case in cases}
WAYS = OP_WAYS | LAYER_WAYS
IN_ROWS = [name for name in WAYS if name != "ops.affine(row W b)"]  # that is one sample, and has none


def sizes_for(data, name):
    return {} if "deep" in name else data.draw(SIZES)


def random_like(a, seed=7):
    return np.asarray(np.random.default_rng(seed).standard_normal(np.shape(a)), np.result_type(a))[()]


def close(a, b):
    assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1 + np.max(np.abs(b), initial=0)))


ROWS_OF_WEIGHTS = lambda x, *weights: (*x.shape[:-1], *weights[-1].shape)  # as many scores as the last bias has numbers
OTHER_SHAPES = {
    **dict.fromkeys(["functions.perceptron"], lambda x, w: x.shape[:1]),
    "functions.one_hot": lambda t: (*t.shape, 4),
    "flatten": lambda x: (len(x), x[0].size),
    **dict.fromkeys(["ops.affine", "layers.affine", "layers.lift", "layers.serial", "mlp"], ROWS_OF_WEIGHTS),
    "convnet": lambda x, *weights: (len(x), *weights[-1].shape),
    **dict.fromkeys(["error", "entropy", "accuracy"], lambda *args: ()),
    **dict.fromkeys(["conv2d", "pool2d"], None),  # test_conv.py counts the places of windows
}


def check_shape(name, y, args):
    shape = next((shape for part, shape in OTHER_SHAPES.items() if part in name), lambda x, *rest: x.shape)
    assert shape is None or y.shape == shape(*args)


@pytest.mark.parametrize("name", VALUES)
@some
@given(sizes=SIZES)
def test_the_shape_of_a_value(name, sizes):
    i = calls.given(**sizes)
    for case in VALUES[name]:
        check_shape(name, PUBLIC[name](*case.of(i), **case.settings), case.of(i))


@pytest.mark.parametrize("name", WAYS)
@few
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]))
def test_the_shape_of_an_op_and_gradients_like_what_they_are_gradients_of(name, data, dtype):
    op, args, _ = WAYS[name](calls.given(dtype, **sizes_for(data, name)))
    y, pullback = op(*args)
    check_shape(name, y, args)
    grads = pullback(random_like(y))
    assert len(grads) == (1 if y.shape == () else len(args))  # no gradient by the targets of a loss
    for a, g in zip(args, grads, strict=False):
        assert (g.shape, g.dtype) == (a.shape, a.dtype)


# A batch against its samples

THE_BATCHS_OWN = "mean and variance are those of the batch"
BY_PLACE = "the mask belongs to the place in the batch, not to the sample that stands there"
NOT_ONE_BY_ONE = {
    **dict.fromkeys(["ops.batch_norm(x w b)", "networks.mlp(norm, x), training"], THE_BATCHS_OWN),
    **{f"layers.batch_norm(gain_{x}, {x}), training": THE_BATCHS_OWN for x in ("x", "image")},
}
OUT_OF_PLACE = dict.fromkeys(
    [
        *("ops.dropout(x)", "layers.dropout(none, x), training"),
        *("networks.mlp(params, x), training", "networks.deep_convnet(deep, digits), training"),
    ],
    BY_PLACE,
)
ADDED_UP = {"ops.sum_squared_error(x y)": "a sum over the batch, where the other losses are means"}


def one_by_one(name, i):
    """Compare an op on a batch with the same op on each of its samples."""
    op, args, batched = WAYS[name](i)
    y, pullback = op(*args)
    N, loss = len(args[0]), y.shape == ()
    dy = random_like(y)
    samples = [[a[n : n + 1] if rows else a for a, rows in zip(args, batched, strict=True)] for n in range(N)]
    runs = [op(*sample) for sample in samples]
    share = 1 if not loss or name in ADDED_UP else 1 / N
    if loss:
        close(sum(value for value, _ in runs) * share, y)
        dys = [dy * share] * N
    else:
        close(np.concatenate([value for value, _ in runs]), y)
        dys = [dy[n : n + 1] for n in range(N)]
    apart = [back(d) for (_, back), d in zip(runs, dys, strict=True)]
    for k, g in enumerate(pullback(dy)):
        parts = [grads[k] for grads in apart]
        close(np.concatenate(parts) if batched[k] else sum(parts), g)


@pytest.mark.parametrize("name", [name for name in IN_ROWS if name not in NOT_ONE_BY_ONE | OUT_OF_PLACE])
@few
@given(data=st.data())
def test_a_batch_is_its_samples_one_by_one(name, data):
    one_by_one(name, calls.given(**sizes_for(data, name)))


@pytest.mark.parametrize("name", NOT_ONE_BY_ONE | OUT_OF_PLACE)
def test_a_batch_that_is_not_its_samples_has_its_reason(name):
    with pytest.raises((AssertionError, ValueError), match=r"Not equal|wants at least 2 values"):
        one_by_one(name, calls.given())


def permuted(name, i):
    """Compare an op on a batch with the same op on the batch in another order."""
    op, args, batched = WAYS[name](i)
    order = np.random.default_rng(3).permutation(len(args[0]))
    order = order[::-1] if (order == range(len(order))).all() else order
    moved = [a[order] if rows else a for a, rows in zip(args, batched, strict=True)]
    (y, pullback), (moved_y, moved_pullback) = op(*args), op(*moved)
    dy = random_like(y)
    close(moved_y, y[order] if y.shape else y)
    for rows, g, moved_g in zip(batched, pullback(dy), moved_pullback(dy[order] if y.shape else dy), strict=False):
        close(moved_g, g[order] if rows else g)


@pytest.mark.parametrize("name", [name for name in IN_ROWS if name not in OUT_OF_PLACE])
@few
@given(data=st.data())
def test_a_batch_in_another_order_gives_the_same_in_that_order(name, data):
    permuted(name, calls.given(**sizes_for(data, name)))


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_an_order_that_counts_has_its_reason(name):
    with pytest.raises(AssertionError, match="Not equal"):
        permuted(name, calls.given())


OF_ALL = {"sum_squared_error": np.sum, "mean_squared_error": np.mean, "cross_entropy_error": np.mean}
OF_ALL |= {"accuracy": np.mean}


@pytest.mark.parametrize("name", VALUES)
@some
@given(sizes=SIZES)
def test_a_value_of_a_batch_is_that_of_each_sample_alone(name, sizes):
    """Here a sample may come without a batch."""
    i, f = calls.given(**sizes), PUBLIC[name]
    for case in VALUES[name]:
        args, names = case.of(i), case.names.split()
        together = f(*args, **case.settings)
        alone = [
            f(*(a[n] if key in SAMPLES else a for key, a in zip(names, args, strict=True)), **case.settings)
            for n in range(sizes["N"])
        ]
        close(OF_ALL.get(name.rpartition(".")[2], np.asarray)(alone), together)


# Rows of a batch, however the batch is laid out


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(2, 4), st.integers(0, 999), st.booleans())
def test_a_loss_of_several_axes_is_the_mean_over_all_their_rows(axes, C, seed, soft):
    """Of (N, T, C) scores, too: one for each place of each sequence."""
    rng = np.random.default_rng(seed)
    z, t = rng.standard_normal((*axes, C)), rng.integers(C, size=axes)
    t = nn.softmax(rng.standard_normal(z.shape)) if soft else t
    rows, labels = z.reshape(-1, C), t.reshape(-1, C) if soft else t.ravel()
    (loss, pullback), (rows_loss, rows_pullback) = (ops.softmax_cross_entropy(*a) for a in ((z, t), (rows, labels)))
    close(loss, rows_loss)
    alone = [ops.softmax_cross_entropy(z[None], t[None])[0] for z, t in zip(rows, labels, strict=True)]
    close(rows_loss, np.mean(alone))
    close(pullback()[0].reshape(-1, C), rows_pullback()[0])
    y = nn.softmax(z)
    close(nn.cross_entropy_error(y, t), nn.cross_entropy_error(y.reshape(-1, C), labels))
    close(nn.accuracy(z, t), nn.accuracy(rows, labels))


@pytest.mark.parametrize("off", [[5e-4, 4e-4], [-5e-4, -4e-4], [-9e-4, 9e-4], [1.1e-3, 0], [0, -1.1e-3], [-2e-3, 2e-3]])
def test_rows_are_probabilities_within_a_thousandth(off):
    """Their sum, and no entry further below zero: what float16 rounds passes, and no scores."""
    rows = np.array([[0.5, 0.5 + off[1], off[0]], [0.0, 0.0, 1.0]])
    right = max(abs(sum(off)), -min(off)) < 1e-3
    with nullcontext() if right else pytest.raises(ValueError, match=r"the rows of t sum to"):
        assert np.isfinite(ops.softmax_cross_entropy(np.zeros((2, 3)), rows)[0])
    with nullcontext() if right else pytest.raises(ValueError, match=r"the rows of y sum to"):
        assert np.isfinite(nn.cross_entropy_error(rows, [0, 2]))


# What observes, observes a batch in any order alike


@pytest.mark.parametrize("name", LAYERS)
@few
@given(data=st.data())
def test_what_a_layer_observes_fits_what_it_was_given_and_is_nothing_in_evaluation(name, data):
    i = calls.given(**sizes_for(data, name))
    for run in LAYERS[name]:
        params, x = run.of(i)
        observed = {mode: run.layer(params, x, Mode(i.stats, key))[2] for mode, key in MODES.items()}
        if name == "layers.tap":
            assert_array_equal(observed["evaluation"]["seen"], x)
            continue
        assert observed["evaluation"] == {}
        for key, a in observed["training"].items():
            assert (a.shape, a.dtype) == (i.stats[key].shape, i.stats[key].dtype)


# The way back of layers and networks; the ops' own is in test_ops.py and test_conv.py


@pytest.mark.parametrize("name", LAYER_WAYS)
@few
@given(data=st.data())
def test_the_way_back_is_linear_and_the_same_each_time(name, data):
    op, args, _ = WAYS[name](calls.given(**sizes_for(data, name)))
    y, pullback = op(*args)
    u, v = random_like(y, 1), random_like(y, 2)
    du, dv, both = pullback(u), pullback(v), pullback(2 * u - 3 * v)
    for one, other, sum_, again in zip(du, dv, both, pullback(u), strict=True):
        close(sum_, 2 * one - 3 * other)
        assert_array_equal(again, one, strict=True)


# The many units of the deep network stand too close to their kinks for any step; its layers are looked at one by one.
@pytest.mark.parametrize("name", [name for name in LAYER_WAYS if "deep" not in name])
@some
@given(sizes=SIZES)
def test_the_way_back_of_each_layer_is_that_of_differences(name, sizes):
    op, args, _ = WAYS[name](calls.given(**sizes))
    try:
        far = nn.check_vjp(op, args, rtol=1e-4, h=1e-6)
    except ValueError:  # a kink may lie between the two points; nearer ones leave it outside
        far = nn.check_vjp(op, args, rtol=1e-3, h=1e-8)
    assert len(far) == len(args)


# Softmax


@st.composite
def scores(draw):
    """Scores of one to three axes, one of the axes, and a shift for each row along it."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = draw(st.sampled_from([0.1, 1.0, 100.0])) * rng.standard_normal(shape)
    return x, axis, 1e3 * rng.standard_normal(x.sum(axis=axis, keepdims=True).shape)


@given(scores())
def test_softmax_along_any_axis_sums_to_one_and_does_not_mind_a_shift_of_its_rows(case):
    x, axis, shift = case
    for probabilities in (nn.softmax, lambda x, axis: np.exp(nn.log_softmax(x, axis))):
        y = probabilities(x, axis)
        assert y.shape == x.shape
        assert_allclose(y.sum(axis=axis), 1, rtol=1e-12)
        assert_allclose(probabilities(x + shift, axis), y, rtol=1e-9, atol=1e-300)


# Layers put together

BLOCKS = {
    **{name: getattr(layers, name) for name in ("identity", "relu", "tanh", "softmax")},
    "affine": layers.affine(""),
    "tied": calls.TIED,
    "batch_norm": layers.batch_norm("x"),
    "residual": layers.serial(layers.fan_out(calls.SHARED, layers.identity), layers.join(ops.add)),
    "tap": layers.tap("seen"),
}
CHAINS = st.lists(st.sampled_from(sorted(BLOCKS)), max_size=3).map(lambda names: [BLOCKS[name] for name in names])
KEYS = st.sampled_from([None, (3,), (3, 1)])


def everything(net, i, key):
    """Return the value, the gradients and what was observed."""
    y, pullback, stats = net(i.one | i.gain_x, i.x, Mode(i.stats, key))
    dx, grads = pullback(random_like(y))
    return {"y": y, "dx": dx} | {f"d{name}": g for name, g in grads.items()} | stats


def assert_alike(found, wanted):
    assert found.keys() == wanted.keys()
    for name, a in wanted.items():
        assert_allclose(found[name], a, rtol=1e-7, atol=1e-9 * (1 + abs(a).max()), err_msg=name)


@given(CHAINS, CHAINS, CHAINS, KEYS, SIZES)
def test_serial_is_associative_in_both_modes(f, g, h, key, sizes):
    """Of all that draws nothing: a layer's key, and so its mask, is its place in the chain."""
    i, chain = calls.given(**sizes), layers.serial
    flat = everything(chain(*f, *g, *h), i, key)
    for net in (chain(chain(*f, *g), *h), chain(*f, chain(*g, *h)), chain(chain(*f), chain(*g), chain(*h))):
        assert_alike(everything(net, i, key), flat)


def test_where_a_chain_draws_its_nesting_counts():
    i, drop = calls.given(N=6), layers.dropout(0.5)
    flat, nested = layers.serial(layers.tanh, drop), layers.serial(layers.serial(layers.tanh, drop))
    assert (everything(flat, i, (3,))["y"] != everything(nested, i, (3,))["y"]).any()
    assert_alike(everything(flat, i, None), everything(nested, i, None))


@given(CHAINS, CHAINS, KEYS, SIZES)
def test_fan_out_and_join_with_add_is_the_sum(f, g, key, sizes):
    i = calls.given(**sizes)
    branches = [layers.serial(*f, layers.dropout(0.5)), layers.serial(*g)]
    both = everything(layers.serial(layers.fan_out(*branches), layers.join(ops.add)), i, key)
    apart = [everything(net, i, key and (*key, 0, k)) for k, net in enumerate(branches)]
    total = {}
    for found in apart:
        for name, a in found.items():
            added = name in total and name not in ("seen", "meanx", "varx")  # of what is observed the last one stays
            total[name] = total[name] + a if added else a
    assert_alike(both, total)


# Optimizers


@st.composite
def trees(draw):
    """Parameters and three gradients of any names and shapes, and other names for them."""
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=5, unique=True))
    order = draw(st.permutations(names))
    others = draw(st.lists(st.text(min_size=1, max_size=4), min_size=len(names), max_size=len(names), unique=True))
    shapes = draw(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=len(names), max_size=len(names)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    tree = lambda: {n: rng.standard_normal(s).astype(dtype) for n, s in zip(names, shapes, strict=True)}
    return tree(), [tree() for _ in range(3)], order, dict(zip(names, others, strict=True))


def descended(optimizer, params, grads):
    opt = optimizer.init(params)
    for g in grads:
        params, opt = optimizer.step(params, g, opt)
    return {"params": params} | opt


def renamed(tree, names):
    return {names[name]: a for name, a in tree.items() if name in names}


def assert_bits(found, wanted):
    assert found.keys() == wanted.keys()
    assert found.pop("t") == wanted.pop("t")
    for slot, tree in wanted.items():
        assert found[slot].keys() == tree.keys()
        for name, a in tree.items():
            assert_array_equal(found[slot][name], a, strict=True)


@pytest.mark.parametrize("name", OPTIMIZERS)
@some
@given(trees())
def test_steps_depend_neither_on_names_nor_on_their_order(name, case):
    params, grads, order, others = case
    optimizer = OPTIMIZERS[name]()
    if name == "adamw":  # by its word: what it decays are the names that begin with W
        others = {old: ("W" if old.startswith("W") else "b") + new for old, new in others.items()}
    path = descended(optimizer, params, grads)
    shuffled = [{key: tree[key] for key in order} for tree in (params, *grads)]
    assert_bits(descended(optimizer, shuffled[0], shuffled[1:]), dict(path))
    called = [renamed(tree, others) for tree in (params, *grads)]
    memory = {slot: renamed(tree, others) for slot, tree in path.items() if slot != "t"}
    assert_bits(descended(optimizer, called[0], called[1:]), {"t": path["t"]} | memory)


@pytest.mark.parametrize("name", OPTIMIZERS)
@some
@given(trees(), st.integers(0, 5))
def test_one_step_on_all_is_the_steps_on_the_parts(name, case, cut):
    params, grads, order, _ = case
    optimizer, joined = OPTIMIZERS[name](), {}
    for part in (order[:cut], order[cut:]):
        same = dict(zip(part, part, strict=True))
        some = descended(optimizer, renamed(params, same), [renamed(g, same) for g in grads])
        joined = {slot: a if slot == "t" else joined.get(slot, {}) | a for slot, a in some.items()}
    assert_bits(joined, descended(optimizer, params, grads))


def test_adamw_tells_a_weight_by_its_name():
    path = descended(OPTIMIZERS["adamw"](), {"W": np.ones(2), "b": np.ones(2)}, [{"W": np.ones(2), "b": np.ones(2)}])
    assert (path["params"]["W"] < path["params"]["b"]).all()


# Files

NAMES = st.text(min_size=1, max_size=5)
NUMBERS = ["?", "i1", "u2", ">i4", "u8", "f2", "f4", "f8", ">f8", "g", "c8", "c16"]
NO_NUMBERS = ["S3", "U2", "O", "M8[s]", "i4,f4"]


@st.composite
def arrays(draw, dtypes=(*NUMBERS, *NUMBERS, *NO_NUMBERS)):
    """Arrays of any dtype and of any bits, some of them no numbers, some of no elements, some with gaps."""
    dtype, shape = np.dtype(draw(st.sampled_from(dtypes))), draw(st.lists(st.integers(0, 3), max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    if dtype.kind in "OUS?" or dtype == np.dtype("g"):  # not all bits are one of them
        a = rng.integers(2, size=shape).astype(dtype)
    else:
        a = np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
    return draw(st.sampled_from([a, a.T, a[..., ::-1] if a.ndim else a]))


def assert_came_back(found, gone):
    """Compare two trees: their types, names in order, dtypes and bits."""
    assert type(found) is type(gone)
    if isinstance(gone, dict):
        assert list(found) == list(gone)
        for name, value in gone.items():
            assert_came_back(found[name], value)
    elif isinstance(gone, (np.ndarray, np.generic)):
        assert (found.dtype, found.shape) == (gone.dtype, gone.shape)
        assert found.tobytes() == gone.tobytes()
    else:
        assert repr(found) == repr(gone)  # a nan is itself, and 0.0 is not -0.0


@given(st.dictionaries(NAMES, arrays(), max_size=4))
def test_parameters_that_can_be_saved_come_back(params):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.npz")
        if accepted("save_params", nn.save_params, path, params):
            assert_came_back(nn.load_params(path), params)
        else:
            assert not path.exists()


@pytest.mark.parametrize("dtype", [*NUMBERS, *NO_NUMBERS])
@few
@given(data=st.data())
def test_numbers_of_each_dtype_come_back_and_what_is_none_is_refused(dtype, data):
    a = data.draw(arrays([dtype]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.npz")
        assert accepted("save_params", nn.save_params, path, {"a": a}) == (dtype in NUMBERS)
        if dtype in NUMBERS:
            assert_came_back(nn.load_params(path), {"a": a})


def accepted(where, save, path, thing):
    """Save a thing, or see it refused by name, which is another way to lose nothing."""
    message = ""
    try:
        save(path, thing)
    except ValueError as error:
        message = str(error)
    assert message == "" or message.startswith(f"{where}: ")
    return message == ""


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([1, 2]), st.just((0.5,))),
    st.sampled_from([np.float32(0.5), np.float64(np.nan), np.int64(-3), np.bool_(True), np.float16(1), 1j]),
)
MEMORY = st.recursive(
    st.one_of(SCALARS, arrays()), lambda trees: st.dictionaries(NAMES, trees, max_size=3), max_leaves=6
)
STATES = st.builds(
    nn.State,
    st.dictionaries(NAMES, arrays(), max_size=2),
    st.dictionaries(NAMES, arrays(), max_size=2),
    st.dictionaries(NAMES, MEMORY, max_size=3),
    st.integers(0, 2**70),
    st.integers(0, 2**40),
)


@given(STATES)
def test_states_that_can_be_saved_come_back(state):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state.npz")
        if accepted("save_state", nn.save_state, path, state):
            found = nn.load_state(path)
            assert type(found) is nn.State
            assert_came_back(found._asdict(), state._asdict())
        else:
            assert not path.exists()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_memory_of_each_optimizer_can_be_saved(name):
    i, optimizer = calls.given(), OPTIMIZERS[name]()
    _, opt = optimizer.step(i.params, i.grads, optimizer.init(i.params))
    state = nn.State(i.params, i.stats, opt, 1, 1)
    with tempfile.TemporaryDirectory() as folder:
        nn.save_state(f"{folder}/a", state)
        assert_came_back(nn.load_state(f"{folder}/a")._asdict(), state._asdict())
