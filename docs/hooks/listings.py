"""Makes highlighted code lighter, and marks the outputs of console blocks.

The copy button takes what can be typed: book.css hides the prompts and what is marked here. Names, operators,
punctuation and spaces have the colour of the block itself, so the two thirds of all tags that say so are left out.
"""

import re
from itertools import groupby

PLAIN = re.compile(r'<span class="(?:n|o|p|w)">([^<]*)</span>')
CONSOLE = re.compile(r"(?<=<code>)(?:(?!</code>).)*?class=\"gp\"(?:(?!</code>).)*(?=</code>)", re.S)


def on_page_content(html, page, config, files):
    return CONSOLE.sub(lambda block: mark(block[0]), PLAIN.sub(r"\1", html))


def mark(block):
    """The highlighted block with each run of lines without a prompt in ``<span class="out">``."""
    runs = groupby(block.splitlines(keepends=True), key=lambda line: 'class="gp"' in line)
    return "".join("".join(run) if typed else f'<span class="out">{"".join(run)}</span>' for typed, run in runs)
