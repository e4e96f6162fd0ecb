"""Makes the glossary of glossary.csv: the line ``[glossary]`` becomes its terms, a heading for each first letter.

Each term is a heading too, so that search finds it as itself; the table of contents has the letters alone. The Japanese
and Korean words are marked as such, for fonts and screen readers. A name that is the same in all three languages has
none.
"""

import csv
import re
from itertools import groupby
from pathlib import Path

import rows
from markdown.extensions.toc import slugify
from mkdocs.exceptions import PluginError

LINE = re.compile(r"^\[glossary\][ \t]*$", re.M)
LIST = Path("about", "glossary.csv")


def on_page_markdown(markdown, page, config, files):
    if not LINE.search(markdown):
        return markdown
    pages = {file.src_uri: Path(file.abs_src_path).read_text("utf-8") for file in files.documentation_pages()}
    sections = {f"{passage.page}#{passage.anchor}": passage for passage in rows.passages(pages)}
    listed = terms(Path(config.docs_dir))
    lost = [f"{term['term']}: no section {term['introduced']}" for term in listed if term["introduced"] not in sections]
    if lost:
        raise PluginError("\n".join([f"{page.file.src_uri}:", *lost]))
    return LINE.sub(lambda line: glossary(listed, sections, page.file.src_uri), markdown)


def on_page_content(content, page, config, files):
    if '<div class="glossary">' in content:
        for letter in (item for heading in page.toc for item in heading.children):
            letter.children.clear()


def terms(docs):
    """The terms in their order: dicts with term, japanese, korean, meaning and introduced, a section's address."""
    with (docs / LIST).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def glossary(listed, sections, page):
    """The terms as Markdown, their links seen from `page`."""
    out = ['<div class="glossary" markdown="block">', ""]
    for letter, group in groupby(listed, key=lambda term: term["term"][0].upper()):
        out += [f"## {letter}", ""]
        for term in group:
            words = ("ja", term["japanese"]), ("ko", term["korean"])
            foreign = [f'<span lang="{lang}">{word}</span>' for lang, word in words if word]
            out += [f"### {' · '.join([term['term'], *foreign])} {{ #{slugify(term['term'], '-')} }}", ""]
            out += [f"{term['meaning']} {rows.link(sections[term['introduced']], page)}", ""]
    return "\n".join([*out, "</div>"])
