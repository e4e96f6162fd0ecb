"""PyTorch: eager with modules and with functions, channels last for images, and the whole step compiled."""

from functools import cache, partial

import torch
from torch.nn import functional as F

from .task import ADAM_EPS, BETAS, EPS, MOMENTUM, memory, updates

EAGER, CHANNELS_LAST, COMPILED = "torch eager", "torch channels_last", "torch.compile"
VARIANTS = {"plain": {}, "fused": {"fused": True}, "foreach": {"foreach": True}}


def training(task):
    """Batches: a permutation an epoch, gathered by index_select."""
    found = {
        f"{EAGER}: {build.__name__}, {variant}": partial(eager, task, build, options, torch.contiguous_format)
        for build in (modules, functions)
        for variant, options in VARIANTS.items()
    }
    if task.x.ndim == 4:
        last = partial(eager, task, modules, VARIANTS["fused"], torch.channels_last)
        found[f"{CHANNELS_LAST}: modules, fused"] = last
    return found | {f"{COMPILED}: step": partial(compiled, task)}


def predicting(task):
    return {f"{EAGER}: {build.__name__}": partial(predict, task, build) for build in (modules, functions)}


def predict(task, build, rows=None):
    (net, _), x = build(task), torch.from_numpy(task.x)

    def step():
        with torch.inference_mode():
            return net(x)

    return step


def eager(task, build, options, layout, rows=None):
    net, weights = build(task)
    if layout is torch.channels_last:
        net.to(memory_format=layout)
    x, t = torch.from_numpy(task.x), torch.from_numpy(task.t)
    optimizer = _optimizer(task, weights, options)
    batches = _batches(task, rows)

    def step():
        batch = next(batches)
        chosen = x.index_select(0, batch)
        loss = F.cross_entropy(net(chosen.contiguous(memory_format=layout)), t.index_select(0, batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _optimizer(task, weights, options):
    if task.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=task.lr, **options)
    return torch.optim.Adam(weights, lr=task.lr, betas=BETAS, eps=ADAM_EPS, **options)


def _batches(task, rows):
    if rows is not None:
        yield from map(torch.from_numpy, rows)
    generator, N = torch.Generator().manual_seed(task.seed), len(task.t)
    while True:
        yield from torch.randperm(N, generator=generator)[: N - N % task.batch].split(task.batch)


def modules(task):
    """As PyTorch's tutorials write it."""
    net = torch.nn.Sequential(*(MODULES[kind](task.params, *which) for kind, *which in task.layers))
    return net, list(net.parameters())


def functions(task):
    """With the weights laid out as nnfunc's are."""
    p = {name: torch.tensor(a, requires_grad=True) for name, a in task.params.items()}
    buffers = {name: torch.tensor(a) for name, a in task.stats.items()}
    return partial(scores, task.layers, p | buffers), list(p.values())


def scores(layers, p, x):
    for kind, *which in layers:
        x = FUNCTIONS[kind](p, x, *which)
    return x


def _filled(module, **arrays):
    """The module with the arrays for its parameters, their dtype included."""
    for name, a in arrays.items():
        setattr(module, name, torch.nn.Parameter(torch.tensor(a).contiguous()))
    return module


def _linear(p, i):
    W, b = p[f"W{i}"], p[f"b{i}"]
    return _filled(torch.nn.Linear(*W.shape), weight=W.T, bias=b)


def _conv(p, i, pad):
    W, b = p[f"W{i}"], p[f"b{i}"]
    return _filled(torch.nn.Conv2d(W.shape[1], W.shape[0], W.shape[2:], padding=pad), weight=W, bias=b)


def _batch_norm_module(p, i):
    gamma, beta = p[f"gamma{i}"], p[f"beta{i}"]
    module = torch.nn.BatchNorm1d(len(gamma), eps=EPS, momentum=1 - MOMENTUM, dtype=torch.tensor(gamma).dtype)
    return _filled(module, weight=gamma, bias=beta)


MODULES = {
    "affine": _linear,
    "batch_norm": _batch_norm_module,
    "conv": _conv,
    "pool": lambda p: torch.nn.MaxPool2d(2),
    "flatten": lambda p: torch.nn.Flatten(),
    "relu": lambda p: torch.nn.ReLU(),
    "sigmoid": lambda p: torch.nn.Sigmoid(),
}


def _batch_norm(p, x, i):
    gamma, beta, mean, var = (p[f"{name}{i}"] for name in ("gamma", "beta", "mean", "var"))
    return F.batch_norm(x, mean, var, gamma, beta, training=True, momentum=1 - MOMENTUM, eps=EPS)


FUNCTIONS = {
    "affine": lambda p, x, i: torch.addmm(p[f"b{i}"], x, p[f"W{i}"]),
    "batch_norm": _batch_norm,
    "conv": lambda p, x, i, pad: F.conv2d(x, p[f"W{i}"], p[f"b{i}"], padding=pad),
    "pool": lambda p, x: F.max_pool2d(x, 2),
    "flatten": lambda p, x: x.flatten(1),
    "relu": lambda p, x: torch.relu(x),
    "sigmoid": lambda p, x: torch.sigmoid(x),
}


@cache
def compiled_update(layers, optimizer, lr):
    """One pure function for gather, loss, gradients and update, compiled as a whole."""
    torch._dynamo.reset()  # it gives up on a function that has been compiled for too many networks

    def loss(params, stats, x, t):
        y, new = scores_and_stats(layers, params | stats, x)
        return F.cross_entropy(y, t), new

    @torch.compile
    def update(params, stats, state, x, t, rows):
        gradient = torch.func.grad_and_value(loss, has_aux=True)
        grads, (value, stats) = gradient(params, stats, x.index_select(0, rows), t.index_select(0, rows))
        params, state = UPDATES[optimizer](lr, params, grads, state)
        return params, stats, state, value

    return update


def compiled(task, rows=None):
    update = compiled_update(task.layers, task.optimizer, task.lr)
    x, t = torch.from_numpy(task.x), torch.from_numpy(task.t)
    params, stats = ({name: torch.tensor(a) for name, a in d.items()} for d in (task.params, task.stats))
    state = memory(task, params, torch.zeros((), dtype=x.dtype))
    batches = _batches(task, rows)

    def step():
        nonlocal params, stats, state
        params, stats, state, value = update(params, stats, state, x, t, next(batches))
        return value

    return step


def scores_and_stats(layers, p, x):
    """The same with running statistics as new arrays, since a pure function changes none."""
    stats = {}
    for kind, *which in layers:
        if kind == "batch_norm":
            (i,) = which
            now = {f"mean{i}": x.mean(0), f"var{i}": x.var(0, correction=0)}
            x = (x - now[f"mean{i}"]) * torch.rsqrt(now[f"var{i}"] + EPS) * p[f"gamma{i}"] + p[f"beta{i}"]
            stats |= {name: MOMENTUM * p[name] + (1 - MOMENTUM) * a for name, a in now.items()}
        else:
            x = FUNCTIONS[kind](p, x, *which)
    return x, stats


UPDATES = updates(torch)
