"""Says of each row of the sources where the book shows it and what asserts its numbers.

The line ``[rows: S0]`` becomes the table of the source S0. It is made of the list of rows, about/sources.csv, of the
marks ``<!-- rows: S0-04 -->`` in the pages and of the marks ``@pytest.mark.rows("S0-04")`` in the tests. A passage
goes from its mark to the next one, or to the next heading. A row that no page shows, a number of it that stands in
none of its passages and tests, a number that nothing asserts, or a mark of no row stops the build.
"""

import ast
import csv
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from markdown.extensions.toc import slugify, unique
from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url

LINE = re.compile(r"^\[rows:[ \t]*(S\d)[ \t]*\][ \t]*$", re.M)
MARK = re.compile(r"^[ \t]*<!-- rows: ([\w\- ]+?) -->$")
HEADING = re.compile(r"^(#+) (.+)$")
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})")
CHECKED = re.compile(r"^[ \t]*(?:>>> |assert )", re.M)
LIST = Path("about", "sources.csv")
NUMBERLESS = "no number"


class Passage(NamedTuple):
    """A piece of a page below a heading, or below a mark, with the rows it shows."""

    page: str
    chapter: str
    heading: str
    anchor: str
    rows: tuple
    text: str


def on_page_markdown(markdown, page, config, files):
    if not LINE.search(markdown):
        return markdown
    pages = {file.src_uri: Path(file.abs_src_path).read_text("utf-8") for file in files.documentation_pages()}
    listed, shown = rows(Path(config.docs_dir)), passages(pages)
    asserted = tests(Path(config.config_file_path).parent / "tests")
    wrong = faults(listed, shown, asserted)
    if wrong:
        raise PluginError("\n".join([f"{page.file.src_uri}:", *wrong]))
    return LINE.sub(lambda line: table(line[1], listed, shown, asserted, page.file.src_uri), markdown)


def rows(docs):
    """The list of rows: dicts with the row's id, its status, what it is, and its numbers as a tuple."""
    with (docs / LIST).open(encoding="utf-8", newline="") as file:
        return [row | {"numbers": tuple(filter(None, row["numbers"].split("; ")))} for row in csv.DictReader(file)]


def passages(pages):
    """The passages of pages given as {address: text}, those of the chapters first."""
    in_order = sorted(pages.items(), key=lambda page: (not page[0].startswith("book/"), page[0]))
    return [passage for page, text in in_order for passage in _passages(page, text)]


def _passages(page, text):
    chapter, heading, anchor, shows, lines, fence, used = "", "", "", (), [], None, set()
    for line in text.splitlines():
        opened = FENCE.match(line)
        if opened and fence is None:
            fence = opened[1]
        elif opened and opened[1].startswith(fence) and line.strip() == opened[1]:
            fence = None
        title, mark = (None, None) if fence else (HEADING.match(line), MARK.match(line))
        if title or mark:
            yield Passage(page, chapter, heading, anchor, shows, "\n".join(lines))
            shows, lines = tuple(mark[1].split()) if mark else (), []
        if title:
            heading = re.sub(r"\[([^\]]*)\]\[[^\]]*\]|[`*]", r"\1", title[2])
            chapter = chapter or heading
            anchor = unique(slugify(heading, "-"), used)
        lines.append(line)
    yield Passage(page, chapter, heading, anchor, shows, "\n".join(lines))


def tests(folder):
    """``{row: [(file, test, source)]}`` from the marks of the tests."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text("utf-8")
        for node in ast.parse(text).body:
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rows":
                    source = "\n".join(ast.get_source_segment(text, part) for part in (*node.decorator_list, node))
                    for row in decorator.args:
                        found[row.value].append((path.name, node.name, source))
    return dict(found)


def faults(listed, shown, asserted):
    """What is wrong, a line for each fault."""
    ids = {row["row"] for row in listed}
    marked = {row for passage in shown for row in passage.rows} | asserted.keys()
    wrong = [f"a mark names {row}, which is not in {LIST.name}" for row in sorted(marked - ids)]
    for row in listed:
        name, here = row["row"], [passage for passage in shown if row["row"] in passage.rows]
        there = asserted.get(name, [])
        text = _plain("\n".join([*(passage.text for passage in here), *(source for *_, source in there)]))
        lost = [number for number in row["numbers"] if not _holds(text, number)]
        if not here:
            wrong.append(f"{name}: no page shows it")
        elif lost:
            wrong.append(f"{name}: no passage and no test with its mark has the number {', '.join(lost)}")
        elif row["status"] != NUMBERLESS and not there and not any(map(checked, here)):
            wrong.append(f"{name}: nothing asserts its numbers")
    return wrong


def checked(passage):
    """Whether the passage has examples, which the build runs and pytest runs again."""
    return bool(CHECKED.search(passage.text))


def table(source, listed, shown, asserted, page):
    """The table of one source as Markdown, its links seen from `page`."""
    out = ['<div class="rows" markdown="block">', "", "| row | what it is | where it is shown, what asserts it |"]
    out.append("|---|---|---|")
    for row in listed:
        if row["row"].startswith(source):
            here = [passage for passage in shown if row["row"] in passage.rows]
            links = {link(passage, page): None for passage in here}
            by = [_breakable(f"{file}::{test}") for file, test, _ in asserted.get(row["row"], [])]
            by += ["the page's own examples"] if any(map(checked, here)) else []
            status = f"<br> *{row['status']}*" if row["status"] != NUMBERLESS else ""
            by = f"<br>asserted by {', '.join(by)}" if by else ""
            out.append(f"| {row['row']}{status} | {row['what']} | {', '.join(links)}{by} |")
    return "\n".join([*out, "", "</div>"])


def link(passage, page):
    """A link to a passage's heading, which names the chapter by its number."""
    number = re.match(r"\d+\.", passage.chapter)
    first = f"{number[0]}&nbsp;" if number else "" if passage.heading == passage.chapter else f"{passage.chapter}: "
    heading = passage.heading.removeprefix(number[0] if number else "").strip()
    return f"[{first}{heading}]({to(passage.page, page)}#{passage.anchor})"


def to(target, page):
    """The address of one page as another one writes it in a link."""
    return get_relative_url(target, str(PurePosixPath(page).parent) + "/")


def _breakable(name):
    name = re.sub("(::|_)", r"\1<wbr>", name)
    return f"<code>{name}</code>"


def _plain(text):
    return re.sub(r"(?<=\d)[,_](?=\d)", "", text)


def _holds(text, number):
    before, after = (r"(?<![\d.])" if number[:1].isdigit() else ""), (r"(?!\d)" if number[-1:].isdigit() else "")
    return re.search(before + re.escape(_plain(number)) + after, text)
