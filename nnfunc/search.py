r"""Search: many trials, with settings drawn at random. Chapter 6."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf, nan
from numbers import Real
from traceback import format_exception_only
from typing import Any, NamedTuple

import numpy as np

from ._arrays import function, generator, kind_of, mapping, one_number, whole
from .forms import Metrics

__all__ = ["Trial", "random_search"]

Study = Callable[[dict[str, Any], tuple[int, int]], Metrics]


class Trial(NamedTuple):
    """One trial of a search.

    Attributes
    ----------
    settings : dict
        What was drawn.
    metrics : dict
        What the trial returned, its ``score`` among it; empty if it failed.
    error : str or None
        Why it failed.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.Trial({"lr": 0.1}, {"score": 0.9}, None).metrics["score"]
    0.9
    """

    settings: dict[str, Any]
    metrics: dict[str, Any]
    error: str | None


def random_search(trial: Study, space: Mapping[str, tuple], n: int, seed: int, map: Callable = map) -> list[Trial]:
    r"""Search hyperparameters at random: try n settings, the best first.

    $$\log x \sim U(\log a, \log b), \quad x \sim U(a, b), \quad \text{or a choice}$$

    Parameters
    ----------
    trial : callable
        ``trial(settings, key) -> {'score': score, ...}``, larger is better. The key ``(seed, i)``
        decides what chance decides in trial i.
    space : dict
        For each name ``('log', a, b)``, ``('uniform', a, b)`` or ``('choice', [...])``.
    n : int
        How many trials.
    seed : int
        Trial i depends on the seed and on i alone.
    map : callable
        Runs the trials, in whatever order: the built-in one, or that of a process pool or a cluster. If it breaks
        off, what it has run is kept, and the others are trials that failed.

    Returns
    -------
    list of Trial
        Sorted by score, the highest first. Trials that failed, or scored nan, come last, and say why.

    Raises
    ------
    ValueError
        For a space that is none of these, or `n` or `seed` that is no int from 0 up; before the first trial.

    References
    ----------
    J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.

    Examples
    --------
    >>> import nnfunc as nn
    >>> space = {"lr": ("log", 1e-6, 1.0), "act": ("choice", ["relu", "tanh"])}
    >>> trials = nn.random_search(lambda s, key: {"score": -abs(s["lr"] - 0.01)}, space, n=100, seed=0)
    >>> print(len(trials), bool(0.005 < trials[0].settings["lr"] < 0.02))
    100 True
    """
    for name, kind in mapping("random_search", "space", space).items():
        _draw(generator((0,)), name, kind)
    numbers = range(whole("random_search", "n", n))
    function("random_search", "trial", trial, "trial(settings, key)")
    function("random_search", "map", map, "like Python's map")
    draw_and_try = partial(_try, space=space, seed=whole("random_search", "seed", seed))
    done, why = dict[int, Trial](), Exception("map ended before it")

    def lost(settings, key):
        raise why

    try:
        done.update(map(partial(draw_and_try, trial), numbers))
    except Exception as error:
        why = error
    trials = [done.get(i) or draw_and_try(lost, i=i)[1] for i in numbers]
    scores = np.array([trial.metrics.get("score", nan) for trial in trials])
    return [trials[k] for k in np.argsort(-scores, kind="stable")]  # which puts nan last


def _try(trial: Callable, i: int, space: Mapping[str, tuple], seed: int) -> tuple[int, Trial]:
    rng = generator((seed, i))
    settings = {name: _draw(rng, name, kind) for name, kind in space.items()}
    try:
        return i, Trial(settings, _scored(trial(settings, (seed, i))), None)
    except Exception as error:
        return i, Trial(settings, {}, "".join(format_exception_only(error)).strip())


def _scored(metrics: Any) -> Metrics:
    """Return what a trial returned with its score as a float, or refuse it if it has none."""
    if not isinstance(metrics, Mapping) or "score" not in metrics:
        raise ValueError(f"random_search: the trial returned {kind_of(metrics)}, wanted a dict with a 'score'")
    return {**metrics, "score": one_number("random_search", "score", metrics["score"])}


def _draw(rng: np.random.Generator, name: str, kind: tuple) -> Any:
    match kind:
        case ("log", a, b) if _rising(0, a, b):
            return float(np.exp(rng.uniform(np.log(a), np.log(b))))
        case ("uniform", a, b) if _rising(-inf, a, b):
            return float(rng.uniform(a, b))
        case ("choice", [*options]) if options:
            return options[rng.integers(len(options))]
    wanted = "('log', a, b) with 0 < a <= b, ('uniform', a, b) or ('choice', [...])"
    raise ValueError(f"random_search: {name} is {kind!r}, wanted {wanted}")


def _rising(low: float, a: Any, b: Any) -> bool:
    numbers = all(isinstance(n, Real) and not isinstance(n, bool) for n in (a, b))
    return numbers and low < a <= b < inf
