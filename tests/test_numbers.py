"""Extreme numbers and half precision: against mpmath, and without a warning (which pytest makes an error)."""

import sys
from functools import partial

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops

DTYPES = [np.float16, np.float32, np.float64]
mpmath.mp.dps = 60


def extremes(dtype):
    """Numbers from the least subnormal to the largest finite one, and infinities, of both signs."""
    info = np.finfo(dtype)
    sizes = [0, info.smallest_subnormal, info.smallest_normal, info.eps, 0.5, 1, 12, 90, 745, 1e5, info.max, np.inf]
    with np.errstate(over="ignore"):  # 1e5 is infinite in half precision
        return np.array([*sizes, *(-a for a in sizes)]).astype(dtype)


def exact(f, *numbers):
    return f(*(mpmath.mpf(float(a)) for a in numbers))


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def softplus(x):
    return mpmath.mpf(max(x, 0)) if mpmath.isinf(x) else mpmath.log1p(mpmath.exp(x))


def assert_near(found, wanted, dtype):
    """Within a few units of the last digit; zero may stand for what is subnormal."""
    info = np.finfo(dtype)
    assert found.dtype == dtype
    wanted = np.array([float(a) for a in wanted])
    finite = abs(wanted) <= float(info.max)
    assert_allclose(found[finite], wanted[finite], rtol=8 * info.eps, atol=info.smallest_normal)
    assert_array_equal(found[~finite], np.sign(wanted[~finite]) * np.inf)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_is_right_from_one_end_to_the_other(dtype):
    x = extremes(dtype)
    assert_near(nn.sigmoid(x), [exact(sigmoid, a) for a in x], dtype)
    y, pullback = ops.sigmoid(x)
    assert_array_equal(y, nn.sigmoid(x))
    (dx,) = pullback(np.ones_like(x))
    assert np.isfinite(dx).all()
    assert (dx >= 0).all()
    assert_array_equal(dx[abs(x) == np.inf], 0)


def test_the_sigmoid_of_minus_twelve_in_half_precision():
    assert_allclose(float(nn.sigmoid(np.float16(-12))), 6.1e-6, rtol=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_its_logarithm_of_two_scores_as_far_apart_as_can_be(dtype):
    a = extremes(dtype)
    pairs = np.array([(x, y) for x in a for y in a if abs(x) != np.inf and y != np.inf])
    difference = lambda x, y: x - y
    with np.errstate(over="ignore"):  # of differences beyond the largest number NumPy tells, here as everywhere
        y, found = nn.softmax(pairs)[:, 0], nn.log_softmax(pairs)[:, 0]
    assert_near(y, [exact(lambda x, y: sigmoid(x - y), *p) for p in pairs], dtype)
    logs = [-softplus(-exact(difference, *p)) for p in pairs]
    rounded = np.array([float(v) for v in logs])
    near = abs(rounded) <= float(np.finfo(dtype).max) / 4
    size = np.minimum(abs(pairs[near].astype(np.float64)).max(axis=1), 1e300)  # the difference of the scores is rounded
    assert (abs(found[near] - rounded[near]) <= 8 * np.finfo(dtype).eps * np.maximum(1, size)).all()
    assert (found <= 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [0, 1])
def test_the_loss_of_a_yes_or_no_question_is_right_for_every_score(dtype, t):
    for z in extremes(dtype):
        loss, pullback = ops.sigmoid_cross_entropy(np.array([z]), np.array([t]))
        wanted = softplus(exact(lambda z: -z if t else z, z))
        assert_near(np.array([loss]), [wanted], dtype)
        (dz,) = pullback()
        assert np.isfinite(dz).all()
        assert_allclose(dz, float(exact(sigmoid, z) - t), rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


def test_an_infinite_score_costs_nothing_if_it_is_right_and_everything_if_it_is_wrong():
    inf = np.inf
    for z, t, wanted in [(inf, 1, 0), (-inf, 0, 0), (inf, 0, inf), (-inf, 1, inf), (inf, 0.5, inf)]:
        assert ops.sigmoid_cross_entropy([z], [t])[0] == wanted
    assert np.isnan(ops.sigmoid_cross_entropy([np.nan], [0])[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cross_entropy_of_large_scores_is_their_difference(dtype):
    large = np.array(1e4, dtype)
    for scores, t, wanted in [([large, -large], 0, 0), ([large, -large], 1, 2e4), ([large, large], 1, np.log(2))]:
        loss, pullback = ops.softmax_cross_entropy(np.array([scores]), [t])
        assert_allclose(float(loss), wanted, rtol=4 * np.finfo(dtype).eps)
        assert np.isfinite(pullback()[0]).all()
    loss, pullback = ops.softmax_cross_entropy(np.array([[0, -np.inf]], dtype), [0])  # a class that is ruled out
    assert loss == 0
    assert_array_equal(pullback()[0], [[0, 0]])


# Half precision: what is stored in it is computed in single.


def test_the_loss_of_many_samples_does_not_overflow_in_half_precision():
    z, t = np.zeros((30000, 10), np.float16), np.zeros(30000, int)
    loss, pullback = ops.softmax_cross_entropy(z, t)
    assert loss.dtype == np.float16
    assert_allclose(float(loss), np.log(10), rtol=1e-3)
    (dz,) = pullback()
    assert dz.dtype == np.float16
    assert_allclose(dz[0].astype(float) * 30000, [-0.9] + [0.1] * 9, rtol=0.05)  # as many digits as subnormals have
    far = np.full((300, 300), 30, np.float16), np.zeros((300, 300), np.float16)
    assert nn.mean_squared_error(*far) == ops.mean_squared_error(*far)[0] == 900
    p = np.full((70000, 2), 0.5, np.float16)
    assert_allclose(float(nn.cross_entropy_error(p, np.zeros(70000, int))), np.log(2), rtol=1e-3)


def test_batch_norm_normalises_in_half_precision(rng):
    x = np.linspace(0, 200, 64).astype(np.float16)[:, None]
    params = {"gamma1": np.ones(1, np.float16), "beta1": np.zeros(1, np.float16)}
    stats = {"mean1": np.zeros(1, np.float16), "var1": np.ones(1, np.float16)}
    y, pullback, new = layers.batch_norm(1)(params, x, layers.Mode(stats, key=(0,)))
    assert_allclose([float(y.mean()), float(y.std())], [0, 1], atol=2e-3)
    dx, grads = pullback(rng.standard_normal(y.shape).astype(np.float16))
    assert {a.dtype for a in (y, dx, *grads.values(), *new.values())} == {np.dtype(np.float16)}
    assert all(np.isfinite(a).all() for a in (dx, *grads.values(), *new.values()))


HALF = {
    "sigmoid": (ops.sigmoid, [(6, 5)]),
    "tanh": (ops.tanh, [(6, 5)]),
    "softmax": (ops.softmax, [(6, 5)]),
    "log_softmax": (ops.log_softmax, [(6, 5)]),
    "affine": (ops.affine, [(6, 5), (5, 3), (3,)]),
    "batch_norm": (ops.batch_norm, [(6, 5), (5,), (5,)]),
    "conv2d": (partial(ops.conv2d, pad=1), [(2, 3, 6, 6), (4, 3, 3, 3), (4,)]),
    "avg_pool2d": (partial(ops.avg_pool2d, size=2), [(2, 3, 6, 6)]),
    "mean_squared_error": (ops.mean_squared_error, [(6, 5), (6, 5)]),
}


@pytest.mark.parametrize("name", HALF)
def test_an_op_in_half_precision_is_that_in_single_rounded_once(name, rng):
    op, shapes = HALF[name]
    half = [rng.standard_normal(shape).astype(np.float16) for shape in shapes]
    y, pullback = op(*half)
    same, back = op(*(a.astype(np.float32) for a in half))
    assert_array_equal(y, same.astype(np.float16), strict=True)
    dy = rng.standard_normal(y.shape).astype(np.float16)
    grads = (
        zip(pullback(dy), back(dy.astype(np.float32)), strict=True) if y.shape else zip(pullback(), back(), strict=True)
    )
    for g, wanted in grads:
        assert_array_equal(g, wanted.astype(np.float16), strict=True)


def test_half_precision_beside_single_is_single():
    x, W, b = np.ones((2, 3), np.float16), np.ones((3, 4), np.float32), np.ones(4, np.float32)
    y, pullback = ops.affine(x, W, b)
    assert {a.dtype for a in (y, *pullback(y))} == {np.dtype(np.float32)}


def test_answers_that_are_no_floats_stay_what_they_are_in_half_precision():
    assert nn.step(np.array([-1, 1], np.float16)).dtype == nn.step([-1.0, 1.0]).dtype
    assert nn.perceptron(np.ones((2, 2), np.float16), np.ones(2, np.float16), -1.5).tolist() == [1, 1]
    _, pullback = ops.relu(np.ones(2, np.float16))
    with pytest.raises(ValueError, match=r"relu: the gradient has shape \(3,\)"):
        pullback(np.ones(3, np.float16))


def test_weight_decay_of_half_precision_is_added_up_in_single():
    penalty, grads = nn.weight_decay({"W": np.full(70000, 2, np.float16)}, 1.0)
    assert penalty == 140000
    assert grads["W"].dtype == np.float16


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_jaxs_half_precisions_are_stored_in_half_and_computed_in_single(kind):
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed; it comes with the extra `scale`")
    z = jnp.zeros((30000, 10), kind)
    loss, pullback = ops.softmax_cross_entropy(z, jnp.zeros(30000, int))
    assert {loss.dtype, pullback()[0].dtype} == {z.dtype}
    assert_allclose(float(loss), np.log(10), rtol=0.01)
    with pytest.raises(ValueError, match=f"W has dtype {kind}"):
        nn.adam().init({"W": z})


def test_cupys_arrays_are_refused_where_nothing_translates_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    array_of_cupy = type("ndarray", (), {"__module__": "cupy"})()
    with pytest.raises(ValueError, match="PyTorch and CuPy want an adapter: pip install array-api-compat"):
        nn.relu(array_of_cupy)
