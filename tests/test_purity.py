"""Purity and dtype of everything public: one table of calls, and a test that no function is missing from it.

Each call gets arrays that cannot be written to, is made twice, and must give the same both times; so
must each pullback. Every number that sets something is a NumPy float64, which widens all float32 arrays
that it is let near.
"""

import importlib
import itertools
import pickle
import pkgutil
import random
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal

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

TENTH, TWO = np.float64(0.1), np.int64(2)


def inputs(dtype, folder):
    """Return read-only arguments for all calls."""
    rng = np.random.default_rng(0)
    i = SimpleNamespace(
        x=rng.standard_normal((4, 3)).astype(dtype),
        y=rng.standard_normal((4, 3)).astype(dtype),
        unit=nn.softmax(rng.standard_normal((4, 3))).astype(dtype),
        image=rng.standard_normal((4, 1, 2, 3)).astype(dtype),
        filters=rng.standard_normal((2, 1, 2, 2)).astype(dtype),
        digits=rng.random((2, 1, 28, 28)).astype(dtype),
        w=rng.standard_normal(3).astype(dtype),
        W=rng.standard_normal((3, 3)).astype(dtype),
        b=rng.standard_normal(3).astype(dtype),
        t=np.array([0, 2, 1, 2]),
        params=nn.init_mlp(0, (3, 4, 3), dtype=dtype),
        folder=str(folder),
    )
    i.grads = {name: rng.standard_normal(p.shape).astype(dtype) for name, p in i.params.items()}
    i.tied = {"W": i.W, "b": i.b}
    i.norm = {"gamma1": i.w, "beta1": i.b}
    i.stats = {"mean1": i.w, "var1": abs(i.b)}
    i.conv = {"W1": i.filters, "b1": i.w[:2]}
    i.simple = nn.init_simple_convnet(0, (1, 28, 28), filters=2, hidden=3, dtype=dtype)
    i.deep = nn.init_deep_convnet(0, dtype=dtype)
    for a in leaves(list(vars(i).values())):
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    return i


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def there_and_back(y, pullback, *rest):
    """Call a pullback twice, with a gradient that cannot be written to; return all there is."""
    dy = read_only(np.asarray(y) * 0 + np.asarray(0.5, np.asarray(y).dtype))
    first = pickle.dumps(pullback(dy))
    again = pullback(dy)
    assert pickle.dumps(again) == first, "the pullback gives something else the second time"
    return y, again, *rest


def scalar(dloss):
    return np.float64(dloss)


def loss_and_back(loss, pullback):
    first, again = pullback(scalar(2)), pullback(scalar(2))
    assert_array_equal(*first, *again, strict=True)
    return loss, again


def layer(f, params="tied", x="x", **mode):
    return lambda i: there_and_back(*f(getattr(i, params), getattr(i, x), layers.Mode(i.stats, **mode)))


def both_modes(f, params="tied", x="x"):
    return lambda i: [layer(f, params, x)(i), layer(f, params, x, key=(TWO, 1))(i)]


def folded(i):
    col = nn.conv.im2col(i.image, TWO, 1, (1, TWO), 1)
    return nn.conv.col2im(read_only(col), i.image.shape, TWO, 1, (1, TWO), 1)


def descend(optimizer):
    """Take two steps, so that what is remembered is used."""

    def run(i):
        once, opt = optimizer.step(i.params, i.grads, optimizer.init(i.params))
        return once, opt, optimizer.step(once, i.grads, opt)

    return run


def training_run(i, steps=4):
    optimizer = nn.adam(lr=TENTH)
    step = nn.train_step(nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy), optimizer)
    return nn.fit(step, nn.init_state(optimizer, i.params, i.stats), nn.minibatches(i.x, i.t, TWO), steps)


def files(save, load, thing):
    def run(i):
        path = f"{i.folder}/{save.__name__}.npz"
        save(path, thing(i))
        return load(path)

    return run


def state(i):
    return nn.init_state(nn.momentum(), i.params, i.stats, seed=3)


def idx(i):
    path = f"{i.folder}/numbers-idx1-ubyte"
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 2]))
    return nn.read_idx(path)


def search(i):
    space = {"lr": ("log", TENTH, TENTH * 9), "act": ("choice", ["relu"]), "x": ("uniform", TENTH, TENTH)}
    return nn.random_search(lambda s, key: {"score": i.w[key[1]], "curve": i.w}, space, 3, TWO)


def picture(draw):
    """Draw on axes of a figure that belongs to nobody else; return the pixels."""

    def run(i):
        canvas = FigureCanvasAgg(Figure(figsize=(2, 2)))
        shown = draw(i, canvas.figure.subplots())
        canvas.draw()
        return shown, np.array(canvas.buffer_rgba())

    return run


def read(path):
    with open(path, "rb") as file:
        return file.read()


def sum_of_squares(x):
    return (x**2).sum()


TIED = layers.serial(layers.lift(ops.affine, "W", "b"), layers.tanh, layers.lift(ops.affine, "W", "b"))

CASES = {
    **{
        f"functions.{name}": lambda i, name=name: getattr(nn, name)(i.x)
        for name in ("step", "sigmoid", "tanh", "relu", "identity", "softmax", "log_softmax")
    },
    "functions.one_hot": lambda i: nn.one_hot(i.t, 3),
    "functions.perceptron": lambda i: nn.perceptron(i.x, i.w, TENTH),
    "functions.sum_squared_error": lambda i: nn.sum_squared_error(i.x, i.y),
    "functions.mean_squared_error": lambda i: nn.mean_squared_error(i.x, i.y),
    "functions.cross_entropy_error": lambda i: [
        nn.cross_entropy_error(i.unit, t, eps=np.float64(1e-7)) for t in (i.t, i.unit)
    ],
    "functions.accuracy": lambda i: [nn.accuracy(i.x, t) for t in (i.t, i.unit)],
    "gradient.numerical_diff": lambda i: nn.numerical_diff(np.sin, i.x),
    "gradient.tangent_line": lambda i: nn.tangent_line(np.sin, i.x[0, 0])(i.w),
    "gradient.numerical_gradient": lambda i: nn.numerical_gradient(sum_of_squares, i.x),
    "gradient.gradient_path": lambda i: nn.gradient_path(sum_of_squares, i.x, TENTH, 3),
    "gradient.gradient_descent": lambda i: nn.gradient_descent(sum_of_squares, i.x, TENTH, 3),
    "gradient.check_gradients": lambda i: nn.check_gradients(lambda p: sum_of_squares(p["W"]), {"W": i.W}, {"W": i.W}),
    "gradient.check_vjp": lambda i: nn.check_vjp(ops.mul, (i.x, i.y)),
    **{
        f"ops.{name}": lambda i, name=name: there_and_back(*getattr(ops, name)(i.x))
        for name in ("identity", "sigmoid", "tanh", "relu", "softmax", "log_softmax")
    },
    "ops.add": lambda i: there_and_back(*ops.add(i.x, i.y)),
    "ops.mul": lambda i: there_and_back(*ops.mul(i.x, i.y)),
    "ops.affine": lambda i: there_and_back(*ops.affine(i.x, i.W, i.b)),
    "ops.flatten": lambda i: there_and_back(*ops.flatten(i.image)),
    "ops.batch_norm": lambda i: there_and_back(*ops.batch_norm(i.x, i.w, i.b, np.float64(1e-5))),
    "ops.dropout": lambda i: there_and_back(*ops.dropout(i.x, np.float64(0.5), (TWO, 1))),
    "conv.conv_output_size": lambda i: nn.conv.conv_output_size(9, TWO, TWO, TWO),
    "conv.im2col": lambda i: [nn.conv.im2col(i.image, n, 1, (1, TWO), pad) for n in (1, TWO) for pad in (0, TWO)],
    "conv.col2im": folded,
    "conv.conv2d": lambda i: [
        there_and_back(*ops.conv2d(i.image, i.filters, i.w[:2], stride, pad))
        for stride, pad in ((1, 0), (1, TWO), ((1, TWO), 1))
    ],
    **{
        f"conv.{name}": lambda i, name=name: [
            there_and_back(*getattr(ops, name)(i.image, size, 1, pad)) for size, pad in ((1, 0), ((TWO, 3), (1, TWO)))
        ]
        for name in ("max_pool2d", "avg_pool2d")
    },
    "ops.softmax_cross_entropy": lambda i: [loss_and_back(*ops.softmax_cross_entropy(i.x, t)) for t in (i.t, i.unit)],
    "ops.sigmoid_cross_entropy": lambda i: loss_and_back(*ops.sigmoid_cross_entropy(i.x, i.unit)),
    "ops.sum_squared_error": lambda i: loss_and_back(*ops.sum_squared_error(i.x, i.y)),
    "ops.mean_squared_error": lambda i: loss_and_back(*ops.mean_squared_error(i.x, i.y)),
    **{
        f"layers.{name}": layer(getattr(layers, name))
        for name in ("identity", "sigmoid", "tanh", "relu", "softmax", "flatten")
    },
    "_arrays.op": lambda i: there_and_back(
        *nn.op("x (N, D), w (D)")(lambda x, w: (x * w, lambda dy: (dy * w,)))(i.x, i.w)
    ),
    "_arrays.generator": lambda i: nn.generator((TWO, 1)).random(3, np.float32),
    "forms.Mode": lambda i: layers.Mode(i.stats, (0, 1)),
    "forms.Optimizer": lambda i: nn.Optimizer(len, len),
    "forms.State": state,
    "layers.affine": layer(layers.affine(1), "params"),
    "layers.conv2d": layer(layers.conv2d(1, stride=(TWO, 1), pad=TWO), "conv", "image"),
    "layers.max_pool2d": layer(layers.max_pool2d(TWO, stride=1), "conv", "image"),
    "layers.avg_pool2d": layer(layers.avg_pool2d(TWO, stride=1), "conv", "image"),
    "layers.batch_norm": both_modes(layers.batch_norm(1, np.float64(0.9), np.float64(1e-5)), "norm"),
    "layers.dropout": both_modes(layers.dropout(np.float64(0.5))),
    "layers.tap": both_modes(layers.serial(layers.tap("x"), layers.tanh)),
    "layers.lift": layer(layers.lift(ops.affine, "W", "b")),
    "layers.fan_out": both_modes(layers.serial(layers.fan_out(layers.tanh, layers.dropout(0.5)), layers.join(ops.mul))),
    "layers.parallel": lambda i: layers.parallel(layers.tanh, layers.relu)({}, (i.x, i.y))[0],
    "layers.join": lambda i: layers.join(ops.add)({}, (i.x, i.y))[0],
    "layers.serial": lambda i: (layer(TIED)(i), layer(TIED, key=(1, 2))(i)),
    "networks.mlp": both_modes(nn.mlp(dropout=np.float64(0.5)), "params"),
    "networks.simple_convnet": both_modes(nn.simple_convnet(), "simple", "digits"),
    "networks.deep_convnet": both_modes(nn.deep_convnet(), "deep", "digits"),
    "networks.predict": lambda i: [nn.predict(nn.mlp(), i.params, i.x, i.stats, n) for n in (None, TWO)],
    "networks.value_and_grad": lambda i: nn.value_and_grad(TIED, ops.softmax_cross_entropy)(i.tied, i.x, i.t),
    "numerical.numerical_value_and_grad": lambda i: [
        nn.numerical_value_and_grad(net, ops.softmax_cross_entropy)(params, i.x, i.t)
        for net, params in ((TIED, i.tied), (nn.mlp(), i.params))
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
    "optimizers.per_array": lambda i: descend(
        nn.per_array(TENTH, "v")(lambda p, g, v, *, lr, t: (p - lr * g - v, v + g))
    )(i),
    "optimizers.sgd": lambda i: [descend(nn.sgd(lr))(i) for lr in (TENTH, lambda t: TENTH / (t + 1))],
    "optimizers.momentum": descend(nn.momentum(TENTH, np.float64(0.9))),
    "optimizers.nesterov": descend(nn.nesterov(TENTH, np.float64(0.9))),
    "optimizers.adagrad": descend(nn.adagrad(TENTH, np.float64(1e-7))),
    "optimizers.rmsprop": descend(nn.rmsprop(TENTH, np.float64(0.99), np.float64(1e-7))),
    "optimizers.adamw": descend(nn.adamw(TENTH, np.float64(0.9), np.float64(0.999), np.float64(1e-8), TENTH)),
    "optimizers.adam": descend(nn.adam(TENTH, np.float64(0.9), np.float64(0.999), np.float64(1e-8))),
    **{
        f"optimizers.{name}": lambda i, lr=lr: descend(nn.sgd(lr))(i)
        for name, lr in {
            "constant": nn.constant(TENTH),
            "step_decay": nn.step_decay(TENTH, TENTH, np.int64(1)),
            "cosine": nn.cosine(TENTH, TWO, TENTH),
            "warm_up": nn.warm_up(TENTH, TWO),
        }.items()
    },
    "networks.weight_decay": lambda i: nn.weight_decay(i.params, TENTH),
    "training.init_state": state,
    "training.train_step": lambda i: next(iter(training_run(i))),
    "training.fit": lambda i: list(training_run(i)),
    "training.history": lambda i: nn.history(training_run(i)),
    "training.every": lambda i: [nn.every(2, vars)(SimpleNamespace(step=k)) for k in range(4)],
    "training.progress": lambda i: list(nn.progress(training_run(i), 4)),
    "training.checkpoints": lambda i: (
        list(nn.checkpoints(training_run(i), f"{i.folder}/run.npz", TWO)),
        nn.load_state(f"{i.folder}/run.npz"),
    ),
    "training.minibatches": lambda i: [
        list(itertools.islice(nn.minibatches(i.x, i.t, TWO, seed=1, replace=replace), 5)) for replace in (False, True)
    ],
    **{
        f"networks.{wrap.__name__}": lambda i, wrap=wrap, setting=setting: wrap(
            nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy), setting
        )(i.params, i.x, i.t)
        for wrap, setting in ((nn.with_weight_decay, TENTH), (nn.with_clipping, TENTH), (nn.in_parts, TWO))
    },
    "search.Trial": lambda i: nn.Trial({}, {}, None),
    "search.random_search": search,
    "training.save_state": files(nn.save_state, nn.load_state, state),
    "training.load_state": files(nn.save_state, nn.load_state, state),
    "params.save_params": files(nn.save_params, nn.load_params, lambda i: i.params),
    "params.load_params": files(nn.save_params, nn.load_params, lambda i: i.params),
    "params.count_params": lambda i: nn.count_params(i.params),
    "datasets.load_mnist": lambda i: [a[:50] for half in nn.load_mnist() for a in half],
    "datasets.read_idx": idx,
    "datasets.xor": lambda i: nn.xor(),
    "datasets.spiral": lambda i: nn.spiral(3, 5, noise=TENTH),
    "datasets.shuffle": lambda i: nn.shuffle(i.x, i.t, TWO),
    "datasets.train_validation_split": lambda i: [nn.train_validation_split(i.x, i.t, n, 3) for n in (TWO, TENTH * 5)],
    **{
        f"datasets.images.{name}": call
        for name, call in {
            "shift": lambda i: nn.shift(i.image, (TWO, 1), TWO),
            "rotate": lambda i: nn.rotate(i.image, (TWO, 1), TENTH),
            "to_uint8": lambda i: nn.to_uint8(i.unit),
            "save_image": lambda i: (nn.save_image(f"{i.folder}/x.png", i.unit), read(f"{i.folder}/x.png")),
        }.items()
    },
    "draw.neurons_dot": lambda i: nn.draw.neurons_dot(i.params),
    "draw.neurons_svg": lambda i: nn.draw.neurons_svg(i.params),
    "draw.layers_dot": lambda i: nn.draw.layers_dot(nn.mlp(), i.params, i.x, i.stats),
    "draw.layers_svg": lambda i: nn.draw.layers_svg(nn.mlp(), i.params, i.x, i.stats),
    "plots.smooth_curve": lambda i: nn.plots.smooth_curve(i.w, 3),
    "plots.learning_curves": picture(lambda i, ax: nn.plots.learning_curves(ax, {"loss": (i.t, i.x[:, 0])}, 3)),
    "plots.decision_boundary": picture(
        lambda i, ax: nn.plots.decision_boundary(ax, lambda u: u @ i.W[:2], i.x[:, :2], i.t, points=9)
    ),
    "plots.image_grid": picture(lambda i, ax: nn.plots.image_grid(ax.figure, i.image[:, 0], 3, i.t)),
    "plots.activation_histograms": picture(lambda i, ax: nn.plots.activation_histograms(ax.figure, i.params)),
    "plots.confusion_matrix": picture(lambda i, ax: nn.plots.confusion_matrix(ax, i.x, i.t)),
    "plots.search_results": picture(lambda i, ax: nn.plots.search_results(ax.figure, search(i), ["curve"])),
    "pretrained.load_pretrained": lambda i: nn.load_pretrained("three_layer")[1:],
}


def leaves(result):
    """Return the arrays and numbers in a result, however it is nested."""
    if isinstance(result, dict):
        return [leaf for name in result for leaf in leaves(result[name])]
    if isinstance(result, (tuple, list)):
        return [leaf for inner in result for leaf in leaves(inner)]
    return [result]


@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_public_is_missing_here(name):
    assert name in CASES, f"nnfunc.{name} is public: add a call of it to CASES"


@pytest.mark.traps("T01", "T11", "T14", "T18", "T31")
@pytest.mark.parametrize("name", CASES)
def test_pure(name, tmp_path):
    i = inputs(np.float64, tmp_path)
    before, chance = pickle.dumps(vars(i)), (pickle.dumps(np.random.get_state()), random.getstate())  # noqa: NPY002
    first = CASES[name](i)
    snapshot = pickle.dumps(leaves(first))
    second = CASES[name](i)
    assert len(leaves(first)) == len(leaves(second)) > 0
    for a, b in zip(leaves(first), leaves(second), strict=True):
        assert_array_equal(a, b, strict=True)
    assert pickle.dumps(leaves(first)) == snapshot, "the second call changed what the first had returned"
    assert pickle.dumps(vars(i)) == before, "an argument was changed"
    assert (pickle.dumps(np.random.get_state()), random.getstate()) == chance, "a global generator was used"  # noqa: NPY002


# Differences need it; a smoothed curve is a picture.
IN_FLOAT64 = {"numerical.numerical_value_and_grad", "plots.smooth_curve"}
IN_FLOAT64 |= {name for name in CASES if name.startswith("gradient.")}


@pytest.mark.traps("T02")
@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_but_differences_are_float64(name, tmp_path):
    wanted = np.float64 if name in IN_FLOAT64 else np.float32
    for leaf in leaves(CASES[name](inputs(np.float32, tmp_path))):
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind == "f":
            assert leaf.dtype == wanted


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "sum_squared_error", "mean_squared_error"]
)
def test_pixels_as_ints_train_a_float32_net_in_float32(loss):
    x, t = np.array([[0, 255], [3, 7]], np.uint8), np.eye(2, dtype=np.uint8)
    params = nn.init_mlp(0, (2, 4, 2))
    value, grads, _ = nn.value_and_grad(nn.mlp(), getattr(ops, loss))(params, x, t)
    assert value.dtype == np.float32
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
