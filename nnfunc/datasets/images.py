r"""Images: two ways to make more of them, and files to look at. Chapter 8."""

from pathlib import Path

import numpy as np

from .._arrays import Array, Key, check_key, check_range, floating, generator, numpys, real, whole

__all__ = ["rotate", "save_image", "shift", "to_uint8"]


def shift(images: Array, key: Key, pixels: int = 2) -> np.ndarray:
    r"""Move each image by a random number of pixels, up or down and left or right; zeros come in from outside.

    $$y_{n,c,h,w} = x_{n,\; c,\; h + a_n,\; w + b_n}, \qquad a_n, b_n \in \{-p, \dots, p\}$$



    Parameters
    ----------
    images : array_like, shape (N, C, H, W)
        A batch.
    key, pixels : tuple of int, int
        The same key gives the same moves, of p pixels at most.

    Returns
    -------
    array, shape (N, C, H, W)
        A new batch.

    Raises
    ------
    ValueError
        If `images` has not four axes.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks", 2003.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.shift([[[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]], key=(0, 1), pixels=1).sum())
    1
    """
    x, rng = _batch("shift", images, key)
    pixels = whole("shift", "pixels", pixels)
    N, C, H, W = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)))
    a, b = rng.integers(0, 2 * pixels + 1, (2, N, 1, 1, 1))
    n, c, h, w = np.ogrid[:N, :C, :H, :W]
    return padded[n, c, h + a, w + b]


def rotate(images: Array, key: Key, degrees: float = 10.0) -> np.ndarray:
    r"""Turn each image around its centre by a random angle.

    $$y_n(h, w) = x_n(h \cos \varphi_n + w \sin \varphi_n,\;
    w \cos \varphi_n - h \sin \varphi_n), \qquad
    \varphi_n \sim U(-\varphi, \varphi)$$

    Here h and w count from the centre, down and to the right, so that a positive angle turns the image
    counter-clockwise. Between pixels it is interpolated, bilinearly; outside it is zero.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W)
        A batch.
    key, degrees : tuple of int, float
        The same key gives the same angles, of so many degrees at most.

    Returns
    -------
    array, shape (N, C, H, W)
        A new batch, in the dtype of the old one; ints are rounded.

    Raises
    ------
    ValueError
        If `images` has not four axes.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks", 2003.

    Examples
    --------
    >>> import nnfunc as nn
    >>> turned = nn.rotate([[[[0, 0, 0], [0, 9, 0], [0, 0, 0]]]], key=(0, 1), degrees=30)
    >>> print(turned[0, 0, 1])    # the centre stays
    [0 9 0]
    """
    x, rng = _batch("rotate", images, key)
    degrees = real("rotate", "degrees", degrees)
    N, C, H, W = x.shape
    angle = np.radians(rng.uniform(-degrees, degrees, (N, 1, 1, 1)))
    n, c, h, w = np.ogrid[:N, :C, :H, :W]
    h, w = h - (H - 1) / 2, w - (W - 1) / 2
    rows = np.cos(angle) * h + np.sin(angle) * w + (H - 1) / 2
    columns = np.cos(angle) * w - np.sin(angle) * h + (W - 1) / 2
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, across = rows - top, columns - left
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))

    def pixel(row, column):
        return padded[n, c, np.clip(row + 1, 0, H + 1), np.clip(column + 1, 0, W + 1)]

    upper = (1 - across) * pixel(top, left) + across * pixel(top, left + 1)
    lower = (1 - across) * pixel(top + 1, left) + across * pixel(top + 1, left + 1)
    turned = (1 - down) * upper + down * lower
    return (np.round(turned) if x.dtype.kind in "iu" else turned).astype(x.dtype)


def _batch(where: str, images: Array, key: Key) -> tuple[np.ndarray, np.random.Generator]:
    check_key(where, key)
    x = numpys(where, "images", images)
    if x.ndim != 4 or x.dtype.kind not in "biuf":
        raise ValueError(f"{where}: images has shape {x.shape} and dtype {x.dtype}, wanted numbers (N, C, H, W)")
    return x, generator(key)


def to_uint8(image: Array) -> np.ndarray:
    r"""Grey values from 0 to 255, as image files hold them. Floats from 0 to 1, saved as they are, give black.

    Parameters
    ----------
    image : array_like
        Floats from 0 to 1, bools, or ints from 0 to 255, any shape.

    Returns
    -------
    array of uint8
        The shape of `image`; floats are multiplied by 255 and rounded.

    Raises
    ------
    ValueError
        For values out of range.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.to_uint8([0.0, 0.5, 1.0]))
    [  0 128 255]
    """
    given = numpys("to_uint8", "image", image)
    grey, top = floating("to_uint8", "image", given), 1 if given.dtype.kind in "fb" else 255
    check_range("to_uint8", f"an image of {given.dtype}", grey, 0, top)
    return np.round(grey * (255 // top)).astype(np.uint8)


def save_image(path: str | Path, image: Array) -> None:
    r"""Save a grey image as a picture file, PNG by its name. Needs Pillow, the extra `images`.

    Parameters
    ----------
    path, image : path, array_like of shape (H, W)
        The file, whose ending decides the format, and what [to_uint8][nnfunc.datasets.images.to_uint8] takes.

    Raises
    ------
    ValueError
        For values out of range, or another shape.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnfunc as nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.save_image(os.path.join(folder, "grey.png"), [[0.0, 0.5], [0.5, 1.0]])
    ...     os.listdir(folder)
    ['grey.png']
    """
    from PIL import Image

    pixels = to_uint8(image)
    if pixels.ndim != 2:
        raise ValueError(f"save_image: the image has shape {pixels.shape}, wanted (H, W)")
    Image.fromarray(pixels).save(path)
