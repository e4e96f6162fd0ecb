"""Steps timed against each other: one process, one thread, turn by turn, medians."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

Step = Callable[[], Any]
OURS = "nnfunc"
FLOOR = "matrix products"


@contextlib.contextmanager
def one_thread():
    """Give every peer one thread; yields whether NumPy's BLAS could be told so."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    if not importlib.util.find_spec("threadpoolctl"):
        yield False
        return
    import threadpoolctl

    with threadpoolctl.threadpool_limits(1):
        yield True


def losses(step: Step, steps: int) -> np.ndarray:
    return np.array([float(step()) for _ in range(steps)])


def disagreement(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference of two runs' losses."""
    return float(np.max(abs(one - other) / abs(one)))


def seconds(steps: dict[str, Step], rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds a step of each peer, round by round. Each round begins with another peer: none is always first."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        _run(step, count)
    for k in range(rounds):
        names = list(steps)
        for name in names[k % len(names) :] + names[: k % len(names)]:
            taken[name].append(_run(steps[name], count))
    return taken


def _run(step: Step, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        step()
    return (perf_counter() - start) / count


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the rounds' ratios: what slows the machine for a while slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def best(taken: dict[str, list[float]], kind: str) -> str | None:
    """The fastest variant of a peer: the name that begins with it and has the smallest median."""
    names = [name for name in taken if name.startswith(kind)]
    return min(names, key=lambda name: median(taken[name]), default=None)


def row(title: str, taken: dict[str, list[float]], kinds: Iterable[str]) -> list[str]:
    """One workload: our microseconds, and our time as a multiple of each peer's best variant."""
    cells = [title, f"{median(taken[OURS]) * 1e6:.0f}"]
    for kind in kinds:
        name = best(taken, kind)
        cells.append(f"{ratio(taken[OURS], taken[name]):.2f}" if name else "–")
    return cells


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
