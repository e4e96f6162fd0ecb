"""Wrong calls over the whole public face: each is refused, and nearly all of them in the library's own words.

Two tables make the calls. `CALLS` holds for each function a call that is right, with a sort for each argument;
`KINDS` holds for each sort the ways to get it wrong, each a function from the right argument to a wrong one. The
product of both is tried, with one argument wrong at a time. What does work only when its result is used is used.
"""

import itertools
import re
from functools import cache, partial
from importlib import import_module
from inspect import signature
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import nnfunc as nn
from nnfunc import conv, datasets, draw, layers, ops, plots
from nnfunc.layers import Mode, affine, relu, serial

matplotlib.use("Agg")
from matplotlib.figure import Figure

X, COLUMN, T = np.linspace(-1.0, 1.0, 12).reshape(4, 3), np.ones(3), np.array([0, 1, 2, 1])
P = np.full((4, 3), 1 / 3)
IMAGES, FILTERS = np.linspace(0.0, 1.0, 2 * 3 * 5 * 4).reshape(2, 3, 5, 4), np.ones((6, 3, 3, 3))
PARAMS = nn.init_mlp(0, (3, 4, 3), batch_norm=True, dtype=np.float64)
STATS = nn.init_stats(PARAMS)
ONE = {"W1": np.ones((3, 3)), "b1": np.zeros(3)}
TRAIN = Mode(STATS, (0, 0))
NET, LOSS = nn.mlp(), ops.softmax_cross_entropy
GRAD, ADAM = nn.value_and_grad(NET, LOSS), nn.adam()
NORM = {name: PARAMS[name] for name in ("gamma1", "beta1")}
KERNELS, DIGITS = {"W1": FILTERS, "b1": np.ones(6)}, np.zeros((2, 1, 28, 28))
MNIST = Path(datasets.__file__).parent / "mnist"
STATE = nn.init_state(ADAM, PARAMS, STATS)
STEP = nn.train_step(GRAD, ADAM)
GRADS = {name: np.ones_like(p) for name, p in PARAMS.items()}


def without(tree, name=None):
    """Leave out a name, the first if none is given."""
    name = name or next(iter(tree))
    return {k: v for k, v in tree.items() if k != name}


def changed(change):
    """Return the way to change the first array of a dict."""
    return lambda tree: tree | {name: change(a) for name, a in itertools.islice(tree.items(), 1)}


def everything(run):
    return list(itertools.islice(run, 3))


def masked(a):
    return np.ma.masked_array(a, np.zeros(np.shape(a), bool))


# Each sort of argument, and the ways to get it wrong

NO_NUMBERS = (
    {"text": lambda a: "abc", "None": lambda a: None, "an object": lambda a: object()}
    | {"complex": lambda a: np.asarray(a) * 1j, "ragged": lambda a: [[1.0], [1.0, 2.0]], "masked": masked}
    | {"a dict": lambda a: {"x": a}, "a function": lambda a: np.sin}
)
NO_NUMBER = (
    {"text": lambda n: "abc", "None": lambda n: None, "nan": lambda n: np.nan}
    | {"a bool": lambda n: True, "a list": lambda n: [n], "a tuple": lambda n: (n, n)}
    | {"0-d text": lambda n: np.array(str(n)), "complex": lambda n: 1j, "a dict": lambda n: {"lr": n}}
    | {"an array": lambda n: np.array([n, n])}
)
NO_INT = (
    NO_NUMBER | {"a float": lambda n: n + 0.5, "a whole float": lambda n: float(np.max(n))} | {"inf": lambda n: np.inf}
)
NEGATIVE = {"negative": lambda n: -1}
NO_FUNCTION = {"text": lambda f: "relu", "None": lambda f: None, "a number": lambda f: 3, "an array": lambda f: X}
LABELS_OF_NONE = {"negative": lambda t: t - 1, "out of range": lambda t: t + 1, "floats": lambda t: t * 1.0} | {
    "bools": lambda t: t > 1,
    "nan": lambda t: t * np.nan,
}

# fmt: off
KINDS = {
    "numbers": NO_NUMBERS,
    "axes": {"an axis more": lambda a: a[None], "an axis less": lambda a: a[0]},
    "no axes": {"no axis": lambda a: 1.0},
    "size": {"a size more": lambda a: np.concatenate([a, a[..., :1]], axis=-1)},
    "broadcast": {"a size of 1": lambda a: a[..., :1], "one number": lambda a: np.float64(1), "a list": lambda a: [1]},
    "batch": {"an empty batch": lambda a: a[:0]},
    "finite": {"nan in it": lambda a: a * np.nan},
    "out of range": {"too large": lambda a: a + 9, "negative": lambda a: a - 9},
    "number": NO_NUMBER | NEGATIVE | {"inf": lambda n: np.inf},
    "any number": NO_NUMBER | {"minus inf": lambda n: -np.inf},
    "share": NO_NUMBER | NEGATIVE | {"one": lambda n: 1.0, "percent": lambda n: 90, "inf": lambda n: np.inf},
    "int": NO_INT | NEGATIVE,
    "int of no default": without(NO_INT | NEGATIVE, "None"),
    "zero": {"zero": lambda n: 0},
    "negative": NEGATIVE,
    "too large": {"too large": lambda n: 99},
    "axis": {"text": lambda n: "abc", "a float": lambda n: 1.0, "out of range": lambda n: 7, "a bool": lambda n: True},
    "pair": {k: v for k, v in NO_INT.items() if k not in ("None", "a tuple")} | NEGATIVE | {
        "three": lambda n: (1, 1, 1), "a pair of floats": lambda n: (1.0, 1.0)},
    "shape": {"a number": lambda s: 3, "one less": lambda s: s[1:], "floats": lambda s: (*s[:-1], 5.5),
        "None": lambda s: None, "text": lambda s: "abc", "negative": lambda s: (*s[:-1], -28), "a dict": dict.fromkeys},
    "switch": {"text": lambda b: "yes", "None": lambda b: None, "a number": lambda b: 1, "a list": lambda b: [b]},
    "dtype": {"int": lambda d: int, "complex": lambda d: complex, "bool": lambda d: bool, "text": lambda d: "wide"},
    "scale": {k: NO_NUMBER[k] for k in ("None", "a list", "a bool", "complex", "0-d text")} | {
        "another name": lambda s: "glorot", "negative": lambda s: -0.1, "nan": lambda s: np.nan},
    "rng": {"text": lambda s: "abc", "negative": lambda s: -1, "a float": lambda s: 1.5, "a bool": lambda s: True},
    "number of a layer": {"None": lambda i: None, "a float": lambda i: 1.5, "a list": lambda i: [i],
        "a dict": lambda i: {}},
    "name": {"None": lambda s: None, "a number": lambda s: 3, "a list": lambda s: [s]},
    "known name": {"another": lambda s: "four_layer", "the class": lambda s: str},
    "ids": LABELS_OF_NONE | NO_NUMBERS,
    "labels": LABELS_OF_NONE | NO_NUMBERS | {"a column": lambda t: t[:, None], "too many": lambda t: [*t, 0],
        "one for all": lambda t: 0, "rows": lambda t: X},
    "targets": NO_NUMBERS | {"an axis more": lambda t: t[None], "a column": lambda t: t[..., :1],
        "one sample": lambda t: t[0]},
    "gradient": NO_NUMBERS | {"an axis more": lambda g: g[None], "a size of 1": lambda g: g[..., :1],
        "one number": lambda g: 1.0},
    "gradient of a loss": NO_NUMBERS | {"an array": lambda g: np.ones(2), "a number as text": lambda g: "1.5"},
    "entries": {"an array": lambda xs: xs[0], "a list": list, "three": lambda xs: (*xs, xs[0]), "None": lambda xs: None,
        "one": lambda xs: xs[:1], "text in it": lambda xs: (xs[0], "abc")},
    "layer": NO_FUNCTION | {"a value function": lambda f: nn.relu, "an op": lambda f: ops.relu,
        "a factory": lambda f: layers.affine, "a list of layers": lambda f: [relu],
        "a layer that gives an array": lambda f: lambda params, x, mode: x,
        "a layer that gives a pair": lambda f: lambda params, x, mode: (x, None),
        "a layer without mode": lambda f: lambda params, x: f(params, x)},
    "op": NO_FUNCTION | {"a value function": lambda f: nn.relu, "a layer": lambda f: relu,
        "a factory": lambda f: layers.affine, "an op that gives an array": lambda f: lambda *xs: xs[0],
        "an op that gives three": lambda f: lambda *xs: (*f(*xs), 0)},
    "way back": {"a pullback that gives an array": lambda f: lambda *xs: (f(*xs)[0], lambda dy: dy),
        "a pullback that gives too few": lambda f: lambda *xs: (f(*xs)[0], lambda dy: ()),
        "no pullback": lambda f: lambda *xs: (f(*xs)[0], None)},
    "loss": NO_FUNCTION | {"a value function": lambda f: nn.mean_squared_error, "a layer": lambda f: relu,
        "an op of one input": lambda f: ops.relu, "a loss that gives a number": lambda f: lambda z, t: f(z, t)[0],
        "a loss that gives an array": lambda f: lambda z, t: (z, f(z, t)[1]),
        "a loss that gives text": lambda f: lambda z, t: ("abc", f(z, t)[1]),
        "a loss that gives None": lambda f: lambda z, t: (None, f(z, t)[1])},
    "way back of a loss": {"a pullback that gives an array": lambda f: lambda z, t: (f(z, t)[0], lambda dloss=1.0: z),
        "a pullback that gives nothing": lambda f: lambda z, t: (f(z, t)[0], lambda dloss=1.0: ()),
        "a gradient of another shape": lambda f: lambda z, t: (f(z, t)[0], lambda dloss=1.0: (z[:1],)),
        "no pullback": lambda f: lambda z, t: (f(z, t)[0], None)},
    "grad": NO_FUNCTION | {"a network": lambda f: NET, "a loss": lambda f: LOSS,
        "what makes one": lambda f: nn.value_and_grad, "one that gives a pair": lambda f: lambda *args: f(*args)[:2],
        "one that gives a list": lambda f: lambda *args: (0.0, [*f(*args)[1].values()], {}),
        "one that lacks a gradient": lambda f: lambda *args: (0.0, without(f(*args)[1]), {})},
    "optimizer": NO_FUNCTION | {"what makes one": lambda o: nn.sgd, "a pair": tuple, "a rate": lambda o: 0.1,
        "a step": lambda o: o.step},
    "rate": NO_NUMBER | NEGATIVE | {"inf": lambda n: np.inf, "an optimizer": lambda n: ADAM,
        "a schedule that gives text": lambda n: lambda t: "0.1",
        "a schedule that gives nan": lambda n: lambda t: np.nan,
        "a schedule that goes below 0": lambda n: lambda t: -0.1,
        "a schedule that gives an array": lambda n: lambda t: np.ones(2)},
    "rule": NO_FUNCTION | {"a rule that gives an array": lambda f: lambda p, g, v, *, lr, t: p - g,
        "a rule that gives a list": lambda f: lambda p, g, v, *, lr, t: [p - g, v],
        "a rule that gives no memory": lambda f: lambda p, g, v, *, lr, t: (p - g,),
        "a rule that gives another shape": lambda f: lambda p, g, v, *, lr, t: (p[None], v),
        "a rule that gives None": lambda f: lambda p, g, v, *, lr, t: None},
    "mode": {"text": lambda m: "train", "a bool": lambda m: True, "None": lambda m: None, "the class": lambda m: Mode,
        "a plain tuple": tuple, "the key alone": lambda m: m.key, "the statistics alone": lambda m: m.stats},
    "mode's key": {f"its key {key!r}": lambda m, key=key: m._replace(key=key) for key in (5, [0, 1], (), (-1,), "01")},
    "statistics": {"its statistics None": lambda m: m._replace(stats=None),
        "its statistics a list": lambda m: m._replace(stats=[1]),
        "its statistics empty": lambda m: m._replace(stats={})},
    "names of stats": {"no names": lambda s: {}, "a name missing": lambda s: without(s, "mean1")},
    "key": {"an int": lambda k: 5, "None": lambda k: None, "a list": list, "nothing": lambda k: (),
        "negative": lambda k: (0, -1), "floats": lambda k: (0.0, 1.0), "bools": lambda k: (True, False),
        "text": lambda k: "01", "an array": np.array, "a generator": lambda k: np.random.default_rng(0)},
    "dict": {"None": lambda tree: None, "a list": lambda tree: list(tree.values()), "text": lambda tree: "W1",
        "a number": lambda tree: 3, "an array": lambda tree: X, "a set of names": set},
    "arrays": {"text in it": changed(lambda a: "abc"), "None in it": changed(lambda a: None),
        "complex in it": changed(lambda a: a * 1j), "masked in it": changed(masked),
        "a dict in it": changed(lambda a: {"W": a})},
    "shapes": {"a size less in it": changed(lambda a: a[..., :2]), "an axis more in it": changed(lambda a: a[None]),
        "a size of 1 in it": changed(lambda a: a[:1])},
    "names": {"a name missing": without, "no names": lambda tree: {}},
    "no more": {"a name too many": lambda tree: tree | {"V": X}},
    "memory": {"another optimizer's": lambda opt: nn.momentum().init(PARAMS),
        "of a plain one": lambda opt: nn.sgd().init(PARAMS),
        "of other shapes": lambda opt: opt | {"m": {name: a[None] for name, a in opt["m"].items()}},
        "that broadcasts": lambda opt: opt | {"m": {name: a[:1] for name, a in opt["m"].items()}},
        "of numbers": lambda opt: opt | {"m": dict.fromkeys(opt["m"], 0.0)},
        "of text": lambda opt: opt | {"v": dict.fromkeys(opt["m"], "abc")},
        "that lacks a name": lambda opt: opt | {"v": without(opt["v"])},
        "with a name too many": lambda opt: opt | {"v": opt["v"] | {"V": X}},
        "without count": lambda opt: without(opt, "t"), "with text for a count": lambda opt: opt | {"t": "1"},
        "with a negative count": lambda opt: opt | {"t": -1},
        "with a list for a slot": lambda opt: opt | {"m": [*opt["m"].values()]}, "the optimizer": lambda opt: ADAM,
        "None": lambda opt: None, "a list": list},
    "state": {"None": lambda s: None, "a dict": lambda s: s._asdict(), "its parameters": lambda s: s.params,
        "a plain tuple": tuple},
    "what is in a state": {"another optimizer's": lambda s: nn.init_state(nn.sgd(), PARAMS, STATS),
        "other parameters": lambda s: s._replace(params=ONE), "no statistics": lambda s: s._replace(stats={}),
        "a negative seed": lambda s: s._replace(seed=-1), "text for a step": lambda s: s._replace(step="0")},
    "data": {"None": lambda a: None, "a number": lambda a: 3.0, "text": lambda a: "abc",
        "a sample less": lambda a: a[1:], "masked": masked, "ragged": lambda a: [[1.0], [1.0, 2.0]],
        "a tuple of two counts": lambda a: (a, a[1:])},
    "batch of both": {"None": lambda b: None, "inputs alone": lambda b: b[0], "three": lambda b: (*b, 0),
        "swapped": lambda b: b[::-1], "one sample": lambda b: (b[0][0], b[1][0]),
        "no samples": lambda b: (b[0][:0], b[1][:0]), "a column of labels": lambda b: (b[0], b[1][:, None])},
    "step": NO_FUNCTION | {"an optimizer": lambda f: ADAM, "what makes one": lambda f: nn.train_step,
        "a gradient": lambda f: GRAD, "one that gives a state": lambda f: lambda state, batch: state,
        "one that gives a number": lambda f: lambda state, batch: (state, 0.5)},
    "batches": {"one batch": lambda b: b[0], "None": lambda b: None, "a number": lambda b: 3,
        "inputs alone": lambda b: [X], "a function": lambda b: nn.minibatches},
    "run": {"None": lambda r: None, "a number": lambda r: 3, "a state": lambda r: STATE,
        "of states alone": lambda r: [STATE], "of a state of its own": lambda r: [((1, 2), {"loss": 0.0})],
        "of numbers": lambda r: [1, 2], "uncalled": lambda r: nn.fit},
    "metrics": without(NO_FUNCTION, "None") | {"one that gives a number": lambda f: lambda state: 0.5,
        "one that gives None": lambda f: lambda state: None},
    "function": NO_FUNCTION | {"one that gives text": lambda f: lambda x: "abc",
        "one that gives None": lambda f: lambda x: None},
    "real function": {"one that gives an array": lambda f: lambda x: np.ones(7),
        "one that gives complex": lambda f: lambda x: 1j},
    "called": NO_FUNCTION,
    "space": {"None": lambda s: None, "a list": lambda s: [("log", 1, 2)], "text": lambda s: "log",
        "of numbers": lambda s: {"lr": 0.1}, "of another kind": lambda s: {"lr": ("normal", 0, 1)},
        "upside down": lambda s: {"lr": ("log", 1, 0.1)}, "log from 0": lambda s: {"lr": ("log", 0, 1)},
        "to inf": lambda s: {"lr": ("uniform", 0, np.inf)}, "with nan": lambda s: {"lr": ("uniform", np.nan, 1)},
        "with text": lambda s: {"lr": ("uniform", "0", "1")}, "with bools": lambda s: {"lr": ("uniform", False, True)},
        "no choice": lambda s: {"lr": ("choice", [])}, "text to choose from": lambda s: {"lr": ("choice", "abc")},
        "half a kind": lambda s: {"lr": ["uniform", 0]}},
    "path to a folder": {"a number": lambda p: 3.5, "a list": lambda p: [p], "an array": lambda p: X},
    "path": {"a number": lambda p: 3.5, "None": lambda p: None, "a list": lambda p: [p], "an array": lambda p: X},
    "sizes": {"a number": lambda s: 3, "one size": lambda s: (3,), "None": lambda s: None, "text": lambda s: "345",
        "floats": lambda s: (3.0, 4.0), "zero": lambda s: (3, 0), "negative": lambda s: (3, -4),
        "pairs": lambda s: ((3, 4), (4, 3)), "ragged": lambda s: (3, (4, 3)), "a dict": lambda s: {3: 4, 4: 3}},
    "args": {"an array": lambda a: a[0], "None": lambda a: None, "text": lambda a: "x", "too few": lambda a: a[:1]},
    "figure": {"None": lambda f: None, "text": lambda f: "figure", "a number": lambda f: 3},
    "curves": {"None": lambda c: None, "a list": lambda c: [1.0], "values alone": lambda c: {"loss": np.ones(20)}},
    "trials": {"None": lambda c: None, "a dict": lambda c: {"lr": 1}, "metrics alone": lambda c: [c[0].metrics]},
    "names of curves": {"None": lambda c: None, "a number": lambda c: 3, "another name": lambda c: ["loss"]},
    "letters": {"an open bracket": lambda s: "x (N, D", "no bracket": lambda s: "x N", "a size": lambda s: "x (N, 3)",
        "dots twice": lambda s: "x (..., ...)", "another name": lambda s: "v (N)", "nothing": lambda s: "",
        "None": lambda s: None, "uncalled": lambda s: ops.relu, "a list": lambda s: ["x (N)"]},
}
# fmt: on

# Each function, and a call that is right


def call(f, use=None, /, **arguments):
    """Return a function, what makes use of its result, and its arguments, each with its sorts."""
    return f, use, arguments


def of(right, *sorts):
    return right, sorts


def numbers(right, *sorts):
    return right, ("numbers", *sorts)


def named(name, f):
    f.__name__ = name
    return f


def back(op, *args):
    """Return the call of an op's pullback."""
    y, pullback = op(*args)
    pull = named(f"back of {op.__name__}", lambda dy: pullback(dy))
    return call(pull, dy=of(y, "gradient") if y.shape else of(1.0, "gradient of a loss"))


def both_ways(net, params=PARAMS, x=X, mode=TRAIN):
    """Run a net there and back."""
    y, pullback, _ = net(params, x, mode)
    return pullback(y)


def one_step(optimizer):
    return optimizer.step(PARAMS, GRADS, optimizer.init(PARAMS))


def gradient(grad):
    return grad(PARAMS, X, T, TRAIN)


def stepped(step):
    return step(STATE, (X, T))


def learnt(grad):
    return nn.train_step(grad, ADAM)(STATE, (X, T))


def rolling(p, g, v, *, lr, t):
    return p - lr * g, v


SAME = ("axes", "size", "broadcast")
KEY, SEED, EPS = of((0, 1), "key"), of(0, "int"), of(1e-5, "number")
STRIDE, PAD, COUNT = of(1, "pair", "zero"), of(0, "pair"), of(2, "int", "zero")
WINDOW = {"filter_h": COUNT, "filter_w": COUNT, "stride": STRIDE, "pad": PAD}
TREE = of(PARAMS, "dict", "arrays", "shapes", "names")
RIGHT_GRADS = of(GRADS, "dict", "arrays", "shapes", "names", "no more")
RIGHT_X, MODE = numbers(X, "size"), of(TRAIN, "mode")
KEYED, OBSERVING = of(TRAIN, "mode", "mode's key"), of(TRAIN, "mode", "mode's key", "statistics")
LABELS, TARGETS = of(T, "labels"), of(P, "targets")
RNG, SCALE, DTYPE = of(0, "rng"), of(0.1, "scale"), of(np.float32, "dtype")
LR, SHARE, RATE = of(0.1, "rate"), of(0.5, "share"), of(0.1, "number")
LAYER, NETWORK, LOSSES = of(relu, "layer"), of(NET, "layer"), of(LOSS, "loss", "way back of a loss")
OP, RUN, SUM = (
    of(ops.mul, "op", "way back"),
    of([(STATE, {"loss": 0.0})], "run"),
    of(lambda x: np.sum(np.square(x)), "function", "real function"),
)
AXES, FIGURE = of(Figure().subplots(), "figure"), of(Figure(), "figure")
SPACE = of({"lr": ("log", 0.1, 1)}, "space")
TRIALS = nn.random_search(lambda s, key: {"score": 0.5, "curve": [0, 1]}, SPACE[0], 2, 0)
DESCENT = {"f": SUM, "x0": numbers(COLUMN), "lr": RATE, "step_num": of(2, "int")}
ONE_INPUT = [ops.identity, ops.sigmoid, ops.tanh, ops.relu, ops.softmax, ops.log_softmax, ops.flatten]
POOLS = [ops.max_pool2d, ops.avg_pool2d]
PLAIN = [relu, layers.identity, layers.sigmoid, layers.tanh, layers.softmax]
DRAWINGS = [draw.layers_dot, draw.layers_svg]
NUMBER, IMG, FEATURES = of(1, "number of a layer"), numbers(IMAGES, "axes"), numbers(COLUMN, *SAME)
STEP_H, SIZE, SEEN, SOME = of(1e-4, "number", "zero"), of(2, "pair", "zero"), of(STATS, "names of stats"), of(2, "int")
SCORES = numbers(X, "axes", "broadcast", "batch")

# fmt: off
CALLS = [
    # values
    *(call(f, x=numbers(X)) for f in (nn.sigmoid, nn.tanh, nn.relu, nn.identity)),
    call(nn.step, x=numbers(X, "finite")),
    *(call(f, x=numbers(X, "no axes"), axis=of(-1, "axis")) for f in (nn.softmax, nn.log_softmax)),
    call(nn.one_hot, t=of(T, "ids"), classes=of(3, "int", "zero")),
    call(nn.perceptron, x=numbers(X, "no axes"), w=FEATURES, b=of(0.1, "any number")),
    call(nn.sum_squared_error, y=numbers(P, *SAME), t=TARGETS),
    call(nn.mean_squared_error, y=numbers(P, *SAME, "batch"), t=TARGETS),
    call(nn.cross_entropy_error, y=numbers(P, "axes", "broadcast", "batch", "finite"), t=LABELS, eps=EPS),
    call(nn.accuracy, y=SCORES, t=LABELS),
    # differences
    call(nn.numerical_diff, f=of(np.sin, "function", "real function"), x=numbers(COLUMN), h=STEP_H),
    call(nn.tangent_line, lambda line: line(1.0), f=of(np.sin, "function"), x=numbers(0.5)),
    call(nn.numerical_gradient, f=SUM, x=numbers(COLUMN), h=STEP_H),
    *(call(f, **DESCENT) for f in (nn.gradient_descent, nn.gradient_path)),
    call(nn.check_gradients, f=of(lambda p: np.sum(p["W1"] ** 2), "function", "real function"),
         params=of({"W1": X}, "dict", "arrays", "shapes", "names", "no more"),
         grads=of({"W1": 2 * X}, "dict", "arrays", "shapes", "names", "no more")),
    call(nn.check_vjp, op=OP, args=of((X, X + 2), "args"), seed=SEED, rtol=SHARE, h=STEP_H),
    # ops, and their pullbacks
    *(call(f, x=numbers(X + 2, *SAME), y=numbers(X, *SAME)) for f in (ops.add, ops.mul)),
    *(call(f, x=numbers(X)) for f in ONE_INPUT),
    call(ops.affine, x=numbers(X, "size", "no axes"), W=numbers(np.eye(3, 2), "axes"), b=numbers(np.ones(2), *SAME)),
    call(ops.batch_norm, x=numbers(X, "axes", "size", "batch"), gamma=FEATURES, beta=FEATURES, eps=EPS),
    call(ops.dropout, x=numbers(X), rate=SHARE, key=KEY),
    call(ops.conv2d, x=IMG, W=numbers(FILTERS, "axes"), b=numbers(np.ones(6), *SAME), stride=STRIDE, pad=PAD),
    *(call(f, x=IMG, size=SIZE, stride=STRIDE, pad=PAD) for f in POOLS),
    call(ops.softmax_cross_entropy, z=SCORES, t=LABELS),
    call(ops.sigmoid_cross_entropy, z=numbers(X, *SAME, "batch"), t=of(P, "targets", "finite")),
    call(ops.sum_squared_error, y=numbers(X, *SAME), t=TARGETS),
    call(ops.mean_squared_error, y=numbers(X, *SAME, "batch"), t=TARGETS),
    *(back(f, X) for f in ONE_INPUT),
    *(back(f, X, P) for f in (ops.add, ops.mul, ops.sum_squared_error, ops.mean_squared_error)),
    *(back(*args) for args in [(ops.affine, X, np.eye(3, 2), np.ones(2)), (ops.batch_norm, X, COLUMN, COLUMN)]),
    *(back(*args) for args in [(ops.dropout, X, 0.5, (0,)), (ops.conv2d, IMAGES, FILTERS, np.ones(6))]),
    *(back(f, IMAGES, 2) for f in POOLS),
    *(back(*args) for args in [(ops.softmax_cross_entropy, X, T), (ops.sigmoid_cross_entropy, X, P)]),
    call(conv.im2col, x=IMG, **WINDOW),
    call(conv.col2im, col=numbers(np.ones((2, 12, 12)), "axes", "size"), x_shape=of((2, 3, 5, 4), "shape"), **WINDOW),
    call(conv.conv_output_size, size=of(5, "int"), filter_size=COUNT, stride=COUNT, pad=of(0, "int")),
    call(nn.op, lambda made: made(lambda x: (x, lambda dy: (dy,))), letters=of("x (N)", "letters")),
    call(nn.generator, key=KEY),
    # layers
    call(layers.lift, lambda layer: both_ways(layer, {}), op=of(ops.relu, "op", "way back")),
    call(layers.join, lambda layer: both_ways(layer, {}, (X, X)), op=OP),
    call(named("serial", lambda layer: serial(layer)), both_ways, layer=LAYER),
    call(named("serial of two", lambda layer: serial(relu, layer)), both_ways, layer=LAYER),
    call(named("fan_out", lambda layer: layers.fan_out(layer)), lambda net: net(PARAMS, X, TRAIN), layer=LAYER),
    call(named("parallel", lambda layer: layers.parallel(layer)), lambda net: net(PARAMS, (X,), TRAIN), layer=LAYER),
    call(layers.dropout, lambda layer: both_ways(layer), rate=SHARE),
    call(layers.batch_norm, lambda layer: both_ways(layer, NORM, np.ones((4, 4))), i=NUMBER, momentum=of(0.9, "number"),
         eps=EPS),
    call(layers.affine, both_ways, i=NUMBER),
    call(layers.conv2d, lambda layer: layer(KERNELS, IMAGES), i=NUMBER, stride=STRIDE, pad=PAD),
    *(call(f, size=SIZE, stride=STRIDE, pad=PAD) for f in (layers.max_pool2d, layers.avg_pool2d)),
    call(affine(1), params=TREE, x=RIGHT_X, mode=MODE),
    call(layers.batch_norm(1), params=of(NORM, *TREE[1]), x=numbers(np.ones((4, 4)), "size", "batch"),
         mode=of(TRAIN, "mode", "statistics")),
    call(layers.conv2d(1), params=of(KERNELS, "dict", "names", "arrays"), x=IMG),
    *(call(f, params=of({}), x=numbers(X), mode=MODE) for f in (*PLAIN, layers.tap("a"))),
    *(call(f, params=of({}), x=numbers(X), mode=KEYED) for f in (layers.dropout(0.5), serial(relu),
         layers.fan_out(relu))),
    call(layers.join(ops.add), params=of({}), x=of((X, X), "entries"), mode=MODE),
    call(layers.parallel(relu, relu), params=of({}), xs=of((X, X), "entries"), mode=KEYED),
    call(layers.parallel(relu, relu)({}, (X, X))[1], dys=of((X, X), "entries")),
    call(layers.fan_out(relu, relu)({}, X)[1], dys=of((X, X), "entries")),
    *(call(named(f"back of {f.__name__}", f(PARAMS, X, TRAIN)[1]), dy=of(X, "gradient")) for f in (serial(relu), NET)),
    # networks
    call(NET, params=of(*TREE[:1], *TREE[1], "no more"), x=numbers(X, "size", "batch"), mode=OBSERVING),
    *(call(net, params=of(init(0), "dict", "names"), x=numbers(DIGITS, "axes"), mode=KEYED) for net,
         init in ((nn.simple_convnet(), nn.init_simple_convnet), (nn.deep_convnet(), nn.init_deep_convnet))),
    *(call(f) for f in (nn.simple_convnet, nn.deep_convnet)),
    call(nn.mlp, both_ways, activation=LAYER, dropout=SHARE),
    call(nn.predict, net=NETWORK, params=TREE, x=RIGHT_X, stats=SEEN, batch_size=of(2, "int of no default", "zero")),
    call(nn.value_and_grad, gradient, net=NETWORK, loss=LOSSES),
    call(nn.numerical_value_and_grad, gradient, net=NETWORK, loss=of(LOSS, "loss"), h=STEP_H),
    *(call(named(f"gradient by {f.__name__}", f(NET, LOSS)), params=TREE, x=RIGHT_X, t=LABELS, mode=MODE)
         for f in (nn.value_and_grad, nn.numerical_value_and_grad)),
    call(nn.with_weight_decay, learnt, grad=of(GRAD, "grad"), lam=RATE),
    call(nn.with_clipping, learnt, grad=of(GRAD, "grad"), max_norm=of(1.0, "any number", "zero")),
    call(nn.in_parts, learnt, grad=of(GRAD, "grad"), parts=of(2, "int of no default", "zero"), map=of(map, "function")),
    call(nn.weight_decay, params=of(PARAMS, "dict", "arrays"), lam=RATE),
    # initializers
    call(nn.init_affine, rng=RNG, i=NUMBER, inputs=COUNT, outputs=COUNT, scale=SCALE, dtype=DTYPE),
    call(nn.init_conv2d, rng=RNG, i=of(1), filters=COUNT, channels=COUNT, size=STRIDE, scale=SCALE, dtype=DTYPE),
    call(nn.init_batch_norm, i=NUMBER, features=COUNT, dtype=DTYPE),
    call(nn.init_mlp, rng=RNG, sizes=of((3, 4), "sizes"), scale=SCALE, dtype=DTYPE, batch_norm=of(False, "switch")),
    call(nn.init_simple_convnet, rng=RNG, image=of((1, 28, 28), "shape"), filters=COUNT, hidden=COUNT, classes=COUNT,
         scale=SCALE, dtype=DTYPE),
    call(nn.init_deep_convnet, rng=RNG, dtype=DTYPE),
    call(nn.init_stats, params=of(PARAMS, "dict")),
    # optimizers
    call(nn.sgd, one_step, lr=LR),
    *(call(f, one_step, lr=LR, momentum=SHARE) for f in (nn.momentum, nn.nesterov)),
    call(nn.adagrad, one_step, lr=LR, eps=EPS),
    call(nn.rmsprop, one_step, lr=LR, decay=SHARE, eps=EPS),
    call(nn.adam, one_step, lr=LR, beta1=SHARE, beta2=SHARE, eps=EPS),
    call(nn.adamw, one_step, lr=LR, beta1=SHARE, beta2=SHARE, eps=EPS, decay=RATE),
    call(nn.per_array, lambda made: one_step(made(lambda p, g, *, lr, t: (p,))), lr=LR),
    call(named("per_array", lambda rule: nn.per_array(0.1, "v")(rule)), one_step, rule=of(rolling, "rule")),
    call(nn.constant, lr=RATE),
    call(nn.step_decay, lr=RATE, factor=RATE, steps=COUNT),
    call(nn.cosine, lr=RATE, steps=COUNT, last=RATE),
    call(nn.warm_up, lambda lr: one_step(nn.sgd(lr)), lr=LR, steps=COUNT),
    call(named("step of sgd", nn.sgd().step), params=TREE, grads=RIGHT_GRADS, opt=of({"t": 0}, "dict")),
    *(call(named(f"step of {f.__name__}", f().step), params=TREE, grads=RIGHT_GRADS, opt=of(ADAM.init(PARAMS),
         "memory")) for f in (nn.adam, nn.adamw)),
    call(named("init of adam", ADAM.init), params=of(PARAMS, "dict", "arrays")),
    # training
    call(nn.init_state, optimizer=of(ADAM, "optimizer"), params=of(PARAMS, "dict"), stats=of(STATS, "dict"), seed=SEED),
    call(nn.train_step, stepped, grad=of(GRAD, "grad"), optimizer=of(ADAM, "optimizer")),
    call(STEP, state=of(STATE, "state", "what is in a state"), batch=of((X, T), "batch of both")),
    call(nn.minibatches, x=of(X, "data"), t=of(T, "data"), batch_size=of(2, "int", "zero", "too large"), seed=SEED,
         start=SEED, replace=of(False, "switch")),
    call(nn.fit, everything, step=of(STEP, "step"), state=of(STATE, "state"), batches=of([(X, T)], "batches"),
         steps=SOME, evaluate=of(lambda state: {}, "metrics")),
    call(nn.every, lambda evaluate: nn.history(nn.fit(STEP, STATE, [(X, T)] * 2, 2, evaluate)), steps=COUNT,
         evaluate=of(lambda state: {}, "metrics")),
    call(nn.history, run=RUN),
    call(nn.progress, everything, run=RUN, steps=SOME, start=SEED),
    call(nn.checkpoints, everything, run=RUN, path=of("run.npz", "path"), steps=COUNT),
    call(nn.random_search, trial=of(lambda s, key: {"score": 0.0}, "called"), space=SPACE, n=SOME, seed=SEED,
         map=of(map, "called")),
    call(nn.save_state, path=of("run.npz", "path"), state=of(STATE, "state")),
    call(nn.save_params, path=of("run.npz", "path"), params=of(PARAMS, "dict")),
    call(nn.load_params, path=of("params.npz", "path"), limit=of(10**6, "int")),
    call(nn.load_state, path=of("state.npz", "path"), limit=of(10**6, "int")),
    call(nn.read_idx, path=of(MNIST / "t10k-labels-idx1-ubyte.gz", "path"), limit=of(10**6, "int")),
    call(nn.count_params, params=of(PARAMS, "dict")),
    # data and images
    call(nn.load_mnist, **dict.fromkeys(("normalize", "flatten", "one_hot_label", "transpose"), of(True, "switch")),
         path=of(MNIST, "path to a folder")),
    call(nn.xor),
    call(nn.spiral, rng=RNG, points=SOME, classes=COUNT, noise=RATE),
    call(nn.shuffle, x=of(X, "data"), t=of(T, "data"), seed=SEED),
    call(nn.train_validation_split, x=of(X, "data"), t=of(T, "data"),
         validation=of(2, "any number", "zero", "too large", "negative"), seed=SEED),
    call(nn.shift, images=IMG, key=KEY, pixels=SOME),
    call(nn.rotate, images=IMG, key=KEY, degrees=RATE),
    call(nn.to_uint8, image=numbers(P, "finite", "out of range")),
    call(nn.save_image, path=of("image.png", "path"), image=numbers(P, "axes", "finite", "out of range")),
    call(nn.load_pretrained, name=of("three_layer", "name", "known name")),
    # pictures
    *(call(f, params=of(ONE, "dict", "names", "no more")) for f in (draw.neurons_dot, draw.neurons_svg)),
    *(call(f, net=NETWORK, params=TREE, x=RIGHT_X, stats=SEEN) for f in DRAWINGS),
    call(plots.smooth_curve, values=numbers(np.ones(20), "axes"), window=of(3, "int", "zero", "too large")),
    call(plots.learning_curves, ax=AXES, curves=of({"loss": (range(20), np.ones(20))}, "curves"),
         smooth=of(3, "int", "zero")),
    call(plots.decision_boundary, ax=AXES, scores=of(lambda x: x[:, [0, 1, 0]], "function"),
         x=numbers(X[:, :2], "axes"), t=LABELS, points=COUNT),
    call(plots.image_grid, figure=FIGURE, images=numbers(IMAGES[0], "axes"), columns=COUNT),
    call(plots.activation_histograms, figure=FIGURE, activations=of(PARAMS, "dict", "arrays"), bins=COUNT),
    call(plots.confusion_matrix, ax=AXES, y=numbers(X, "axes", "batch", "finite"), t=LABELS),
    call(plots.search_results, figure=FIGURE, trials=of(TRIALS, "trials"), curves=of(["curve"], "names of curves"),
         most=SOME, columns=COUNT),
]
# fmt: on


SWAPS = [("params", "x"), ("net", "params"), ("net", "loss"), ("grad", "optimizer"), ("optimizer", "params")]
SWAPS += [
    ("path", "params"),
    ("path", "state"),
    ("step", "state"),
    ("images", "key"),
    ("rate", "key"),
    ("state", "batch"),
]


def cases(f, use, arguments):
    """Yield the wrong calls of a function: what is wrong, and what to do."""
    right = {name: value for name, (value, _) in arguments.items()}
    for name, (value, sorts) in arguments.items():
        for sort in sorts:
            for what, wrong in KINDS[sort].items():
                yield f"{name}: {what}", partial(called, f, use, right | {name: wrong(value)})
    for a, b in SWAPS:
        if a in right and b in right:
            yield f"{a} and {b} swapped", partial(called, f, use, right | {a: right[b], b: right[a]})
    own = f.__module__.startswith("nnfunc") and "<locals>" not in f.__qualname__
    for name, p in signature(f).parameters.items() if own else ():
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD:
            yield f"{name}: missing", partial(f, **without(right, name))
    if own and f not in (layers.lift, layers.join):
        yield "an unknown keyword", partial(f, **right, colour="red")


def called(f, use, arguments):
    """Call a function, and use what it returns."""
    answer = f(**arguments)
    return answer if use is None else use(answer)


REST = "_arrays functions gradient networks numerical initializers optimizers training search params pretrained"


@cache
def answers(k):
    """Return what each wrong call of function number k raises; None if nothing."""
    return {what: raised(run) for what, run in cases(*CALLS[k])}


def raised(run):
    try:
        run()
    except Exception as error:
        return error.with_traceback(None)
    return None


MODULES = [conv, datasets, draw, layers, ops, plots, *(import_module(f"nnfunc.{name}") for name in REST.split())]
PUBLIC = [(name, getattr(m, name)) for m in MODULES for name in m.__all__]
NAMES = {name for name, _ in PUBLIC} | {"pullback", "rolling", "<lambda>"}
WANTS = re.compile(
    "wanted|wants |needs? |has no |no layer uses|must |nothing to|does not fit|, labels are|is no array"
    "|samples, t has|has shape .*, its |, grads has |the letters name"
)


def in_own_words(error):
    """Say whether an error names a function of the library and what it wants, or the layer in which it happened."""
    head = re.match(r"([\w<>]+)(\(.*?\))?: ", str(error))
    plain = type(error) is ValueError and head and head[1] in NAMES and WANTS.search(str(error))
    placed = any(note.startswith("in layer ") for note in getattr(error, "__notes__", ()))
    return bool(plain or (placed and type(error) in (ValueError, TypeError)))


def as_python_says(what, error):
    """Say whether a missing or unknown argument is answered as any function answers it."""
    form = {"missing": "missing 1 required", "unknown": "unexpected keyword argument 'colour'"}
    return type(error) is TypeError and any(word in what and said in str(error) for word, said in form.items())


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Stand in a folder of its own, with the files that the right calls read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("files"))
        nn.save_params("params.npz", PARAMS)
        nn.save_state("state.npz", STATE)
        yield


EACH = pytest.mark.parametrize("k", range(len(CALLS)), ids=lambda k: f"{k}-{CALLS[k][0].__name__.partition('(')[0]}")


@EACH
def test_the_right_call_is_answered(k):
    f, use, arguments = CALLS[k]
    called(f, use, {name: right for name, (right, _) in arguments.items()})


@EACH
def test_no_wrong_call_is_answered(k):
    assert [what for what, error in answers(k).items() if error is None] == []


def test_of_many_wrong_calls_nearly_all_are_refused_in_the_librarys_own_words():
    found = [(what, error) for k in range(len(CALLS)) for what, error in answers(k).items()]
    told = [(what, error) for what, error in found if not as_python_says(what, error)]
    assert len(told) >= 400
    assert sum(map(in_own_words, [error for _, error in told])) >= 0.93 * len(told)


def test_every_public_name_is_called_wrongly():
    wrapped = {"serial", "fan_out", "parallel", "flatten", "tap", "Trial"}
    assert {name for name, f in PUBLIC if f not in [f for f, _, _ in CALLS]} <= wrapped


@pytest.mark.parametrize(("op", "x", "y"), [(ops.add, [1, 2, 3], [1]), (ops.mul, np.ones((2, 3)), np.ones((2, 1)))])
def test_no_shape_is_stretched(op, x, y):
    with pytest.raises(ValueError, match=rf"^{op.__name__}: x .*; wanted x"):
        op(x, y)
