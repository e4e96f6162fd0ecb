r"""Pictures of networks as text: Graphviz DOT, and SVG that needs no Graphviz.

A small perceptron is drawn neuron by neuron, any network layer by layer. The SVG takes its ink from the page around it
(`currentColor`), so it can be read on light and dark ground.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any
from xml.sax.saxutils import escape

from ._arrays import Array, array, mapping, name_of
from .forms import Layer, Mode
from .layers import _check_layer, _leaves, _run
from .networks import _depth

__all__ = ["layers_dot", "layers_svg", "neurons_dot", "neurons_svg"]


_PALETTE = {"blue4": "#1c6a8c", "red2": "#b03a55", "seagreen2": "#4d8034"}  # the book's, for X11's


def neurons_dot(params: Mapping[str, Array]) -> str:
    r"""Graphviz text of a multi-layer perceptron, neuron by neuron: a digraph, which ``dot -Tpng`` draws.

    Parameters
    ----------
    params : dict of arrays
        Those of an [mlp][nnfunc.networks.mlp].

    Returns
    -------
    str
        The text.

    Raises
    ------
    ValueError
        If `params` are not those of an mlp.

    Examples
    --------
    >>> import nnfunc as nn
    >>> text = nn.draw.neurons_dot(nn.init_mlp(0, (2, 3, 2, 2)))
    >>> print(text.count("->"), text.count("subgraph"))
    16 4
    """
    groups = _groups(params)
    lines = ["digraph G {", '  rankdir=LR; splines=line; nodesep=.05; node [label=""];']
    for i, (label, colour, neurons) in enumerate(groups):
        lines += [
            f"  subgraph cluster_{i} {{",
            f'    color=white; node [style=solid, color={colour}, shape=circle]; label="{label}";',
            f"    {'; '.join(neurons)};",
            "  }",
        ]
    lines += [f"  {a} -> {b};" for a, b in _edges([neurons for *_, neurons in groups])]
    return "\n".join([*lines, "}", ""])


def neurons_svg(params: Mapping[str, Array]) -> str:
    r"""SVG text, an ``<svg>`` element, of what [nnfunc.draw.neurons_dot][] writes for Graphviz.

    Parameters
    ----------
    params : dict of arrays
        Those of an [mlp][nnfunc.networks.mlp].

    Returns
    -------
    str
        The text.



    Examples
    --------
    >>> import nnfunc as nn
    >>> text = nn.draw.neurons_svg(nn.init_mlp(0, (2, 3, 2, 2)))
    >>> print(text.count("<circle"), text.count("<line"))
    9 16
    """
    groups = _groups(params)
    sizes = [len(neurons) for *_, neurons in groups]
    height = 40 * max(sizes) + 30
    columns = [[(50 + 100 * i, 20 * (max(sizes) - n + 2 * k + 1)) for k in range(n)] for i, n in enumerate(sizes)]
    lines = [
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" stroke-opacity="0.4"/>'
        for (x1, y1), (x2, y2) in _edges(columns)
    ]
    for i, (label, hue, _) in enumerate(groups):
        lines += [
            f'<circle cx="{x}" cy="{y}" r="14" fill="{_PALETTE[hue]}" stroke="currentColor"/>' for x, y in columns[i]
        ]
        lines.append(_svg_text(50 + 100 * i, height - 8, label))
    return _svg(100 * len(groups), height, "Network " + "-".join(map(str, sizes)), lines)


def layers_dot(net: Layer, params: Mapping[str, Array], x: Any, stats: Mapping[str, Array] = {}) -> str:
    r"""Graphviz text of any network, a box for each layer, the shapes on the arrows.

    Chains inside of chains are opened up; layers side by side are one box, called by what they are.

    Parameters
    ----------
    net, params : layer, dict of arrays
        The network and its parameters.
    x, stats : array_like or a tuple of them, dict of arrays
        A batch to send through, for the shapes, and running statistics, if the network has any.

    Returns
    -------
    str
        A digraph; ``dot -Tpng`` draws it.

    Raises
    ------
    ValueError
        What a layer raises, if the batch does not fit the network.

    Examples
    --------
    >>> import nnfunc as nn
    >>> print(nn.draw.layers_dot(nn.mlp(), nn.init_mlp(0, (4, 3, 2)), [[0.0] * 4]))
    digraph G {
      node [shape=box];
      0 [label="affine(W1, b1)"];
      1 [label="relu"];
      2 [label="affine(W2, b2)"];
      x [shape=plain]; y [shape=plain];
      x -> 0 [label="(1, 4)"];
      0 -> 1 [label="(1, 3)"];
      1 -> 2 [label="(1, 3)"];
      2 -> y [label="(1, 2)"];
    }
    <BLANKLINE>
    """
    names, shapes = _boxes(net, params, x, stats)
    arrows = zip(pairwise(["x", *range(len(names)), "y"]), shapes, strict=True)
    lines = ["digraph G {", "  node [shape=box];"]
    lines += [f"  {i} [label={json.dumps(name, ensure_ascii=False)}];" for i, name in enumerate(names)]
    lines += ["  x [shape=plain]; y [shape=plain];"]
    lines += [f'  {a} -> {b} [label="{shape}"];' for (a, b), shape in arrows]
    return "\n".join([*lines, "}", ""])


def layers_svg(net: Layer, params: Mapping[str, Array], x: Any, stats: Mapping[str, Array] = {}) -> str:
    r"""SVG text, an ``<svg>`` element, of what [nnfunc.draw.layers_dot][] writes for Graphviz.

    Parameters
    ----------
    net, params, x, stats
        Those of `layers_dot`.

    Returns
    -------
    str
        The text.



    Examples
    --------
    >>> import nnfunc as nn
    >>> text = nn.draw.layers_svg(nn.mlp(), nn.init_mlp(0, (4, 3, 2)), [[0.0] * 4])
    >>> print(text.count("<rect"), "(1, 3)" in text)
    3 True
    """
    names, shapes = _boxes(net, params, x, stats)
    # A letter is up to 7 wide; a name stands in the middle of its box, a shape begins beside the arrow.
    width = max(200, *(7 * len(name) + 14 for name in names), *(14 * len(shape) - 20 for shape in shapes))
    middle = 20 + width // 2
    lines = []
    for i, shape in enumerate(shapes):
        y = 64 * i + 6
        lines.append(f'<path d="M{middle} {y} v26 m-4 -7 l4 7 l4 -7" fill="none" stroke="currentColor"/>')
        lines.append(_svg_text(middle + 10, y + 16, shape, "start"))
    for i, name in enumerate(names):
        y = 64 * i + 34
        lines.append(f'<rect x="20" y="{y}" width="{width}" height="32" rx="4" fill="none" stroke="currentColor"/>')
        lines.append(_svg_text(middle, y + 20, name))
    return _svg(width + 40, 64 * len(names) + 40, "Layers " + ", ".join(names), lines)


def _groups(params: Mapping[str, Array]) -> list[tuple[str, str, list[str]]]:
    """Return label, colour by its X11 name, and neurons of each kind, what Graphviz calls a cluster."""

    def group(letter, size, label, colour="red2"):
        return label, colour, [f"{letter}{k + 1}" for k in range(size)]

    depth, _ = _depth(mapping("mlp", "params", params))
    hidden = [group(f"a{i}_", params[f"W{i}"].shape[0], f"layer {i}") for i in range(2, depth + 1)]
    output = group("y", params[f"W{depth}"].shape[1], "output", "seagreen2")
    return [group("x", params["W1"].shape[0], "input", "blue4"), *hidden, output]


def _edges(columns: Sequence[Sequence[Any]]) -> list[tuple[Any, Any]]:
    return [edge for before, after in pairwise(columns) for edge in product(before, after)]


def _boxes(net: Layer, params: Mapping[str, Array], x: Any, stats: Mapping[str, Array]) -> tuple[list[str], list[str]]:
    names, shapes = [], [_shape(x)]
    _check_layer("draw", "net", net)
    for layer, mode in _leaves(net, params, Mode(stats, grad=False)):
        x = _run(layer, params, x, mode)[0]
        names.append(name_of(layer))
        shapes.append(_shape(x))
    return names, shapes


def _shape(x: Any) -> str:
    if isinstance(x, tuple):
        return ", ".join(map(_shape, x))
    return str(tuple(array("draw", "x", x)[0].shape))


def _svg(width: float, height: float, title: str, lines: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
    )
    return "\n".join([head, *lines, "</svg>", ""])


def _svg_text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'
