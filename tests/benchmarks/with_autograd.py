"""HIPS autograd: NumPy that differentiates itself. It has no convolution of its own."""

from functools import partial

import autograd.numpy as np
from autograd import value_and_grad
from autograd.scipy.special import expit, logsumexp

from .task import EPS, MOMENTUM, memory, shuffled, updates

NAME = "HIPS autograd"


def training(task):
    return {NAME: partial(train, task)} if task.x.ndim == 2 else {}


def predicting(task):
    return {}


def train(task, rows=None):
    params, stats, state = task.params, task.stats, memory(task, task.params, 0)
    batches = shuffled(task) if rows is None else rows

    def loss(params, x, t, stats):
        y = scores(task.layers, params, x, stats)
        return np.mean(logsumexp(y, axis=1) - y[np.arange(len(t)), t])

    grad = value_and_grad(loss)

    def step():
        nonlocal params, stats, state
        batch, new = next(batches), dict(stats)
        value, grads = grad(params, task.x[batch], task.t[batch], new)
        params, state = UPDATES[task.optimizer](task.lr, params, grads, state)
        stats = new
        return value

    return step


def scores(layers, p, x, stats):
    for kind, *which in layers:
        x = batch_norm(p, x, *which, stats) if kind == "batch_norm" else FUNCTIONS[kind](p, x, *which)
    return x


def batch_norm(p, x, i, stats):
    mean = np.mean(x, axis=0)
    off = x - mean
    var = np.mean(off * off, axis=0)
    for name, now in ((f"mean{i}", mean), (f"var{i}", var)):
        stats[name] = MOMENTUM * stats[name] + (1 - MOMENTUM) * now._value
    return off / np.sqrt(var + EPS) * p[f"gamma{i}"] + p[f"beta{i}"]


FUNCTIONS = {
    "affine": lambda p, x, i: x @ p[f"W{i}"] + p[f"b{i}"],
    "relu": lambda p, x: np.maximum(x, 0),
    "sigmoid": lambda p, x: expit(x),
}


UPDATES = updates(np)
