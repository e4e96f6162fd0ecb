"""The experiments of chapter 6, each a pure function of data, a seed and its sizes. ``python -m tests.experiments``.

A module is an experiment. ``run(data, seed)`` returns its curves, in the form of `nnfunc.history`, at the sizes of
Deep Learning from Scratch unless told otherwise; ``summary(curves)`` the few numbers that tell them apart; and
``claims(summary)`` what the picture is to show, sentence by sentence. `SOURCES` holds what the sources' own programs
gave in three runs, where they were run, and `BANDS` the interval in which each number of a full run is to lie: wide
enough for another seed and another BLAS, narrow enough for a slip in a formula to leave it.
"""

import nnfunc as nn


def train(step, state, x, t, batch_size, steps, measure):
    """Run a fit to its end, on batches drawn with replacement, as the sources draw them; return its curves."""
    batches = nn.minibatches(x, t, batch_size, state.seed, replace=True)
    return nn.history(nn.fit(step, state, batches, steps, measure))[1]


def accuracy(net, state, x, t):
    return float(nn.accuracy(nn.predict(net, state.params, x, state.stats), t))


def with_loss_after(step, net):
    """Let a step also measure its batch's loss once more, after the update: the loss that the sources record."""

    def watched(state, batch):
        x, t = batch
        state, metrics = step(state, batch)
        after, _ = nn.ops.softmax_cross_entropy(nn.predict(net, state.params, x, state.stats), t)
        return state, metrics | {"loss after": after}

    return watched


def last(curve, n=1):
    """The mean of a curve's last n values."""
    return float(curve[1][-n:].mean())
