"""W4 and W4b: convolutional networks on MNIST, batches of 100, Adam, and the matrix products of a step."""

from functools import partial

import numpy as np

import nnfunc as nn

from .dense import FLOOR
from .task import Task

CHUNK = 10  # images whose columns stay in the cache


def w4(data, dtype):
    """The simple network of chapter 7: 30 filters of 5 x 5, pooling, 100 hidden neurons."""
    layers = (("conv", 1, 0), ("relu",), ("pool",), ("flatten",), ("affine", 2), ("relu",), ("affine", 3))
    return images(data, layers, nn.simple_convnet(), nn.init_simple_convnet(0, dtype=dtype))


def w4b(data, dtype):
    """The deep network of chapter 8 without its two dropouts, since no two peers draw the same masks."""
    layers = []
    for i in (1, 3, 5):
        layers += [("conv", i, 1), ("relu",), ("conv", i + 1, 2 if i == 3 else 1), ("relu",), ("pool",)]
    layers += [("flatten",), ("affine", 7), ("relu",), ("affine", 8)]
    params = nn.init_deep_convnet(0, dtype=dtype)
    kept = [layer for layer in nn.deep_convnet().expand(params) if layer.op is not nn.ops.dropout]
    return images(data, layers, nn.layers.serial(*kept), params)


def images(data, layers, net, params):
    x = np.asarray(data[0], params["W1"].dtype).reshape(-1, 1, 28, 28)
    return Task(tuple(layers), net, params, x, data[1], batch=100, optimizer="adam", lr=1e-3)


def training_products(task):
    return {FLOOR: partial(products, task)}


def products(task, rows=None):
    """Each layer's products with the columns of `CHUNK` images at a time, or with the whole batch if it is affine."""
    turns = []
    side = task.x.shape[2]
    for kind, *which in task.layers:
        if kind == "conv":
            i, pad = which
            F, *window = task.params[f"W{i}"].shape
            side += 2 * pad - window[-1] + 1
            turns += task.batch // CHUNK * _products((CHUNK, np.prod(window), side * side), F, i > 1, task.x.dtype)
        elif kind == "pool":
            side //= 2
        elif kind == "affine":
            D, M = task.params[f"W{which[0]}"].shape
            turns += _products((1, D, task.batch), M, True, task.x.dtype)

    def step():
        for multiply in turns:
            multiply()

    return step


def _products(shape, F, dx, dtype):
    """``W @ col``, ``dy @ col.T``, and where the input's gradient is wanted ``W.T @ dy``."""
    N, K, P = shape
    col, W, y, dW = (np.ones(s, dtype) for s in (shape, (F, K), (N, F, P), (N, F, K)))
    dcol = np.empty_like(col)
    return [
        lambda: np.matmul(W, col, out=y),
        lambda: np.matmul(y, col.transpose(0, 2, 1), out=dW),
        *([lambda: np.matmul(W.T, y, out=dcol)] if dx else []),
    ]
