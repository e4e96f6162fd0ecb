"""The library's own side: its ordinary public functions."""

from functools import partial

import nnfunc as nn

from .task import ADAM_EPS, BETAS

NAME = "nnfunc"


def training(task):
    return {NAME: partial(train, task)}


def predicting(task):
    return {NAME: lambda rows=None: partial(nn.predict, task.net, task.params, task.x)}


def rule(task):
    return nn.sgd(task.lr) if task.optimizer == "sgd" else nn.adam(task.lr, *BETAS, ADAM_EPS)


def train(task, rows=None):
    """Its own batches are those of `task.rows`."""
    optimizer = rule(task)
    update = nn.train_step(nn.value_and_grad(task.net, nn.ops.softmax_cross_entropy), optimizer)
    state = nn.init_state(optimizer, task.params, task.stats, task.seed)
    batches = nn.minibatches(task.x, task.t, task.batch, task.seed)

    def step():
        nonlocal state
        state, metrics = update(state, next(batches))
        return metrics["loss"]

    return step
