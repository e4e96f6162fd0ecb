"""Draw spiral.png: a small network learns three arms of a spiral.

Run it from anywhere: ``python docs/assets/spiral.py``. It needs the extra `plot`.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import nnfunc as nn

mpl.use("agg")
import matplotlib.pyplot as plt

SHOWN = (0, 30, 1000)
ARMS = ("#0f766e", "#c2410c", "#6d28d9")


def states():
    """Yield the state before the first step and after each one, with the data."""
    x, t = nn.spiral(0)
    optimizer = nn.adam(lr=0.01)
    step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    state = nn.init_state(optimizer, nn.init_mlp(0, (2, 32, 32, 3)))
    yield state, x, t
    for new, _ in nn.fit(step, state, nn.minibatches(x, t, 100), steps=max(SHOWN)):
        yield new, x, t


def draw(path):
    """Write the picture to `path`."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1.1, 1.1, 400)] * 2), axis=-1).astype(np.float32)
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9, 3.35), layout="constrained")
    panels = iter(axes)
    for state, x, t in states():
        if state.step not in SHOWN:
            continue
        panel = next(panels)
        p = nn.softmax(nn.predict(nn.mlp(), state.params, grid.reshape(-1, 2))).reshape(400, 400, 3)
        colours = np.array([mpl.colors.to_rgb(arm) for arm in ARMS])
        panel.imshow(0.35 * p @ colours + 0.65, extent=(-1.1, 1.1, -1.1, 1.1), origin="lower")
        panel.scatter(*x.T, s=9, c=[ARMS[k] for k in t], linewidths=0.3, edgecolors="white")
        right = nn.accuracy(nn.predict(nn.mlp(), state.params, x), t)
        panel.set_title(f"{state.step} steps: {right:.0%} right", fontsize=11, color="#6b7280")
        panel.axis("off")
    figure.savefig(path, dpi=130, pad_inches=0.1, bbox_inches="tight", transparent=True, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".png"))
