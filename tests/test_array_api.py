"""Other array libraries: what is written for the Python array API standard runs on its strictest follower."""

import array_api_strict as xp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import nnfunc as nn
from nnfunc import layers, ops
from nnfunc.layers import affine, serial

X = np.random.default_rng(0).standard_normal((4, 3))
UNIT = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
ONE_HOT = np.eye(3)[[0, 2, 1, 2]]
LABELS = np.array([0, 2, 1, 2])
W, B = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])


def strict(a):
    return xp.asarray(a) if isinstance(a, np.ndarray) else a


def back(a):
    """Return the array as NumPy's; that it is the other library's is half of each test."""
    assert type(a) is type(xp.asarray(0.0))
    return np.asarray(a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("f", "args"),
    [
        *((f, [X]) for f in (nn.step, nn.sigmoid, nn.tanh, nn.relu, nn.identity, nn.softmax, nn.log_softmax)),
        (nn.one_hot, [LABELS, 3]),
        (nn.perceptron, [X, X[0], 0.5]),
        (nn.sum_squared_error, [X, UNIT]),
        (nn.mean_squared_error, [X, UNIT]),
        (nn.cross_entropy_error, [UNIT, LABELS]),
        (nn.cross_entropy_error, [UNIT, ONE_HOT]),
        (nn.accuracy, [X, LABELS]),
        (nn.accuracy, [X, ONE_HOT]),
    ],
)
def test_values(f, args, dtype):
    args = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    expected, got = f(*args), back(f(*map(strict, args)))
    assert got.dtype == expected.dtype
    assert_allclose(got, expected, rtol=1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("op", "args"),
    [
        (ops.add, [X, UNIT]),
        (ops.mul, [X, UNIT]),
        (ops.affine, [X, W, B]),
        (ops.affine, [X[0], W, B]),
        *((op, [X]) for op in (ops.identity, ops.sigmoid, ops.tanh, ops.relu, ops.softmax, ops.log_softmax)),
        (ops.flatten, [X.reshape(2, 3, 2)]),
        (ops.batch_norm, [X, X[0], UNIT[0]]),
        (ops.batch_norm, [X.reshape(2, 3, 2, 1), X[0], UNIT[0]]),
        (ops.dropout, [X, 0.4, (1, 2)]),
        (ops.softmax_cross_entropy, [X, LABELS]),
        (ops.softmax_cross_entropy, [X, ONE_HOT]),
        (ops.sigmoid_cross_entropy, [X, UNIT]),
        (ops.sum_squared_error, [X, UNIT]),
        (ops.mean_squared_error, [X, UNIT]),
    ],
)
def test_ops_there_and_back(op, args, dtype):
    args = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    (y, pullback), (y_strict, pullback_strict) = op(*args), op(*map(strict, args))
    dy = np.asarray(y) + dtype(1)
    expected, got = (y, *pullback(dy)), (y_strict, *pullback_strict(xp.asarray(dy)))
    for a, b in zip(expected, map(back, got), strict=True):
        assert b.dtype == dtype
        digits = {"rtol": 1e-5, "atol": 2e-7} if dtype == np.float32 else {"rtol": 1e-13, "atol": 4e-16}
        assert_allclose(b, a, **digits)  # where numbers near one cancel, other sums leave other last digits


def test_every_value_and_op_is_tried():
    def names(test):
        (mark,) = (m for m in test.pytestmark if m.name == "parametrize" and len(m.args[0]) == 2)
        return {f.__name__ for f, _ in mark.args[1]}

    assert names(test_values) == set(nn.functions.__all__)
    assert names(test_ops_there_and_back) == {
        name for name in ops.__all__ if getattr(ops, name).__module__ == ops.__name__
    }


def test_one_sample_is_no_batch_to_be_cut():
    net, params = affine(1), {"W1": xp.asarray(W), "b1": xp.asarray(B)}
    with pytest.raises(ValueError, match=r"^predict: x has shape \(3,\); wanted \(N, ...\) to cut, one sample is"):
        nn.predict(net, params, xp.asarray(X[0]), batch_size=2)


def test_a_net_learns_one_step_as_with_numpy():
    net = serial(layers.flatten, affine(1), layers.batch_norm(1), layers.tanh, layers.dropout(0.3), affine(2))
    params = nn.init_mlp(0, (3, 5, 3), batch_norm=True)
    stats = nn.init_stats(params)
    optimizer = nn.adam(0.1)
    step = nn.train_step(nn.value_and_grad(net, ops.softmax_cross_entropy), optimizer)
    x = X.astype(np.float32)
    (expected, metrics), (got, metrics_strict) = (
        step(nn.init_state(optimizer, {name: of(p) for name, p in params.items()}, observed), (of(x), of(LABELS)))
        for of, observed in [
            (np.asarray, stats),
            (xp.asarray, {name: xp.asarray(a) for name, a in stats.items()}),
        ]
    )
    assert_allclose(back(metrics_strict["loss"]), metrics["loss"], rtol=1e-6)
    for name, p in expected.params.items():
        assert back(got.params[name]).dtype == np.float32
        # b1 stands before batch norm: its gradient is rounding, of which Adam makes whole steps.
        assert_allclose(back(got.params[name]), p, rtol=1e-4, atol=0.2 if name == "b1" else 1e-6)
    for name, a in expected.stats.items():
        assert_allclose(back(got.stats[name]), a, rtol=1e-5, atol=1e-7)
