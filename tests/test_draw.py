"""Pictures of networks: the texts are read back, and what they draw is counted and compared."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import chain, pairwise, product

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import layers

SVG = "{http://www.w3.org/2000/svg}"
BOOK = {"blue4": "#1c6a8c", "red2": "#b03a55", "seagreen2": "#4d8034"}  # the book's blue, red and green, for X11's
IMAGES = np.zeros((5, 1, 28, 28), np.float32)
CONVNET = [
    ("conv2d(W1, b1)", (5, 30, 24, 24)),
    ("relu", (5, 30, 24, 24)),
    ("max_pool2d", (5, 30, 12, 12)),
    ("flatten", (5, 4320)),
    ("affine(W2, b2)", (5, 100)),
    ("relu", (5, 100)),
    ("affine(W3, b3)", (5, 10)),
]


def clusters(dot):
    """The clusters of a DOT text: label, colour and neurons of each."""
    found = []
    for number, body in re.findall(r"subgraph cluster_(\d+) \{(.*?)\}", dot, re.DOTALL):
        assert int(number) == len(found)
        assert "color=white;" in body, "the cluster itself has no frame"
        label, colour = re.search(r'label="(.*?)"', body)[1], re.search(r"node \[.*?color=(\w+).*?\]", body)[1]
        assert re.search(r"node \[.*?shape=circle.*?\]", body)
        *_, neurons = body.strip().splitlines()
        found.append((label, colour, [name for name in re.split(r"[;\s]+", neurons) if name]))
    return found


def edges(dot):
    return re.findall(r"(?m)^\s*(\w+) -> (\w+)", dot)


@pytest.mark.rows("S3-29")
def test_neurons_and_edges_of_the_sources():
    dot = nn.draw.neurons_dot(nn.init_mlp(0, (2, 3, 2, 2)))
    found = clusters(dot)
    assert [(label, colour, len(neurons)) for label, colour, neurons in found] == [
        ("input", "blue4", 2),
        ("layer 2", "red2", 3),
        ("layer 3", "red2", 2),
        ("output", "seagreen2", 2),
    ]
    names = [neurons for *_, neurons in found]
    assert len(set(chain(*names))) == 9
    wanted = [pair for before, after in pairwise(names) for pair in product(before, after)]
    assert sorted(edges(dot)) == sorted(wanted)
    assert len(wanted) == 6 + 6 + 4
    for setting in ("rankdir=LR", "splines=line", "nodesep=.05", 'label=""'):
        assert setting in dot.split("subgraph")[0]
    assert dot.startswith("digraph")
    assert dot.count("{") == dot.count("}") == 5


@pytest.mark.parametrize("sizes", [(4, 3), (1, 12, 1), (3, 5, 4, 3, 2, 6)])
def test_other_sizes(sizes):
    params = nn.init_mlp(0, sizes, batch_norm=True)
    found = clusters(nn.draw.neurons_dot(params))
    hidden = [f"layer {i}" for i in range(2, len(sizes))]
    assert [label for label, *_ in found] == ["input", *hidden, "output"]
    assert tuple(len(neurons) for *_, neurons in found) == sizes
    names = list(chain(*(neurons for *_, neurons in found)))
    assert len(set(names)) == len(names), "no two neurons of one name"
    count = sum(a * b for a, b in pairwise(sizes))
    assert len(set(edges(nn.draw.neurons_dot(params)))) == count
    svg = ElementTree.fromstring(nn.draw.neurons_svg(params))
    assert (len(svg.findall(f"{SVG}circle")), len(svg.findall(f"{SVG}line"))) == (sum(sizes), count)


@pytest.mark.rows("S3-29")
def test_the_svg_shows_the_same_network():
    params = nn.init_mlp(0, (2, 3, 2, 2))
    svg = ElementTree.fromstring(nn.draw.neurons_svg(params))
    circles = svg.findall(f"{SVG}circle")
    at = [(float(c.get("cx")), float(c.get("cy"))) for c in circles]
    columns = sorted({x for x, _ in at})
    assert [sum(x == column for x, _ in at) for column in columns] == [2, 3, 2, 2]
    colours = [{c.get("fill") for c in circles if float(c.get("cx")) == column} for column in columns]
    assert colours == [{BOOK[colour]} for _, colour, _ in clusters(nn.draw.neurons_dot(params))]
    assert [text.text for text in svg.findall(f"{SVG}text")] == ["input", "layer 2", "layer 3", "output"]
    ends = sorted(
        tuple((float(line.get(f"x{k}")), float(line.get(f"y{k}"))) for k in (1, 2))
        for line in svg.findall(f"{SVG}line")
    )
    wanted = [(a, b) for a in at for b in at if columns.index(b[0]) == columns.index(a[0]) + 1]
    assert ends == sorted(wanted), "every line joins two neurons, and every two that belong together are joined"
    for column in columns:
        ys = [y for x, y in at if x == column]
        assert np.mean(ys) == pytest.approx(np.mean([y for _, y in at]), abs=1), "columns are centred"
        assert min(np.diff(sorted(ys)), default=99) >= 2 * float(circles[0].get("r"))


LONG = layers.serial(
    layers.fan_out(layers.serial(layers.affine(1), layers.relu, layers.affine(2), layers.tanh), layers.identity),
    layers.join(nn.ops.add),
)


def drawings():
    params = nn.init_mlp(0, (4, 3, 2), batch_norm=True)
    stats = nn.init_stats(params)
    yield nn.draw.neurons_svg(nn.init_mlp(0, (2, 8, 2)))
    yield nn.draw.layers_svg(nn.mlp(dropout=0.25), params, np.zeros((6, 4), np.float32), stats)
    yield nn.draw.layers_svg(nn.simple_convnet(), nn.init_simple_convnet(0), IMAGES)
    yield nn.draw.layers_svg(LONG, nn.init_mlp(0, (4, 3, 4)), np.zeros((1000, 4)))
    beside = layers.fan_out(*[layers.relu] * 5)
    yield nn.draw.layers_svg(beside, {}, np.zeros((100, 30, 24, 24)))


@pytest.mark.parametrize("text", [*drawings()], ids=["neurons", "mlp", "convnet", "names", "shapes"])
def test_ink_is_the_pages_own_and_all_is_inside(text):
    svg = ElementTree.fromstring(text)
    assert svg.tag == f"{SVG}svg"
    left, top, width, height = map(float, svg.get("viewBox").split())
    assert (left, top, float(svg.get("width")), float(svg.get("height"))) == (0, 0, width, height)
    assert svg.find(f"{SVG}title").text, "for whoever cannot see it"
    assert svg.get("role") == "img"
    for shape in svg.iter():
        kind = shape.tag.removeprefix(SVG)
        if kind in ("line", "path", "rect", "circle"):
            assert shape.get("stroke") == "currentColor", "an edge that is seen on light and on dark ground"
        if kind in ("path", "rect"):
            assert shape.get("fill") == "none"
        if kind == "text":
            assert shape.get("fill") == "currentColor"
            assert 0 <= float(shape.get("y")) <= height
            x, half = float(shape.get("x")), 3.5 * len(shape.text)
            boxes = [box for box in svg.iter(f"{SVG}rect") if 0 < float(shape.get("y")) - float(box.get("y")) < 32]
            assert all(2 * half <= float(box.get("width")) for box in boxes), "a name is inside of its box"
            assert x - half >= 0 or shape.get("text-anchor") == "start"
            assert x + (2 * half if shape.get("text-anchor") == "start" else half) <= width
        if kind == "circle":
            x, y, r = (float(shape.get(name)) for name in ("cx", "cy", "r"))
            assert r <= x <= width - r
            assert r <= y <= height - r
        if kind == "rect":
            assert float(shape.get("x")) + float(shape.get("width")) <= width
            assert float(shape.get("y")) + float(shape.get("height")) <= height
    assert "style" not in text
    assert not re.search(r"(href|url)", text), "nothing is fetched"


def read_layers_dot(dot):
    names = dict(re.findall(r'(?m)^\s*(\d+) \[label="((?:[^"\\]|\\.)*)"\];$', dot))
    arrows = re.findall(r'(?m)^\s*(\w+) -> (\w+) \[label="(.*?)"\];$', dot)
    return names, arrows


def test_layers_and_shapes_of_a_convnet():
    names, arrows = read_layers_dot(nn.draw.layers_dot(nn.simple_convnet(), nn.init_simple_convnet(0), IMAGES))
    assert list(names.values()) == [name for name, _ in CONVNET]
    assert [shape for *_, shape in arrows] == [str(IMAGES.shape), *(str(shape) for _, shape in CONVNET)]
    assert [a for a, *_ in arrows] == ["x", *names]
    assert [b for _, b, _ in arrows] == [*names, "y"]
    svg = ElementTree.fromstring(nn.draw.layers_svg(nn.simple_convnet(), nn.init_simple_convnet(0), IMAGES))
    texts = [(float(text.get("y")), text.text) for text in svg.findall(f"{SVG}text")]
    wanted = [str(IMAGES.shape)]
    for name, shape in CONVNET:
        wanted += [name, str(shape)]
    assert [text for _, text in sorted(texts)] == wanted, "from top to bottom in the order of the layers"
    assert len(svg.findall(f"{SVG}rect")) == 7
    assert len(svg.findall(f"{SVG}path")) == 8


def test_the_deep_convnet_and_chains_of_chains_are_drawn_layer_by_layer():
    names, arrows = read_layers_dot(nn.draw.layers_dot(nn.deep_convnet(), nn.init_deep_convnet(0), IMAGES))
    assert len(names) == 21
    pooled = [shape for a, _, shape in arrows if names.get(a) == "max_pool2d"]
    assert pooled == ["(5, 16, 14, 14)", "(5, 32, 8, 8)", "(5, 64, 4, 4)"]
    assert arrows[-1][2] == "(5, 10)"
    inner = layers.serial(layers.affine(1), layers.serial(layers.relu))
    net = layers.serial(layers.flatten, inner, layers.affine(2))
    params = nn.init_mlp(0, (4, 3, 2))
    names, arrows = read_layers_dot(nn.draw.layers_dot(net, params, np.zeros((1, 1, 2, 2))))
    assert list(names.values()) == ["flatten", "affine(W1, b1)", "relu", "affine(W2, b2)"]
    assert [shape for *_, shape in arrows] == ["(1, 1, 2, 2)", "(1, 4)", "(1, 3)", "(1, 3)", "(1, 2)"]


def test_batch_norm_is_drawn_with_its_statistics():
    params = nn.init_mlp(0, (4, 3, 2), batch_norm=True)
    stats = nn.init_stats(params)
    dot = nn.draw.layers_dot(nn.mlp(dropout=0.5), params, np.zeros((6, 4), np.float32), stats)
    assert list(read_layers_dot(dot)[0].values()) == [
        "affine(W1, b1)", "batch_norm(gamma1, beta1)", "relu", "dropout(0.5)", "affine(W2, b2)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"mode\.stats has no mean1, var1"):
        nn.draw.layers_dot(nn.mlp(), params, np.zeros((6, 4), np.float32))


def test_layers_side_by_side_are_one_box_with_the_shape_of_each():
    net = layers.serial(
        layers.fan_out(layers.serial(layers.affine(1), layers.relu), layers.identity),
        layers.parallel(layers.identity, layers.serial(layers.tanh, layers.fan_out(layers.relu, layers.sigmoid))),
    )
    params, x = nn.init_affine(0, 1, 4, 3), np.zeros((2, 4), np.float32)
    names, arrows = read_layers_dot(nn.draw.layers_dot(net, params, x))
    assert list(names.values()) == [
        "fan_out(serial(affine(W1, b1), relu), identity)",
        "parallel(identity, serial(tanh, fan_out(relu, sigmoid)))",
    ]
    assert [shape for *_, shape in arrows] == ["(2, 4)", "(2, 3), (2, 4)", "(2, 3), (2, 4), (2, 4)"]
    svg = ElementTree.fromstring(nn.draw.layers_svg(net, params, x))
    assert {*names.values(), "(2, 3), (2, 4)"} <= {text.text for text in svg.iter(f"{SVG}text")}
    names, arrows = read_layers_dot(nn.draw.layers_dot(layers.join(nn.ops.add), {}, (x, x)))
    assert [shape for *_, shape in arrows] == ["(2, 4), (2, 4)", "(2, 4)"]


def test_a_batch_may_be_a_list():
    _, arrows = read_layers_dot(nn.draw.layers_dot(nn.mlp(), nn.init_mlp(0, (2, 3)), [[1, 2]]))
    assert [shape for *_, shape in arrows] == ["(1, 2)", "(1, 3)"]


class BlackBox:
    """A layer that carries nothing that drawing could use, not even a name."""

    def __call__(self, params, x, mode=layers.EVAL):
        return x[:, :1], None, {}

    def __repr__(self):
        return 'a "black" \\ <box> & more'


def test_a_black_box_and_odd_names_are_drawn_too():
    net, x = layers.serial(layers.tap('in"put'), BlackBox()), np.zeros((2, 3))
    names, arrows = read_layers_dot(nn.draw.layers_dot(net, {}, x))
    assert [re.sub(r"\\(.)", r"\1", name) for name in names.values()] == ['tap(in"put)', repr(BlackBox())]
    assert [shape for *_, shape in arrows] == ["(2, 3)", "(2, 3)", "(2, 1)"]
    svg = ElementTree.fromstring(nn.draw.layers_svg(net, {}, x))
    assert {'tap(in"put)', repr(BlackBox())} <= {text.text for text in svg.iter(f"{SVG}text")}
    (name,) = read_layers_dot(nn.draw.layers_dot(BlackBox(), {}, x))[0].values()
    assert "black" in name


def test_parameters_of_no_perceptron_have_no_neurons_to_draw():
    for draw in (nn.draw.neurons_dot, nn.draw.neurons_svg):
        with pytest.raises(ValueError, match=r"^mlp: params has W1, W2;"):
            draw({"W1": np.zeros((2, 3)), "W2": np.zeros((3, 2))})


def test_drawing_imports_nothing_more():
    """No Graphviz and no Matplotlib: the texts are this library's own."""
    code = "import nnfunc as nn, sys; nn.draw.neurons_svg(nn.init_mlp(0, (2, 2))); print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
