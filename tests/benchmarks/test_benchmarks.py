"""The benchmarks compare what is equal. No time is asserted."""

import numpy as np
import pytest

from . import __main__ as benchmarks
from . import timing, w1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_every_peer_goes_through_the_same_losses(mnist, activation, dtype):
    pytest.importorskip("torch", reason="PyTorch comes with the extra `dev`")
    (x, t), _ = mnist
    data = x[:1000].copy(), t[:1000].copy()
    peers = w1.workload(activation, data, dtype)
    assert len(peers) == 1 + 2 * len(w1.SGDS) + 1
    with timing.one_thread():
        benchmarks.check(peers, lambda: w1.rows(data[1]), benchmarks.CLOSE[dtype])
        for make in peers.values():
            make()()


def falling(by):
    def make(rows=None):
        loss = 3.0

        def step():
            nonlocal loss
            loss *= by
            return loss

        return step

    return make


def test_a_peer_that_computes_something_else_stops_the_benchmark():
    benchmarks.check({timing.OURS: falling(0.9), "same": falling(0.9)}, lambda: None, 1e-12)
    with pytest.raises(SystemExit, match=r"^other: its losses differ by .* from those of nnfunc$"):
        benchmarks.check({timing.OURS: falling(0.9), "other": falling(0.9001)}, lambda: None, 1e-5)


def test_the_table_names_the_best_variant_and_leaves_a_hole_for_a_missing_peer():
    taken = {timing.OURS: [2e-6, 3e-6, 2e-6], "A slow": [9e-6] * 3, "A fast": [4e-6, 6e-6, 5e-6]}
    assert timing.best(taken, "A") == "A fast"
    rows = [timing.row("W", taken, ["A", "B"])]
    assert timing.table(["step", "µs", "÷ A", "÷ B"], rows).splitlines() == [
        "| step | µs | ÷ A | ÷ B |",
        "| --- | ---: | ---: | ---: |",
        "| W | 2 | 0.50 | – |",
    ]


def test_peers_take_turns_and_every_step_is_counted():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")}
    taken = timing.seconds(steps, rounds=3, count=2)
    assert "".join(calls) == "aabbcc" + "aabbcc" + "bbccaa" + "ccaabb"
    assert {name: len(rounds) for name, rounds in taken.items()} == {"a": 3, "b": 3, "c": 3}
