"""Tables that a phone can show: one that is too wide for it has its rows stacked, each cell beside its column's head.

How wide a table must be is the sum of the longest words of its columns; names may be broken where their parts meet. A
style sheet has no way to ask, so what is too wide is marked here, and laid out by book.css. (A page may also stack a
table itself, in a box of class ``rows``.)

A head without text is no head, and becomes a plain cell. Where a head is a formula, that is said in words, too: not all
that reads a page aloud takes MathML for text.
"""

import re
from html import escape, unescape

TABLE = re.compile(r'(?P<rows><div class="rows[^>]*>\s*)?<table>(?P<body>.*?)</table>', re.S)
ROW = re.compile(r"<tr>(.*?)</tr>", re.S)
CELL = re.compile(r"<(?P<tag>t[hd])(?P<style>(?: [^>]*)?)>(?P<text>.*?)</(?P=tag)>", re.S)
JOINT = re.compile(r"<math.*?</math>|<[^>]*>|&\w+;|(?<=\w)(?:[_(/]|::|\.(?=[a-z]))(?=\w)", re.S)
PHONE = 36  # characters, beside two for each column's edges


def on_page_content(html, page, config, files):
    return TABLE.sub(lambda table: laid_out(table["body"], table["rows"] or ""), html)


def laid_out(body, rows):
    """The table, its rows marked to be stacked on a phone if it would be too wide for one."""
    body = CELL.sub(lambda m: m[0] if m["text"].strip() else f"<td{m['style']}></td>", body)
    body = CELL.sub(_said, body)
    body = JOINT.sub(lambda m: m[0] if m[0][0] in "<&" else f"{m[0]}<wbr>", body)
    lines = [[cell["text"] for cell in CELL.finditer(row[1])] for row in ROW.finditer(body)]
    widths = [max(map(longest, column)) + 2 for column in zip(*lines, strict=True)]
    if rows or sum(widths) <= PHONE:
        return f"{rows}<table>{body}</table>"
    heads = [escape(plain(text)) for text in lines[0]]
    return f"<table data-stack>{ROW.sub(lambda row: _labelled(row[1], heads), body)}</table>"


def longest(text):
    """The characters of the longest piece of a cell that cannot be broken: a word, or a formula."""
    text = re.sub(r"<math.*?</math>", lambda m: re.sub(r"\s", "", plain(m[0])), text, flags=re.S)
    return max(map(len, plain(text.replace("<wbr>", " ")).split()), default=0)


def plain(text):
    return unescape(re.sub("<[^>]*>", "", text)).strip()


def _said(match):
    words = plain(re.sub(r"<math.*?</math>", "", match["text"], flags=re.S))
    if match["tag"] == "td" or words:
        return match[0]
    return re.sub(r"<math(.*?)</math>", lambda m: f'<math aria-label="{escape(plain(m[0]))}"{m[1]}</math>', match[0])


def _labelled(row, heads):
    """The row with each column's head at its cells, but for the first, which is the row's own head."""
    cells = (
        cell[0].replace("<td", f'<td data-head="{head}"', 1) if i and head else cell[0]
        for i, (cell, head) in enumerate(zip(CELL.finditer(row), heads, strict=True))
    )
    return f"<tr>{''.join(cells)}</tr>"
