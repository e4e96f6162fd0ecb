"""How the cost of a step grows with the batch and with the hidden layer, and what a step is made of."""

import numpy as np

import nnfunc as nn

from . import dense
from .task import peers
from .timing import seconds, typical
from .with_nnfunc import NAME as OURS

SHOWN = (OURS, "torch eager: functions, fused")
BATCHES = (10, 30, 100, 300, 1000, 3000, 10_000)
WIDTHS = (10, 20, 50, 100, 200, 500, 1000, 2000)


def measure(data, rounds, target):
    """Microseconds a step of 784-H-10, ReLU, SGD, float32: over the batch with H = 50, over H with a batch of 100."""
    return {
        "batch": [{"batch": batch} | step(data, batch, 50, rounds, target) for batch in BATCHES],
        "width": [{"width": width} | step(data, 100, width, rounds, target) for width in WIDTHS],
    }


def step(data, batch, width, rounds, target):
    task = dense.mlp(data, nn.init_mlp(0, (784, width, 10)), "relu", batch=batch, lr=0.1)
    steps = {name: make() for name, make in peers(task, "training").items() if name in SHOWN}
    return typical(seconds(steps, rounds, target)[0])


def parts(data, rounds, target):
    """Microseconds of the parts of a step of W1 with sigmoid in float32, each alone, as the library computes them."""
    task = dense.w1("sigmoid", data, np.float32)
    z, a, y = (np.ones((task.batch, n), np.float32) for n in (50, 50, 10))
    t, optimizer, W1 = task.t[: task.batch], nn.sgd(task.lr), task.params["W1"]
    state = optimizer.init(task.params)
    batches = nn.minibatches(task.x, task.t, task.batch)
    found = {
        "the whole step": peers(task, "training")[OURS](),
        "matrix products": dense.products(task, task.batch, True),
        "gathering the batch": lambda: next(batches)[1],
        "softmax and cross-entropy": lambda: nn.ops.softmax_cross_entropy(y, t)[1]()[0],
        "sigmoid, there and back": lambda: nn.ops.sigmoid(z)[1](a)[0],
        "the update": lambda: optimizer.step(task.params, task.params, state)[0]["b2"],
        "the product left out": lambda: z @ W1.T,
    }
    return typical(seconds(found, rounds, target)[0])
