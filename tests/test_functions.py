"""Values: the numbers that the sources print, the laws of the functions, and the forms of labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn

scores = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-50, 50))
numbers = arrays(np.float64, st.integers(1, 8), elements=st.floats(-800, 800))

# The two outputs that the sources give the ten digits; the right answer is 2.
Y_RIGHT = [0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0]
Y_WRONG = [0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0]
TWO = [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


# The numbers of the sources


@pytest.mark.rows("S3-10")
def test_softmax_of_the_sources():
    y = nn.softmax([0.3, 2.9, 4.0])
    assert_allclose(y, [0.01821127, 0.24519181, 0.73659691], atol=5e-9)
    assert y.sum() == 1.0


@pytest.mark.rows("S3-10")
def test_softmax_does_not_overflow_where_the_formula_does():
    x = np.array([1010.0, 1000.0, 990.0])
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(np.exp(x) / np.exp(x).sum()).all()
    assert_allclose(nn.softmax(x), [9.99954600e-01, 4.53978686e-05, 2.06106005e-09], rtol=5e-9)


@pytest.mark.rows("S0-13", "S0-14", "S2-09")
@pytest.mark.parametrize(
    ("scores", "y", "loss"),
    [
        ([1.42966841, -0.91106999, 0.19106983], [0.72147647, 0.06944683, 0.2090767], 1.5650536149292247),
        (np.log([0.35458493, 0.33156287, 0.3138522]), [0.35458493, 0.33156287, 0.3138522], 1.158833),
    ],
)
def test_simple_net_probabilities_and_loss(scores, y, loss):
    assert_allclose(nn.softmax(scores), y, atol=1e-8)
    assert nn.accuracy(scores, 0) == 1.0
    assert_allclose(nn.cross_entropy_error(nn.softmax(scores), [0, 0, 1]), loss, atol=5e-7 if loss < 1.2 else 1e-8)


@pytest.mark.rows("S3-16", "S4-01", "S4-02")
@pytest.mark.parametrize(
    ("loss", "y", "t", "expected"),
    [
        (nn.sum_squared_error, Y_RIGHT, TWO, 0.0975),
        (nn.sum_squared_error, Y_WRONG, TWO, 0.5975),
        (nn.cross_entropy_error, Y_RIGHT, TWO, 0.510825457099338),
        (nn.cross_entropy_error, Y_WRONG, TWO, 2.302584092994546),
        (nn.sum_squared_error, [0.1, 0.05, 0.6, 0.05, 0.2], TWO[:5], 0.1075),
        (nn.cross_entropy_error, [0.1, 0.05, 0.6, 0, 0.1, 0.05, 0, 0.1], TWO[:8], 0.510825457099338),
    ],
)
def test_losses_of_the_sources(loss, y, t, expected):
    assert_allclose(sum(y), 1.0, rtol=1e-15)
    assert_allclose(loss(y, t), expected, rtol=1e-15)


@pytest.mark.rows("S3-39")
def test_gates_and_xor_from_gates():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    gate = {
        "and": lambda x: nn.perceptron(x, [0.5, 0.5], -0.7),
        "nand": lambda x: nn.perceptron(x, [-0.5, -0.5], 0.7),
        "or": lambda x: nn.perceptron(x, [0.5, 0.5], -0.2),
    }
    assert [gate[name](x).tolist() for name in gate] == [[0, 0, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1]]
    assert gate["and"](np.stack([gate["nand"](x), gate["or"](x)], axis=1)).tolist() == [0, 1, 1, 0]
    assert gate["and"]([1, 1]) == 1


@pytest.mark.rows("S2-08")
def test_step_and_relu_at_and_around_zero():
    x = np.array([-2, -0.0, 0.0, 1e-300, 3])
    assert_array_equal(nn.step(x), [0, 0, 0, 1, 1], strict=True)
    assert_array_equal(nn.relu(x), [0, 0, 0, 1e-300, 3])
    assert nn.step(0.5) == 1
    assert nn.step(-0.5) == 0


@pytest.mark.rows("S3-02")
@pytest.mark.parametrize("ragged", [[[1], [2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5], [6]]])
def test_rows_of_unequal_lengths_are_no_array(ragged):
    with pytest.raises(ValueError, match=r"after 1 dimensions. The detected shape was \(3,\) \+ inhomogeneous part"):
        nn.relu(ragged)
    assert np.array(ragged, dtype=object).shape == (3,)


# Laws


@given(scores, st.floats(-1e3, 1e3))
@pytest.mark.rows("S3-09", "S1-03")
def test_softmax_sums_to_one_and_does_not_see_a_shift(x, c):
    y = nn.softmax(x)
    assert_allclose(y.sum(axis=-1), 1.0, rtol=1e-14)
    assert_allclose(nn.softmax(x + c), y, rtol=1e-11, atol=1e-300)


@given(scores)
@pytest.mark.rows("S3-09")
def test_softmax_keeps_the_order_of_the_scores(x):
    order = np.argsort(x, axis=-1)
    assert (np.diff(np.take_along_axis(nn.softmax(x), order, axis=-1), axis=-1) >= 0).all()


@pytest.mark.traps("T22")
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax])
def test_softmax_runs_over_one_axis_alone(f, shape, rng):
    x = rng.standard_normal(shape)
    for axis in range(-x.ndim, x.ndim):
        assert_allclose(f(x, axis=axis), np.apply_along_axis(f, axis, x), rtol=1e-14)
    assert_array_equal(f(x), f(x, axis=-1))
    for axis in (-x.ndim - 1, x.ndim):
        with pytest.raises(
            ValueError, match=rf"^{f.__name__}: axis is {axis}, wanted an int from -{x.ndim} to {x.ndim - 1}"
        ):
            f(x, axis=axis)


def test_the_identity_makes_arrays_of_lists_as_its_brothers_do():
    assert_array_equal(nn.identity([1, 2]), np.array([1.0, 2.0]), strict=True)


@given(scores)
def test_log_softmax_is_the_logarithm_of_softmax(x):
    assert_allclose(np.exp(nn.log_softmax(x)), nn.softmax(x), rtol=1e-12)
    assert (nn.log_softmax(x) <= 0).all()


def test_log_softmax_keeps_what_softmax_loses():
    assert_array_equal(nn.softmax([0.0, -2000.0]), [1, 0])
    assert_array_equal(nn.log_softmax([0.0, -2000.0]), [0, -2000])
    assert_array_equal(nn.log_softmax([0.0, -np.inf]), [0, -np.inf])


@given(numbers)
def test_sigmoid_is_symmetric_and_tanh_is_a_stretched_sigmoid(x):
    assert_allclose(nn.sigmoid(-x), 1 - nn.sigmoid(x), atol=2e-16)
    assert_allclose(nn.tanh(x), 2 * nn.sigmoid(2 * x) - 1, atol=4e-16)
    small = x / 40
    assert_allclose(nn.sigmoid(small), 1 / (1 + np.exp(-small)), rtol=1e-15)


@pytest.mark.traps("T23")
@pytest.mark.parametrize("x", [np.float64(1000), np.float32(100)])
def test_sigmoid_is_silent_at_both_ends(x):
    assert nn.sigmoid(x) == 1
    assert 0 <= nn.sigmoid(-x) < np.finfo(x.dtype).tiny
    assert nn.sigmoid(x).dtype == nn.sigmoid(-x).dtype == x.dtype
    assert_allclose(nn.sigmoid(-x / 2), np.exp(-x / 2), rtol=1e-6)


@given(st.data())
def test_one_hot_and_argmax_undo_each_other(data):
    classes = data.draw(st.integers(1, 12))
    t = data.draw(
        arrays(np.int64, st.tuples(st.integers(0, 3), st.integers(0, 4)), elements=st.integers(0, classes - 1))
    )
    rows = nn.one_hot(t, classes)
    assert rows.shape == (*t.shape, classes)
    assert rows.dtype == np.float32
    assert_array_equal(np.argmax(rows, axis=-1), t)
    assert_array_equal(rows.sum(axis=-1), np.ones(t.shape))


def test_the_two_squared_errors_differ_by_their_factor(rng):
    y, t = rng.standard_normal((2, 5, 3))
    assert_allclose(nn.sum_squared_error(y, t), sum((a - b) ** 2 for a, b in zip(y.flat, t.flat, strict=True)) / 2)
    assert_allclose(nn.mean_squared_error(y, t), nn.sum_squared_error(y, t) * 2 / 15)


@pytest.mark.rows("S1-04", "S3-18", "S4-04")
@pytest.mark.traps("T03", "T04")
def test_cross_entropy_is_the_mean_of_its_samples(rng):
    y, t = nn.softmax(rng.standard_normal((6, 4))), np.array([2, 0, 3, 3, 1, 0])
    one_by_one = [-np.log(row[k] + 1e-7) for row, k in zip(y, t, strict=True)]
    assert_allclose(nn.cross_entropy_error(y, t), np.mean(one_by_one), rtol=1e-14)
    assert_allclose([nn.cross_entropy_error(row, k) for row, k in zip(y, t, strict=True)], one_by_one, rtol=1e-14)
    assert_allclose(nn.cross_entropy_error(y, t, eps=0), np.mean(-np.log(y[np.arange(6), t])), rtol=1e-14)


@pytest.mark.traps("T03")
def test_labels_are_positions_not_factors():
    y = np.array([[0.1, 0.655, 0.245], [0.1, 0.655, 0.245]])
    assert_allclose(nn.cross_entropy_error(y, [2, 2], eps=0), -np.log(0.245), rtol=1e-15)  # not twice that
    assert_allclose(nn.cross_entropy_error(y, [0, 0], eps=0), np.log(10), rtol=1e-15)  # not 0


@pytest.mark.traps("T04")
def test_a_probability_of_zero_is_finite_with_the_epsilon():
    assert_allclose(nn.cross_entropy_error([[1.0, 0.0]], [1]), -np.log(1e-7))
    assert nn.cross_entropy_error([[1.0, 0.0]], [0], eps=0) == 0.0


@pytest.mark.rows("S0-16")
@pytest.mark.traps("T09", "T25")
def test_accuracy_counts():
    y = np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert nn.accuracy(y, [1, 0, 0, 1]) == 0.75
    assert nn.accuracy(y, nn.one_hot([1, 0, 0, 1], 2)) == 0.75
    assert nn.accuracy(y[0], 1) == 1.0
    assert nn.accuracy(y.reshape(2, 2, 2), [[1, 0], [0, 1]]) == 0.75


# The forms of labels

LABELS = np.array([2, 0, 1, 2, 1])
FORMS = {
    **{f"labels {kind}": LABELS.astype(kind) for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4")},
    **{f"rows {kind}": np.eye(3)[LABELS].astype(kind) for kind in ("f2", "f4", "f8", "?", "u1", "i8")},
    "list": LABELS.tolist(),
    "list of rows": np.eye(3)[LABELS].tolist(),
}


@pytest.mark.traps("T19", "T25")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_in_every_form_give_the_same(form, dtype):
    z = np.array([[0.5, 0.1, 2], [1, 2, 3], [0, 1, 0], [1, 1, 4], [3, 1, 2]], dtype)
    loss, pullback = nn.ops.softmax_cross_entropy(z, FORMS[form])
    loss_again, pullback_again = nn.ops.softmax_cross_entropy(z, LABELS)
    assert_array_equal(loss, loss_again, strict=True)
    assert_array_equal(*pullback(), *pullback_again(), strict=True)
    assert nn.accuracy(z, FORMS[form]) == dtype(0.6)  # samples 0, 2 and 3
    y = nn.softmax(z)
    assert_array_equal(nn.cross_entropy_error(y, FORMS[form]), nn.cross_entropy_error(y, LABELS), strict=True)


@pytest.mark.traps("T19")
def test_labels_in_a_batch_as_large_as_the_number_of_classes(rng):
    """In the sources' gradient this is where (y - t) broadcasts without an error, and is wrong."""
    z, t = rng.standard_normal((10, 10)), rng.permutation(10)
    _, pullback = nn.ops.softmax_cross_entropy(z, t)
    assert_allclose(*pullback(), (nn.softmax(z) - np.eye(10)[t]) / 10, rtol=1e-12, atol=1e-17)


def test_a_column_is_one_hot_where_there_is_one_class():
    assert nn.cross_entropy_error([[1.0], [1.0]], [[1], [1]], eps=0.5) == -np.log(1.5)
    assert nn.accuracy([[3.0], [4.0]], [[1], [1]]) == 1.0


@pytest.mark.traps("T24")
def test_rows_of_probabilities_are_labels_too():
    y, t = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    assert_allclose(nn.cross_entropy_error(y, t, eps=0), (np.log(2) + np.log(4)) / 2)
    almost = t * [[1.0009], [1]]
    assert nn.cross_entropy_error(y, almost) > nn.cross_entropy_error(y, t)
