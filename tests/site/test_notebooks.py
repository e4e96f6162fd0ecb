"""The chapters as notebooks: the page's text and code, no leftovers of the site, and run from the first cell on."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

for needed in ("mkdocs", "ipykernel", "matplotlib", "nbclient"):
    pytest.importorskip(needed, reason="the notebooks need the book extra")

import nbformat  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from nbclient import NotebookClient  # noqa: E402

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import executed  # noqa: E402
import notebooks  # noqa: E402

sys.path.pop(0)

CHAPTERS = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "docs" / "book").glob("*.md"))}
LEFTOVER = re.compile(
    r"^[> ]*(?:!!!|\?\?\?|\[\w+: ?[\w.]+\]$)|\{: |\{ ?[.#]\w|</?div|\]\([^)\s]*\.md\b|<!--"
    r"|\+ELLIPSIS|doctest:|>>> |\]\[nnfunc|!\[|# band",
    re.M,
)

# The kernel's client is not ours to keep free of warnings.
pytestmark = pytest.mark.filterwarnings("default")


def read(site, name):
    return nbformat.read(site / "book" / name / f"{name}.ipynb", as_version=4)


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def page(text):
    """The notebook of a page, with the results of its examples."""
    return notebooks.notebook(text, executed.run(text, "page.md"), lambda link: f"../{link.removesuffix('.md')}/")


# The text


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapters_notebook_is_valid_and_has_no_leftovers_of_the_site(site, name):
    notebook = read(site, name)
    nbformat.validate(notebook)
    assert [hit[0] for cell in notebook.cells for hit in LEFTOVER.finditer(cell.source)] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_line_of_a_chapter_is_lost(site, name):
    notebook = read(site, name)
    text, code = ("\n".join(sources(notebook, kind)) for kind in ("markdown", "code"))
    prose = re.split(r"\n\s*\n", executed.PART.sub("", CHAPTERS[name]))
    lines = [
        line.strip() for paragraph in prose if not re.search(r"\]\[|\]\(", paragraph) for line in paragraph.split("\n")
    ]
    plain = [line for line in lines if not re.match(r"<!--|\?\?\?|!!!|\*\*\d|\[source", line)]
    assert [line for line in plain if line not in text] == []
    examples = executed.examples(CHAPTERS[name])
    wanted = [re.sub(r"\s*# doctest:.*", "", e.source) for e in examples if not e.source.endswith("# band\n")]
    assert "".join(wanted).split("\n") == [*(f"{code}\n".split(f"{notebooks.THERE}\n")[-1]).split("\n")]


def test_every_chapter_and_no_other_page_leads_to_its_notebook(site):
    linked = {}
    for path in site.rglob("index.html"):
        for name in re.findall(
            r'</h1>\s*<p class="lab-file"[^>]*><a href="([^"]+)" download>', path.read_text("utf-8")
        ):
            linked[path.parent.name] = name
    assert linked == {name: f"{name}.ipynb" for name in CHAPTERS}


PAGE = """# Title

First, see [there](b.md#c), [here](#two-words), and [affine][nnfunc.ops.affine].

```pycon
>>> import matplotlib.pyplot as plt
>>> def show(x):
...     print(x)
>>> 1 + 1
2
>>> show(3)
3
>>> x = 1 / 8
>>> print(x)    # doctest: +ELLIPSIS
0.1...
>>> assert 0.1 < x < 0.2  # band
>>> x / 0
Traceback (most recent call last):
  ...
ZeroDivisionError: float division by zero

```

<!-- rows: S0-01 -->

## Two words

??? question "What is `x`?"

    A *number*.

??? example "The code of the figure"

    It rises:

    $$x
    = 2$$

    ```pycon
    >>> _ = plt.plot([1, 2])

    ```

![A line](figure "It *rises*.")

**1. One.** Add.

??? success "Answer"

    So:

    ```pycon
    >>> print(2)
    2

    ```

[source: nnfunc.functions.step]
"""


def test_a_page_becomes_cells_of_plain_text_and_of_code_divided_below_each_output():
    notebook = page(PAGE)
    told, code = sources(notebook, "markdown"), sources(notebook, "code")
    assert told[0].startswith("# Title\n\n*A chapter")
    assert told[0].endswith("First, see [there](../b/#c), [here](#Two-words), and affine.")
    assert told[1:4] == [
        "*Your machine may print other digits. Asked for:* `0.1...`, `0.1 < x < 0.2`.",
        "## Two words",
        "<details><summary>What is <code>x</code>?</summary>\n\nA *number*.\n\n</details>",
    ]
    assert told[4].split("\n") == ["> **The code of the figure**", "> ", "> It rises:", "> ", "> $$x = 2$$"]
    assert told[5:9] == ["*It *rises*.*", "#### 1. One\n\nAdd.", "##### Answer", "So:"]
    assert told[9].startswith("`nnfunc.functions.step`:\n\n```python\n@takes")
    head = "import matplotlib.pyplot as plt\ndef show(x):\n    print(x)\n1 + 1"
    assert code == [head, "show(3)", "x = 1 / 8\nprint(x)", "x / 0", "_ = plt.plot([1, 2])", "print(2)"]


def test_the_results_of_a_page_are_the_outputs_of_its_cells():
    found = [cell.outputs for cell in page(PAGE).cells if cell.cell_type == "code"]
    value, call, printed, error, figure, _ = (output for (output,) in found)
    assert value == {
        "output_type": "execute_result",
        "data": {"text/plain": "2"},
        "metadata": {},
        "execution_count": None,
    }
    assert call == {"output_type": "stream", "name": "stdout", "text": "3\n"}
    assert printed.text == "0.125\n"
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "float division by zero")
    assert figure.data["text/plain"] == "A line"
    assert "stroke: #1c6a8c" in figure.data["image/svg+xml"], "the first colour of a light page"
    assert not re.search("var\\(|#0a0001", figure.data["image/svg+xml"])


def test_the_code_of_a_figure_and_an_answer_are_folded_and_an_error_is_allowed():
    said = {cell.source: cell.metadata for cell in page(PAGE).cells if cell.metadata}
    assert said == {
        "x / 0": {"tags": ["raises-exception"]},
        "_ = plt.plot([1, 2])": {"jupyter": {"source_hidden": True}},
        "##### Answer": {"jp-MarkdownHeadingCollapsed": True},
    }


def test_of_a_film_the_first_the_middle_and_the_last_picture_are_kept():
    code = [f'>>> _ = plt.figure(figsize=(2, 1)).suptitle("frame {n}")' for n in range(1, 7)]
    film = ["# T", "```pycon", ">>> import matplotlib.pyplot as plt", *code, "", "```", '![It moves](film "Six.")']
    cell, caption = page("\n".join(film)).cells[1:]
    kept = [re.search(r"frame \d", output.data["image/svg+xml"])[0] for output in cell.outputs]
    assert kept == ["frame 1", "frame 4", "frame 6"]
    assert caption.source == "*Six.*"


def test_a_page_that_reads_files_says_so_and_goes_to_them_first():
    reading = '>>> from pathlib import Path\n>>> text = Path("docs/assets/book.txt").read_text("utf-8")'
    head, there, code = page(f"# T\n\n```pycon\n{reading}\n\n```\n").cells
    assert "files of the repository: `docs/assets/book.txt`." in head.source
    assert there.source == notebooks.THERE
    assert code.source == reading.replace(">>> ", "")


def test_a_page_that_is_still_being_run_has_the_same_cells_without_outputs():
    early = notebooks.notebook(PAGE, None, lambda link: f"../{link.removesuffix('.md')}/")
    done = page(PAGE)
    assert [cell.source for cell in early.cells] == [cell.source for cell in done.cells]
    assert [cell.outputs for cell in early.cells if cell.cell_type == "code"] == [[]] * 6


def test_a_page_with_mistakes_which_a_served_site_shows_has_a_notebook_none_the_less(monkeypatch):
    wrong = "# T\n\n[a](gone.md) [b](#gone)\n\n```pycon\n>>> 1 +\n\n```\n"
    file = SimpleNamespace(src_uri="book/a.md", dest_uri="book/a/index.html", name="a", content_string=wrong)
    served = SimpleNamespace(file=file, canonical_url=None, url="book/a/")
    monkeypatch.setitem(notebooks.pages.results, "book/a.md", PluginError("a.md:6: no"))
    files = SimpleNamespace(get_file_from_path=lambda path: None)
    notebooks.on_page_content("<h1>T</h1>", served, None, files)
    assert served.notebook.cells[0].source.endswith("[a](gone.md) [b](#gone)")
    assert served.notebook.cells[1].source == "1 +"


def test_a_notebook_is_the_same_each_time():
    assert nbformat.writes(page(PAGE)) == nbformat.writes(page(PAGE))


# The code


def texts(notebook):
    """Of each cell that puts out text: (whether it is a value, a print or an error, what it says)."""
    for cell in notebook.cells:
        out = [output for output in cell.get("outputs", ()) if not is_figure(output)]
        assert not [output.text for output in out if output.get("name") == "stderr"]
        kinds = {output.output_type for output in out}
        assert len(kinds) <= 1, cell.source
        if kinds == {"error"}:
            yield "error", f"{out[0].ename}: {out[0].evalue}\n"
        elif out:
            yield kinds.pop(), "".join(output.get("text") or output.data["text/plain"] + "\n" for output in out)


def is_figure(output):
    return any(kind.startswith("image/") for kind in output.get("data", ()))


def drawn(notebook):
    """How many pictures each cell has; of a film's no more than three are kept."""
    return [min(3, sum(map(is_figure, cell.get("outputs", ())))) for cell in notebook.cells]


def run(notebook, folder):
    """The notebook as a reader runs it in a kernel started in this folder."""
    mine = nbformat.from_dict(notebook)
    for cell in mine.cells:
        cell.get("outputs", []).clear()
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    where = {"metadata": {"path": str(folder)}}
    quiet = ["--log-level=ERROR"]  # or each kernel warns of its unencrypted port
    patient = {"timeout": 600, "startup_timeout": 600}
    return NotebookClient(mine, resources=where, extra_arguments=quiet, **patient).execute(env=env)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapters_notebook_runs_anywhere_and_puts_out_what_the_page_shows(site, name, tmp_path):
    given = read(site, name)
    mine = run(given, tmp_path)
    wanted = [example for example in executed.examples(CHAPTERS[name]) if example.want]
    same = executed._checker().check_output
    for outputs in (list(texts(given)), list(texts(mine))):
        assert len(outputs) == len(wanted)
        for (kind, text), example in zip(outputs, wanted, strict=True):
            flags = sum(flag for flag, on in example.options.items() if on)
            assert (kind == "error") == bool(example.exc_msg)
            assert same(example.exc_msg or example.want, text, flags), (example.source, text)
    assert [kind for kind, _ in texts(given)] == [kind for kind, _ in texts(mine)]
    assert drawn(given) == drawn(mine)
