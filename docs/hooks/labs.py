"""Shows mkdocs-jupyter's notebooks through the site's own Markdown.

mkdocs-jupyter says which pages are notebooks and how they are executed. The executed cells then go through MkDocs
like any other page: links are checked, formulas and boxes work, figures follow the theme (figures.py), no style
sheet of 600 KB is put in, and nothing comes from another host. The notebook itself lies beside the page.
"""

import os
import re
from pathlib import Path
from unittest import mock

import figures
import jupytext
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs_jupyter.convert import get_nbconvert_app
from mkdocs_jupyter.plugin import NotebookFile
from nbclient.exceptions import CellExecutionError
from nbconvert.exporters import NotebookExporter

FIGURE = re.compile(r"^(?P<indent>[ \t]*)" + figures.LINE, re.M)
SETUP = """\
from matplotlib_inline.backend_inline import set_matplotlib_formats
set_matplotlib_formats("svg")
"""


@event_priority(-100)
def on_pre_page(page, config, files):
    if isinstance(page.file, NotebookFile):
        del page.render  # mkdocs-jupyter's, which converts to HTML by itself
    return page


def on_page_markdown(markdown, page, config, files):
    if not isinstance(page.file, NotebookFile):
        return markdown
    settings = config.plugins["mkdocs-jupyter"].config
    page.notebook = jupytext.read(page.file.abs_src_path)
    executed = settings["execute"] and os.environ.get("NNFUNC_LABS") == "1"
    if executed:
        page.notebook = execute(page.notebook, settings, page.file)
    name = _ipynb(page.file)
    note = "" if executed else " This copy of the site was built without running it; NNFUNC_LABS=1 runs it."
    link = f'<p class="lab-file"><a href="{name}" download>The notebook, {name}</a>.{note}</p>'
    return show(page.notebook, page.file.src_uri, executed) + f"\n\n{link}\n"


def on_post_page(output, page, config):
    if isinstance(page.file, NotebookFile):
        target = Path(page.file.abs_dest_path).parent / _ipynb(page.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(jupytext.writes(_repeatable(page.notebook), fmt="ipynb"), encoding="utf-8")
    return output


def execute(notebook, settings, file):
    """The notebook with its outputs, run as mkdocs-jupyter is configured."""
    app = get_nbconvert_app(True, settings["kernel_name"], allow_errors=settings["allow_errors"])
    notebook.cells.insert(0, jupytext.reads(SETUP, fmt="py:percent").cells[0])
    try:
        with mock.patch.dict(os.environ, MATPLOTLIBRC=str(figures.STYLE)):
            done, _ = NotebookExporter(config=app.config).from_notebook_node(notebook)
    except CellExecutionError as error:
        raise PluginError(f"{file.src_uri}: {error}") from error
    notebook = jupytext.reads(done, fmt="ipynb")
    del notebook.cells[0]
    return notebook


def show(notebook, name, executed):
    """The cells and their outputs as Markdown."""
    parts, waiting, drawn = [], [], 0

    def figure(line):
        nonlocal drawn
        drawn += 1
        return figures.place(line, waiting, f"{name}, figure {drawn}", f"fig{drawn}") if executed else ""

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(FIGURE.sub(figure, cell.source))
        elif cell.cell_type == "code":
            parts.append(f"````python\n{cell.source}\n````")
            for output in cell.outputs:
                text, svg = _output(output, name)
                parts += [f"```` {{ .text .output }}\n{text}\n````"] if text else []
                waiting += [svg] if svg else []
    if waiting:
        raise PluginError(f'{name}: {len(waiting)} figure(s) without a line ![what it shows](figure "a caption")')
    return "\n\n".join(parts)


def _ipynb(file):
    return Path(file.src_uri).with_suffix(".ipynb").name


def _output(output, name):
    if output.output_type == "stream":
        if output.name == "stderr":
            raise PluginError(f"{name} writes to stderr:\n{output.text}")
        return output.text.rstrip(), None
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}", None
    svg = output.data.get("image/svg+xml")
    if svg is None and any(kind.startswith("image/") for kind in output.data):
        raise PluginError(f"{name}: a picture that is not SVG")
    return (None, svg) if svg else (output.data.get("text/plain", "").rstrip(), None)


def _repeatable(notebook):
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        cell.metadata.pop("execution", None)
    return notebook
