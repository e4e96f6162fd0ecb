"""Ops: their values and pullbacks against differences, against PyTorch, and against their own laws."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracles" / "make_torch_fixtures.py"))
CASES = ORACLE["load"]("ops.npz")


# The numbers of the sources
HERE = [name for name in ops.__all__ if getattr(ops, name).__module__ == ops.__name__]  # conv's are tested with conv


@pytest.mark.rows("S3-30")
def test_two_apples():
    price, back_apples = ops.mul(100.0, 2.0)
    total, back_tax = ops.mul(price, 1.1)
    dprice, dtax = back_tax(1.0)
    dapple, dnumber = back_apples(dprice)
    assert_allclose([total, dapple, dnumber, dtax], [220, 2.2, 110, 200], rtol=1e-15)


@pytest.mark.rows("S3-30")
def test_two_apples_and_three_oranges():
    apples, back_apples = ops.mul(100, 2)
    oranges, back_oranges = ops.mul(150, 3)
    price, back_price = ops.add(apples, oranges)
    total, back_tax = ops.mul(price, 1.1)
    dprice, dtax = back_tax(1)
    dapples, doranges = back_price(dprice)
    dorange, dorange_number = back_oranges(doranges)
    assert_allclose([total, dorange, dorange_number, dtax], [715, 3.3000000000000003, 165, 650], rtol=1e-15)
    assert_allclose(back_apples(dapples), [2.2, 110], rtol=1e-15)


A, B = [[1, 2], [3, 4]], [[5, 6], [7, 8]]
C, D = [[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4], [5, 6]]


@pytest.mark.rows("S3-03", "S3-04")
@pytest.mark.parametrize(
    ("x", "W", "product"),
    [
        (A, B, [[19, 22], [43, 50]]),
        (B, A, [[23, 34], [31, 46]]),
        (C, D, [[22, 28], [49, 64]]),
        (D, C, [[9, 12, 15], [19, 26, 33], [29, 40, 51]]),
    ],
)
def test_products_of_matrices(x, W, product):
    y, _ = ops.affine(x, W, np.zeros(len(W[0])))
    assert_array_equal(y, np.array(product, float), strict=True)


@pytest.mark.rows("S3-05")
def test_products_that_do_not_fit():
    with pytest.raises(ValueError, match=r"shapes \(2,3\) and \(2,3\) not aligned: 3 \(dim 1\) != 2 \(dim 0\)"):
        np.dot(C, C)
    with pytest.raises(ValueError, match=r"affine: x \(2, 3\), W \(2, 3\), b \(3,\); .*; D is 3 and 2$"):
        ops.affine(C, C, np.zeros(3))


# Against PyTorch


def ours(case, found, dtype):
    """Return the value and the gradients that the library gives for a case of the oracle."""
    inputs = [found[f"x{i}"].astype(dtype) for i in range(3) if f"x{i}" in found]
    labels = [found["t"]] if "t" in found else []
    y, pullback = getattr(ops, case.split(":")[0])(*inputs, *labels, **ORACLE["SETTINGS"].get(case, {}))
    grads = pullback(found["dy"].astype(dtype))
    assert len(grads) == len(inputs)
    return {"y": y} | {f"d{i}": g for i, g in enumerate(grads)}


def assert_same_as_torch(case, found, dtype, tolerance):
    for key, a in ours(case, found, dtype).items():
        assert a.dtype == dtype
        assert a.shape == found[key].shape
        assert_allclose(a, found[key], rtol=tolerance, atol=tolerance * abs(found[key]).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("case", CASES)
def test_against_the_stored_answers_of_torch(case, dtype, tolerance):
    assert_same_as_torch(case, CASES[case], dtype, tolerance)


def test_every_op_has_a_stored_answer():
    assert {case.split(":")[0] for case in CASES} == set(HERE)


def test_against_torch_itself():
    pytest.importorskip("torch", reason="PyTorch comes with the extra dev alone; its stored answers are tested above")
    for case, found in ORACLE["ops"](seed=0).items():
        for key, a in found.items():
            assert_allclose(CASES[case][key], a, rtol=1e-13, atol=1e-15, err_msg=f"the stored {case} {key}")
    for seed in range(1, 6):
        for case, found in ORACLE["ops"](seed).items():
            assert_same_as_torch(case, found, np.float64, 1e-12)


# Against differences, for any shape

sizes = st.integers(1, 4)
shapes = st.lists(sizes, min_size=0, max_size=3).map(tuple)
batches = st.lists(sizes, min_size=2, max_size=3).map(tuple)


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


@st.composite
def affine_arguments(draw, seeds):
    lead, D, M = draw(shapes), draw(sizes), draw(sizes)
    return normal(draw(seeds), (*lead, D), (D, M), (M,))


@st.composite
def batch_norm_arguments(draw, seeds):
    # Of few samples mean and variance leave hardly a gradient over: two become -1 and 1 whatever they are.
    # And check_vjp's own seed is 0: a w that is x itself has no gradient at all.
    N, C, rest = draw(st.integers(4, 6)), draw(sizes), draw(st.sampled_from([(), (1, 1), (2, 3)]))
    return normal(1 + draw(seeds), (N, C, *rest), (C,), (C,))


rates = st.sampled_from([0.0, 0.1, 0.5, 0.9])
keys = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple)


def arguments(name, seeds):
    same = lambda n, s: st.builds(lambda seed, shape: normal(seed, *[shape] * n), seeds, s)
    return {
        "add": same(2, shapes),
        "mul": same(2, shapes),
        "affine": affine_arguments(seeds),
        "relu": same(1, shapes).map(lambda a: [np.where(abs(a[0]) < 1e-3, 1.0, a[0])]),  # away from the kink
        "softmax": same(1, shapes.filter(len)),
        "log_softmax": same(1, shapes.filter(len)),
        "flatten": same(1, batches),
        "batch_norm": batch_norm_arguments(seeds),
        "dropout": same(1, shapes).flatmap(lambda a: st.tuples(st.just(a[0]), rates, keys)),
        "softmax_cross_entropy": same(2, batches).map(lambda a: [a[0], nn.softmax(a[1])]),
        "sigmoid_cross_entropy": same(2, shapes).map(lambda a: [a[0], nn.sigmoid(a[1])]),
        "sum_squared_error": same(2, shapes),
        "mean_squared_error": same(2, shapes),
    }.get(name, same(1, shapes))


@pytest.mark.parametrize("name", HERE)
@given(data=st.data())
def test_pullback_against_differences(name, data):
    args = data.draw(arguments(name, st.integers(0, 1000)))
    differences = nn.check_vjp(getattr(ops, name), args)
    assert len(differences) == {"add": 2, "mul": 2, "affine": 3, "batch_norm": 3}.get(name, 1)


@pytest.mark.parametrize("name", HERE)
@given(data=st.data())
def test_pullbacks_are_linear(name, data):
    args = data.draw(arguments(name, st.integers(0, 1000)))
    y, pullback = getattr(ops, name)(*args)
    u, v = normal(1, y.shape, y.shape)
    for both, du, dv in zip(pullback(2 * u - 3 * v), pullback(u), pullback(v), strict=True):
        assert_allclose(both, 2 * du - 3 * dv, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy", "mean_squared_error"])
@pytest.mark.traps("T17")
def test_a_loss_starts_the_way_back_with_one(name, rng):
    z, t = rng.standard_normal((4, 3)), np.eye(4, 3, 0) + np.eye(4, 3, -3)
    _, pullback = getattr(ops, name)(z, t)
    assert_array_equal(*pullback(), *pullback(1.0), strict=True)
    assert_allclose(*pullback(10), 10 * pullback()[0], rtol=1e-14)
    assert_array_equal(*pullback(np.float64(2)), *pullback(2), strict=True)


# At the edges


@pytest.mark.traps("T07")
def test_the_slope_of_relu_at_zero_is_zero():
    _, pullback = ops.relu([-1.0, -0.0, 0.0, 1e-300, 2.0])
    assert_array_equal(*pullback(np.full(5, 3.0)), [0, 0, 0, 3, 3])
    assert_allclose(nn.numerical_gradient(lambda x: nn.relu(x).sum(), [0.0]), [0.5])


@pytest.mark.rows("S1-02")
@pytest.mark.traps("T01", "T18")
def test_relu_leaves_both_arrays_alone():
    x, dy = np.array([-1.0, 2.0]), np.array([5.0, 5.0])
    y, pullback = ops.relu(x)
    assert_array_equal(*pullback(dy), [0, 5])
    assert y is not x
    assert_array_equal([x, dy], [[-1, 2], [5, 5]])


def test_losses_of_far_out_scores_are_exact():
    loss, pullback = ops.softmax_cross_entropy([[1000.0, 0.0]], [1])
    assert loss == 1000
    assert_array_equal(*pullback(), [[1, -1]])
    loss, pullback = ops.sigmoid_cross_entropy([1000.0, -1000.0, -1000.0, 1000.0], [0, 1, 0, 1])
    assert loss == 500
    assert_array_equal(*pullback(), [0.25, -0.25, 0, 0])
    assert_allclose(ops.sigmoid_cross_entropy([40.0], [1])[0], np.exp(-40), rtol=1e-15)  # log(1 + it) would be 0


def test_masked_scores_take_no_part():
    z = np.array([[1.0, -np.inf, 2.0], [-np.inf, 0.5, -np.inf]])
    for t in ([2, 1], np.eye(3)[[2, 1]]):
        loss, pullback = ops.softmax_cross_entropy(z, t)
        assert_allclose(loss, np.log1p(np.exp(-1)) / 2)
        (dz,) = pullback()
        p = nn.sigmoid(1.0)
        assert_allclose(dz, [[(1 - p) / 2, 0, (p - 1) / 2], [0, 0, 0]], atol=1e-17)
    y, pullback = ops.softmax(z)
    assert_array_equal(y == 0, np.isinf(z))
    assert not np.isnan(pullback(np.ones((2, 3)))).any()


def test_the_gradient_of_scores_sums_to_zero_even_if_the_targets_sum_to_a_little_more(rng):
    z = rng.standard_normal((2, 3))
    t = np.array([[1.0005, 0, 0], [0, 0.5, 0.5]])
    assert max(nn.check_vjp(ops.softmax_cross_entropy, (z, t))) < 1e-7
    (dz,) = ops.softmax_cross_entropy(z, t)[1]()
    assert_allclose(dz.sum(axis=1), 0, atol=1e-15)


@pytest.mark.parametrize("name", ["identity", "sigmoid", "tanh", "relu", "softmax", "log_softmax", "flatten"])
def test_an_empty_batch_gives_empty_arrays(name):
    y, pullback = getattr(ops, name)(np.zeros((0, 3), np.float32))
    assert y.shape == pullback(y)[0].shape == (0, 3)
    assert y.dtype == pullback(y)[0].dtype == np.float32


def test_affine_and_sums_over_an_empty_batch():
    y, pullback = ops.affine(np.zeros((0, 3)), np.ones((3, 2)), np.ones(2))
    dx, dW, db = pullback(y)
    assert (y.shape, dx.shape) == ((0, 2), (0, 3))
    assert_array_equal(dW, np.zeros((3, 2)))
    assert_array_equal(db, np.zeros(2))
    assert ops.sum_squared_error(np.zeros((0, 2)), np.zeros((0, 2)))[0] == 0
    y, pullback = ops.flatten(np.zeros((0, 2, 3)))
    assert (y.shape, pullback(y)[0].shape) == ((0, 6), (0, 2, 3))


def test_dropout_and_evaluated_batch_norm_of_an_empty_batch():
    y, pullback = ops.dropout(np.zeros((0, 2, 3), np.float32), 0.5, (0, 1))
    assert y.shape == pullback(y)[0].shape == (0, 2, 3)
    assert y.dtype == np.float32
    x, ones = np.zeros((0, 2, 3, 3), np.float32), np.ones(2, np.float32)
    stats = {"mean1": ones, "var1": ones}
    y, pullback, _ = layers.batch_norm(1)({"gamma1": ones, "beta1": ones}, x, layers.Mode(stats))
    dx, grads = pullback(y)
    assert y.shape == dx.shape == x.shape
    assert_array_equal(grads["gamma1"], np.zeros(2, np.float32), strict=True)


def test_affine_can_leave_out_the_gradient_by_its_input(rng):
    x, W, b = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    (y, every), (same, some) = ops.affine(x, W, b), ops.affine(x, W, b, dx=False)
    assert_array_equal(y, same)
    dx, dW, db = some(y)
    assert dx is None
    assert_array_equal(dW, every(y)[1])
    assert_array_equal(db, every(y)[2])


INTS = {
    "add": ([3, -1], [1, 2]),
    "mul": ([3, -1], [1, 2]),
    "identity": ([3, -1],),
    "affine": ([[3, -1]], [[1], [2]], [1]),
    "sigmoid": ([3, -1],),
    "tanh": ([3, -1],),
    "relu": ([3, -1],),
    "softmax": ([3, -1],),
    "log_softmax": ([3, -1],),
    "softmax_cross_entropy": ([[3, -1]], [0]),
    "sigmoid_cross_entropy": ([3, -1], [1, 0]),
    "batch_norm": ([[3, -1], [0, 1], [7, 1]], [1, 2], [0, 1]),
    "dropout": ([3, -1], 0.5, (0, 1)),
    "sum_squared_error": ([3, -1], [1, 0]),
    "mean_squared_error": ([3, -1], [1, 0]),
}


@pytest.mark.parametrize("name", sorted(set(HERE) - {"flatten"}))
def test_ints_count_as_floats(name):
    def run(args):
        y, pullback = getattr(ops, name)(*args)
        return y, *pullback(np.ones(np.shape(y), np.int64))

    numbers = lambda i, a: isinstance(a, list) and (i == 0 or "cross" not in name)
    floats = [np.array(a, float) if numbers(i, a) else a for i, a in enumerate(INTS[name])]
    for from_ints, from_floats in zip(run(INTS[name]), run(floats), strict=True):
        assert_array_equal(from_ints, from_floats, strict=True)
        assert from_ints.dtype == np.float64


# Batch normalisation


@pytest.mark.traps("T29")
def test_batch_norm_by_hand():
    """Population variance, and eps inside the root: 1e-5 unless told."""
    ones, zeros = np.ones(1), np.zeros(1)
    for x, eps, far in [([[1.0], [3.0]], {}, 1 / np.sqrt(1 + 1e-5)), ([[1.0], [3.0]], {"eps": 3}, 0.5)]:
        assert_allclose(ops.batch_norm(x, ones, zeros, **eps)[0], [[-far], [far]], rtol=1e-14)
    assert_allclose(
        ops.batch_norm([[0.0], [0.0], [3.0]], [2.0], [5.0], eps=0)[0].ravel(), 5 + np.sqrt([2, 2, 8]) * [-1, -1, 1]
    )


def test_what_batch_norm_gives_has_mean_beta_and_deviation_gamma(rng):
    for shape, axes in (((50, 3), 0), ((8, 3, 4, 5), (0, 2, 3))):
        x = 100 + 7 * rng.standard_normal(shape)
        y, _ = ops.batch_norm(x, np.array([1.0, 2.0, 0.5]), np.array([0.0, -1.0, 9.0]))
        assert_allclose(y.mean(axis=axes), [0, -1, 9], atol=1e-13)
        assert_allclose(y.std(axis=axes), [1, 2, 0.5], rtol=1e-6)


@pytest.mark.traps("official: each pixel is normalised apart")
def test_images_are_normalised_by_channel_not_by_pixel(rng):
    """They are rows of channels, one row for each pixel of each image."""
    x, gamma, beta = rng.standard_normal((3, 2, 4, 5)), rng.standard_normal(2), rng.standard_normal(2)
    rows = lambda a: np.moveaxis(a, 1, -1).reshape(-1, 2)
    (y, pullback), (y_rows, pullback_rows) = ops.batch_norm(x, gamma, beta), ops.batch_norm(rows(x), gamma, beta)
    assert_allclose(rows(y), y_rows, rtol=1e-12)
    dy = rng.standard_normal(x.shape)
    (dx, *grads), (dx_rows, *grads_rows) = pullback(dy), pullback_rows(rows(dy))
    assert_allclose(rows(dx), dx_rows, rtol=1e-12, atol=1e-14)
    assert_allclose(grads, grads_rows, rtol=1e-12)


def test_batch_norm_of_one_value_a_feature_is_refused_and_of_one_image_is_not():
    """One value has no variance; its running mean would be 0 for ever, and evaluation gives any number at all."""
    for x in ([[5.0, -7.0]], np.zeros((1, 2, 1, 1)), np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"the variance of a feature wants at least 2 values, not [01]$"):
            ops.batch_norm(x, [2.0, 3.0], [0.5, 0.25])
    assert_allclose(ops.batch_norm([[[[5.0, 7.0]]]], [2.0], [0.5])[0], [[[[-1.5, 2.5]]]], rtol=1e-5)


def test_batch_norm_takes_pixels_in_the_dtype_of_its_weights():
    x, ones = np.array([[0], [255]], np.uint8), np.ones(1, np.float32)
    y, pullback = ops.batch_norm(x, ones, ones, eps=np.float64(0))
    assert_array_equal(y, np.array([[0], [2]], np.float32), strict=True)
    assert {g.dtype for g in pullback(y)} == {np.dtype(np.float32)}


# Dropout


def test_dropout_drops_its_share_and_makes_up_for_it():
    """Of 100,000 numbers: 5 sigmas are less than 0.008."""
    x = 1 + np.random.default_rng(0).random(100_000)
    for rate in (0.1, 0.5, 0.85):
        y, pullback = ops.dropout(x, rate, (3, 1))
        kept = y != 0
        assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-14)
        assert abs(np.mean(~kept) - rate) < 0.008
        assert abs(y.mean() - x.mean()) < 0.04
        assert_array_equal(*pullback(np.full_like(x, 1 - rate)), kept.astype(float))


def test_dropping_nothing_is_the_identity(rng):
    x = rng.standard_normal((3, 4))
    assert_array_equal(ops.dropout(x, 0, (0,))[0], x)


def mask(key, rate=0.5, n=200):
    return ops.dropout(np.ones(n), rate, key)[0] > 0


def test_a_key_is_a_mask():
    assert_array_equal(mask((1, 2, 3)), mask((1, 2, 3)))
    assert_array_equal(mask((1, 2, 3)), mask((np.int64(1), np.uint8(2), np.int32(3))))
    kinds = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0, 0), (5,), (5, 0)]
    assert len({mask(key).tobytes() for key in kinds}) == len(kinds)


@given(keys, keys)
def test_masks_of_two_keys_agree_by_chance_alone(one, other):
    agree = np.mean(mask(one, n=2000) == mask(other, n=2000))
    assert agree == 1 if one == other else abs(agree - 0.5) < 0.07


def test_a_mask_is_the_same_in_every_dtype():
    dropped = [ops.dropout(np.ones(99, dtype), 0.3, (4, 2))[0] == 0 for dtype in (np.float16, np.float32, np.float64)]
    assert_array_equal(dropped[0], dropped[1])
    assert_array_equal(dropped[1], dropped[2])


def test_small_ints_do_not_wrap_around():
    pixels = np.array([[250, 3]], np.uint8)
    assert_array_equal(nn.sum_squared_error(pixels, np.array([[255, 1]], np.uint8)), (25 + 4) / 2)
    y, _ = ops.affine(pixels, np.full((2, 1), 2, np.float32), np.zeros(1, np.float32))
    assert_array_equal(y, np.array([[506]], np.float32), strict=True)


def test_the_mean_of_a_loss_is_over_all_places_of_the_batch(rng):
    z, t = rng.standard_normal((2, 3, 4)), rng.integers(0, 4, (2, 3))
    for labels in (t, np.eye(4)[t]):
        loss, pullback = ops.softmax_cross_entropy(z, labels)
        flat, back = ops.softmax_cross_entropy(z.reshape(6, 4), labels.reshape(6, *labels.shape[2:]))
        assert_allclose(loss, flat, rtol=1e-15)
        assert_allclose(pullback()[0].reshape(6, 4), back()[0], rtol=1e-15)


def test_a_batch_may_have_one_axis_behind_its_features(rng):
    x, gamma, beta = rng.standard_normal((4, 3, 5)), rng.standard_normal(3), rng.standard_normal(3)
    y, pullback = ops.batch_norm(x, gamma, beta)
    rows, back = ops.batch_norm(x.swapaxes(1, 2).reshape(20, 3), gamma, beta)
    assert_allclose(y.swapaxes(1, 2).reshape(20, 3), rows, rtol=1e-12, atol=1e-14)
    dy = rng.standard_normal(y.shape)
    for a, b in zip(pullback(dy)[1:], back(dy.swapaxes(1, 2).reshape(20, 3))[1:], strict=True):
        assert_allclose(a, b, rtol=1e-12)


def test_targets_of_more_digits_widen_no_gradient():
    y, t = np.ones((2, 2), np.float32), np.zeros((2, 2))
    for op in (ops.mean_squared_error, ops.sum_squared_error, ops.sigmoid_cross_entropy):
        assert op(y, t)[1]()[0].dtype == np.float32
