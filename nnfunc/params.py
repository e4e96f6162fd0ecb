r"""Files of parameters: NumPy archives without pickle, written as a whole or not at all."""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np

from ._arrays import Array, array, kind_of, mapping, numpys, whole
from .forms import Params

__all__ = ["count_params", "load_params", "save_params"]


def save_params(path: str | Path, params: Mapping[str, Array]) -> None:
    """Save parameters as an ``.npz`` file.

    The file appears as a whole or not at all: it is written beside its place, under a name of its own, and then moved
    there. What a write that was killed has left there goes with the next.

    Parameters
    ----------
    path : path
        The file, used as it is given.
    params : dict of arrays
        What to save.

    Raises
    ------
    ValueError
        If a name is no str, is longer than 1000 characters or holds a slash, a backslash or a NUL, or if a value is no
        array of numbers, or a masked one.
    OSError
        If the file cannot be written, or is a folder, a pipe or a device.

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
    if inner := [str(name) for name, p in mapping("save_params", "params", params).items() if isinstance(p, Mapping)]:
        raise ValueError(f"save_params: {', '.join(inner)} holds arrays itself; wanted arrays alone")
    _save_tree("save_params", path, {name: numpys("save_params", str(name), p) for name, p in params.items()})


def load_params(path: str | Path, limit: int = 2**31) -> Params:
    """Load parameters from an ``.npz`` file.

    Parameters
    ----------
    path, limit : path, int
        The file, and how many bytes it may have, packed or unpacked.

    Returns
    -------
    dict of arrays
        In the order and the dtypes in which they were saved.

    Raises
    ------
    ValueError
        If the file is truncated or damaged, is no archive, is beyond the limit, or holds anything but arrays of
        numbers. No pickle is ever read.
    OSError
        If there is no file, or it is a folder, a pipe or a device.

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
    tree = _load_tree("load_params", path, limit)
    params = {name: p for name, p in tree.items() if not isinstance(p, str)}  # a text is the settings of a run
    if other := [name for name, p in params.items() if not isinstance(p, np.ndarray)]:
        raise ValueError(f"load_params: {path} holds {', '.join(other)}, as a saved state does; wanted arrays alone")
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


_PLAIN = (bool, int, float, str, dict, type(None))  # what JSON keeps; a dict that comes so far is empty
_CONTENTS = "contents.json"  # of an archive of more than arrays: the type of each, or the value, in a list


def _save_tree(where: str, path: str | Path, tree: Mapping[str, Any]) -> None:
    """Save a dict of arrays, of plain values, and of such dicts; `where` names the caller in errors."""
    leaves = dict(_branches(where, tree))
    arrays = {name: numpys(where, name, v) for name, v in leaves.items() if type(v) not in _PLAIN}
    for name, a in arrays.items():
        if a.dtype.kind not in "biufc" or not isinstance(leaves[name], np.ndarray | np.generic):
            came = f"an array of dtype {a.dtype}" if isinstance(leaves[name], np.ndarray) else kind_of(leaves[name])
            raise ValueError(f"{where}: {name} is {came}; only numbers are saved")
    kinds = {name: type(v).__name__ if name in arrays else [v] for name, v in leaves.items()}
    with _replacing(where, path) as beside, zipfile.ZipFile(beside, "w") as archive:
        if any(kind != "ndarray" for kind in kinds.values()):
            archive.writestr(_CONTENTS, json.dumps(kinds))
        for name, a in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, a, allow_pickle=False)


def _load_tree(where: str, path: str | Path, limit: int) -> dict[str, Any]:
    """Load what `_save_tree` saved."""
    raw, tree = _bytes(where, path, limit), dict[str, Any]()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            # A damaged length may hide an entry behind a comment, or all of them; what NumPy never packs, any size.
            odd = any(entry.comment or entry.compress_type not in (0, zipfile.ZIP_DEFLATED) for entry in entries)
            odd = odd or (not entries and len(raw) > 22)  # the bytes of an empty archive
            if odd or (size := sum(entry.file_size for entry in entries)) > limit:
                raise ValueError(
                    "it is not packed by NumPy" if odd else f"it unfolds to {size} bytes of {limit} at most"
                )
            sizes = {entry.filename: entry.file_size for entry in entries}
            held = lambda name: archive.open(name).read(sizes[name])  # no more than it says, whatever it unfolds to
            kinds = [(entry.filename.removesuffix(".npy"), "ndarray") for entry in entries]
            for name, kind in json.loads(held(_CONTENTS)).items() if _CONTENTS in sizes else kinds:
                *branches, leaf = name.split("/")
                inner = tree
                for branch in branches:
                    inner = inner.setdefault(branch, {})
                if not isinstance(inner, dict) or leaf in inner:
                    raise ValueError(f"two entries want the name {name}")
                value = kind[0] if isinstance(kind, list) else _array(held(f"{name}.npy"))
                inner[leaf] = value if isinstance(kind, list) or kind == "ndarray" else value[()]
    except Exception as error:  # of any kind: who knows what zipfile, JSON and NumPy may stumble over
        raise ValueError(f"{where}: {path} is no archive of arrays, or a damaged one: {error}") from error
    return tree


def _array(data: bytes) -> np.ndarray:
    """Return what an .npy file holds; no memory is asked for but for what is there."""
    file, form = io.BytesIO(data), np.lib.format
    read_header = form.read_array_header_1_0 if form.read_magic(file) == (1, 0) else form.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C").copy("K")


def _bytes(where: str, path: str | Path, limit: int) -> bytes:
    """Return what is in a file, if it is no more than wanted."""
    if (size := _regular(where, path).stat().st_size) > whole(where, "limit", limit):
        raise ValueError(f"{where}: {path} has {size} bytes, and the limit is {limit}")
    return Path(path).read_bytes()


def _regular(where: str, path: str | Path) -> Path:
    """Return a path, unless what stands there is no file: a pipe may let its reader wait for ever."""
    if Path(path).exists() and not Path(path).is_file():
        raise OSError(f"{where}: {path} is a {'folder' if Path(path).is_dir() else 'pipe or a device'}, wanted a file")
    return Path(path)


@contextmanager
def _replacing(where: str, path: str | Path) -> Iterator[BinaryIO]:
    """Hand out a new file that no other thread or machine has, and move it to its place when it is whole."""
    target = _regular(where, path)
    beside = target.with_name(f".nnfunc-{uuid4().hex}")
    try:
        with ExitStack() as stack:
            with suppress(OSError, ModuleNotFoundError):  # Windows and some file systems have no locks
                import fcntl

                stack.callback(os.close, lock := os.open(target.parent, os.O_RDONLY))
                with suppress(BlockingIOError):  # others are writing; if not, all that lies about is a killed writer's
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for left in target.parent.glob(".nnfunc-*"):
                        left.unlink()
                fcntl.flock(lock, fcntl.LOCK_SH)
            stack.callback(beside.unlink, missing_ok=True)
            with open(beside, "xb") as file:
                yield file
            os.replace(beside, target)
    except OSError as error:  # which names the file beside it, or none
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _branches(where: str, tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\\0\ud800-\udfff]+", name) or len(path) > 1000:
            wanted = "a str without a slash, backslash or NUL, of at most 1000 characters with those it is in"
            raise ValueError(f"{where}: the name {name!r:.99} cannot be saved, wanted {wanted}")
        if isinstance(value, Mapping):
            yield from _branches(where, value, f"{path}/") if value else [(path, {})]
        else:
            yield path, value
