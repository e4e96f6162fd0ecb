"""Runs experiments and prints their tables: ``python -m tests.experiments [--seeds 0 1 2] [--out FILE] [name ...]``."""

import argparse
import datetime
import importlib.util
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

import nnfunc as nn

from ..benchmarks.timing import one_thread, table
from . import batch_norm, initial_weights, optimizers, overfitting, search

EXPERIMENTS = {
    "optimizers": optimizers,
    "initial_weights": initial_weights,
    "batch_norm": batch_norm,
    "overfitting": overfitting,
    "search": search,
}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(EXPERIMENTS)}; all if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="a file to write the tables to; they are printed in any case")
    arguments = parser.parse_args(argv)
    if unknown := sorted(set(arguments.names) - EXPERIMENTS.keys()):
        parser.error(f"no experiment is named {', '.join(unknown)}")
    data = nn.load_mnist()
    pages, wrong = [], []
    with one_thread():
        heading = f"# The experiments of chapter 6, at full size\n\n{circumstances()}"
        print(heading)
        for name in arguments.names or EXPERIMENTS:
            page, failures = measure(EXPERIMENTS[name], data, arguments.seeds)
            print(f"\n{page}", flush=True)
            pages.append(page)
            wrong += [f"{name}: {failure}" for failure in failures]
    if arguments.out:
        arguments.out.write_text("\n\n".join([heading, *pages]) + "\n", encoding="utf-8")
    if wrong:
        sys.exit("\n".join(wrong))


def measure(experiment, data, seeds):
    """Run an experiment once for each seed; return its page, and what left its band or did not come true."""
    summaries, seconds = [], []
    for seed in seeds:
        start = time.process_time()
        summaries.append(experiment.summary(experiment.run(data, seed)))
        seconds.append(time.process_time() - start)
    return page(experiment, seeds, summaries, seconds), failures(experiment, seeds, summaries)


def failures(experiment, seeds, summaries):
    for seed, summary in zip(seeds, summaries, strict=True):
        yield from (f"seed {seed}: {name} is {summary[name]:.4g}" for name in outside(summary, experiment.BANDS))
        yield from (f"seed {seed}: not true: {claim}" for claim, true in experiment.claims(summary).items() if not true)


def outside(summary, bands):
    """The names of the numbers that lie outside their bands, a missing one and nan among them."""
    return [name for name, (low, high) in bands.items() if not low <= summary.get(name, np.nan) <= high]


def page(experiment, seeds, summaries, seconds):
    rows = [[name, *(f"{s[name]:.4g}" for s in summaries), *reference(name, experiment)] for name in summaries[0]]
    heads = ["", *(f"seed {seed}" for seed in seeds), "the sources' programs", "band"]
    claims = [experiment.claims(summary) for summary in summaries]
    told = [f"- {claim}: {', '.join('yes' if c[claim] else 'no' for c in claims)}" for claim in claims[0]]
    taken = f"Seconds of one core: {', '.join(f'{s:.0f}' for s in seconds)}."
    title, _, text = experiment.__doc__.strip().partition(": ")
    return "\n\n".join([f"## {title}", text[0].upper() + text[1:], table(heads, rows), "\n".join(told), taken])


def reference(name, experiment):
    low, high = experiment.BANDS.get(name, (None, None))
    return [experiment.SOURCES.get(name, "–"), "–" if low is None else f"{low:.4g} to {high:.4g}"]


def circumstances():
    """What the numbers may depend on: date, processor, Python, NumPy and its BLAS."""
    blas = ""
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        found = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
        blas = "".join(f", {pool['internal_api']} {pool['version']} ({pool['architecture']})" for pool in found)
    return (
        f"{datetime.date.today()}; {platform.system()} on {platform.machine()}, {os.cpu_count()} cores, one thread; "
        f"Python {platform.python_version()}, NumPy {np.__version__}{blas}."
    )


if __name__ == "__main__":
    main()
