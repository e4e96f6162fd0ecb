"""JAX: the whole step through jit, and many at once through lax.scan; both gather the batch inside, by jnp.take."""

from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .task import EPS, MOMENTUM, memory, shuffled, updates

JIT, SCAN, STEPS = "jax.jit", "jax scan", 20


def training(task):
    """No scan over images: inside a loop XLA's convolutions are many times slower."""
    scan = {} if task.x.ndim == 4 else {f"{SCAN}: {STEPS} steps": partial(scanned, task)}
    return {f"{JIT}: step": partial(jitted, task)} | scan


def predicting(task):
    return {f"{JIT}: scores": partial(predict, task)}


def predict(task, rows=None):
    params, _, x, _ = arrays(task)
    net = jax.jit(lambda params, x: scores(task.layers, params, x)[0])
    return lambda: net(params, x)


def jitted(task, rows=None):
    params, state, x, t = arrays(task)
    fast = jax.jit(partial(update, task), donate_argnums=(0, 1))
    batches = shuffled(task) if rows is None else rows

    def step():
        nonlocal params, state
        params, state, loss = fast(params, state, x, t, next(batches))
        return loss

    return step


def scanned(task, rows=None):
    params, state, x, t = arrays(task)
    batches = shuffled(task) if rows is None else rows

    @partial(jax.jit, donate_argnums=(0, 1))
    def fast(params, state, x, t, rows):
        def body(carry, batch):
            *carry, loss = update(task, *carry, x, t, batch)
            return tuple(carry), loss

        return lax.scan(body, (params, state), rows)

    def steps():
        nonlocal params, state
        (params, state), losses = fast(params, state, x, t, np.stack([*islice(batches, STEPS)]))
        return losses

    steps.taken = STEPS
    return steps


def arrays(task):
    """Parameters, what else changes, and data; JAX keeps float64 only if told to."""
    jax.config.update("jax_enable_x64", task.x.dtype == np.float64)
    params, images = channels_last(task) if task.x.ndim == 4 else (task.params, task.x)
    params = {name: jnp.array(p) for name, p in params.items()}
    stats = {name: jnp.array(a) for name, a in task.stats.items()}
    return (
        params,
        (stats, memory(task, params, jnp.zeros((), task.x.dtype))),
        jnp.asarray(images),
        jnp.asarray(task.t, jnp.int32),
    )


def channels_last(task):
    """NHWC and HWIO, in which XLA's convolutions are fastest here; the first affine layer's rows move accordingly."""
    params = dict(task.params)
    filters = [which[0] for kind, *which in task.layers if kind == "conv"]
    for i in filters:
        params[f"W{i}"] = params[f"W{i}"].transpose(2, 3, 1, 0)
    first = f"W{filters[-1] + 1}"
    rows, columns = params[first].shape
    channels = len(params[f"b{filters[-1]}"])
    side = round((rows / channels) ** 0.5)
    cube = params[first].reshape(channels, side, side, columns)
    return params | {first: cube.transpose(1, 2, 0, 3).reshape(rows, columns)}, task.x.transpose(0, 2, 3, 1)


def update(task, params, state, x, t, rows):
    stats, opt = state

    def loss(params):
        y, new = scores(task.layers, params | stats, jnp.take(x, rows, axis=0))
        chosen = jnp.take_along_axis(jax.nn.log_softmax(y), jnp.take(t, rows)[:, None], axis=1)
        return -chosen.mean(), new

    (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
    params, opt = UPDATES[task.optimizer](task.lr, params, grads, opt)
    return params, (stats, opt), value


def scores(layers, p, x):
    """The network's output and its new running statistics."""
    stats = {}
    for kind, *which in layers:
        if kind == "batch_norm":
            x, new = batch_norm(p, x, *which)
            stats |= new
        else:
            x = FUNCTIONS[kind](p, x, *which)
    return x, stats


def batch_norm(p, x, i):
    now = {f"mean{i}": x.mean(axis=0), f"var{i}": x.var(axis=0)}
    y = (x - now[f"mean{i}"]) * lax.rsqrt(now[f"var{i}"] + EPS) * p[f"gamma{i}"] + p[f"beta{i}"]
    return y, {name: MOMENTUM * p[name] + (1 - MOMENTUM) * a for name, a in now.items()}


def conv(p, x, i, pad):
    y = lax.conv_general_dilated(x, p[f"W{i}"], (1, 1), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p[f"b{i}"]


FUNCTIONS = {
    "affine": lambda p, x, i: x @ p[f"W{i}"] + p[f"b{i}"],
    "conv": conv,
    "pool": lambda p, x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "flatten": lambda p, x: x.reshape(len(x), -1),
    "relu": lambda p, x: jax.nn.relu(x),
    "sigmoid": lambda p, x: jax.nn.sigmoid(x),
}


UPDATES = updates(jnp)
