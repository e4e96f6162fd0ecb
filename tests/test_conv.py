"""Convolution and pooling: against loops written from the formulas, against PyTorch, and against their own laws."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import conv, layers, ops
from nnfunc.layers import Mode

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracles" / "make_torch_fixtures.py"))
CASES = ORACLE["load"]("conv.npz")
POOLS = ["max_pool2d", "avg_pool2d"]


# Random settings


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def or_pair(numbers):
    return st.one_of(numbers, st.tuples(numbers, numbers))


@st.composite
def geometries(draw, pool=False):
    """Return the shape of some images, a window, a stride and a padding that fit each other."""
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(or_pair(st.integers(1, 3)))
    pad = draw(or_pair(st.integers(0, min(window) - 1 if pool else 3)))
    sides = [max(1, f - 2 * p) + draw(st.integers(0, 4)) for f, p in zip(window, pair(pad), strict=True)]
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *sides), window, stride, pad


def output_shape(x_shape, window, stride, pad):
    """Count the places of a window one by one."""
    sizes = []
    for size, f, s, p in zip(x_shape[2:], window, pair(stride), pair(pad), strict=True):
        sizes.append(len([start for start in range(-p, size + p, s) if start + f <= size + p]))
    return tuple(sizes)


def windows(x, window, stride, pad, outside=0.0):
    """Yield n, c, p, q and the pixels that the window sees there, as the formulas say it."""
    OH, OW = output_shape(x.shape, window, stride, pad)
    for n, c, p, q in np.ndindex(*x.shape[:2], OH, OW):
        seen = np.empty(window, x.dtype)
        for i, j in np.ndindex(*window):
            h, w = p * pair(stride)[0] + i - pair(pad)[0], q * pair(stride)[1] + j - pair(pad)[1]
            inside = 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
            seen[i, j] = x[n, c, h, w] if inside else outside
        yield (n, c, p, q), seen


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


# im2col and col2im


@given(geometries())
def test_every_column_holds_what_the_filter_sees_at_one_place(geometry):
    (x_shape, window, stride, pad), fsize = geometry, np.prod(geometry[1])
    x = np.arange(1.0, 1 + np.prod(x_shape)).reshape(x_shape)
    col = conv.im2col(x, *window, stride, pad)
    OH, OW = output_shape(*geometry)
    assert col.shape == (x_shape[0], x_shape[1] * fsize, OH * OW)
    for (n, c, p, q), seen in windows(x, window, stride, pad):
        assert_array_equal(col[n, c * fsize : (c + 1) * fsize, p * OW + q], seen.ravel())


@given(geometries(), st.integers(0, 1000))
def test_col2im_is_the_adjoint_of_im2col(geometry, seed):
    x_shape, window, stride, pad = geometry
    (x,) = normal(seed, x_shape)
    col = conv.im2col(x, *window, stride, pad)
    (u,) = normal(seed + 1, col.shape)
    folded = conv.col2im(u, x_shape, *window, stride, pad)
    assert folded.shape == x_shape
    assert_allclose(np.sum(col * u), np.sum(x * folded), rtol=1e-11, atol=1e-11)


@pytest.mark.traps("official: im2col gives float64")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("pad", [0, 1])
def test_im2col_keeps_the_dtype(dtype, pad):
    x = np.ones((1, 2, 4, 4), dtype)
    col = conv.im2col(x, 3, 3, pad=pad)
    assert col.dtype == conv.col2im(col, x.shape, 3, 3, pad=pad).dtype == dtype


def test_columns_are_a_new_array():
    x = np.zeros((1, 1, 3, 3))
    col = conv.im2col(x, 1, 1)
    assert not np.shares_memory(col, x)
    assert not np.shares_memory(conv.col2im(col, x.shape, 1, 1), col)


@given(geometries())
def test_the_output_size_is_the_number_of_places(geometry):
    x_shape, window, stride, pad = geometry
    found = [conv.conv_output_size(*along) for along in zip(x_shape[2:], window, pair(stride), pair(pad), strict=True)]
    assert tuple(found) == output_shape(*geometry)
    assert [type(n) for n in found] == [int, int]


@pytest.mark.parametrize(
    ("args", "size"),
    [
        ((7, 5, 2, 1), 3),
        ((28, 5), 24),
        ((28, 2, 2), 14),
        ((4, 4), 1),
        ((8, 3, 2), 3),
        ((np.int64(28), np.int32(3)), 26),
    ],
)
def test_output_sizes_by_hand(args, size):
    found = conv.conv_output_size(*args)
    assert found == size
    assert type(found) is int


# The formulas


@given(geometries(), st.integers(1, 5), st.integers(0, 1000))
def test_conv2d_is_the_sum_of_the_formula(geometry, F, seed):
    x_shape, window, stride, pad = geometry
    x, W, b = normal(seed, x_shape, (F, x_shape[1], *window), (F,))
    expected = np.zeros((x_shape[0], F, *output_shape(*geometry))) + b[:, None, None]
    for (n, c, p, q), seen in windows(x, window, stride, pad):
        expected[n, :, p, q] += (W[:, c] * seen).sum(axis=(1, 2))
    y, _ = ops.conv2d(x, W, b, stride, pad)
    assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@given(geometries(pool=True), st.integers(0, 1000))
def test_pooling_is_the_largest_or_the_mean_of_each_window(geometry, seed):
    x_shape, window, stride, pad = geometry
    (x,) = normal(seed, x_shape)
    expected = np.empty((*x_shape[:2], *output_shape(*geometry)))
    for outside, op, f in ((-np.inf, ops.max_pool2d, np.max), (0.0, ops.avg_pool2d, np.mean)):
        for place, seen in windows(x, window, stride, pad, outside):
            expected[place] = f(seen)
        assert_allclose(op(x, window, stride, pad)[0], expected, rtol=1e-13, atol=1e-15)


@given(geometries(pool=True), st.integers(0, 1000))
def test_the_gradient_of_max_pooling_goes_to_the_first_largest_pixel(geometry, seed):
    """With numbers from 0 to 2 there are ties everywhere."""
    x_shape, window, stride, pad = geometry
    x = np.random.default_rng(seed).integers(3, size=x_shape).astype(float)
    y, pullback = ops.max_pool2d(x, window, stride, pad)
    (dy,), expected = normal(seed, y.shape), np.zeros(x_shape)
    for (n, c, p, q), seen in windows(x, window, stride, pad, -np.inf):
        i, j = np.unravel_index(seen.argmax(), window)
        h, w = p * pair(stride)[0] + i - pair(pad)[0], q * pair(stride)[1] + j - pair(pad)[1]
        expected[n, c, h, w] += dy[n, c, p, q]
    assert_allclose(*pullback(dy), expected, rtol=1e-13, atol=1e-13)


@given(geometries(), st.integers(1, 5), st.integers(0, 1000))
def test_the_pullback_of_conv2d_against_differences(geometry, F, seed):
    x_shape, window, stride, pad = geometry
    args = normal(seed, x_shape, (F, x_shape[1], *window), (F,))
    assert len(nn.check_vjp(lambda x, W, b: ops.conv2d(x, W, b, stride, pad), args)) == 3


@pytest.mark.parametrize("name", POOLS)
@given(geometry=geometries(pool=True), seed=st.integers(0, 1000))
def test_the_pullbacks_of_pooling_against_differences(name, geometry, seed):
    x_shape, window, stride, pad = geometry
    x = np.random.default_rng(seed).permutation(np.prod(x_shape)).reshape(x_shape) / 10  # no two are near each other
    assert len(nn.check_vjp(lambda x: getattr(ops, name)(x, window, stride, pad), [x])) == 1


@given(geometries(pool=True), st.integers(0, 1000))
def test_pullbacks_are_linear(geometry, seed):
    x_shape, window, stride, pad = geometry
    x, W, b = normal(seed, x_shape, (2, x_shape[1], *window), (2,))
    for y, pullback in (
        ops.conv2d(x, W, b, stride, pad),
        ops.max_pool2d(x, window, stride, pad),
        ops.avg_pool2d(x, window, stride, pad),
    ):
        u, v = normal(1, y.shape, y.shape)
        for both, du, dv in zip(pullback(2 * u - 3 * v), pullback(u), pullback(v), strict=True):
            assert_allclose(both, 2 * du - 3 * dv, rtol=1e-11, atol=1e-12)


@given(geometries(), st.integers(0, 1000))
def test_one_number_stands_for_a_pair_of_equals(geometry, seed):
    x_shape, (f, _), stride, pad = geometry
    stride, pad = pair(stride)[0], pair(pad)[0]
    x, W = normal(seed, (*x_shape[:2], f + 3, f + 1), (2, x_shape[1], f, f))
    one, two = ops.conv2d(x, W, np.zeros(2), stride, pad), ops.conv2d(x, W, np.zeros(2), (stride,) * 2, (pad,) * 2)
    assert_array_equal(one[0], two[0])
    for a, b in zip(one[1](one[0]), two[1](two[0]), strict=True):
        assert_array_equal(a, b)
    for name in POOLS:
        assert_array_equal(getattr(ops, name)(x, f)[0], getattr(ops, name)(x, (f, f), (f, f), (0, 0))[0])


# Against PyTorch


def in_steps(a):
    """Return the same numbers in another order of memory: every second of an array whose axes are turned."""
    big = np.full([2 * n for n in reversed(a.shape)], np.nan, a.dtype)
    view = big[tuple(slice(None, None, 2) for _ in a.shape)].T
    view[...] = a
    assert a.size == 1 or not view.flags.c_contiguous
    return view


def backwards(a):
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


def assert_same_as_torch(case, found, dtype, tolerance, laid_out=np.asarray):
    inputs = [laid_out(found[f"x{i}"].astype(dtype)) for i in range(3) if f"x{i}" in found]
    y, pullback = getattr(ops, case.split(":")[0])(*inputs, **ORACLE["CONVOLUTIONS"][case][1])
    grads = pullback(laid_out(found["dy"].astype(dtype)))
    assert len(grads) == len(inputs)
    for key, a in ({"y": y} | {f"d{i}": g for i, g in enumerate(grads)}).items():
        assert a.dtype == dtype
        assert a.shape == found[key].shape
        assert_allclose(a, found[key], rtol=tolerance, atol=tolerance * abs(found[key]).max(), err_msg=key)


@pytest.mark.parametrize("laid_out", [np.asarray, in_steps, backwards])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("case", CASES)
def test_against_the_stored_answers_of_torch(case, dtype, tolerance, laid_out):
    assert_same_as_torch(case, CASES[case], dtype, tolerance, laid_out)


def test_every_case_has_a_stored_answer_and_every_op_a_case():
    assert CASES.keys() == ORACLE["CONVOLUTIONS"].keys()
    assert {case.split(":")[0] for case in CASES} == {name for name in conv.__all__ if hasattr(ops, name)}


def test_against_torch_itself():
    pytest.importorskip("torch", reason="PyTorch comes with the extra dev alone; its stored answers are tested above")
    for case, found in ORACLE["conv"](seed=0).items():
        for key, a in found.items():
            assert_allclose(CASES[case][key], a, rtol=1e-12, atol=1e-14, err_msg=f"the stored {case} {key}")
    for seed in range(1, 4):
        for case, found in ORACLE["conv"](seed).items():
            assert_same_as_torch(case, found, np.float64, 1e-11)


# At the edges


@pytest.mark.traps("official: pooling with padding crashes")
def test_padding_never_wins_the_maximum_and_takes_part_in_the_mean():
    x = np.full((1, 1, 2, 2), -8.0)
    y, pullback = ops.max_pool2d(x, 2, pad=1)
    assert_array_equal(y, np.full((1, 1, 2, 2), -8.0))
    assert_array_equal(*pullback(np.ones_like(y)), np.ones((1, 1, 2, 2)))
    y, pullback = ops.avg_pool2d(x, 2, pad=1)
    assert_array_equal(y, np.full((1, 1, 2, 2), -2.0))
    assert_array_equal(*pullback(np.ones_like(y)), np.full((1, 1, 2, 2), 0.25))


def test_the_first_of_equal_pixels_takes_the_gradient():
    _, pullback = ops.max_pool2d(np.ones((1, 1, 4, 4)), 2)
    (dx,) = pullback(np.full((1, 1, 2, 2), 3.0))
    assert_array_equal(np.argwhere(dx[0, 0]), [[0, 0], [0, 2], [2, 0], [2, 2]])
    assert dx.sum() == 12


def test_a_filter_of_one_pixel_is_an_affine_map_of_the_channels(rng):
    x, W, b = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((3, 6)), rng.standard_normal(6)
    y, _ = ops.conv2d(x, W.T[:, :, None, None], b)
    assert_allclose(y, np.moveaxis(ops.affine(np.moveaxis(x, 1, -1), W, b)[0], -1, 1), rtol=1e-13)


@pytest.mark.parametrize("settings", [{}, {"pad": 1}, {"stride": 2}, {"pad": 3}])
def test_the_images_of_a_batch_know_nothing_of_each_other(settings, rng):
    """More images than are unfolded at once: 10."""
    x, W, b = rng.standard_normal((21, 2, 5, 5)), rng.standard_normal((3, 2, 3, 3)), rng.standard_normal(3)
    y, pullback = ops.conv2d(x, W, b, **settings)
    dy = rng.standard_normal(y.shape)
    alone = [ops.conv2d(image[None], W, b, **settings) for image in x]
    assert_allclose(y, np.concatenate([y for y, _ in alone]), rtol=1e-13)
    grads = [back(d[None]) for (_, back), d in zip(alone, dy, strict=True)]
    dx, dW, db = pullback(dy)
    assert_allclose(dx, np.concatenate([g[0] for g in grads]), rtol=1e-12, atol=1e-13)
    assert_allclose(dW, sum(g[1] for g in grads), rtol=1e-12, atol=1e-13)
    assert_allclose(db, sum(g[2] for g in grads), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("settings", [{}, {"pad": 1}, {"stride": 2}, {"stride": (1, 2), "pad": (3, 0)}])
@pytest.mark.parametrize("F", [1, 2, 9])
def test_convolution_of_an_empty_batch(F, settings):
    W = np.ones((F, 2, 3, 2), np.float32)
    y, pullback = ops.conv2d(np.zeros((0, 2, 5, 4), np.float32), W, np.ones(F, np.float32), **settings)
    one, _ = ops.conv2d(np.zeros((1, 2, 5, 4), np.float32), W, np.ones(F, np.float32), **settings)
    assert y.shape == (0, *one.shape[1:])
    dx, dW, db = pullback(y)
    assert dx.shape == (0, 2, 5, 4)
    assert_array_equal(dW, np.zeros_like(W), strict=True)
    assert_array_equal(db, np.zeros(F, np.float32), strict=True)
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("name", POOLS)
def test_pooling_of_an_empty_batch(name, pad):
    y, pullback = getattr(ops, name)(np.zeros((0, 2, 4, 4), np.float32), 2, pad=pad)
    assert y.shape == (0, 2, 2 + pad, 2 + pad)
    (dx,) = pullback(y)
    assert dx.shape == (0, 2, 4, 4)
    assert y.dtype == dx.dtype == np.float32


def test_columns_of_an_empty_batch():
    col = conv.im2col(np.zeros((0, 2, 5, 5)), 2, 3)
    assert col.shape == (0, 12, 12)
    assert conv.col2im(col, (0, 2, 5, 5), 2, 3).shape == (0, 2, 5, 5)


def test_convolution_can_leave_out_the_gradient_by_the_images(rng):
    x, W, b = rng.standard_normal((4, 2, 5, 5)), rng.standard_normal((3, 2, 2, 2)), rng.standard_normal(3)
    (y, every), (same, some) = ops.conv2d(x, W, b), ops.conv2d(x, W, b, dx=False)
    assert_array_equal(y, same)
    dx, dW, db = some(y)
    assert dx is None
    assert_array_equal(dW, every(y)[1])
    assert_array_equal(db, every(y)[2])
    net, params = layers.conv2d(1), {"W1": W, "b1": b}
    assert net(params, x, Mode(dx=False))[1](y)[0] is None
    assert_array_equal(net(params, x)[1](y)[0], every(y)[0])


def test_ints_count_as_floats():
    """Pixels take the dtype of the filters; where there are none, float64."""
    x = np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4) * 8
    W, b = np.full((1, 2, 2, 2), 4, np.float32), np.zeros(1, np.float32)
    y, pullback = ops.conv2d(x, W, b)
    assert_array_equal(y, ops.conv2d(x.astype(np.float32), W, b)[0], strict=True)
    assert y.max() > 4000, "small ints do not wrap around"
    assert {g.dtype for g in pullback(np.ones(y.shape, np.int64))} == {np.dtype(np.float32)}
    y, pullback = ops.conv2d(x, [[[[1, 0], [0, 1]]] * 2], [1])
    assert y.dtype == np.float64
    for name in POOLS:
        y, pullback = getattr(ops, name)(x, 2)
        assert y.dtype == pullback(y)[0].dtype == np.float64
        assert_array_equal(y, getattr(ops, name)(x.astype(np.float64), 2)[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_settings_of_numpy_widen_nothing(dtype):
    x, two = np.ones((2, 2, 6, 6), dtype), np.int64(2)
    for y, pullback in (
        ops.conv2d(x, np.ones((3, 2, two, two), dtype), np.ones(3, dtype), stride=(two, np.int8(1)), pad=two),
        ops.max_pool2d(x, two, (two, two), np.int64(1)),
        ops.avg_pool2d(x, (two, two), two, np.int64(1)),
    ):
        assert {a.dtype for a in (y, *pullback(y))} == {np.dtype(dtype)}


def test_a_window_with_a_nan_passes_its_gradient_on():
    x = np.array([[[[1.0, np.nan, 4.0, 3.0], [2.0, 0.0, 1.0, 4.0]]]])
    y, pullback = ops.max_pool2d(x, 2)
    assert_array_equal(y, [[[[np.nan, 4.0]]]])
    dx = pullback(np.array([[[[5.0, 7.0]]]]))[0]
    assert dx[0, 0, :, :2].sum() == 5
    assert_array_equal(dx[0, 0, :, 2:], [[7, 0], [0, 0]])


def test_columns_of_another_shape_and_images_of_three_axes_are_refused():
    with pytest.raises(ValueError, match=r"^col2im: col has shape \(1, 4, 3\), wanted \(1, 4, 4\) for images"):
        conv.col2im(np.ones((1, 4, 3)), (1, 1, 3, 3), 2, 2)
    with pytest.raises(ValueError, match=r"^col2im: the images have shape \(1, 3, 3\), wanted \(N, C, H, W\)"):
        conv.col2im(np.ones((1, 4, 4)), (1, 3, 3), 2, 2)
    with pytest.raises(ValueError, match=r"^im2col: pad is -1, wanted an int from 0 up"):
        conv.im2col(np.ones((1, 1, 3, 3)), 2, 2, pad=-1)


def test_an_image_whose_columns_are_more_than_a_megabyte(rng):
    x, W = rng.standard_normal((2, 1, 200, 200)), rng.standard_normal((1, 1, 3, 3))
    y, pullback = ops.conv2d(x, W, np.array([1.0]))
    seen = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    assert_allclose(y, (seen * W[:, :, None, None]).sum(axis=(-2, -1)) + 1, rtol=1e-12, atol=1e-12)
    dW = pullback(np.ones(y.shape))[1]
    assert_allclose(dW[0, 0], seen.sum(axis=(0, 1, 2, 3)), rtol=1e-12, atol=1e-9)


def test_another_librarys_images_get_the_same_answers(rng):
    xp = pytest.importorskip("array_api_strict")
    x, W, b = (rng.standard_normal(shape) for shape in ((2, 3, 6, 5), (4, 3, 3, 2), (4,)))
    for op, arrays, settings in (
        (ops.conv2d, (x, W, b), {"stride": (1, 2), "pad": 1}),
        (ops.conv2d, (x, W[:, :, :, :1], b), {}),
        (ops.max_pool2d, (x,), {"size": (3, 2), "stride": 1}),
        (ops.avg_pool2d, (x,), {"size": 2, "pad": (0, 1)}),
    ):
        y, pullback = op(*arrays, **settings)
        same, back = op(*map(xp.asarray, arrays), **settings)
        assert_allclose(np.asarray(same), y, rtol=1e-12, atol=1e-12)
        dy = rng.standard_normal(y.shape)
        for a, c in zip(pullback(dy), back(xp.asarray(dy)), strict=True):
            assert_allclose(np.asarray(c), a, rtol=1e-12, atol=1e-12)
    columns = conv.im2col(xp.asarray(x), 3, 2)
    assert_array_equal(np.asarray(columns), conv.im2col(x, 3, 2))
