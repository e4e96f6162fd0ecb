r"""Learning as a fold: a state, a stream of batches, a step that takes one to the next. Chapters 4 and 6."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import inf, isnan, nan, sqrt
from numbers import Real
from pathlib import Path
from traceback import format_exception_only
from typing import Any, NamedTuple

import numpy as np

from .functions import Array
from .layers import EVAL, Mode, Params
from .networks import Grad
from .optimizers import Optimizer, weight_decay
from .params import load_tree, save_tree

__all__ = [
    "State",
    "Trial",
    "checkpoints",
    "every",
    "fit",
    "history",
    "init_state",
    "load_state",
    "minibatches",
    "progress",
    "random_search",
    "save_state",
    "train_step",
    "with_clipping",
    "with_weight_decay",
]


class State(NamedTuple):
    """All there is to know of a training run: whoever has it can stop, save, resume and replay.

    Attributes
    ----------
    params : dict of arrays
        What descent changes.
    stats : dict of arrays
        What data change: running means and variances.
    opt : dict
        What the optimizer remembers.
    seed : int
        What chance decides follows from it and from `step`.
    step : int
        How many steps have been taken.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.init_state(nn.sgd(), {}, seed=7)
    State(params={}, stats={}, opt={'t': 0}, seed=7, step=0)
    """

    params: Params
    stats: Params
    opt: dict[str, Any]
    seed: int
    step: int


Step = Callable[[State, tuple[Array, Array]], tuple[State, dict[str, Any]]]
Run = Iterable[tuple[State, dict[str, Any]]]


def init_state(optimizer: Optimizer, params: Params, stats: Mapping[str, Array] = {}, seed: int = 0) -> State:
    r"""Return the state before the first step.

    $$s_0 = (params, stats, \mathrm{init}(params), seed, 0)$$

    Parameters
    ----------
    optimizer : Optimizer
        The pair (init, step).
    params : dict of arrays
        Where descent starts.
    stats : dict of arrays
        Running statistics, if the network has any.
    seed : int
        From 0 up.

    Returns
    -------
    State
        With ``step`` 0.

    Raises
    ------
    ValueError
        For a seed that is no int from 0 up.

    References
    ----------
    Learning as a fold: R. Bird, "Introduction to Functional Programming using Haskell", 1998.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> state = nn.init_state(nn.momentum(), {"W1": np.ones(2)})
    >>> print(state.opt, state.step)
    {'t': 0, 'v': {'W1': array([0., 0.])}} 0
    """
    return State(params, dict(stats), optimizer.init(params), _natural("init_state", "seed", seed), 0)


def train_step(grad: Grad, optimizer: Optimizer) -> Step:
    r"""Make the step that takes one state to the next.

    $$s_{k+1} = \mathrm{step}(s_k, (x, t))$$

    Parameters
    ----------
    grad : callable
        What [value_and_grad][nnfunc.networks.value_and_grad] or its numerical sister returns. It is
        called in training mode, with the key ``(state.seed, state.step)``.
    optimizer : Optimizer
        Takes the gradients to the new parameters.

    Returns
    -------
    callable
        The pure ``step(state, (x, t)) -> (state, {'loss': loss})``; the loss is the one before the
        update.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> import nnfunc as nn
    >>> optimizer = nn.sgd(lr=0.5)
    >>> step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    >>> x, t = nn.xor()
    >>> state = nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    >>> for _ in range(200):
    ...     state, metrics = step(state, (x, t))
    >>> print(nn.predict(nn.mlp(), state.params, x).argmax(axis=1))
    [0 1 1 0]
    """

    def step(state, batch):
        x, t = batch
        mode = Mode(state.stats, (state.seed, state.step))
        loss, grads, stats = grad(state.params, x, t, mode)
        params, opt = optimizer.step(state.params, grads, state.opt)
        return State(params, state.stats | stats, opt, state.seed, state.step + 1), {"loss": loss}

    return step


def with_weight_decay(grad: Grad, lam: float) -> Grad:
    r"""Add weight decay to a loss and its gradients: of the parameters whose names begin with W.

    $$E' = E + \frac{\lambda}{2} \sum_W \|W\|^2$$

    Parameters
    ----------
    grad : callable
        What [value_and_grad][nnfunc.networks.value_and_grad] returns.
    lam : float
        The strength lambda.

    Returns
    -------
    callable
        The same kind of function.

    References
    ----------
    A. Krogh, J. Hertz, "A simple weight decay can improve generalization", 1991.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> grad = nn.with_weight_decay(nn.value_and_grad(nn.mlp(), nn.ops.mean_squared_error), lam=0.1)
    >>> params = {"W1": np.array([[2.0]]), "b1": np.array([0.0])}
    >>> value, grads, stats = grad(params, np.array([[1.0]]), np.array([[2.0]]))    # a perfect fit
    >>> print(value, grads["W1"], grads["b1"])
    0.2 [[0.2]] [0.]
    """

    def decayed(params, x, t, mode=EVAL):
        value, grads, stats = grad(params, x, t, mode)
        penalty, pull = weight_decay(params, lam)
        return value + penalty, grads | {name: grads[name] + g for name, g in pull.items()}, stats

    return decayed


def with_clipping(grad: Grad, max_norm: float) -> Grad:
    r"""Shorten gradients that are too long, all by one factor, so that their direction stays.

    $$g' = g\, \min\Bigl( 1, \frac{c}{\|g\|} \Bigr), \qquad \|g\|^2 = \sum_{name} \sum_i g_{name,i}^2$$

    Parameters
    ----------
    grad : callable
        What [value_and_grad][nnfunc.networks.value_and_grad] returns.
    max_norm : float
        The greatest length, c.

    Returns
    -------
    callable
        The same kind of function.

    Raises
    ------
    ValueError
        For a length that is not above 0.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
    2013, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> grad = nn.with_clipping(nn.value_and_grad(nn.mlp(), nn.ops.sum_squared_error), max_norm=1.0)
    >>> params = {"W1": np.array([[3.0]]), "b1": np.array([0.0])}
    >>> value, grads, stats = grad(params, np.array([[0.75]]), np.array([[-2.75]]))
    >>> print(grads["W1"].round(6), grads["b1"].round(6))    # 3.75 and 5 before
    [[0.6]] [0.8]
    """
    max_norm = float(max_norm)
    if not max_norm > 0:
        raise ValueError(f"with_clipping: max_norm is {max_norm}, wanted a length above 0")

    def clipped(params, x, t, mode=EVAL):
        value, grads, stats = grad(params, x, t, mode)
        # in float64, since the gradients to be clipped are those whose squares overflow
        norm = sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads.values()))
        shrink = min(1.0, max_norm / norm) if norm else 1.0
        return value, {name: g * shrink for name, g in grads.items()}, stats

    return clipped


def minibatches(
    x: Array, t: Array, batch_size: int, seed: int = 0, start: int = 0, replace: bool = False
) -> Iterator[tuple[Array, Array]]:
    r"""Batches without end, drawn at random.

    $$\mathrm{batch}_i = (x_{\pi(k)}, t_{\pi(k)}), \qquad k = iB, \dots, (i + 1) B - 1$$

    Without replacement an epoch is a shuffle $\pi$ of the data cut into ``N // batch_size`` whole batches;
    the rest of each shuffle is left out. With replacement each batch is drawn from all the data: it
    may hold a sample twice, and as many draws as there are data miss about 1/e of them.

    Parameters
    ----------
    x, t : arrays
        Data and labels, N of each.
    batch_size : int
        Samples in a batch, from 1 to N.
    seed : int
        Batch i depends on the seed and on i alone.
    start : int
        The number of the first batch: a run that is resumed starts at ``state.step``.
    replace : bool
        Whether to draw with replacement.

    Yields
    ------
    tuple of arrays
        ``(x[rows], t[rows])``.

    Raises
    ------
    ValueError
        For unequal lengths, or numbers out of range; at the call, not at the first batch.

    References
    ----------
    L. Bottou, "Curiously fast convergence of some stochastic gradient descent algorithms", 2009.

    Examples
    --------
    >>> import itertools
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> batches = nn.minibatches(np.arange(6), np.arange(6), batch_size=2, seed=1)
    >>> epoch = np.concatenate([x for x, t in itertools.islice(batches, 3)])
    >>> print(np.sort(epoch))
    [0 1 2 3 4 5]
    """
    x, t = np.asarray(x), np.asarray(t)
    N = len(x)
    if len(t) != N:
        raise ValueError(f"minibatches: x has {N} samples, t has {len(t)}")
    if not isinstance(batch_size, (int, np.integer)) or not 1 <= batch_size <= N:
        raise ValueError(f"minibatches: batch_size is {batch_size}, wanted 1 to {N}, the number of samples")
    seed, start = _natural("minibatches", "seed", seed), _natural("minibatches", "start", start)
    return _batches(x, t, int(batch_size), seed, start, replace)


def _batches(x, t, batch_size, seed, start, replace):
    N = len(x)
    per_epoch = N // batch_size
    # Spawn 0 of the seed is free (the layers' weights take 1, 2, ...); each epoch jumps to a stream of its own.
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(0,)))
    epoch, first = divmod(start, per_epoch)
    while True:
        rng = np.random.Generator(stream.jumped(epoch + 1))
        rows = rng.integers(N, size=N) if replace else rng.permutation(N)
        for i in range(first, per_epoch):
            batch = rows[i * batch_size : (i + 1) * batch_size]
            yield (
                x.take(batch, axis=0, mode="clip"),
                t.take(batch, axis=0),
            )  # no index is out of range: no need to check
        epoch, first = epoch + 1, 0


def fit(
    step: Step,
    state: State,
    batches: Iterable[tuple[Array, Array]],
    steps: int,
    evaluate: Callable[[State], dict[str, Any]] | None = None,
) -> Iterator[tuple[State, dict[str, Any]]]:
    r"""Fold a step over batches, and hand out every state on the way. Nothing happens until it is iterated over.

    $$s_k = \mathrm{step}(s_{k-1}, batch_k), \qquad k = 1, \dots, steps$$

    Parameters
    ----------
    step : callable
        ``step(state, batch) -> (state, metrics)``.
    state : State
        Where to start.
    batches : iterable
        Where the batches come from; the fold ends with them if they end first.
    steps : int
        How many steps to take.
    evaluate : callable, optional
        ``evaluate(state) -> metrics``, called after each step;
        [every][nnfunc.training.every] makes it rarer.

    Yields
    ------
    tuple
        The state after each step, and a dict of its metrics.

    References
    ----------
    R. Bird, "Introduction to Functional Programming using Haskell", 1998, section 4.5.

    Examples
    --------
    >>> import nnfunc as nn
    >>> optimizer = nn.sgd(lr=0.5)
    >>> step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    >>> x, t = nn.xor()
    >>> state = nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    >>> measure = lambda state: {"accuracy": nn.accuracy(nn.predict(nn.mlp(), state.params, x), t)}
    >>> run = nn.fit(step, state, nn.minibatches(x, t, 4), steps=200, evaluate=nn.every(50, measure))
    >>> for state, metrics in run:
    ...     if "accuracy" in metrics:
    ...         last = state.step, metrics["accuracy"]
    >>> print(*last)
    200 1.0
    """
    for _, batch in zip(range(steps), batches, strict=False):
        state, metrics = step(state, batch)
        yield state, metrics | (evaluate(state) if evaluate else {})


def every(steps: int, evaluate: Callable[[State], dict[str, Any]]) -> Callable[[State], dict[str, Any]]:
    r"""Let `evaluate` run at each multiple of `steps` only, and give no metrics in between.

    $$k \equiv 0 \pmod{steps}$$

    Parameters
    ----------
    steps : int
        From 1 up; ``len(x) // batch_size`` is an epoch.
    evaluate : callable
        ``evaluate(state) -> metrics``.

    Returns
    -------
    callable
        A function of the state.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up: an epoch of 468.75 steps would hardly ever be over.

    References
    ----------
    The condition ``i % iter_per_epoch == 0`` of Deep Learning from Scratch, with an int.

    Examples
    --------
    >>> import nnfunc as nn
    >>> shout = nn.every(10, lambda state: {"step": state.step})
    >>> state = nn.init_state(nn.sgd(), {})
    >>> print(shout(state._replace(step=10)), shout(state._replace(step=11)))
    {'step': 10} {}
    """
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"every: steps is {steps!r}, wanted an int from 1 up")
    return lambda state: {} if state.step % steps else evaluate(state)


def history(run: Run) -> tuple[State, dict[str, tuple[Array, Array]]]:
    r"""Run a fit to its end; return the last state and every metric as a curve.

    $$metric \mapsto (k_1, k_2, \dots), (m_1, m_2, \dots)$$

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.

    Returns
    -------
    state : State
        The last one.
    curves : dict
        For each metric an array of steps and one of values: ``plt.plot(*curves['loss'])``.

    Raises
    ------
    ValueError
        If the run takes no step.

    References
    ----------
    R. Bird, "Introduction to Functional Programming using Haskell", 1998, section 4.5: a fold.

    Examples
    --------
    >>> import nnfunc as nn
    >>> optimizer = nn.sgd(lr=0.5)
    >>> step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    >>> x, t = nn.xor()
    >>> state = nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    >>> state, curves = nn.history(nn.fit(step, state, nn.minibatches(x, t, 4), steps=3))
    >>> print(state.step, curves["loss"][0])
    3 [1 2 3]
    """
    points: dict[str, list[tuple[int, Any]]] = {}
    last = None
    for last, metrics in run:
        for name, value in metrics.items():
            points.setdefault(name, []).append((last.step, value))
    if last is None:
        raise ValueError("history: the run took no step")
    return last, {name: tuple(np.array(column) for column in zip(*p, strict=True)) for name, p in points.items()}


def progress(run: Run, steps: int, start: int = 0) -> Iterator[tuple[State, dict[str, Any]]]:
    r"""Pass a run on and show a progress bar with its loss. Needs tqdm, the extra `progress`.

    $$k / steps$$

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.
    steps : int
        How many steps the whole run takes.
    start : int
        How many of them were taken before.

    Yields
    ------
    tuple
        The run's states and metrics, unchanged.

    References
    ----------
    C. da Costa-Luis, "tqdm", Journal of Open Source Software 4(37), 2019.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [number for number in nn.progress([], steps=0)]
    []
    """
    from tqdm import tqdm

    with tqdm(total=steps, initial=start, unit="step", leave=False, disable=None) as bar:
        for state, metrics in run:
            bar.update(state.step - bar.n)
            if state.step % 100 == 0 and "loss" in metrics:
                bar.set_postfix(loss=f"{metrics['loss']:.3f}", refresh=False)
            yield state, metrics


def checkpoints(run: Run, path: str | Path, steps: int) -> Iterator[tuple[State, dict[str, Any]]]:
    r"""Pass a run on and save its state at each multiple of `steps`.

    $$k \equiv 0 \pmod{steps}$$

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.
    path : path
        The file, which is replaced as a whole each time: see [save_state][nnfunc.training.save_state].
    steps : int
        From 1 up.

    Yields
    ------
    tuple
        The run's states and metrics, unchanged.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up.

    References
    ----------
    [load_state][nnfunc.training.load_state] reads the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> state = nn.init_state(nn.sgd(), {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.npz")
    ...     run = [(state._replace(step=k), {}) for k in (1, 2, 3)]
    ...     passed = list(nn.checkpoints(run, path, steps=2))
    ...     print(len(passed), nn.load_state(path).step)
    3 2
    """
    save = every(steps, lambda state: save_state(path, state) or {})
    for state, metrics in run:
        save(state)
        yield state, metrics


def save_state(path: str | Path, state: State) -> None:
    r"""Save a state as an ``.npz`` file, the optimizer's memory and the step included.

    $$s \to \mathrm{file}$$

    The file appears as a whole or not at all, and holds no pickle.

    Parameters
    ----------
    path : path
        The file, used as it is given.
    state : State
        The state.

    Raises
    ------
    ValueError
        If a name is not a str or holds a slash, or a value is no array of numbers.

    References
    ----------
    The NPY format, NumPy Enhancement Proposal 1.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> state = nn.init_state(nn.adam(), {"W1": np.ones(2)}, seed=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.npz")
    ...     nn.save_state(path, state)
    ...     again = nn.load_state(path)
    >>> print(again)
    State(params={'W1': array([1., 1.])}, stats={}, opt={'t': 0, 'm': {'W1': array([0., 0.])}, 'v': {'W1': array([0., 0.])}}, seed=3, step=0)
    """  # noqa: E501
    save_tree("save_state", path, state._asdict())


def load_state(path: str | Path) -> State:
    r"""Load a state that [save_state][nnfunc.training.save_state] wrote.

    $$\mathrm{file} \to s$$

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    State
        Equal to the saved one, to the last bit.

    Raises
    ------
    ValueError
        If the file is damaged, holds objects, or holds no state.
    FileNotFoundError
        If there is none.

    References
    ----------
    The NPY format, NumPy Enhancement Proposal 1.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.npz")
    ...     nn.save_state(path, nn.init_state(nn.sgd(), {}, seed=5))
    ...     print(nn.load_state(path).seed)
    5
    """
    tree = {"params": {}, "stats": {}} | load_tree("load_state", path)  # an archive has no place for empty dicts
    kinds = {name: dict if isinstance(v, dict) else v.shape for name, v in tree.items()}
    if kinds != {"params": dict, "stats": dict, "opt": dict, "seed": (), "step": ()}:
        raise ValueError(f"load_state: {path} holds {sorted(tree)}, no state; wanted {', '.join(State._fields)}")
    opt = {name: v.item() if _is_number(v) else v for name, v in tree["opt"].items()}
    return State(tree["params"], tree["stats"], opt, int(tree["seed"]), int(tree["step"]))


def _is_number(v: Any) -> bool:
    return isinstance(v, np.ndarray) and v.shape == () and v.dtype in ("int64", "float64")


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


def random_search(
    trial: Callable[[dict[str, Any], tuple[int, int]], dict[str, Any]],
    space: Mapping[str, tuple],
    n: int,
    seed: int,
    map: Callable = map,
) -> list[Trial]:
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
        Runs the trials, in whatever order: the built-in one, or that of a process pool or a cluster.

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
    for name, kind in space.items():
        _draw(np.random.default_rng(0), name, kind)
    n, seed = _natural("random_search", "n", n), _natural("random_search", "seed", seed)
    return [done for _, done in sorted(map(partial(_try, trial, space, seed), range(n)), key=_rank)]


def _try(trial, space, seed, i):
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))
    settings = {name: _draw(rng, name, kind) for name, kind in space.items()}
    try:
        metrics = trial(settings, (seed, i))
        return i, Trial(settings, metrics | {"score": float(metrics["score"])}, None)
    except Exception as error:
        return i, Trial(settings, {}, "".join(format_exception_only(error)).strip())


def _rank(numbered: tuple[int, Trial]) -> tuple[bool, float, int]:
    i, trial = numbered
    score = trial.metrics.get("score", nan)
    return isnan(score), 0.0 if isnan(score) else -score, i


def _draw(rng: np.random.Generator, name: str, kind: tuple) -> Any:
    match kind:
        case ("log", Real() as a, Real() as b) if 0 < a <= b < inf:
            return float(np.exp(rng.uniform(np.log(a), np.log(b))))
        case ("uniform", Real() as a, Real() as b) if -inf < a <= b < inf:
            return float(rng.uniform(a, b))
        case ("choice", [*options]) if options:
            return options[rng.integers(len(options))]
    raise ValueError(
        f"random_search: {name} is {kind!r}, "
        "wanted ('log', a, b) with 0 < a <= b, ('uniform', a, b) or ('choice', [...])"
    )


def _natural(where: str, name: str, n: Any) -> int:
    if not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"{where}: {name} is {n!r}, wanted an int from 0 up")
    return int(n)
