"""A Matplotlib figure becomes inline SVG whose colours follow the page.

The author says where a figure goes, and what there is to see on it, by an image whose address is ``figure``:

    ![What there is to see, for those who cannot see it](figure "A caption, if it needs one")

``figure:name`` shows the SVG text that the page's examples have bound to that name, as nnfunc.draw writes it.

``film`` in place of ``figure`` takes all figures that wait for a line, or a list of SVG texts, as the frames of a film
(see films.py). What a frame is called is the title of its figure, or of its SVG.
"""

import html
import io
import re
import textwrap
from pathlib import Path

import films
import matplotlib
from matplotlib.transforms import Bbox
from mkdocs.exceptions import PluginError
from slim import slim

matplotlib.use("agg")

STYLE = Path(__file__).with_name("matplotlibrc")
LINE = r'!\[(?P<alt>[^\]]*)\]\((?P<kind>figure|film)(?::(?P<svg>\w+))?(?:\s+"(?P<caption>[^"]*)")?\)[ \t]*$'
CSS = STYLE.parents[1] / "assets" / "css" / "book.css"
THEME = {
    "#010203": "var(--plot-ink)",
    "#000000": "var(--plot-ink)",
    "#ffffff": "var(--plot-paper)",
    **{f"#0a000{i}": f"var(--plot-{i})" for i in range(1, 7)},
}
LIGHT = dict(re.findall(r"(--plot-\w+): (#\w{6});", CSS.read_text("utf-8").partition("slate")[0]))
THEME |= {colour: f"var({name})" for name, colour in LIGHT.items()}  # drawn for a light page, as nnfunc.draw does


def style():
    """The settings under which every figure of the book is drawn."""
    return matplotlib.rc_context(fname=STYLE)


def draw(figure, title=None, window=None):
    """The figure as SVG text, the same at every build."""
    out = io.StringIO()
    about = {"Date": None, "Creator": None} | ({"Title": title} if title else {})
    figure.savefig(out, format="svg", metadata=about, bbox_inches=window)
    return out.getvalue()


def frames(drawn):
    """The figures as SVG texts, all cut out alike, each with its title."""
    for figure in drawn:
        figure.draw_without_rendering()  # or its layout is not yet made
    window = Bbox.union([figure.get_tightbbox() for figure in drawn]).padded(matplotlib.rcParams["savefig.pad_inches"])
    return [draw(figure, _title(figure), window) for figure in drawn]


def _title(figure):
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    return ", ".join(filter(None, titles)) or None


def place(line, drawings, where, prefix):
    """The HTML for one figure line: the drawing that is given, or the first of those waiting, taken off the list.

    A film takes all that wait. While the page is still being run there are none, and the line has its caption alone.
    """
    alt, caption = (" ".join((line[part] or "").split()) for part in ("alt", "caption"))
    if not alt:
        raise PluginError(f"{where}: a figure needs its alternative text")
    if drawings == []:
        raise PluginError(f"{where}: no figure was drawn above this line")
    if drawings is None:
        drawing = f'<p class="waiting">{html.escape(alt)}</p>'
    else:
        drawing = _drawing(line, drawings, alt, where, prefix)
    figure = [
        '<figure class="plot" markdown="block">',
        f'<div markdown="0">{drawing}</div>',
        *([f'<figcaption markdown="span">{caption}</figcaption>'] if caption else []),
        "</figure>",
    ]
    return textwrap.indent("\n".join(figure), line["indent"])


def _drawing(line, drawings, alt, where, prefix):
    film = line["kind"] == "film"
    if isinstance(drawings, str) or line["svg"]:
        made = [_coloured(svg) for svg in ([drawings] if isinstance(drawings, str) else drawings)]
    else:
        made = [themed(svg, prefix) for svg in (drawings if film else drawings[:1])]
        del drawings[: len(made)]
    made = [inline(svg, alt) for svg in made]
    return films.film(made, prefix, where) if film else made[0]


def themed(svg, prefix):
    """Matplotlib's SVG made fit to stand inside a page: own ids, the page's colours and fonts, fewer characters."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    return slim(re.sub(r"<[^>]+>", lambda tag: _tag(tag[0], prefix), svg))


def alone(svg):
    """Themed SVG made fit to stand alone again, in the colours of a light page."""
    look = f"background: {LIGHT['--plot-paper']}; fill: {LIGHT['--plot-ink']}; font: 11px sans-serif"
    svg = svg.replace("<svg ", f'<svg style="{look}; stroke-linejoin: round" ', 1)
    return re.sub(r"var\((--plot-\w+)\)", lambda m: LIGHT.get(m[1], "sans-serif"), svg)


def inline(svg, alt):
    """An SVG element on one line, in the page's font and at most as wide as the page, with its alternative text."""
    box, width = re.search(r'viewBox="(0 0 ([\d.]+) [\d.]+)"', svg).groups()
    size = f'viewBox="{box}" style="width: {float(width) * 4 / 3:.0f}px"'
    head = f'<svg role="img" aria-label="{html.escape(alt)}" data-search-exclude {size}>'
    return re.sub(r"\s*\n\s*", " ", head + svg[svg.index(">") + 1 :]).strip()


def _coloured(svg):
    return re.sub(r"#[0-9a-f]{6}\b", lambda m: THEME.get(m[0], m[0]), svg)


def _tag(tag, prefix):
    if "base64," in tag:
        head, data, tail = re.fullmatch(r'(.*?)(base64,[^"]*)(.*)', tag, re.S).groups()
        return _tag(head, prefix) + data.replace("\n", "") + _tag(tail, prefix)
    tag = re.sub(r'\bid="', f'id="{prefix}-', tag)
    tag = _coloured(tag)
    tag = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", tag)
    tag = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--plot-font)", tag)
    tag = re.sub(r"font-family: [^;\"]*", "font-family: var(--plot-font)", tag)
    return re.sub(r"(\.\d{3})\d+", r"\1", tag)
