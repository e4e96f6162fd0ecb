"""Prints tables of ratios: ``python -m tests.benchmarks [--quick] [--growth] [--json FILE] [workload ...]``.

With ``--against REV`` the ratios are those of this tree to another revision of it, and no peer takes part. With
``--faults`` it is only the page faults of a step that are counted. With ``--records FILE ...`` nothing is measured: the
records in the files are shown beside each other, in a page too if ``--page PAGE`` names one.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

import nnfunc as nn

from . import against, conv, dense, faults, growth, numerical, record, timing
from .task import peers, rows
from .with_nnfunc import NAME as OURS

DENSE, CONV = ("training", dense.training_products), ("training", conv.training_products)
WORKLOADS = {
    "W1 sigmoid": (partial(dense.w1, "sigmoid"), *DENSE),
    "W1 relu": (partial(dense.w1, "relu"), *DENSE),
    "W2": (dense.w2, *DENSE),
    "W3": (dense.w3, *DENSE),
    "W4": (conv.w4, *CONV),
    "W4b": (conv.w4b, *CONV),
    "W5": (dense.w5, "predicting", dense.predicting_products),
}
NUMERICAL = "W6"
ONLY_FLOAT32 = {"W4", "W4b", "W5"}
# Longer runs part in float32: sooner or later a number close to zero falls on the other side of a ReLU's kink.
CHECKED, CLOSE = 10, {"float32": 1e-5, "float64": 1e-9}
# In the deep convnet at once: rounding chooses among the equal numbers of a black patch, over which its pools lie.
CLOSE_DEEP = {"float32": 1e-2, "float64": 1e-9}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    known = ", ".join([*WORKLOADS, NUMERICAL])
    parser.add_argument("workloads", nargs="*", help=f"which of {known}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="under two minutes: float32 only, fewer rounds")
    parser.add_argument("--growth", action="store_true", help="also the time over batch size and over width")
    parser.add_argument("--rounds", type=int, help="rounds of which the median is taken; 15, --quick 7, --against 11")
    parser.add_argument("--against", metavar="REV", help="time this tree beside that revision, float32: two minutes")
    parser.add_argument("--json", type=Path, help="a file for the record of everything measured")
    parser.add_argument("--faults", action="store_true", help="only count page faults, in processes of their own")
    parser.add_argument("--records", type=Path, nargs="+", metavar="FILE", help="show these records, measure nothing")
    parser.add_argument("--page", type=Path, help="a page whose tables are to be made of the record, or the records")
    arguments = parser.parse_args(argv)
    rounds, target = arguments.rounds or (7 if arguments.quick else 15), 0.03 if arguments.quick else 0.1

    if arguments.records:
        show(record.read(arguments.records), arguments.page)
        return
    if arguments.faults:
        timing.one_core()
        print(record.page_faults({"": faults.measure()}))
        return

    def chosen(name):
        return not arguments.workloads or any(wanted in name for wanted in arguments.workloads)

    timing.keep_memory()
    if arguments.against:
        timing.one_core()
        workloads = {name: WORKLOADS[name][:2] for name in filter(chosen, WORKLOADS)}
        rounds, seconds = arguments.rounds or 11, 1 if arguments.quick else 11
        with timing.one_thread():
            print(against.compare(arguments.against, workloads, nn.load_mnist()[0], rounds, seconds))
        return
    about = record.circumstances() | {"cores": timing.one_core(), "rounds": rounds}
    about["versions"]["nnfunc"] = against.named()
    found = {"circumstances": about}
    with timing.neighbours() as seen, timing.one_thread():
        data, _ = nn.load_mnist()
        dtypes = ["float32"] if arguments.quick else ["float32", "float64"]
        found["rows"] = [*measure([*filter(chosen, WORKLOADS)], data, dtypes, rounds, target, arguments.quick)]
        if chosen(NUMERICAL):
            say(NUMERICAL)
            turns = 1 if arguments.quick else 3
            found["numerical"] = [numerical.measure(name, data, turns) for name in numerical.NETWORKS]
        if arguments.growth:
            say("growth")
            found["parts"] = growth.parts(data, rounds, target)
            found["growth"] = growth.measure(data, 7, target / 2)
        if not arguments.quick and chosen("W4"):
            say("page faults")
            found["faults"] = faults.measure()
    about |= seen
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show([found], arguments.page)


def show(records, page):
    print(record.tables(*records))
    if page:
        page.write_text(record.in_page(page.read_text(encoding="utf-8"), *records), encoding="utf-8")


def say(what):
    print(f"{what} ...", file=sys.stderr, flush=True)


def measure(names, data, dtypes, rounds, target, quick):
    for dtype in dtypes:
        for name in names:
            if dtype == "float32" or name not in ONLY_FLOAT32:
                say(f"{name}, {dtype}")
                left_out = "torch.compile" if quick and name in ONLY_FLOAT32 else None
                if left_out and name != "W5":
                    say(f"  without {left_out}, whose compiler takes too long for a quick look")
                yield {"workload": name, "dtype": dtype} | workload(name, data, dtype, rounds, target, left_out)


def workload(name, data, dtype, rounds, target, left_out=None):
    make_task, doing, floor = WORKLOADS[name]
    task = make_task(data, np.dtype(dtype).type)
    found = {k: make for k, make in peers(task, doing).items() if k.partition(":")[0] != left_out}
    compare(name, task, found)
    steps = {name: make() for name, make in (found | floor(task)).items()}
    return row(*timing.seconds(steps, rounds, target))


def row(taken, cores):
    variants = {column: timing.best(taken, column) for column in record.COLUMNS}
    low, middle, high = np.quantile(taken[OURS], [0.25, 0.5, 0.75])
    return {
        "microseconds": timing.typical(taken),
        "ratios": {column: name and timing.ratio(taken[OURS], taken[name]) for column, name in variants.items()},
        "variants": variants,
        "spread": [low / middle, high / middle],
        "cores": cores,
    }


def compare(name, task, found):
    close = (CLOSE_DEEP if name == "W4b" else CLOSE)[task.x.dtype.name]
    if WORKLOADS[name][1] == "training":
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


if __name__ == "__main__":
    main()
