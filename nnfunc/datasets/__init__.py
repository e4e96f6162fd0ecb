r"""Data: MNIST, which comes with the package, files in its format, and two toy problems. Chapter 3."""

import gzip
import hashlib
import io
import re
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Array, flag, paired, real, rows, whole
from ..functions import one_hot
from ..initializers import _shared
from ..params import _bytes
from .images import rotate, save_image, shift, to_uint8

__all__ = [
    "load_mnist",
    "read_idx",
    "rotate",
    "save_image",
    "shift",
    "shuffle",
    "spiral",
    "to_uint8",
    "train_validation_split",
    "xor",
]

Split = tuple[np.ndarray, np.ndarray]

# Of the four files, unpacked.
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_CHUNK = 2**24  # bytes; once it has freed blocks so large, glibc keeps memory, and training has fewer page faults
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_mnist(
    *,
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    path: str | Path | None = None,
    transpose: bool = False,
) -> tuple[Split, Split]:
    r"""Images of handwritten digits and their labels: 60,000 to learn from, 10,000 to test on.

    The data come with the package, so this needs no network. With `path` any data set in the same
    format is loaded the same way: Fashion-MNIST, KMNIST, a split of EMNIST.

    Parameters
    ----------
    normalize, flatten : bool
        Pixels divided by 255, float32 from 0 to 1, or uint8 from 0 to 255; images as rows (N, 784), or (N, 1, 28, 28).
    one_hot_label : bool
        Labels as one-hot rows (N, 10) in float32; if not, int64 (N,).
    path : path, optional
        A folder with the four IDX files of a data set, plain or gzipped.
    transpose : bool
        Whether rows and columns are to be swapped. The files of EMNIST hold each image lying on its side; with this
        its letters stand upright, as MNIST's digits do.

    Returns
    -------
    tuple
        ``((x_train, t_train), (x_test, t_test))``, new arrays at every call.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or does not hold what its name says.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998. The data
    are licensed CC BY-SA 3.0, copyright Y. LeCun and C. Cortes.

    Examples
    --------
    >>> import nnfunc as nn
    >>> (x_train, t_train), (x_test, t_test) = nn.load_mnist()
    >>> x_train.shape, x_train.dtype, x_test.shape
    ((60000, 784), dtype('float32'), (10000, 784))
    >>> print(t_train[:10])
    [5 0 4 1 9 2 1 3 1 4]
    """
    switches = {"normalize": normalize, "flatten": flatten, "one_hot_label": one_hot_label, "transpose": transpose}
    normalize, flatten, one_hot_label, transpose = (flag("load_mnist", name, v) for name, v in switches.items())
    folder = Path(__file__).parent / "mnist" if path is None else Path(path)
    train, test = (_half(folder, half, path is None) for half in ("train", "test"))
    classes = 1 + max(int(t.max(initial=0)) for _, t in (train, test))

    def finished(x, t):
        x = x.swapaxes(1, 2).copy() if transpose else x
        x = x / np.float32(255) if normalize else x
        x = x.reshape(len(x), prod(x.shape[1:])) if flatten else x[:, None]
        return x, one_hot(t, classes) if one_hot_label else t.astype(np.int64)

    return finished(*train), finished(*test)


def _half(folder: Path, half: str, check: bool) -> Split:
    """Return the images and the labels of one half of the data, as their files hold them."""
    x, t = (_only(folder, half, kind, ndim, check) for kind, ndim in (("images", 3), ("labels", 1)))
    if len(x) != len(t):
        raise ValueError(f"load_mnist: {folder} holds {len(x)} {half} images, but {len(t)} labels")
    return x, t


def _only(folder: Path, half: str, kind: str, ndim: int, check: bool) -> np.ndarray:
    """Return what the one file of a kind holds."""
    names = rf"(.*-)?({half}|{'t10k' if half == 'test' else half})-{kind}[-.]idx[13](-ubyte)?(\.gz)?"
    named = [file for file in sorted(folder.glob("*")) if re.fullmatch(names, file.name)]
    found = [file for file in named if not file.is_dir()]
    if len(found) != 1:
        files = ", ".join(f"{file.name}{'/' * file.is_dir()}" for file in found or named) or "no such file"
        raise ValueError(f"load_mnist: {folder} must hold one file for the {half} {kind}, found {files}")
    a = _read(found[0], check)
    if a.ndim != ndim or a.dtype != np.uint8:
        raise ValueError(f"load_mnist: {found[0]} holds {a.dtype} of shape {a.shape}, wanted uint8 with {ndim} axes")
    return a


def read_idx(path: str | Path, limit: int = 2**31) -> np.ndarray:
    r"""Read an IDX file, the format of MNIST, plain or gzipped.

    Four bytes say 0, 0, the type and how many axes there are; the shape follows, then the data. All numbers are
    big-endian; the array comes in the machine's own byte order.

    Parameters
    ----------
    path, limit : path, int
        The file, and how many bytes it may have, packed or unpacked.

    Returns
    -------
    array
        Of the shape and the type that the file names.

    Raises
    ------
    ValueError
        If the file is no IDX file, is damaged or beyond the limit, or its data are fewer or more than its header says.
    OSError
        If there is no file, or it is a folder, a pipe or a device.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database", 1998, on file formats.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "three-labels-idx1-ubyte")
    ...     with open(path, "wb") as file:
    ...         size = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     print(nn.read_idx(path))
    [7 2 1]
    """
    return _read(Path(path), limit=limit)


def _read(file: Path, check: bool = False, limit: int = 2**31) -> np.ndarray:
    raw = _bytes("read_idx", file, limit)
    stream: Any = gzip.GzipFile(fileobj=io.BytesIO(raw)) if raw.startswith(b"\x1f\x8b") else io.BytesIO(raw)
    chunks = iter(lambda: stream.read(_CHUNK), b"")
    try:
        raw = next(chunks, b"")  # and no more than its header wants, whatever it unfolds to
        if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES or len(raw) < 4 + 4 * raw[3]:
            raise ValueError(f"there is no header in {len(raw)} bytes from {raw[:4].hex(' ')} on")
        dtype, start = np.dtype(_IDX_TYPES[raw[2]]), 4 + 4 * raw[3]
        shape = tuple(np.frombuffer(raw[4:start], ">u4").tolist())
        wanted = prod(shape) * dtype.itemsize
        raw = b"".join([raw, *islice(chunks, 1 + wanted // _CHUNK if wanted <= limit else 0)])
        if wanted > limit or len(raw) - start != wanted:
            form = f"{dtype.name} of shape {shape} want {wanted} of {limit} at most"
            raise ValueError(f"{len(raw) - start} bytes of data, {form}")
        a = np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    except Exception as error:  # of any kind: who knows what gzip and NumPy may stumble over
        raise ValueError(f"read_idx: {file} is no IDX file, or a damaged one: {error}") from error
    if check and hashlib.sha256(raw).hexdigest() != _SHA256[file.name.removesuffix(".gz")]:
        raise ValueError(f"load_mnist: {file} has not the sha256 of the original; install the package again")
    return a


def xor() -> Split:
    r"""Exclusive or: four points that no straight line divides.

    $$t = x_1 \oplus x_2$$

    Returns
    -------
    tuple of arrays
        x, float32 (4, 2), and the labels t, int64 (4,).

    References
    ----------
    M. Minsky, S. Papert, "Perceptrons", 1969.

    Examples
    --------
    >>> import nnfunc as nn
    >>> x, t = nn.xor()
    >>> print(x.tolist(), t)
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] [0 1 1 0]
    """
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])


def spiral(rng: Any, points: int = 100, classes: int = 3, noise: float = 0.2) -> Split:
    r"""Arms of a spiral, one for each class, that wind around each other.

    $$x = r (\sin \varphi, \cos \varphi), \qquad
    \varphi = 2 \pi \frac{t}{K} + 4 r + \varepsilon, \quad \varepsilon \sim \mathcal{N}(0, s^2), \quad r \in [0, 1)$$

    Parameters
    ----------
    rng : int or anything that np.random.default_rng takes
        The seed.
    points, classes : int
        Points in each arm, from 0 up, and how many arms, K, from 1 up.
    noise : float
        The standard deviation s of the angle, in radians, from 0 up.

    Returns
    -------
    tuple of arrays
        x, float32 (classes * points, 2), and the labels t, int64.

    References
    ----------
    K. Lang, M. Witbrock, "Learning to tell two spirals apart", 1988.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [a.shape for a in nn.spiral(0)]
    [(300, 2), (300,)]
    """
    points, classes = whole("spiral", "points", points), whole("spiral", "classes", classes, 1)
    noise = real("spiral", "noise", noise)
    t = np.repeat(np.arange(classes), points)
    r = np.tile(np.arange(points) / points, classes)
    shaken = noise * np.random.default_rng(_shared("spiral", rng)).standard_normal(len(t))
    angle = 2 * np.pi * t / classes + 4 * r + shaken
    return np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1).astype(np.float32), t


def shuffle(x: Array, t: Array, seed: int) -> Split:
    r"""Data and labels in a new order, the same for both.

    Parameters
    ----------
    x, t : array_like
        N samples and their labels, by position: whatever names the rows of a table have, they stay behind.
    seed : int
        Decides the order, from 0 up.

    Returns
    -------
    tuple of arrays
        New arrays.

    Raises
    ------
    ValueError
        For unequal lengths.

    Examples
    --------
    >>> import nnfunc as nn
    >>> x, t = nn.shuffle([1, 2, 3, 4], [10, 20, 30, 40], seed=1)
    >>> print(sorted(x.tolist()), bool((t == 10 * x).all()))
    [1, 2, 3, 4] True
    """
    x, t, n = paired("shuffle", x, t)
    order = np.random.default_rng(whole("shuffle", "seed", seed)).permutation(n)
    return rows(x, order), rows(t, order)


def train_validation_split(x: Array, t: Array, validation: int | float, seed: int) -> tuple[Split, Split]:
    r"""Shuffle the data and keep a part of them aside, to compare hyperparameters on.

    Parameters
    ----------
    x, t : array_like
        N samples and their labels, by position.
    validation, seed : int or float, int
        How many samples to keep aside, or which share of them (a float below 1); and what decides which, from 0 up.

    Returns
    -------
    tuple
        ``((x_train, t_train), (x_validation, t_validation))``.

    Raises
    ------
    ValueError
        For unequal lengths, or if a part would be empty.

    Examples
    --------
    >>> import nnfunc as nn
    >>> [len(x) for x, t in nn.train_validation_split(range(10), range(10), 0.2, seed=0)]
    [8, 2]
    """
    x, t, N = paired("train_validation_split", x, t)
    share = real("train_validation_split", "validation", validation, "(-inf, inf)")
    n = int(share) if isinstance(validation, (int, np.integer)) else round(share * N)
    if not 0 < n < N:
        raise ValueError(f"train_validation_split: validation is {validation} of {N} samples; both parts need some")
    x, t = shuffle(x, t, seed)
    kept, others = slice(n), slice(n, None)
    return (rows(x, others), rows(t, others)), (rows(x, kept), rows(t, kept))
