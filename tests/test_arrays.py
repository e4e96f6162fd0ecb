"""The ground floor: what `op` sees to, what it leaves alone, and what survives it."""

import inspect
import itertools
import pickle
import re
from functools import partial

import array_api_strict as xp
import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnfunc as nn
from nnfunc import layers, ops


@nn.op("x (..., D), w (D)")
def scaled(x, w, *, power=1):
    """Scale features."""
    return x * w**power, lambda dy: (dy * w**power, (dy * x * power * w ** (power - 1)).reshape(-1, len(w)).sum(axis=0))


@nn.op("E (V, D)")
def embedding(ids, E):
    def pullback(dy):
        dE = np.zeros_like(E)
        np.add.at(dE, ids, dy)
        return None, dE

    return E[ids], pullback


@nn.op("x (N, ...), y (..., N)")
def turned(x, y):
    return x.sum() + y.sum(), lambda dz: (dz + 0 * x, dz + 0 * y)


def refused(message):
    """Expect this very message."""
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


X, W = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 4.0])


# Arrays in


def test_lists_ints_and_bools_are_floats():
    for x in (X.tolist(), X.astype(int), X.astype(np.uint8)):
        assert_array_equal(scaled(x, W)[0], X * W, strict=True)
    assert_array_equal(scaled(X > 2, [1, 2, 4])[0], (X > 2) * W, strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_ints_take_the_dtype_of_the_first_floats(dtype):
    assert scaled(X.astype(int), W.astype(dtype))[0].dtype == dtype
    assert scaled(X.astype(dtype), [1, 2, 4])[0].dtype == dtype
    assert scaled([[1, 2, 3]], [1, 2, 4])[0].dtype == np.float64


def test_arguments_that_are_not_named_pass_as_they_are_wherever_they_stand():
    ids = [2, 0]
    E = np.eye(3, 4, dtype=np.float32)
    y, pullback = embedding(ids, E)
    assert_array_equal(y, E[[2, 0]], strict=True)
    assert pullback(y)[0] is None
    assert_array_equal(embedding(ids, E=E.tolist())[0], E[[2, 0]])


def test_arrays_may_be_given_by_name():
    assert_array_equal(scaled(w=[1, 2, 4], x=X)[0], X * W, strict=True)
    assert_array_equal(scaled(X, w=W, power=2)[0], X * W**2, strict=True)


def test_a_matrix_is_an_array_like_another():
    """`*` and `**` of np.matrix are products of matrices."""
    with pytest.warns(PendingDeprecationWarning):
        x = np.matrix(X)
    y, pullback = scaled(x, W)
    assert type(y) is np.ndarray
    assert_array_equal(y, X * W)
    assert_array_equal(pullback(x)[0], X * W)
    with pytest.warns(PendingDeprecationWarning):
        square = np.matrix([[1, 2], [3, 4.0]])
    assert nn.mean_squared_error(square, np.zeros((2, 2))) == 7.5
    assert_array_equal(nn.log_softmax(square), nn.log_softmax(np.asarray(square)))


@pytest.mark.parametrize(
    "call",
    [
        lambda a: nn.relu(a),
        lambda a: nn.mean_squared_error(a, X),
        lambda a: nn.mean_squared_error(X, a),
        lambda a: nn.accuracy(X, a),
        lambda a: ops.relu(a),
        lambda a: ops.relu(X)[1](a),
        lambda a: ops.softmax_cross_entropy(X, a),
        lambda a: scaled(a, W),
    ],
)
def test_a_masked_array_is_refused_since_its_mask_would_be_lost(call):
    with pytest.raises(ValueError, match=r"masked array, whose mask would be lost; wanted .*\.filled"):
        call(np.ma.masked_array(X, X > 2))


# The letters

SIZES = st.sampled_from([1, 2, 3])


@given(st.lists(SIZES, max_size=2), SIZES, SIZES)
def test_a_letter_is_one_size_wherever_it_stands(front, D, other):
    x, w = np.ones((*front, D)), np.ones(other)
    if other == D:
        assert scaled(x, w)[0].shape == x.shape
    else:
        with pytest.raises(ValueError, match=f"; D is {D} and {other}$"):
            scaled(x, w)


@given(st.lists(SIZES, max_size=2), st.lists(SIZES, max_size=2), SIZES, SIZES)
def test_the_dots_are_the_same_sizes_too_and_stand_anywhere(front, back, N, M):
    x, y = np.ones((N, *front)), np.ones((*back, M))
    if front == back and N == M:
        assert turned(x, y)[0] == x.size + y.size
    else:
        with pytest.raises(ValueError, match=r"^turned: x \("):
            turned(x, y)


@pytest.mark.parametrize("op", [ops.add, ops.mul])
@pytest.mark.parametrize(("x", "y"), [((3,), (1,)), ((2, 3), (2, 1)), ((2, 3), ()), ((2, 3), (3,)), ((1, 3), (3,))])
def test_nothing_is_broadcast(op, x, y):
    for a, b in ((x, y), (y, x)):
        message = rf"^{op.__name__}: x \(.*; wanted x \(\.\.\.\), y \(\.\.\.\); \.\.\. is \("
        with pytest.raises(ValueError, match=message):
            op(np.ones(a), np.ones(b))


def test_the_error_says_what_came_what_was_wanted_and_where_they_part():
    wanted = "wanted x (..., D), W (D, M), b (M); D is 3 and 4"
    with refused(f"affine: x (8, 3), W (4, 2), b (2,); {wanted}"):
        ops.affine(np.ones((8, 3)), np.ones((4, 2)), np.ones(2))
    wanted = "wanted x (N, C, H, W), W (F, C, FH, FW), b (F); one sample is x[None]"
    with refused(f"conv2d: x (3, 5, 5), W (6, 3, 3, 3), b (6,); {wanted}"):
        ops.conv2d(np.ones((3, 5, 5)), np.ones((6, 3, 3, 3)), np.ones(6))


def test_lists_are_measured_like_arrays():
    """The short way and the long one refuse the same."""
    for x, w in itertools.product((X, X.tolist()), (np.ones(2), [1.0, 1.0])):
        with pytest.raises(
            ValueError, match=r"^scaled: x \(2, 3\), w \(2,\); wanted x \(\.\.\., D\), w \(D\); D is 3 and 2$"
        ):
            scaled(x, w)


def test_ragged_lists_and_what_holds_no_numbers_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^scaled: x is no array: "):
        scaled([[1.0], [1.0, 2.0]], W)
    for x, dtype in (("abc", "<U3"), ([None], "object"), ([1j], "complex128")):
        with pytest.raises(ValueError, match=f"^scaled: x has dtype {dtype}, wanted real numbers$"):
            scaled(x, W)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaled(X), r"scaled\(\) missing 1 required positional argument: 'w'"),
        (lambda: scaled(w=W), r"scaled\(\) missing 1 required positional argument: 'x'"),
        (lambda: scaled(X, W, W), r"scaled\(\) takes 2 positional arguments but 3 were given"),
        (lambda: scaled(X, W, strength=1), r"scaled\(\) got an unexpected keyword argument 'strength'"),
        (lambda: scaled(X.tolist(), W, strength=1), r"scaled\(\) got an unexpected keyword argument 'strength'"),
        (lambda: scaled(X, W, x=X), r"scaled\(\) got multiple values for argument 'x'"),
    ],
)
def test_a_wrong_keyword_or_a_missing_argument_is_answered_as_a_function_answers_it(call, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        call()


@pytest.mark.parametrize(
    ("letters", "message"),
    [
        ("x (N, D", "the letters are 'x (N, D', wanted"),
        ("x N, w (D)", "the letters are"),
        ("x (N,, D) w (D)", "the letters are"),
        ("", "the letters are ''"),
        ("x (N, 3)", "x is (N, 3), wanted letters and at most one ..."),
        ("x (..., D, ...)", "x is (..., D, ...), wanted letters and at most one ..."),
        ("x (N, D), v (D)", "the letters name v; scaled takes x, w, power"),
    ],
)
def test_letters_that_are_none_are_refused_when_the_op_is_made(letters, message):
    with pytest.raises(ValueError, match=f"^op: {re.escape(message)}"):
        nn.op(letters)(inspect.unwrap(scaled))


# The gradient that comes back


def test_a_gradient_of_another_shape_is_refused():
    _, pullback = scaled(X, W)
    for dy in (np.ones(3), np.ones((2, 1)), 1.0, [[1.0]], np.ones((2, 3, 1))):
        with pytest.raises(
            ValueError, match=r"^scaled: the gradient has shape .*, wanted \(2, 3\), the shape of the output$"
        ):
            pullback(dy)


def test_lists_and_ints_take_the_outputs_dtype_and_another_width_stays():
    _, pullback = scaled(X.astype(np.float32), W.astype(np.float32))
    for dy in (np.ones((2, 3), int), np.ones((2, 3)).tolist(), np.ones((2, 3), bool)):
        assert pullback(dy)[0].dtype == np.float32
    assert pullback(np.ones((2, 3)))[0].dtype == np.float64
    assert pullback(np.ones((2, 3), np.float16))[0].dtype == np.float32


def test_the_pullback_of_a_loss_has_a_default_and_gets_a_plain_float():
    seen = []

    @nn.op("z (N)")
    def loss(z, t):
        return z.sum(), lambda dloss=1.0: (seen.append(dloss) or dloss + 0 * z,)

    _, pullback = loss([1, 2], None)
    for dloss in ((), (2,), (np.float32(3),), (np.array(4),)):
        pullback(*dloss)
    assert [type(dloss) for dloss in seen] == [float] * 4
    assert seen == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"^loss: the gradient has shape \(2,\), wanted one number, like the loss$"):
        pullback([1.0, 2.0])


def test_a_default_for_a_variable_of_a_loop_makes_no_loss():
    op = nn.op("x (...)")(lambda x: (x, lambda dy, k=1: (dy * k,)))
    assert_array_equal(op(3.0)[1](2.0)[0], 2.0)
    assert_array_equal(op([3.0])[1]([2.0])[0], [2.0])


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (np.ones(2), "an array of shape (2,)"),
        ((np.ones(2),), "a tuple of 1"),
        ((np.ones(2), abs, 1), "a tuple of 3"),
        (None, "None"),
    ],
)
def test_an_op_that_returns_no_pair_is_refused(answer, came):
    def unpaired(x):
        return answer

    with refused(f"unpaired: returned {came}, wanted (y, pullback)"):
        nn.op("x (...)")(unpaired)(X)
    with refused("listed: returned a list of 2 as its value, wanted an array"):
        nn.op("x (...)")(named(lambda x: ([x, x], abs), "listed"))(X)


def named(f, name):
    f.__name__ = name
    return f


# What survives


def test_signature_docstring_and_source_are_the_functions_own():
    assert str(inspect.signature(scaled)) == "(x, w, *, power=1)"
    assert scaled.__doc__ == "Scale features."
    assert scaled.takes == "x (..., D), w (D)"
    assert inspect.getsource(scaled).startswith('@nn.op("x (..., D), w (D)")\ndef scaled')
    assert nn.check_vjp(scaled, (X, W))


def test_ops_go_by_name_through_pickle():
    for name in ops.__all__:
        assert pickle.loads(pickle.dumps(getattr(ops, name))) is getattr(ops, name)


def test_a_readers_op_a_net_and_a_step_go_through_cloudpickle():
    there = cloudpickle.loads(cloudpickle.dumps(readers_own()))
    assert_array_equal(there([[1, 2]], [3, 4])[0], [[3.0, 8.0]])
    with pytest.raises(ValueError, match="wanted x"):
        there([[1, 2]], [3])
    residual = layers.serial(layers.fan_out(layers.relu, layers.dropout(0.5)), layers.join(ops.add))
    net = layers.serial(layers.lift(readers_own(), "w"), layers.affine(1), layers.batch_norm(1), residual)
    params = {"w": np.ones(2)} | nn.init_affine(0, 1, 2, 3) | nn.init_batch_norm(1, 3)
    optimizer = nn.adam(nn.cosine(0.1, 10))
    step = nn.train_step(nn.with_clipping(nn.value_and_grad(net, ops.softmax_cross_entropy), 1.0), optimizer)
    state, batch = nn.init_state(optimizer, params, nn.init_stats(params)), (np.eye(2), np.array([0, 2]))
    (here, metrics), (there, same) = (f(state, batch) for f in (step, cloudpickle.loads(cloudpickle.dumps(step))))
    assert metrics == same
    for name in params:
        assert_array_equal(here.params[name], there.params[name], strict=True)


def readers_own():
    @nn.op("x (N, D), w (D)")
    def scale(x, w):
        return x * w, lambda dy: (dy * w, (dy * x).sum(axis=0))

    return scale


def test_another_librarys_arrays_are_answered_in_kind():
    y, pullback = scaled(xp.asarray(X), xp.asarray(W))
    assert type(y) is type(xp.asarray(0.0))
    with pytest.raises(ValueError, match=r"D is 3 and 2$"):
        scaled(xp.asarray(X), xp.asarray(W[:2]))
    with pytest.raises(ValueError, match="the gradient has shape"):
        pullback(xp.asarray(W))


# Chance by key


def test_a_key_gives_numpys_generator_of_the_seed_and_its_spawns():
    for key in ((0,), (5, 0), (5, 1, 2)):
        same = np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))
        assert nn.generator(key).random() == same.random()
    draws = {key: nn.generator(key).random() for key in ((5,), (5, 0), (5, 0, 0), (0, 5))}
    assert len(set(draws.values())) == 4


@pytest.mark.parametrize("key", [5, (), None, [0, 1], (-1,), (0, -1), (0.0,), ("0",), (True, 1), (0, None)])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match=r"^generator: key is .*, wanted a tuple of ints from 0 up$"):
        nn.generator(key)


def test_wrapped_ops_keep_their_settings_too():
    """A wrapper hides the keyword defaults; the signature does not."""
    layer = layers.lift(partial(ops.affine), "W1", "b1")
    params, x = {"W1": np.ones((3, 2)), "b1": np.zeros(2)}, np.ones((4, 3))
    _, pullback, _ = layer(params, x, layers.Mode(dx=False))
    assert pullback(np.ones((4, 2)))[0] is None
    assert_allclose(layer(params, x)[1](np.ones((4, 2)))[0], np.full((4, 3), 2.0))


def test_floats_that_fit_go_straight_to_the_formula(monkeypatch):
    def brought(*_):
        raise AssertionError("the long way, which every step would pay for")

    monkeypatch.setattr(nn._arrays, "_brought", brought)
    for dtype in (np.float32, np.float64):
        x, w = X.astype(dtype), W.astype(dtype)
        scaled(x, w, power=2)
        ops.relu(x)
        ops.affine(x, np.ones((3, 2), dtype), np.ones(2, dtype))
        ops.softmax_cross_entropy(x, [0, 1])
        ops.batch_norm(x, w, w)
        embedding(np.array([0, 1]), x)
    with pytest.raises(AssertionError, match="long way"):
        ops.relu([1.0])


def test_several_inputs_are_of_one_length():
    x, t = np.ones((4, 2)), np.zeros(4, int)
    assert next(nn.minibatches((x, x), t, 2))[0][1].shape == (2, 2)
    many = np.ones((1000, 2))
    assert next(nn.minibatches((many, many), np.zeros(1000, int), 500))[1].shape == (500,)
    with refused("minibatches: x has shape (4, 2), (5, 2); wanted (N, ...)"):
        nn.minibatches((x, np.ones((5, 2))), t, 2)


def test_the_ends_of_an_interval_count_as_its_brackets_say():
    real = nn._arrays.real
    assert real("f", "a", np.inf, "(0, inf]") == np.inf
    assert real("f", "a", 0, "[0, 1)") == 0
    for x, within in ((0, "(0, inf]"), (1, "[0, 1)"), (np.inf, "[0, inf)")):
        with refused(f"f: a is {float(x)!r}, wanted a number in {within}"):
            real("f", "a", float(x), within)


def test_one_default_is_the_mark_of_a_loss_and_two_are_not():
    @nn.op("x (...)")
    def halved(x):
        half, none = 0.5, 0.0
        return x / 2, lambda dy, half=half, none=none: (dy * half + none,)

    assert isinstance(halved(3.0)[1](1)[0], np.generic | np.ndarray), "an array of the output's shape"


def test_jax_draws_other_numbers_for_every_key():
    jnp = pytest.importorskip("jax.numpy")
    x, keys = jnp.zeros(8), [(0,), (1,), (0, 1), (0, 2), (1, 1), (0, 1, 2), (0, 0, 1)]
    assert len({tuple(nn._arrays.uniform(key, x).tolist()) for key in keys}) == len(keys)


@pytest.mark.parametrize(("came", "wanted"), [("float64", "float32"), ("float32", "float64"), ("bool", "float32")])
def test_one_array_takes_the_dtype_of_another(came, wanted):
    x, y = np.ones(2, came), np.ones(2, wanted)
    assert nn._arrays.like(x, y).dtype == wanted
    assert nn._arrays.like(y, y) is y
    assert nn._arrays.like(xp.asarray(x), xp.asarray(y)).dtype == xp.asarray(y).dtype
