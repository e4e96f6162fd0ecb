"""The labs: executed by a script, their outputs kept with a hash of their text, shown like any other page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("mkdocs_jupyter", "ipykernel", "matplotlib", "ziamath"):
    pytest.importorskip(needed, reason="running the labs needs the book extra")

import jupytext  # noqa: E402
import nbformat  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "docs" / "labs"), str(ROOT / "docs" / "hooks")]
import execute  # noqa: E402
import labs  # noqa: E402

del sys.path[:2]

PATHS = sorted((ROOT / "docs" / "labs").glob("*.md"))
LABS = {path.stem: jupytext.read(path) for path in PATHS}
HEAD = """---
jupyter:
  kernelspec:
    display_name: Python 3
    language: python
    name: python3
---

"""
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
SEEN = '![A line](figure "It rises.")'

# The kernel's client is not ours to keep free of warnings.
pytestmark = pytest.mark.filterwarnings("default")


def lab(*cells):
    """The text of a lab: code, but for what begins with a # or a figure line."""
    return HEAD + "\n\n".join(c if c[0] in "#!" else f"```python\n{c}\n```" for c in cells) + "\n"


def notebook(*cells):
    return jupytext.reads(lab(*cells), fmt="md")


def show(*cells):
    return labs.show(notebook(*cells), execute.execute(lab(*cells), "lab"), "lab.md")


# What a page shows


def test_a_lab_shows_its_outputs_and_its_figures():
    shown = show("print('hello')\n1 + 1", PLOT, "# Seen", SEEN)
    assert "```` { .text .output }\nhello\n````" in shown
    assert "```` { .text .output }\n2\n````" in shown
    assert 'aria-label="A line"' in shown
    assert "stroke: var(--plot-1)" in shown
    assert "set_matplotlib_formats" not in shown


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("assert 1 > 2", "AssertionError"),
        ("import numpy as np; np.exp(np.float64(1000))", "overflow"),
        ("import sys; print(1, file=sys.stderr)", "stderr"),
    ],
)
def test_what_goes_wrong_in_a_lab_is_an_error(cell, message):
    with pytest.raises(execute.LabError, match=message):
        execute.execute(lab(cell), "lab")


def test_a_figure_of_a_lab_and_its_line_need_each_other():
    with pytest.raises(PluginError, match="without a line"):
        show(PLOT)
    with pytest.raises(PluginError, match="figure 1: no figure was drawn"):
        show("1", "# Seen", SEEN)


def test_a_lab_without_outputs_shows_its_code_alone():
    shown = labs.show(notebook("1 + 1", "# Seen", SEEN), None, "lab.md")
    assert shown.split() == ["````python", "1", "+", "1", "````", "#", "Seen"]


def test_the_notebook_is_whole_without_the_site():
    cells = ["print('hello')\n1 + 1", PLOT, SEEN]
    given = labs.download(notebook(*cells), execute.execute(lab(*cells), "lab"))
    nbformat.validate(given)
    assert [cell.id for cell in given.cells] == ["cell-0", "cell-1", "cell-2"]
    assert [output.output_type for output in given.cells[0].outputs] == ["stream", "execute_result"]
    drawn = given.cells[1].outputs[-1].data["image/svg+xml"]
    assert "stroke: #1c6a8c" in drawn, "the first colour of a light page"
    assert "var(" not in drawn
    assert given.cells[2].source == "*It rises.*"


# What is kept


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of labs that the script takes for its own."""
    monkeypatch.setattr(execute, "HERE", tmp_path)
    return tmp_path


def test_outputs_are_kept_for_the_text_that_made_them(folder, capsys):
    path = folder / "one.md"
    path.write_text(lab("print(1)"))
    assert execute.main(["--check"]) == 1
    assert "another text" in capsys.readouterr().out
    assert execute.main([]) == 0
    assert labs.kept(path, path.read_text()) == [[{"stream": "1"}]]
    assert execute.main(["--check"]) == 0
    path.write_text(lab("print(2)"))
    assert labs.kept(path, path.read_text()) is None
    assert execute.main(["one", "--check"]) == 1


def test_a_lab_that_fails_is_told_of_and_the_others_are_kept(folder, capsys):
    (folder / "bad.md").write_text(lab("assert 1 > 2"))
    (folder / "good.md").write_text(lab("1 + 1"))
    assert execute.main([]) == 1
    assert "bad: An error occurred" in capsys.readouterr().out
    assert [path.name for path in (folder / "results").iterdir()] == ["good.json"]


def test_a_site_shows_what_is_kept_and_stops_at_a_lab_of_another_text(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: s\ntheme: {name: null, custom_dir: theme}\nplugins: [mkdocs-jupyter]\nexclude_docs: results/\n"
        f"hooks: [{json.dumps(str(ROOT / 'docs' / 'hooks' / 'labs.py'))}]\n"
    )
    (tmp_path / "theme").mkdir()
    (tmp_path / "theme" / "main.html").write_text("{{ page.content }}")
    text = lab("print('hello')", PLOT, SEEN)
    (docs / "lab.md").write_text(text)
    labs.place(docs / "lab.md").parent.mkdir()
    cells = execute.execute(text, "lab")
    labs.place(docs / "lab.md").write_text(json.dumps({"stamp": labs.stamp(text), "cells": cells}))

    def build():
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = build()
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "lab" / "index.html").read_text("utf-8")
    assert "hello" in page
    assert 'aria-label="A line"' in page
    assert sorted(path.name for path in (tmp_path / "site" / "lab").iterdir()) == ["index.html", "lab.ipynb"]
    (docs / "lab.md").write_text(text + "\nMore.\n")
    done = build()
    assert done.returncode == 1
    assert "lab.md: no outputs of this text are kept" in done.stdout + done.stderr


# The labs themselves


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_outputs_that_are_kept_of_a_lab_are_of_its_text(path):
    cells = labs.kept(path, path.read_text("utf-8"))
    assert len(cells) == sum(cell.cell_type == "code" for cell in LABS[path.stem].cells)


def test_all_that_is_kept_is_less_than_a_megabyte_and_a_half():
    assert sum(labs.place(path).stat().st_size for path in PATHS) < 1_500_000


@pytest.mark.parametrize("name", LABS)
def test_a_lab_asserts_what_it_says_and_ends_with_things_to_try(name):
    cells = LABS[name].cells
    assert cells[0].source.startswith("# ")
    assert any("assert " in cell.source for cell in cells if cell.cell_type == "code")
    assert "## Things to try\n" in cells[-1].source
