r"""The ground floor: arrays of any library, floats, labels, bounds of numbers, chance by key, and `op`."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce, wraps
from inspect import Signature, signature
from math import inf, isnan
from operator import attrgetter
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["generator", "op"]

Array = Any  # an array of NumPy, or of any library that follows the array API standard; a list or a number, too
Key = tuple[int, ...]
Shape = tuple[int, ...]
P = ParamSpec("P")
R = TypeVar("R")
_kind = attrgetter("shape", "dtype")
SINGLE_UP = "fdg"  # NumPy's letters for floats of single precision and more


def array(where: str, name: str, x: Array) -> tuple[Array, ModuleType]:
    """Return `x` as an array, with the namespace of its library: NumPy, unless `x` brings another."""
    if type(x) is np.ndarray:
        return x, np
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(f"{where}: {name} is a masked array, whose mask would be lost; wanted {name}.filled(...)")
    if not isinstance(x, (np.ndarray, np.generic)) and (hasattr(x, "__array_namespace__") or _wants_compat(x)):
        return x, namespace(x)
    try:
        return np.asarray(x), np
    except ValueError as error:
        raise ValueError(f"{where}: {name} is no array: {error}") from error


def numpys(where: str, name: str, x: Array) -> Array:
    """Return `x` as NumPy's array, for what is NumPy's alone, or refuse another library's."""
    a, xp = array(where, name, x)
    if xp is not np:
        library = type(a).__module__.partition(".")[0]
        raise ValueError(f"{where}: {name} is an array of {library}, wanted one of NumPy's")
    return a


def samples(where: str, name: str, x: Any) -> tuple[Any, int]:
    """Return data as an array, or as a tuple of them for several inputs, and how many samples they hold."""
    inputs = [array(where, name, a)[0] for a in (x if isinstance(x, tuple) else (x,))]
    counts = {a.shape[0] if a.ndim else -1 for a in inputs}
    if len(counts) != 1 or -1 in counts:
        raise ValueError(f"{where}: {name} has shape {', '.join(str(a.shape) for a in inputs)}; wanted (N, ...)")
    return tuple(inputs) if isinstance(x, tuple) else inputs[0], counts.pop()


def paired(where: str, x: Any, t: Any) -> tuple[Any, Any, int]:
    """Return data and labels as arrays, and how many samples they are, or refuse unequal numbers of them."""
    (inputs, N), (labels, M) = samples(where, "x", x), samples(where, "t", t)
    if N != M:
        raise ValueError(f"{where}: x has {N} samples, t has {M}")
    return inputs, labels, N


def rows(x: Any, which: Any) -> Any:
    """Return some samples of an array, or of each array of a tuple; no row is out of range."""
    if isinstance(x, tuple):
        return tuple(rows(a, which) for a in x)
    if not isinstance(which, np.ndarray):
        return x[which, ...]
    xp = namespace(x)
    return x.take(which, axis=0, mode="clip") if xp is np else xp.take(x, xp.asarray(which), axis=0)


def namespace(x: Array) -> Any:
    """Return the library of an array: NumPy, unless it brings another."""
    if type(x) is np.ndarray or isinstance(x, np.generic):
        return np
    return _compat().array_namespace(x) if _wants_compat(x) else x.__array_namespace__()


def _wants_compat(x: Any) -> bool:
    """Tell the arrays of PyTorch and CuPy, which name some things otherwise than the standard does."""
    return any(kind.__module__.partition(".")[0] in ("torch", "cupy") for kind in type(x).__mro__)


def _compat() -> Any:
    """Return what lets them follow the standard; nothing becomes NumPy's in silence."""
    try:
        import array_api_compat
    except ModuleNotFoundError as error:
        raise ValueError("arrays of PyTorch and CuPy want an adapter: pip install array-api-compat") from error
    return array_api_compat


def floating(where: str, name: str, x: Array, dtype: Any = np.float64) -> Array:
    """Return `x` as an array of floats: ints and bools become `dtype`."""
    x, xp = array(where, name, x)
    if xp.isdtype(x.dtype, "real floating"):
        return x
    if not xp.isdtype(x.dtype, ("bool", "integral")):
        raise ValueError(f"{where}: {name} has dtype {x.dtype}, wanted real numbers")
    return xp.astype(x, dtype)


def like(x: Array, y: Array) -> Array:
    """Return `x` in the dtype of `y`."""
    if x.dtype == y.dtype:
        return x
    xp = namespace(x)
    return x.astype(y.dtype) if xp is np else xp.astype(xp.asarray(x), y.dtype)


def takes(letters: str, and_back: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function have its arrays as floats that fit the letters: the first half of `op`.

    What comes in half precision alone is computed in single, and goes back in half: sums of it would overflow.
    """

    def decorate(formula: Callable[P, R]) -> Callable[P, R]:
        where, form = formula.__name__.strip("_"), signature(formula)
        window, plain = _window(where, letters, [*form.parameters]), [np.ndarray] * len(_parsed(letters))
        any_shape = [*_parsed(letters).values()] == [("...",)]

        @wraps(formula)
        def checked(*args, **settings):
            arrays = args[window]
            ready, half = [*map(type, arrays)] == plain, None
            if ready:
                ready = arrays[0].dtype.char in SINGLE_UP if any_shape else _fits(where, letters, *map(_kind, arrays))
            if not ready:
                args, settings, half = _brought(where, letters, form, formula, args, settings)
            answer = formula(*args, **settings)
            if half is not None:
                answer = _halved(answer, half)
            return way_back(where, answer) if and_back else answer

        checked.__dict__["takes"] = letters
        return checked

    return decorate


def op(letters: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    r"""Make an op of a formula: its arrays fit the letters, and a gradient that comes back fits its value.

    The letters name the arrays and their axes, ``"x (..., D), W (D, M), b (M)"``. A letter, and ``...``
    too, is the same size wherever it stands; each array has at most one ``...``, for any number of axes.
    Lists, ints and bools come in as floats, in the dtype of the first array that has floats. Arguments
    that are not named pass as they are. A function that keeps to the form is an op without all this.

    The function returns its value and its pullback. The pullback gets gradients as arrays of the value's
    shape, lists and ints in its dtype. If it has a default, as that of a loss has, it gets a float.

    Parameters
    ----------
    letters : str
        What the op takes.

    Returns
    -------
    callable
        A decorator. The op it makes carries ``op.takes``, the letters.

    Raises
    ------
    ValueError
        For letters that are not of this form, or name no argument; by the op, if the arrays do not fit
        the letters, or hold no real numbers; by its pullback, for a gradient of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> @nn.op("x (N, D), w (D)")
    ... def scale(x, w):
    ...     return x * w, lambda dy: (dy * w, (dy * x).sum(axis=0))
    >>> y, pullback = scale([[1, 2]], [3.0, 4.0])
    >>> print(y, *pullback([[1, 1]]))
    [[3. 8.]] [[3. 4.]] [1. 2.]
    >>> scale([[1, 2]], [3.0])
    Traceback (most recent call last):
      ...
    ValueError: scale: x (1, 2), w (1,); wanted x (N, D), w (D); D is 2 and 1
    """
    return takes(letters, and_back=True)


def way_back(where: str, answer: Any) -> Any:
    """Let the pullback of ``(y, pullback)`` have its gradient as an array of the shape of y; a loss's, as a float."""
    y, back = answer if type(answer) is tuple and len(answer) == 2 else entries(where, answer, 2, "(y, pullback)")
    try:
        shape, dtype = y.shape, y.dtype
    except AttributeError:
        raise ValueError(f"{where}: returned {kind_of(y)} as its value, wanted an array") from None
    if shape == () and is_loss(back):
        return y, lambda dloss=1.0: back(dloss if type(dloss) is float else one_number(where, "the gradient", dloss))

    def pullback(dy):
        if not (type(dy) is np.ndarray and dy.shape == shape and dy.dtype is dtype):
            dy = _cotangent(where, dy, shape, dtype)
        return back(dy)

    return y, pullback


def is_loss(back: Callable) -> bool:
    """Tell the pullback of a loss by its default: ``pullback(dloss=1.0)``."""
    return len(getattr(back, "__defaults__", None) or ()) == 1


def _cotangent(where: str, dy: Array, shape: Shape, dtype: Any) -> Array:
    """Return a gradient as an array, or refuse it for another shape than the output's."""
    given, xp = array(where, "the gradient", dy)
    if given.shape != shape:
        raise ValueError(f"{where}: the gradient has shape {given.shape}, wanted {shape}, the shape of the output")
    given = floating(where, "the gradient", given, dtype)
    return given if hasattr(dy, "dtype") else xp.astype(given, dtype, copy=False)


@lru_cache(256)
def _parsed(letters: str) -> dict[str, tuple[str, ...]]:
    """``{'x': ('...', 'D'), 'W': ('D', 'M')}`` of ``"x (..., D), W (D, M)"``."""
    if not re.fullmatch(r"(\w+ \([^()]*\)(, (?=\w)|$))+", letters):
        raise ValueError(f"op: the letters are {letters!r}, wanted 'x (..., D), W (D, M)', say")
    parsed = {name: tuple(re.findall(r"[^, ]+", axes)) for name, axes in re.findall(r"(\w+) \((.*?)\)", letters)}
    for name, axes in parsed.items():
        if axes.count("...") > 1 or not all(axis == "..." or axis.isidentifier() for axis in axes):
            raise ValueError(f"op: {name} is ({', '.join(axes)}), wanted letters and at most one ...")
    return parsed


def _window(where: str, letters: str, parameters: list[str]) -> slice:
    """Return where in a call the named arrays stand, or a slice of nothing if other arguments stand between them."""
    unknown = [name for name in _parsed(letters) if name not in parameters]
    if unknown:
        raise ValueError(f"op: the letters name {', '.join(unknown)}; {where} takes {', '.join(parameters)}")
    places = [parameters.index(name) for name in _parsed(letters)]
    return slice(places[0], places[-1] + 1 if places == [*range(places[0], places[-1] + 1)] else 0)


@lru_cache(2048)
def _fits(where: str, letters: str, *kinds: tuple[Shape, Any]) -> bool:
    """Refuse shapes that do not fit; say whether all are floats. A step asks the same again and again."""
    _bind(where, letters, dict(zip(_parsed(letters), (shape for shape, _ in kinds), strict=True)))
    return all(dtype.char in SINGLE_UP for _, dtype in kinds)


def _brought(where: str, letters: str, form: Signature, formula: Callable, args: Any, settings: Any) -> Any:
    """Return the arguments of a call, the named arrays as floats that fit; one whose default is None may lack.

    Behind them stands the dtype that the answer is to have, if all these arrays had half precision.
    """
    try:
        call = form.bind(*args, **settings)
    except TypeError:
        formula(*args, **settings)  # says it as any function does
        raise
    given = call.arguments
    absent = [name for name, p in form.parameters.items() if p.default is None and given.get(name) is None]
    arrays = {name: array(where, name, given[name])[0] for name in _parsed(letters) if name not in absent}
    dtype = next((a.dtype for a in arrays.values() if namespace(a).isdtype(a.dtype, "real floating")), np.float64)
    arrays = {name: floating(where, name, a, dtype) for name, a in arrays.items()}
    _bind(where, letters, {name: tuple(a.shape) for name, a in arrays.items()})
    given |= {name: single(a) for name, a in arrays.items()}
    return call.args, call.kwargs, dtype if all(is_half(a) for a in arrays.values()) else None


def is_half(x: Array) -> bool:
    """Tell half precision by its two bytes."""
    return getattr(x.dtype, "itemsize", 8) == 2


def single(x: Array) -> Array:
    """Return numbers of half precision in single, and others as they are."""
    xp = namespace(x)
    return xp.astype(x, xp.float32) if is_half(x) else x


def _halved(answer: Any, half: Any) -> Any:
    """Return in half precision what was computed in single; a pullback takes and gives it, too."""
    if isinstance(answer, tuple):
        return tuple(_halved(part, half) for part in answer)
    if callable(answer):
        back = lambda dy: _halved(answer(single(dy)), half)
        return (lambda dloss=1.0: _halved(answer(dloss), half)) if is_loss(answer) else back
    xp = namespace(answer) if hasattr(answer, "dtype") else None
    with np.errstate(over="ignore"):  # what is too large for half precision is rightly infinite in it
        return xp.astype(xp.asarray(answer), half)[()] if xp and answer.dtype == xp.float32 else answer


def _bind(where: str, letters: str, shapes: dict[str, Shape]) -> None:
    """Refuse shapes in which a letter stands for two sizes, or that have more or fewer axes than letters."""
    sizes: dict[str, dict[Any, None]] = {}
    came, wanted, fit = ", ".join(f"{name} {shape}" for name, shape in shapes.items()), [letters], True
    for name, shape in shapes.items():
        axes = _parsed(letters)[name]
        k = axes.index("...") if "..." in axes else len(axes)
        rest = len(shape) - len([axis for axis in axes if axis != "..."])  # the axes that ... stands for
        if rest < 0 or (rest > 0 and "..." not in axes):
            fit = False
            wanted += [f"one sample is {name}[None]"] if rest == -1 and axes[0] == "N" else []
            continue
        bound = [*shape[:k], shape[k : k + rest], *shape[k + rest :]] if "..." in axes else shape
        for axis, size in zip(axes, bound, strict=True):
            sizes.setdefault(axis, {})[size] = None
    torn = [f"{axis} is {' and '.join(map(str, found))}" for axis, found in sizes.items() if len(found) > 1]
    if torn or not fit:
        raise ValueError(f"{where}: {came}; wanted {'; '.join(wanted + torn)}")


def entries(f: Any, answer: Any, count: int, form: str) -> Any:
    """Return what `f`, a function or its name, answered, or refuse it if it is no tuple of so many."""
    if not isinstance(answer, tuple) or len(answer) != count:
        raise ValueError(f"{f if isinstance(f, str) else name_of(f)}: returned {kind_of(answer)}, wanted {form}")
    return answer


def name_of(f: Any) -> str:
    """Return what a function is called."""
    return f.__name__ if hasattr(f, "__name__") else repr(f)


def kind_of(thing: Any) -> str:
    """Say what came: an array of its shape, a tuple of its length, a function by its name."""
    if isinstance(thing, (str, int, float, np.generic, type(None))):
        return repr(thing)
    if hasattr(thing, "shape"):
        return f"an array of shape {tuple(thing.shape)}"
    if isinstance(thing, (tuple, list, dict)):
        return f"a {type(thing).__name__} of {len(thing)}"
    if not callable(thing) or not hasattr(thing, "__name__"):
        return f"a {type(thing).__name__}"
    if not hasattr(thing, "takes"):
        return f"the function {thing.__name__}"
    return f"the {'value function' if str(thing.__module__).endswith('.functions') else 'op'} {thing.__name__}"


def one_number(where: str, name: str, x: Any) -> float:
    """Return a number as a plain float, which widens no array; nan and inf pass."""
    number = floating(where, name, x)
    if number.shape != ():
        raise ValueError(f"{where}: {name} has shape {number.shape}, wanted one number, like the loss")
    return float(number)


def real(where: str, name: str, x: Any, within: str = "[0, inf)", advice: str = "") -> float:
    """Return a setting as a plain float, or refuse what is no number of the interval; nan is in none."""
    low, high = map(float, within[1:-1].split(","))
    fits = np.ndim(x) == 0 and np.asarray(x).dtype.kind in "iuf"
    fits = fits and (x > low if within[0] == "(" else x >= low) and (x < high if within[-1] == ")" else x <= high)
    if not fits:
        raise ValueError(f"{where}: {name} is {kind_of(x)}, wanted a number in {within}{advice}")
    return float(x)


def whole(where: str, name: str, n: Any, least: int = 0, most: int | None = None) -> int:
    """Return a setting as an int, or refuse what is none from `least` to `most`."""
    if not _is_whole(n) or n < least or (most is not None and n > most):
        bounds = f"{least} up" if most is None else f"{least} to {most}"
        raise ValueError(f"{where}: {name} is {n!r}, wanted an int from {bounds}")
    return int(n)


def pair_of(where: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """Return an int for both directions, or a pair of them, as a pair."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(_is_whole(n) and n >= least for n in pair):
        raise ValueError(f"{where}: {name} is {value!r}, wanted an int from {least} up, or a pair of them")
    return int(pair[0]), int(pair[1])


def flag(where: str, name: str, value: Any) -> bool:
    """Return a switch, or refuse what is no bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{where}: {name} is {value!r}, wanted True or False")
    return bool(value)


def mapping(where: str, name: str, tree: Any) -> Any:
    """Return a dict, or refuse what is none."""
    if type(tree) is not dict and not isinstance(tree, Mapping):
        raise ValueError(f"{where}: {name} is {kind_of(tree)}, wanted a dict")
    return tree


def function(where: str, name: str, f: Any, form: str) -> Any:
    """Return a function, or refuse what cannot be called."""
    if not callable(f):
        raise ValueError(f"{where}: {name} is {kind_of(f)}, wanted a function {form}")
    return f


def _is_whole(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)


def check_key(where: str, key: Any) -> None:
    """Refuse a key that is no tuple of ints from 0 up."""
    if type(key) is tuple and {*map(type, key)} == {int} and min(key) >= 0:  # each step asks
        return
    if not isinstance(key, tuple) or not key or not all(_is_index(n) for n in key):
        raise ValueError(f"{where}: key is {key!r}, wanted a tuple of ints from 0 up")


def _is_index(n: Any) -> bool:
    return namespace(n).isdtype(n.dtype, "integral") if is_traced(n) else _is_whole(n) and n >= 0


def is_traced(x: Any) -> bool:
    """Tell a number of another library: while it compiles nobody knows yet which."""
    return hasattr(x, "__array_namespace__") and not isinstance(x, (np.ndarray, np.generic)) and x.shape == ()


def generator(key: Key) -> np.random.Generator:
    r"""From a key to chance: NumPy's generator, the same for the same key.

    The first number of the key is a seed, the others lead to a stream of its own below it: each key, however
    long, has numbers that have nothing to do with those of another.

    Parameters
    ----------
    key : tuple of int
        From 0 up, say ``(seed, step)`` or a mode's key.

    Returns
    -------
    numpy.random.Generator
        ``Generator(PCG64(SeedSequence(key[0], spawn_key=key[1:])))``.

    Raises
    ------
    ValueError
        For a key that is no tuple of ints from 0 up.

    References
    ----------
    J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", SC 2011: numbers by key.

    Examples
    --------
    >>> import nnfunc as nn
    >>> draw = nn.generator((0, 7)).random()
    >>> draw == nn.generator((0, 7)).random(), draw == nn.generator((0, 7, 0)).random()
    (True, False)
    """
    check_key("generator", key)
    seed, *stream = map(int, key)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))


def uniform(key: Key, x: Array) -> Array:
    """Return numbers from 0 to below 1 in the shape of `x`. JAX draws its own, which it can do while it compiles."""
    xp = namespace(x)
    if xp.__name__ != "jax.numpy":
        return xp.asarray(generator(key).random(x.shape, np.float32))
    from jax import random

    return random.uniform(reduce(random.fold_in, key[1:], random.key(key[0])), x.shape)


def check_some(where: str, name: str, y: Array) -> None:
    """Refuse the mean of nothing."""
    if 0 in y.shape:
        raise ValueError(f"{where}: {name} has shape {y.shape}; there is nothing to take a mean of")


def check_spread(where: str, shape: Shape, m: int) -> None:
    """Refuse the variance of nothing, or of one value."""
    if m < 2:
        raise ValueError(f"{where}: x has shape {shape}; the variance of a feature wants at least 2 values, not {m}")


def check_range(where: str, name: str, a: Array, low: float = -inf, high: float = inf) -> None:
    """Refuse nan, and numbers out of range. Of NumPy's arrays alone: another library's may have no values yet."""
    if isinstance(a, np.ndarray) and a.size and not (a.min() >= low and a.max() <= high):
        held = "holds nan" if isnan(a.min()) else f"runs from {a.min():.6g} to {a.max():.6g}"
        raise ValueError(f"{where}: {name} {held}, wanted {'numbers' if high == inf else f'{low:g} to {high:g}'}")


def check_rows(where: str, name: str, rows: Array, wanted: str) -> None:
    """Refuse rows that do not sum to one, or have negative entries; of NumPy's arrays alone."""
    if isinstance(rows, np.ndarray) and rows.size:
        sums, least = rows.sum(axis=-1), rows.min()
        if not (least >= -1e-3 and (abs(sums - 1) <= 1e-3).all()):
            raise ValueError(
                f"{where}: the rows of {name} sum to {sums.min():.6g} ... {sums.max():.6g} "
                f"(smallest entry {least:.6g}); wanted {wanted}"
            )


def check_probabilities(where: str, name: str, y: Array) -> None:
    wanted = "probabilities, which sum to 1; scores go to nnfunc.ops.softmax_cross_entropy"
    check_rows(where, name, y, wanted)


def class_targets(where: str, name: str, y: Array, t: Array) -> Array:
    """Bring labels of any accepted form to rows of probabilities that fit `y`, or refuse them.

    Ints of shape ``y.shape[:-1]`` become one-hot rows; rows of the shape of `y` must sum to one. No labels at all are
    refused, since a mean over them is wanted. `where` and `name` say in the error whose argument `y` is.
    """
    t, xp = array(where, "t", t)
    check_some(where, name, y)
    if y.ndim == 0 or t.shape not in (y.shape, y.shape[:-1]):
        raise ValueError(
            f"{where}: t has shape {t.shape}, {name} has shape {y.shape}; "
            f"wanted int labels of shape {y.shape[:-1]} or one-hot rows of shape {y.shape}"
        )
    if t.shape == y.shape:
        t = xp.astype(t, y.dtype, copy=False)
        check_rows(where, "t", t, "one-hot rows or probabilities, which sum to 1")
        return t
    return one_hot_rows(where, t, y.shape[-1], y.dtype)


def one_hot_rows(where: str, t: Array, classes: int, dtype: Any) -> Array:
    """Return one-hot rows of int labels, or refuse labels that are none or out of range."""
    xp = namespace(t)
    if not (t.dtype.kind in "iu" if xp is np else xp.isdtype(t.dtype, "integral")):
        raise ValueError(f"{where}: t has dtype {t.dtype}, labels are ints")
    hits = t[..., None] == xp.arange(classes)
    if xp is np and np.count_nonzero(hits) != t.size:
        advice = "; one output is a yes-or-no question, for nnfunc.ops.sigmoid_cross_entropy" if classes == 1 else ""
        raise ValueError(f"{where}: t holds labels from {t.min()} to {t.max()}, wanted 0 to {classes - 1}{advice}")
    return hits.astype(dtype) if xp is np else xp.astype(hits, dtype)
