"""W1 to W3 and W5: networks of affine layers on MNIST, and the matrix products that they cannot do without."""

from functools import partial

import numpy as np

import nnfunc as nn

from .task import Task

FLOOR = "matrix products"
SHALLOW = (784, 50, 10)


def w1(activation, data, dtype):
    """784-50-10, batches of 100, SGD."""
    return mlp(data, nn.init_mlp(0, SHALLOW, "xavier", dtype), activation, batch=100, lr=0.1)


def w2(data, dtype):
    """784-100x4-10, ReLU, batches of 128, Adam."""
    params = nn.init_mlp(0, (784, *[100] * 4, 10), dtype=dtype)
    return mlp(data, params, "relu", batch=128, optimizer="adam", lr=1e-3)


def w3(data, dtype):
    """784-100x5-10 with batch normalisation, ReLU, batches of 100, SGD."""
    params = nn.init_mlp(0, (784, *[100] * 5, 10), dtype=dtype, batch_norm=True)
    # Older revisions, which --against may name, return the statistics with the parameters
    params, stats = params if isinstance(params, tuple) else (params, nn.init_stats(params))
    return mlp(data, params, "relu", batch=100, lr=0.1, stats=stats)


def w5(data, dtype):
    """The scores of 10,000 images by the network of W1."""
    return w1("sigmoid", [a[:10_000] for a in data], dtype)


def mlp(data, params, activation, **settings):
    depth, layers = sum(name[0] == "W" for name in params), []
    for i in range(1, depth):
        layers += [("affine", i), *([("batch_norm", i)] if "gamma1" in params else []), (activation,)]
    net = nn.mlp(getattr(nn.layers, activation))
    x = np.asarray(data[0], params["W1"].dtype)
    return Task((*layers, ("affine", depth)), net, params, x, data[1], **settings)


def training_products(task):
    """The products of a step, into arrays that are there already, and nothing else."""
    return {FLOOR: partial(products, task, task.batch, True)}


def predicting_products(task):
    return {FLOOR: partial(products, task, len(task.x), False)}


def products(task, N, back, rows=None):
    weights = [task.params[f"W{i}"] for kind, *which in task.layers if kind == "affine" for i in which]
    z = [task.x[:N], *(np.zeros((N, W.shape[1]), W.dtype) for W in weights)]
    dz, dW = [np.zeros_like(a) for a in z[1:]], [np.empty_like(W) for W in weights]

    def step():
        for k, W in enumerate(weights):
            np.matmul(z[k], W, out=z[k + 1])
        if back:
            for k in reversed(range(len(weights))):
                np.matmul(z[k].T, dz[k], out=dW[k])
                if k:
                    np.matmul(dz[k], weights[k].T, out=dz[k - 1])

    return step
