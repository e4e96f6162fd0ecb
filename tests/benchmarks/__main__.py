"""Prints tables of ratios: ``python -m tests.benchmarks [--quick] [workload ...]``."""

import argparse
import platform
import sys
from functools import partial

import numpy as np

import nnfunc as nn

from . import timing, w1

WORKLOADS = {
    "W1 sigmoid": (partial(w1.workload, "sigmoid"), w1.rows),
    "W1 relu": (partial(w1.workload, "relu"), w1.rows),
}
KINDS = {w1.AS_WRITTEN: "PyTorch as its tutorials write it", "PyTorch": "PyTorch's best", timing.FLOOR: timing.FLOOR}
CLOSE = {np.float32: 1e-5, np.float64: 1e-12}
CHECKED = 20


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"which of {', '.join(WORKLOADS)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="fewer steps: ratios to a tenth")
    parser.add_argument("--rounds", type=int, default=41, help="rounds of which the median is taken")
    arguments = parser.parse_args(argv)
    chosen = [name for name in WORKLOADS if not arguments.workloads or any(w in name for w in arguments.workloads)]
    data, _ = nn.load_mnist()
    rows, notes = [], []
    with timing.one_thread() as limited:
        for name in chosen:
            for dtype in (np.float32, np.float64):
                taken, best = measure(*WORKLOADS[name], data, dtype, arguments)
                title = f"{name}, {np.dtype(dtype).name}"
                rows.append(timing.row(title, taken, KINDS))
                notes += [f"{title}: {best}"] if best else []
    print(
        *versions(), "" if limited else "threadpoolctl is missing, so BLAS has as many threads as it likes\n", sep="\n"
    )
    print(timing.table(["step", "nnfunc, µs", *(f"÷ {kind}" for kind in KINDS.values())], rows))
    print("\nThe fastest variant of PyTorch:", *notes, sep="\n- ")


def measure(workload, rows, data, dtype, arguments):
    peers = workload(data, dtype)
    check(peers, partial(rows, data[1]), CLOSE[dtype])
    steps = {name: make() for name, make in peers.items()}
    taken = timing.seconds(steps, arguments.rounds, 20 if arguments.quick else 100)
    return taken, timing.best(taken, "PyTorch")


def check(peers, rows, tolerance):
    """Stop unless every peer goes through the same losses from the same weights and batches."""
    wanted = timing.losses(peers[timing.OURS](), CHECKED)
    for name, make in peers.items():
        if name not in (timing.OURS, timing.FLOOR):
            apart = timing.disagreement(wanted, timing.losses(make(rows=rows()), CHECKED))
            if not apart <= tolerance:
                sys.exit(f"{name}: its losses differ by {apart:.1e} from those of {timing.OURS}")


def versions():
    yield f"Python {platform.python_version()}, NumPy {np.__version__}, one thread"
    if "torch" in sys.modules:
        yield f"PyTorch {sys.modules['torch'].__version__}"


if __name__ == "__main__":
    main()
