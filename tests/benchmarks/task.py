"""What is to be computed, said in a way that every peer can build from."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from math import log
from typing import Any, NamedTuple

import numpy as np

import nnfunc as nn

MOMENTUM, EPS, BETAS, ADAM_EPS = 0.9, 1e-5, (0.9, 0.999), 1e-8
PEERS = {"torch": "with_torch", "jax": "with_jax", "sklearn": "with_sklearn", "autograd": "with_autograd"}


class Task(NamedTuple):
    """A network and how it is to be trained.

    `layers` names what `net` does to its input, one tuple a layer: ``("affine", 1)``, ``("batch_norm", 1)``,
    ``("conv", 1, pad)``, ``("pool",)``, ``("flatten",)``, ``("relu",)``, ``("sigmoid",)``.
    """

    layers: tuple[tuple, ...]
    net: Callable
    params: dict[str, np.ndarray]
    x: np.ndarray
    t: np.ndarray
    batch: int
    optimizer: str = "sgd"
    lr: float = 0.1
    stats: dict[str, np.ndarray] = {}  # noqa: RUF012 (a tuple's default, which nothing writes to)
    seed: int = 0


Make = Callable[..., Callable[[], Any]]


def peers(task: Task, doing: str) -> dict[str, Make]:
    """Every installed peer's variants for "training" or "predicting", the library's own first."""
    files = ["with_nnfunc", *(file for package, file in PEERS.items() if importlib.util.find_spec(package))]
    found: dict[str, Make] = {}
    for file in files:
        found |= getattr(importlib.import_module(f".{file}", __package__), doing)(task)
    return found


def rows(task: Task) -> Iterator[np.ndarray]:
    """Which rows nnfunc's batches hold, batch by batch."""
    return (batch for batch, _ in nn.minibatches(np.arange(len(task.t)), task.t, task.batch, task.seed))


def shuffled(task: Task) -> Iterator[np.ndarray]:
    """Row numbers for peers that draw with NumPy: a permutation an epoch."""
    rng = np.random.default_rng(task.seed)
    while True:
        yield from rng.permutation(len(task.t))[: len(task.t) // task.batch * task.batch].reshape(-1, task.batch)


def updates(xp: Any) -> dict[str, Callable]:
    """SGD and Adam on dicts of any library's arrays, for peers that bring no optimizer."""

    def sgd(lr, params, grads, memory):
        return {name: p - lr * grads[name] for name, p in params.items()}, memory

    def adam(lr, params, grads, memory):
        (beta1, beta2), t = BETAS, memory["t"] + 1
        m = {name: beta1 * m + (1 - beta1) * grads[name] for name, m in memory["m"].items()}
        v = {name: beta2 * v + (1 - beta2) * (grads[name] * grads[name]) for name, v in memory["v"].items()}
        # 1 - beta**t, which float32 would give to four digits only
        first, second = -xp.expm1(t * log(beta1)), -xp.expm1(t * log(beta2))
        new = {n: p - lr * (m[n] / first) / (xp.sqrt(v[n] / second) + ADAM_EPS) for n, p in params.items()}
        return new, {"t": t, "m": m, "v": v}

    return {"sgd": sgd, "adam": adam}


def memory(task: Task, params: dict[str, Any], t: Any) -> dict[str, Any]:
    """What such an optimizer remembers before the first step; `t` counts."""
    return {"t": t} | {slot: {name: 0 * p for name, p in params.items()} for slot in "mv" if task.optimizer == "adam"}
