"""The guides: each section runs by itself, and their recipes hold beyond the page's own examples."""

import doctest
import io
import os
import pickle
import re
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sympy
from matplotlib import pyplot as plt

import nnfunc as nn

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
OPENING, *SECTIONS = re.split(r"(?m)^(?=## )", (GUIDES / "composing.md").read_text("utf-8"))
TITLES = {section.split("\n", 1)[0].removeprefix("## "): section for section in SECTIONS}


@cache
def names(title):
    """What the examples of one section bind, run after the opening lines and nothing else."""
    matplotlib.use("agg")
    test = doctest.DocTestParser().get_doctest(OPENING + TITLES[title], {"__name__": "__main__"}, title, None, 0)
    bound, report = test.globs, []
    failed = doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
    plt.close("all")
    assert not failed.failed, "".join(report)
    return bound


@pytest.mark.parametrize("title", TITLES)
def test_each_section_on_composing_stands_alone(title):
    assert names(title)["nn"] is nn


class Call:
    """What unpickles as a call of a function."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.traps("T34")
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickle_of_arrays_is_converted(tmp_path, rng, protocol):
    convert = names("Weights from a pickle")["convert"]
    weights = {
        "W1": rng.standard_normal((4, 3)).astype(np.float32),
        "b1": rng.standard_normal(3),
        "W2": np.asfortranarray(rng.standard_normal((3, 2))),
        "b2": rng.standard_normal((5, 2))[::2],
    }
    raw = pickle.dumps(weights, protocol=protocol)
    for core in (b"numpy.core", b"numpy._core"):
        if protocol == 3:  # names stand in it as lines, so that it can be made NumPy 1's
            raw = raw.replace(b"numpy._core", core)
        (tmp_path / "old.pkl").write_bytes(raw)
        convert(tmp_path / "old.pkl", tmp_path / "new.npz")
        again = nn.load_params(tmp_path / "new.npz")
        assert list(again) == list(weights)
        for name, a in weights.items():
            np.testing.assert_array_equal(again[name], a)
            assert again[name].dtype == a.dtype


@pytest.mark.traps("T34")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "hide",
    [
        lambda call: call,
        lambda call: {"W1": call},
        lambda call: {"W1": np.ones(2), "b1": [call]},
        lambda call: {"W1": np.array([call, None])},
    ],
    ids=["bare", "value", "list", "array of objects"],
)
@pytest.mark.parametrize(
    ("function", "argument"),
    [(os.mkdir, "ran"), (eval, "__import__('os').mkdir('ran')"), (np.load, "ran"), (np.ndarray.tofile, np.ones(1))],
    ids=["mkdir", "eval", "numpy's own", "a method"],
)
def test_a_pickle_that_calls_anything_else_is_refused(tmp_path, monkeypatch, protocol, hide, function, argument):
    convert = names("Weights from a pickle")["convert"]
    monkeypatch.chdir(tmp_path)
    Path("old.pkl").write_bytes(pickle.dumps(hide(Call(function, argument)), protocol=protocol))
    with pytest.raises(ValueError, match="the pickle asks for"):
        convert("old.pkl", "new.npz")
    assert os.listdir() == ["old.pkl"], "nothing ran, and nothing was written"


@pytest.mark.traps("T34")
def test_the_refused_pickle_would_have_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.load(io.BytesIO(pickle.dumps({"W1": Call(os.mkdir, "ran")})))
    assert os.listdir() == ["ran"]


def test_only_the_named_parameters_move_and_the_optimizer_remembers_no_others(rng):
    only = names("Frozen parameters")["only"]
    params = {name: rng.standard_normal(3) for name in ("W1", "b1", "W2")}
    optimizer, alone = only(nn.adam(), ("b1",)), nn.adam()
    state, opt = params, optimizer.init(params)
    other, memory = {"b1": params["b1"]}, alone.init({"b1": params["b1"]})
    for _ in range(3):
        grads = {name: rng.standard_normal(3) for name in params}
        state, opt = optimizer.step(state, grads, opt)
        other, memory = alone.step(other, {"b1": grads["b1"]}, memory)
    np.testing.assert_equal(opt, memory)
    np.testing.assert_equal(state, params | other)
    assert not np.array_equal(other["b1"], params["b1"])


def test_lion_is_the_rule_of_its_paper():
    """X. Chen and others, "Symbolic discovery of optimization algorithms", 2023, Algorithm 2, without decay."""
    lion = names("An optimizer of your own")["lion"]
    optimizer = lion(lr=0.1, beta1=0.5, beta2=0.75)
    params, opt = {"w": np.zeros(3)}, None
    opt = optimizer.init(params)
    params, opt = optimizer.step(params, {"w": np.array([4.0, -4.0, 0.0])}, opt)
    np.testing.assert_allclose(params["w"], [-0.1, 0.1, 0.0])
    np.testing.assert_allclose(opt["m"]["w"], [1.0, -1.0, 0.0])
    params, opt = optimizer.step(params, {"w": np.array([-0.5, 3.0, 2.0])}, opt)
    np.testing.assert_allclose(params["w"], [-0.2, 0.0, -0.1])  # the first against its own gradient
    np.testing.assert_allclose(opt["m"]["w"], [0.625, 0.0, 0.5])


def added(*branches):
    """What the guide makes of two inputs: a branch for each, and their sum."""
    return nn.layers.serial(nn.layers.parallel(*branches), nn.layers.join(nn.ops.add))


def test_each_branch_of_two_inputs_has_its_own_key_and_what_they_share_is_added_up(rng):
    training = nn.layers.Mode(key=(0, 3))
    twice = added(nn.layers.dropout(0.5), nn.layers.dropout(0.5))
    y, pullback, _ = twice({}, (np.ones(400), 3 * np.ones(400)), training)
    assert set(np.unique(y)) == {0, 2, 6, 8}, "two masks, not one"
    first, second = pullback(np.ones(400))[0]
    np.testing.assert_array_equal(first + 3 * second, y)
    shared = added(nn.layers.affine(1), nn.layers.affine(1))
    params = {"W1": rng.standard_normal((2, 3)), "b1": rng.standard_normal(3)}
    xs = tuple(rng.standard_normal((2, 5, 2)))
    _, pullback, _ = shared(params, xs)
    _, grads = pullback(np.ones((5, 3)))
    assert max(nn.check_gradients(lambda p: shared(p, xs)[0].sum(), params, grads).values()) < 1e-7


X, Y = sympy.symbols("x y", real=True)
SIGMA = 1 / (1 + sympy.exp(-X))


@pytest.mark.rows("S3-21")
def test_derivatives_that_the_sources_ask_for():
    assert sympy.diff(sympy.sin(X), X) == sympy.cos(X)
    assert sympy.diff(X**2 / 100 + X / 10, X) == X / 50 + sympy.Rational(1, 10)
    assert sympy.simplify(sympy.diff(SIGMA, X) - SIGMA * (1 - SIGMA)) == 0


@pytest.mark.rows("S3-21")
@pytest.mark.parametrize(
    ("op", "formula"),
    [(nn.ops.sigmoid, SIGMA), (nn.ops.tanh, sympy.tanh(X)), (nn.ops.relu, sympy.Max(X, 0))],
    ids=["sigmoid", "tanh", "relu"],
)
def test_pullbacks_of_one_variable_agree_with_computer_algebra(op, formula):
    u = np.linspace(-4, 4, 30)
    value, slope = (sympy.lambdify(X, f, "numpy") for f in (formula, sympy.diff(formula, X)))
    y, pullback = op(u)
    np.testing.assert_allclose(y, value(u), rtol=0, atol=1e-14)
    np.testing.assert_allclose(pullback(np.full(30, 2.0))[0], 2 * slope(u), rtol=0, atol=1e-14)


@pytest.mark.rows("S3-21")
@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (lambda z: nn.ops.softmax_cross_entropy(z[None], [1]), sympy.log(sympy.exp(X) + sympy.exp(Y)) - Y),
        (lambda z: nn.ops.sum_squared_error(z, [3.0, -1.0]), ((X - 3) ** 2 + (Y + 1) ** 2) / 2),
        (lambda z: nn.ops.mean_squared_error(z, [3.0, -1.0]), ((X - 3) ** 2 + (Y + 1) ** 2) / 2),
    ],
    ids=["cross-entropy", "half the sum", "mean"],
)
def test_losses_agree_with_computer_algebra(loss, formula):
    at = {X: sympy.Rational(1, 2), Y: sympy.Rational(-3, 4)}
    value, pullback = loss(np.array([float(v) for v in at.values()]))
    assert value == pytest.approx(float(formula.subs(at)), abs=1e-14)
    exact = [float(sympy.diff(formula, v).subs(at)) for v in (X, Y)]
    np.testing.assert_allclose(np.ravel(pullback()[0]), exact, rtol=0, atol=1e-14)
