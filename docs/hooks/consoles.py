"""Marks the outputs in console blocks, so that the copy button takes what can be typed (see book.css)."""

import re
from itertools import groupby

BLOCK = re.compile(r"(?<=<code>)(?:(?!</code>).)*?class=\"gp\"(?:(?!</code>).)*(?=</code>)", re.S)


def on_page_content(html, page, config, files):
    return BLOCK.sub(lambda block: mark(block[0]), html)


def mark(block):
    """The highlighted block with each run of lines without a prompt in ``<span class="out">``."""
    runs = groupby(block.splitlines(keepends=True), key=lambda line: 'class="gp"' in line)
    return "".join("".join(run) if typed else f'<span class="out">{"".join(run)}</span>' for typed, run in runs)
