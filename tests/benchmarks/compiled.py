"""The library's step on JAX arrays, compiled: ``python -m tests.benchmarks.compiled [--page PAGE] [--rounds N]``.

Beside it stand the same step on NumPy's arrays, the same step written by hand for JAX with `jax.grad`, and, at the end,
sixteen networks that are trained at once. All of it takes some four minutes; without JAX there is nothing to measure.
"""

import argparse
import re
from functools import partial
from pathlib import Path

import numpy as np

import nnfunc as nn

from . import conv, dense, record, timing
from .against import ROOT
from .task import rows, shuffled
from .with_nnfunc import rule, train

PAGE = ROOT / "docs" / "guides" / "other-arrays.md"
FROM, TO = "<!-- from the benchmark -->", "<!-- to here, the benchmark -->"
NETWORKS = {
    "784-50-10, SGD": partial(dense.w1, "relu"),
    "784-100x4-10, Adam": dense.w2,
    "784-100x5-10, batch norm, SGD": dense.w3,
    "simple_convnet, Adam": conv.w4,
}
SEEDS, STEPS = 16, 100


def ours(task, rows=None):
    """The library's step, compiled; it gathers its batch inside, as the one by hand does."""
    import jax
    import jax.numpy as jnp

    optimizer = rule(task)
    step = nn.train_step(nn.value_and_grad(task.net, nn.ops.softmax_cross_entropy), optimizer)
    state = jax.device_put(nn.init_state(optimizer, task.params, task.stats, task.seed))
    x, t = jnp.asarray(task.x), jnp.asarray(task.t, jnp.int32)

    @partial(jax.jit, donate_argnums=0)
    def fast(state, x, t, rows):
        return step(state, (jnp.take(x, rows, axis=0), jnp.take(t, rows)))

    batches = shuffled(task) if rows is None else rows

    def one():
        nonlocal state
        state, metrics = fast(state, x, t, next(batches))
        return metrics["loss"]

    return one


def eager(task):
    """The library's step on JAX arrays, each operation by itself."""
    import jax
    import jax.numpy as jnp

    return train(
        task._replace(params=jax.device_put(task.params), stats=jax.device_put(task.stats), x=jnp.asarray(task.x))
    )


def compare(name, data, rounds, seconds):
    from . import with_jax

    task = NETWORKS[name](data, np.float32)
    by_hand = partial(with_jax.jitted, task)
    apart = timing.disagreement(*(timing.results(make(rows=rows(task)), 5) for make in (by_hand, partial(ours, task))))
    makes = {"NumPy": partial(train, task), "compiled": partial(ours, task), "by hand": by_hand}
    taken = timing.in_turns(makes, rounds, seconds)
    slow, _ = timing.seconds({"eager": eager(task), "NumPy": train(task)}, 3, 0)
    ratio = lambda a, b: f"{np.median(taken[a] / taken[b]):.2f}"
    times = [f"{np.median(taken[key]):,.0f}" for key in makes]
    beside = (
        ratio("compiled", "NumPy"),
        ratio("compiled", "by hand"),
        f"{timing.ratio(slow['eager'], slow['NumPy']):.1f}",
    )
    return [name, *times, *beside, f"{apart:.0e}"]


def together():
    """Seconds for `SEEDS` networks of the spiral, `STEPS` steps each: one after the other on NumPy, and at once."""
    import jax
    import jax.numpy as jnp

    x, t = nn.spiral(0)
    optimizer = nn.adam(lr=0.02)
    step = nn.train_step(nn.value_and_grad(nn.mlp(nn.layers.tanh), nn.ops.softmax_cross_entropy), optimizer)
    starts = [nn.init_state(optimizer, nn.init_mlp(seed, (2, 20, 3)), seed=seed) for seed in range(SEEDS)]

    def one_after_the_other():
        return [[metrics["loss"] for _, metrics in nn.fit(step, s, [(x, t)] * STEPS, STEPS)][-1] for s in starts]

    def trained(state):
        batch = jnp.asarray(x), jnp.asarray(t)
        return jax.lax.scan(lambda state, _: (lambda s, m: (s, m["loss"]))(*step(state, batch)), state, length=STEPS)

    stack = jax.tree.map(lambda *a: jnp.stack([jnp.asarray(v) for v in a]), *starts)
    at_once = jax.jit(jax.vmap(trained))
    taken, _ = timing.seconds({"NumPy": one_after_the_other, "JAX": lambda: at_once(stack)[1]}, 5, 0)
    apart = abs(np.array(one_after_the_other()) - np.asarray(at_once(stack)[1][:, -1])).max()
    return np.median(taken["NumPy"]), np.median(taken["JAX"]), apart


def text(rounds, seconds):
    with timing.neighbours() as seen, timing.one_thread():
        data, _ = nn.load_mnist()
        found = [compare(name, data, rounds, seconds) for name in NETWORKS]
        numpys, jaxs, apart = together()
    about = record.circumstances()
    versions = ", ".join(f"{name} {about['versions'][name]}" for name in ("Python", "NumPy", "JAX"))
    heads = ["step", "NumPy, µs", "compiled, µs", "by hand, µs"]
    heads += ["compiled ÷ NumPy", "compiled ÷ by hand", "eager ÷ NumPy", "losses apart"]
    sixteen = (
        f"{SEEDS} networks of the spiral, {STEPS} steps each: {numpys:.2f} s one after the other on NumPy, "
        f"{jaxs:.3f} s at once, {numpys / jaxs:.0f} times as fast; their last losses are at most {apart:.0e} apart."
    )
    told = f"{about['date']}, {about['processor']}, one core; {versions}.{record.around(seen)}"
    return f"{timing.table(heads, found)}\n\n{sixteen}\n\n{told}"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compiled", description=__doc__)
    parser.add_argument("--page", type=Path, help="a page whose table is to be made of the answer")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=11, help="that each network takes")
    arguments = parser.parse_args(argv)
    timing.keep_memory()
    timing.one_core()
    answer = text(arguments.rounds, arguments.seconds)
    print(answer)
    if arguments.page:
        page = arguments.page.read_text(encoding="utf-8")
        made = re.sub(f"(?s)(?<={FROM}\n\n).*(?=\n\n{TO})", lambda _: answer, page)
        arguments.page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
