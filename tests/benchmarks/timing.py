"""Steps timed against each other: one process, one core, turn by turn, medians."""

import contextlib
import ctypes
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np

Step = Callable[[], Any]
TURN = 0.01  # seconds: a processor changes its speed too often for longer turns to meet the same one
LOOK, BESIDE = 3.0, 0.05  # seconds before a run; what others may take of the processors' time
XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


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


def keep_memory() -> None:
    """Ask glibc not to hand freed memory back to the system.

    In a process of its own each peer soon has what it needs. Here one would pay for the page faults that another's
    freed arrays bring about: a convolutional step then takes twice as long, whoever's it is.
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)


def one_core() -> str:
    """Keep the process on one core, before JAX and PyTorch count the cores there are; say what was done."""
    os.environ.setdefault("XLA_FLAGS", XLA_ONE_THREAD)
    os.environ.setdefault(
        "TORCHINDUCTOR_COMPILE_THREADS", "1"
    )  # its workers would be other processes, at work beside us
    if not hasattr(os, "sched_setaffinity"):
        return "one thread a peer where it can be told so"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return "the process is kept on one core"


def results(step: Step, count: int) -> np.ndarray:
    """What `count` steps return; a step may take several at once, and says so in ``step.taken``."""
    found = np.array([np.asarray(step()) for _ in range(0, count, takes(step))])
    return found.reshape(-1, *found.shape[2:])[:count] if takes(step) > 1 else found


def takes(step: Step) -> int:
    return getattr(step, "taken", 1)


def several(step: Step, count: int) -> Step:
    """As many steps at once."""

    def steps():
        for _ in range(count):
            last = step()
        return last

    steps.taken = count
    return steps


def disagreement(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two runs' results, step by step, relative to the largest number of the step."""
    one, other = (a.reshape(len(a), -1) for a in (one, other))
    return float(np.max(abs(one - other).max(axis=1) / abs(one).max(axis=1)))


def seconds(steps: dict[str, Step], rounds: int, target: float) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds a step of each peer, round by round, and how many cores it kept busy.

    A peer's turn lasts about `target` seconds, or is one step if that is 0. Each round begins with another peer: none
    is always first.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    counts, busy, wall = {}, dict.fromkeys(steps, 0.0), dict.fromkeys(steps, 0.0)
    for name, step in steps.items():
        _run(step, 1)
        counts[name] = max(1, round(target / min(_run(step, 1) for _ in range(3)))) if target else 1
        if counts[name] > 1:
            _run(step, counts[name])
    for k in range(rounds):
        names = list(steps)
        for name in names[k % len(names) :] + names[: k % len(names)]:
            start = process_time()
            spent = _run(steps[name], counts[name])
            busy[name] += process_time() - start
            wall[name] += spent
            taken[name].append(spent / counts[name] / takes(steps[name]))
    return taken, {name: busy[name] / wall[name] for name in steps}


def in_turns(makes: dict[str, Callable[[], Step]], rounds: int, seconds_in_all: float) -> dict[str, np.ndarray]:
    """Microseconds a step, (rounds, turns): as many turns as there is time for, of equally many steps each.

    For steps that take about the same time, the finer comparison. Every round makes them anew, and another one first:
    where in the memory their arrays lie is a matter of luck.
    """
    each = min(seconds({"": next(iter(makes.values()))()}, 3, 0)[0][""])
    count = max(1, round(TURN / each))
    turns = max(1, round(seconds_in_all / (rounds * len(makes) * count * each)))
    taken: dict[str, list[list[float]]] = {name: [] for name in makes}
    names = list(makes)
    for _ in range(rounds):
        names.append(names.pop(0))
        steps = {name: several(makes[name](), count) for name in names}
        for name, spent in seconds(steps, turns, 0)[0].items():
            taken[name].append(spent)
    return {name: np.array(spent) * 1e6 for name, spent in taken.items()}


def typical(taken: dict[str, list[float]]) -> dict[str, float]:
    """Medians, in microseconds."""
    return {name: median(seconds) * 1e6 for name, seconds in taken.items()}


def clocks() -> np.ndarray:
    """Seconds on the wall, of this process and those it waited for, of all processors, and of those that idled.

    The last two are nan where no system tells them.
    """
    counted = np.full(8, np.nan)
    with contextlib.suppress(OSError):  # user, nice, system, idle, waiting for a disk, interrupts of two kinds, stolen
        counted = np.array(Path("/proc/stat").read_text(encoding="utf-8").split()[1:9], float)
        counted /= os.sysconf("SC_CLK_TCK")
    children = os.times()[2:4]
    return np.array([perf_counter(), process_time() + sum(children), counted.sum(), counted[3:5].sum()])


@contextlib.contextmanager
def neighbours() -> Iterator[dict[str, Any]]:
    """What else the machine does, in the `LOOK` seconds before the block and during it; told when the block ends."""
    looks, seen = [clocks()], {}
    sleep(LOOK)
    looks.append(clocks())
    load = [_load()]
    yield seen
    looks.append(clocks())
    load.append(_load())
    others = [_others(*later - earlier) for earlier, later in pairwise(looks)]
    seen["seconds"] = float(looks[2][0] - looks[1][0])
    if None not in load:
        seen["load"] = load
    if None not in others:
        seen |= {"others": others, "processors": os.cpu_count(), "beside": max(others) > BESIDE}


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _others(wall: float, own: float, everyone: float, idle: float) -> float | None:
    """The share of all processors' time that others took; the system counts in ticks, and may be one behind."""
    return max(0.0, float((everyone - idle - own) / everyone)) if everyone > 0 else None


def _run(step: Step, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        last = step()
    np.asarray(last)  # a peer that only queues its work has to finish it
    return perf_counter() - start


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the rounds' ratios: what slows the machine for a while slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def best(taken: dict[str, list[float]], kind: str) -> str | None:
    """The fastest variant of a peer: its name is the peer's, or begins with it and a colon."""
    names = [name for name in taken if name.partition(":")[0] == kind]
    return min(names, key=lambda name: median(taken[name]), default=None)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
