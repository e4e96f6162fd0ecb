"""Makes highlighted code lighter, marks the outputs of console blocks, and lets long lines be wrapped.

The copy button takes what can be typed: book.css hides the prompts and what is marked here. Names, operators,
punctuation and spaces have the colour of the block itself, so the two thirds of all tags that say so are left out.

A line that a phone may have to wrap gets a box of its own, which knows how deep its code begins: book.css hangs the
rest of the line a little deeper than that. A short line needs none, and a page is smaller without. On paper a block may
be divided only if it is long.
"""

import re
from html import unescape
from itertools import groupby

PLAIN = re.compile(r'<span class="(?:n|o|p|w)">([^<]*)</span>')
CODE = re.compile(r"<pre>(?P<head>(?:<span></span>)?<code[^>]*>)(?P<block>.*?)(?=</code></pre>)", re.S)
MARKED = '<span class="hll">'  # Pygments closes it behind the line's end
LONG = 38  # columns, for which a block has room wherever it stands on a phone 360 pixels wide
WHOLE = 8  # lines
BEGIN = re.compile(r"(?:(?:>>>|\.\.\.) )? *")


def on_page_content(html, page, config, files):
    return CODE.sub(_listing, PLAIN.sub(r"\1", html))


def _listing(match):
    pre = '<pre class="long">' if match["block"].count("\n") > WHOLE else "<pre>"
    return f"{pre}{match['head']}{mark(match['block'])}"


def mark(block):
    """The highlighted block with each run of outputs in ``<span class="out">``, each long line in a box."""
    lines = re.findall(r"[^\n]*\n(?:</span>)?|[^\n]+", block)
    runs = groupby(lines, key=lambda line: 'class="gp"' in line or 'class="gp"' not in block)
    texts = ((typed, "".join(map(boxed, run))) for typed, run in runs)
    return "".join(text if typed else f'<span class="out">{text}</span>' for typed, text in texts)


def boxed(line):
    """The line in ``<span class="line">``, with the column where its code begins, if it is long."""
    text = unescape(re.sub("<[^>]*>", "", line)).rstrip("\n")
    if len(text) <= LONG:
        return line
    head, tail = (MARKED, "</span>") if line.startswith(MARKED) else ("", "")
    inner = line.removeprefix(head).removesuffix(tail)
    return f'{head}<span class="line" style="--begin:{len(BEGIN.match(text)[0])}">{inner}</span>{tail}'
