"""Writes optimizers.npz: the path of twenty steps of each rule as PyTorch's optimizers take it.

Run it with PyTorch installed: ``python tests/oracles/make_optimizer_fixtures.py``.

The rules are PyTorch's own; only settings are named, none is rewritten. Where its rule has another form:

- momentum, nesterov: PyTorch's buffer is the sum of gradients and is multiplied by lr when it is used;
  nnfunc's velocity has the factor -lr in it already, v = -lr * buffer. With a constant lr the parameters
  are the same; with one that changes they are not, since PyTorch rescales the past and nnfunc does not.
- adagrad, rmsprop: the same formula; PyTorch's eps is 1e-10 and 1e-8 unless told, so it is told.
- adam: PyTorch divides sqrt(v) by sqrt(1 - beta2**t) and adds eps then, which is Algorithm 1.
- adamw: PyTorch decays all that it is given, nnfunc the names that begin with W.
"""

from pathlib import Path

import numpy as np

STEPS = 20
SETTINGS = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "nesterov": {"lr": 0.05, "momentum": 0.8},
    "adagrad": {"lr": 0.1, "eps": 1e-7},
    "rmsprop": {"lr": 0.02, "decay": 0.9, "eps": 1e-7},
    "adam": {"lr": 0.03, "beta1": 0.8, "beta2": 0.99, "eps": 1e-8},
    "adamw": {"lr": 0.03, "beta1": 0.8, "beta2": 0.99, "eps": 1e-8, "decay": 0.4},
}


def problem():
    """Start and gradients: ordinary ones, zeros, and some as small as the eps."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(12)
    scale = np.repeat([1.0, 1e-8, 1e3], 4)
    grads = rng.standard_normal((STEPS, 12)) * scale
    grads[:, 3] = 0
    grads[::2, 7] = 0
    return start, grads


def torch_optimizer(torch, name, settings, p):
    s = dict(settings)
    if name == "rmsprop":
        s["alpha"] = s.pop("decay")
    if name in ("adam", "adamw"):
        s["betas"] = s.pop("beta1"), s.pop("beta2")
    if name == "adamw":
        s["weight_decay"] = s.pop("decay")
    if name == "nesterov":
        s["nesterov"] = True
    rule = {"adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}.get(name, "SGD")
    return getattr(torch.optim, rule)([p], **s)


def path(torch, name, settings, start, grads):
    """The parameters after each step."""
    p = torch.tensor(start)
    optimizer = torch_optimizer(torch, name, settings, p)
    points = []
    for g in grads:
        p.grad = torch.tensor(g)
        optimizer.step()
        points.append(p.detach().numpy().copy())
    return np.stack(points)


def make(torch):
    start, grads = problem()
    paths = {name: path(torch, name, settings, start, grads) for name, settings in SETTINGS.items()}
    return {"start": start, "grads": grads} | paths


if __name__ == "__main__":
    import torch

    np.savez_compressed(Path(__file__).with_name("optimizers.npz"), **make(torch))
