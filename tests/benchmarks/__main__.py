"""Prints tables of ratios: ``python -m tests.benchmarks [--quick] [--json FILE] [workload ...]``."""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import platform
import re
import sys
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

import nnfunc as nn

from . import dense, timing
from .dense import FLOOR
from .task import peers, rows
from .with_nnfunc import NAME as OURS

DENSE = ("training", dense.training_products)
WORKLOADS = {
    "W1 sigmoid": (partial(dense.w1, "sigmoid"), *DENSE),
    "W1 relu": (partial(dense.w1, "relu"), *DENSE),
    "W2": (dense.w2, *DENSE),
    "W3": (dense.w3, *DENSE),
    "W5": (dense.w5, "predicting", dense.predicting_products),
}
ONLY_FLOAT32 = {"W5"}
COLUMNS = (
    "torch eager",
    "torch channels_last",
    "torch.compile",
    "jax.jit",
    "jax scan",
    "scikit-learn",
    "HIPS autograd",
    FLOOR,
)
# Longer runs part in float32: sooner or later a number close to zero falls on the other side of a ReLU's kink.
CHECKED, CLOSE = 10, {"float32": 1e-5, "float64": 1e-9}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"which of {', '.join(WORKLOADS)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="float32 only, fewer rounds, under two minutes")
    parser.add_argument("--rounds", type=int, help="rounds of which the median is taken; 15, with --quick 7")
    parser.add_argument("--json", type=Path, help="a file for the record of everything measured")
    arguments = parser.parse_args(argv)
    chosen = [name for name in WORKLOADS if not arguments.workloads or any(w in name for w in arguments.workloads)]
    rounds, target = arguments.rounds or (7 if arguments.quick else 15), 0.03 if arguments.quick else 0.1
    cores = timing.one_core()
    with timing.one_thread():
        data, _ = nn.load_mnist()
        record = {"rows": [*measure(chosen, data, ["float32", "float64"][: 2 - arguments.quick], rounds, target)]}
    record["circumstances"] = circumstances() | {"cores": cores, "rounds": rounds}
    print(shown(record))
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(names, data, dtypes, rounds, target):
    for dtype in dtypes:
        for name in names:
            if dtype == "float32" or name not in ONLY_FLOAT32:
                print(f"{name}, {dtype} ...", file=sys.stderr, flush=True)
                yield {"workload": name, "dtype": dtype} | workload(*WORKLOADS[name], data, dtype, rounds, target)


def workload(make_task, doing, floor, data, dtype, rounds, target):
    task = make_task(data, np.dtype(dtype).type)
    found = peers(task, doing)
    compare(task, doing, found)
    steps = {name: make() for name, make in (found | floor(task)).items()}
    return row(*timing.seconds(steps, rounds, target))


def row(taken, cores):
    variants = {column: timing.best(taken, column) for column in COLUMNS}
    return {
        "microseconds": {name: median(seconds) * 1e6 for name, seconds in taken.items()},
        "ratios": {column: name and timing.ratio(taken[OURS], taken[name]) for column, name in variants.items()},
        "variants": variants,
        "cores": cores,
    }


def compare(task, doing, found):
    close = CLOSE[task.x.dtype.name]
    if doing == "training":
        check({name: partial(make, rows=rows(task)) for name, make in found.items()}, CHECKED, close)
    else:
        check(found, 1, close, probabilities)


def check(peers, count, tolerance, comparable=lambda results: results):
    """Stop unless every peer goes through the same losses from the same weights and batches."""
    wanted = comparable(timing.results(peers[OURS](), count))
    for name, make in peers.items():
        apart = timing.disagreement(wanted, comparable(timing.results(make(), count)))
        if not apart <= tolerance:
            sys.exit(f"{name}: its results differ by {apart:.1e} from those of {OURS}")


def probabilities(y):
    """What scikit-learn predicts; all others give scores."""
    return y if np.allclose(y.sum(axis=-1), 1) else nn.softmax(y)


def shown(record):
    columns = [column for column in COLUMNS if any(row["ratios"][column] for row in record["rows"])]
    heads = ["", "nnfunc, µs", *(f"÷ {column}" for column in columns)]
    parts = [", ".join(f"{key} {value}" for key, value in record["circumstances"].items())]
    for dtype in dict.fromkeys(row["dtype"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["dtype"] == dtype]
        cells = (
            [row["workload"], f"{row['microseconds'][OURS]:.0f}", *(cell(row["ratios"][column]) for column in columns)]
            for row in rows
        )
        best = (f"- {row['workload']}: {'; '.join(v for v in row['variants'].values() if v)}" for row in rows)
        parts += [f"## {dtype}", timing.table(heads, cells), "Variants:", "\n".join(best)]
    busy = [cores for row in record["rows"] for cores in row["cores"].values()]
    return "\n\n".join([*parts, f"Processor time by wall time, all peers: {min(busy):.2f} to {max(busy):.2f}"])


def cell(ratio):
    return "–" if ratio is None else f"{ratio:.2f}"


def circumstances():
    """What the numbers depend on."""
    known = {"date": str(datetime.date.today()), "processor": processor(), "Python": platform.python_version()}
    for package in ("numpy", "torch", "jax", "scikit-learn", "autograd"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[package] = importlib.metadata.version(package)
    return known


def processor():
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
