"""Search: a hundred draws of learning rate and weight decay, each judged by images that it did not learn from."""

from functools import partial

import numpy as np

import nnfunc as nn

from . import accuracy, last, train

SPACE = {"lr": ("log", 1e-6, 1e-2), "lam": ("log", 1e-8, 1e-4)}

SOURCES: dict[str, str] = {}  # they name it and print nothing
BANDS = {
    "best score": (0.68, 0.92),
    "score of number 20": (0.15, 0.5),
    "last score": (0.0, 0.1),
    "lowest lr of the best five": (0.003, 0.01),
    "share of draws with lr below 0.001": (0.6, 0.9),
    "share of draws with lam below 1e-6": (0.32, 0.68),
    "rank correlation of score and lr": (0.45, 0.95),
    "rank correlation of score and lam": (-0.4, 0.4),
}


def run(data, seed=0, trials=100, images=500, validation=0.2, epochs=50, batch_size=100, hidden=6, map=map):
    """Search at random; return the trials, the best first, each with its curves ``'train'`` and ``'validation'``."""
    (x, t), _ = data
    parts = nn.train_validation_split(x[:images], t[:images], validation, seed)
    trial = partial(learn, *parts, epochs, batch_size, (784, *[100] * hidden, 10))
    return nn.random_search(trial, SPACE, trials, seed, map)


def learn(training, validation, epochs, batch_size, sizes, settings, key):
    """One trial: a pure function, which a process pool can call."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    net, optimizer, epoch = nn.mlp(), nn.sgd(settings["lr"]), len(training[0]) // batch_size
    grad = nn.with_weight_decay(nn.value_and_grad(net, nn.ops.softmax_cross_entropy), settings["lam"])
    parts = {"train": training, "validation": validation}
    measure = lambda state: {name: accuracy(net, state, *part) for name, part in parts.items()}
    state = nn.init_state(optimizer, nn.init_mlp(seed, sizes, "he"), seed=seed)
    step = nn.train_step(grad, optimizer)
    curves = train(step, state, *training, batch_size, epochs * epoch, nn.every(epoch, measure))
    return {"score": last(curves["validation"])} | {name: curves[name][1] for name in parts}


def summary(trials):
    score = np.array([trial.metrics["score"] for trial in trials])
    lr, lam = (np.array([trial.settings[name] for trial in trials]) for name in SPACE)
    return {
        "best score": score[0],
        "score of number 20": score[19],
        "last score": score[-1],
        "lowest lr of the best five": lr[:5].min(),
        "share of draws with lr below 0.001": np.mean(lr < 1e-3),
        "share of draws with lam below 1e-6": np.mean(lam < 1e-6),
        "rank correlation of score and lr": np.corrcoef(_ranks(score), _ranks(lr))[0, 1],
        "rank correlation of score and lam": np.corrcoef(_ranks(score), _ranks(lam))[0, 1],
    }


def claims(summary):
    return {
        "the best five learned at rates between 0.001 and 0.01": 0.001 < summary["lowest lr of the best five"] <= 0.01,
        "the learning rate decides, weight decay of this size does not": (
            summary["rank correlation of score and lr"] > 0.2 + abs(summary["rank correlation of score and lam"])
        ),
    }


def _ranks(values):
    return np.argsort(np.argsort(values))
