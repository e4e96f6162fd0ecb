"""Overfitting: seven layers learn 300 images by heart, unless weight decay or dropout keeps them from it."""

import nnfunc as nn

from . import accuracy, last, train

SOURCES: dict[str, str] = {}  # they print none
BANDS = {
    "plain: train": (0.995, 1.0),
    "plain: test": (0.71, 0.8),
    "weight decay: train": (0.78, 0.97),
    "weight decay: test": (0.64, 0.78),
    "dropout: train": (0.74, 0.96),
    "dropout: test": (0.58, 0.73),
}


def run(data, seed=0, images=300, epochs=201, batch_size=100, lr=0.01, lam=0.1, rate=0.2, every=3, hidden=6):
    """Train plain, with weight decay and with dropout; return ``{name: {'loss', 'train', 'test': curve}}``."""
    (x, t), test = data
    x, t = x[:images], t[:images]
    epoch = images // batch_size
    params, optimizer = nn.init_mlp(seed, (784, *[100] * hidden, 10), "he"), nn.sgd(lr)

    def curves(net, decay=lambda grad: grad):
        grad = decay(nn.value_and_grad(net, nn.ops.softmax_cross_entropy))
        parts = {"train": (x, t), "test": test}
        measure = lambda state: {name: accuracy(net, state, *part) for name, part in parts.items()}
        state = nn.init_state(optimizer, params, seed=seed)
        step = nn.train_step(grad, optimizer)
        return train(step, state, x, t, batch_size, epochs * epoch, nn.every(every * epoch, measure))

    return {
        "plain": curves(nn.mlp()),
        "weight decay": curves(nn.mlp(), lambda grad: nn.with_weight_decay(grad, lam)),
        "dropout": curves(nn.mlp(dropout=rate)),
    }


def summary(curves):
    """Accuracies at the end."""
    return {f"{name}: {part}": last(c[part]) for name, c in curves.items() for part in ("train", "test")}


def claims(summary):
    gap = {name: summary[f"{name}: train"] - summary[f"{name}: test"] for name in ("plain", "weight decay", "dropout")}
    return {
        "weight decay narrows the gap between training and test": gap["weight decay"] < gap["plain"] - 0.01,
        "dropout narrows it": gap["dropout"] < gap["plain"] - 0.01,
        "neither does better on the test images than the net that is left alone": (
            max(summary["weight decay: test"], summary["dropout: test"]) < summary["plain: test"]
        ),
    }
