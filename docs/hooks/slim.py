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
    digits = 1 if len(data) > 500 else 2
    tokens = [token if token.isalpha() else round(float(token), digits) + 0 for token in data.split()]
    straight = {token for token in tokens if isinstance(token, str)} <= {"M", "L", "z"}
    return min(_places(tokens), _steps(tokens, digits), key=len) if straight else _places(tokens)


def _places(tokens):
    last, out = "", []
    for token in tokens:
        if isinstance(token, str):
            implied = (token == last != "M") or (token, last) == ("L", "M")
            out, last = (out if implied else [*out, token]), token
        else:
            out.append(token)
    return _tight(out)


def _steps(tokens, digits):
    """Straight lines, each by how far it goes; the steps between rounded places add up to them again."""
    last, here, out, rest = "", (0, 0), [], iter(tokens)
    for letter in rest:
        out += [] if letter == last == "L" else [letter.lower() if letter == "L" else letter]
        if letter != "z":
            there = next(rest), next(rest)
            out += [round(a - b, digits) + 0 for a, b in zip(there, here, strict=True)] if letter == "L" else there
            here = there
        last = letter
    short = re.sub(r"(?<![\d.])0\.", ".", _tight(out)).replace(" -", "-")
    return re.sub(r"(\.\d+) (?=\.)", r"\1", short)


def _tight(parts):
    return re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(part if isinstance(part, str) else f"{part:g}" for part in parts))


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
