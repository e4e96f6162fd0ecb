"""Initial weights: the same network and batches, and normally distributed weights of four widths."""

from functools import reduce
from itertools import pairwise
from math import log, sqrt
from operator import or_

import nnfunc as nn

from . import accuracy, last, train, with_loss_after

# What the sources call Xavier looks at a layer's inputs alone; Glorot and Bengio's formula at its outputs too.
SCALES = {
    "0.01": lambda inputs: 0.01,
    "1/√n": lambda inputs: 1 / sqrt(inputs),
    "Xavier": lambda inputs: "xavier",
    "He": lambda inputs: "he",
}

SOURCES = {
    "0.01: loss after": "2.3013 2.3023 2.3008",
    "1/√n: loss after": ".2807 .3058 .2858",
    "He: loss after": ".1977 .1994 .2000",
    "0.01: test": ".1135 .1135 .1135",
    "1/√n: test": ".9137 .9145 .9156",
    "He: test": ".9348 .9372 .9379",
}
BANDS = {
    "0.01: loss after": (2.295, 2.305),
    "1/√n: loss after": (0.25, 0.33),
    "Xavier: loss after": (0.235, 0.31),
    "He: loss after": (0.18, 0.23),
    "0.01: test": (0.09, 0.12),
    "1/√n: test": (0.9, 0.923),
    "Xavier: test": (0.907, 0.926),
    "He: test": (0.927, 0.94),
}


def init(seed, sizes, scale):
    """Weights of a multi-layer perceptron, the scale of each layer by the number of its inputs."""
    pairs = enumerate(pairwise(sizes), start=1)
    return reduce(or_, (nn.init_affine(seed, i, n, m, scale(n)) for i, (n, m) in pairs))


def run(data, seed=0, steps=2000, batch_size=128, lr=0.01, sizes=(784, 100, 100, 100, 100, 10), scales=SCALES):
    """Train once from each scale; return ``{scale: {'loss', 'loss after', 'test': curve}}``."""
    (x, t), (x_test, t_test) = data
    net, optimizer = nn.mlp(), nn.sgd(lr)
    step = with_loss_after(nn.train_step(nn.value_and_grad(net, nn.ops.softmax_cross_entropy), optimizer), net)
    measure = nn.every(steps, lambda state: {"test": accuracy(net, state, x_test, t_test)})

    def curves(scale):
        state = nn.init_state(optimizer, init(seed, sizes, scale), seed=seed)
        return train(step, state, x, t, batch_size, steps, measure)

    return {name: curves(scale) for name, scale in scales.items()}


def summary(curves):
    """Losses are means over the last hundred steps, accuracies those on the test images at the end."""
    losses = {f"{name}: loss after": last(c["loss after"], 100) for name, c in curves.items()}
    return losses | {f"{name}: test": last(c["test"]) for name, c in curves.items()}


def claims(summary):
    loss = {name: summary[f"{name}: loss after"] for name in SCALES}
    return {
        "0.01 learns nothing: its loss stays within 0.01 of ln 10": abs(loss["0.01"] - log(10)) < 0.01,
        "He < Xavier < 1/√n": loss["He"] < loss["Xavier"] < loss["1/√n"],
    }
