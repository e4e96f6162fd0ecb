"""Shows mkdocs-jupyter's notebooks through the site's own Markdown.

mkdocs-jupyter says which pages are notebooks and how they are executed. The executed cells then go through MkDocs
like any other page: links are checked, formulas and boxes work, figures follow the theme (figures.py), no style
sheet of 600 KB is put in, and nothing comes from another host. The notebook itself lies beside the page.

Labs are executed if NNFUNC_LABS is 1, as many at once as there are cores, before any page is shown. What they put
out is kept in .cache/labs until the lab, the library or a version that it depends on changes; mkdocs-jupyter's own
cache knows of the lab alone.
"""

import copy
import hashlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import figures
import jupytext
import nbformat
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs_jupyter.plugin import NotebookFile
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FIGURE = re.compile(r"^(?P<indent>[ \t]*)" + figures.LINE, re.M)
LIBRARY = Path(find_spec("nnfunc").origin).parent
NEEDS = ("ipykernel", "matplotlib", "matplotlib-inline", "numpy")
SETUP = """\
from matplotlib_inline.backend_inline import set_matplotlib_formats
set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})
"""
ENVIRONMENT = {"MATPLOTLIBRC": str(figures.STYLE), "OPENBLAS_NUM_THREADS": "1"}  # the labs share the cores

CLIENT = {
    "startup_timeout": 600,  # a busy machine is slow, and that is no failure
    "record_timing": False,
    "extra_arguments": ["--log-level=ERROR"],  # or each kernel warns of its unencrypted port
}


@event_priority(-100)
def on_files(files, config):
    """Run the labs, once mkdocs-jupyter has said which files are notebooks."""
    settings = config.plugins["mkdocs-jupyter"].config
    if settings["execute"] and os.environ.get("NNFUNC_LABS") == "1":
        labs = [file for file in files if isinstance(file, NotebookFile)]
        folder = Path(config.config_file_path).parent / ".cache" / "labs"
        run = partial(outcome, settings=settings, folder=folder)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # a lab is a process; its thread only waits for it
            for file, notebook in zip(labs, pool.map(run, labs), strict=True):
                file.executed = notebook
    return files


@event_priority(-100)
def on_pre_page(page, config, files):
    if isinstance(page.file, NotebookFile):
        del page.render  # mkdocs-jupyter's, which converts to HTML by itself
    return page


def on_page_markdown(markdown, page, config, files):
    if not isinstance(page.file, NotebookFile):
        return markdown
    executed = hasattr(page.file, "executed")
    page.notebook = page.file.executed if executed else jupytext.read(page.file.abs_src_path)
    name = _ipynb(page.file)
    note = "" if executed else " This copy of the site was built without running it; NNFUNC_LABS=1 runs it."
    link = f'<p class="lab-file"><a href="{name}" download>The notebook, {name}</a>.{note}</p>'
    return show(page.notebook, page.file.src_uri, executed) + f"\n\n{link}\n"


def on_post_page(output, page, config):
    if isinstance(page.file, NotebookFile):
        target = Path(page.file.abs_dest_path).parent / _ipynb(page.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(jupytext.writes(download(page.notebook), fmt="ipynb"), encoding="utf-8")
    return output


def outcome(file, settings, folder):
    """The executed lab: as it was kept, if nothing that it depends on has changed since."""
    text = Path(file.abs_src_path).read_text("utf-8")
    kept, current = folder / Path(file.src_uri).with_suffix(".json"), key(text, settings)
    if kept.exists():
        past = json.loads(kept.read_text("utf-8"))
        if past["key"] == current:
            return nbformat.from_dict(past["notebook"])
    notebook = execute(jupytext.reads(text, fmt="md"), settings, file.src_uri)
    kept.parent.mkdir(parents=True, exist_ok=True)
    half = kept.with_suffix(".half")
    half.write_text(json.dumps({"key": current, "notebook": notebook}), encoding="utf-8")
    half.replace(kept)
    return notebook


def key(text, settings):
    """A digest of all that decides what a lab puts out."""
    versions = [sys.version, *(f"{name} {version(name)}" for name in NEEDS)]
    run_by = [settings["kernel_name"], settings["allow_errors"], SETUP, figures.STYLE.read_text("utf-8")]
    digest = hashlib.sha256(repr((text, versions, run_by)).encode())
    for path in sorted(LIBRARY.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(repr((str(path.relative_to(LIBRARY)), path.read_bytes())).encode())
    return digest.hexdigest()


def execute(notebook, settings, name):
    """The notebook with its outputs, run as mkdocs-jupyter is configured."""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    wanted = {option: settings[option] for option in ("kernel_name", "allow_errors")}
    try:
        client = NotebookClient(notebook, **wanted, **CLIENT)
        client.execute(env=os.environ | ENVIRONMENT)
    except CellExecutionError as error:
        raise PluginError(f"{name}: {error}") from error
    del notebook.cells[0]
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if output.get("name") == "stderr":
            raise PluginError(f"{name} writes to stderr:\n{output.text}")
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


def download(notebook):
    """The notebook as it is read without the site: figures in the colours of a light page, captions below them."""
    notebook, colours = copy.deepcopy(notebook), _light()
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"  # jupytext gives others each time
        if cell.cell_type == "markdown":
            cell.source = FIGURE.sub(lambda line: f"*{line['caption']}*" if line["caption"] else "", cell.source)
        for output in cell.get("outputs", ()):
            if svg := output.get("data", {}).get("image/svg+xml"):
                output.data["image/svg+xml"] = re.sub(r"#[0-9a-f]{6}\b", lambda m: colours.get(m[0], m[0]), svg)
    return notebook


def _light():
    css = (figures.STYLE.parents[1] / "assets" / "css" / "book.css").read_text("utf-8")
    light = dict(reversed(re.findall(r"(--plot-\w+): (#\w{6});", css)))  # the first of each is the light one
    return {colour: light[variable[4:-1]] for colour, variable in figures.THEME.items()}


def _ipynb(file):
    return Path(file.src_uri).with_suffix(".ipynb").name


def _output(output, name):
    if output.output_type == "stream":
        return output.text.rstrip(), None
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}", None
    svg = output.data.get("image/svg+xml")
    if svg is None and any(kind.startswith("image/") for kind in output.data):
        raise PluginError(f"{name}: a picture that is not SVG")
    return (None, svg) if svg else (output.data.get("text/plain", "").rstrip(), None)
