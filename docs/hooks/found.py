"""What leads readers to a page: the order in which search gives what it finds, and a description of the page.

Chapters come before the reference. The section that explains a term of the glossary is found by the term in all three
languages, and so is the term's own entry; Korean compounds are written with a space or without, and found by both.
Those words stand in the index to search alone.

The description is a page's first paragraph, as many sentences of it as search engines show, if the page's front matter
has none of its own.
"""

import html
import json
import re
from pathlib import Path

import glossary
from markdown.extensions.toc import slugify
from mkdocs.plugins import event_priority

BOOST = {"book": 3, "reference": 0.5}
INDEX = Path("search", "search_index.json")
WORKER = "assets/javascripts/workers/search.*.js"
# lunr names a node by its letters and the numbers of their nodes, without a comma. A letter may be a digit, so that two
# nodes have one name, and nothing is found that begins as a word that is none: github.com/olivernn/lunr.js/issues/503.
UNCLEAR = re.compile(r"\b((\w+)=\2\+\w+\+\w+\.id)\b")
WORD = re.compile(r"[\u4e00-\u9fff]+(?![\w・])")
MARK = "\u200b"  # what nobody types: else the theme cuts words of the index out of a query, and may lose the rest
LONGEST = 160


def on_page_markdown(markdown, page, config, files):
    boost = BOOST.get(page.file.src_uri.partition("/")[0])
    if boost:
        page.meta["search"] = {"boost": boost} | page.meta.get("search", {})


def on_page_content(content, page, config, files):
    page.meta.setdefault("description", html.escape(description(content)))


def on_post_page(output, page, config):
    told = {"title": html.escape(page.title), "description": page.meta["description"]}
    tags = [f'<meta property="og:{name}" content="{text}">\n' for name, text in told.items()]
    return output.replace("</head>", "".join([*tags, "</head>"]), 1)


@event_priority(-100)  # the search plugin has written its index by then
def on_post_build(config):
    path = Path(config.site_dir) / INDEX
    for worker in Path(config.site_dir).glob(WORKER):
        worker.write_text(UNCLEAR.sub(r'\1+","', worker.read_text("utf-8")), encoding="utf-8")
    if path.exists():
        index = json.loads(path.read_text("utf-8"))
        label(index["docs"], glossary.terms(Path(config.docs_dir)))
        text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
        path.write_text(WORD.sub(lambda word: f"{word[0]}{MARK}", text), encoding="utf-8")


def description(content):
    """What fits of the first paragraph of a page's HTML, as plain text: whole sentences, unless those are too few."""
    paragraph = re.search(r"<p>(.*?)</p>", content, re.S)
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", paragraph[1])).split()) if paragraph else ""
    ends = [end.end() for end in re.finditer(r"[.?!](?=\s|$)", text) if end.end() <= LONGEST]
    if ends and (ends[-1] >= LONGEST / 2 or ends[-1] == len(text)):
        return text[: ends[-1]]
    return text if len(text) <= LONGEST else f"{text[: text.rindex(' ', 0, LONGEST - 1)]} …"


def label(entries, terms):
    """Give the words of each term to its entry in the glossary and to the section that explains it."""
    found = {entry["location"]: entry for entry in entries}
    for term in terms:
        page, anchor = term["introduced"].split(".md#")
        section = found.get(f"{page}/#{anchor}") or found[f"{page}/"]  # a page's own heading is the page
        for entry in (section, found[f"about/glossary/#{slugify(term['term'], '-')}"]):
            entry.setdefault("tags", []).extend(words(term))
            entry["compounds"] = entry.get("compounds", "") + f" {compounds(term)}"


def words(term):
    return [term["term"], *filter(None, term["japanese"].split("、")), *filter(None, term["korean"].split(", "))]


def compounds(term):
    """The Korean words of a term, each without its spaces."""
    return " ".join(word.replace(" ", "") for word in term["korean"].split(", "))
