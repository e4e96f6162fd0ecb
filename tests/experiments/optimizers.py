"""Optimizers: the same network, first weights and batches, and six ways to descend."""

import nnfunc as nn

from . import accuracy, last, train, with_loss_after

OPTIMIZERS = {
    "SGD": nn.sgd(0.01),
    "Momentum": nn.momentum(0.01, 0.9),
    "Nesterov": nn.nesterov(0.01, 0.9),
    "AdaGrad": nn.adagrad(0.01),
    "RMSprop": nn.rmsprop(0.01, 0.99),
    "Adam": nn.adam(0.001),
}

SOURCES = {
    "SGD: loss after": ".2056 .2002 .1991",
    "Momentum: loss after": ".0659 .0634 .0618",
    "Nesterov: loss after": ".0555",
    "AdaGrad: loss after": ".0321 .0292 .0316",
    "RMSprop: loss after": ".0725",
    "Adam: loss after": ".0405 .0416 .0384",
    "SGD: test": ".9329 .9326 .9333",
    "Momentum: test": ".9708 .9727 .9635",
    "Nesterov: test": ".9677",
    "AdaGrad: test": ".9722 .9732 .9706",
    "RMSprop: test": ".9513",
    "Adam: test": ".9712 .9678 .9670",
}
BANDS = {
    "SGD: loss after": (0.18, 0.23),
    "Momentum: loss after": (0.05, 0.08),
    "Nesterov: loss after": (0.04, 0.066),
    "AdaGrad: loss after": (0.023, 0.038),
    "RMSprop: loss after": (0.05, 0.11),
    "Adam: loss after": (0.031, 0.048),
    "SGD: loss": (0.2, 0.26),
    "Momentum: loss": (0.06, 0.09),
    "Nesterov: loss": (0.06, 0.085),
    "AdaGrad: loss": (0.045, 0.068),
    "RMSprop: loss": (0.12, 0.22),
    "Adam: loss": (0.042, 0.062),
    "SGD: test": (0.927, 0.94),
    "Momentum: test": (0.955, 0.976),
    "Nesterov: test": (0.958, 0.976),
    "AdaGrad: test": (0.963, 0.977),
    "RMSprop: test": (0.915, 0.965),
    "Adam: test": (0.962, 0.977),
}


def run(data, seed=0, steps=2000, batch_size=128, sizes=(784, 100, 100, 100, 100, 10), optimizers=OPTIMIZERS):
    """Train once with each optimizer; return ``{optimizer: {'loss', 'loss after', 'test': curve}}``."""
    (x, t), (x_test, t_test) = data
    net, params = nn.mlp(), nn.init_mlp(seed, sizes, "he")
    grad = nn.value_and_grad(net, nn.ops.softmax_cross_entropy)
    measure = nn.every(steps, lambda state: {"test": accuracy(net, state, x_test, t_test)})

    def curves(optimizer):
        step = with_loss_after(nn.train_step(grad, optimizer), net)
        return train(step, nn.init_state(optimizer, params, seed=seed), x, t, batch_size, steps, measure)

    return {name: curves(optimizer) for name, optimizer in optimizers.items()}


def summary(curves):
    """Losses are means over the last hundred steps, accuracies those on the test images at the end."""
    losses = {f"{name}: {when}": last(c[when], 100) for when in ("loss after", "loss") for name, c in curves.items()}
    return losses | {f"{name}: test": last(c["test"]) for name, c in curves.items()}


def claims(summary):
    after, before = ({name: summary[f"{name}: {when}"] for name in OPTIMIZERS} for when in ("loss after", "loss"))
    return {
        "after the update: AdaGrad < Adam < Momentum < SGD": (
            after["AdaGrad"] < after["Adam"] < after["Momentum"] < after["SGD"]
        ),
        "before it, on images not just learnt from, AdaGrad's lead is gone": before["AdaGrad"] > 0.85 * before["Adam"],
        "after the update: Nesterov < Momentum": after["Nesterov"] < 0.97 * after["Momentum"],
    }
