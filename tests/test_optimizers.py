"""Optimizers: seven rules against formulae written out, against numbers worked by hand, and against PyTorch."""

import math
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import nnfunc as nn

ORACLES = Path(__file__).parent / "oracles"
oracle = runpy.run_path(str(ORACLES / "make_optimizer_fixtures.py"))
SETTINGS = oracle["SETTINGS"]
RULES = sorted(SETTINGS)
SLOTS = {"sgd": [], "momentum": ["v"], "nesterov": ["v"], "adagrad": ["h"], "rmsprop": ["h"]}
SLOTS |= {"adam": ["m", "v"], "adamw": ["m", "v"]}


def walk(optimizer, params, grads):
    """Every point on the way, and the last memory."""
    opt, points = optimizer.init(params), []
    for g in grads:
        params, opt = optimizer.step(params, g, opt)
        points.append(params)
    return points, opt


# The rules, one number at a time, with Python's floats.


def sgd(p, grads, lr=0.01):
    for g in grads:
        p = p - lr * g
        yield p


def momentum(p, grads, lr=0.01, momentum=0.9):
    v = 0.0
    for g in grads:
        v = momentum * v - lr * g
        p = p + v
        yield p


def nesterov(p, grads, lr=0.01, momentum=0.9):
    v = 0.0
    for g in grads:
        v = momentum * v - lr * g
        p = p + momentum * v - lr * g
        yield p


def adagrad(p, grads, lr=0.01, eps=1e-7):
    h = 0.0
    for g in grads:
        h = h + g**2
        p = p - lr * g / (math.sqrt(h) + eps)
        yield p


def rmsprop(p, grads, lr=0.01, decay=0.99, eps=1e-7):
    h = 0.0
    for g in grads:
        h = decay * h + (1 - decay) * g**2
        p = p - lr * g / (math.sqrt(h) + eps)
        yield p


def adam(p, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = v = 0.0
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * m_hat / (math.sqrt(v_hat) + eps)
        yield p


def adamw(p, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    m = v = 0.0
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * decay * p
        p = p - lr * m_hat / (math.sqrt(v_hat) + eps)
        yield p


WRITTEN_OUT = {f.__name__: f for f in (sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw)}


@pytest.mark.parametrize("given", [False, True], ids=["defaults", "settings"])
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_follow_the_formula(name, given):
    settings = SETTINGS[name] if given else {}
    start, grads = oracle["problem"]()
    points, _ = walk(getattr(nn, name)(**settings), {"W": start}, [{"W": g} for g in grads])
    for k in range(start.size):
        wanted = list(WRITTEN_OUT[name](float(start[k]), grads[:, k].tolist(), **settings))
        assert [float(point["W"][k]) for point in points] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "grads", "wanted"),
    [
        (nn.sgd(0.1), [1, 2, -3], [0.9, 0.7, 1.0]),
        # v: -0.1, -0.25, 0.175
        (nn.momentum(0.1, 0.5), [1, 2, -3], [0.9, 0.65, 0.825]),
        (nn.nesterov(0.1, 0.5), [1, 2, -3], [0.85, 0.525, 0.9125]),
        # the roots of h: 3, 5, 13
        (nn.adagrad(0.1, eps=0), [3, 4, -12], [0.9, 0.82, 0.82 + 1.2 / 13]),
        (nn.adagrad(0.1, eps=2), [3, 4], [1 - 0.3 / 5, 1 - 0.3 / 5 - 0.4 / 7]),
        # h: 1, 1, 4
        (nn.rmsprop(0.1, 0.75, eps=0), [2, 1, -math.sqrt(13)], [0.8, 0.7, 0.7 + math.sqrt(13) / 20]),
        (nn.rmsprop(0.1, 0.75, eps=1), [2, 1], [0.9, 0.85]),
        # m: 1, 0, 1.5; v: 1, 1, 3; both divided by 1 - beta**t
        (
            nn.adam(0.1, 0.5, 0.75, eps=0),
            [2, -1, 3],
            [0.9, 0.9, 0.9 - 0.1 * (12 / 7) / math.sqrt(192 / 37)],
        ),
        # the corrected root is 2, and eps is added to it
        (nn.adam(0.1, 0.5, 0.75, eps=2), [2], [0.95]),
        # as Adam above, and a twentieth of the weight at each step
        (nn.adamw(0.1, 0.5, 0.75, eps=0, decay=0.5), [2, -1], [0.85, 0.8075]),
        (nn.adamw(0.1, 0.5, 0.75, eps=2, decay=0.5), [0, 0], [0.95, 0.9025]),
    ],
)
def test_steps_worked_by_hand(optimizer, grads, wanted):
    points, _ = walk(optimizer, {"W": np.array([1.0])}, [{"W": np.array([float(g)])} for g in grads])
    assert [point["W"][0] for point in points] == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_are_those_of_pytorch(name):
    with np.load(ORACLES / "optimizers.npz") as stored:
        start, grads, wanted = stored["start"], stored["grads"], stored[name]
    points, _ = walk(getattr(nn, name)(**SETTINGS[name]), {"W": start}, [{"W": g} for g in grads])
    np.testing.assert_allclose([point["W"] for point in points], wanted, rtol=1e-12, atol=1e-12)


def test_the_stored_path_is_what_pytorch_gives_today():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `dev`")
    made = oracle["make"](torch)
    with np.load(ORACLES / "optimizers.npz") as stored:
        assert sorted(stored) == sorted(made)
        for name, wanted in made.items():
            np.testing.assert_allclose(stored[name], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_other_settings_are_those_of_pytorch_too(name, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `dev`")
    rng = np.random.default_rng(1)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    for lr in (0.3, 0.004):
        settings = {key: (value + 0.9) / 2 if value > 0.5 else value for key, value in SETTINGS[name].items()}
        settings["lr"] = lr
        start, grads = rng.standard_normal(9).astype(dtype), rng.standard_normal((50, 9)).astype(dtype)
        points, _ = walk(getattr(nn, name)(**settings), {"W": start}, [{"W": g} for g in grads])
        wanted = oracle["path"](torch, name, settings, start, grads)
        np.testing.assert_allclose([point["W"] for point in points], wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", RULES)
def test_a_schedule_sees_the_steps_already_taken_once_a_step(name):
    seen = []

    def lr(t):
        seen.append(t)
        return np.float64(0.1) / (t + 1)

    params = {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}
    grads = {"a": np.full(2, 0.5, np.float32), "b": np.full(3, -0.5, np.float32)}
    points, opt = walk(getattr(nn, name)(lr), params, [grads] * 3)
    assert seen == ([0, 0, 1, 1, 2, 2] if name == "adamw" else [0, 1, 2]), "AdamW asks for its decay too"
    assert opt["t"] == 3
    assert all(type(t) is int for t in seen)
    assert {a.dtype for point in points for a in point.values()} == {np.dtype(np.float32)}


def test_a_schedule_sets_the_rate_of_its_step():
    rates = [0.5, 0.25, 0.0]
    points, _ = walk(nn.sgd(lambda t: rates[t]), {"W": np.array([1.0])}, [{"W": np.array([1.0])}] * 3)
    assert [point["W"][0] for point in points] == [0.5, 0.25, 0.25]
    points, _ = walk(nn.momentum(lambda t: rates[t], 0.5), {"W": np.array([1.0])}, [{"W": np.array([1.0])}] * 3)
    assert [point["W"][0] for point in points] == [0.5, 0.0, -0.25], "v keeps the rates of the past: -0.5 -0.5 -0.25"


@pytest.mark.parametrize("wide", [np.float64(0.1), np.array(0.1), lambda t: np.float64(0.1)])
@pytest.mark.parametrize("name", RULES)
def test_a_numpy_rate_widens_nothing(name, wide):
    params, grads = {"W": np.ones((2, 2), np.float32)}, {"W": np.ones((2, 2), np.float32)}
    points, opt = walk(getattr(nn, name)(wide), params, [grads] * 2)
    assert points[-1]["W"].dtype == np.float32
    assert {opt[slot]["W"].dtype for slot in SLOTS[name]} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("name", RULES)
def test_other_numpy_settings_widen_nothing(name):
    settings = {key: np.float64(value) for key, value in SETTINGS[name].items()}
    params, grads = {"W": np.ones(3, np.float32)}, {"W": np.ones(3, np.float32)}
    points, opt = walk(getattr(nn, name)(**settings), params, [grads] * 2)
    assert points[-1]["W"].dtype == np.float32
    assert {opt[slot]["W"].dtype for slot in SLOTS[name]} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("name", RULES)
def test_the_parameters_dtype_is_kept_whatever_the_gradients_is(name):
    optimizer = getattr(nn, name)(**SETTINGS[name])
    for dtype in (np.float32, np.float64, np.longdouble):
        for other in (np.float32, np.float64, np.int64):
            points, opt = walk(optimizer, {"W": np.ones(3, dtype)}, [{"W": np.full(3, 1.5).astype(other)}] * 3)
            assert points[-1]["W"].dtype == dtype
            assert all(opt[slot]["W"].dtype == dtype for slot in SLOTS[name])


@pytest.mark.parametrize("name", RULES)
def test_half_precision_is_refused_by_name_since_its_steps_would_be_lost(name):
    optimizer, half = getattr(nn, name)(**SETTINGS[name]), {"W": np.ones(3, np.float16)}
    opt = optimizer.init({"W": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match=r"W has dtype float16; .* wanted float32 up"):
        optimizer.step(half, {"W": np.ones(3)}, opt)
    params, _ = optimizer.step({"W": np.ones(3, np.float32)}, half, opt)
    assert params["W"].dtype == np.float32
    if SLOTS[name]:
        with pytest.raises(ValueError, match="W has dtype float16"):
            optimizer.init(half)


@pytest.mark.parametrize("name", RULES)
def test_integer_parameters_do_not_cut_gradients_to_ints(name):
    optimizer = getattr(nn, name)(**SETTINGS[name])
    grads = [{"W": np.array([0.5, -0.25])}] * 3
    ints, _ = walk(optimizer, {"W": np.array([3, 4])}, grads)
    floats, _ = walk(optimizer, {"W": np.array([3.0, 4.0])}, grads)
    for one, other in zip(ints, floats, strict=True):
        assert one["W"].dtype == np.float64
        assert np.array_equal(one["W"], other["W"])


@pytest.mark.parametrize("name", RULES)
def test_nothing_is_written_to_and_the_same_comes_twice(name):
    optimizer = getattr(nn, name)(**SETTINGS[name])
    params, grads = {"a": np.ones((2, 3)), "b": np.ones(3)}, {"a": np.full((2, 3), 0.5), "b": np.full(3, -1.0)}
    params, opt = optimizer.step(params, grads, optimizer.init(params))
    arrays = [*params.values(), *grads.values(), *(a for slot in SLOTS[name] for a in opt[slot].values())]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    keys, t = list(opt), opt["t"]
    one, two = optimizer.step(params, grads, opt), optimizer.step(params, grads, opt)
    assert (list(opt), opt["t"]) == (keys, t)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    for key in params:
        assert np.array_equal(one[0][key], two[0][key])
        assert not any(np.shares_memory(one[0][key], a) for a in [*arrays, two[0][key]])
    for slot in SLOTS[name]:
        assert all(np.array_equal(one[1][slot][key], two[1][slot][key]) for key in params)


@pytest.mark.parametrize("name", RULES)
def test_init_remembers_zeros_that_belong_to_nobody_else(name):
    params = {"W1": np.ones((2, 3), np.float32), "b1": np.ones(3)}
    opt = getattr(nn, name)().init(params)
    assert list(opt) == ["t", *SLOTS[name]]
    assert opt["t"] == 0
    memory = [a for slot in SLOTS[name] for a in opt[slot].values()]
    assert [(a.shape, a.dtype) for a in memory] == [(a.shape, a.dtype) for _ in SLOTS[name] for a in params.values()]
    assert not any(a.any() for a in memory)
    arrays = [*params.values(), *memory]
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[k + 1 :]), "two slots in one array"
    if "m" in opt:
        assert opt["m"] is not opt["v"]


def test_adamw_decays_the_weights_alone():
    params = {name: np.ones(3, np.float32) for name in ("W1", "b1", "gamma1", "w", "beta1", "W2")}
    grads = {name: np.full(3, 0.5, np.float32) for name in params}
    (plain,), _ = walk(nn.adam(0.1), params, [grads])
    (decayed,), _ = walk(nn.adamw(0.1, decay=0.3), params, [grads])
    for name in params:
        wanted = plain[name] - np.float32(0.03) if name in ("W1", "W2") else plain[name]
        np.testing.assert_allclose(decayed[name], wanted, rtol=1e-6)
        assert np.array_equal(decayed[name], plain[name]) == (name[0] != "W")
    (none,), _ = walk(nn.adamw(0.1, decay=0), params, [grads])
    assert all(np.array_equal(none[name], plain[name]) for name in params)


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_the_parameters_is_kept(name):
    names = ["W2", "b10", "W1", "W10"]
    params = {key: np.ones(2) for key in names}
    grads = {key: np.ones(2) for key in reversed(names)}
    points, opt = walk(getattr(nn, name)(), params, [grads])
    assert list(points[0]) == names
    assert list(opt) == ["t", *SLOTS[name]]
    assert all(list(opt[slot]) == names for slot in SLOTS[name])


@pytest.mark.parametrize("name", RULES)
def test_gradients_of_other_names_are_refused(name):
    optimizer = getattr(nn, name)()
    params = {"W1": np.ones(2), "b1": np.ones(2)}
    opt = optimizer.init(params)
    for grads, message in [
        ({"W1": np.ones(2)}, "no gradient for ['b1'], no parameter for []; the names must be the same"),
        (
            {"W1": np.ones(2), "b1": np.ones(2), "c": np.ones(2)},
            "no gradient for [], no parameter for ['c']; the names must be the same",
        ),
        (
            {"w1": np.ones(2), "b1": np.ones(2)},
            "no gradient for ['W1'], no parameter for ['w1']; the names must be the same",
        ),
    ]:
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the whole message is compared)
            optimizer.step(params, grads, opt)
        assert str(error.value) == f"{says(name)}: {message}"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("shape", "other"), [((2, 3), (3,)), ((3,), (1,)), ((3,), ()), ((2, 1), (1, 2)), ((), (1,))])
def test_gradients_of_another_shape_are_refused_not_broadcast(name, shape, other):
    optimizer, params = getattr(nn, name)(), {"W1": np.ones(shape)}
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the whole message is compared)
        optimizer.step(params, {"W1": np.ones(other)}, optimizer.init(params))
    assert str(error.value) == f"{says(name)}: W1 has shape {shape}, its gradient {other}"


@pytest.mark.parametrize("name", RULES)
def test_no_parameters_at_all_are_no_trouble(name):
    optimizer = getattr(nn, name)()
    params, opt = optimizer.step({}, {}, optimizer.init({}))
    assert params == {}
    assert opt == {"t": 1} | {slot: {} for slot in SLOTS[name]}


@pytest.mark.parametrize("name", RULES)
def test_a_number_is_a_parameter_too(name):
    points, _ = walk(getattr(nn, name)(), {"W": np.float32(1)}, [{"W": np.float32(0.5)}] * 2)
    alone, _ = walk(getattr(nn, name)(), {"W": np.ones(1, np.float32)}, [{"W": np.full(1, 0.5, np.float32)}] * 2)
    assert points[-1]["W"] == alone[-1]["W"][0]
    assert points[-1]["W"].dtype == np.float32


def test_a_rule_of_ones_own_is_lifted():
    calls = []

    @nn.per_array(lambda t: 1.0 / (t + 1), "count", "total")
    def rule(p, g, count, total, *, lr, t):
        calls.append((t, lr, p.shape))
        return p - lr * np.sign(g), count + 1, total + g

    assert isinstance(rule, nn.Optimizer)
    params = {"a": np.zeros(2), "b": np.zeros((1, 3))}
    grads = {"a": np.array([5.0, -5.0]), "b": np.full((1, 3), 2.0)}
    points, opt = walk(rule, params, [grads, grads])
    assert points[-1]["a"].tolist() == [-1.5, 1.5]
    assert opt["count"]["b"].tolist() == [[2, 2, 2]]
    assert opt["total"]["a"].tolist() == [10, -10]
    assert calls == [(1, 1.0, (2,)), (1, 1.0, (1, 3)), (2, 0.5, (2,)), (2, 0.5, (1, 3))], "t counts from 1"
    with pytest.raises(ValueError, match=r"^test_a_rule_of_ones_own_is_lifted: no gradient for \['b'\]"):
        rule.step(params, {"a": grads["a"]}, opt)


def says(name):
    """The name with which errors of a step begin: AdamW's step is Adam's."""
    return "adam" if name == "adamw" else name


@pytest.mark.traps("T28")
def test_two_networks_may_share_an_optimizer():
    shared = nn.momentum(0.1)
    one, two = {"W1": np.ones(2)}, {"W1": np.ones(2), "gamma1": np.ones(3)}
    g1, g2 = {"W1": np.ones(2)}, {"W1": -np.ones(2), "gamma1": np.ones(3)}
    opt1, opt2 = shared.init(one), shared.init(two)
    for _ in range(3):
        one, opt1 = shared.step(one, g1, opt1)
        two, opt2 = shared.step(two, g2, opt2)
    alone, _ = walk(nn.momentum(0.1), {"W1": np.ones(2)}, [g1] * 3)
    assert np.array_equal(one["W1"], alone[-1]["W1"])


# Adam as the sources write it


def sources_adam(p, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    m = v = 0.0
    for t, g in enumerate(grads, start=1):
        lr_t = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g**2 - v)
        p -= lr_t * m / (math.sqrt(v) + eps)
        yield p


def lit_once(optimizer, slot, steps, dtype):
    """One weight has a gradient at the first step alone, the other always: how often was the memory subnormal?"""
    params, subnormal = {"w": np.array([0.5, 0.25], dtype)}, 0
    opt = optimizer.init(params)
    for t in range(steps):
        params, opt = optimizer.step(params, {"w": np.array([0 if t else 1e-3, 1e-3], dtype)}, opt)
        subnormal += 0 < abs(opt[slot]["w"][0]) < np.finfo(dtype).smallest_normal
    return params["w"], opt[slot]["w"], subnormal


@pytest.mark.parametrize(
    ("name", "slot", "steps", "dtype"),
    [
        ("momentum", "v", 1000, np.float32),
        ("nesterov", "v", 1000, np.float32),
        ("rmsprop", "h", 8000, np.float32),
        ("adam", "m", 1000, np.float32),
        ("adam", "m", 7500, np.float64),
    ],
)
def test_memory_that_fades_becomes_zero_before_it_becomes_subnormal(name, slot, steps, dtype, monkeypatch):
    """Processors reckon with subnormal numbers many times more slowly. The weights do not notice."""
    w, memory, subnormal = lit_once(getattr(nn, name)(), slot, steps, dtype)
    assert (subnormal, memory[0]) == (0, 0)
    assert memory[1] != 0
    monkeypatch.setattr("nnfunc.optimizers._flushed", lambda slot: slot)
    slow, _, subnormal = lit_once(getattr(nn, name)(), slot, steps, dtype)
    assert subnormal > 10
    assert np.array_equal(w, slow)


@pytest.mark.rows("S3-35")
def test_adam_of_the_sources_is_algorithm_1_with_a_larger_eps_at_first():
    start, grads = oracle["problem"]()
    steps = {"W": start}
    opt = nn.adam().init(steps)
    for t, g in enumerate(grads, start=1):
        steps, opt = nn.adam(eps=1e-7 / math.sqrt(1 - 0.999**t)).step(steps, {"W": g}, opt)
    wanted = [list(sources_adam(float(p), grads[:, k].tolist()))[-1] for k, p in enumerate(start)]
    np.testing.assert_allclose(steps["W"], wanted, rtol=1e-12, atol=1e-12)
    assert 1 / math.sqrt(1 - 0.999) == pytest.approx(30, rel=0.06), "at first some thirty times as much"


@pytest.mark.rows("S3-35")
def test_adam_of_the_sources_differs_where_gradients_are_tiny_and_there_alone():
    def first_step(rule, g):
        return 1.0 - next(rule(1.0, [g], lr=0.5, eps=1e-7))

    assert first_step(sources_adam, 1.0) == pytest.approx(first_step(adam, 1.0), rel=1e-5)
    assert first_step(sources_adam, 3e-6) < 0.6 * first_step(adam, 3e-6)
    assert nn.adam.__defaults__[-1] == 1e-8, "the paper's; the sources' is 1e-7"


# Weight decay


@pytest.fixture
def params():
    rng = np.random.default_rng(5)
    shapes = {"W1": (3, 4), "b1": (4,), "gamma1": (4,), "beta1": (4,), "W2": (2, 4, 3, 3), "b2": (2,), "w": (3,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def test_weight_decay_is_half_the_squares_of_the_weights_alone(params):
    penalty, grads = nn.weight_decay(params, 0.3)
    assert penalty == pytest.approx(0.15 * sum(w**2 for name in ("W1", "W2") for w in params[name].flat), rel=1e-13)
    assert list(grads) == ["W1", "W2"]
    differences = nn.numerical_gradient(lambda p: nn.weight_decay(p, 0.3)[0], params)
    for name, g in differences.items():
        np.testing.assert_allclose(g, grads.get(name, np.zeros(params[name].shape)), atol=1e-9)


@pytest.mark.parametrize("lam", [0.25, np.float64(0.25)])
def test_weight_decay_keeps_float32_and_arguments(lam, params):
    narrow = {name: p.astype(np.float32) for name, p in params.items()}
    for p in narrow.values():
        p.flags.writeable = False
    penalty, grads = nn.weight_decay(narrow, lam)
    assert {penalty.dtype, *(g.dtype for g in grads.values())} == {np.dtype(np.float32)}
    assert not any(np.shares_memory(g, narrow[name]) for name, g in grads.items())


def test_without_weights_or_strength_nothing_decays(params):
    assert nn.weight_decay({"b1": np.ones(3)}, 0.5) == (0, {})
    penalty, grads = nn.weight_decay(params, 0)
    assert penalty == 0
    assert not any(g.any() for g in grads.values())


# Schedules


def rates(schedule, steps):
    return [schedule(t) for t in range(steps)]


def test_constant_and_step_decay():
    assert rates(nn.constant(0.3), 4) == [0.3] * 4
    assert rates(nn.step_decay(8.0, 0.5, 3), 10) == [8, 8, 8, 4, 4, 4, 2, 2, 2, 1]
    assert rates(nn.step_decay(1.0, 10.0, 1), 3) == [1, 10, 100]


def test_cosine_at_its_corners():
    schedule = nn.cosine(3.0, 12, last=1.0)
    at = {0: 3, 4: 2.5, 6: 2, 8: 1.5, 12: 1, 13: 1, 10**9: 1}
    assert [schedule(t) for t in at] == pytest.approx(list(at.values()), rel=1e-15)
    falling = rates(schedule, 13)
    assert falling == sorted(falling, reverse=True)
    assert nn.cosine(0.5, 7)(7) == 0


def test_warm_up_at_its_corners():
    assert rates(nn.warm_up(2.0, 4), 6) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert rates(nn.warm_up(2.0, 1), 3) == [2, 2, 2], "the first step moves already"
    assert rates(nn.warm_up(nn.step_decay(8.0, 0.5, 2), 4), 6) == [2, 4, 3, 4, 2, 2], (
        "another schedule runs on below it"
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.constant(0.3), lambda s, o: s.ConstantLR(o, factor=1.0)),
        (nn.step_decay(0.3, 0.7, 4), lambda s, o: s.StepLR(o, step_size=4, gamma=0.7)),
        (nn.cosine(0.3, 20, 0.01), lambda s, o: s.CosineAnnealingLR(o, T_max=20, eta_min=0.01)),
        (nn.warm_up(0.3, 5), lambda s, o: s.LinearLR(o, start_factor=0.2, total_iters=4)),
    ],
    ids=["constant", "step_decay", "cosine", "warm_up"],
)
def test_schedules_are_those_of_pytorch(ours, theirs):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `dev`")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    schedule, wanted = theirs(torch.optim.lr_scheduler, optimizer), []
    for _ in range(21):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates(ours, 21) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


SCHEDULES = {
    "constant": nn.constant(0.1),
    "step_decay": nn.step_decay(0.1, 0.5, 2),
    "cosine": nn.cosine(0.1, 4),
    "warm_up": nn.warm_up(nn.constant(0.1), 3),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_takes_every_schedule(name, schedule):
    """Five steps under a schedule are five steps of five optimizers, each with the rate of its step."""
    start, grads = oracle["problem"]()
    points, _ = walk(getattr(nn, name)(SCHEDULES[schedule]), {"W": start}, [{"W": g} for g in grads[:5]])
    params, opt = {"W": start}, getattr(nn, name)().init({"W": start})
    for t, point in enumerate(points):
        params, opt = getattr(nn, name)(SCHEDULES[schedule](t)).step(params, {"W": grads[t]}, opt)
        assert np.array_equal(params["W"], point["W"])


@pytest.mark.parametrize("steps", [0, -1, 468.75, None, True])
@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("step_decay", lambda n: nn.step_decay(0.1, 0.5, n)),
        ("cosine", lambda n: nn.cosine(0.1, n)),
        ("warm_up", lambda n: nn.warm_up(0.1, n)),
    ],
)
def test_a_schedule_of_no_steps_is_refused_at_once(name, schedule, steps):
    with pytest.raises(ValueError, match=rf"^{name}: steps is {re.escape(repr(steps))}, wanted an int from 1 up$"):
        schedule(steps)


# What is refused


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("lr", [-0.1, np.nan, np.inf, "0.1", None, True, [0.1], np.array("0.1"), np.ones(2)])
def test_a_rate_out_of_bounds_is_refused_where_it_is_given(name, lr):
    with pytest.raises(ValueError, match=r"^\w+: lr is .*, wanted a number in \[0, inf\)"):
        getattr(nn, name)(lr)
    for schedule in (lambda n: nn.cosine(n, 5), lambda n: nn.step_decay(n, 0.5, 5), lambda n: nn.warm_up(n, 5)):
        with pytest.raises(ValueError, match=r"^(cosine|step_decay|warm_up): lr is .*, wanted a number in \[0, inf\)"):
            schedule(lr)
    with pytest.raises(ValueError, match=r"^constant: lr is"):
        nn.constant(lr)


def test_what_is_no_rate_at_all_is_told_of_schedules():
    message = "sgd: lr is a list of 2, wanted a number in [0, inf), or a schedule, say nnfunc.cosine(0.1, steps=1000)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.sgd([0.1, 0.01])


@pytest.mark.parametrize("rate", [np.nan, -1e-3, np.inf, "0.1", None])
def test_a_schedule_that_gives_no_rate_is_refused_at_its_step(rate):
    optimizer = nn.momentum(lambda t: 0.1 if t < 2 else rate)
    with pytest.raises(
        ValueError, match=rf"^momentum: lr\(2\) is {re.escape(repr(rate))}, wanted a number in \[0, inf\)"
    ):
        walk(optimizer, {"W": np.ones(2)}, [{"W": np.ones(2)}] * 3)


@pytest.mark.parametrize(
    ("make", "setting", "within"),
    [
        (nn.momentum, "momentum", "[0, 1)"),
        (nn.nesterov, "momentum", "[0, 1)"),
        (nn.adagrad, "eps", "[0, inf)"),
        (nn.rmsprop, "decay", "[0, 1)"),
        (nn.rmsprop, "eps", "[0, inf)"),
        (nn.adam, "beta1", "[0, 1)"),
        (nn.adam, "beta2", "[0, 1)"),
        (nn.adam, "eps", "[0, inf)"),
        (nn.adamw, "decay", "[0, inf)"),
        (lambda factor: nn.step_decay(0.1, factor, 3), "factor", "[0, inf)"),
        (lambda last: nn.cosine(0.1, 3, last), "last", "[0, inf)"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_where_it_is_given(make, setting, within):
    bad = [-0.1, np.nan, np.inf, "0.5", None, True, [0.5]] + ([1.0, 1.5] if within == "[0, 1)" else [])
    for value in bad:
        with pytest.raises(ValueError, match=rf"^\w+: {setting} is .*, wanted a number in {re.escape(within)}$"):
            make(**{setting: value})
    make(**{setting: 0})


@pytest.mark.parametrize("name", RULES)
def test_lists_and_numbers_are_parameters_and_gradients_too(name):
    optimizer = getattr(nn, name)(**SETTINGS[name])
    for params, grads in [
        ([1, 2], [0.5, -1]),
        ([1.0, 2.0], [1, -1]),
        (3, 0.5),
        (3.0, 1),
        (np.ones(2, np.float32), [1, 2]),
    ]:
        of = np.asarray(params).dtype if isinstance(params, np.ndarray) else np.float64
        points, opt = walk(optimizer, {"W": params}, [{"W": grads}] * 3)
        wanted, memory = walk(optimizer, {"W": np.asarray(params, of)}, [{"W": np.asarray(grads, of)}] * 3)
        assert np.array_equal(points[-1]["W"], wanted[-1]["W"])
        assert points[-1]["W"].dtype == of
        assert all(np.array_equal(opt[slot]["W"], memory[slot]["W"]) for slot in SLOTS[name])


@pytest.mark.parametrize(
    "value", [np.ma.masked_array([1.0, 2.0], [True, False]), ["a", "b"], [1j, 2], [[1.0], [1.0, 2]]]
)
def test_what_holds_no_numbers_is_no_parameter_and_no_gradient(value):
    init, step = nn.momentum()
    good = {"W": np.ones(2)}
    for call, what in [
        (lambda: init({"W": value}), "W"),
        (lambda: step({"W": value}, good, init(good)), "W"),
        (lambda: step(good, {"W": value}, init(good)), "the gradient of W"),
    ]:
        with pytest.raises(ValueError, match=rf"^momentum: {what} (is|has)"):
            call()


PARAMS = {"W1": np.ones((2, 3)), "b1": np.ones(3)}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("other", RULES)
def test_the_memory_of_another_optimizer_is_refused(name, other):
    if SLOTS[name] == SLOTS[other]:
        return
    opt = getattr(nn, other)().init(PARAMS)
    came, wanted = (", ".join(["t", *SLOTS[rule]]) for rule in (other, name))
    with pytest.raises(ValueError, match=f"^{says(name)}: the memory holds {came}, wanted {wanted}$"):
        getattr(nn, name)().step(PARAMS, PARAMS, opt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v | {"b1": np.ones((1, 3))}, r"b1 has shape \(3,\), its v \(1, 3\)"),
        (lambda v: v | {"b1": np.ones((2, 3))}, r"b1 has shape \(3,\), its v \(2, 3\)"),
        (lambda v: v | {"W1": np.ones(3)}, r"W1 has shape \(2, 3\), its v \(3,\)"),
        (lambda v: v | {"W1": 0.0}, r"W1 has shape \(2, 3\), its v \(\)"),
        (lambda v: {"W1": v["W1"]}, r"no v for \['b1'\], no parameter for \[\]; the names must be the same"),
        (lambda v: v | {"W2": v["W1"]}, r"no v for \[\], no parameter for \['W2'\]; the names must be the same"),
        (lambda v: [*v.values()], "v is a list of 2, wanted a dict"),
    ],
)
@pytest.mark.parametrize("name", ["momentum", "adam", "adamw"])
def test_memory_of_other_names_or_shapes_is_refused_not_broadcast(name, change, message):
    optimizer = getattr(nn, name)()
    _, opt = walk(optimizer, PARAMS, [PARAMS] * 5)
    with pytest.raises(ValueError, match=f"^{says(name)}: {message}$"):
        optimizer.step(PARAMS, PARAMS, opt | {"v": change(opt["v"])})


@pytest.mark.parametrize("wrong", [None, [1.0], "W1", 3, np.ones(3), {"W1"}])
def test_what_is_no_dict_is_refused_by_its_place(wrong):
    step = nn.sgd().step
    for arguments, what in [
        ((wrong, PARAMS, {"t": 0}), "params"),
        ((PARAMS, wrong, {"t": 0}), "gradient"),
        ((PARAMS, PARAMS, wrong), "the memory"),
    ]:
        with pytest.raises(ValueError, match=f"^sgd: {what} is .*, wanted a dict$"):
            step(*arguments)
    with pytest.raises(ValueError, match=r"^momentum: params is .*, wanted a dict$"):
        nn.momentum().init(wrong)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p, v: p, r"the rule returned an array of shape \(2, 3\), wanted the tuple \(p, v\)"),
        (lambda p, v: [p, v], r"the rule returned a list of 2, wanted the tuple \(p, v\)"),
        (lambda p, v: (p,), r"the rule returned a tuple of 1, wanted the tuple \(p, v\)"),
        (lambda p, v: None, r"the rule returned None, wanted the tuple \(p, v\)"),
        (lambda p, v: (p[:1], v), r"W1 has shape \(2, 3\), its new value \(1, 3\)"),
        (lambda p, v: (p, v.sum()), r"W1 has shape \(2, 3\), its v \(\)"),
        (lambda p, v: (1.0, v), r"W1 has shape \(2, 3\), its new value \(\)"),
    ],
)
def test_a_rule_that_returns_anything_else_is_refused_at_the_first_step(answer, message):
    @nn.per_array(0.1, "v")
    def rule(p, g, v, *, lr, t):
        return answer(p, v)

    params = {"W1": np.ones((2, 3)), "b1": np.ones(3)}
    with pytest.raises(ValueError, match=f": {message}$"):
        rule.step(params, params, rule.init(params))


def test_a_rule_without_memory_returns_a_tuple_too():
    """Else each parameter would become its first row."""
    optimizer = nn.per_array(0.1)(lambda p, g, *, lr, t: p - lr * g)
    with pytest.raises(ValueError, match=r": the rule returned an array of shape \(2, 3\), wanted the tuple \(p\)$"):
        optimizer.step(PARAMS, PARAMS, {"t": 0})


@pytest.mark.parametrize("rule", ["sgd", None, 3])
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ValueError, match=r"^per_array: rule is .*, wanted a function rule\(p, g, \*slots, lr, t\)$"):
        nn.per_array(0.1)(rule)


@pytest.mark.parametrize("answer", [lambda p, v: p + v, lambda p, v: (p[:1], v)])
def test_a_rule_that_returns_anything_else_is_refused_at_any_step(answer):
    """A run that is resumed has no first step."""
    wrong = nn.per_array(0.1, "v")(lambda p, g, v, *, lr, t: answer(p, v))
    params = {"W1": np.ones((2, 3))}
    with pytest.raises(ValueError, match=r"the rule returned|its new value"):
        wrong.step(params, params, wrong.init(params) | {"t": 20})
