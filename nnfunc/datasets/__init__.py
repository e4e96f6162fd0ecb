r"""Data: MNIST, which comes with the package, files in its format, and two toy problems. Chapter 3."""

import gzip
import hashlib
import re
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..functions import Array, one_hot
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

Split = tuple[Array, Array]

# sha256 of the four files, unpacked
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_mnist(
    normalize: bool = True, flatten: bool = True, one_hot_label: bool = False, path: str | Path | None = None
) -> tuple[Split, Split]:
    r"""Images of handwritten digits and their labels: 60,000 to learn from, 10,000 to test on.

    $$x_{nd} = \mathrm{pixel}_{nd} / 255$$

    The data come with the package, so this needs no network. With `path` any data set in the same
    format is loaded the same way: Fashion-MNIST, KMNIST, a split of EMNIST.

    Parameters
    ----------
    normalize : bool
        float32 from 0 to 1; if not, uint8 from 0 to 255.
    flatten : bool
        Images as rows (N, 784); if not, (N, 1, 28, 28).
    one_hot_label : bool
        Labels as one-hot rows (N, 10) in float32; if not, int64 (N,).
    path : path, optional
        A folder with the four IDX files of a data set, plain or gzipped.

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
    folder = Path(__file__).parent / "mnist" if path is None else Path(path)
    files = {part: _find(folder, part) for part in ("train-images", "train-labels", "test-images", "test-labels")}
    data = {part: _read(file, check=path is None) for part, file in files.items()}
    classes = 1 + max(int(data[f"{half}-labels"].max(initial=0)) for half in ("train", "test"))
    return tuple(
        _split(data, files, half, normalize, flatten, classes if one_hot_label else None) for half in ("train", "test")
    )


def _find(folder: Path, part: str) -> Path:
    half, kind = part.split("-")
    names = rf"(.*-)?({half}|{'t10k' if half == 'test' else half})-{kind}[-.]idx[13](-ubyte)?(\.gz)?"
    found = [file for file in sorted(folder.glob("*")) if re.fullmatch(names, file.name)]
    if len(found) != 1:
        files = ", ".join(file.name for file in found) or "no such file"
        raise ValueError(f"load_mnist: {folder} must hold one file for the {half} {kind}, found {files}")
    return found[0]


def _read(file: Path, check: bool) -> Array:
    raw = _unpacked(file)
    if check and hashlib.sha256(raw).hexdigest() != SHA256[file.name.removesuffix(".gz")]:
        raise ValueError(f"load_mnist: {file} has not the sha256 of the original; install the package again")
    return _parse_idx(file, raw)


def _split(
    data: dict[str, Array], files: dict[str, Path], half: str, normalize: bool, flatten: bool, classes: int | None
) -> Split:
    x, t = data[f"{half}-images"], data[f"{half}-labels"]
    for part, a, ndim in (("images", x, 3), ("labels", t, 1)):
        if a.ndim != ndim or a.dtype != np.uint8:
            raise ValueError(
                f"load_mnist: {files[f'{half}-{part}']} holds {a.dtype} of shape {a.shape}, "
                f"wanted {part}: uint8 with {ndim} axes"
            )
    if len(x) != len(t):
        raise ValueError(f"load_mnist: {files[f'{half}-images']} holds {len(x)} images, but there are {len(t)} labels")
    if normalize:
        x = x.astype(np.float32)
        x /= 255
    x = x.reshape(len(x), prod(x.shape[1:])) if flatten else x[:, None]
    return x, t.astype(np.int64) if classes is None else one_hot(t, classes)


def read_idx(path: str | Path) -> Array:
    r"""Read an IDX file, the format of MNIST, plain or gzipped.

    $$\mathrm{magic} = 0,\ 0,\ \mathrm{type},\ \mathrm{ndim}; \quad \mathrm{shape}; \quad \mathrm{data}$$

    All numbers are big-endian; the array comes in the machine's own byte order.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    array
        Of the shape and the type that the file names.

    Raises
    ------
    ValueError
        If the file is no IDX file, or its data are fewer or more than its header says.

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
    ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     print(nn.read_idx(path))
    [7 2 1]
    """
    return _parse_idx(Path(path), _unpacked(Path(path)))


def _unpacked(file: Path) -> bytes:
    packed = file.read_bytes()
    if not packed.startswith(b"\x1f\x8b"):
        return packed
    try:
        return gzip.decompress(packed)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"read_idx: {file} is a damaged gzip file: {error}") from error


def _parse_idx(file: Path, raw: bytes) -> Array:
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES:
        raise ValueError(
            f"read_idx: {file} starts with the bytes {raw[:4].hex(' ')}, which is no IDX file's magic number"
        )
    dtype, ndim = np.dtype(IDX_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"read_idx: {file} ends in the middle of its header, after {len(raw)} bytes")
    shape = tuple(np.frombuffer(raw, ">u4", ndim, offset=4).tolist())
    wanted = prod(shape) * dtype.itemsize
    if len(raw) - start != wanted:
        raise ValueError(
            f"read_idx: {file} holds {len(raw) - start} bytes of data, its shape {shape} of {dtype.name} wants {wanted}"
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


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
    points : int
        Points in each arm.
    classes : int
        How many arms, K.
    noise : float
        The standard deviation s of the angle, in radians.

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
    >>> x, t = nn.spiral(0)
    >>> x.shape, t.shape, bool((abs(x) <= 1).all())
    ((300, 2), (300,), True)
    """
    t = np.repeat(np.arange(classes), points)
    r = np.tile(np.arange(points) / points, classes)
    angle = 2 * np.pi * t / classes + 4 * r + noise * np.random.default_rng(rng).standard_normal(len(t))
    return np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1).astype(np.float32), t


def shuffle(x: Array, t: Array, seed: int) -> Split:
    r"""Data and labels in a new order, the same for both.

    $$(x_{\pi(n)}, t_{\pi(n)})$$

    Parameters
    ----------
    x, t : arrays
        N samples and their labels.
    seed : int
        Decides the order.

    Returns
    -------
    tuple of arrays
        New arrays.

    Raises
    ------
    ValueError
        For unequal lengths.

    References
    ----------
    D. Knuth, "The Art of Computer Programming", volume 2, section 3.4.2, algorithm P.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> x, t = nn.shuffle(np.arange(5), 10 * np.arange(5), seed=1)
    >>> print(sorted(x.tolist()), bool((t == 10 * x).all()))
    [0, 1, 2, 3, 4] True
    """
    if len(x) != len(t):
        raise ValueError(f"shuffle: x has {len(x)} samples, t has {len(t)}")
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order], t[order]


def train_validation_split(x: Array, t: Array, validation: int | float, seed: int) -> tuple[Split, Split]:
    r"""Shuffle the data and keep a part of them aside, to compare hyperparameters on.

    $$N = N_{train} + N_{validation}$$

    Parameters
    ----------
    x, t : arrays
        N samples and their labels.
    validation : int or float
        How many samples to keep aside, or which share of them (a float below 1).
    seed : int
        Decides which.

    Returns
    -------
    tuple
        ``((x_train, t_train), (x_validation, t_validation))``.

    Raises
    ------
    ValueError
        For unequal lengths, or if a part would be empty.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, section 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> train, validation = nn.train_validation_split(np.arange(10), np.arange(10), 0.2, seed=0)
    >>> len(train[0]), len(validation[0])
    (8, 2)
    """
    if len(x) != len(t):
        raise ValueError(f"train_validation_split: x has {len(x)} samples, t has {len(t)}")
    n = validation if isinstance(validation, (int, np.integer)) else round(float(validation) * len(x))
    if not 0 < n < len(x):
        raise ValueError(
            f"train_validation_split: validation is {validation} of {len(x)} samples; both parts need some"
        )
    x, t = shuffle(x, t, seed)
    return (x[n:], t[n:]), (x[:n], t[:n])
