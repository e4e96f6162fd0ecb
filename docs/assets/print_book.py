"""Print the book as one PDF, out of a built site: ``python docs/assets/print_book.py SITE nnfunc.pdf``.

The chapters in their order, then a guide, the notation and the glossary, after a title page and the contents. The pages
become one document, whose ids and links begin with the page they come from; headless Chromium prints it twice, since
only the first print tells on which pages the headings stand. It needs the extra `browser`, and Chromium.
"""

import io
import re
import shutil
import sys
from html import escape, unescape
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from playwright.sync_api import sync_playwright
from pypdf import PdfReader

AFTERWARDS = ("guides/before-you-train/", "about/notation/", "about/glossary/")
HOST = "http://book.invalid/"  # nothing is fetched from it: the site's files are handed to the browser as they lie
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARTICLE = re.compile(r"<article[^>]*>(.*)</article>", re.S)
HEADING = re.compile(r'<h([12]) id="([^"]*)"[^>]*>(.*?)</h\1>', re.S)
OWN = re.compile(r'(?<= )((?:id|for|name|aria-labelledby)=")(?=[^"])')
LINK = re.compile(r'(?<= )(?P<kind>(?:xlink:)?href)="(?P<to>[^"]*)"')
BOXES = (  # Chromium would leave the title of a <details> alone at the bottom of a page
    ('<details class="', '<div class="admonition '),
    ("</details>", "</div>"),
    ("<summary>", '<p class="admonition-title">'),
    ("</summary>", "</p>"),
)
SIGN = re.compile(r'<a class="headerlink".*?</a>|<svg.*?</svg>', re.S)


def pages(site):
    """The addresses of the pages that are printed, chapters first, as the home page lists them."""
    home = (site / "index.html").read_text("utf-8")
    return [*dict.fromkeys(re.findall(r'<a href="(book/[^"]+/)" class="md-nav__link', home)), *AFTERWARDS]


def article(site, page, printed):
    """The text of a page, its ids made the page's own, its links led to where their targets stand in the document."""
    text = ARTICLE.search((site / page / "index.html").read_text("utf-8"))[1]
    text = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    for closed, opened in BOXES:
        text = text.replace(closed, opened)
    text = OWN.sub(rf"\g<1>{name(page)}", text)
    text = re.sub(r"url\(#", f"url(#{name(page)}", text)
    return LINK.sub(lambda link: target(link, page, printed), text)


def target(link, page, printed):
    """The link as it is in the document; one to a page that is not printed leads nowhere on paper."""
    parts = urlsplit(unescape(link["to"]))
    if parts.scheme:
        return link[0]
    there = normpath(f"{page}{parts.path}") + "/" if parts.path else page
    return f'{link["kind"]}="#{name(there)}{escape(unquote(parts.fragment))}"' if there in printed else ""


def name(page):
    return page.replace("/", "-")


def headings(text):
    """Level, id and text of the headings of one page."""
    return [(int(level), id, SIGN.sub("", inner).strip()) for level, id, inner in HEADING.findall(text)]


def contents(articles, at):
    """The headings with their pages, as far as these are known."""
    parts = [(part, headings(text)) for part, text in articles.items()]
    rows = [
        f'<li class="level{level}"><a href="#{id}"><span>{re.sub("<[^>]*>", "", text)}</span>'
        f"<b>{at.get(id, '000')}</b></a></li>"
        for part, found in parts
        for level, id, text in (found[:1] if part.startswith("about/") else found)
    ]
    return f'<nav class="contents"><h1 id="contents">Contents</h1><ol>{"".join(rows)}</ol></nav>'


def document(site, articles, at):
    """The whole book as one page, in the site's own style sheets."""
    home = (site / "index.html").read_text("utf-8")
    sheets = "".join(re.findall(r'<link rel="stylesheet" href="[^"]*">', home))
    description = re.search(r'<meta name="description" content="([^"]*)"', home)[1]
    rights = re.search(r'class="md-copyright__highlight">\s*(.*?)\s*<', home)[1]
    title = f'<section class="title"><h1>nnfunc</h1><p>{description}</p><p><small>{rights}</small></p></section>'
    bodies = "".join(f'<article id="{name(page)}">{text}</article>' for page, text in articles.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nnfunc</title>{sheets}'
        f'</head><body dir="ltr" data-md-color-scheme="default"><div class="md-content bound"><div class="md-typeset">'
        f"{title}{contents(articles, at)}{bodies}</div></div></body></html>"
    )


def numbers(pdf):
    """The page to which each id leads in a printed document."""
    reader = PdfReader(io.BytesIO(pdf))
    named = reader.named_destinations.items()
    return {id.removeprefix("/"): reader.get_destination_page_number(at) + 1 for id, at in named}


def printed(browser, site, text):
    """The document as a PDF."""
    tab = browser.new_page()
    tab.route(f"{HOST}**", lambda route: route.fulfill(path=site / urlsplit(route.request.url).path.lstrip("/")))
    tab.route(HOST, lambda route: route.fulfill(body=text, content_type="text/html"))
    tab.goto(HOST)
    tab.evaluate("document.fonts.ready")
    pdf = tab.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    tab.close()
    return pdf


def main(site, out):
    names = pages(site)
    articles = {page: article(site, page, names) for page in names}
    with sync_playwright() as driver:
        path = next(filter(None, map(shutil.which, CHROMIUM)), driver.chromium.executable_path)
        if not Path(path).exists():
            sys.exit("no Chromium here; Debian has it as `chromium`")
        browser = driver.chromium.launch(executable_path=path)
        first = numbers(printed(browser, site, document(site, articles, {})))
        book = printed(browser, site, document(site, articles, first))
        browser.close()
    if numbers(book) != first:
        sys.exit("the contents moved the pages that they name")
    Path(out).write_bytes(book)
    print(f"{out}: {len(PdfReader(io.BytesIO(book)).pages)} pages, {len(book) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
