"""How each public function is called: one table, for the tests that hold for everything public.

`VALUES`, `OPS` and `LAYERS` say which of the `inputs` a function takes, and its settings; `CALLS` has a call of each
public function, those included. A call works with the arrays of any library that the function takes. Each number that
sets something is NumPy's and has 64 bits: it widens all float32 arrays that it is let near.
"""

import importlib
import itertools
import pkgutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import layers, ops

MODULES = [importlib.import_module(info.name) for info in pkgutil.walk_packages(nn.__path__, "nnfunc.")]
PUBLIC = {
    f"{module.__name__.removeprefix('nnfunc.')}.{name}": thing
    for module in MODULES
    for name in getattr(module, "__all__", [])
    if callable(thing := getattr(module, name)) and thing.__module__ == module.__name__  # told where it is written
    if not getattr(thing, "_is_protocol", False)
}

TENTH, HALF, SMALL, TWO = np.float64(0.1), np.float64(0.5), np.float64(1e-7), np.int64(2)


# The arrays of all calls


def inputs(dtype=np.float64, seed=0, N=4, D=3):
    """Return what all calls take: NumPy's arrays of N samples and D features, in nested dicts."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, W, b, w = normal(N, D), normal(D, D), normal(D), normal(D)
    image, filters, bias = normal(N, 2, 5, 6), normal(3, 2, 3, 2), normal(3)
    params = nn.init_mlp(seed, (D, 4, D), dtype=dtype)
    norm = nn.init_mlp(seed, (D, 4, D), dtype=dtype, batch_norm=True)
    gain_x, gain_image = {"gammax": w, "betax": b}, {"gammaimage": normal(2), "betaimage": normal(2)}
    return {
        "x": x,
        "y": normal(N, D),
        "row": x[0],
        "unit": nn.softmax(normal(N, D)),
        "t": rng.integers(D, size=N),
        "W": W,
        "b": b,
        "w": w,
        "image": image,
        "filters": filters,
        "bias": bias,
        "none": {},
        "one": {"W": W, "b": b},
        "kernels": {"W1": filters, "b1": bias},
        "gain_x": gain_x,
        "gain_image": gain_image,
        "params": params,
        "grads": {name: normal(*p.shape) for name, p in params.items()},
        "memory": {name: abs(normal(*p.shape)) for name, p in params.items()},
        "norm": norm,
        "stats": {name: abs(normal(*a.shape)) for name, a in nn.init_stats(norm | gain_x | gain_image).items()},
        "simple": nn.init_simple_convnet(seed, (1, 12, 12), filters=2, hidden=3, classes=3, dtype=dtype),
        "small": normal(N, 1, 12, 12),
        "deep": nn.init_deep_convnet(seed, dtype=dtype),
        "digits": normal(2, 1, 28, 28),
        "count": 63,
    }


# What has a sample in each of its rows.
SAMPLES = {"x", "y", "unit", "t", "image", "small", "digits"}


def mapped(f, tree):
    """Return a nest of dicts, tuples and lists with `f` of each leaf; compilers return dicts sorted."""
    if isinstance(tree, dict):
        return {name: mapped(f, tree[name]) for name in sorted(tree)}
    if isinstance(tree, (tuple, list)):
        return [mapped(f, branch) for branch in tree]
    return f(tree)


def leaves(tree):
    """Return what stands in a nest, in the same order."""
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [tree]


def held(a):
    """Let nobody write into an array, where its library knows of that."""
    if isinstance(a, np.ndarray):
        a.flags.writeable = False
    return a


def given(*args, **settings):
    """Return the inputs by their names, none of which can be written to."""
    found = inputs(*args, **settings)
    for leaf in leaves(found):
        held(leaf)
    return SimpleNamespace(**found)


# Values, ops and layers: which of the inputs they take


class Takes(NamedTuple):
    """The names of the inputs that a function takes, and its settings."""

    names: str
    settings: Mapping[str, Any] = MappingProxyType({})

    def of(self, i):
        return [getattr(i, name) for name in self.names.split()]


class Runs(NamedTuple):
    """A layer, and the names of its parameters and of its input; of two names the input is a tuple."""

    layer: Any
    params: str
    names: str = "x"

    def of(self, i):
        x, *more = (getattr(i, name) for name in self.names.split())
        return getattr(i, self.params), (x, *more) if more else x


ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softmax")
LABELS = [Takes("x t"), Takes("x unit")]

VALUES = {
    **{
        f"functions.{name}": [Takes("x")]
        for name in ("step", "sigmoid", "tanh", "relu", "identity", "softmax", "log_softmax")
    },
    "functions.one_hot": [Takes("t", {"classes": TWO * 2})],
    "functions.perceptron": [Takes("x w", {"b": TENTH})],
    "functions.sum_squared_error": [Takes("x y")],
    "functions.mean_squared_error": [Takes("x y")],
    "functions.cross_entropy_error": [Takes(f"unit {t}", {"eps": SMALL}) for t in ("t", "unit")],
    "functions.accuracy": LABELS,
}
OPS = {
    **{f"ops.{name}": [Takes("x")] for name in (*ACTIVATIONS, "log_softmax")},
    "ops.add": [Takes("x y")],
    "ops.mul": [Takes("x y")],
    "ops.affine": [Takes("x W b"), Takes("row W b")],
    "ops.flatten": [Takes("image")],
    "ops.batch_norm": [Takes("x w b", {"eps": SMALL})],
    "ops.dropout": [Takes("x", {"rate": HALF, "key": (TWO, 1)})],
    "ops.softmax_cross_entropy": LABELS,
    "ops.sigmoid_cross_entropy": [Takes("x unit")],
    "ops.sum_squared_error": [Takes("x y")],
    "ops.mean_squared_error": [Takes("x y")],
    "conv.conv2d": [
        Takes("image filters bias", {"stride": stride, "pad": pad}) for stride, pad in ((1, 0), (1, TWO), ((1, TWO), 1))
    ],
    **{
        f"conv.{name}": [Takes("image", {"size": TWO}), Takes("image", {"size": (TWO, 3), "stride": 1, "pad": 1})]
        for name in ("max_pool2d", "avg_pool2d")
    },
}
SHARED = layers.lift(ops.affine, "W", "b")
TIED = layers.serial(SHARED, layers.tanh, SHARED)
LAYERS = {
    **{f"layers.{name}": [Runs(getattr(layers, name), "none")] for name in ACTIVATIONS},
    "layers.flatten": [Runs(layers.flatten, "none", "image")],
    "layers.affine": [Runs(layers.affine(""), "one")],
    "layers.conv2d": [Runs(layers.conv2d(1, stride=(TWO, 1), pad=TWO), "kernels", "image")],
    "layers.max_pool2d": [Runs(layers.max_pool2d(TWO, stride=1), "none", "image")],
    "layers.avg_pool2d": [Runs(layers.avg_pool2d(TWO, stride=1), "none", "image")],
    "layers.batch_norm": [Runs(layers.batch_norm(x, np.float64(0.9), SMALL), f"gain_{x}", x) for x in ("x", "image")],
    "layers.dropout": [Runs(layers.dropout(HALF), "none")],
    "layers.tap": [Runs(layers.serial(layers.tap("seen"), layers.tanh), "none")],
    "layers.lift": [Runs(SHARED, "one")],
    "layers.fan_out": [Runs(layers.serial(layers.fan_out(layers.tanh, layers.identity), layers.join(ops.mul)), "none")],
    "layers.parallel": [
        Runs(layers.serial(layers.parallel(layers.tanh, layers.relu), layers.join(ops.add)), "none", "x y")
    ],
    "layers.join": [Runs(layers.join(ops.add), "none", "x y")],
    "layers.serial": [Runs(TIED, "one")],
    "networks.mlp": [Runs(nn.mlp(layers.sigmoid), "norm"), Runs(nn.mlp(dropout=HALF), "params")],
    "networks.simple_convnet": [Runs(nn.simple_convnet(), "simple", "small")],
    "networks.deep_convnet": [Runs(nn.deep_convnet(), "deep", "digits")],
}
MODES = {"evaluation": None, "training": (TWO, 1)}


# A call of each public function


def value(f, cases):
    return lambda i: [f(*case.of(i), **case.settings) for case in cases]


def there_and_back(y, pullback, *rest):
    if y.shape == ():
        return y, pullback(), pullback(TENTH), *rest
    return y, pullback(held(y + 1)), *rest


def op(f, cases):
    return lambda i: [there_and_back(*f(*case.of(i), **case.settings)) for case in cases]


def both_modes(cases):
    return lambda i: [
        there_and_back(*case.layer(*case.of(i), layers.Mode(i.stats, key))) for case in cases for key in MODES.values()
    ]


def folded(i):
    col = nn.conv.im2col(i.image, TWO, 1, (1, TWO), 1)
    return nn.conv.col2im(held(col), tuple(i.image.shape), TWO, 1, (1, TWO), 1)


def descend(make):
    """Take two steps from memory of earlier ones; the count is such that small memory is flushed."""

    def run(i):
        optimizer = make()
        opt = dict.fromkeys(optimizer.init(i.params), i.memory) | {"t": i.count}
        params, opt = optimizer.step(i.params, i.grads, opt)
        return params, opt, optimizer.step(params, i.grads, opt)

    return run


def sign_descent():
    return nn.per_array(TENTH, "v")(lambda p, g, v, *, lr, t: (p - lr * (g / abs(g)) - v, v + g))


OPTIMIZERS = {
    "sgd": lambda: nn.sgd(TENTH),
    "momentum": lambda: nn.momentum(TENTH, np.float64(0.9)),
    "nesterov": lambda: nn.nesterov(TENTH, np.float64(0.9)),
    "adagrad": lambda: nn.adagrad(TENTH, SMALL),
    "rmsprop": lambda: nn.rmsprop(TENTH, np.float64(0.99), SMALL),
    "adam": lambda: nn.adam(TENTH, np.float64(0.9), np.float64(0.999), SMALL),
    "adamw": lambda: nn.adamw(TENTH, np.float64(0.9), np.float64(0.999), SMALL, TENTH),
    "per_array": sign_descent,
}


def grad():
    return nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy)


def wrapped(wrap, setting):
    return lambda i: wrap(grad(), setting)(i.params, i.x, i.t)


def first_state(i):
    return nn.init_state(nn.momentum(TENTH), i.params, i.stats, seed=3)


def one_step(i):
    start = first_state(i)._replace(opt={"t": i.count, "v": i.memory}, step=i.count)
    return nn.train_step(grad(), nn.momentum(TENTH))(start, (i.x, i.t))


def run(i, steps=2):
    return nn.fit(nn.train_step(grad(), nn.momentum(TENTH)), first_state(i), itertools.repeat((i.x, i.t)), steps)


def filed(save, load, thing):
    def call(i):
        with tempfile.TemporaryDirectory() as folder:
            save(f"{folder}/a.npz", thing(i))
            return load(f"{folder}/a.npz")

    return call


def checkpointed(i):
    with tempfile.TemporaryDirectory() as folder:
        return list(nn.checkpoints(run(i, 3), f"{folder}/a.npz", TWO)), nn.load_state(f"{folder}/a.npz")


def saved_image(i):
    with tempfile.TemporaryDirectory() as folder:
        nn.save_image(f"{folder}/a.png", i.unit)
        return Path(f"{folder}/a.png").read_bytes()


def idx(i):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers-idx1-ubyte"
        path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 2]))
        return nn.read_idx(path)


def searched(i):
    space = {"lr": ("log", TENTH, TENTH * 9), "act": ("choice", ["relu"]), "x": ("uniform", TENTH, TENTH)}
    return nn.random_search(lambda s, key: {"score": i.bias[key[1]], "curve": i.w}, space, 3, TWO)


def picture(draw):
    """Draw on axes of a figure that belongs to nobody else; return the pixels."""

    def call(i):
        pytest.importorskip("matplotlib", reason="plots come with the extra `plot`")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        canvas = FigureCanvasAgg(Figure(figsize=(2, 2)))
        shown = draw(i, canvas.figure.subplots())
        canvas.draw()
        return shown, bytes(canvas.buffer_rgba())

    return call


def square_sum(x):
    return (x**2).sum()


CALLS = {
    "conv.im2col": lambda i: [nn.conv.im2col(i.image, n, 1, (1, TWO), pad) for n in (1, TWO) for pad in (0, TWO)],
    "conv.col2im": folded,
    **{name: value(PUBLIC[name], cases) for name, cases in VALUES.items()},
    **{name: op(PUBLIC[name], cases) for name, cases in OPS.items()},
    **{name: both_modes(cases) for name, cases in LAYERS.items()},
    "_arrays.op": lambda i: there_and_back(
        *nn.op("x (N, D), w (D)")(lambda x, w: (x * w, lambda dy: (dy * w, x * dy)))(i.x, i.w)
    ),
    "_arrays.generator": lambda i: nn.generator((TWO, 1)).random(3, np.float32),
    "forms.Mode": lambda i: layers.Mode(i.stats, (0, 1)),
    "forms.Optimizer": lambda i: nn.Optimizer(len, len),
    "forms.State": lambda i: nn.State(i.params, i.stats, {"t": 1}, 2, 3),
    "gradient.numerical_diff": lambda i: nn.numerical_diff(lambda x: x**2, i.x),
    "gradient.tangent_line": lambda i: nn.tangent_line(lambda x: x**2, i.x[0, 0])(i.w),
    "gradient.numerical_gradient": lambda i: nn.numerical_gradient(square_sum, i.x),
    "gradient.gradient_path": lambda i: nn.gradient_path(square_sum, i.x, TENTH, 3),
    "gradient.gradient_descent": lambda i: nn.gradient_descent(square_sum, i.x, TENTH, 3),
    "gradient.check_gradients": lambda i: nn.check_gradients(lambda p: square_sum(p["W"]), {"W": i.W}, {"W": 2 * i.W}),
    "gradient.check_vjp": lambda i: nn.check_vjp(ops.mul, (i.x, i.y)),
    "conv.conv_output_size": lambda i: nn.conv.conv_output_size(9, TWO, TWO, TWO),
    "networks.predict": lambda i: [nn.predict(nn.mlp(), i.norm, i.x, i.stats, n) for n in (None, TWO)],
    "networks.value_and_grad": lambda i: [
        grad()(i.params, i.x, i.t),
        nn.value_and_grad(TIED, ops.softmax_cross_entropy)(i.one, i.x, i.t),
    ],
    "networks.weight_decay": lambda i: nn.weight_decay(i.params, TENTH),
    "networks.with_weight_decay": wrapped(nn.with_weight_decay, TENTH),
    "networks.with_clipping": wrapped(nn.with_clipping, TENTH),
    "networks.in_parts": wrapped(nn.in_parts, TWO),
    "numerical.numerical_value_and_grad": lambda i: [
        nn.numerical_value_and_grad(net, ops.softmax_cross_entropy)(params, i.x, i.t)
        for net, params in ((TIED, i.one), (nn.mlp(), i.params))
    ],
    "initializers.init_affine": lambda i: nn.init_affine(5, 1, 3, 4, TENTH),
    "initializers.init_mlp": lambda i: [
        nn.init_mlp(5, (3, 4, 2), scale, batch_norm=batch_norm)
        for scale in ("he", "xavier", TENTH)
        for batch_norm in (False, True)
    ],
    "initializers.init_conv2d": lambda i: nn.init_conv2d(5, 1, TWO, 3, (TWO, 3), TENTH),
    "initializers.init_batch_norm": lambda i: nn.init_batch_norm(1, TWO),
    "initializers.init_stats": lambda i: nn.init_stats(i.norm),
    "initializers.init_simple_convnet": lambda i: nn.init_simple_convnet(5, (1, 8, TWO * 4), TWO, 3, 2, TENTH),
    "initializers.init_deep_convnet": lambda i: nn.init_deep_convnet(np.int64(5)),
    **{f"optimizers.{name}": descend(make) for name, make in OPTIMIZERS.items()},
    "optimizers.constant": descend(lambda: nn.sgd(nn.constant(TENTH))),
    "optimizers.step_decay": descend(lambda: nn.sgd(nn.step_decay(TENTH, HALF, TWO * 10))),
    "optimizers.cosine": descend(lambda: nn.sgd(nn.cosine(TENTH, TWO * 50, TENTH))),
    "optimizers.warm_up": descend(lambda: nn.sgd(nn.warm_up(nn.cosine(TENTH, TWO * 50), TWO * 45))),
    "training.init_state": first_state,
    "training.train_step": one_step,
    "training.fit": lambda i: list(run(i)),
    "training.progress": lambda i: list(nn.progress(run(i), TWO)),
    "training.history": lambda i: nn.history(run(i)),
    "training.every": lambda i: [nn.every(TWO, vars)(SimpleNamespace(step=k)) for k in range(4)],
    "training.checkpoints": checkpointed,
    "training.minibatches": lambda i: [
        list(itertools.islice(nn.minibatches(i.x, i.t, TWO, seed=1, replace=replace), 5)) for replace in (False, True)
    ],
    **{f"training.{name}": filed(nn.save_state, nn.load_state, first_state) for name in ("save_state", "load_state")},
    **{
        f"params.{name}": filed(nn.save_params, nn.load_params, lambda i: i.params)
        for name in ("save_params", "load_params")
    },
    "params.count_params": lambda i: nn.count_params(i.params),
    "search.Trial": lambda i: nn.Trial({}, {}, None),
    "search.random_search": searched,
    "datasets.load_mnist": lambda i: [a[:50] for half in nn.load_mnist() for a in half],
    "datasets.read_idx": idx,
    "datasets.xor": lambda i: nn.xor(),
    "datasets.spiral": lambda i: nn.spiral(3, 5, noise=TENTH),
    "datasets.shuffle": lambda i: nn.shuffle(i.x, i.t, TWO),
    "datasets.train_validation_split": lambda i: [nn.train_validation_split(i.x, i.t, n, 3) for n in (TWO, HALF)],
    "datasets.images.shift": lambda i: nn.shift(i.image, (TWO, 1), TWO),
    "datasets.images.rotate": lambda i: nn.rotate(i.image, (TWO, 1), TENTH),
    "datasets.images.to_uint8": lambda i: nn.to_uint8(i.unit),
    "datasets.images.save_image": saved_image,
    "draw.neurons_dot": lambda i: nn.draw.neurons_dot(i.params),
    "draw.neurons_svg": lambda i: nn.draw.neurons_svg(i.params),
    "draw.layers_dot": lambda i: nn.draw.layers_dot(nn.mlp(), i.params, i.x, i.stats),
    "draw.layers_svg": lambda i: nn.draw.layers_svg(nn.mlp(), i.params, i.x, i.stats),
    "plots.smooth_curve": lambda i: nn.plots.smooth_curve(i.bias, 3),
    "plots.learning_curves": picture(lambda i, ax: nn.plots.learning_curves(ax, {"loss": (i.t, i.x[:, 0])}, 3)),
    "plots.decision_boundary": picture(
        lambda i, ax: nn.plots.decision_boundary(ax, lambda u: u @ np.ones((2, 3)), i.x[:, :2], i.t, points=9)
    ),
    "plots.image_grid": picture(lambda i, ax: nn.plots.image_grid(ax.figure, i.image[:, 0, :, :], 3)),
    "plots.activation_histograms": picture(lambda i, ax: nn.plots.activation_histograms(ax.figure, i.params)),
    "plots.confusion_matrix": picture(lambda i, ax: nn.plots.confusion_matrix(ax, i.x, i.t)),
    "plots.search_results": picture(
        lambda i, ax: nn.plots.search_results(ax.figure, [nn.Trial({}, {"score": 1.0, "curve": i.w}, None)], ["curve"])
    ),
    "pretrained.load_pretrained": lambda i: nn.load_pretrained("three_layer")[1:],
}
