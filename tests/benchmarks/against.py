"""Another revision of the package beside this tree's, in one process: ``python -m tests.benchmarks --against REV``.

The revision is checked out into a folder of its own, which is removed afterwards. Its package is imported twice, under
other names, so that it can be timed beside itself as well: how far that ratio is from 1 is the machine's doing.
"""

import contextlib
import importlib.util
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

import nnfunc as nn

from . import conv, dense, record, timing, with_nnfunc

ROOT = Path(__file__).parents[2]
THIS, REVISION, AGAIN = "this tree", "the revision", "the revision again"


def compare(revision, workloads, data, rounds, seconds):
    """Both tables as text. `workloads` are ``{name: (make_task, doing)}``, each of which takes about `seconds`."""
    with (
        timing.neighbours() as seen,
        checkout(revision) as folder,
        package(folder, "nnfunc_old") as old,
        package(folder, "nnfunc_again") as again,
    ):
        packages = {THIS: nn, REVISION: old, AGAIN: again}
        rows = [row(name, *workload, packages, data, rounds, seconds) for name, workload in workloads.items()]
        calls = [call(name, packages, rounds, seconds / 3) for name in ("affine", "relu")]
    heads = ["float32", "this tree, µs", "÷ revision", "its middle half", "revision ÷ itself", "results apart"]
    small = ["2 x 3, forward", "this tree, µs", "body alone, µs", "more, µs", "revision, µs", "its body alone, µs"]
    this, that = git("describe", "--always", "--dirty"), git("describe", "--always", revision)
    told = f"This tree is {this}, the revision {that}.\n{machine(seen)}"
    return "\n\n".join([told, timing.table(heads, rows), timing.table(small, calls)])


def row(name, make_task, doing, packages, data, rounds, seconds):
    print(f"{name} ...", file=sys.stderr, flush=True)
    makes = {key: partial(step, package, make_task, doing, data) for key, package in packages.items()}
    apart = timing.disagreement(*(timing.results(makes[key](), 10) for key in (REVISION, THIS)))
    taken = timing.in_turns(makes, rounds, seconds)
    ratio, itself = (np.median(taken[key] / taken[REVISION], axis=1) for key in (THIS, AGAIN))
    low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
    found = f"{middle:.3f}", f"{low:.3f} to {high:.3f}", f"{np.median(itself):.3f}", f"{apart:.0e}"
    return [name, f"{np.median(taken[THIS]):.1f}", *found]


def step(package, make_task, doing, data):
    """The step of a workload as one copy of the package takes it: while it is made, that copy is everyone's `nn`."""
    with contextlib.ExitStack() as stack:
        for module in (conv, dense, with_nnfunc):
            stack.enter_context(mock.patch.object(module, "nn", package))
        return getattr(with_nnfunc, doing)(make_task(data, np.float32))[with_nnfunc.NAME]()


def call(name, packages, rounds, seconds):
    """What a call of an op costs beyond its body, which is at hand where the op is a wrapper around it."""
    shapes, steps = [(2, 3), (3, 3), (3,)] if name == "affine" else [(2, 3)], {}
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    for key in (THIS, REVISION):
        op = getattr(packages[key].ops, name)
        steps |= {(key, part): f for part, f in (("call", op), ("body", getattr(op, "__wrapped__", None))) if f}
    taken = timing.in_turns({key: lambda f=f: lambda: f(*arrays)[0] for key, f in steps.items()}, rounds, seconds)
    if (THIS, "body") in taken:
        taken["more"] = taken[THIS, "call"] - taken[THIS, "body"]
    shown = (THIS, "call"), (THIS, "body"), "more", (REVISION, "call"), (REVISION, "body")
    return [name, *(f"{np.median(taken[key]):.2f}" if key in taken else "–" for key in shown)]


@contextlib.contextmanager
def checkout(revision):
    """A folder with the revision's files, as long as it lasts."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "revision")
        try:
            git("worktree", "add", "--detach", str(folder), revision)
            yield folder
        finally:
            if folder.exists():
                git("worktree", "remove", "--force", str(folder))


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else sys.exit(f"git {words[0]}: {done.stderr.strip()}")


def named():
    """The library's version, and what git calls this tree if it is a checkout."""
    with contextlib.suppress(OSError, SystemExit):
        return f"{nn.__version__} ({git('describe', '--always', '--dirty')})"
    return nn.__version__


@contextlib.contextmanager
def package(folder, name):
    """The folder's nnfunc under another name. Its imports are relative: even the late ones find its own modules."""
    spec = importlib.util.spec_from_file_location(name, folder / "nnfunc" / "__init__.py")
    sys.modules[name] = copy = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(copy)
        yield copy
    finally:
        for key in [key for key in sys.modules if key.partition(".")[0] == name]:
            del sys.modules[key]


def machine(seen):
    about = record.circumstances()
    versions = f"Python {about['versions']['Python']}, NumPy {np.__version__}"
    return f"{about['date']}, {about['processor']}; {versions}; {seen['seconds']:.0f} s.{record.around(seen)}"
