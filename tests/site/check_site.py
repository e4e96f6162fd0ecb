"""Reads a built site and lists what is wrong with it: `python check_site.py SITE`.

Dead links and fragments, anything fetched from another host, pictures without alternative text, formulas left as
LaTeX, pages of 300 KB and more without their figures and films. Needs nothing but the standard library.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LIMIT = 300_000  # bytes without what a page draws
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "use": "href"}


class Page(HTMLParser):
    """The ids, links, fetched addresses and faults of one page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.faults, self.code = set(), [], [], [], 0
        self.figure = None
        self.feed(text)

    def fault(self, text):
        self.faults.append((self.getpos()[0], text))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.update(attrs[key] for key in ("id", "name") if attrs.get(key))
        link = attrs.get("href") or attrs.get("src") or attrs.get("xlink:href")
        if link:
            self.links.append((self.getpos()[0], link))
        if FETCHED.get(tag) and attrs.get(FETCHED[tag]) and attrs.get("rel") != "canonical":
            self.fetched.append((self.getpos()[0], attrs[FETCHED[tag]]))
        if tag == "img" and not attrs.get("alt", "").strip():
            self.fault(f"picture without alternative text: {link}")
        if tag == "figure":
            self.figure = self.getpos()[0]
        if self.figure and (attrs.get("aria-label") or attrs.get("alt")):
            self.figure = None
        if tag in ("code", "pre", "script", "style"):
            self.code += 1
        for url in re.findall(r"url\((.*?)\)", attrs.get("style") or ""):
            self.fetched.append((self.getpos()[0], url.strip("'\"")))

    def handle_endtag(self, tag):
        if tag in ("code", "pre", "script", "style"):
            self.code -= 1
        if tag == "figure" and self.figure:
            self.fault("figure without alternative text")
            self.figure = None

    def handle_data(self, data):
        if not self.code and re.search(r"\\[(\[]|\$\$|\\(frac|sum|partial|begin)\b", data):
            self.fault(f"formula left as LaTeX: {data.strip()[:60]}")


def check(site):
    """The faults of a site, one line each."""
    site = Path(site).resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        size = len(re.sub(rb"(?s)<svg.*?</svg>", b"", path.read_bytes()))
        if size >= LIMIT:
            found.append(f"{name}: {size:,} bytes without its figures")
        found += [f"{name}:{line}: {text}" for line, text in page.faults]
        found += [f"{name}:{line}: fetched from elsewhere: {url}" for line, url in page.fetched if _elsewhere(url)]
        found += [f"{name}:{line}: {text}" for line, url in page.links if (text := _dead(url, path, site, pages))]
    for path in sorted(site.rglob("*.css")):
        for url in re.findall(r"url\(['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text("utf-8")):
            url = url[0] or url[1]
            if _elsewhere(url) or _dead(url, path, site, pages):
                found.append(f"{path.relative_to(site)}: {url} is elsewhere or missing")
    return found


def _elsewhere(url):
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _dead(url, path, site, pages):
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    target = path if not parts.path else (site if parts.path.startswith("/") else path.parent)
    target = (target / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return f"no file for {url}"
    fragment = unquote(parts.fragment)
    if fragment and not fragment.startswith("__") and target in pages and fragment not in pages[target].ids:
        return f"no #{fragment} in {target.relative_to(site)}"
    return None


if __name__ == "__main__":
    faults = check(sys.argv[1])
    print("\n".join([*faults, f"{len(faults)} faults"]))
    sys.exit(bool(faults))
