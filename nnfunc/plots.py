r"""Pictures of learning, drawn on Matplotlib axes that the caller brings (the extra `plot`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._arrays import Array, check_range, class_targets, floating, numpys, takes, whole
from .search import Trial

__all__ = [
    "activation_histograms",
    "confusion_matrix",
    "decision_boundary",
    "image_grid",
    "learning_curves",
    "search_results",
    "smooth_curve",
]


@takes("values (N)")
def smooth_curve(values: Array, window: int = 11) -> np.ndarray:
    r"""Noisy curve, averaged with a Kaiser window; its ends are mirrored.

    $$y_k = \frac{\sum_j w_j\, x_{k+j}}{\sum_j w_j}$$

    Beyond an end x goes on as its mirror image, without the end itself. Deep Learning from Scratch does
    so on the left, but repeats the last value on the right: with its window of 11 the last five values differ.

    Parameters
    ----------
    values, window : array_like, shape (N,), int
        The curve, and an odd number of points, up to N.

    Returns
    -------
    array, shape (N,)
        The smooth curve, float64.

    Raises
    ------
    ValueError
        For a window that is even, or longer than the curve.

    References
    ----------
    J. Kaiser, R. Schafer, "On the use of the I0-sinh window", 1980; beta is 2, as in Deep Learning from Scratch.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.plots.smooth_curve([0.0, 3.0, 0.0], window=3).round(3))
    [1.402 1.598 1.402]
    """
    window, values = whole("smooth_curve", "window", window), numpys("smooth_curve", "values", values)
    if window % 2 == 0 or window > len(values):
        raise ValueError(f"smooth_curve: window is {window}, wanted an odd number up to the {len(values)} values")
    w = np.kaiser(window, 2)
    mirrored = np.pad(np.asarray(values, dtype=np.float64), window // 2, mode="reflect")
    return np.convolve(mirrored, w / w.sum(), mode="valid")


def learning_curves(ax: Any, curves: Mapping[str, tuple[Array, Array]], smooth: int = 1) -> None:
    r"""Draw metrics over the steps of a run.

    Parameters
    ----------
    ax, curves : matplotlib Axes, dict
        Where to draw, and what [history][nnfunc.training.history] returns, or some of it.
    smooth : int
        The window of [smooth_curve][nnfunc.plots.smooth_curve]; 1 leaves the curves as they are.

    Raises
    ------
    ValueError
        For a window that is even, or longer than a curve.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> ax = Figure().subplots()
    >>> nn.plots.learning_curves(ax, {"loss": ([1, 2, 3], [3.0, 2.0, 1.5])})
    >>> ax.get_legend_handles_labels()[1]
    ['loss']
    """
    for name, (steps, values) in curves.items():
        ax.plot(numpys("learning_curves", name, steps), smooth_curve(values, smooth), label=name)
    ax.set_xlabel("step")
    if curves:
        ax.legend()


@takes("x (N, D)")
def decision_boundary(ax: Any, scores: Callable[[Array], Array], x: Array, t: Array, points: int = 200) -> None:
    r"""Draw the class that a network gives to each place of the plane, and the data on top.

    Parameters
    ----------
    ax, scores : matplotlib Axes, callable
        Where to draw; and what takes points (N, 2) and returns scores (N, C).
    x, t : array_like, shapes (N, 2) and (N,)
        Data and their labels.
    points : int
        How finely to look in each direction, from 2 up.

    Raises
    ------
    ValueError
        If a score is nan.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> ax = Figure().subplots()
    >>> nn.plots.decision_boundary(ax, lambda u: u @ [[1.0, -1.0], [0.0, 0.5]], *nn.xor())
    >>> len(ax.collections) >= 2
    True
    """
    x = numpys("decision_boundary", "x", x)
    low, high = x.min(axis=0), x.max(axis=0)
    points = whole("decision_boundary", "points", points, 2)
    sides = np.linspace(low - 0.15 * (high - low), high + 0.15 * (high - low), points)
    a, b = np.meshgrid(*sides.T)
    here, there = (floating("decision_boundary", "scores(x)", scores(u)) for u in (np.c_[a.ravel(), b.ravel()], x))
    check_range("decision_boundary", "scores(x)", here)
    best, classes = here.argmax(axis=1).reshape(a.shape), here.shape[1]
    labels = class_targets("decision_boundary", "scores(x)", there, t).argmax(axis=1)
    colours = [f"C{k}" for k in range(classes)]
    ax.contourf(a, b, best, levels=np.arange(classes + 1) - 0.5, colors=colours, alpha=0.25)
    ax.scatter(*x.T, s=14, c=[colours[k] for k in labels])
    ax.set_axis_off()


@takes("images (N, H, W)")
def image_grid(figure: Any, images: Array, columns: int = 10, titles: Sequence[Any] = ()) -> None:
    r"""Draw grey images side by side: digits, filters, feature maps.

    Parameters
    ----------
    figure, images : matplotlib Figure, array_like, shape (N, H, W)
        Where to draw, and any numbers; each image has its own range of greys.
    columns, titles : int, sequence
        How many in a row, from 1 up, and what to write above each.

    Raises
    ------
    ValueError
        For another shape.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> figure = Figure()
    >>> nn.plots.image_grid(figure, [[[0, 1], [1, 0]]] * 3, columns=2)
    >>> len(figure.axes)
    3
    """
    images = numpys("image_grid", "images", images)
    for i, (image, ax) in enumerate(zip(images, _panels("image_grid", figure, len(images), columns), strict=True)):
        ax.imshow(image, cmap="gray", interpolation="nearest")
        ax.set_axis_off()
        if i < len(titles):
            ax.set_title(str(titles[i]))


def activation_histograms(figure: Any, activations: Mapping[str, Array], bins: int = 30) -> None:
    r"""Draw how the numbers inside a network are spread, a panel for each tap.

    Parameters
    ----------
    figure, activations : matplotlib Figure, dict of arrays
        Where to draw, and what [tap][nnfunc.layers.tap] hands out.
    bins : int
        How many bars, from 1 up.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> figure = Figure()
    >>> nn.plots.activation_histograms(figure, {"z1": [0.0, 0.5], "z2": [1.0, 2.0]})
    >>> [ax.get_title() for ax in figure.axes]
    ['z1', 'z2']
    """
    bins = whole("activation_histograms", "bins", bins, 1)
    panels = figure.subplots(1, len(activations), sharey=True, squeeze=False)[0]
    for ax, (name, z) in zip(panels, activations.items(), strict=True):
        ax.hist(np.ravel(floating("activation_histograms", name, numpys("activation_histograms", name, z))), bins)
        ax.set_title(name)


@takes("y (N, C)")
def confusion_matrix(ax: Any, y: Array, t: Array) -> np.ndarray:
    r"""Draw how often each class was taken for each other; return the counts.

    $$M_{jk} = |\{ n : t_n = j,\ \arg\max y_n = k \}|$$

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    y, t : array_like
        Scores, (N, C), and labels, ints (N,), or one-hot rows (N, C).

    Returns
    -------
    array of int, shape (C, C)
        The true class by row, the guess by column.

    Raises
    ------
    ValueError
        For labels that do not fit the scores, or scores that are nan.

    References
    ----------
    S. Stehman, "Selecting and interpreting measures of thematic classification accuracy", 1997.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> print(nn.plots.confusion_matrix(Figure().subplots(), [[2.0, 1.0], [0.0, 1.0], [0.0, 1.0]], [0, 1, 0]))
    [[1 1]
     [0 1]]
    """
    y = numpys("confusion_matrix", "y", y)
    check_range("confusion_matrix", "y", y)
    classes = y.shape[-1]
    label, guess = class_targets("confusion_matrix", "y", y, t).argmax(axis=-1), y.argmax(axis=-1)
    counts = np.bincount(classes * label + guess, minlength=classes**2).reshape(classes, classes)
    shade = np.log1p(counts)
    ax.imshow(shade, cmap="Blues")
    for (j, k), count in np.ndenumerate(counts):
        if count:
            ink = "#fdfdfd" if shade[j, k] > 0.7 * shade.max() else "#020202"  # a page may turn white and black round
            ax.text(k, j, count, ha="center", va="center", color=ink)
    ax.set(xticks=range(classes), yticks=range(classes), xlabel="guess", ylabel="label")
    return counts


def search_results(
    figure: Any, trials: Sequence[Trial], curves: Sequence[str], most: int = 20, columns: int = 5
) -> None:
    r"""Draw the best trials of a search, a panel with its curves for each, and a legend in the last.

    Parameters
    ----------
    figure, trials : matplotlib Figure, list of Trial
        Where to draw, and what [random_search][nnfunc.search.random_search] returns.
    curves : sequence of str
        Which metrics are curves to draw.
    most, columns : int
        How many trials, from 0 up, and how many panels in a row, from 1 up.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import nnfunc as nn
    >>> figure = Figure()
    >>> trials = [nn.Trial({"lr": 0.1}, {"score": 0.9, "train": [0.5, 0.9]}, None)]
    >>> nn.plots.search_results(figure, trials, ["train"])
    >>> figure.axes[0].get_title()
    'best-1: 0.9'
    """
    best = [trial for trial in trials if trial.error is None][: whole("search_results", "most", most)]
    for i, (trial, ax) in enumerate(zip(best, _panels("search_results", figure, len(best), columns), strict=True)):
        for name in curves:
            ax.plot(numpys("search_results", name, trial.metrics[name]), label=name)
        ax.set(title=f"best-{i + 1}: {trial.metrics['score']:.4g}", ylim=(0, 1))
    if best and curves:
        ax.legend()


def _panels(where: str, figure: Any, n: int, columns: int) -> list[Any]:
    columns = whole(where, "columns", columns, 1)
    return [figure.add_subplot(-(-n // columns), columns, i + 1) for i in range(n)]
