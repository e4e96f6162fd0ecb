r"""Pictures of networks as text: Graphviz DOT, and SVG that needs no Graphviz.

A small perceptron is drawn neuron by neuron, any network layer by layer. The SVG takes its ink from
the page around it (`currentColor`), so it can be read on light and dark ground.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from ._arrays import Array, array, name_of
from .forms import Layer, Mode
from .layers import _check_layer, _leaves, _run
from .networks import mlp

__all__ = ["layers_dot", "layers_svg", "neurons_dot", "neurons_svg"]


class _Group(NamedTuple):
    """Neurons of one kind, what Graphviz calls a cluster, with their colour by its X11 name and for SVG."""

    label: str
    colour: str
    css: str
    neurons: list[str]


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
    for i, group in enumerate(groups):
        lines += [
            f"  subgraph cluster_{i} {{",
            f'    color=white; node [style=solid, color={group.colour}, shape=circle]; label="{group.label}";',
            f"    {'; '.join(group.neurons)};",
            "  }",
        ]
    lines += [f"  {a} -> {b};" for a, b in _edges(groups)]
    return "\n".join([*lines, "}", ""])


def neurons_svg(params: Mapping[str, Array]) -> str:
    r"""SVG text, an ``<svg>`` element, of what [neurons_dot][nnfunc.draw.neurons_dot] writes for Graphviz.

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
    >>> text = nn.draw.neurons_svg(nn.init_mlp(0, (2, 3, 2, 2)))
    >>> print(text.count("<circle"), text.count("<line"))
    9 16
    """
    groups = _groups(params)
    height = 40 * max(len(group.neurons) for group in groups) + 30
    at = {
        neuron: (50 + 100 * i, (height - 30) / 2 + 40 * (k - (len(group.neurons) - 1) / 2))
        for i, group in enumerate(groups)
        for k, neuron in enumerate(group.neurons)
    }
    width = 100 * len(groups)
    title = "Network " + "-".join(str(len(group.neurons)) for group in groups)
    lines = [_svg_head(width, height, title)]
    for a, b in _edges(groups):
        (x1, y1), (x2, y2) = at[a], at[b]
        lines.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" stroke-opacity="0.4"/>')
    for i, group in enumerate(groups):
        for neuron in group.neurons:
            x, y = at[neuron]
            lines.append(f'<circle cx="{x}" cy="{y}" r="14" fill="{group.css}" stroke="currentColor"/>')
        lines.append(_svg_text(50 + 100 * i, height - 8, group.label))
    return "\n".join([*lines, "</svg>", ""])


def layers_dot(net: Layer, params: Mapping[str, Array], x: Any, stats: Mapping[str, Array] = {}) -> str:
    r"""Graphviz text of any network, a box for each layer, the shapes on the arrows.

    Chains inside of chains are opened up; layers side by side are one box, called by what they are.

    Parameters
    ----------
    net : layer
        The network.
    params : dict of arrays
        Its parameters.
    x : array_like, or a tuple of them
        A batch to send through, for the shapes.
    stats : dict of arrays
        Running statistics, if the network has any.

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
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> print(nn.draw.layers_dot(nn.mlp(), nn.init_mlp(0, (4, 3, 2)), np.zeros((1, 4), np.float32)))
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
    ends = ["x", *map(str, range(len(names))), "y"]
    lines = ["digraph G {", "  node [shape=box];"]
    lines += [f"  {i} [label={_quoted(name)}];" for i, name in enumerate(names)]
    lines += ["  x [shape=plain]; y [shape=plain];"]
    lines += [f'  {a} -> {b} [label="{shape}"];' for a, b, shape in zip(ends, ends[1:], shapes, strict=False)]
    return "\n".join([*lines, "}", ""])


def layers_svg(net: Layer, params: Mapping[str, Array], x: Any, stats: Mapping[str, Array] = {}) -> str:
    r"""SVG text, an ``<svg>`` element, of what [layers_dot][nnfunc.draw.layers_dot] writes for Graphviz.

    Parameters
    ----------
    net, params, x, stats
        Those of `layers_dot`.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ValueError
        What a layer raises, if the batch does not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> import nnfunc as nn
    >>> text = nn.draw.layers_svg(nn.mlp(), nn.init_mlp(0, (4, 3, 2)), np.zeros((1, 4), np.float32))
    >>> print(text.count("<rect"), "(1, 3)" in text)
    3 True
    """
    names, shapes = _boxes(net, params, x, stats)
    # A letter is up to 7 wide; a name stands in the middle of its box, a shape begins beside the arrow.
    width = max(200, *(7 * len(name) + 14 for name in names), *(14 * len(shape) - 20 for shape in shapes))
    middle, height = 20 + width // 2, 64 * len(names) + 40
    lines = [_svg_head(width + 40, height, "Layers " + ", ".join(names))]
    for i, shape in enumerate(shapes):
        y = 64 * i + 6
        lines.append(f'<path d="M{middle} {y} v26 m-4 -7 l4 7 l4 -7" fill="none" stroke="currentColor"/>')
        lines.append(_svg_text(middle + 10, y + 16, shape, "start"))
    for i, name in enumerate(names):
        y = 64 * i + 34
        lines.append(f'<rect x="20" y="{y}" width="{width}" height="32" rx="4" fill="none" stroke="currentColor"/>')
        lines.append(_svg_text(middle, y + 20, name))
    return "\n".join([*lines, "</svg>", ""])


def _groups(params: Mapping[str, Array]) -> list[_Group]:
    net: Any = mlp()
    weights = [layer.names[0] for layer in net.expand(params) if name_of(layer).startswith("affine")]
    sizes = [params[weights[0]].shape[0], *(params[name].shape[1] for name in weights)]
    last = len(sizes) - 1
    kinds = [("input", "blue4", "#00008b")]
    kinds += [(f"layer {i + 1}", "red2", "#ee0000") for i in range(1, last)]
    kinds += [("output", "seagreen2", "#4eee94")]
    letters = ["x", *(f"a{i + 1}_" for i in range(1, last)), "y"]
    return [
        _Group(*kind, [f"{letter}{k + 1}" for k in range(size)])
        for kind, letter, size in zip(kinds, letters, sizes, strict=True)
    ]


def _edges(groups: list[_Group]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(groups):
        yield from ((a, b) for a in before.neurons for b in after.neurons)


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


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _svg_head(width: float, height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
    )


def _svg_text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'
