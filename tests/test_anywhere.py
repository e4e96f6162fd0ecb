"""The library on other arrays: each public function on NumPy, JAX, array-api-strict and PyTorch.

A call works in kind, so that all its arrays are of the library that was given, with NumPy's numbers; or it is refused
in the library's own words. The table of docs/guides/other-arrays.md is made of what is found here. To write it anew,
with all the libraries at hand: ``python -m tests.test_anywhere``.
"""

import importlib.util
import itertools
import linecache
import re
import sys
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

from .calls import CALLS, PUBLIC, inputs, leaves, mapped, there_and_back

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "other-arrays.md"

# Their answers are made of sizes, keys and files, or they are the plain tuples and the loop's clock.
TAKE_NO_ARRAYS = {
    *("_arrays.generator", "conv.conv_output_size", "forms.Mode", "forms.Optimizer", "forms.State", "training.every"),
    *("datasets.load_mnist", "datasets.read_idx", "datasets.spiral", "datasets.xor", "pretrained.load_pretrained"),
    *("params.load_params", "training.load_state", "search.Trial", "search.random_search"),
    *(name for name in PUBLIC if name.startswith("initializers.") and name != "initializers.init_stats"),
}
CASES = {name: call for name, call in CALLS.items() if name not in TAKE_NO_ARRAYS}
# Its way back has a test of its own: a compiler takes its time for it.
CASES["networks.deep_convnet"] = lambda i: nn.deep_convnet()(i.deep, i.digits, layers.Mode(grad=False))[0]
# They stay NumPy's: files, differences, pictures, and what draws samples at random.
STAY_NUMPYS = {
    *("params.save_params", "training.save_state", "training.checkpoints", "training.minibatches", "training.history"),
    *("datasets.images.shift", "datasets.images.rotate", "datasets.images.to_uint8", "datasets.images.save_image"),
    *("datasets.shuffle", "datasets.train_validation_split", "initializers.init_stats"),
    *(name for name in CASES if name.startswith(("gradient.", "numerical.", "plots."))),
}


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
    """Seventy of them, so that NumPy flushes small memory on the way, which compilers do by themselves."""
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
    faint = {"w": np.full(3, 1.2 * np.finfo(np.float64).smallest_normal)}
    step = jax64.jit(lambda opt: optimizer.step({"w": np.zeros(3)}, {"w": np.zeros(3)}, opt)[1])
    faint = step({"t": 62, "v": faint})["v"]
    assert (np.asarray(faint["w"]) > 0).all()
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
    with pytest.raises(ValueError, match="want an adapter: pip install array-api-compat"):
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
