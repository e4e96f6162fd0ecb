"""Plots: each draws what it says, on the axes it is given. What is on them is asked of Matplotlib."""

import math
import re

import numpy as np
import pytest
from matplotlib import colors, pyplot
from matplotlib.figure import Figure

import nnfunc as nn
from nnfunc import plots


@pytest.fixture(autouse=True)
def no_figure_of_its_own():
    """Nothing goes to pyplot, which keeps figures and opens windows."""
    yield
    assert pyplot.get_fignums() == []


@pytest.fixture
def figure():
    """A figure that is drawn in the end: a warning then is a failure too."""
    figure = Figure(figsize=(3, 3))
    yield figure
    figure.canvas.draw()


@pytest.fixture
def ax(figure):
    return figure.subplots()


# Smoothed curves


def kaiser(window, beta):
    """The window by its definition, I0 by its series."""

    def bessel(x):
        return sum((x * x / 4) ** k / math.factorial(k) ** 2 for k in range(30))

    half = (window - 1) / 2
    weights = [bessel(beta * math.sqrt(1 - ((n - half) / half) ** 2)) for n in range(window)]
    return [w / sum(weights) for w in weights]


def test_a_smoothed_curve_is_its_formula(rng):
    x, w = rng.standard_normal(40), kaiser(11, 2)
    mirrored = [*x[5:0:-1], *x, *x[-2:-7:-1]]
    wanted = [sum(w[j] * mirrored[k + j] for j in range(11)) for k in range(40)]
    np.testing.assert_allclose(plots.smooth_curve(x), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.rows("S3-36")
def test_the_sources_differ_in_the_last_five_values_alone(rng):
    """They mirror the left end without its first value, and the right end with its last."""
    x, w = rng.standard_normal(100), kaiser(11, 2)
    s = [*x[10:0:-1], *x, *x[-1:-11:-1]]
    theirs = [sum(w[j] * s[k + j] for j in range(11)) for k in range(len(s) - 10)][5:-5]
    ours = plots.smooth_curve(x)
    assert len(ours) == len(theirs) == 100
    np.testing.assert_allclose(ours[:-5], theirs[:-5], rtol=1e-12, atol=1e-14)
    assert (abs(ours[-5:] - theirs[-5:]) > 1e-6).all()


def test_smoothing_leaves_lines_and_constants_and_takes_noise(rng):
    line = np.linspace(3, 5, 50)
    np.testing.assert_allclose(plots.smooth_curve(line)[5:-5], line[5:-5], rtol=1e-12)
    np.testing.assert_allclose(plots.smooth_curve([7] * 12), 7, rtol=1e-12)
    noise = rng.standard_normal(5000)
    assert 0.2 < plots.smooth_curve(noise).std() < 0.4, "about the root of the sum of the squared weights"
    assert np.array_equal(plots.smooth_curve(noise, 1), noise)
    assert len(plots.smooth_curve(np.arange(11.0))) == 11


@pytest.mark.parametrize(("values", "window"), [(20, 10), (20, 0), (20, 21), (10, 11), (0, 1)])
def test_a_window_is_odd_and_no_longer_than_its_curve(values, window):
    message = f"smooth_curve: window is {window}, wanted an odd number up to the {values} values"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        plots.smooth_curve(np.ones(values), window)


def test_a_curve_is_a_row_of_numbers_and_a_window_a_whole_one():
    for window in (-1, 3.0, np.nan, None, True, "3"):
        with pytest.raises(ValueError, match=r"^smooth_curve: window is .*, wanted an int from 0 up$"):
            plots.smooth_curve(np.ones(20), window)
    for values, message in [
        (np.ones((20, 2)), r"values \(20, 2\); wanted values \(N\)"),
        (np.ma.array(np.ones(20)), "values is a masked array"),
        (["a"] * 20, "values has dtype <U1"),
    ]:
        with pytest.raises(ValueError, match=f"^smooth_curve: {message}"):
            plots.smooth_curve(values)


# Curves


def test_curves_have_their_steps_values_and_names(ax):
    curves = {"loss": (np.array([5, 6, 9]), np.array([3.0, 2.0, 1.0])), "accuracy": ([5, 10], [0.1, 0.9])}
    plots.learning_curves(ax, curves)
    assert [line.get_label() for line in ax.lines] == [text.get_text() for text in ax.get_legend().get_texts()]
    assert [line.get_label() for line in ax.lines] == ["loss", "accuracy"]
    for line, (steps, values) in zip(ax.lines, curves.values(), strict=True):
        assert line.get_xydata().tolist() == [list(pair) for pair in zip(steps, values, strict=True)]
    assert ax.get_xlabel() == "step"


def test_curves_are_smoothed_on_demand_and_none_need_no_legend(ax, rng):
    values = rng.random(50)
    plots.learning_curves(ax, {"loss": (np.arange(50), values)}, smooth=7)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), plots.smooth_curve(values, 7))
    plots.learning_curves(ax.figure.add_subplot(), {})


def test_the_history_of_a_run_can_be_drawn(ax):
    x, t = nn.xor()
    optimizer = nn.sgd(0.5)
    step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    state = nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 2)))
    _, curves = nn.history(nn.fit(step, state, nn.minibatches(x, t, 4), 20))
    plots.learning_curves(ax, curves, smooth=11)
    assert ax.lines[0].get_xdata().tolist() == list(range(1, 21))


# The plane


def test_each_place_has_the_colour_of_its_class_and_data_lie_on_top(ax):
    x = np.array([[-1.0, -2.0], [1.0, -2.0], [1.0, 2.0], [-1.0, 2.0]])
    t = np.array([0, 1, 2, 1])
    asked = []

    def scores(u):
        asked.append(u)
        return np.stack([-u[:, 0], u[:, 0], np.full(len(u), -9.0)], axis=1)  # class 0 on the left, 1 on the right

    plots.decision_boundary(ax, scores, x, t, points=30)
    u, own = asked
    assert u.shape == (900, 2)
    assert np.array_equal(own, x), "the labels are held against the scores of the data"
    np.testing.assert_allclose([u.min(axis=0), u.max(axis=0)], [[-1.3, -2.6], [1.3, 2.6]])
    areas, dots = ax.collections
    faces = [colors.to_hex(c) for c in areas.get_facecolor()]
    assert faces == [colors.to_hex(f"C{k}") for k in range(3)]
    left, right, nowhere = (path.vertices for path in areas.get_paths())
    assert left[:, 0].max() < 0.1
    assert right[:, 0].min() > -0.1
    assert len(nowhere) == 0
    assert dots.get_offsets().tolist() == x.tolist()
    assert [colors.to_hex(c) for c in dots.get_facecolor()] == [colors.to_hex(f"C{k}") for k in t]


def test_xor_is_drawn_with_one_class_everywhere(ax):
    x, t = nn.xor()
    plots.decision_boundary(ax, lambda u: u @ np.zeros((2, 2)), x, t, points=5)
    assert len(ax.collections) == 2


def test_a_score_that_is_no_number_has_no_colour(ax):
    x, t = nn.xor()
    with pytest.raises(ValueError, match=r"^decision_boundary: scores\(x\) holds nan, wanted numbers$"):
        plots.decision_boundary(ax, lambda u: np.where(u < 0.5, u, np.nan), x, t, points=5)
    for points in (1, 0, -5, 5.0, None, True):
        with pytest.raises(ValueError, match=r"^decision_boundary: points is .*, wanted an int from 2 up$"):
            plots.decision_boundary(ax, lambda u: u, x, t, points)
    plots.decision_boundary(ax, lambda u: (u @ np.eye(2)).tolist(), x.tolist(), t.tolist(), points=np.int64(2))


# Images


def test_images_stand_side_by_side(figure, rng):
    images = rng.standard_normal((7, 4, 3))
    plots.image_grid(figure, images, columns=3, titles=["a", 2])
    assert len(figure.axes) == 7
    for i, panel in enumerate(figure.axes):
        (shown,) = panel.images
        np.testing.assert_array_equal(shown.get_array(), images[i])
        assert shown.get_clim() == (images[i].min(), images[i].max()), "each has its own range"
        assert shown.get_cmap().name == "gray"
        spec = panel.get_subplotspec()
        assert (spec.rowspan.start, spec.colspan.start) == divmod(i, 3)
        assert spec.get_gridspec().get_geometry() == (3, 3)
    assert [panel.get_title() for panel in figure.axes] == ["a", "2", "", "", "", "", ""]


@pytest.mark.parametrize("shape", [(3, 3), (5, 1, 3, 3), (2, 3, 3, 3)])
def test_only_grey_images_are_drawn(figure, shape):
    message = f"image_grid: images {shape}; wanted images (N, H, W)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        plots.image_grid(figure, np.zeros(shape))


@pytest.mark.parametrize("columns", [0, -1, 2.0, None, True])
def test_there_is_a_whole_number_of_columns(figure, columns):
    with pytest.raises(ValueError, match=r"^image_grid: columns is .*, wanted an int from 1 up$"):
        plots.image_grid(figure, np.zeros((3, 2, 2)), columns)
    with pytest.raises(ValueError, match=r"^search_results: columns is .*, wanted an int from 1 up$"):
        plots.search_results(figure, [trial(0)], ["val"], columns=columns)


def test_filters_and_constant_images(figure):
    plots.image_grid(figure, nn.init_conv2d(0, 1, 30, 1, 5)["W1"][:, 0])
    plots.image_grid(Figure(), np.zeros((2, 3, 3), np.uint8))
    assert len(figure.axes) == 30
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 10)


# Inside


def test_activations_are_counted(figure):
    net = nn.layers.serial(nn.layers.affine(1), nn.layers.tap("a1"), nn.layers.relu, nn.layers.tap("z1"))
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    _, _, stats = net(nn.init_affine(0, 1, 3, 4), x)
    plots.activation_histograms(figure, stats, bins=8)
    assert [panel.get_title() for panel in figure.axes] == ["a1", "z1"]
    for panel, z in zip(figure.axes, (stats["a1"], stats["z1"]), strict=True):
        counts, edges = np.histogram(z, 8)
        assert [bar.get_height() for bar in panel.patches] == counts.tolist()
        np.testing.assert_allclose([bar.get_x() for bar in panel.patches], edges[:-1], rtol=1e-5, atol=1e-6)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim(), "one scale for all, to compare them"


def test_bars_are_counted_in_whole_numbers(figure):
    for bins in (0, -1, 3.0, None, True):
        with pytest.raises(ValueError, match=r"^activation_histograms: bins is .*, wanted an int from 1 up$"):
            plots.activation_histograms(figure, {"z": np.ones(3)}, bins)
    with pytest.raises(ValueError, match=r"^activation_histograms: z is a masked array"):
        plots.activation_histograms(figure, {"z": np.ma.array([1.0])})


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_confusions_are_counted_and_written(ax, dtype):
    rng = np.random.default_rng(1)
    t, guess = rng.integers(0, 30, 500), rng.integers(0, 30, 500)
    counts = plots.confusion_matrix(ax, np.eye(30)[guess], t.astype(dtype))
    wanted = [[sum((t == j) & (guess == k)) for k in range(30)] for j in range(30)]
    assert counts.tolist() == wanted
    assert counts.dtype == np.int64
    written = {text.get_position(): int(text.get_text()) for text in ax.texts}
    assert written == {(k, j): wanted[j][k] for j in range(30) for k in range(30) if wanted[j][k]}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("guess", "label")
    (shown,) = ax.images
    np.testing.assert_allclose(np.expm1(shown.get_array()), wanted, atol=1e-9)


def luminance(colour):
    """Relative luminance, as the Web Content Accessibility Guidelines define it."""
    rgb = np.array(colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_counts_can_be_read_on_their_ground(ax):
    t = np.repeat(np.arange(20), np.arange(1, 21) ** 3)
    plots.confusion_matrix(ax, np.eye(20)[t], t)
    (shown,) = ax.images
    assert len(ax.texts) == 20
    for text in ax.texts:
        k, j = text.get_position()
        ground = luminance(shown.get_cmap()(shown.norm(shown.get_array()[j, k])))
        dark, light = sorted([ground, luminance(text.get_color())])
        assert (light + 0.05) / (dark + 0.05) >= 4.5, "the contrast that the guidelines want"


def test_one_hot_labels_do_and_labels_that_do_not_fit_are_refused(ax):
    y = np.eye(3)[[0, 1, 1]]
    assert plots.confusion_matrix(ax, y, np.eye(3)[[0, 1, 2]]).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    for t in ([0, 1], [0, 1, 3], [0, 1, -1], [[0], [1], [2]]):
        with pytest.raises(ValueError, match=r"^confusion_matrix: t "):
            plots.confusion_matrix(ax, y, np.array(t))
    assert plots.confusion_matrix(ax, y.tolist(), [0, 1, 2]).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_scores_that_are_no_numbers_are_no_guess(ax):
    y = np.array([[0.1, np.nan, 0.9], [0.2, 0.3, 0.1]])
    with pytest.raises(ValueError, match=r"^confusion_matrix: y holds nan, wanted numbers$"):
        plots.confusion_matrix(ax, y, [1, 1])
    with pytest.raises(ValueError, match=r"^confusion_matrix: y \(3,\); wanted y \(N, C\); one sample is y\[None\]$"):
        plots.confusion_matrix(ax, y[0], 1)
    infinite = np.where(np.isnan(y), np.inf, y)
    assert plots.confusion_matrix(ax, infinite, [1, 1]).tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 0]]


# A search


def trial(i):
    return nn.Trial({"lr": i}, {"score": 1 - i / 100, "val": [0.1 * i % 1, 0.5], "train": [0.2, 0.3, 0.4]}, None)


def test_the_twenty_best_trials(figure):
    trials = [*map(trial, range(23)), nn.Trial({"lr": 9}, {}, "ValueError: no")]
    plots.search_results(figure, trials, ["val", "train"])
    assert len(figure.axes) == 20
    for i, panel in enumerate(figure.axes):
        assert panel.get_title() == f"best-{i + 1}: {1 - i / 100:.4g}"
        assert [line.get_ydata().tolist() for line in panel.lines] == [trial(i).metrics["val"], [0.2, 0.3, 0.4]]
        assert panel.get_ylim() == (0, 1)
        spec = panel.get_subplotspec()
        assert (spec.rowspan.start, spec.colspan.start) == divmod(i, 5)
    assert [panel.get_legend() is not None for panel in figure.axes] == [False] * 19 + [True]
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["val", "train"]


def test_failed_trials_have_no_panel(figure):
    trials = [trial(0), nn.Trial({"lr": 9}, {}, "ValueError: no"), trial(1)]
    plots.search_results(figure, trials, ["val"], most=5, columns=2)
    assert [panel.get_title() for panel in figure.axes] == ["best-1: 1", "best-2: 0.99"]
    plots.search_results(Figure(), trials[1:2], ["val"])
    plots.search_results(Figure(), trials[:1], [])
    plots.search_results(Figure(), trials, ["val"], most=0)
    for most in (-1, 2.0, None, True):
        with pytest.raises(ValueError, match=r"^search_results: most is .*, wanted an int from 0 up$"):
            plots.search_results(Figure(), trials, ["val"], most)
