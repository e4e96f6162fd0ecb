"""Makes a notebook of each chapter, beside its page: the same text, its code without prompts, the results of the build.

A block is divided below each example that prints something, since a notebook shows no value of a cell but the last. The
code of figures and the answers to exercises and questions are folded, as on the page. A chapter that reads files of the
repository goes there first.
"""

import ast
import doctest
import posixpath
import re
import textwrap
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote, urljoin

import examples
import executed
import figures
import nbformat
import pages
import sources
from markdown.extensions.toc import slugify
from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url, meta
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

BOX = re.compile(
    r'^(?P<mark>\?\?\?|!!!) (?P<kind>\w+)(?: "(?P<title>.*)")?\n(?P<body>(?:[ \t]*\n| {4}.*(?:\n|\Z))*)', re.M
)
FIGURE = re.compile(figures.LINE)
LINK = re.compile(r"\]\((?=[\w.#])(?P<page>[\w./-]+\.md)?(?P<anchor>#[\w-]+)?\)")
REFERENCE = re.compile(r"\[([^\]]*)\]\[(?:nnfunc[\w.]*)?\]")
COMMENT = re.compile(r"^[ \t]*<!--.*?-->\n+|<!--.*?-->", re.M | re.S)
EXERCISE = re.compile(r"^\*\*(\d+\. [^*]+?)\.?\*\* ", re.M)
HEADING = re.compile(r"^##+ (.+)$", re.M)
FORMULA = re.compile(r"\$\$.+?\$\$", re.S)
DIRECTIVE = re.compile(r"[ \t]*#[ \t]*doctest:.*")
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
HEAD = (
    "*A chapter of the nnfunc book, with what its code gave when the book was built. Run the cells from the top, where"
    " nnfunc and Matplotlib are installed. Until a cell has run, JupyterLab puts words in the place of its figure.*"
)
FILES = (
    "*This chapter reads files of the repository: {}. The next cell goes to its folder, if nnfunc was installed from"
    " there by `pip install -e`; if not, write the folder in.*"
)
THERE = "import os, pathlib\nimport nnfunc\n\nos.chdir(pathlib.Path(nnfunc.__file__).parents[1])"


def on_page_content(html, page, config, files):
    if not _is_chapter(page.file):
        return html

    def address(link):
        there = files.get_file_from_path(posixpath.normpath(posixpath.join(page.file.src_uri, "..", link)))
        if there is None:
            return link  # MkDocs tells of it
        if page.canonical_url:
            return urljoin(page.canonical_url, there.url_relative_to(page.file))
        return get_relative_url(_beside(there) if _is_chapter(there) else there.dest_uri, page.url)

    markdown, _ = meta.get_data(page.file.content_string)
    found = pages.results.get(page.file.src_uri)
    page.notebook = notebook(markdown, None if isinstance(found, PluginError) else found, address)
    link = f'<a href="{posixpath.basename(_beside(page.file))}" download>This chapter as a notebook</a>'
    return html.replace("</h1>", f'</h1>\n<p class="lab-file" data-search-exclude>{link}</p>', 1)


def on_post_page(output, page, config):
    if _is_chapter(page.file):
        target = Path(config.site_dir, _beside(page.file))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(nbformat.writes(page.notebook) + "\n", encoding="utf-8")
    return output


def _is_chapter(file):
    return file.src_uri.startswith("book/")


def _beside(file):
    """The address of the notebook that lies beside a page."""
    return posixpath.join(posixpath.dirname(file.dest_uri), f"{file.name}.ipynb")


def notebook(markdown, found, address):
    """The notebook of a page, with the results that were found, if any; `address(link)` says where a link leads."""
    named = list(dict.fromkeys(f"`{name}`" for name in executed.NAMED_FILE.findall(markdown)))
    markdown, rest = plain(markdown, address), iter(found["parts"] if found else ())
    cells, at = [], 0
    for box in BOX.finditer(markdown):
        cells += [*_cells(markdown[at : box.start()], rest), *_boxed(box, rest)]
        at = box.end()
    cells += _cells(markdown[at:], rest)
    title, _, text = cells[0].source.partition("\n")
    cells[0].source = "\n\n".join([title, HEAD, text.strip(), *([FILES.format(", ".join(named))] if named else [])])
    cells[1:1] = [new_code_cell(THERE)] if named else []
    if found:
        _name_values(cells)
    _place(cells)
    for i, cell in enumerate(cells):
        cell.id = f"cell-{i}"  # nbformat gives others each time
    return new_notebook(cells=cells, metadata=KERNEL)


def plain(markdown, address):
    """The page without what only the site understands, but for boxes and figures."""
    titles = (re.sub(r"[`*]", "", title) for title in HEADING.findall(markdown))
    anchors = {f"#{slugify(title, '-')}": "#" + quote(title.replace(" ", "-")) for title in titles}

    def link(match):
        to, anchor = match["page"], match["anchor"] or ""
        return f"]({address(to) + anchor if to else anchors.get(anchor, anchor)})"

    text = LINK.sub(link, REFERENCE.sub(r"\1", COMMENT.sub("", markdown)))
    return EXERCISE.sub(r"#### \1\n\n", sources.LINE.sub(_listing, text))


def _listing(line):
    listing = f"`{line['name']}`:\n\n```python\n{sources.source(line['name'])}\n```"
    return textwrap.indent(listing, line["indent"])


def _boxed(box, rest):
    """A box of text that is folded on the page is folded here; other text stands indented, and its code between it."""
    title, body = box["title"] or box["kind"].title(), textwrap.dedent(box["body"]).strip()
    if box["kind"] == "success":  # a folded heading takes all down to the next one with it
        fold = {"jp-MarkdownHeadingCollapsed": True}
        return [new_markdown_cell(f"##### {title}", metadata=fold), *_cells(body, rest)]
    if box["mark"] == "???" and not executed.EXAMPLE.search(body):
        title = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", re.sub(r"`([^`]*)`", r"<code>\1</code>", title))
        return [new_markdown_cell(f"<details><summary>{title}</summary>\n\n{body}\n\n</details>")]
    cells = _cells(f"**{title}**\n\n{body}", rest)
    for cell in cells:
        if cell.cell_type == "markdown":
            on_a_line = FORMULA.sub(lambda formula: " ".join(formula[0].split()), cell.source)  # or the marks get in
            cell.source = textwrap.indent(on_a_line, "> ", lambda line: True)
        elif box["kind"] == "example":
            cell.metadata = {"jupyter": {"source_hidden": True}}
    return cells


def _cells(markdown, rest):
    """Text, code and figure lines in their order; the results of each are the next of `rest`."""
    cells, at = [], 0
    for part in executed.PART.finditer(markdown):
        if part["alt"] or executed.EXAMPLE.search(part["body"]):
            result = {} if part["alt"] and not part["svg"] else next(rest, {})
            cells += _text(markdown[at : part.start()])
            cells += [new_markdown_cell(part[0])] if part["alt"] else _code(part["body"], result)
            at = part.end()
    return cells + _text(markdown[at:])


def _text(markdown):
    """A cell for each section."""
    return [new_markdown_cell(piece.strip()) for piece in re.split(r"^(?=##+ )", markdown, flags=re.M) if piece.strip()]


def _code(block, result):
    cells, lines, bands = [], [], []

    def close(outputs=(), raises=False):
        if lines:
            tags = {"tags": ["raises-exception"]} if raises else {}
            source = DIRECTIVE.sub("", "".join(lines)).rstrip()
            cells.append(new_code_cell(source, outputs=list(outputs), metadata=tags))
            lines.clear()

    for example, got in zip_longest(executed.examples(block), result.get("got", ())):
        band = examples.BAND.match(example.source)
        if band:
            bands.append(band[1])
            continue
        if example.exc_msg:
            close()
        elif example.options.get(doctest.ELLIPSIS):
            bands += [line.strip() for line in example.want.splitlines() if "..." in line]
        lines.append(example.source)
        if example.want:
            close([_output(example, got)] if got else [], bool(example.exc_msg))
    close()
    for svg in result.get("drawn", ()):
        cells[-1].outputs.append(new_output("display_data", data={"image/svg+xml": svg}))
    note = f"*{examples.NOTE}* {', '.join(f'`{band}`' for band in bands)}."
    return [*cells, new_markdown_cell(note)] if bands else cells


def _output(example, got):
    if example.exc_msg:
        message = re.search(r"^\S.*", got.rpartition("(most recent call last):\n")[2], re.M | re.S)[0].strip()
        name, _, value = message.partition(": ")
        return new_output("error", ename=name, evalue=value, traceback=[message])
    return new_output("stream", name="stdout", text=got)


def _name_values(cells):
    """What a cell puts out is its value if the statement at its end is an expression, and no call that prints."""
    printing = {"print"}
    for cell in (cell for cell in cells if cell.cell_type == "code" and "tags" not in cell.metadata):
        tree = ast.parse(cell.source).body
        printing |= {node.name for node in tree if isinstance(node, ast.FunctionDef) and "print(" in ast.unparse(node)}
        if isinstance(tree[-1], ast.Expr) and ast.unparse(tree[-1]).partition("(")[0] not in printing:
            texts = [output.text.rstrip("\n") for output in cell.outputs if output.output_type == "stream"]
            values = [new_output("execute_result", data={"text/plain": text}) for text in texts]
            cell.outputs = values + [output for output in cell.outputs if output.output_type != "stream"]


def _place(cells):
    """Give each drawing its words, and leave of each figure line the caption. Of a film three pictures are enough."""
    waiting = []
    for cell in cells:
        waiting += [(cell, output) for output in cell.get("outputs", ()) if "image/svg+xml" in output.get("data", {})]
        line = FIGURE.search(cell.source) if cell.cell_type == "markdown" else None
        if line:
            alt, caption = (" ".join((line[part] or "").split()) for part in ("alt", "caption"))
            taken = waiting if line["kind"] == "film" else waiting[:1]
            waiting = waiting[len(taken) :]
            for i, (owner, output) in enumerate(taken):
                if i in (0, len(taken) // 2, len(taken) - 1):
                    svg = figures.alone(figures.themed(output.data["image/svg+xml"], "fig"))
                    output.data = {"image/svg+xml": svg, "text/plain": alt}
                else:
                    owner.outputs = [other for other in owner.outputs if other is not output]
            cell.source = f"*{caption}*" if caption else ""
    cells[:] = [cell for cell in cells if cell.source]
