"""Batch normalisation: weights of sixteen widths, each net trained plain and with batch normalisation."""

import numpy as np

import nnfunc as nn

from . import accuracy, last, train

SCALES = tuple(np.logspace(0, -4, 16).tolist())
# The sources' eps. Weights of 0.0001 give variances below 1e-6: beside the library's 1e-5 they count for nothing, and
# the last panel stands still.
EPS = 1e-6
SOURCES = {
    "1: plain": ".097 .116 .097",
    "1: batch norm": ".447 .457 .389",
    "0.541: plain": ".097 .097 .097",
    "0.541: batch norm": ".519 .420 .468",
    "0.293: plain": ".954 .997 .984",
    "0.293: batch norm": ".665 .643 .681",
    "0.158: plain": ".852 .885 .852",
    "0.158: batch norm": ".811 .786 .766",
    "0.0858: plain": ".169 .317 .354",
    "0.0858: batch norm": ".871 .872 .895",
    "0.0464: plain": ".117 .187 .117",
    "0.0464: batch norm": ".944 .956 .950",
    "0.0251: plain": ".117 .116 .117",
    "0.0251: batch norm": ".990 .988 .991",
    "0.0136: plain": ".116 .117 .116",
    "0.0136: batch norm": ".998 .999 .999",
    "0.00736: plain": ".117 .117 .116",
    "0.00736: batch norm": "1.00 1.00 .999",
    "0.00398: plain": ".117 .117 .116",
    "0.00398: batch norm": ".905 .998 .999",
    "0.00215: plain": ".116 .116 .117",
    "0.00215: batch norm": ".873 .872 .991",
    "0.00117: plain": ".117 .117 .116",
    "0.00117: batch norm": ".911 .901 .772",
    "0.000631: plain": ".117 .117 .117",
    "0.000631: batch norm": ".532 .704 .712",
    "0.000341: plain": ".116 .116 .117",
    "0.000341: batch norm": ".635 .611 .424",
    "0.000185: plain": ".116 .117 .116",
    "0.000185: batch norm": ".528 .530 .517",
    "0.0001: plain": ".117 .117 .117",
    "0.0001: batch norm": ".525 .434 .433",
}
# Plain, 1 and 0.541 have none: their weights overflow, and the accuracy of scores that are nan is nan. (The sources'
# programs take nan for the largest score and the first class for the answer, which is right for about one in ten.)
BANDS = {
    "1: batch norm": (0.3, 0.54),
    "0.541: batch norm": (0.36, 0.6),
    "0.293: plain": (0.9, 1),
    "0.293: batch norm": (0.54, 0.74),
    "0.158: plain": (0.8, 0.93),
    "0.158: batch norm": (0.72, 0.87),
    "0.0858: plain": (0.12, 0.5),
    "0.0858: batch norm": (0.83, 0.93),
    "0.0464: plain": (0.1, 0.25),
    "0.0464: batch norm": (0.91, 0.97),
    "0.0251: plain": (0.1, 0.13),
    "0.0251: batch norm": (0.97, 1),
    "0.0136: plain": (0.1, 0.13),
    "0.0136: batch norm": (0.985, 1),
    "0.00736: plain": (0.1, 0.13),
    "0.00736: batch norm": (0.985, 1),
    "0.00398: plain": (0.1, 0.13),
    "0.00398: batch norm": (0.85, 1),
    "0.00215: plain": (0.1, 0.13),
    "0.00215: batch norm": (0.8, 1),
    "0.00117: plain": (0.1, 0.13),
    "0.00117: batch norm": (0.6, 1),
    "0.000631: plain": (0.1, 0.13),
    "0.000631: batch norm": (0.45, 0.95),
    "0.000341: plain": (0.1, 0.13),
    "0.000341: batch norm": (0.35, 0.85),
    "0.000185: plain": (0.1, 0.13),
    "0.000185: batch norm": (0.35, 0.8),
    "0.0001: plain": (0.1, 0.13),
    "0.0001: batch norm": (0.2, 0.65),
}


def run(data, seed=0, scales=SCALES, images=1000, epochs=20, batch_size=100, lr=0.01, hidden=5, eps=EPS):
    """Train twice from each scale; return ``{scale: {'plain', 'batch norm': curve of training accuracies}}``."""
    (x, t), _ = data
    x, t = x[:images], t[:images]
    sizes, optimizer, epoch = (784, *[100] * hidden, 10), nn.sgd(lr), images // batch_size
    pairs = ((nn.layers.affine(i), nn.layers.batch_norm(i, eps=eps), nn.layers.relu) for i in range(1, hidden + 1))
    normalised = nn.layers.serial(*(layer for pair in pairs for layer in pair), nn.layers.affine(hidden + 1))

    def curve(net, params):
        step = nn.train_step(nn.value_and_grad(net, nn.ops.softmax_cross_entropy), optimizer)
        # The sources measure after the first step of an epoch, so the first point is next to chance.
        measure = lambda state: {"train": accuracy(net, state, x, t)} if state.step % epoch == 1 else {}
        state = nn.init_state(optimizer, params, nn.init_stats(params), seed)
        return train(step, state, x, t, batch_size, (epochs - 1) * epoch + 1, measure)["train"]

    # Weights as wide as 1 overflow, and nan then never learns: the plain curves of the first panels end there.
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            scale: {
                "plain": curve(nn.mlp(), nn.init_mlp(seed, sizes, scale)),
                "batch norm": curve(normalised, nn.init_mlp(seed, sizes, scale, batch_norm=True)),
            }
            for scale in scales
        }


def summary(curves):
    """Training accuracies after the last epoch."""
    return {f"{scale:.3g}: {name}": last(c) for scale, panel in curves.items() for name, c in panel.items()}


def claims(summary):
    scales = [name.removesuffix(": plain") for name in summary if name.endswith(": plain")]
    lost = {scale for scale in scales if summary[f"{scale}: plain"] >= summary[f"{scale}: batch norm"]}
    overflowed = {scale for scale in scales if np.isnan(summary[f"{scale}: plain"])}
    return {
        "batch normalisation wins everywhere but at 0.293 and 0.158": lost == {"0.293", "0.158"} & set(scales),
        "plain, 1 and 0.541 overflow, and nothing else does": overflowed == {"1", "0.541"} & set(scales),
    }
