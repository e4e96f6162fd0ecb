"""The benchmarks compare what is equal. No time is asserted."""

import importlib.util
from functools import partial

import numpy as np
import pytest

from . import __main__ as benchmarks
from . import task as tasks
from . import timing
from .task import PEERS, peers, rows

COMPILED_IN_TESTS = "W3"  # compiling takes some ten seconds a network


def small(mnist, name, dtype):
    (x, t), _ = mnist
    make, doing, floor = benchmarks.WORKLOADS[name]
    return make((x[:1000].copy(), t[:1000].copy()), dtype), doing, floor


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # PyTorch's compiler warns of itself
@pytest.mark.parametrize("package", PEERS)
@pytest.mark.parametrize("name", benchmarks.WORKLOADS)
def test_every_peer_comes_to_the_same_results(mnist, name, package, monkeypatch):
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed; it comes with the extra `bench`")
    monkeypatch.setattr(tasks, "PEERS", {package: PEERS[package]})
    for dtype in (np.float32, np.float64):
        task, doing, _ = small(mnist, name, dtype)
        found = {k: v for k, v in peers(task, doing).items() if "compile" not in k or name == COMPILED_IN_TESTS}
        with timing.one_thread():
            benchmarks.compare(task, doing, found)


@pytest.mark.parametrize("name", benchmarks.WORKLOADS)
def test_the_floor_and_the_library_run(mnist, name, monkeypatch):
    monkeypatch.setattr(tasks, "PEERS", {})
    task, doing, floor = small(mnist, name, np.float32)
    found = peers(task, doing) | floor(task)
    assert list(found) == [benchmarks.OURS, benchmarks.FLOOR]
    for make in found.values():
        make()()


def falling(by):
    loss = 3.0

    def step():
        nonlocal loss
        loss *= by
        return loss

    return step


def test_a_peer_that_computes_something_else_stops_the_benchmark():
    ours = partial(falling, 0.9)
    benchmarks.check({benchmarks.OURS: ours, "same": partial(falling, 0.9)}, 10, 1e-12)
    with pytest.raises(SystemExit, match=r"^other: its results differ by .* from those of nnfunc$"):
        benchmarks.check({benchmarks.OURS: ours, "other": partial(falling, 0.9001)}, 10, 1e-5)


def test_many_steps_at_once_are_compared_one_by_one():
    one = falling(0.5)

    def four():
        return np.array([one() for _ in range(4)])

    four.taken = 4
    assert timing.results(four, 6).tolist() == timing.results(falling(0.5), 6).tolist()


def test_the_table_names_the_best_variant_and_leaves_a_hole_for_a_missing_peer():
    taken = {"nnfunc": [2e-6, 3e-6, 2e-6], "torch eager: slow": [9e-6] * 3, "torch eager: fast": [4e-6, 6e-6, 5e-6]}
    assert timing.best(taken, "torch eager") == "torch eager: fast"
    assert timing.best(taken, "torch") is None
    row = benchmarks.row(taken, {"nnfunc": 1.0}) | {"workload": "W", "dtype": "float32"}
    other = {"workload": "V", "dtype": "float32", "microseconds": {"nnfunc": 7.0}, "cores": {}}
    other |= {"ratios": row["ratios"] | {"jax.jit": 0.25, "torch eager": None}, "variants": {}}
    lines = benchmarks.shown({"rows": [row, other], "circumstances": {}}).splitlines()
    assert [line for line in lines if line.startswith("|")] == [
        "|  | nnfunc, µs | ÷ torch eager | ÷ jax.jit |",
        "| --- | ---: | ---: | ---: |",
        "| W | 2 | 0.50 | – |",
        "| V | 7 | – | 0.25 |",
    ]


def test_peers_take_turns_and_every_step_is_counted():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")}
    taken, cores = timing.seconds(steps, rounds=3, target=1e-9)
    assert "".join(calls[-9:]) == "abc" + "bca" + "cab"
    assert {name: len(rounds) for name, rounds in taken.items()} == {"a": 3, "b": 3, "c": 3}
    assert cores.keys() == steps.keys()


def test_rows_are_those_of_the_librarys_batches(mnist):
    task, *_ = small(mnist, "W2", np.float32)
    x, _ = next(benchmarks.nn.minibatches(task.x, task.t, task.batch, task.seed))
    assert np.array_equal(task.x[next(rows(task))], x)
