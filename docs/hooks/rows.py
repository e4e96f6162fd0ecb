"""Says of each row of the sources where the book shows it and what asserts its numbers.

The line ``[rows: S0]`` becomes the table of the source S0. It is made of the list of rows, about/sources.csv, of the
marks ``<!-- rows: S0-04 -->`` in the pages and of the marks ``@pytest.mark.rows("S0-04")`` in the tests. A passage
goes from its mark to the next one, or to the next heading.

What the words around it say of a number is worth nothing: it must stand, to its last digit, in an output or in the code
of an executed example of the passage, in the code of a test with the row's mark, or in a record (a table in tests/)
that the passage names, as tests/experiments/numerical.csv, or the mark, as ``record="experiments/numerical.csv"``.
Comments, docstrings and constants that are never used do not count. A number that stands nowhere, a row that no page
shows or that nothing asserts, or a mark of no row stops the build.
"""

import ast
import csv
import doctest
import io
import re
import tokenize
from collections import defaultdict
from itertools import chain
from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import NamedTuple

from markdown.extensions.toc import slugify, unique
from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url

LINE = re.compile(r"^\[rows:[ \t]*(S\d)[ \t]*\][ \t]*$", re.M)
MARK = re.compile(r"^[ \t]*<!-- rows: ([\w\- ]+?) -->$")
HEADING = re.compile(r"^(#+) (.+)$")
NAMED = re.compile(r"\s*\{[^}]*#([\w-]+)[^}]*\}$")
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})")
BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)\n(?P<body>[\s\S]*?)^(?P=indent)(?P=fence)[ \t]*$", re.M
)
EXAMPLE = re.compile(r"^>>> ", re.M)
RECORD = re.compile(r"\btests/[\w/]+\.(?:csv|md)\b")
LIST = Path("about", "sources.csv")
NUMBERLESS = "no number"

doctest.register_optionflag("IGNORE_UNICODE")  # as doctest-ignore-unicode does, which runs the examples


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
    folder = Path(config.config_file_path).parent / "tests"
    asserted = tests(folder)
    wrong = faults(listed, shown, asserted, records(folder))
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
            named = NAMED.search(title[2])
            heading = re.sub(r"\[([^\]]*)\]\[[^\]]*\]|[`*]", r"\1", NAMED.sub("", title[2]))
            chapter = chapter or heading
            anchor = named[1] if named else unique(slugify(heading, "-"), used)
        lines.append(line)
    yield Passage(page, chapter, heading, anchor, shows, "\n".join(lines))


def tests(folder):
    """``{row: [(file, test, evidence)]}`` from the marks of the tests: their code, and the record that a mark names."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text("utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            decorators = getattr(node, "decorator_list", [])
            marks = [d for d in decorators if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.rows"]
            parts = [lines[part.lineno - 1 : part.end_lineno] for part in (*decorators, node) if part not in marks]
            for mark in marks:
                stored = [_read(folder / keyword.value.value) for keyword in mark.keywords]
                for row in mark.args:
                    found[row.value].append(
                        (path.name, node.name, "\n".join([code("\n".join(chain(*parts))), *stored]))
                    )
    return dict(found)


def records(folder):
    """The tables in the tests' folder: {"tests/experiments/numerical.csv": text}."""
    paths = [path for ending in ("csv", "md") for path in folder.rglob(f"*.{ending}")]
    return {path.relative_to(folder.parent).as_posix(): _read(path) for path in paths}


def faults(listed, shown, asserted, stored=()):
    """What is wrong, a line for each fault; `stored` are the records by their addresses."""
    ids = {row["row"] for row in listed}
    marked = {row for passage in shown for row in passage.rows} | asserted.keys()
    wrong = [f"a mark names {row}, which is not in {LIST.name}" for row in sorted(marked - ids)]
    for row in listed:
        name, here = row["row"], [passage for passage in shown if row["row"] in passage.rows]
        there = asserted.get(name, [])
        named = {record for passage in here for record in RECORD.findall(passage.text)}
        unknown = sorted(named.difference(stored))
        proofs = [evidence(passage) for passage in here] + [proof for *_, proof in there]
        text = _plain("\n".join(proofs + [stored[record] for record in named if record in stored]))
        lost = [number for number in row["numbers"] if not _holds(text, number)]
        where = ", ".join(dict.fromkeys(passage.page for passage in here))
        if not here:
            wrong.append(f"{name}: no page shows it")
        elif unknown:
            wrong.append(f"{name}: {where} names {', '.join(unknown)}, which is not there")
        elif lost:
            wrong.append(
                f"{name}: no output, no code and no record has the number {', '.join(lost)} (marked in {where})"
            )
        elif row["status"] != NUMBERLESS and not there and not any(map(checked, here)):
            wrong.append(f"{name}: nothing asserts its numbers (marked in {where})")
    return wrong


def evidence(passage):
    """What the passage's executed examples hold against a number: their code and their outputs."""
    sources, outputs = examples(passage)
    return "\n".join([code("\n".join(sources)), *outputs])


def checked(passage):
    """Whether an example of the passage has an output, an assert or a comparison, which the build and pytest run."""
    sources, outputs = examples(passage)
    tree = ast.parse("\n".join(sources))
    return any(outputs) or any(isinstance(node, ast.Assert | ast.Compare) for node in ast.walk(tree))


def examples(passage):
    """The sources and the outputs of the examples of a passage; a lab's cells have no output of their own."""
    sources, outputs = [], []
    for block in BLOCK.finditer(passage.text):
        body = dedent(block["body"])
        if EXAMPLE.search(body):
            found = doctest.DocTestParser().get_examples(body)
            sources += [example.source for example in found]
            outputs += [example.want for example in found]
        elif passage.page.startswith("labs/") and block["info"].split()[:1] == ["python"]:
            sources.append(body)
    return sources, outputs


def code(source):
    """The code without comments, docstrings and constants that nothing uses."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in nodes:
        if _idle(node, used):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)


def _idle(node, used):
    """Whether a statement is a docstring, or gives a name to constants and nothing reads it."""
    if isinstance(node, ast.Assign):
        parts = list(ast.walk(node))
        names = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        return not names & used and not any(isinstance(part, ast.Call | ast.Compare | ast.Attribute) for part in parts)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


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
    number = re.match(r"\d+[a-z]?\.", passage.chapter)
    first = f"{number[0]}&nbsp;" if number else "" if passage.heading == passage.chapter else f"{passage.chapter}: "
    heading = passage.heading.removeprefix(number[0] if number else "").strip()
    return f"[{first}{heading}]({to(passage.page, page)}#{passage.anchor})"


def to(target, page):
    """The address of one page as another one writes it in a link."""
    return get_relative_url(target, str(PurePosixPath(page).parent) + "/")


def _breakable(name):
    name = re.sub("(::|_)", r"\1<wbr>", name)
    return f"<code>{name}</code>"


def _read(path):
    text = path.read_text("utf-8")
    return text.replace(",", ", ") if path.suffix == ".csv" else text  # 1,200 are two numbers in a table


def _plain(text):
    return re.sub(r"(?<=\d)[,_](?=\d{3}(?!\d))", "", text)


def _holds(text, number):
    before, after = (r"(?<![\d.])" if number[:1].isdigit() else ""), (r"(?!\d)" if number[-1:].isdigit() else "")
    return re.search(before + re.escape(_plain(number)) + after, text)
