r"""The forms: what a function must look like to work with the others. The map of the house, in code.

A function fits a form if it can be called so; nothing is inherited and nothing registered. The parameters stand in
front of a slash: yours may have names of their own.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ._arrays import Array

__all__ = ["EVAL", "Grad", "Layer", "Loss", "Mode", "Op", "Optimizer", "Schedule", "State", "Step"]

Params = dict[str, np.ndarray]
Pullback = Callable[..., tuple[Any, ...]]
Batch = tuple[Array, Array]
Metrics = dict[str, Any]


class Mode(NamedTuple):
    """How a layer is to run: ``Mode()``, also named `EVAL`, is evaluation; with a key it is training.

    Attributes
    ----------
    stats : dict
        What data have taught so far, the running mean and variance of batch normalisation.
    key : tuple of int or None
        Decides what chance decides: ``(seed, step)`` in training, None in evaluation.
    grad : bool
        Whether the pullback will be called. False keeps nothing for it: inference in little memory.
    dx : bool
        Whether the gradient by the input is wanted. If not, layers that would spend a product on it (affine and conv2d)
        leave it None. `serial` hands it to its first layer alone.

    Examples
    --------
    >>> from nnfunc.layers import Mode
    >>> Mode(key=(0, 7))
    Mode(stats={}, key=(0, 7), grad=True, dx=True)
    """

    stats: Mapping[str, Array] = {}
    key: tuple[int, ...] | None = None
    grad: bool = True
    dx: bool = True


EVAL = Mode()


class Op(Protocol):
    """A value and the way back: ``y, pullback = op(x, W, b)``, ``dx, dW, db = pullback(dy)``."""

    def __call__(self, x: Array, /, *args: Any, **settings: Any) -> tuple[Any, Pullback]: ...


class Loss(Protocol):
    """An op on scores and targets: ``loss, pullback = op(z, t)``, ``(dz,) = pullback()``."""

    def __call__(self, scores: Any, t: Any, /) -> tuple[Any, Pullback]: ...


class Layer(Protocol):
    """An op with weights by name: ``y, pullback, stats = layer(params, x, mode)``, ``dx, grads = pullback(dy)``."""

    def __call__(
        self, params: Mapping[str, Array], x: Any, mode: Mode = ..., /
    ) -> tuple[Any, Callable[[Any], tuple[Any, Params]], Params]: ...


class Grad(Protocol):
    """The gradient of a loss by all parameters: ``value, grads, stats = grad(params, x, t, mode)``."""

    def __call__(
        self, params: Mapping[str, Array], x: Any, t: Any, mode: Mode = ..., /
    ) -> tuple[Any, Params, Params]: ...


class Schedule(Protocol):
    """A learning rate that changes: from the number of steps already taken to the rate of the next."""

    def __call__(self, t: int, /) -> float: ...


class Optimizer(NamedTuple):
    """A pair of pure functions.

    Attributes
    ----------
    init : callable
        ``init(params) -> opt``: what the optimizer remembers before the first step.
    step : callable
        ``step(params, grads, opt) -> (params, opt)``: all of them new.

    Examples
    --------
    >>> import nnfunc as nn
    >>> init, step = nn.sgd(lr=0.5)
    >>> params = {"W1": [1.0, 2.0]}
    >>> step(params, {"W1": [1.0, 1.0]}, init(params))
    ({'W1': array([0.5, 1.5])}, {'t': 1})
    """

    init: Callable[[Mapping[str, Array]], dict[str, Any]]
    step: Callable[[Mapping[str, Array], Mapping[str, Array], dict[str, Any]], tuple[Params, dict[str, Any]]]


class State(NamedTuple):
    """All there is to know of a training run: whoever has it can stop, save, resume and replay.

    Attributes
    ----------
    params, stats : dict of arrays
        What descent changes, and what data change: running means and variances.
    opt : dict
        What the optimizer remembers.
    seed, step : int
        What chance decides follows from the seed and from how many steps have been taken.

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


class Step(Protocol):
    """From one state to the next: ``state, metrics = step(state, (x, t))``."""

    def __call__(self, state: State, batch: Batch, /) -> tuple[State, Metrics]: ...
