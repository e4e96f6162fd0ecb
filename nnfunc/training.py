r"""Learning as a fold: a state, a stream of batches, a step that takes one to the next. Chapters 4 and 6."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._arrays import Array, array, flag, function, generator, kind_of, mapping, paired, rows, whole
from .forms import Batch, Grad, Metrics, Mode, Optimizer, State, Step
from .params import _load_tree, _save_tree

__all__ = [
    "checkpoints",
    "every",
    "fit",
    "history",
    "init_state",
    "load_state",
    "minibatches",
    "progress",
    "save_state",
    "train_step",
]

Run = Iterable[tuple[State, Metrics]]


def init_state(
    optimizer: Optimizer, params: Mapping[str, Array], stats: Mapping[str, Array] = {}, seed: int = 0
) -> State:
    """Return the state before the first step.

    Parameters
    ----------
    optimizer, params : Optimizer, dict of arrays
        The pair (init, step), and where descent starts.
    stats, seed : dict of arrays, int
        Running statistics, if the network has any: [init_stats][nnfunc.initializers.init_stats]; and a seed from 0 up.

    Returns
    -------
    State
        With ``step`` 0.

    Raises
    ------
    ValueError
        For what is no optimizer, or a seed that is no int from 0 up.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.init_state(nn.momentum(), {"W1": [1.0, 1.0]}).opt
    {'t': 0, 'v': {'W1': array([0., 0.])}}
    """
    _check_optimizer("init_state", optimizer)
    start, observed = mapping("init_state", "params", params), mapping("init_state", "stats", stats)
    return State(dict(start), dict(observed), optimizer.init(start), whole("init_state", "seed", seed), 0)


def _check_optimizer(where: str, optimizer: Any) -> None:
    if not hasattr(optimizer, "init") or not hasattr(optimizer, "step"):
        raise ValueError(f"{where}: optimizer is {kind_of(optimizer)}, wanted an Optimizer, say nnfunc.sgd()")


def train_step(grad: Grad, optimizer: Optimizer) -> Step:
    r"""Make the step that takes one state to the next.

    $$s_{k+1} = \mathrm{step}(s_k, (x, t))$$

    Parameters
    ----------
    grad : callable
        What [value_and_grad][nnfunc.networks.value_and_grad] or its numerical sister returns. It is called in training
        mode, with the key ``(state.seed, state.step)``.
    optimizer : Optimizer
        Takes the gradients to the new parameters.

    Returns
    -------
    callable
        The pure ``step(state, (x, t)) -> (state, {'loss': loss})``; the loss is the one before the update.

    Raises
    ------
    ValueError
        For what is no function, or no optimizer.



    Examples
    --------
    >>> import nnfunc as nn
    >>> optimizer = nn.sgd(lr=0.5)
    >>> step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    >>> (x, t), state = nn.xor(), nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    >>> for _ in range(200):
    ...     state, metrics = step(state, (x, t))
    >>> print(nn.predict(nn.mlp(), state.params, x).argmax(axis=1))
    [0 1 1 0]
    """
    function("train_step", "grad", grad, "as of nnfunc.value_and_grad")
    _check_optimizer("train_step", optimizer)

    def step(state, batch):
        x, t = batch
        mode = Mode(state.stats, (state.seed, state.step))
        loss, grads, new = grad(state.params, x, t, mode)
        params, opt = optimizer.step(state.params, grads, state.opt)
        stats, steps = state.stats | new, state.step + 1
        return State(params, stats, opt, state.seed, steps), {"loss": loss}

    return step


def minibatches(
    x: Array, t: Array, batch_size: int, seed: int = 0, start: int = 0, replace: bool = False
) -> Iterator[Batch]:
    r"""Batches without end, drawn at random.

    $$\mathrm{batch}_i = (x_{\pi(k)}, t_{\pi(k)}), \qquad k = iB, \dots, (i + 1) B - 1$$

    Without replacement an epoch is a shuffle $\pi$ of the data cut into ``N // batch_size`` whole batches; the rest is
    left out. With replacement each batch is drawn from all the data, where N draws miss about 1/e of them.

    Parameters
    ----------
    x, t : arrays
        Data and labels, N of each. A tuple of arrays is several inputs, N samples each.
    batch_size : int
        Samples in a batch, from 1 to N.
    seed, start : int
        Batch i depends on the seed and on i alone. The first is batch `start`: a resumed run starts at ``state.step``.
    replace : bool
        Whether to draw with replacement.

    Yields
    ------
    tuple of arrays
        ``(x[rows], t[rows])``; a tuple of inputs gives a tuple.

    Raises
    ------
    ValueError
        For unequal lengths, or settings out of bounds; at the call, not at the first batch.

    References
    ----------
    L. Bottou, "Curiously fast convergence of some stochastic gradient descent algorithms", 2009.

    Examples
    --------
    >>> import nnfunc as nn
    >>> batches = nn.minibatches(range(6), range(6), batch_size=2, seed=1)
    >>> epoch = [next(batches)[0] for _ in range(3)]
    >>> sorted(int(n) for x in epoch for n in x)
    [0, 1, 2, 3, 4, 5]
    """
    inputs, labels, N = paired("minibatches", x, t)
    size, draw_again = whole("minibatches", "batch_size", batch_size, 1, N), flag("minibatches", "replace", replace)
    # Stream 0 of the seed is free (the layers' weights take 1, 2, ...); each epoch jumps to one of its own below it.
    stream: Any = generator((whole("minibatches", "seed", seed), 0)).bit_generator
    per_epoch = N // size

    def batches(epoch, first):
        while True:
            rng = np.random.Generator(stream.jumped(epoch + 1))
            order = rng.integers(N, size=N) if draw_again else rng.permutation(N)
            for i in range(first, per_epoch):
                batch = order[i * size : (i + 1) * size]
                yield rows(inputs, batch), rows(labels, batch)
            epoch, first = epoch + 1, 0

    return batches(*divmod(whole("minibatches", "start", start), per_epoch))


def fit(
    step: Step,
    state: State,
    batches: Iterable[Batch],
    steps: int,
    evaluate: Callable[[State], Metrics] | None = None,
) -> Iterator[tuple[State, Metrics]]:
    r"""Fold a step over batches, and hand out every state on the way. Nothing happens until it is iterated over.

    $$s_k = \mathrm{step}(s_{k-1}, batch_k), \qquad k = 1, \dots, steps$$

    Parameters
    ----------
    step, state : callable, State
        ``step(state, batch) -> (state, metrics)``, and where to start.
    batches, steps : iterable, int
        Where the batches come from, and how many steps to take; the fold ends with the batches if they end first.
    evaluate : callable, optional
        ``evaluate(state) -> metrics``, called after each step; [every][nnfunc.training.every] makes it rarer.

    Yields
    ------
    tuple
        The state after each step, and a dict of its metrics.

    Raises
    ------
    ValueError
        For `steps` that is no int from 0 up; at the call.

    References
    ----------
    R. Bird, "Introduction to Functional Programming using Haskell", 1998, section 4.5.

    Examples
    --------
    >>> import nnfunc as nn
    >>> optimizer = nn.sgd(lr=0.5)
    >>> step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    >>> (x, t), state = nn.xor(), nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    >>> measure = lambda state: {"accuracy": nn.accuracy(nn.predict(nn.mlp(), state.params, x), t)}
    >>> *_, (state, metrics) = nn.fit(step, state, nn.minibatches(x, t, 4), steps=200, evaluate=nn.every(50, measure))
    >>> print(state.step, metrics["accuracy"])
    200 1.0
    """
    steps = whole("fit", "steps", steps)
    function("fit", "step", step, "step(state, batch)")

    def run(state):
        for _, batch in zip(range(steps), batches, strict=False):
            state, metrics = step(state, batch)
            yield state, metrics | (evaluate(state) if evaluate else {})

    return run(state)


def every(steps: int, evaluate: Callable[[State], Metrics]) -> Callable[[State], Metrics]:
    """Let `evaluate` run at each multiple of `steps` only, and give no metrics in between.

    Parameters
    ----------
    steps, evaluate : int, callable
        From 1 up, where ``len(x) // batch_size`` is an epoch; and ``evaluate(state) -> metrics``.

    Returns
    -------
    callable
        A function of the state.

    Raises
    ------
    ValueError
        For `steps` that is no int from 1 up: an epoch of 468.75 steps would hardly ever be over.

    Examples
    --------
    >>> import nnfunc as nn
    >>> shout, state = nn.every(10, lambda state: {"step": state.step}), nn.init_state(nn.sgd(), {})
    >>> print(shout(state._replace(step=10)), shout(state._replace(step=11)))
    {'step': 10} {}
    """
    period = whole("every", "steps", steps, 1)
    function("every", "evaluate", evaluate, "evaluate(state)")
    return lambda state: {} if state.step % period else evaluate(state)


def _pairs(where: str, run: Run) -> Iterator[tuple[State, Metrics]]:
    """Pass a run on, or refuse what yields no states with their metrics."""
    for pair in run:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], State):
            came = ", ".join(map(kind_of, pair)) if isinstance(pair, tuple) else kind_of(pair)
            raise ValueError(f"{where}: the run yields {came}, wanted (state, metrics) with an nnfunc.State")
        yield pair


def history(run: Run) -> tuple[State, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Run a fit to its end; return the last state and every metric as a curve.

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.

    Returns
    -------
    state, curves : State, dict
        The last one; and for each metric an array of steps and one of values: ``plt.plot(*curves['loss'])``.

    Raises
    ------
    ValueError
        If the run takes no step, or yields no States.

    Examples
    --------
    >>> import nnfunc as nn
    >>> start = nn.init_state(nn.sgd(), {})
    >>> run = [(start._replace(step=k), {"loss": 1 / k}) for k in (1, 2, 4)]    # as fit would yield it
    >>> state, curves = nn.history(run)
    >>> print(state.step, *curves["loss"])
    4 [1 2 4] [1.   0.5  0.25]
    """
    points: dict[str, list[tuple[int, Any]]] = {}
    last = None
    for last, metrics in _pairs("history", run):
        for name, value in metrics.items():
            points.setdefault(name, []).append((last.step, value))
    if last is None:
        raise ValueError("history: the run took no step")
    return last, {name: _curve(p) for name, p in points.items()}


def _curve(points: list[tuple[Any, Any]]) -> tuple[Array, Array]:
    """Return the steps and values of a metric as two arrays, of the library of the last value."""
    xp = array("history", "a metric", points[-1][1])[1]
    steps, values = zip(*points, strict=True)
    if xp is np:
        return np.array(steps), np.array(values)
    return xp.stack([*map(xp.asarray, steps)]), xp.stack([v if hasattr(v, "shape") else xp.asarray(v) for v in values])


def progress(run: Run, steps: int, start: int = 0) -> Iterator[tuple[State, Metrics]]:
    """Pass a run on and show a progress bar with its loss. Needs tqdm, the extra `progress`.

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.
    steps, start : int
        How many steps the whole run takes, and how many of them were taken before.

    Yields
    ------
    tuple
        The run's states and metrics, unchanged.

    Raises
    ------
    ValueError
        For a run without States.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [number for number in nn.progress([], steps=0)]
    []
    """
    from tqdm import tqdm

    total, initial = whole("progress", "steps", steps), whole("progress", "start", start)

    def shown():
        with tqdm(total=total, initial=initial, unit="step", leave=False, disable=None) as bar:
            for state, metrics in _pairs("progress", run):
                bar.update(state.step - bar.n)
                if state.step % 100 == 0 and "loss" in metrics:
                    bar.set_postfix(loss=f"{metrics['loss']:.3f}", refresh=False)
                yield state, metrics

    return shown()


def checkpoints(run: Run, path: str | Path, steps: int) -> Iterator[tuple[State, Metrics]]:
    """Pass a run on and save its state at each multiple of `steps`.

    Parameters
    ----------
    run : iterable
        What [fit][nnfunc.training.fit] returns.
    path, steps : path, int
        The file, replaced whole each time as by [save_state][nnfunc.training.save_state]; and how often, from 1 up.

    Yields
    ------
    tuple
        The run's states and metrics, unchanged.

    Raises
    ------
    ValueError
        For a run without States.

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
    period = whole("checkpoints", "steps", steps, 1)

    def saved():
        for state, metrics in _pairs("checkpoints", run):
            if state.step % period == 0:
                save_state(path, state)
            yield state, metrics

    return saved()


def save_state(path: str | Path, state: State) -> None:
    """Save a state as an ``.npz`` file, the optimizer's memory and the step included.

    The file appears as a whole or not at all, and holds no pickle. Arrays and scalars of NumPy, None, bools, ints,
    floats and texts come back as they went, and so do dicts of them, empty ones too.

    Parameters
    ----------
    path, state : path, State
        The file, used as it is given, and the state.

    Raises
    ------
    ValueError
        For what is no State, a name that [save_params][nnfunc.params.save_params] would refuse, or a value that would
        not come back as it is, say a list.
    OSError
        If the file cannot be written, or is a folder, a pipe or a device.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.npz")
    ...     nn.save_state(path, nn.init_state(nn.momentum(), {"W1": np.ones(2)}, seed=3))
    ...     nn.load_state(path)
    State(params={'W1': array([1., 1.])}, stats={}, opt={'t': 0, 'v': {'W1': array([0., 0.])}}, seed=3, step=0)
    """
    if not isinstance(state, State):
        raise ValueError(f"save_state: the state is {kind_of(state)}, wanted an nnfunc.State")
    _checked("save_state", "the state", state._asdict())
    _save_tree("save_state", path, state._asdict())


def load_state(path: str | Path, limit: int = 2**31) -> State:
    """Load a state that [save_state][nnfunc.training.save_state] wrote.

    Parameters
    ----------
    path, limit : path, int
        The file, and how many bytes it may have, packed or unpacked.

    Returns
    -------
    State
        Equal to the saved one, to the last bit.

    Raises
    ------
    ValueError
        If the file is damaged, is beyond the limit, holds objects, or holds no state.
    OSError
        If there is no file, or it is a folder, a pipe or a device.

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
    tree = _load_tree("load_state", path, limit)
    tree.pop("run", None)  # the settings, which the command keeps in the same file
    if isinstance(tree.get("seed"), np.ndarray):  # JAX's numbers; or a version that wrote arrays alone, no empty dicts
        opt = tree.get("opt")
        tree = {"params": {}, "stats": {}} | {name: _number(v) for name, v in tree.items()}
        tree["opt"] = {name: _number(v) for name, v in opt.items()} if isinstance(opt, dict) else opt
    return _checked("load_state", str(path), tree)


def _checked(where: str, name: str, tree: dict[str, Any]) -> State:
    """Return a state of its parts, or refuse others."""
    kinds = {part: dict if isinstance(v, Mapping) else int for part, v in tree.items()}
    if kinds != {"params": dict, "stats": dict, "opt": dict, "seed": int, "step": int}:
        raise ValueError(f"{where}: {name} holds {sorted(tree)}, no state; wanted {', '.join(State._fields)}")
    numbers = {part: whole(where, f"{part} of {name}", _number(tree[part])) for part in ("seed", "step")}
    return State(**(tree | numbers))


def _number(v: Any) -> Any:
    return v.item() if isinstance(v, np.ndarray) and v.shape == () and v.dtype in ("int32", "int64", "float64") else v
