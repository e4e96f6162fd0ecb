r"""Convolution and pooling, as ops, and the unfolding behind them. Chapter 7.

Images are arrays (N, C, H, W): batch, channels, height, width. Stride, padding (with zeros, unless told otherwise) and
window size are an int for both directions or a pair (vertical, horizontal).
"""

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ._arrays import Array, like, namespace, op, pair_of, takes, whole
from .forms import Pullback

__all__ = ["avg_pool2d", "col2im", "conv2d", "conv_output_size", "im2col", "max_pool2d"]

Pair = int | tuple[int, int]


class _Windows(NamedTuple):
    """Where a window of h x w stands on a padded image."""

    h: int
    w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    out_h: int
    out_w: int

    def rows(self) -> list[slice]:
        """Return, for each row of the window, the rows of the image that it sees."""
        return [slice(i, i + self.stride_h * (self.out_h - 1) + 1, self.stride_h) for i in range(self.h)]

    def columns(self) -> list[slice]:
        return [slice(j, j + self.stride_w * (self.out_w - 1) + 1, self.stride_w) for j in range(self.w)]

    def places(self) -> list[tuple[Any, ...]]:
        """Return, for each pixel of the window, the slice of the image that it sees."""
        return [(..., *place) for place in product(self.rows(), self.columns())]

    def inside(self, x_shape: tuple[int, ...]) -> tuple[Any, ...]:
        """Return where on the padded image the image lies."""
        return ..., slice(self.pad_h, self.pad_h + x_shape[2]), slice(self.pad_w, self.pad_w + x_shape[3])

    def padded(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return *x_shape[:2], x_shape[2] + 2 * self.pad_h, x_shape[3] + 2 * self.pad_w


def conv_output_size(size: int, filter_size: int, stride: int = 1, pad: int = 0) -> int:
    r"""How often a filter fits along one side of an image.

    $$O = \left\lfloor \frac{H + 2P - F}{S} \right\rfloor + 1$$

    Parameters
    ----------
    size, filter_size, stride, pad : int
        The image's side, H, the filter's, F, the step from place to place, S, and the zeros added at each end, P.

    Returns
    -------
    int
        The output's side, O.

    Raises
    ------
    ValueError
        If the filter is larger than the padded image.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016, relationship 6.

    Examples
    --------
    >>> import nnfunc as nn
    >>> nn.conv.conv_output_size(28, 5), nn.conv.conv_output_size(28, 3, stride=2, pad=1)
    (24, 14)
    """
    given = {"size": (size, 0), "filter_size": (filter_size, 1), "stride": (stride, 1), "pad": (pad, 0)}
    return _output_size("conv_output_size", *(whole("conv_output_size", name, *n) for name, n in given.items()))


@takes("x (N, C, H, W)")
def im2col(x: Array, filter_h: int, filter_w: int, stride: Pair = 1, pad: Pair = 0) -> np.ndarray:
    r"""Unfold images: every place of the filter becomes a column.

    $$col_{n,\; (c F_h + i) F_w + j,\; p O_w + q} = x_{n,\; c,\; p S_h + i - P_h,\; q S_w + j - P_w}$$

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    filter_h, filter_w, stride, pad : int
        Height and width of the filter, step and padding with zeros; these two may be pairs of ints.

    Returns
    -------
    array, shape (N, C * filter_h * filter_w, OH * OW)
        A new array.

    Raises
    ------
    ValueError
        If the filter is larger than a padded image.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks", 2006.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.conv.im2col([[[[0, 1, 2], [3, 4, 5], [6, 7, 8]]]], 2, 2))
    [[[0. 1. 3. 4.]
      [1. 2. 4. 5.]
      [3. 4. 6. 7.]
      [4. 5. 7. 8.]]]
    """
    win = _windows("im2col", x.shape, (filter_h, filter_w), stride, pad)
    xp, shape = namespace(x), (x.shape[0], x.shape[1] * win.h * win.w, win.out_h * win.out_w)
    seen = _unfold(x, win)
    return xp.reshape(seen.copy() if xp is np else seen, shape)


@takes("col (N, K, P)")
def col2im(
    col: Array, x_shape: tuple[int, ...], filter_h: int, filter_w: int, stride: Pair = 1, pad: Pair = 0
) -> np.ndarray:
    r"""Fold columns back and add up what falls on the same pixel: the adjoint of im2col.

    $$\langle \mathrm{im2col}(x),\; col \rangle = \langle x,\; \mathrm{col2im}(col) \rangle$$

    Parameters
    ----------
    col : array_like, shape (N, C * filter_h * filter_w, OH * OW)
        Columns, as im2col makes them.
    x_shape : tuple of int
        (N, C, H, W), the shape of the images.
    filter_h, filter_w, stride, pad
        Those of im2col.

    Returns
    -------
    array, shape (N, C, H, W)
        A new array.

    Raises
    ------
    ValueError
        If the shape of `col` is not the one im2col would give.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, 2006.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.conv.col2im([[[1] * 4] * 4], (1, 1, 3, 3), 2, 2))    # how many windows see each pixel
    [[[[1. 2. 1.]
       [2. 4. 2.]
       [1. 2. 1.]]]]
    """
    win = _windows("col2im", x_shape, (filter_h, filter_w), stride, pad)
    wanted = (x_shape[0], x_shape[1] * filter_h * filter_w, win.out_h * win.out_w)
    if col.shape != wanted:
        raise ValueError(f"col2im: col has shape {col.shape}, wanted {wanted} for images {tuple(x_shape)}")
    return _fold(col, x_shape, win)


@op("x (N, C, H, W), W (F, C, FH, FW), b (F)")
def conv2d(
    x: Array, W: Array, b: Array, stride: Pair = 1, pad: Pair = 0, *, dx: bool = True
) -> tuple[np.ndarray, Pullback]:
    r"""Convolution: one affine map, applied at every place of the image.

    $$y_{n f p q} = b_f + \sum_{c i j} W_{f c i j}\, x_{n,\; c,\; p S_h + i - P_h,\; q S_w + j - P_w}$$

    On columns this is a matrix product, $y = W\, col + b$, and so are its gradients: $dW = \sum_n dy_n\, col_n^T$,
    $db = \sum dy$, $dx = \mathrm{col2im}(W^T dy)$.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    W, b : array_like, shapes (F, C, FH, FW) and (F,)
        Filters, and one bias for each.
    stride, pad : int or pair of int
        Step and padding with zeros.
    dx : bool
        Whether anybody wants the gradient by `x`; if not, it is None and costs nothing.

    Returns
    -------
    y, pullback : array, callable
        Feature maps, (N, F, OH, OW); ``pullback(dy) -> (dx, dW, db)``.

    Raises
    ------
    ValueError
        If the filter is larger than a padded image.

    References
    ----------
    Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998, section II.

    Examples
    --------
    >>> import nnfunc as nn
    >>> x, W = [[[[0, 1, 2], [3, 4, 5], [6, 7, 8]]]], [[[[1.0, 0.0], [0.0, -1.0]]]]
    >>> y, pullback = nn.ops.conv2d(x, W, b=[0.5])
    >>> dx, dW, db = pullback([[[[1, 1], [1, 1]]]])
    >>> print(y, dW, db, sep="\n")
    [[[[-3.5 -3.5]
       [-3.5 -3.5]]]]
    [[[[ 8. 12.]
       [20. 24.]]]]
    [4.]
    """
    win = _windows("conv2d", x.shape, W.shape[2:], stride, pad)
    y = _correlate(x, W, b, win)
    xp, K, dtype = namespace(x), prod(W.shape[1:]), y.dtype

    def pullback(dy):
        dW_db = xp.zeros((W.shape[0], K + 1), dtype=dtype)
        for part, col in _columns(x, win):
            dW_db += _product(_rows(dy[part]), col)
        dW = xp.reshape(dW_db[:, :K], W.shape)
        by_x = _conv_dx(dy, W, x.shape, win) if dx else None
        return by_x, dW, dW_db[:, K]

    return y, pullback


def _conv_dx(dy: Array, W: Array, x_shape: tuple[int, ...], win: _Windows) -> Array:
    """Return the gradient by the images: columns folded back, or, where that is faster, a convolution of dy."""
    xp, (F, C) = namespace(dy), W.shape[:2]
    pad_h, pad_w = win.h - 1 - win.pad_h, win.w - 1 - win.pad_w
    steps_of_one = win.stride_h == win.stride_w == 1
    if steps_of_one and min(pad_h, pad_w) >= 0 and F <= 2 * C:
        turned = xp.permute_dims(xp.flip(W, axis=(2, 3)), (1, 0, 2, 3))
        back = _Windows(win.h, win.w, 1, 1, pad_h, pad_w, *x_shape[2:])
        return _correlate(dy, turned, xp.zeros(C, dtype=dy.dtype), back)
    W_rows = xp.reshape(W, (F, prod(W.shape[1:])))
    return _fold(W_rows.T @ _rows(dy), x_shape, win)


def _correlate(x: Array, W: Array, b: Array, win: _Windows) -> Array:
    """Apply the filters at every place. The bias weighs a pixel that is always 1."""
    xp, N, F = namespace(x), x.shape[0], W.shape[0]
    W_rows = xp.reshape(W, (F, prod(W.shape[1:])))
    W_b = xp.concat([W_rows, b[:, None]], axis=1)
    y = _filtered(W_b, x, win)
    return xp.reshape(y, (N, F, win.out_h, win.out_w))


def _filtered(W_b: Array, x: Array, win: _Windows) -> Array:
    """Multiply all columns, NumPy's straight into the result."""
    if namespace(x) is not np:
        ((_, col),) = _columns(x, win)
        return W_b @ col
    shape = len(x), len(W_b), win.out_h * win.out_w
    y = np.empty(shape, np.result_type(x, W_b))
    for part, col in _columns(x, win):
        np.matmul(W_b, col, out=y[part])
    return y


def _columns(x: Array, win: _Windows) -> Iterator[tuple[Any, Array]]:
    """Yield the columns of some images at a time, a megabyte that stays in the cache, below them a row of ones."""
    xp, (N, C, *_) = namespace(x), x.shape
    K, P = C * win.h * win.w, win.out_h * win.out_w
    seen = _unfold(x, win)
    if xp is not np:
        ones = xp.ones((N, 1, P), dtype=x.dtype)
        col = xp.concat([xp.reshape(seen, (N, K, P)), ones], axis=1)
        yield ..., col
        return
    n = max(1, 2**20 // ((K + 1) * P * x.itemsize))
    col = np.ones((min(n, N), K + 1, P), x.dtype)
    for i in range(0, N, n):
        some = col[: N - i]
        pixels = some[:, :K].reshape(len(some), *seen.shape[1:])
        pixels[...] = seen[i : i + n]
        yield slice(i, i + n), some


def _product(a: Array, b: Array) -> Array:
    """Return the sum of a_n b_n^T over the images n. BLAS wants a transposed copy: of the smaller one."""
    xp = namespace(a)
    if a.shape[1] > b.shape[1]:
        return xp.sum(a @ xp.matrix_transpose(b), axis=0)
    a_T = xp.matrix_transpose(a)
    return xp.sum(b @ (np.ascontiguousarray(a_T) if xp is np else a_T), axis=0).T


def _rows(y: Array) -> Array:
    return namespace(y).reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))


@op("x (N, C, H, W)")
def max_pool2d(x: Array, size: Pair, stride: Pair | None = None, pad: Pair = 0) -> tuple[np.ndarray, Pullback]:
    r"""Max pooling: the largest pixel of each window. The gradient goes to it alone.

    $$y_{n c p q} = \max_{i, j} x_{n,\; c,\; p S_h + i - P_h,\; q S_w + j - P_w}$$

    Among equal pixels the first is taken, row by row. Padding never wins: it counts as minus infinity.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    size, stride, pad : int or pair of int
        The window, its step (the window's size if not given), and the padding, smaller than the window.

    Returns
    -------
    y, pullback : array, callable
        Smaller images, (N, C, OH, OW); ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If the window is larger than a padded image, or the padding not smaller than the window.

    References
    ----------
    D. Scherer, A. Müller, S. Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.max_pool2d([[[[1.0, 5.0, 2.0, 2.0], [4.0, 0.0, 2.0, 1.0]]]], size=2)
    >>> print(y, *pullback(y))
    [[[[5. 2.]]]] [[[[0. 5. 2. 0.]
       [0. 0. 0. 0.]]]]
    """
    win = _pool_windows("max_pool2d", x.shape, size, stride, pad)
    xp, padded = namespace(x), _padded(x, win, -np.inf)
    # Rows first: of two rows, the pixels lie side by side.
    low = reduce(xp.maximum, [padded[..., i, :] for i in win.rows()])
    y = reduce(xp.maximum, [low[..., j] for j in win.columns()])

    def pullback(dy):
        dx = xp.zeros(padded.shape, dtype=y.dtype)
        if xp is np:
            for n in range(0, len(x), 20):  # they stay in the cache
                part = slice(n, n + 20)
                _to_winners(dx[part], dy[part], padded[part], y[part], win)
        else:
            dx = _to_winners(dx, dy, padded, y, win)
        return (dx[win.inside(x.shape)],)

    return y, pullback


def _to_winners(dx: Array, dy: Array, x: Array, y: Array, win: _Windows) -> Array:
    """Add dy to where each window's maximum stands: among equal pixels to the first, where one is NaN to the last."""
    xp = namespace(x)
    apart = win.stride_h >= win.h and win.stride_w >= win.w
    free = xp.ones(y.shape, dtype=xp.bool)
    *_, last = places = win.places()
    for place in places:
        won = free if place is last else free & (x[place] == y)
        free = free ^ won
        if apart and xp is np:
            np.multiply(dy, won, out=dx[place])
        else:
            dx = _added(dx, place, dy * like(won, dy))
    return dx


@op("x (N, C, H, W)")
def avg_pool2d(x: Array, size: Pair, stride: Pair | None = None, pad: Pair = 0) -> tuple[np.ndarray, Pullback]:
    r"""Average pooling: the mean of each window, the padding's zeros included.

    $$y_{n c p q} = \frac{1}{K_h K_w} \sum_{i, j} x_{n,\; c,\; p S_h + i - P_h,\; q S_w + j - P_w}$$

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    size, stride, pad : int or pair of int
        The window, K, its step (the window's size if not given), and the padding, smaller than the window.

    Returns
    -------
    y, pullback : array, callable
        Smaller images, (N, C, OH, OW); ``pullback(dy) -> (dx,)``.

    Raises
    ------
    ValueError
        If the window is larger than a padded image, or the padding not smaller than the window.

    References
    ----------
    Y. LeCun and others, 1998, section II: subsampling.

    Examples
    --------
    >>> import nnfunc as nn
    >>> y, pullback = nn.ops.avg_pool2d([[[[1.0, 5.0], [4.0, 0.0]]]], size=2)
    >>> print(y, *pullback(y))
    [[[[2.5]]]] [[[[0.625 0.625]
       [0.625 0.625]]]]
    """
    win = _pool_windows("avg_pool2d", x.shape, size, stride, pad)
    padded = _padded(x, win, 0.0)
    share = 1 / (win.h * win.w)
    y = sum(padded[place] for place in win.places()) * share
    xp, x_shape = namespace(x), x.shape

    def pullback(dy):
        each = (*dy.shape[:2], win.h * win.w, *dy.shape[2:])
        col = xp.broadcast_to((dy * share)[:, :, None, :, :], each)
        return (_fold(col, x_shape, win),)

    return y, pullback


def _windows(where: str, x_shape: tuple[int, ...], window: Pair, stride: Pair, pad: Pair) -> _Windows:
    if len(x_shape) != 4:
        raise ValueError(f"{where}: the images have shape {tuple(x_shape)}, wanted (N, C, H, W)")
    window, stride = pair_of(where, "window", window, 1), pair_of(where, "stride", stride, 1)
    pad = pair_of(where, "pad", pad, 0)
    out = (_output_size(where, *along) for along in zip(x_shape[2:], window, stride, pad, strict=True))
    return _Windows(*window, *stride, *pad, *out)


def _pool_windows(where: str, x_shape: tuple[int, ...], size: Pair, stride: Pair | None, pad: Pair) -> _Windows:
    win = _windows(where, x_shape, size, size if stride is None else stride, pad)
    if win.pad_h >= win.h or win.pad_w >= win.w:
        raise ValueError(f"{where}: pad {pad} is not smaller than the window {size}; some windows would be empty")
    return win


def _output_size(where: str, size: int, filter_size: int, stride: int, pad: int) -> int:
    if filter_size > size + 2 * pad:
        raise ValueError(f"{where}: a window of {filter_size} does not fit in {size} pixels with padding {pad}")
    return (size + 2 * pad - filter_size) // stride + 1


def _padded(x: Array, win: _Windows, fill: float) -> Array:
    if not (win.pad_h or win.pad_w):
        return x
    padded = namespace(x).full(win.padded(x.shape), fill, dtype=x.dtype)
    return _put(padded, win.inside(x.shape), x)


def _unfold(x: Array, win: _Windows) -> Array:
    """Show what each pixel of the filter sees: of NumPy's arrays a view with strides of its own, not copied."""
    x, xp = _padded(x, win, 0.0), namespace(x)
    N, C = x.shape[:2]
    shape = N, C, win.h, win.w, win.out_h, win.out_w
    if xp is not np:
        seen = xp.stack([x[place] for place in win.places()], axis=2)
        return xp.reshape(seen, shape)
    n, c, h, w = x.strides
    strides = n, c, h, w, h * win.stride_h, w * win.stride_w
    return as_strided(x, shape, strides, writeable=False)


def _fold(col: Array, x_shape: tuple[int, ...], win: _Windows) -> Array:
    xp, (N, C, *_) = namespace(col), x_shape
    col = xp.reshape(col, (N, C, win.h * win.w, win.out_h, win.out_w))
    x = xp.zeros(win.padded(x_shape), dtype=col.dtype)
    for k, place in enumerate(win.places()):
        x = _added(x, place, col[:, :, k, :, :])
    return x[win.inside(x_shape)]


def _put(a: Array, place: Any, values: Array) -> Array:
    """Write into an array that was just made; JAX makes another one."""
    if hasattr(a, "at"):
        return a.at[place].set(values)
    a[place] = values
    return a


def _added(a: Array, place: Any, values: Array) -> Array:
    if hasattr(a, "at"):
        return a.at[place].add(values)
    a[place] += values
    return a
