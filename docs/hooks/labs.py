"""Shows mkdocs-jupyter's notebooks through the site's own Markdown, with the outputs that are kept of them.

mkdocs-jupyter says which pages are notebooks. Their cells then go through MkDocs like any other page: links are
checked, formulas and boxes work, figures follow the theme (figures.py), no style sheet of 600 KB is put in, and nothing
comes from another host. The notebook itself lies beside the page.

What a lab has put out lies in docs/labs/results, with a hash of the lab's text; docs/labs/execute.py makes it. If the
text has changed since, the lab is shown without outputs, and the strict build stops.
"""

import hashlib
import json
import logging
import re
from pathlib import Path

import figures
import jupytext
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs_jupyter.plugin import NotebookFile
from nbformat.v4 import new_output

FIGURE = re.compile(r"^(?P<indent>[ \t]*)" + figures.LINE, re.M)

log = logging.getLogger("mkdocs.hooks.labs")


@event_priority(-100)
def on_pre_page(page, config, files):
    if isinstance(page.file, NotebookFile):
        del page.render  # mkdocs-jupyter's, which converts to HTML by itself
    return page


def on_page_markdown(markdown, page, config, files):
    if not isinstance(page.file, NotebookFile):
        return markdown
    path = Path(page.file.abs_src_path)
    text = path.read_text("utf-8")
    page.notebook, page.outputs = jupytext.reads(text, fmt="md"), kept(path, text)
    if page.outputs is None:
        log.warning(f"{page.file.src_uri}: no outputs of this text are kept: python docs/labs/execute.py {path.stem}")
    note = "The outputs are those of one run" if page.outputs else "No outputs of this text are kept"
    link = f'<a href="{path.stem}.ipynb" download>The notebook, {path.stem}.ipynb</a>. {note}; '
    again = f"`python docs/labs/execute.py {path.stem}` runs it anew."
    return f'{show(page.notebook, page.outputs, page.file.src_uri)}\n\n<p class="lab-file" markdown>{link}{again}</p>\n'


def on_post_page(output, page, config):
    if isinstance(page.file, NotebookFile):
        target = Path(page.file.abs_dest_path).with_name(Path(page.file.src_uri).with_suffix(".ipynb").name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(jupytext.writes(download(page.notebook, page.outputs), fmt="ipynb"), encoding="utf-8")
    return output


def stamp(text):
    return hashlib.sha256(text.encode()).hexdigest()


def place(path):
    """Where the outputs of a lab are kept."""
    return path.parent / "results" / f"{path.stem}.json"


def kept(path, text):
    """The outputs of each code cell of this text, or None."""
    past = json.loads(place(path).read_text("utf-8")) if place(path).exists() else {}
    return past["cells"] if past.get("stamp") == stamp(text) else None


def show(notebook, outputs, name):
    """The cells and their outputs as Markdown; without outputs the figures' lines are left out."""
    parts, waiting, drawn, rest = [], [], 0, iter(outputs or ())

    def figure(line):
        nonlocal drawn
        drawn += 1
        if outputs is None:
            return ""
        if not waiting:
            raise PluginError(f"{name}, figure {drawn}: no figure was drawn above this line")
        return figures.place(line, waiting.pop(0), f"{name}, figure {drawn}", f"fig{drawn}")

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(FIGURE.sub(figure, cell.source))
        elif cell.cell_type == "code":
            parts.append(f"````python\n{cell.source}\n````")
            for output in next(rest, ()):
                text = output.get("stream") or output.get("value")
                parts += [f"```` {{ .text .output }}\n{text}\n````"] if text else []
                waiting += [output["svg"]] if "svg" in output else []
    if waiting:
        raise PluginError(f'{name}: {len(waiting)} figure(s) without a line ![what it shows](figure "a caption")')
    return "\n\n".join(parts)


def download(notebook, outputs):
    """The notebook as it is read without the site: figures in the colours of a light page, captions below them."""
    rest = iter(outputs or ())
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"  # jupytext gives others each time
        if cell.cell_type == "markdown":
            cell.source = FIGURE.sub(lambda line: f"*{line['caption']}*" if line["caption"] else "", cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [_output(*output.items()) for output in next(rest, ())]
    return notebook


def _output(pair):
    kind, content = pair
    if kind == "stream":
        return new_output("stream", name="stdout", text=content + "\n")
    if kind == "value":
        return new_output("execute_result", data={"text/plain": content})
    return new_output("display_data", data={"image/svg+xml": figures.alone(content)})
