"""The labs: executed once, kept until something they depend on changes, shown like any other page."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

for needed in ("mkdocs_jupyter", "ipykernel", "matplotlib", "ziamath"):
    pytest.importorskip(needed, reason="running the labs needs the book extra")

import jupytext  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import labs  # noqa: E402

sys.path.pop(0)

LABS = {path.stem: jupytext.read(path) for path in sorted((ROOT / "docs" / "labs").glob("*.md"))}
SETTINGS = {"kernel_name": "python3", "allow_errors": False}
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


def run_lab(*cells):
    return labs.show(labs.execute(notebook(*cells), SETTINGS, "lab.md"), "lab.md", True)


# What a page shows


def test_a_lab_shows_its_outputs_and_its_figures():
    shown = run_lab("print('hello')\n1 + 1", PLOT, "# Seen", SEEN)
    assert "```` { .text .output }\nhello\n````" in shown
    assert "```` { .text .output }\n2\n````" in shown
    assert 'aria-label="A line"' in shown
    assert "stroke: var(--plot-1)" in shown
    assert "set_matplotlib_formats" not in shown


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import numpy as np; np.exp(np.float64(1000))", "overflow"),
        ("import sys; print(1, file=sys.stderr)", "stderr"),
        (PLOT, "without a line"),
    ],
)
def test_what_goes_wrong_in_a_lab_stops_the_build(cell, message):
    with pytest.raises(PluginError, match=message):
        run_lab(cell)


def test_a_lab_that_was_not_run_shows_its_code_alone():
    shown = labs.show(notebook("1 + 1", "# Seen", SEEN), "lab.md", False)
    assert shown.split() == ["````python", "1", "+", "1", "````", "#", "Seen"]


# What is kept


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A lab that counts how often it is executed, and a library that it depends on."""
    library, counter = tmp_path / "library", tmp_path / "count"
    (library / "__pycache__").mkdir(parents=True)
    (library / "ops.py").write_text("one")
    monkeypatch.setattr(labs, "LIBRARY", library)
    source = tmp_path / "lab.md"
    count = f"with open({str(counter)!r}, 'a') as file:\n    file.write('x')"
    file = SimpleNamespace(abs_src_path=str(source), src_uri="labs/lab.md")

    def run(*cells):
        source.write_text(lab(count, *cells))
        return labs.outcome(file, SETTINGS, tmp_path / "cache")

    times = lambda: len(counter.read_text())
    return SimpleNamespace(run=run, times=times, library=library)


def test_an_unchanged_lab_is_executed_once(bench):
    first = bench.run(PLOT, SEEN, "print(1)")
    (bench.library / "__pycache__" / "ops.pyc").write_bytes(b"1")
    again = bench.run(PLOT, SEEN, "print(1)")
    assert bench.times() == 1
    assert again == first
    assert labs.show(again, "lab.md", True) == labs.show(first, "lab.md", True)


def test_a_lab_is_executed_again_when_anything_it_depends_on_has_changed(bench, monkeypatch):
    bench.run("print(1)")
    assert bench.run("print(2)").cells[-1].outputs[0].text == "2\n"
    assert bench.times() == 2
    (bench.library / "ops.py").write_text("two")
    bench.run("print(2)")
    assert bench.times() == 3
    (bench.library / "ops.py").rename(bench.library / "conv.py")
    bench.run("print(2)")
    assert bench.times() == 4
    monkeypatch.setattr(labs, "version", lambda name: "9.9" if name == "numpy" else "1.0")
    bench.run("print(2)")
    assert bench.times() == 5
    bench.run("print(2)")
    assert bench.times() == 5


@pytest.mark.parametrize("cell", ["1 / 0", "import sys; print(1, file=sys.stderr)"])
def test_a_lab_that_failed_is_not_kept(bench, cell):
    for times in (1, 2):
        with pytest.raises(PluginError):
            bench.run(cell)
        assert bench.times() == times


# A site


def build(folder, target, **more):
    hooks = ROOT / "docs" / "hooks"
    (folder / "mkdocs.yml").write_text(
        "site_name: s\n"
        "theme: {name: null, custom_dir: theme}\n"
        "plugins: [{mkdocs-jupyter: {execute: true, allow_errors: false, kernel_name: python3, cache: false}}]\n"
        f"hooks: [{json.dumps(str(hooks / 'labs.py'))}]\n"
    )
    (folder / "theme").mkdir(exist_ok=True)
    (folder / "theme" / "main.html").write_text("{{ page.content }}")
    env = {k: v for k, v in os.environ.items() if k != "NNFUNC_LABS"}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])} | more
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def files(site):
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in (site / "lab").iterdir()}


def test_two_builds_of_a_lab_are_the_same_to_the_byte_executed_or_kept(tmp_path):
    (tmp_path / "docs").mkdir()
    count = "with open('count', 'a') as file:\n    file.write('x')"
    (tmp_path / "docs" / "lab.md").write_text(lab(count, "# Title", PLOT, SEEN))
    (tmp_path / "docs" / "index.md").write_text("[lab](lab.md)")
    built = []
    for number, executed in enumerate([1, 1, 2]):
        if number == 2:
            (tmp_path / ".cache" / "labs" / "lab.json").unlink()
        done = build(tmp_path, tmp_path / f"site{number}", NNFUNC_LABS="1", PYTHONHASHSEED=str(number))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len((tmp_path / "count").read_text()) == executed
        built.append(files(tmp_path / f"site{number}"))
    assert built[0] == built[1] == built[2]
    assert sorted(built[0]) == ["lab/index.html", "lab/lab.ipynb"]
    assert b'aria-label="A line"' in built[0]["lab/index.html"]
    assert b"without running it" not in built[0]["lab/index.html"]

    given = json.loads(built[0]["lab/lab.ipynb"])
    drawn = "".join(given["cells"][2]["outputs"][0]["data"]["image/svg+xml"])
    assert "stroke: #1c6a8c" in drawn, "the first colour of a light page"
    assert "#0a0001" not in drawn
    assert "".join(given["cells"][3]["source"]) == "*It rises.*"


def test_a_lab_is_not_run_unless_asked_for_and_the_page_says_so(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "lab.md").write_text(lab("1 / 0", SEEN))
    assert build(tmp_path, tmp_path / "site").returncode == 0
    page = (tmp_path / "site" / "lab" / "index.html").read_text("utf-8")
    assert "1 / 0" in page
    assert "without running it" in page
    done = build(tmp_path, tmp_path / "site", NNFUNC_LABS="1")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout + done.stderr


# The labs themselves


@pytest.mark.parametrize("name", LABS)
def test_a_lab_imports_nothing_whose_version_is_not_part_of_its_key(name):
    trees = [ast.parse(cell.source) for cell in LABS[name].cells if cell.cell_type == "code"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {module.split(".")[0] for module in imported} - sys.stdlib_module_names
    assert packages - {"nnfunc"} <= set(labs.NEEDS)


@pytest.mark.parametrize("name", LABS)
def test_a_lab_asserts_what_it_says_and_ends_with_things_to_try(name):
    cells = LABS[name].cells
    assert cells[0].source.startswith("# ")
    assert any("assert " in cell.source for cell in cells if cell.cell_type == "code")
    assert "## Things to try\n" in cells[-1].source
