"""scikit-learn: MLPClassifier, which learns batch by batch through partial_fit. It has no batch norm and no filters."""

from functools import partial
from itertools import count, islice

import numpy as np
from sklearn.neural_network import MLPClassifier

from .task import ADAM_EPS, BETAS, shuffled

NAME, STEPS = "scikit-learn", 20
ACTIVATIONS = {"sigmoid": "logistic", "relu": "relu"}


def training(task):
    return {NAME: partial(train, task)} if fits(task) else {}


def predicting(task):
    return {NAME: partial(predict, task)} if fits(task) else {}


def fits(task):
    return {kind for kind, *_ in task.layers} <= {"affine", *ACTIVATIONS}


def predict(task, rows=None):
    """Probabilities: it does not give scores."""
    return partial(classifier(task).predict_proba, task.x)


def train(task, rows=None):
    """Several batches a call, cut by itself: one at a time, its checks of the input take longer than the steps."""
    net, batches = classifier(task), shuffled(task)

    def steps():
        chosen = np.concatenate([*islice(batches, STEPS)])
        net.partial_fit(task.x[chosen], task.t[chosen])
        return net.loss_

    steps.taken = STEPS
    return steps if rows is None else one_by_one(task, net, rows)


def one_by_one(task, net, rows):
    """The same with the loss of each step, and with Adam's eps, which it adds before the correction for bias, after."""
    t = count(1)

    def step():
        net.epsilon = ADAM_EPS * (1 - BETAS[1] ** next(t)) ** 0.5
        if hasattr(net, "_optimizer"):
            net._optimizer.epsilon = net.epsilon
        chosen = next(rows)
        net.partial_fit(task.x[chosen], task.t[chosen])
        return net.loss_

    return step


def classifier(task):
    """The classifier with the task's weights: a first step makes its arrays, and is forgotten."""
    depth = task.layers[-1][1]
    hidden = [len(task.params[f"b{i}"]) for i in range(1, depth)]
    net = MLPClassifier(
        hidden,
        activation=next(ACTIVATIONS[kind] for kind, *_ in task.layers if kind in ACTIVATIONS),
        solver=task.optimizer,
        alpha=0,
        batch_size=task.batch,
        learning_rate_init=task.lr,
        momentum=0,
        shuffle=False,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=ADAM_EPS,
        random_state=task.seed,
    )
    net.partial_fit(task.x[: task.batch], task.t[: task.batch], classes=np.arange(10))
    del net._optimizer
    for i in range(depth):
        net.coefs_[i], net.intercepts_[i] = task.params[f"W{i + 1}"].copy(), task.params[f"b{i + 1}"].copy()
    return net
