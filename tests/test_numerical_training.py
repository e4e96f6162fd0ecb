"""Training by numerical gradient: the thirty steps and the ten thousand that the sources began."""

import csv

import numpy as np
import pytest

import nnfunc as nn

from .experiments import numerical, xor


@pytest.mark.rows("S4-14", "S4-15", "S4-16", "S4-17")
def test_thirty_steps_give_the_numbers_of_the_sources_own_program(mnist):
    """It took the sources' program 51 minutes; nothing visible is learnt yet."""
    (x, t), (x_test, t_test) = mnist
    x, x_test = x.astype(np.float64), x_test.astype(np.float64)
    legacy = np.random.RandomState(0)
    params = {"W1": 0.01 * legacy.randn(784, 100), "b1": np.zeros(100)}
    params |= {"W2": 0.01 * legacy.randn(100, 10), "b2": np.zeros(10)}
    net, optimizer = nn.mlp(nn.layers.sigmoid), nn.sgd(lr=0.1)
    grad, opt, seen = nn.numerical_value_and_grad(net, nn.ops.softmax_cross_entropy), optimizer.init(params), {}
    for i in range(30):
        batch = legacy.choice(len(x), 100)
        _, grads, _ = grad(params, x[batch], t[batch])
        params, opt = optimizer.step(params, grads, opt)
        if i in (0, 1, 9, 19, 29):
            loss, _ = nn.ops.softmax_cross_entropy(nn.predict(net, params, x[batch]), t[batch])
            parts = ((x_test, t_test), (x, t))
            test, train = (nn.accuracy(nn.predict(net, params, images), labels) for images, labels in parts)
            seen[i] = round(float(test), 4), round(float(train), 4), float(loss)
    expected = {
        0: (0.098, 0.0987, 2.284816589342952),
        1: (0.1009, 0.0992, 2.290596928383887),
        9: (0.1028, 0.1044, 2.2755688342732197),
        19: (0.1135, 0.1124, 2.285533697256316),
        29: (0.1135, 0.1124, 2.269423431719818),
    }
    assert seen.keys() == expected.keys()
    for i, (test, train, loss) in expected.items():
        assert seen[i][:2] == pytest.approx((test, train), abs=2e-4)
        assert seen[i][2] == pytest.approx(loss, abs=1e-11)


@pytest.mark.rows("S0-19", "S0-20")
def test_the_record_of_ten_thousand_steps_lies_on_backpropagation():
    with numerical.RECORD.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [*range(600, 10_000, 600), 10_000]
    for row in rows:
        assert abs(row["numerical test"] - row["backprop test"]) <= 0.002
        assert abs(row["numerical loss"] - row["backprop loss"]) <= 1e-5
        assert row["weights apart"] < 1e-4
    assert 0.76 <= rows[0]["numerical test"] <= 0.81
    assert 0.94 <= rows[-1]["numerical test"] <= 0.95


def test_the_two_runs_of_the_record_start_alike(mnist):
    one, *_, three = numerical.run(mnist, steps=3, every=1)
    assert (one["step"], three["step"]) == (1, 3)
    assert one["numerical loss"] == one["backprop loss"]
    assert 0 < float(one["weights apart"]) < float(three["weights apart"]) < 1e-9


# XOR from fifty starts


@pytest.mark.rows("S1-08", "S1-09")
def test_the_record_of_fifty_starts_has_one_that_does_not_learn():
    with xor.RECORD.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], float(row["h"])) for row in rows] == [(str(seed), h) for seed in range(50) for h in xor.STEPS]
    for h, failing in ((0.1, {"36"}), (1e-4, set())):
        ends = {row["seed"]: row for row in rows if float(row["h"]) == h}
        assert {seed for seed, row in ends.items() if row["answers"] != "0110"} == failing
        assert {seed for seed, row in ends.items() if row["right"] != "4"} == failing
        assert all(0.03 < float(row["loss"]) < 0.3 for seed, row in ends.items() if seed not in failing)
    ends = [float(row["loss"]) for row in rows if row["h"] == "0.1"]
    assert ends[:3] == pytest.approx([0.11739579531320771, 0.11924, 0.05571], abs=5e-6)
    assert np.log(2) / 2 < ends[36] < 0.38


def test_the_starts_learn_as_the_library_does():
    x, t = nn.xor()
    loss = lambda z, t: (nn.cross_entropy_error(nn.softmax(z), t), None)
    for row in xor.run(seeds=(3, 36), steps=20):
        params = {name: p[0].squeeze() for name, p in xor.starts([row["seed"]]).items()}
        grad, sgd = nn.numerical_value_and_grad(nn.mlp(), loss, h=row["h"]), nn.sgd(0.01)
        opt = sgd.init(params)
        for _ in range(20):
            _, grads, _ = grad(params, x.astype(np.float64), t)
            params, opt = sgd.step(params, grads, opt)
        scores = nn.predict(nn.mlp(), params, x)
        assert float(row["loss"]) == pytest.approx(loss(scores, t)[0], abs=1e-10)
        assert row["answers"] == "".join(map(str, scores.argmax(axis=1)))
        assert row["right"] == (scores.argmax(axis=1) == t).sum()
