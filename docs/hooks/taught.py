"""Turns the book's links round: each entry of the reference says which sections lead to it.

A section of a chapter or a guide that prints an entry's source, or else the first that links to it, is where a
reader finds it explained. Nothing is typed for that, so nothing goes stale.
"""

import re

from mkdocs.plugins import event_priority
from mkdocs.utils import get_relative_url

BOOK = ("book/", "guides/")
MARK = re.compile(
    r'<h[2-6] id="(?P<anchor>[^"]+)"[^>]*>(?P<title>.*?)<a class="headerlink"'
    r'|(?P<source><p class="source-name">)?<a [^>]*?href="[^"#]*#(?P<name>nnfunc\.[^"]+)"',
    re.S,
)
ENTRY = re.compile(
    r'<h[2-6] id="(?P<name>nnfunc\.[^"]+)" class="doc doc-heading">(?:(?!<h[2-6] ).)*?<div class="doc doc-contents ?">',
    re.S,
)


@event_priority(-100)  # autorefs has found the addresses by then
def on_env(env, config, files):
    pages = [file.page for file in files.documentation_pages() if file.page]
    book = [(page, sections(page.content)) for page in pages if page.file.src_uri.startswith(BOOK)]
    for page in pages:
        if page.file.src_uri.startswith("reference/"):
            page.content = ENTRY.sub(lambda entry, here=page: entry[0] + line(entry["name"], here, book), page.content)


def sections(content):
    """Where a page teaches which name: {name: (anchor, title)}."""
    anchor, title, linked, printed = "", "", {}, {}
    for mark in MARK.finditer(content):
        if mark["anchor"]:
            anchor, title = mark["anchor"], re.sub(r"</?a\b[^>]*>", "", mark["title"]).strip()
        else:
            (printed if mark["source"] else linked).setdefault(mark["name"], (anchor, title))
    return linked | printed


def line(name, here, book):
    """The line of links below the head of an entry, or nothing."""
    links = []
    for page, taught in book:
        if name in taught:
            anchor, title = taught[name]
            address = get_relative_url(page.url, here.url) + (f"#{anchor}" if anchor else "")
            links.append(f'<a href="{address}">{page.title}{": " if title else ""}{title}</a>')
    return f'\n<p class="taught" data-search-exclude>In the book: {"; ".join(links)}</p>' if links else ""
