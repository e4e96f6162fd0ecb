"""The networks of the book on a graphics card: ``python -m tests.benchmarks.on_gpu [--page PAGE] [--device cpu]``.

Each is trained for some steps on the arrays of JAX, CuPy and PyTorch, whichever is installed and finds a card. Its
losses have to be NumPy's, and its steps are timed: about a minute. With ``--device cpu`` JAX and PyTorch stay on the
processor, which shows that the script runs, and no more.
"""

import argparse
import re
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

import nnfunc as nn

from . import conv, dense, record, timing
from .task import rows
from .with_nnfunc import rule

FROM, TO = "<!-- from a graphics card -->", "<!-- to here, the card -->"
NETWORKS = {
    "784-50-10, SGD, batch 100": partial(dense.w1, "relu"),
    "784-100x4-10, Adam, batch 128": dense.w2,
    "784-100x5-10, batch norm, SGD, batch 100": dense.w3,
    "simple_convnet, Adam, batch 100": conv.w4,
    "deep_convnet without dropout, Adam, batch 100": conv.w4b,
}
STEPS, CHECKED, CLOSE = 20, 5, 1e-3


def on_jax(device):
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")  # cards would multiply in fewer digits
    chosen = jax.devices(device)[0]
    return chosen.device_kind, partial(jax.device_put, device=chosen), jax.jit


def on_torch(device):
    import torch

    torch.set_num_threads(1)
    chosen = torch.device({"gpu": "cuda"}.get(device, device))
    name = torch.cuda.get_device_name(chosen) if device == "gpu" else device
    return name, lambda a: torch.asarray(a, device=chosen), lambda step: step


def on_cupy(device):
    import cupy

    if device != "gpu":
        raise RuntimeError("CuPy has nothing but cards")
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return name, cupy.asarray, lambda step: step


LIBRARIES = {"JAX, compiled": on_jax, "PyTorch": on_torch, "CuPy": on_cupy}


def moved(tree, put):
    """A tree of dicts with its arrays on the card."""
    if isinstance(tree, dict):
        return {name: moved(a, put) for name, a in tree.items()}
    return put(tree) if isinstance(tree, np.ndarray) else tree


def trained(task, put=lambda a: a, compiled=lambda step: step):
    """The losses of the first steps, and the seconds of one, when whatever is compiled has been."""
    optimizer = rule(task)
    step = compiled(nn.train_step(nn.value_and_grad(task.net, nn.ops.softmax_cross_entropy), optimizer))
    state = nn.State(*(moved(part, put) for part in nn.init_state(optimizer, task.params, task.stats)))
    x, t, batches = put(task.x), put(task.t.astype(np.int64)), rows(task)
    losses, seconds = [], []
    for _ in range(STEPS):
        which = next(batches)
        before = perf_counter()
        state, metrics = step(state, (x[put(which)], t[put(which)]))
        losses.append(float(metrics["loss"]))  # which waits for the card
        seconds.append(perf_counter() - before)
    return np.array(losses), np.median(seconds[CHECKED:])


def measure(device, networks=NETWORKS):
    """A table of milliseconds, and which libraries found what card."""
    found, names = {}, []
    for library, on in LIBRARIES.items():
        try:
            name, *found[library] = on(device)
            names.append(f"{library} {name}")
        except Exception as error:  # of any kind: each library has its own way to say that there is no card
            print(f"{library}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
    if not found:
        sys.exit(f"no library finds a device {device!r}")
    (x, t), _ = nn.load_mnist()
    lines = []
    for name, make in networks.items():
        task = make((x[:5000], t[:5000]), np.float32)
        wanted, seconds = trained(task)
        line = [name, f"{seconds * 1e3:.2f}"]
        for library, (put, compiled) in found.items():
            losses, taken = trained(task, put, compiled)
            apart = abs(losses - wanted)[:CHECKED].max()
            if not apart < CLOSE:
                raise ValueError(f"{library}, {name}: losses are {apart:.1e} from NumPy's, wanted {CLOSE}")
            line += [f"{taken * 1e3:.2f}", f"{apart:.0e}"]
        lines.append(line)
    heads = [head for library in found for head in (f"{library}, ms", "losses apart")]
    return timing.table(["step, float32", "NumPy, ms", *heads], lines), names


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.on_gpu", description=__doc__)
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
    parser.add_argument("--page", type=Path, help="a page whose record is to be made of the answer")
    arguments = parser.parse_args(argv)
    table, names = measure(arguments.device)
    about = record.circumstances()
    versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
    answer = f"{table}\n\n{about['date']}; {'; '.join(names)}; NumPy on {about['processor']}. {versions}."
    print(answer)
    if arguments.page:
        page = arguments.page.read_text(encoding="utf-8")
        arguments.page.write_text(
            re.sub(f"(?s)(?<={FROM}\n\n).*(?=\n\n{TO})", lambda _: answer, page), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
