"""Writes Matplotlib's SVG with fewer characters: a figure of arrows or of a wire net is mostly numbers."""

import re

UNSAID = re.compile(  # what book.css says for the whole figure, or what changes nothing
    r"(?<=[\"; ])(?:font-family: var\(--plot-font\)|font-size: 11px|fill: var\(--plot-ink\))(?:; |(?=\"))"
    r'| transform="rotate\(-?0 [^)]*\)"'
    r'|<path d="[^"]*" style="fill: none"/>'
)
ALIKE = re.compile(
    r'<g>\s*<path d="[^"]*"(?P<look>(?: (?:clip-path|style)="[^"]*")+)/>(?:\s*<path d="[^"]*"(?P=look)/>)+\s*</g>'
)
MARKS = re.compile(
    r'<g(?P<clip>(?: clip-path="[^"]*")?)>'
    r'(?P<uses>\s*<use [^>]*?(?P<look> style="[^"]*")/>(?:\s*<use [^>]*(?P=look)/>)+)\s*</g>'
)


def slim(svg):
    """The same drawing, without what nobody refers to and what need not be said."""
    used = {name for pair in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg) for name in pair}
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r'(<path[^>]* d=)"([^"]*)"', lambda m: f'{m[1]}"{path(m[2])}"', svg)
    svg = UNSAID.sub("", svg).replace('; "', '"').replace(' style=""', "")
    for name, look in re.findall(r'<path id="([^"]*)"[^>]* (style="[^"]*")/>', svg):
        svg = re.sub(rf'(<use [^>]*href="#{name}"[^>]*) {re.escape(look)}/>', r"\1/>", svg)
    svg = MARKS.sub(_marks_together, ALIKE.sub(_together, svg))
    return re.sub(r">\s+<", "><", _without_bare_groups(svg))


def path(data):
    """Path data in tenths of a point (hundredths in a short path, say a marker), without what can be left out."""
    digits, last, out = 1 if len(data) > 500 else 2, "", []
    for token in data.split():
        if token.isalpha():
            implied = (token == last != "M") or (token, last) == ("L", "M")
            out, last = (out if implied else [*out, token]), token
        else:
            out.append(f"{round(float(token), digits) + 0:g}")
    return re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(out))


def _together(match):
    if "opacity" in match["look"]:
        return match[0]
    return match[0].replace(match["look"], "").replace("<g>", f"<g{match['look']}>", 1)


def _marks_together(match):
    if "opacity" in match["look"]:
        return match[0]
    return f"<g{match['clip']}{match['look']}>{match['uses'].replace(match['look'], '')}</g>"


def _without_bare_groups(svg):
    bare = []

    def group(tag):
        if tag[0] != "</g>":
            bare.append(tag[0] == "<g>")
            return "" if bare[-1] else tag[0]
        return "" if bare.pop() else tag[0]

    return re.sub(r"</?g(?: [^>]*)?>", group, svg)
