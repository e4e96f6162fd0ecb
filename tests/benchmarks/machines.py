"""What the page "When one machine is too small" shows: ``python -m tests.benchmarks.machines [--page PAGE]``.

Memory by parts, two workers beside one process, and how far eight devices of JAX end from one: some three minutes. The
last is asked of the page's own program. Where Dask or JAX is missing, what it would have said is left out.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from time import sleep

import numpy as np

import nnfunc as nn

from . import conv, dense, record, timing
from .against import ROOT

PAGE = ROOT / "docs" / "guides" / "more-machines.md"
LOSS = nn.ops.softmax_cross_entropy
IMAGES, PARTS = 400, (1, 2, 4, 8, 20, 40)
SIZES = {  # the network, as the page names it: who makes it, and the batches to try
    "784-50-10": (partial(dense.w1, "relu"), (100, 1000, 10_000)),
    "784-100x4-10": (dense.w2, (100, 1000, 10_000)),
    "784-100x5-10, batch norm": (dense.w3, (100, 1000, 10_000)),
    "simple_convnet": (conv.w4, (20, 100, 1000)),
    "deep_convnet": (conv.w4b, (20, 100, 400)),
}
ROUNDS = 7
CALM = f" Other processes took at most {timing.BESIDE:.0%} of the processors' time just before and after each row."


def programs(text):
    """The programs of the page, ``{name: code}``."""
    return dict(re.findall(r'(?ms)^```python title="([^"]+)"\n(.*?)^```$', text))


def run(folder, text, *arguments):
    """What Python prints when called in a folder that holds the page's programs; a warning is an error."""
    for name, code in programs(text).items():
        Path(folder, name).write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return done.stdout


# Memory


def memory():
    (x, t), _ = nn.load_mnist(flatten=False)
    grad, params = nn.value_and_grad(nn.simple_convnet(), LOSS), nn.init_simple_convnet(0)
    at = [peak(partial(nn.in_parts(grad, parts), params, x[:IMAGES], t[:IMAGES])) for parts in PARTS]
    rows = ([f"{p}", f"{IMAGES // p}", f"{b / 2**20:.1f}"] for p, b in zip(PARTS, at, strict=True))
    return timing.table(["parts", "images in each", "highest, MiB"], rows)


def peak(f):
    tracemalloc.start()
    f()
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


# Two workers


@cache
def made(name):
    """A network's gradient and its data, once in each process."""
    task = SIZES[name][0](nn.load_mnist()[0], np.float32)
    return nn.value_and_grad(task.net, LOSS), task


def on_worker(name, params, rows, t, mode):
    grad, task = made(name)
    return grad(params, task.x[rows], t, mode)


def two_workers(patient=False, rounds=ROUNDS, sizes=SIZES):
    with ExitStack() as stack:
        maps = {"pool": stack.enter_context(ProcessPoolExecutor(2, get_context("spawn"))).map}
        if importlib.util.find_spec("distributed"):
            maps["Dask"] = partial(on_client, stack.enter_context(cluster()))
        asked = [partial(row, name, batch, maps, rounds) for name, (_, batches) in sizes.items() for batch in batches]
        rows = [undisturbed(ask) if patient else ask() for ask in asked]
    heads = ["network", "parameters", "bytes", "batch", "one process, ms", *(f"{name}, times as fast" for name in maps)]
    return timing.table(heads, rows)


def undisturbed(measure):
    """What is measured while others leave the processors alone: just before it and just after."""
    while True:
        before, found, after = others(), measure(), others()
        if max(before, after) <= timing.BESIDE:
            return found


def others():
    start = timing.clocks()
    sleep(timing.LOOK)
    return timing._others(*timing.clocks() - start) or 0.0


@contextmanager
def cluster():
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        yield client


def on_client(client, f, items):
    return client.gather(client.map(f, list(items), pure=False))


def row(name, batch, maps, rounds):
    print(f"{name}, {batch} ...", file=sys.stderr, flush=True)
    task, optimizer, grad = made(name)[1], nn.sgd(0.1), partial(on_worker, name)
    state = nn.init_state(optimizer, task.params, task.stats)
    rows = np.arange(batch), task.t[:batch]
    grads = {"alone": grad} | {where: nn.in_parts(grad, 2, map=send) for where, send in maps.items()}
    steps = {where: partial(one_step, nn.train_step(grad, optimizer), state, rows) for where, grad in grads.items()}
    taken = timing.seconds(steps, rounds, 0)[0]
    count = nn.count_params(task.params)
    gains = (f"{timing.ratio(taken['alone'], taken[where]):.2f}" for where in maps)
    return [name, f"{count:,}", f"{8 * count:,}", f"{batch:,}", digits(timing.typical(taken)["alone"] / 1000), *gains]


def digits(ms):
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def one_step(step, state, batch):
    return step(state, batch)[1]["loss"]


# Eight devices

DTYPES = "float32", "float64"
FREE = {"b1", "mean1"}  # what the norm takes away again, and what follows it
CASES = {  # what the page's program is asked for
    "SGD": "nn.sgd(0.1), eight.learnt, {}, norm=False",
    "SGD, batch norm": "nn.sgd(0.1), eight.learnt, {}",
    "Adam": "nn.adam(), eight.learnt, {}, norm=False",
    "Adam, batch norm": "nn.adam(), eight.learnt, {}",
    "Adam, batch norm, `b1` held still": "nn.adam(), eight.still(eight.learnt, 'b1'), {}",
}


def apart(text):
    """How far eight devices end from one: ``{(case, dtype): {name: difference}}``."""
    asked = list(product(CASES, DTYPES))
    calls = ",".join(f"eight.apart({CASES[case].format(f'np.{dtype}')})" for case, dtype in asked)
    code = f"import json, numpy as np, nnfunc as nn, eight\nprint(json.dumps([{calls}], default=float))"
    with tempfile.TemporaryDirectory() as folder:
        done = run(folder, text, "-c", code)
    return dict(zip(asked, json.loads(done), strict=True))


def sharding(text):
    if not importlib.util.find_spec("jax"):
        return "(JAX was not installed.)"
    found = apart(text)

    def row(case):
        for each in (found[case, dtype] for dtype in DTYPES):
            for names in ({"loss"}, each.keys() & FREE, each.keys() - {"loss"} - FREE):
                yield f"{max(each[name] for name in names):.0e}".replace("e-0", "e-").replace("0e+00", "0")

    heads = [f"{what}, {dtype}" for dtype in DTYPES for what in ("loss", "`b1` and `mean1`", "all others")]
    return timing.table(["", *heads], ([case, *row(case)] for case in CASES))


# The page


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.machines", description=__doc__)
    parser.add_argument("--page", type=Path, help="a page whose tables are to be written anew")
    parser.add_argument("--patient", action="store_true", help="time each row again until nobody else is at work")
    arguments = parser.parse_args(argv)
    page, patient = arguments.page, arguments.patient
    text = (page or PAGE).read_text(encoding="utf-8")
    tables = {"memory": memory(), "sharding": sharding(text)}
    with timing.neighbours() as seen, timing.one_thread():
        table = two_workers(patient)
    tables["two workers"] = f"{told(CALM if patient else record.around(seen))}\n\n{table}"
    print("\n\n".join(tables.values()))
    if page:
        page.write_text(in_page(text, tables), encoding="utf-8")


def product_rate(n=1000):
    """Operations a second; half of them are additions."""
    a = np.ones((n, n), np.float32)
    return 2 * n**3 / min(timing.seconds({"": lambda: a @ a}, ROUNDS, 0)[0][""])


def told(around):
    about = record.circumstances()
    names = {"Python", "NumPy", "OpenBLAS"}
    versions = [f"{name} {version}" for name, version in about["versions"].items() if name in names]
    if importlib.util.find_spec("distributed"):
        versions.append(f"Dask {importlib.metadata.version('distributed')}")
    rate = f"A product of two 1,000 × 1,000 matrices runs at {product_rate() / 1e9:.0f} Gflop/s in one thread."
    where = f"{about['date']}, {about['processor']}, {os.cpu_count()} processors, one thread a process"
    return f"{where}; {', '.join(versions)}. Medians of {ROUNDS} rounds. {rate}{around}"


def in_page(text, tables):
    """The page with what stands behind each mark made anew."""
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name}, from the script -->")
        _, end, after = rest.partition("<!-- to here -->")
        if not end:
            raise ValueError(f"in_page: the page lacks the marks of {name}")
        text = f"{before}{mark}\n\n{table}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    from tests.benchmarks import machines  # by its own name, by which other processes find it

    machines.main()
