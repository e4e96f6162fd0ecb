"""The library on other arrays: each public function on NumPy, JAX, array-api-strict and PyTorch.

A call works in kind, so that all its arrays are of the library that was given, with NumPy's numbers; or it is refused
in the library's own words. The table of docs/guides/other-arrays.md is made of what is found here. To write it anew,
with all the libraries at hand: ``python -m tests.test_anywhere``.
"""

import importlib
import importlib.util
import itertools
import linecache
import pkgutil
import re
import sys
import tempfile
import traceback
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import layers, ops

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "other-arrays.md"
MODULES = [importlib.import_module(info.name) for info in pkgutil.walk_packages(nn.__path__, "nnfunc.")]
PUBLIC = {
    f"{module.__name__.removeprefix('nnfunc.')}.{name}": thing
    for module in MODULES
    for name in getattr(module, "__all__", [])
    if callable(thing := getattr(module, name)) and thing.__module__ == module.__name__  # told where it is written
    if not getattr(thing, "_is_protocol", False)
}


# The arrays of all calls


def inputs(dtype=np.float64):
    """Return the arguments of all calls, as NumPy's arrays in nested dicts."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    params = nn.init_mlp(0, (3, 4, 3), dtype=dtype)
    norm = nn.init_mlp(0, (3, 4, 3), dtype=dtype, batch_norm=True)
    return {
        "x": normal(4, 3),
        "y": normal(4, 3),
        "unit": nn.softmax(normal(4, 3)),
        "t": np.array([0, 2, 1, 2]),
        "W": normal(3, 3),
        "b": normal(3),
        "w": normal(3),
        "image": normal(2, 2, 5, 6),
        "filters": normal(3, 2, 3, 2),
        "params": params,
        "grads": {name: normal(*p.shape) for name, p in params.items()},
        "memory": {name: abs(normal(*p.shape)) for name, p in params.items()},
        "norm": norm,
        "stats": {name: abs(normal(*a.shape)) for name, a in nn.init_stats(norm).items()},
        "simple": nn.init_simple_convnet(0, (1, 12, 12), filters=2, hidden=3, classes=3, dtype=dtype),
        "small": normal(4, 1, 12, 12),
        "deep": nn.init_deep_convnet(0, dtype=dtype),
        "digits": normal(2, 1, 28, 28),
        "count": 63,
    }


def mapped(f, tree):
    """Return a nest of dicts, tuples and lists with `f` of each leaf."""
    if isinstance(tree, dict):
        return {name: mapped(f, tree[name]) for name in sorted(tree)}
    if isinstance(tree, (tuple, list)):
        return [mapped(f, branch) for branch in tree]
    return f(tree)


def leaves(tree):
    """Return what stands in a nest, dicts by their names: compilers return them sorted."""
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [tree]


# A call of each public function


def there_and_back(y, pullback, *rest):
    return y, pullback() if y.shape == () else pullback(y + 1), *rest


def layer(f, params="params", x="x", key=None):
    return lambda i: there_and_back(*f(getattr(i, params), getattr(i, x), layers.Mode(i.stats, key)))


def both_modes(f, params="params", x="x"):
    return lambda i: [layer(f, params, x)(i), layer(f, params, x, (2, 1))(i)]


def norm1(i):
    params = {"gamma1": i.w, "beta1": i.b}
    stats = {"mean1": i.b, "var1": i.unit[0, :]}
    return [there_and_back(*layers.batch_norm(1)(params, i.x, layers.Mode(stats, key))) for key in (None, (1, 2))]


def kernels(f):
    return lambda i: there_and_back(*f({"W1": i.filters, "b1": i.w}, i.image))


def folded(i):
    col = nn.conv.im2col(i.image, 2, 1, (1, 2), 1)
    return nn.conv.col2im(col, tuple(i.image.shape), 2, 1, (1, 2), 1)


def descend(make):
    """Take a step from memory of earlier ones; the count is such that small memory is flushed."""

    def run(i):
        optimizer = make()
        opt = dict.fromkeys(optimizer.init(i.params), i.memory) | {"t": i.count}
        return optimizer.step(i.params, i.grads, opt)

    return run


def scheduled(lr):
    return descend(lambda: nn.sgd(lr()))


@nn.per_array(0.1)
def sign_descent(p, g, *, lr, t):
    return (p - lr * (g / abs(g)),)


def grad():
    return nn.value_and_grad(nn.mlp(), ops.softmax_cross_entropy)


def wrapped(wrap):
    return lambda i: wrap(grad(), 0.1)(i.params, i.x, i.t)


def one_step(i):
    optimizer = nn.momentum(0.1)
    state = nn.init_state(optimizer, i.params, seed=3)._replace(opt={"t": i.count, "v": i.memory}, step=i.count)
    return nn.train_step(grad(), optimizer)(state, (i.x, i.t))


def run(i):
    optimizer = nn.momentum(0.1)
    state = nn.init_state(optimizer, i.params, seed=3)
    return nn.fit(nn.train_step(grad(), optimizer), state, itertools.repeat((i.x, i.t)), 2)


def filed(save, load, thing):
    def case(i):
        with tempfile.TemporaryDirectory() as folder:
            save(f"{folder}/a.npz", thing(i))
            return load(f"{folder}/a.npz")

    return case


def checkpointed(i):
    with tempfile.TemporaryDirectory() as folder:
        return list(nn.checkpoints(run(i), f"{folder}/a.npz", 1)), nn.load_state(f"{folder}/a.npz")


def saved_image(i):
    with tempfile.TemporaryDirectory() as folder:
        nn.save_image(f"{folder}/a.png", i.unit)
        return Path(f"{folder}/a.png").read_bytes()


def picture(draw):
    def case(i):
        pytest.importorskip("matplotlib", reason="plots come with the extra `plot`")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        canvas = FigureCanvasAgg(Figure(figsize=(2, 2)))
        draw(i, canvas.figure.subplots())
        canvas.draw()
        return bytes(canvas.buffer_rgba())

    return case


def square_sum(x):
    return (x**2).sum()


CASES = {
    **{
        f"functions.{name}": lambda i, name=name: getattr(nn, name)(i.x)
        for name in ("step", "sigmoid", "tanh", "relu", "identity", "softmax", "log_softmax")
    },
    "functions.one_hot": lambda i: nn.one_hot(i.t, 3),
    "functions.perceptron": lambda i: nn.perceptron(i.x, i.w, 0.5),
    "functions.sum_squared_error": lambda i: nn.sum_squared_error(i.x, i.y),
    "functions.mean_squared_error": lambda i: nn.mean_squared_error(i.x, i.y),
    "functions.cross_entropy_error": lambda i: [nn.cross_entropy_error(i.unit, t) for t in (i.t, i.unit)],
    "functions.accuracy": lambda i: [nn.accuracy(i.x, t) for t in (i.t, i.unit)],
    **{
        f"ops.{name}": lambda i, name=name: there_and_back(*getattr(ops, name)(i.x))
        for name in ("identity", "sigmoid", "tanh", "relu", "softmax", "log_softmax")
    },
    "ops.add": lambda i: there_and_back(*ops.add(i.x, i.y)),
    "ops.mul": lambda i: there_and_back(*ops.mul(i.x, i.y)),
    "ops.affine": lambda i: [there_and_back(*ops.affine(x, i.W, i.b)) for x in (i.x, i.x[0, :])],
    "ops.flatten": lambda i: there_and_back(*ops.flatten(i.image)),
    "ops.batch_norm": lambda i: there_and_back(*ops.batch_norm(i.x, i.w, i.b)),
    "ops.dropout": lambda i: there_and_back(*ops.dropout(i.x, 0.5, (2, 1))),
    "ops.softmax_cross_entropy": lambda i: [there_and_back(*ops.softmax_cross_entropy(i.x, t)) for t in (i.t, i.unit)],
    "ops.sigmoid_cross_entropy": lambda i: there_and_back(*ops.sigmoid_cross_entropy(i.x, i.unit)),
    "ops.sum_squared_error": lambda i: there_and_back(*ops.sum_squared_error(i.x, i.y)),
    "ops.mean_squared_error": lambda i: there_and_back(*ops.mean_squared_error(i.x, i.y)),
    "conv.im2col": lambda i: [nn.conv.im2col(i.image, 3, 2, (1, 2), pad) for pad in (0, 1)],
    "conv.col2im": folded,
    "conv.conv2d": lambda i: [
        there_and_back(*ops.conv2d(i.image, i.filters, i.w, stride, pad)) for stride, pad in ((1, 0), ((1, 2), 1))
    ],
    **{
        f"conv.{name}": lambda i, name=name: [
            there_and_back(*getattr(ops, name)(i.image, *args)) for args in ((2,), ((2, 3), 1, 1))
        ]
        for name in ("max_pool2d", "avg_pool2d")
    },
    **{
        f"layers.{name}": layer(getattr(layers, name))
        for name in ("identity", "sigmoid", "tanh", "relu", "softmax", "flatten")
    },
    "layers.affine": layer(layers.affine(1)),
    "layers.conv2d": kernels(layers.conv2d(1, stride=(2, 1), pad=1)),
    "layers.max_pool2d": kernels(layers.max_pool2d(2)),
    "layers.avg_pool2d": kernels(layers.avg_pool2d(2)),
    "layers.batch_norm": norm1,
    "layers.dropout": both_modes(layers.dropout(0.5)),
    "layers.tap": both_modes(layers.serial(layers.tap("x"), layers.tanh)),
    "layers.lift": layer(layers.lift(ops.affine, "W1", "b1")),
    "layers.fan_out": layer(layers.serial(layers.fan_out(layers.tanh, layers.relu), layers.join(ops.mul))),
    "layers.parallel": lambda i: layers.parallel(layers.tanh, layers.relu)({}, (i.x, i.y))[0],
    "layers.join": lambda i: there_and_back(*layers.join(ops.add)({}, (i.x, i.y))),
    "layers.serial": both_modes(layers.serial(layers.affine(1), layers.relu, layers.affine(2))),
    "networks.mlp": lambda i: [
        both_modes(nn.mlp(layers.sigmoid), "norm")(i),
        both_modes(nn.mlp(dropout=0.5))(i),
    ],
    "networks.simple_convnet": layer(nn.simple_convnet(), "simple", "small"),
    "networks.deep_convnet": lambda i: nn.deep_convnet()(i.deep, i.digits, layers.Mode(grad=False))[0],  # and see below
    "networks.predict": lambda i: [nn.predict(nn.mlp(), i.norm, i.x, i.stats, n) for n in (None, 3)],
    "networks.value_and_grad": lambda i: grad()(i.params, i.x, i.t),
    "networks.weight_decay": lambda i: nn.weight_decay(i.params, 0.1),
    "networks.with_weight_decay": wrapped(nn.with_weight_decay),
    "networks.with_clipping": wrapped(nn.with_clipping),
    "networks.in_parts": lambda i: nn.in_parts(grad(), 2)(i.params, i.x, i.t),
    **{
        f"optimizers.{name}": descend(getattr(nn, name))
        for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
    },
    "optimizers.per_array": descend(lambda: sign_descent),
    "optimizers.constant": scheduled(lambda: nn.constant(0.1)),
    "optimizers.step_decay": scheduled(lambda: nn.step_decay(0.1, 0.5, 20)),
    "optimizers.cosine": scheduled(lambda: nn.cosine(0.1, 100)),
    "optimizers.warm_up": scheduled(lambda: nn.warm_up(nn.cosine(0.1, 100), 90)),
    "training.init_state": lambda i: nn.init_state(nn.adam(), i.norm, i.stats, 3),
    "training.train_step": one_step,
    "training.fit": lambda i: list(run(i)),
    "training.progress": lambda i: list(nn.progress(run(i), 2)),
    "training.history": lambda i: nn.history(run(i)),
    "training.checkpoints": checkpointed,
    "training.minibatches": lambda i: list(itertools.islice(nn.minibatches(i.x, i.t, 2, seed=1), 3)),
    "training.save_state": filed(nn.save_state, nn.load_state, lambda i: nn.init_state(nn.adam(), i.params)),
    "params.save_params": filed(nn.save_params, nn.load_params, lambda i: i.params),
    "params.count_params": lambda i: nn.count_params(i.params),
    "initializers.init_stats": lambda i: nn.init_stats(i.norm),
    "gradient.numerical_diff": lambda i: nn.numerical_diff(lambda x: x**2, i.x),
    "gradient.tangent_line": lambda i: nn.tangent_line(lambda x: x**2, i.x[0, 0])(i.w),
    "gradient.numerical_gradient": lambda i: nn.numerical_gradient(square_sum, i.x),
    "gradient.gradient_path": lambda i: nn.gradient_path(square_sum, i.x, 0.1, 3),
    "gradient.gradient_descent": lambda i: nn.gradient_descent(square_sum, i.x, 0.1, 3),
    "gradient.check_gradients": lambda i: nn.check_gradients(lambda p: square_sum(p["W"]), {"W": i.W}, {"W": 2 * i.W}),
    "gradient.check_vjp": lambda i: nn.check_vjp(ops.mul, (i.x, i.y)),
    "numerical.numerical_value_and_grad": lambda i: nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)(
        i.params, i.x, i.t
    ),
    "datasets.shuffle": lambda i: nn.shuffle(i.x, i.t, 1),
    "datasets.train_validation_split": lambda i: nn.train_validation_split(i.x, i.t, 1, 1),
    "datasets.images.shift": lambda i: nn.shift(i.image, (2, 1), 2),
    "datasets.images.rotate": lambda i: nn.rotate(i.image, (2, 1), 10.0),
    "datasets.images.to_uint8": lambda i: nn.to_uint8(i.unit),
    "datasets.images.save_image": saved_image,
    "draw.neurons_dot": lambda i: nn.draw.neurons_dot(i.params),
    "draw.neurons_svg": lambda i: nn.draw.neurons_svg(i.params),
    "draw.layers_dot": lambda i: nn.draw.layers_dot(nn.mlp(), i.params, i.x),
    "draw.layers_svg": lambda i: nn.draw.layers_svg(nn.mlp(), i.params, i.x),
    "plots.smooth_curve": lambda i: nn.plots.smooth_curve(i.w, 3),
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
    "_arrays.op": lambda i: there_and_back(
        *nn.op("x (N, D), w (D)")(lambda x, w: (x * w, lambda dy: (dy * w, x * dy)))(i.x, i.w)
    ),
}

# Their answers are made of sizes, keys and files, or they are the plain tuples and the loop's clock.
TAKE_NO_ARRAYS = {
    *("_arrays.generator", "conv.conv_output_size", "forms.Mode", "forms.Optimizer", "forms.State", "training.every"),
    *("datasets.load_mnist", "datasets.read_idx", "datasets.spiral", "datasets.xor", "pretrained.load_pretrained"),
    *("params.load_params", "training.load_state", "search.Trial", "search.random_search"),
    *(name for name in PUBLIC if name.startswith("initializers.") and name != "initializers.init_stats"),
}
# They stay NumPy's: files, differences, pictures, and what draws samples at random.
STAY_NUMPYS = {
    *("params.save_params", "training.save_state", "training.checkpoints", "training.minibatches", "training.history"),
    *("datasets.images.shift", "datasets.images.rotate", "datasets.images.to_uint8", "datasets.images.save_image"),
    *("datasets.shuffle", "datasets.train_validation_split", "initializers.init_stats"),
    *(name for name in CASES if name.startswith(("gradient.", "numerical.", "plots."))),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_public_is_missing_here(name):
    assert (name in CASES) != (name in TAKE_NO_ARRAYS), f"nnfunc.{name} is public: add a call of it to CASES"


# The libraries


@contextmanager
def jax_with(x64):
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        yield jax
    finally:
        jax.config.update("jax_enable_x64", before)


def made(as_theirs, given):
    return mapped(lambda a: as_theirs(a) if isinstance(a, np.ndarray) else a, given)


def on_numpy(case, given):
    return leaves(case(SimpleNamespace(**given)))


def on_jax(case, given):
    import jax.numpy as jnp

    return on_numpy(case, made(jnp.asarray, given))


def traced(transform, case, given, batched=False):
    """Return what a transformed call answers; what is no array stands in it as the call left it."""
    import jax.numpy as jnp

    flat, answer = leaves(made(jnp.asarray, given)), []
    ride = [k for k, a in enumerate(flat) if hasattr(a, "shape") or not batched]

    def call(*arrays):
        found = iter([dict(zip(ride, arrays, strict=True)).get(k, a) for k, a in enumerate(flat)])
        answer[:] = on_numpy(case, mapped(lambda _: next(found), given))
        return [a for a in answer if hasattr(a, "dtype")]

    arrays = iter(transform(call)(*(flat[k] for k in ride)))
    return [next(arrays) if hasattr(a, "dtype") else a for a in answer]


def under_jit(case, given):
    import jax

    return traced(jax.jit, case, given)


def under_vmap(case, given):
    """Answer two batches at once: the arrays as they are, and rolled; return what came of the second."""
    import jax

    both = made(lambda a: np.stack([a, rolled(a)]), given)
    answers = traced(lambda f: jax.jit(jax.vmap(f)), case, both, batched=True)
    return [a[1] if hasattr(a, "dtype") else a for a in answers]


def rolled(a):
    return np.roll(a, 1, axis=0)


def on_strict(case, given):
    import array_api_strict

    return on_numpy(case, made(array_api_strict.asarray, given))


def on_torch(case, given):
    import torch

    return on_numpy(case, made(torch.asarray, given))


def on_torch_with_grad(case, given):
    import torch

    def leaf(a):
        a = torch.asarray(a)
        return a.requires_grad_() if a.is_floating_point() else a

    return on_numpy(case, made(leaf, given))


COLUMNS = {  # its heading: the packages, and how a case is called
    "NumPy": (["numpy"], [on_numpy]),
    "JAX": (["jax"], [on_jax]),
    "`jit`": (["jax"], [under_jit]),
    "`vmap`": (["jax"], [under_vmap]),
    "strict": (["array_api_strict"], [on_strict]),
    "PyTorch": (["torch", "array_api_compat"], [on_torch, on_torch_with_grad]),
}


def home(a):
    """Return the library of an array, or None for what is none."""
    if isinstance(a, (np.ndarray, np.generic)):
        return "numpy"
    return {"jaxlib": "jax"}.get(name := type(a).__module__.partition(".")[0], name) if hasattr(a, "dtype") else None


def plain(a):
    return np.asarray(a.detach() if hasattr(a, "detach") else a)


def drawn_by_jax(key, x):
    """Return the numbers that a mask is made of where the arrays are JAX's."""
    import jax
    import jax.numpy as jnp

    with jax.ensure_compile_time_eval():
        return np.asarray(nn._arrays.uniform(key, jnp.asarray(x)))


@cache
def numbers(name, dtype, library, roll):
    """Return NumPy's own answer; a mask is made of the numbers of the other library."""
    given = inputs(dtype)
    given = made(rolled, given) if roll else given
    with pytest.MonkeyPatch.context() as patch:
        if library == "jax":
            patch.setattr(ops, "uniform", drawn_by_jax)
        return on_numpy(CASES[name], given)


def cell(name, column, dtype=np.float64):
    """Return what a call comes to, "in kind", "refused", "in NumPy", "apart" or "breaks", and the particulars."""
    (library, *_), ways = COLUMNS[column]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with jax_with(dtype == np.float64) if library == "jax" else nullcontext():
            found = [came_to(name, library, way, dtype) for way in ways]
    return next((one for one in found if one[0] != "in kind"), found[0])


def came_to(name, library, way, dtype):
    wanted = numbers(name, dtype, library, way is under_vmap)
    try:
        got = way(CASES[name], inputs(dtype))
    except Exception as error:
        if in_own_words(error):
            return "refused", str(error)
        return "breaks", "".join(traceback.format_exception(error)[-3:])
    if library != "numpy" and name in STAY_NUMPYS and not any(home(a) == library for a in got):
        return "in NumPy", f"{got!r}"
    if len(got) != len(wanted):
        return "apart", f"{len(got)} answers, NumPy gives {len(wanted)}"
    for a, b in zip(got, wanted, strict=True):
        if home(a) not in {library, None if home(b) is None else library}:
            return "in NumPy", f"{type(a)} for {b!r}"
        if not alike(a, b, 1e-12 if dtype == np.float64 else 2e-5):
            return "apart", f"{a!r} for {b!r}"
    return "in kind", ""


def alike(a, b, within):
    """Say whether an answer is NumPy's: its numbers, its shape, and, of floats, its dtype."""
    if home(b) is None and not isinstance(b, float):
        return a == b
    a, b = plain(a), np.asarray(b)
    kind = a.dtype == b.dtype or b.dtype.kind != "f" or home(b) is None
    return kind and a.shape == b.shape and bool((abs(a.astype(float) - b) <= within * np.maximum(1, abs(b))).all())


def in_own_words(error):
    """Say whether it was the library that raised an error, and a ValueError."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = str(Path(nn.__file__).parent) in last.filename and "raise ValueError" in linecache.getline(*last[:2])
    return own and type(error) is ValueError


def needs(column):
    for package in COLUMNS[column][0]:
        pytest.importorskip(package, reason=f"{package} is not installed, so the column {column} is not tried")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", CASES)
def test_a_call_comes_to_what_the_page_says(name, column):
    needs(column)
    found, particulars = cell(name, column)
    assert found == on_the_page()[name][column], particulars


@pytest.mark.parametrize("column", ["NumPy", "`jit`", "strict", "PyTorch"])
@pytest.mark.parametrize("name", sorted(CASES.keys() - STAY_NUMPYS - {"networks.deep_convnet"}))
def test_what_works_in_kind_does_so_in_float32(name, column):
    needs(column)
    if on_the_page()[name][column] == "in kind":
        found, particulars = cell(name, column, np.float32)
        assert found == "in kind", particulars


def test_each_call_works_in_kind_or_is_refused_where_it_stays_numpys():
    wrong = {
        name
        for name, cells in on_the_page().items()
        for column, found in cells.items()
        if not (found == "in kind" or (found == "refused" and name in STAY_NUMPYS and column != "NumPy"))
    }
    assert wrong == set()


# The table of the page

MARKS = "<!-- from the test -->\n\n", "\n<!-- to here -->"
HEAD = ["module", "functions", *COLUMNS]


def on_the_page():
    """Return the cells that the page shows, as ``cells[name][column]``."""
    text = PAGE.read_text("utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    cells = {}
    for line in text.splitlines()[2:]:
        module, names, *row = [part.strip() for part in line.strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", names) if row else ():
            cells[f"{module.strip('`')}.{name}"] = dict(zip(COLUMNS, row, strict=True))
    return cells


def table(cells):
    """Return the page's table: functions of a module that come to the same stand in one line."""
    lines = [HEAD, ["---"] * len(HEAD)]
    rows = itertools.groupby(sorted(CASES, key=where), key=lambda name: where(name)[0])
    for module, names in rows:
        alike = {}
        for name in names:
            alike.setdefault(tuple(cells[name].get(column, "?") for column in COLUMNS), []).append(name)
        for row, same in alike.items():
            lines.append([f"`{module}`", " ".join(f"`{name.rpartition('.')[2]}`" for name in same), *row])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def where(name):
    """Return the module of a function, and its place: as the top of the package gathers them."""
    module, _, _ = name.rpartition(".")
    return module, list(CASES).index(name)


def test_the_table_of_the_page_is_as_it_is_written():
    assert set(on_the_page()) == set(CASES)
    assert MARKS[0] + table(on_the_page()) + MARKS[1] in PAGE.read_text("utf-8")


# A step that another compiler runs

X, T = np.random.default_rng(1).standard_normal((10, 6, 3)), np.random.default_rng(2).integers(3, size=(10, 6))
PLAIN, NORM = nn.mlp(layers.sigmoid), nn.mlp(layers.relu)


def gradient_of(net):
    return nn.value_and_grad(net, ops.softmax_cross_entropy)


STEPS = {
    **{
        name: (getattr(nn, name)(0.1), gradient_of(PLAIN), False)
        for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
    },
    "constant": (nn.momentum(nn.constant(0.1)), gradient_of(PLAIN), False),
    "step_decay": (nn.momentum(nn.step_decay(0.1, 0.5, 3)), gradient_of(PLAIN), False),
    "cosine": (nn.adam(nn.cosine(0.1, 8, 0.01)), gradient_of(PLAIN), False),
    "warm_up": (nn.adamw(nn.warm_up(nn.cosine(0.1, 8), 4)), gradient_of(PLAIN), False),
    "a schedule of one's own": (nn.sgd(lambda t: 0.1 / (1 + t)), gradient_of(PLAIN), False),
    "weight decay": (nn.sgd(0.1), nn.with_weight_decay(gradient_of(PLAIN), 0.1), False),
    "clipping": (nn.sgd(0.1), nn.with_clipping(gradient_of(PLAIN), 0.5), False),
    "clipping and decay": (nn.adam(), nn.with_clipping(nn.with_weight_decay(gradient_of(PLAIN), 0.1), 0.5), False),
    "dropout": (nn.sgd(0.1), gradient_of(nn.mlp(layers.sigmoid, dropout=0.3)), False),
    "batch norm": (nn.sgd(0.1), gradient_of(NORM), True),
}


@pytest.fixture
def jax64():
    pytest.importorskip("jax", reason="jax is not installed, so nothing is compiled")
    with jax_with(True) as jax:
        yield jax


def started(optimizer, norm=False, seed=3):
    params = nn.init_mlp(seed, (3, 5, 3), dtype=np.float64, batch_norm=norm)
    return nn.init_state(optimizer, params, nn.init_stats(params) if norm else {}, seed)


def ten_steps(step, state, xs=X, ts=T):
    losses = []
    for x, t in zip(xs, ts, strict=True):
        state, metrics = step(state, (x, t))
        losses.append(metrics["loss"])
    return state, losses


def assert_close(got, wanted, within=1e-12):
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=within, atol=within)


@pytest.mark.parametrize("name", STEPS)
def test_a_compiled_step_is_numpys(name, jax64, monkeypatch):
    optimizer, grad_, norm = STEPS[name]
    step, start = nn.train_step(grad_, optimizer), started(optimizer, norm)
    state, losses = ten_steps(jax64.jit(step), jax64.tree.map(jax64.numpy.asarray, start))
    monkeypatch.setattr(ops, "uniform", drawn_by_jax)
    expected, expected_losses = ten_steps(step, start)
    assert type(state) is nn.State
    assert {home(a) for a in leaves(state._asdict())} == {"jax"}
    assert_close(losses, expected_losses)
    assert_close(state._asdict(), expected._asdict())


def test_a_state_goes_into_a_compiled_step_as_it_is_and_out_to_the_fold_and_a_file(jax64, tmp_path):
    optimizer = nn.adam()
    step = nn.train_step(gradient_of(PLAIN), optimizer)
    compiled = jax64.jit(step)
    run = nn.fit(compiled, started(optimizer), zip(X, T, strict=True), 10, nn.every(5, lambda state: {"half": 1}))
    states = [(state, "half" in metrics) for state, metrics in run]
    assert [int(state.step) for state, _ in states] == [*range(1, 11)]
    assert [k for k, (_, half) in enumerate(states, 1) if half] == [5, 10]
    back = jax64.device_get(states[4][0])
    nn.save_state(tmp_path / "half.npz", back)
    resumed, _ = ten_steps(step, nn.load_state(tmp_path / "half.npz"), X[5:], T[5:])
    assert_close(resumed._asdict(), states[-1][0]._asdict())


def test_compiled_dropout_is_eager_dropout(jax64):
    optimizer, grad_, _ = STEPS["dropout"]
    step, start = nn.train_step(grad_, optimizer), jax64.tree.map(jax64.numpy.asarray, started(optimizer))
    eager, compiled = (ten_steps(run, start, X[:2], T[:2]) for run in (step, jax64.jit(step)))
    assert_close(compiled[0]._asdict(), eager[0]._asdict())
    again = jax64.jit(step)(start._replace(seed=4), (X[0], T[0]))[1]["loss"]
    assert float(abs(again - eager[1][0])) > 1e-3, "another seed is another mask"


@pytest.mark.parametrize("name", ["sgd", "adam", "dropout", "batch norm", "clipping", "warm_up"])
def test_steps_under_scan_are_the_steps_one_by_one(name, jax64, monkeypatch):
    """Seventy of them, so that small memory is flushed on the way."""
    optimizer, grad_, norm = STEPS[name]
    step, start = nn.train_step(grad_, optimizer), started(optimizer, norm)
    xs, ts = np.tile(X, (7, 1, 1)), np.tile(T, (7, 1))
    state, metrics = jax64.lax.scan(step, jax64.tree.map(jax64.numpy.asarray, start), (xs, ts))
    monkeypatch.setattr(ops, "uniform", drawn_by_jax)
    expected, losses = ten_steps(step, start, xs, ts)
    assert_close(list(metrics["loss"]), losses, 1e-11)
    assert_close(state._asdict(), expected._asdict(), 1e-11)


def test_the_compiled_gradient_of_the_deepest_network_is_numpys(jax64):
    given = inputs()
    arguments = given["deep"], given["digits"], given["t"][:2]
    compiled = jax64.jit(gradient_of(nn.deep_convnet()))(*arguments)
    assert_close(compiled, gradient_of(nn.deep_convnet())(*arguments))


def test_what_fades_is_let_go_of_under_a_compiler_too(jax64):
    optimizer = nn.momentum()
    faint = {"w": np.full(3, 4 * np.finfo(np.float64).smallest_normal)}
    step = jax64.jit(lambda opt: optimizer.step({"w": np.zeros(3)}, {"w": np.zeros(3)}, opt)[1])
    assert (np.asarray(step({"t": 62, "v": faint})["v"]["w"]) > 0).all()
    assert (np.asarray(step({"t": 63, "v": faint})["v"]["w"]) == 0).all()


@pytest.mark.parametrize("name", ["adam", "batch norm", "clipping"])
def test_networks_of_several_seeds_train_at_once(name, jax64):
    optimizer, grad_, norm = STEPS[name]
    step, starts = nn.train_step(grad_, optimizer), [started(optimizer, norm, seed) for seed in range(4)]
    stacked = jax64.tree.map(lambda *a: jax64.numpy.stack([jax64.numpy.asarray(v) for v in a]), *starts)
    together = jax64.jit(jax64.vmap(step, in_axes=(0, None)))
    state, losses = ten_steps(together, stacked)
    for k, start in enumerate(starts):
        expected, alone = ten_steps(step, start)
        assert_close([loss[k] for loss in losses], alone)
        assert_close(jax64.tree.map(lambda a, k=k: a[k], state)._asdict(), expected._asdict())


@pytest.mark.parametrize(
    ("net", "params", "shape"),
    [
        (nn.mlp(layers.sigmoid), nn.init_mlp(0, (3, 5, 4, 3), dtype=np.float64), (6, 3)),
        (nn.mlp(layers.relu), nn.init_mlp(0, (3, 5, 4, 3), dtype=np.float64), (6, 3)),
        (nn.mlp(), nn.init_mlp(0, (3, 5, 4, 3), dtype=np.float64, batch_norm=True), (6, 3)),
        (nn.simple_convnet(), nn.init_simple_convnet(0, (1, 12, 12), 2, 4, 3, dtype=np.float64), (6, 1, 12, 12)),
    ],
    ids=["sigmoid", "relu", "batch norm", "simple_convnet"],
)
def test_jax_differentiates_our_loss_to_our_gradient(net, params, shape, jax64):
    x, t = np.random.default_rng(0).standard_normal(shape), T[0]
    data = jax64.device_put((x, t))
    mode = layers.Mode(nn.init_stats(params), (0, 0))

    def loss(params):
        return ops.softmax_cross_entropy(net(params, data[0], mode)[0], data[1])[0]

    theirs = jax64.jit(jax64.grad(loss))(jax64.tree.map(jax64.numpy.asarray, params))
    _, ours, _ = gradient_of(net)(params, x, t, mode)
    assert_close({name: theirs[name] for name in ours}, ours)


LOSSES = [
    *(ops.softmax_cross_entropy, ops.sigmoid_cross_entropy, ops.sum_squared_error, ops.mean_squared_error),
    *(nn.accuracy, nn.cross_entropy_error, nn.sum_squared_error, nn.mean_squared_error),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f"{f.__module__.removeprefix('nnfunc.')}.{f.__name__}")
def test_numpys_labels_beside_other_scores(loss, jax64):
    """A program that is compiled often closes over its data."""
    y = nn.softmax(X[0])

    def both(y):
        answer = loss(y, np.eye(3)[T[0]])
        return there_and_back(*answer) if isinstance(answer, tuple) else answer

    for run in (both, jax64.jit(both)):
        got = leaves(run(jax64.numpy.asarray(y)))
        assert {home(a) for a in got} == {"jax"}
        assert_close(got, leaves(both(y)))


def test_the_pages_lines_on_pytorch_run():
    for package in COLUMNS["PyTorch"][0]:
        pytest.importorskip(package, reason=f"{package} is not installed, so the page's tensors are not tried")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    exec(code, {"nn": nn})


# What stays NumPy's and takes no arrays still looks at what it is given


@pytest.mark.parametrize("rng", [lambda jax: jax.random.key(0), lambda jax: jax.random.PRNGKey(0)])
@pytest.mark.parametrize("start", [lambda rng: nn.init_mlp(rng, (3, 2)), lambda rng: nn.spiral(rng)])
def test_another_librarys_chance_is_no_seed_here(start, rng, jax64):
    with pytest.raises(ValueError, match="rng"):
        start(rng(jax64))


def test_the_first_weights_are_numpys_in_any_dtype_that_numpy_knows(jax64):
    params = nn.init_mlp(0, (3, 2), dtype=jax64.numpy.float32)
    assert {home(a) for a in leaves(params)} == {"numpy"}


def test_first_weights_in_pytorchs_dtype_are_refused():
    torch = pytest.importorskip("torch", reason="torch is not installed, so its dtypes are not tried")
    with pytest.raises(ValueError, match="dtype"):
        nn.init_mlp(0, (3, 2), dtype=torch.float32)


def test_a_tensor_without_what_it_takes_is_refused(monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed, so there are no tensors")
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    with pytest.raises(ValueError, match=r"array-api-compat: pip install 'nnfunc\[arrays\]'"):
        nn.relu(torch.ones(3))


def write():
    """Write the page's table; what is not installed here leaves its columns as they were."""
    cells = {name: on_the_page().get(name, {}) for name in CASES}
    for column, (packages, _) in COLUMNS.items():
        if all(importlib.util.find_spec(package) for package in packages):
            for name in CASES:
                cells[name][column] = cell(name, column)[0]
    head, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
    PAGE.write_text(head + MARKS[0] + table(cells) + MARKS[1] + rest.partition(MARKS[1])[2], "utf-8")


if __name__ == "__main__":
    write()
