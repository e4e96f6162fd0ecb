"""A film: drawings of one size become one SVG, which radio buttons move without a script.

What is the same in all frames stands once. What is not stands in groups, each with the first and the last frame in
which it is seen, and film.css shows those that have `--t` between them. The buttons set `--t`, or an animation does. On
paper four of the frames stand side by side.
"""

import html
import re
from difflib import SequenceMatcher
from itertools import groupby
from xml.etree import ElementTree

from mkdocs.exceptions import PluginError

FRAMES = range(4, 14)  # four are printed; more than thirteen ticks are too narrow for a finger on a phone
LIMIT = 80_000  # bytes
STAYS = 2  # beats more for the last frame, when the film is played


def film(frames, prefix, where):
    """The HTML of a film on one line, from its frames, which are SVG elements with one and the same head."""
    if len(frames) not in FRAMES:
        raise PluginError(f"{where}: a film of {len(frames)} frames, wanted {FRAMES[0]} to {FRAMES[-1]}")
    heads = {frame[: frame.index(">") + 1] for frame in frames}
    if len(heads) > 1:
        raise PluginError(f"{where}: the frames of a film have one size, these have {', '.join(sorted(heads))}")
    head, last = heads.pop(), len(frames) - 1
    definitions, elements, titles = zip(*map(_parsed, frames), strict=True)
    stills = [
        f'<svg class="still" aria-hidden="true" {re.search("viewBox=.*?(?=>)", head)[0]}>'
        f'<use href="#{prefix}-film" style="--t:{round(k * last / 3)}"/></svg>'
        for k in (1, 2, 3)
    ]
    drawing = f'{_defs(definitions)}<g id="{prefix}-film">{"".join(_shots(braid(elements), last))}</g>'
    shown = (
        f'<div class="film" style="--n:{len(frames)};--beats:{len(frames) + STAYS}">'
        f'<div class="shots">{head}{drawing}</svg>{"".join(stills)}</div>{_controls(titles, prefix)}</div>'
    )
    named = re.findall(r' id="([^"]*)"', shown)
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise PluginError(f"{where}: two things that differ have the id {', '.join(twice)}")
    if len(shown.encode()) > LIMIT:
        raise PluginError(f"{where}: the film has {len(shown.encode()):,} bytes, wanted {LIMIT:,} or fewer")
    return shown


def braid(frames):
    """One list of elements, each with the set of the frames that have it, in an order that is that of every frame."""
    together = []
    for k, frame in enumerate(frames):
        new = []
        match = SequenceMatcher(None, [element for element, _ in together], frame, autojunk=False)
        for what, a, b, c, d in match.get_opcodes():
            if what == "equal":
                new += [(element, seen | {k}) for element, seen in together[a:b]]
            else:
                new += together[a:b] + [(element, {k}) for element in frame[c:d]]
        together = new
    return together


def _shots(together, last):
    """The elements as markup, each that is not in all frames in a group for each run of frames that have it."""
    for seen, run in groupby(together, lambda pair: pair[1]):
        markup = "".join(element for element, _ in run)
        if len(seen) > last:
            yield markup
            continue
        for _, frames in groupby(enumerate(sorted(seen)), lambda pair: pair[1] - pair[0]):
            frames = [frame for _, frame in frames]
            yield f'<g class="shot" style="{_span(frames[0], frames[-1], last)}">{markup}</g>'


def _span(first, until, last):
    return f"--a:{first};--b:{until if until < last else last + STAYS}"


def _controls(titles, prefix):
    """The buttons: the film's own, and over it one for each frame, which stops there while the film is played."""
    last = len(titles) - 1
    names = [html.escape(title or f"frame {k} of {len(titles)}", quote=False) for k, title in enumerate(titles, 1)]
    radio = f'<input type="radio" name="{prefix}-frame" autocomplete="off"'
    stops = [
        f'<label class="stop" for="{prefix}-at-{k}" style="{_span(k, k, last)}">{name}</label>'
        for k, name in enumerate(names)
    ]
    ticks = [f'{radio} id="{prefix}-at-{k}"{"" if k else " checked"}>' for k in range(len(names))]
    return (
        f"<fieldset data-search-exclude><legend>Film of {len(names)} frames</legend>"
        f'<span class="run">{radio} class="play" aria-label="Play">{"".join(stops)}</span>'
        f'<span class="track">{"".join(ticks)}</span></fieldset>'
    )


def _parsed(svg):
    """What an SVG element defines, {id: markup}, its other elements, and its title."""
    root = ElementTree.fromstring("<svg>" + svg.partition(">")[2].replace("xlink:href", "href"))
    title = " ".join((root.findtext("title") or "").replace("$", "").split())
    elements = [element for element in root if element.tag not in ("defs", "title")]
    return {e.get("id"): _markup(e) for e in root.findall(".//defs/*")}, list(map(_markup, elements)), title


def _defs(definitions):
    distinct = dict.fromkeys(markup for frame in definitions for markup in frame.values())
    return f"<defs>{''.join(distinct)}</defs>" if distinct else ""


def _markup(element):
    element.tail = None
    return ElementTree.tostring(element, encoding="unicode").replace(" />", "/>")
