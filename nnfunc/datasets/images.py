r"""Images: two ways to make more of them, and files to look at. Chapter 8."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..functions import Array
from ..ops import check_key

__all__ = ["rotate", "save_image", "shift", "to_uint8"]

Key = tuple[int, ...]


def shift(images: Array, key: Key, pixels: int = 2) -> Array:
    r"""Move each image by a random number of pixels, up or down and left or right.

    $$y_{n,c,h,w} = x_{n,\; c,\; h + a_n,\; w + b_n}, \qquad a_n, b_n \in \{-p, \dots, p\}$$

    What comes in from outside is zero.

    Parameters
    ----------
    images : array, shape (N, C, H, W)
        A batch.
    key : tuple of int
        The same key gives the same moves.
    pixels : int
        The longest move, p.

    Returns
    -------
    array, shape (N, C, H, W)
        A new batch.

    Raises
    ------
    ValueError
        If `images` has not four axes, `pixels` is no int from 0 up, or the key no tuple of such ints.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks applied to
    visual document analysis", 2003.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> images = np.zeros((1, 1, 5, 5))
    >>> images[0, 0, 2, 2] = 1.0
    >>> print(nn.shift(images, key=(0, 1), pixels=2).sum())
    1.0
    """
    N, C, H, W = _sizes("shift", images)
    if not isinstance(pixels, (int, np.integer)) or pixels < 0:
        raise ValueError(f"shift: pixels is {pixels!r}, wanted an int from 0 up")
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)))
    a, b = _rng("shift", key).integers(0, 2 * pixels + 1, (2, N, 1, 1, 1))
    n, c, h, w = np.ogrid[:N, :C, :H, :W]
    return padded[n, c, h + a, w + b]


def rotate(images: Array, key: Key, degrees: float = 10.0) -> Array:
    r"""Turn each image around its centre by a random angle.

    $$y_n(h, w) = x_n(h \cos \varphi_n + w \sin \varphi_n,\; w \cos \varphi_n - h \sin \varphi_n), \qquad
    \varphi_n \sim U(-\varphi, \varphi)$$

    Here h and w count from the centre, down and to the right, so that a positive angle turns the image
    counter-clockwise. Between pixels it is interpolated, bilinearly; outside it is zero.

    Parameters
    ----------
    images : array, shape (N, C, H, W)
        A batch.
    key : tuple of int
        The same key gives the same angles.
    degrees : float
        The widest turn, in degrees.

    Returns
    -------
    array, shape (N, C, H, W)
        A new batch, in the dtype of the old one; ints are rounded.

    Raises
    ------
    ValueError
        If `images` has not four axes, or for a key that is no tuple of ints from 0 up.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> images = np.ones((2, 1, 9, 9))
    >>> turned = nn.rotate(images, key=(0, 1), degrees=30)
    >>> print(turned[:, 0, 4, 4])    # the centre stays
    [1. 1.]
    """
    N, C, H, W = _sizes("rotate", images)
    angle = np.radians(_rng("rotate", key).uniform(-degrees, degrees, (N, 1, 1, 1)))
    n, c, h, w = np.ogrid[:N, :C, :H, :W]
    h, w = h - (H - 1) / 2, w - (W - 1) / 2
    rows = np.cos(angle) * h + np.sin(angle) * w + (H - 1) / 2
    columns = np.cos(angle) * w - np.sin(angle) * h + (W - 1) / 2
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, across = rows - top, columns - left
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))

    def pixel(row, column):
        return padded[n, c, np.clip(row + 1, 0, H + 1), np.clip(column + 1, 0, W + 1)]

    upper = (1 - across) * pixel(top, left) + across * pixel(top, left + 1)
    lower = (1 - across) * pixel(top + 1, left) + across * pixel(top + 1, left + 1)
    turned = (1 - down) * upper + down * lower
    return (np.round(turned) if images.dtype.kind in "iu" else turned).astype(images.dtype)


def to_uint8(image: ArrayLike) -> Array:
    r"""Grey values from 0 to 255, as image files hold them.

    $$y = \mathrm{round}(255\, x)$$

    Parameters
    ----------
    image : array_like
        Floats from 0 to 1, bools, or ints from 0 to 255, any shape.

    Returns
    -------
    array of uint8
        The shape of `image`.

    Raises
    ------
    ValueError
        For values out of range.

    References
    ----------
    Saving floats from 0 to 1 as they are gives a black picture.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.to_uint8([0.0, 0.5, 1.0]))
    [  0 128 255]
    """
    image = np.asarray(image)
    top = 1 if image.dtype.kind in "fb" else 255
    if image.size and not (image.min() >= 0 and image.max() <= top):
        raise ValueError(
            f"to_uint8: the image runs from {image.min()} to {image.max()}, "
            "wanted floats from 0 to 1 or ints from 0 to 255"
        )
    return np.round(image * (255 // top)).astype(np.uint8)


def save_image(path: str | Path, image: ArrayLike) -> None:
    r"""Save a grey image as a picture file, PNG by its name. Needs Pillow, the extra `images`.

    $$x \to \mathrm{file}$$

    Parameters
    ----------
    path : path
        The file; its ending decides the format.
    image : array_like, shape (H, W)
        Floats from 0 to 1, or ints from 0 to 255.

    Raises
    ------
    ValueError
        For values out of range, or another shape.

    References
    ----------
    [to_uint8][nnfunc.datasets.images.to_uint8] makes the grey values.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.save_image(os.path.join(folder, "grey.png"), np.full((28, 28), 0.5))
    ...     os.listdir(folder)
    ['grey.png']
    """
    from PIL import Image

    pixels = to_uint8(image)
    if pixels.ndim != 2:
        raise ValueError(f"save_image: the image has shape {pixels.shape}, wanted (H, W)")
    Image.fromarray(pixels).save(path)


def _sizes(where: str, images: Array) -> tuple[int, ...]:
    if images.ndim != 4:
        raise ValueError(f"{where}: images has shape {images.shape}, wanted (N, C, H, W)")
    return images.shape


def _rng(where: str, key: Key) -> np.random.Generator:
    check_key(where, key)
    return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))
