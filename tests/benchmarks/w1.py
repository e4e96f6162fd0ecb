"""W1: a step of the two-layer network 784-50-10 on MNIST: gather a batch of 100, forward, backward, update by SGD."""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import nnfunc as nn

from .timing import FLOOR, OURS, Step

SIZES, SCALE, BATCH, LR, SEED = (784, 50, 10), 0.01, 100, 0.1, 0
SGDS = {"plain": {}, "fused": {"fused": True}, "foreach": {"foreach": True}}
AS_WRITTEN = "PyTorch modules, plain SGD"


def workload(activation: str, data, dtype) -> dict[str, Callable[..., Step]]:
    x, t = np.asarray(data[0], dtype), data[1]
    params = nn.init_mlp(SEED, SIZES, SCALE, dtype=dtype)
    peers: dict[str, Callable[..., Step]] = {OURS: partial(nnfunc, activation, x, t, params)}
    if importlib.util.find_spec("torch"):
        for variant in (torch_modules, torch_functional):
            for kind, options in SGDS.items():
                name = f"PyTorch {variant.__name__.removeprefix('torch_')}, {kind} SGD"
                peers[name] = partial(variant, activation, x, t, params, options)
    return peers | {FLOOR: partial(matrix_products, x, params)}


def rows(t) -> Iterator[np.ndarray]:
    """Which rows nnfunc's batches hold, batch by batch."""
    return (batch for batch, _ in nn.minibatches(np.arange(len(t)), t, BATCH, SEED))


def nnfunc(activation, x, t, params, rows=None) -> Step:
    """The library's ordinary public functions; its own batches are those of `rows`."""
    net, optimizer = nn.mlp(getattr(nn.layers, activation)), nn.sgd(LR)
    train = nn.train_step(nn.value_and_grad(net, nn.ops.softmax_cross_entropy), optimizer)
    state, batches = nn.init_state(optimizer, params, seed=SEED), nn.minibatches(x, t, BATCH, SEED)

    def step():
        nonlocal state
        state, metrics = train(state, next(batches))
        return metrics["loss"]

    return step


def torch_modules(activation, x, t, params, sgd, rows=None) -> Step:
    """As PyTorch's tutorials write it."""
    import torch

    hidden = {"sigmoid": torch.nn.Sigmoid, "relu": torch.nn.ReLU}[activation]
    net = torch.nn.Sequential(torch.nn.Linear(*SIZES[:2]), hidden(), torch.nn.Linear(*SIZES[1:]))
    net.to(torch.tensor(params["W1"]).dtype)
    with torch.no_grad():
        for i, layer in ((1, net[0]), (2, net[2])):
            layer.weight.copy_(torch.tensor(params[f"W{i}"].T))
            layer.bias.copy_(torch.tensor(params[f"b{i}"]))
    return _torch_step(net, list(net.parameters()), x, t, sgd, rows)


def torch_functional(activation, x, t, params, sgd, rows=None) -> Step:
    """With the weights laid out as nnfunc's are."""
    import torch

    W1, b1, W2, b2 = weights = [torch.tensor(p, requires_grad=True) for p in params.values()]
    h = {"sigmoid": torch.sigmoid, "relu": torch.relu}[activation]

    def net(x):
        return torch.addmm(b2, h(torch.addmm(b1, x, W1)), W2)

    return _torch_step(net, weights, x, t, sgd, rows)


def _torch_step(net, weights, x, t, sgd, rows) -> Step:
    import torch

    x, t = torch.from_numpy(x), torch.from_numpy(t)
    optimizer = torch.optim.SGD(weights, lr=LR, **sgd)
    batches = _torch_batches(len(t)) if rows is None else map(torch.from_numpy, rows)

    def step():
        batch = next(batches)
        loss = torch.nn.functional.cross_entropy(net(x.index_select(0, batch)), t.index_select(0, batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _torch_batches(N):
    import torch

    generator = torch.Generator().manual_seed(SEED)
    while True:
        yield from torch.randperm(N, generator=generator)[: N - N % BATCH].split(BATCH)


def matrix_products(x, params, rows=None) -> Step:
    """The floor: the step's five products, into arrays that are there already, and nothing else."""
    W1, W2 = params["W1"], params["W2"]
    x = x[:BATCH]
    z, y = x @ W1, (x @ W1) @ W2
    dW1, dW2, dz = np.empty_like(W1), np.empty_like(W2), np.empty_like(z)

    def step():
        np.matmul(x, W1, out=z)
        np.matmul(z, W2, out=y)
        np.matmul(z.T, y, out=dW2)
        np.matmul(y, W2.T, out=dz)
        np.matmul(x.T, dz, out=dW1)

    return step
