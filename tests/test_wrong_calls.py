"""Wrong calls over the whole public face: each is refused, and nearly all of them in the library's own words.

Two tables make the calls. `CALLS` holds for each function a call that is right, with a sort for each argument;
`KINDS` holds for each sort the ways to get it wrong, each a function from the right argument to a wrong one. The
product of both is tried, with one argument wrong at a time. What does work only when its result is used is used.
"""

import itertools
import re
import types
from functools import partial
from inspect import signature

import matplotlib
import numpy as np
import pytest

import nnfunc as nn
from nnfunc import conv, datasets, draw, layers, ops, plots
from nnfunc.layers import Mode, affine, relu, serial

matplotlib.use("Agg")
from matplotlib.figure import Figure

X, COLUMN, T, T_ROWS = np.linspace(-1.0, 1.0, 12).reshape(4, 3), np.ones(3), np.array([0, 1, 2, 1]), np.eye(4, 3)
P = np.full((4, 3), 1 / 3)
IMAGES, FILTERS = np.linspace(0.0, 1.0, 2 * 3 * 5 * 4).reshape(2, 3, 5, 4), np.ones((6, 3, 3, 3))
PARAMS = nn.init_mlp(0, (3, 4, 3), batch_norm=True, dtype=np.float64)
STATS = nn.init_stats(PARAMS)
ONE = {"W1": np.ones((3, 3)), "b1": np.zeros(3)}
TRAIN = Mode(STATS, (0, 0))
NET, LOSS = nn.mlp(), ops.softmax_cross_entropy
GRAD, ADAM = nn.value_and_grad(NET, LOSS), nn.adam()
STATE = nn.init_state(ADAM, PARAMS, STATS)
STEP = nn.train_step(GRAD, ADAM)
GRADS = {name: np.ones_like(p) for name, p in PARAMS.items()}
NEVER = "no/such/folder/file"


def without(tree, name="W1"):
    return {k: v for k, v in tree.items() if k != name}


def changed(change, name="W1"):
    """Return the way to change one array of a dict."""
    return lambda tree: tree | {name: change(tree[name])}


def answering(answer):
    """Return the way to a function of the same name that gives another answer."""
    return lambda f: lambda *args, **settings: answer(f, *args, **settings)


def everything(run):
    return list(itertools.islice(run, 3))


def masked(a):
    return np.ma.masked_array(a, np.zeros(np.shape(a), bool))


# Each sort of argument, and the ways to get it wrong

NO_NUMBERS = {
    "text": lambda a: "abc",
    "None": lambda a: None,
    "an object": lambda a: object(),
    "complex": lambda a: np.asarray(a) * 1j,
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
    "masked": masked,
    "a dict": lambda a: {"x": a},
    "a function": lambda a: np.sin,
}
NO_NUMBER = {
    "text": lambda n: "abc",
    "None": lambda n: None,
    "nan": lambda n: np.nan,
    "a bool": lambda n: True,
    "a list": lambda n: [n],
    "a tuple": lambda n: (n, n),
    "0-d text": lambda n: np.array(str(n)),
    "complex": lambda n: 1j,
    "a dict": lambda n: {"lr": n},
    "an array": lambda n: np.array([n, n]),
}
NO_INT = NO_NUMBER | {"a float": lambda n: n + 0.5, "inf": lambda n: np.inf, "a whole float": float}
BELOW = {"negative": lambda n: -1}
SIZED = {"zero": lambda n: 0}
NO_CALLABLE = {"text": lambda f: "relu", "None": lambda f: None, "a number": lambda f: 3, "an array": lambda f: X}
NO_DICT = {
    "None": lambda tree: None,
    "a list": lambda tree: list(tree.values()),
    "text": lambda tree: "W1",
    "a number": lambda tree: 3,
    "an array": lambda tree: X,
    "a set of names": set,
}
NO_ARRAYS_IN = {
    f"{what} in it": changed(change)
    for what, change in {
        "text": lambda a: "abc",
        "None": lambda a: None,
        "complex": lambda a: a * 1j,
        "masked": masked,
        "a dict": lambda a: {"W": a},
    }.items()
}
OTHER_SHAPES = {
    "a transposed array": changed(lambda a: a.T.copy() if a.shape[0] != a.shape[-1] else a[:, :2]),
    "an axis more in it": changed(lambda a: a[None]),
    "a broadcastable array": changed(lambda a: a[:1]),
}
A_NAME_LESS = {"a name missing": without, "no names": lambda tree: {}}
A_NAME_MORE = {"a name too many": lambda tree: tree | {"V": X}}

KINDS = {
    "numbers": NO_NUMBERS,
    "axes": {"an axis more": lambda a: a[None], "an axis less": lambda a: a[0]},
    "an axis": {"no axis": lambda a: 1.0},
    "size": {"a size more": lambda a: np.concatenate([a, a[..., :1]], axis=-1)},
    "broadcast": {"a size of 1": lambda a: a[..., :1], "one number": lambda a: np.float64(1), "a list": lambda a: [1]},
    "batch": {"an empty batch": lambda a: a[:0]},
    "finite": {"nan in it": lambda a: a * np.nan},
    "number": NO_NUMBER | BELOW | {"inf": lambda n: np.inf},
    "positive": NO_NUMBER | BELOW | SIZED | {"minus inf": lambda n: -np.inf},
    "share": NO_NUMBER | BELOW | {"one": lambda n: 1.0, "percent": lambda n: 90, "inf": lambda n: np.inf},
    "any number": NO_NUMBER,
    "int": NO_INT | BELOW,
    "size of": NO_INT | BELOW | SIZED,
    "axis": {"text": lambda n: "abc", "a float": lambda n: 1.0, "out of range": lambda n: 7, "a bool": lambda n: True},
    "pair": {k: NO_INT[k] for k in ("text", "nan", "a bool", "a float", "a dict", "an array", "0-d text", "inf")}
    | BELOW
    | {"three": lambda n: (1, 1, 1), "a pair of floats": lambda n: (1.0, 1.0)},
    "pair from 1": SIZED,
    "given": {"None": lambda a: None},
    "switch": {"text": lambda b: "yes", "None": lambda b: None, "a number": lambda b: 1, "a list": lambda b: [b]},
    "dtype": {"int": lambda d: int, "complex": lambda d: complex, "bool": lambda d: bool, "text": lambda d: "wide"},
    "scale": {"another name": lambda s: "glorot", "negative": lambda s: -0.1, "nan": lambda s: np.nan}
    | {k: NO_NUMBER[k] for k in ("None", "a list", "a bool", "complex", "0-d text")},
    "rng": {"text": lambda s: "abc", "negative": lambda s: -1, "a float": lambda s: 1.5, "a bool": lambda s: True},
    "labels": {
        "a column": lambda t: np.reshape(t, (-1, 1)),
        "too many": lambda t: [*t, 0],
        "one for all": lambda t: 0,
        "negative": lambda t: np.asarray(t) - 1,
        "out of range": lambda t: np.asarray(t) + 1,
        "floats": lambda t: np.asarray(t) * 1.0,
        "bools": lambda t: np.asarray(t) > 1,
        "nan": lambda t: np.asarray(t) * np.nan,
        "random rows": lambda t: X,
    }
    | NO_NUMBERS,
    "targets": {"an axis more": lambda t: t[None], "a column": lambda t: t[..., :1], "one sample": lambda t: t[0]}
    | NO_NUMBERS,
    "gradient": {
        "an axis more": lambda g: np.asarray(g)[None],
        "a size of 1": lambda g: g[..., :1],
        "one number": lambda g: 1.0,
    }
    | NO_NUMBERS,
    "gradient of a loss": {k: v for k, v in NO_NUMBERS.items() if k != "masked"} | {"an array": lambda g: np.ones(2)},
    "layer": NO_CALLABLE
    | {
        "a value function": lambda f: nn.relu,
        "an op": lambda f: ops.relu,
        "a factory": lambda f: layers.affine,
        "a list of layers": lambda f: [relu],
        "a layer that gives an array": answering(lambda f, params, x, mode: x),
        "a layer that gives a pair": answering(lambda f, params, x, mode: (x, None)),
        "a layer without mode": lambda f: lambda params, x: f(params, x),
    },
    "op": NO_CALLABLE
    | {
        "a value function": lambda f: nn.relu,
        "a layer": lambda f: relu,
        "a factory": lambda f: layers.affine,
        "an op that gives an array": answering(lambda f, *xs, **given: f(*xs)[0]),
        "an op that gives three": answering(lambda f, *xs, **given: (*f(*xs), 0)),
    },
    "way back": {
        "a pullback that gives an array": answering(lambda f, *xs, **given: (f(*xs)[0], lambda dy: dy)),
        "a pullback that gives too few": answering(lambda f, *xs, **given: (f(*xs)[0], lambda dy: ())),
        "no pullback": answering(lambda f, *xs, **given: (f(*xs)[0], None)),
    },
    "loss": NO_CALLABLE
    | {
        "a value function": lambda f: nn.mean_squared_error,
        "a layer": lambda f: relu,
        "an op of one input": lambda f: ops.relu,
        "a loss that gives a number": answering(lambda f, z, t: f(z, t)[0]),
        "a loss that gives an array": answering(lambda f, z, t: (z, f(z, t)[1])),
    },
    "way back of a loss": {
        "a pullback that gives an array": answering(lambda f, z, t: (f(z, t)[0], lambda d=1.0: z)),
        "a pullback that gives nothing": answering(lambda f, z, t: (f(z, t)[0], lambda d=1.0: ())),
        "a gradient of another shape": answering(lambda f, z, t: (f(z, t)[0], lambda d=1.0: (z[:1],))),
    },
    "grad": NO_CALLABLE
    | {
        "a network": lambda f: NET,
        "a loss": lambda f: LOSS,
        "what makes one": lambda f: nn.value_and_grad,
        "one that gives a pair": answering(lambda f, *args: f(*args)[:2]),
        "one that gives a list of gradients": answering(lambda f, *args: (0.0, [*f(*args)[1].values()], {})),
        "one that lacks a gradient": answering(lambda f, *args: (0.0, without(f(*args)[1]), {})),
    },
    "optimizer": NO_CALLABLE
    | {"what makes one": lambda o: nn.sgd, "a pair": tuple, "a rate": lambda o: 0.1, "a step": lambda o: o.step},
    "rate": {k: v for k, v in NO_NUMBER.items()} | BELOW | {"inf": lambda n: np.inf, "an optimizer": lambda n: ADAM},
    "schedule": {
        "a schedule that gives text": lambda n: lambda t: "0.1",
        "a schedule that gives nan": lambda n: lambda t: np.nan,
        "a schedule that goes below 0": lambda n: lambda t: -0.1,
        "a schedule that gives an array": lambda n: lambda t: np.ones(2),
    },
    "rule": {
        "a rule that gives an array": lambda f: lambda p, g, v, *, lr, t: p - g,
        "a rule that gives a list": lambda f: lambda p, g, v, *, lr, t: [p - g, v],
        "a rule that gives no memory": lambda f: lambda p, g, v, *, lr, t: (p - g,),
        "a rule that gives another shape": lambda f: lambda p, g, v, *, lr, t: (p[None], v),
        "a rule without rate": lambda f: lambda p, g, v: (p - g, v),
    }
    | NO_CALLABLE,
    "mode": {
        "text": lambda m: "train",
        "a bool": lambda m: True,
        "None": lambda m: None,
        "the class": lambda m: Mode,
        "a plain tuple": tuple,
        "the key alone": lambda m: m.key,
        "the statistics alone": lambda m: m.stats,
    },
    "key": {
        "an int": lambda k: 5,
        "None": lambda k: None,
        "a list": list,
        "nothing": lambda k: (),
        "negative": lambda k: (0, -1),
        "floats": lambda k: (0.0, 1.0),
        "bools": lambda k: (True, False),
        "text": lambda k: "01",
        "an array": np.array,
        "a generator": lambda k: np.random.default_rng(0),
    },
    "dict": NO_DICT,
    "arrays": NO_ARRAYS_IN,
    "shapes": OTHER_SHAPES,
    "names": A_NAME_LESS,
    "no more": A_NAME_MORE,
    "memory": {
        "another optimizer's": lambda opt: nn.momentum().init(PARAMS),
        "of a plain one": lambda opt: nn.sgd().init(PARAMS),
        "of other shapes": lambda opt: opt | {"m": {name: a[None] for name, a in opt["m"].items()}},
        "that broadcasts": lambda opt: opt | {"m": {name: a[:1] for name, a in opt["m"].items()}},
        "of numbers": lambda opt: opt | {"m": dict.fromkeys(opt["m"], 0.0)},
        "of text": lambda opt: opt | {"v": dict.fromkeys(opt["m"], "abc")},
        "that lacks a name": lambda opt: opt | {"v": without(opt["v"])},
        "with a name too many": lambda opt: opt | {"v": opt["v"] | {"V": X}},
        "without count": lambda opt: without(opt, "t"),
        "with text for a count": lambda opt: opt | {"t": "1"},
        "with a negative count": lambda opt: opt | {"t": -1},
        "with a list for a slot": lambda opt: opt | {"m": [*opt["m"].values()]},
        "the optimizer": lambda opt: ADAM,
    }
    | NO_DICT,
    "state": {
        "None": lambda s: None,
        "a dict": lambda s: s._asdict(),
        "its parameters": lambda s: s.params,
        "a plain tuple": tuple,
        "another optimizer's": lambda s: nn.init_state(nn.sgd(), PARAMS, STATS),
        "other parameters": lambda s: s._replace(params=ONE),
        "no statistics": lambda s: s._replace(stats={}),
        "a negative seed": lambda s: s._replace(seed=-1),
        "text for a step": lambda s: s._replace(step="0"),
    },
    "one batch": {
        "None": lambda b: None,
        "inputs alone": lambda b: b[0],
        "three": lambda b: (*b, 0),
        "swapped": lambda b: b[::-1],
        "one sample": lambda b: (b[0][0], b[1][0]),
        "no samples": lambda b: (b[0][:0], b[1][:0]),
        "a column of labels": lambda b: (b[0], b[1][:, None]),
    },
    "batches": {
        "one batch": lambda b: (X, T),
        "None": lambda b: None,
        "a number": lambda b: 3,
        "inputs alone": lambda b: [X],
        "a function": lambda b: nn.minibatches,
    },
    "run": {
        "None": lambda r: None,
        "a number": lambda r: 3,
        "a state": lambda r: STATE,
        "of states alone": lambda r: [STATE],
        "of a state of its own": lambda r: [((1, 2), {"loss": 0.0})],
        "of metrics that are none": lambda r: [(STATE, 0.5)],
        "uncalled": lambda r: nn.fit,
    },
    "metrics": NO_CALLABLE
    | {"one that gives a number": lambda f: lambda state: 0.5, "one that gives None": lambda f: lambda state: None},
    "function": NO_CALLABLE
    | {
        "one that gives text": lambda f: lambda x: "abc",
        "one that gives None": lambda f: lambda x: None,
        "one that gives an array": lambda f: lambda x: np.ones(7),
        "one that gives complex": lambda f: lambda x: 1j,
    },
    "trial": NO_CALLABLE,
    "space": {
        "None": lambda s: None,
        "a list": lambda s: [("log", 1, 2)],
        "text": lambda s: "log",
        "of numbers": lambda s: {"lr": 0.1},
        "of another kind": lambda s: {"lr": ("normal", 0, 1)},
        "upside down": lambda s: {"lr": ("log", 1, 0.1)},
        "log from 0": lambda s: {"lr": ("log", 0, 1)},
        "to inf": lambda s: {"lr": ("uniform", 0, np.inf)},
        "with nan": lambda s: {"lr": ("uniform", np.nan, 1)},
        "no choice": lambda s: {"lr": ("choice", [])},
        "text to choose from": lambda s: {"lr": ("choice", "abc")},
        "a list of kinds": lambda s: {"lr": ["uniform", 0]},
    },
    "path": {"a number": lambda p: 3.5, "None": lambda p: None, "a list": lambda p: [p], "an array": lambda p: X},
    "sizes": {
        "a number": lambda s: 3,
        "one size": lambda s: (3,),
        "None": lambda s: None,
        "text": lambda s: "345",
        "floats": lambda s: (3.0, 4.0),
        "zero": lambda s: (3, 0),
        "negative": lambda s: (3, -4),
        "pairs": lambda s: ((3, 4), (4, 3)),
        "a dict": lambda s: {3: 4, 4: 3},
    },
    "args": {"an array": lambda a: a[0], "None": lambda a: None, "text": lambda a: "x", "too few": lambda a: a[:1]},
    "figure": {"None": lambda f: None, "text": lambda f: "figure", "a function": lambda f: Figure},
    "curves": {"None": lambda c: None, "a list": lambda c: [1.0], "values alone": lambda c: {"loss": np.ones(20)}},
    "letters": {
        "an open bracket": lambda s: "x (N, D",
        "no bracket": lambda s: "x N",
        "a size": lambda s: "x (N, 3)",
        "dots twice": lambda s: "x (..., ...)",
        "another name": lambda s: "v (N)",
        "nothing": lambda s: "",
        "None": lambda s: None,
        "uncalled": lambda s: ops.relu,
        "a list": lambda s: ["x (N)"],
    },
}

# Each function, and a call that is right


def of(a, *sorts):
    return a, sorts


def numbers(a, *sorts):
    return a, ("numbers", *sorts)


def drawn(**given):
    """Return arguments for images, weights and a window."""
    return {"x": numbers(IMAGES, "axes")} | given


SAME = ("size", "broadcast")
KEY, SEED, PATH = of((0, 1), "key"), of(0, "int"), of(NEVER, "path")
STRIDE, PAD = of(1, "pair", "pair from 1"), of(0, "pair")
WINDOW = {"filter_h": of(2, "size of"), "filter_w": of(2, "size of"), "stride": STRIDE, "pad": PAD}
NETS = {"params": of(PARAMS, "dict", "arrays", "shapes", "names"), "x": numbers(X, "size")}
DESCENT = {"x0": numbers(COLUMN), "lr": of(0.1, "number"), "step_num": of(2, "int")}
LABELS, TARGETS = of(T, "labels"), of(P, "targets")
RNG, SCALE, DTYPE = of(0, "rng"), of(0.1, "scale"), of(np.float32, "dtype")
LR = of(0.1, "rate", "schedule")
UNIT, EPS = of(0.5, "share"), of(1e-5, "number")
LAYER, OP = of(relu, "layer"), of(ops.mul, "op", "way back")
RUN, PARTS = of([(STATE, {"loss": 0.0})], "run"), {"net": of(NET, "layer"), "loss": of(LOSS, "loss")}
SUM = of(lambda x: np.sum(np.square(x)), "function")
TREE = of(PARAMS, "dict", "arrays")
FIGURE, AX = of(Figure(), "figure"), of(Figure().subplots(), "figure")
TRIALS = [nn.search.Trial({"lr": 0.1}, {"score": 0.5, "curve": np.ones(3)}, None)] if hasattr(nn, "search") else []


def grads(net=NET, loss=LOSS):
    return nn.value_and_grad(net, loss)(PARAMS, X, T, TRAIN)


def both_ways(net, params=PARAMS, x=X, mode=TRAIN):
    """Run a net there and back."""
    y, pullback, _ = net(params, x, mode)
    return pullback(y)


def after(op, *args, **settings):
    """Return the pullback of an op, under the op's name."""
    pullback = op(*args, **settings)[1]
    loss = np.ndim(op(*args, **settings)[0]) == 0
    return types.SimpleNamespace(name=f"pullback of {op.__name__}", f=pullback), {
        "dloss" if loss else "dy": of(1.0, "gradient of a loss") if loss else of(op(*args, **settings)[0], "gradient")
    }


def first(x):
    return next(iter(x))


ONE_INPUT = [ops.identity, ops.sigmoid, ops.tanh, ops.relu, ops.softmax, ops.log_softmax, ops.flatten]
POOLS = [ops.max_pool2d, ops.avg_pool2d]

# (the function, its arguments with their sorts, what makes use of its result)
CALLS = [
    # values
    *((f, {"x": numbers(X)}) for f in (nn.sigmoid, nn.tanh, nn.relu, nn.identity)),
    (nn.step, {"x": numbers(X, "finite")}),
    *((f, {"x": numbers(X, "an axis"), "axis": of(-1, "axis")}) for f in (nn.softmax, nn.log_softmax)),
    (nn.one_hot, {"t": of(T, "labels"), "classes": of(3, "size of")}),
    (nn.perceptron, {"x": numbers(X, "an axis"), "w": numbers(COLUMN, "axes", *SAME), "b": of(0.1, "any number")}),
    (nn.sum_squared_error, {"y": numbers(P, "axes", *SAME), "t": TARGETS}),
    (nn.mean_squared_error, {"y": numbers(P, "axes", *SAME, "batch"), "t": TARGETS}),
    (nn.cross_entropy_error, {"y": numbers(P, "axes", "broadcast", "batch", "finite"), "t": LABELS, "eps": EPS}),
    (nn.accuracy, {"y": numbers(X, "axes", "broadcast", "batch"), "t": LABELS}),
    # differences
    (nn.numerical_diff, {"f": of(np.sin, "function"), "x": numbers(COLUMN), "h": of(1e-4, "positive")}),
    (nn.tangent_line, {"f": of(np.sin, "function"), "x": numbers(0.5)}, lambda line: line(1.0)),
    (nn.numerical_gradient, {"f": SUM, "x": numbers(COLUMN), "h": of(1e-4, "positive")}),
    (nn.gradient_descent, {"f": SUM, **DESCENT}),
    (nn.gradient_path, {"f": SUM, **DESCENT}),
    (
        nn.check_gradients,
        {
            "f": of(lambda p: np.sum(p["W1"] ** 2), "function"),
            "params": of({"W1": X}, "dict", "arrays", "shapes", "names", "no more"),
            "grads": of({"W1": 2 * X}, "dict", "arrays", "shapes", "names", "no more"),
        },
    ),
    (
        nn.check_vjp,
        {
            "op": OP,
            "args": of((X, X + 2), "args"),
            "seed": SEED,
            "rtol": of(1e-6, "share"),
            "h": of(1e-4, "positive"),
        },
    ),
    # ops and their pullbacks
    *((f, {"x": numbers(X + 2, "axes", *SAME), "y": numbers(X, "axes", *SAME)}) for f in (ops.add, ops.mul)),
    *((f, {"x": numbers(X)}) for f in ONE_INPUT),
    *(
        (f, {"x": numbers(X, "size", "an axis"), "W": numbers(np.ones((3, 2)), "axes"), "b": numbers(np.ones(2), *SAME)})
        for f in (ops.affine,)
    ),
    (
        ops.batch_norm,
        {
            "x": numbers(X, "axes", "size", "batch"),
            "gamma": numbers(COLUMN, "axes", *SAME),
            "beta": numbers(COLUMN, "axes", *SAME),
            "eps": EPS,
        },
    ),
    (ops.dropout, {"x": numbers(X), "rate": UNIT, "key": KEY}),
    (
        ops.conv2d,
        drawn(W=numbers(FILTERS, "axes"), b=numbers(np.ones(6), "axes", *SAME), stride=STRIDE, pad=PAD),
    ),
    *((f, drawn(size=of(2, "pair", "pair from 1"), stride=STRIDE, pad=PAD)) for f in POOLS),
    (ops.softmax_cross_entropy, {"z": numbers(X, "axes", "broadcast", "batch"), "t": LABELS}),
    (ops.sigmoid_cross_entropy, {"z": numbers(X, "axes", *SAME, "batch"), "t": of(P, "targets", "finite")}),
    (ops.sum_squared_error, {"y": numbers(X, "axes", *SAME), "t": TARGETS}),
    (ops.mean_squared_error, {"y": numbers(X, "axes", *SAME, "batch"), "t": TARGETS}),
    *(after(f, X) for f in ONE_INPUT),
    *(after(f, X, X) for f in (ops.add, ops.mul, ops.sum_squared_error, ops.mean_squared_error)),
    after(ops.affine, X, np.ones((3, 2)), np.ones(2)),
    after(ops.batch_norm, X, COLUMN, COLUMN),
    after(ops.dropout, X, 0.5, (0,)),
    after(ops.conv2d, IMAGES, FILTERS, np.ones(6)),
    *(after(f, IMAGES, 2) for f in POOLS),
    after(ops.softmax_cross_entropy, X, T),
    after(ops.sigmoid_cross_entropy, X, P),
    # convolution
    (conv.im2col, drawn(**WINDOW)),
    (
        conv.col2im,
        {
            "col": numbers(np.ones((2, 12, 12)), "axes", "size"),
            "x_shape": of((2, 3, 5, 4), "sizes", "axis"),
            **WINDOW,
        },
    ),
    (
        conv.conv_output_size,
        {
            "size": of(5, "int"),
            "filter_size": of(2, "size of"),
            "stride": of(1, "size of"),
            "pad": of(0, "int"),
        },
    ),
    # layers
    (layers.lift, {"op": of(ops.relu, "op", "way back")}, lambda layer: both_ways(layer, {})),
    *((named(f), {"f": LAYER}, both_ways) for f in ()),
    (layers.join, {"op": OP}, lambda layer: both_ways(layer, {}, (X, X))),
    (lambda layer: serial(layer), {"layer": LAYER}, both_ways),
    (lambda layer: serial(relu, layer), {"layer": LAYER}, both_ways),
]
