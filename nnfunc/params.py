r"""Files of parameters: NumPy archives without pickle, written as a whole or not at all."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ._arrays import Array, array, mapping, numpys
from .forms import Params

__all__ = ["count_params", "load_params", "save_params"]


def save_params(path: str | Path, params: Mapping[str, Array]) -> None:
    """Save parameters as an ``.npz`` file.

    The file appears as a whole or not at all: it is written beside its place and then moved there.

    Parameters
    ----------
    path : path
        The file, used as it is given.
    params : dict of arrays
        What to save.

    Raises
    ------
    ValueError
        If a name is not a str or holds a slash, or a value is no array of numbers, or a masked one.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> params = nn.init_mlp(0, (784, 50, 10))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "params.npz")
    ...     nn.save_params(path, params)
    ...     again = nn.load_params(path)
    >>> list(again), again["W1"].dtype, bool((again["W1"] == params["W1"]).all())
    (['W1', 'b1', 'W2', 'b2'], dtype('float32'), True)
    """
    if inner := _inner(mapping("save_params", "params", params)):
        raise ValueError(f"save_params: {inner} holds arrays itself; wanted arrays alone")
    _save_tree("save_params", path, params)


def load_params(path: str | Path) -> Params:
    """Load parameters from an ``.npz`` file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of arrays
        In the order and the dtypes in which they were saved.

    Raises
    ------
    ValueError
        If the file is truncated or damaged, is no archive, or holds Python objects. No pickle is ever read.
    FileNotFoundError
        If there is none.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "params.npz")
    ...     nn.save_params(path, nn.init_affine(0, 1, 2, 3))
    ...     print(nn.load_params(path)["b1"])
    [0. 0. 0.]
    """
    params = _load_tree("load_params", path)
    if inner := _inner(params):
        raise ValueError(f"load_params: {path} holds {inner}, as a saved state does; wanted arrays alone")
    return params


def count_params(params: Mapping[str, Array]) -> int:
    """How many numbers the parameters are.

    Parameters
    ----------
    params : dict of arrays
        The parameters.

    Returns
    -------
    int
        The sum of the arrays' sizes.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.count_params(nn.init_mlp(0, (784, 50, 10))) == 784 * 50 + 50 + 50 * 10 + 10
    True
    """
    arrays = mapping("count_params", "params", params)
    return sum(prod(array("count_params", name, p)[0].shape) for name, p in arrays.items())


def _save_tree(where: str, path: str | Path, tree: Mapping[str, Any]) -> None:
    """Save a dict of arrays and of such dicts; `where` names the caller in errors."""
    arrays = {name: numpys(where, name, value) for name, value in _branches(where, tree)}
    for name, a in arrays.items():
        if a.dtype.kind not in "biufc":
            raise ValueError(f"{where}: {name} is an array of dtype {a.dtype}; only numbers are saved")
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "w") as archive:
            for name, a in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, a, allow_pickle=False)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _load_tree(where: str, path: str | Path) -> dict[str, Any]:
    """Load what `_save_tree` saved."""
    tree: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(Path(path).read_bytes())) as archive:
            if any(entry.comment for entry in archive.infolist()):  # a damaged length may hide the entry behind it
                raise ValueError("an entry has a comment")
            for entry in archive.namelist():
                with archive.open(entry) as file:
                    *branches, name = entry.removesuffix(".npy").split("/")
                    inner = tree
                    for branch in branches:
                        inner = inner.setdefault(branch, {})
                    if not isinstance(inner, dict) or name in inner:
                        raise ValueError(f"two entries want the name {entry}")
                    inner[name] = np.lib.format.read_array(file, allow_pickle=False)
                    if file.read(1):
                        raise ValueError(f"{entry} goes on after its array")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(f"{where}: {path} is no archive of arrays, or a damaged one: {error}") from error
    return tree


def _inner(params: Mapping[str, Any]) -> str:
    return ", ".join(str(name) for name, value in params.items() if isinstance(value, Mapping))


def _branches(where: str, tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Array]]:
    for name, value in tree.items():
        if not isinstance(name, str) or "/" in name or not name:
            raise ValueError(f"{where}: the name {name!r} cannot be saved, wanted a str without a slash")
        if isinstance(value, Mapping):
            yield from _branches(where, value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
