"""The hooks of the build: what they show, and what stops the build."""

import io
import os
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs", reason="the site's hooks need the book extra")
for needed in ("math_core", "matplotlib", "ziamath"):
    pytest.importorskip(needed, reason="the site's hooks need the book extra")

from mkdocs.exceptions import PluginError  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "hooks"))
import again  # noqa: E402
import examples  # noqa: E402
import executed  # noqa: E402
import figures  # noqa: E402
import formulas  # noqa: E402
import listings  # noqa: E402
import pages  # noqa: E402
import slim  # noqa: E402
import sources  # noqa: E402
import tables  # noqa: E402
import taught  # noqa: E402

sys.path.pop(0)

PLOT = (
    "```pycon\n>>> from matplotlib import pyplot as plt\n>>> fig, ax = plt.subplots()\n>>> _ = ax.plot([1, 2])\n\n```\n"
)


def block(*lines):
    return "\n".join(["```pycon", *lines, "", "```", ""])


def page(text, name="book/page.md"):
    return SimpleNamespace(file=SimpleNamespace(src_uri=name, content_string=text))


# Examples


def run(text, name):
    """The page as it is shown, run here and now."""
    return examples.show(text, executed.run(text, name), name)


def test_a_right_page_is_shown_without_what_only_doctest_needs():
    shown = run(
        block(">>> [1,  2]  # doctest: +NORMALIZE_WHITESPACE", "[1,    2]", ">>> print()", "<BLANKLINE>"), "p.md"
    )
    assert shown == "```pycon\n>>> [1,  2]\n[1,    2]\n>>> print()\n```\n"


def test_the_blocks_of_a_page_share_their_names_and_pages_do_not():
    run(block(">>> a = 1") + "text\n" + block(">>> a", "1"), "p.md")
    with pytest.raises(PluginError, match="NameError"):
        run(block(">>> a", "1"), "p.md")


@pytest.fixture
def started(tmp_path, monkeypatch):
    """start(text) runs a page as the build does, in a process of its own; its hook then shows it."""
    config = SimpleNamespace(config_file_path=str(tmp_path / "mkdocs.yml"))

    def start(text):
        here = page(text)
        return here, list(pages.start([here], config))

    yield start
    pages.results.clear()


@pytest.mark.parametrize("needed", ["doctest", "no_such_package"])
def test_a_page_is_shown_without_being_run_where_what_it_needs_is_missing(started, needed):
    body = "# T\n\n" + block(">>> 1 + 1  # doctest: +ELLIPSIS", "2", ">>> 1 + 1", "3")
    here, ran = started(f"---\nneeds: {needed}\n---\n\n{body}")
    if needed == "doctest":
        with pytest.raises(PluginError, match="Got:\n    2"):
            examples.on_page_markdown(body, here, None, None)
    else:
        shown = examples.on_page_markdown(body, here, None, None)
        assert ran == []
        assert shown == "# T\n\n```pycon\n>>> 1 + 1\n2\n>>> 1 + 1\n3\n```\n"


def test_a_wrong_output_stops_the_build_with_page_and_line(started):
    here, _ = started("---\ntitle: T\n---\n\n# T\n\n" + block(">>> 1 + 1", "2", ">>> 1 + 1", "3"))
    with pytest.raises(PluginError, match=r'File "book/page.md", line 10'):
        examples.on_page_markdown(here.file.content_string, here, None, None)


def test_a_page_is_run_once_and_again_when_what_it_depends_on_has_changed(started, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    named = tmp_path / "docs" / "numbers.csv"
    named.write_text("1")
    monkeypatch.chdir(tmp_path)
    text = block('>>> text = open("docs/numbers.csv")', ">>> text.close()", ">>> 1 + 1", "2")
    here, ran = started(text)
    first = pages.results["book/page.md"]
    assert ran == [here]
    assert started(text)[1] == []
    assert pages.results["book/page.md"] == first
    assert len(started(text + "More.\n")[1]) == 1
    named.write_text("2")
    assert len(started(text + "More.\n")[1]) == 1
    library = tmp_path / "nnfunc"
    (library / "__pycache__").mkdir(parents=True)
    (library / "ops.py").write_text("one")
    monkeypatch.setattr(executed, "LIBRARY", library)
    assert len(started(text)[1]) == 1
    (library / "__pycache__" / "ops.pyc").write_text("one")
    assert started(text)[1] == []
    (library / "ops.py").rename(library / "conv.py")
    assert len(started(text)[1]) == 1
    for name, runs in (("numpy", 1), ("MkDocs_Material", 1), ("of-no-use", 1), ("nor-this", 0)):
        monkeypatch.setattr(executed, "distributions", lambda name=name: [SimpleNamespace(name=name, version="9.9")])
        assert len(started(text)[1]) == runs, name


def test_pages_alone_are_built_again_only_if_they_were_saved_and_nothing_came_or_went(tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    docs.mkdir()
    one, two, style = docs / "one.md", docs / "two.md", docs / "a.css"
    for path in (tmp_path / "mkdocs.yml", one, two, style):
        path.write_text("1")
    files = [SimpleNamespace(abs_src_path=str(path), page=path.name) for path in (one, two)]
    config = SimpleNamespace(config_file_path=str(tmp_path / "mkdocs.yml"), docs_dir=str(docs), watch=[])
    monkeypatch.setattr(again, "last", {})
    again.remember(None, None, config, SimpleNamespace(documentation_pages=lambda: files))

    def saved(path, time):
        os.utime(path, (time, time))
        return again._saved()

    assert saved(one, 1) == ["one.md"]
    assert saved(style, 2) == []
    assert saved(two, 3) == ["two.md"]
    one.unlink()
    assert again._saved() == [], "a page that is gone cannot be read"
    one.write_text("1")
    assert again._saved() == []


def test_a_wrong_page_is_not_kept(started):
    for _ in range(2):
        assert len(started(block(">>> 1 + 1", "3"))[1]) == 1
        assert isinstance(pages.results["book/page.md"], PluginError)


def test_a_page_that_is_being_run_is_shown_as_it_is_written_and_asks_for_itself():
    text = PLOT + block(">>> 1 / 3  # doctest: +ELLIPSIS", "0.3...") + '\n![A line](figure "It rises.")\n'
    here = page(text)
    pages.results[here.file.src_uri] = None
    shown = examples.on_page_markdown(text, here, None, None)
    assert "0.3..." in shown
    assert "It rises." in shown
    assert '<meta http-equiv="refresh"' in examples.on_post_page("<head></head>", here, None)
    pages.results[here.file.src_uri] = executed.run(text, "p.md")
    examples.on_page_markdown(text, here, None, None)
    assert examples.on_post_page("<head></head>", here, None) == "<head></head>"
    pages.results.clear()


def test_no_flag_is_global():
    with pytest.raises(PluginError):
        run(block(">>> 0.123456", "0.12..."), "p.md")
    with pytest.raises(PluginError):
        run(block(">>> 'a'", "u'a'"), "p.md")


def test_a_number_that_varies_is_shown_as_it_came_with_its_band_below():
    lines = ">>> x = 1 / 3", ">>> print('a', x)  # doctest: +ELLIPSIS", "a 0.3...", ">>> assert 0.3 < x < 0.4  # band"
    shown = run(block(*lines), "p.md")
    code = """```pycon hl_lines="3"\n>>> x = 1 / 3\n>>> print('a', x)\na 0.3333333333333333\n```\n"""
    assert shown.startswith(code)
    assert shown.removeprefix(code).strip() == f"{examples.NOTE} `a 0.3...`, `0.3 < x < 0.4`.\n{{: .band }}"
    several = [">>> for k in (3, 9):  # doctest: +ELLIPSIS", "...     print(k, 1 / k)", "...     print(k)"]
    shown = run(block(*several, "3 0.33...", "3", "9 0.11...", "9"), "p.md")
    assert 'hl_lines="4 6"' in shown
    assert "9 0.1111111111111111\n9\n```" in shown


def test_a_number_outside_its_band_stops_the_build():
    for wrong in ([">>> 1 / 3  # doctest: +ELLIPSIS", "0.4..."], [">>> x = 1 / 3", ">>> assert x > 0.4  # band"]):
        with pytest.raises(PluginError, match=r"p\.md"):
            run(block(*wrong), "p.md")


def test_an_error_may_come_out_of_a_function_of_an_earlier_block():
    earlier = block(
        ">>> def fails():", "...     raise ValueError('no')", ">>> 1", "1", ">>> def calls():", "...     fails()"
    )
    lines = ">>> calls()", "Traceback (most recent call last):", "  ...", "ValueError: no"
    assert "ValueError: no" in run(earlier + block(*lines), "p.md")


def test_a_message_that_is_cut_stays_cut():
    lines = ">>> [][1]  # doctest: +ELLIPSIS", "Traceback (most recent call last):", "  ...", "IndexError: list..."
    assert "IndexError: list...\n```\n" in run(block(*lines), "p.md")


def test_the_unicode_directive_is_known():
    assert "u'W1'\n```" in run(block(">>> 'W1'  # doctest: +IGNORE_UNICODE", "u'W1'"), "p.md")


def test_a_warning_stops_the_build_whatever_else_is_done_with_warnings():
    with warnings.catch_warnings(action="ignore"), pytest.raises(PluginError, match="overflow"):
        run(block(">>> import numpy as np", ">>> _ = np.exp(np.float64(1000))"), "p.md")


def test_settings_hold_for_the_rest_of_the_page_only():
    change = block(">>> import numpy as np", ">>> np.set_printoptions(precision=2)")
    run(change + block(">>> np.array([1.23456])", "array([1.23])"), "p.md")
    run(block(">>> import numpy as np", ">>> np.array([1.23456])", "array([1.23456])"), "p.md")


def test_an_example_outside_a_fence_is_refused():
    with pytest.raises(PluginError, match="outside a fenced block"):
        run(block(">>> 1", "1") + "\n>>> 2\n2\n", "p.md")


# Figures


def test_a_figure_is_drawn_where_its_line_stands():
    closed = "??? note\n\n" + "".join(f"    {line}\n" for line in PLOT.splitlines())
    shown = run(closed + '\nBelow:\n\n![A rising line](figure "It *rises*.")\n', "p.md")
    assert "\n<figure" in shown[shown.index("Below:") :]
    assert 'role="img" aria-label="A rising line"' in shown
    assert '<figcaption markdown="span">It *rises*.</figcaption>' in shown


def test_the_code_of_a_figure_stands_below_it():
    box = '??? example "The code of the figure"\n\n    ```pycon\n    >>> _ = plt.plot([1, 2])\n\n    ```\n\n'
    line = '![a line](figure "A caption")\n'
    start = "```pycon\n>>> from matplotlib import pyplot as plt\n\n```\n\n"
    shown = run(f"{start}{box}{line}\nText\n\n{box}Text\n\n{line}", "page.md")
    at = [shown.index(part) for part in ("<figcaption", "</figure>", '??? example drawing "The', "plt.plot", "Text\n")]
    assert at == sorted(at)
    assert shown.count("example drawing") == 1, "only where the figure follows at once"
    assert shown.rindex("??? example ") < shown.rindex("<figure")


def test_the_drawings_of_the_library_take_the_pages_colours():
    code = ">>> import nnfunc as nn\n>>> net = nn.draw.neurons_svg(nn.init_mlp(0, (2, 3, 1)))"
    shown = run(f"```pycon\n{code}\n\n```\n\n![a](figure:net)\n", "page.md")
    fills = set(re.findall(r'<circle[^>]* fill="([^"]*)"', shown))
    assert fills == {"var(--plot-1)", "var(--plot-3)", "var(--plot-6)"}


def test_two_figures_are_drawn_in_the_order_of_their_lines():
    two = PLOT.replace("_ = ax.plot([1, 2])", "_ = ax.set_title('first')") + PLOT.replace(
        "_ = ax.plot([1, 2])", "_ = ax.set_title('second')"
    )
    shown = run(two + "\n![One](figure)\n\n![Two](figure)\n", "p.md")
    assert shown.index("One") < shown.index("first<") < shown.index("Two") < shown.index("second<")


def test_a_figure_can_be_svg_text_that_an_example_has_bound_to_a_name():
    drawn = block(">>> import nnfunc as nn", ">>> net = nn.draw.neurons_svg(nn.init_mlp(0, (2, 3, 2)))")
    shown = run(drawn + PLOT + '\n![Seven <circles>](figure:net "It stands.")\n\n![A line](figure)\n', "p.md")
    svg = shown[shown.index("<svg") : shown.index("</svg>")]
    assert svg.count("<circle") == 7
    assert 'role="img" aria-label="Seven &lt;circles&gt;"' in svg
    assert "\n" not in svg, "a blank line would end the HTML block"
    assert "plot-1" in shown[shown.index('aria-label="A line"') :], "the drawing took no other figure's place"
    with pytest.raises(PluginError, match=r"p\.md:7: the examples above bind no nat"):
        run(drawn + "\n![A](figure:nat)\n", "p.md")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLOT, "1 figure.s. without a line"),
        (PLOT + "\n![ ](figure)\n", "p.md, figure 1: a figure needs its alternative text"),
        (block(">>> 1", "1") + "\n![A](figure)\n", "p.md, figure 1: no figure was drawn"),
        (PLOT + "\n![A](figure)\n\n![A](figure)\n", "p.md, figure 2: no figure was drawn"),
    ],
)
def test_a_figure_and_its_line_need_each_other(text, message):
    with pytest.raises(PluginError, match=message):
        run(text, "p.md")


def test_figures_are_the_same_each_time_and_take_the_pages_colours():
    text = PLOT + "\n![A](figure)\n" + PLOT + "\n![B](figure)\n"
    first, second = run(text, "p.md"), run(text, "p.md")
    assert first == second
    assert "stroke: var(--plot-1)" in first
    assert "stroke: var(--plot-ink)" in first
    assert "DejaVu" not in first
    assert "#010203" not in first
    assert "#0a000" not in first
    ids = [part.split('"')[0] for part in first.split(' id="')[1:]]
    assert ids
    assert len(ids) == len(set(ids))


def test_an_alternative_text_is_escaped_and_tick_labels_keep_their_digits():
    drawn = PLOT.replace("_ = ax.plot([1, 2])", "_ = ax.set_title('0.123456')")
    shown = run(drawn + '\n![x < "y" & z](figure)\n', "p.md")
    assert 'aria-label="x &lt; &quot;y&quot; &amp; z"' in shown
    assert "0.123456<" in shown


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("M 1.23456 2 L 3 4 L 5.004 6 z", "M1.23 2 3 4 5 6z"),
        ("M 0 3 C 0.79559 3 1.5 2 2 1 C 3 3 3 3 3 3 L 9 9", "M0 3C0.8 3 1.5 2 2 1 3 3 3 3 3 3L9 9"),
        ("M 1 1 M 2 2 L -0.001 3", "M1 1M2 2 0 3"),
        ("M 1.16 2 " + "L 3.14 4 " * 99, "M1.2 2l1.9 2" + " 0 0" * 98),
        ("M 100.3 200.4 L 100.1 201 L 99 200.96 z M 5 5 L 6 7", "M100.3 200.4l-.2.6-1.1-.04zM5 5l1 2"),
    ],
)
def test_path_data_keeps_its_meaning_with_fewer_characters(long, short):
    assert slim.path(long) == short


def test_slim_svg_shares_what_all_members_of_a_group_have_and_keeps_what_is_referred_to():
    member = '<path d="M 1 1 L 2 2" style="stroke: red"/>'
    look = '<g style="stroke: red"><path d="M1 1 2 2"/><path d="M1 1 2 2"/></g>'
    assert slim.slim(f'<svg><g id="a"><g id="b"> {member} {member} </g></g></svg>') == f"<svg>{look}</svg>"
    other = member.replace("red", "blue")
    assert slim.slim(f"<g>{member}{other}</g>") == (member + other).replace("M 1 1 L 2 2", "M1 1 2 2")
    faint = member.replace("red", "red; opacity: 0.5")
    assert slim.slim(f"<g>{faint}{faint}</g>").count("opacity") == 2
    marks = '<g clip-path="c"><use x="1" style="fill: red"/><use x="2" style="fill: red"/></g>'
    assert slim.slim(marks) == '<g clip-path="c" style="fill: red"><use x="1"/><use x="2"/></g>'
    for kept in (marks.replace("red", "blue", 1), marks.replace("fill", "opacity: 0.5; fill")):
        assert slim.slim(kept) == kept
    named = '<defs><path id="m" d="M 0 0" style="fill: red"/></defs><use xlink:href="#m" x="1" style="fill: red"/>'
    assert slim.slim(named) == named.replace('x="1" style="fill: red"', 'x="1"').replace("M 0 0", "M0 0")
    assert slim.slim('<g clip-path="url(#c)" id="x"><g><text id="t">a</text></g></g>') == (
        '<g clip-path="url(#c)"><text>a</text></g>'
    )


def test_every_colour_of_the_style_has_its_place_in_the_style_sheet():
    css = (figures.STYLE.parents[1] / "assets" / "css" / "book.css").read_text("utf-8")
    for variable in set(figures.THEME.values()):
        name = variable.removeprefix("var(").removesuffix(")")
        assert css.count(f"{name}:") == 2, f"{name}: once for light, once for dark"


# Listings


def test_outputs_are_marked_and_code_is_not():
    code = '<span class="gp">&gt;&gt;&gt; </span>print(a,\n<span class="gp">... </span>      b)\n'
    output = '<span class="go">1</span>\n\n<span class="gr">ValueError</span>: 2\n'
    html = f"<pre><code>{code}{output}{code}</code></pre>"
    shown = f'<pre><code>{code}<span class="out">{output}</span>{code}</code></pre>'
    assert listings.on_page_content(html, page(""), None, None) == shown


def test_a_long_line_has_a_box_that_knows_where_its_code_begins():
    prompt, deep = '<span class="gp">... </span>', "    total = total + price_of_one * number"
    output, marked = f"{'9' * 39}\n", f'<span class="hll">{"8" * 39}\n</span>'
    shown = listings.mark(f"{prompt}{deep}\n{prompt}short\n{output}{marked}x\n")
    assert re.findall(r'<span class="line" style="--begin:(\d+)">(.*?)\n</span>', shown) == [
        ("8", prompt + deep),
        ("0", "9" * 39),
        ("0", "8" * 39),
    ]
    assert re.sub("<[^>]*>", "", shown) == f"... {deep}\n... short\n{output}{'8' * 39}\nx\n"
    assert f"{prompt}short\n" in shown
    assert re.search(r'<span class="hll"><span class="line"[^>]*>8*\n</span></span>x\n</span>$', shown)


def test_only_a_long_block_may_be_divided_on_paper():
    def shown(lines):
        html = "<pre><span></span><code>" + "x\n" * lines + "</code></pre>"
        return listings.on_page_content(html, page(""), None, None)

    assert shown(8).startswith("<pre><span></span><code>x\n")
    assert shown(9).startswith('<pre class="long"><span></span><code>x\n')


def test_a_line_without_a_prompt_begins_with_its_code():
    (begin,) = re.findall(r"--begin:(\d+)", listings.mark(f"short\n  {'x' * 40}\n"))
    assert begin == "2"


def test_tags_for_the_colour_of_the_block_itself_are_left_out():
    html = '<code><span class="n">a</span><span class="o">&gt;</span><span class="mi">1</span></code>'
    assert listings.on_page_content(html, page(""), None, None) == '<code>a&gt;<span class="mi">1</span></code>'


def test_other_blocks_are_left_alone():
    html = "<pre><code>a</code></pre><p>x</p><code>b</code>"
    assert listings.on_page_content(html, page(""), None, None) == html


# Tables


def table(*rows):
    head, *lines = (f"<tr>{''.join(f'<t{tag}>{cell}</t{tag}>' for cell in row)}</tr>\n" for tag, *row in rows)
    return f"<table>\n<thead>\n{head}</thead>\n{''.join(lines)}</table>"


def laid_out(html):
    return tables.on_page_content(html, page(""), None, None)


def test_a_table_that_a_phone_has_room_for_is_left_alone():
    html = table(["h", "input", "answer"], ["d", "many short words in a long cell", "0"])
    assert laid_out(html) == html


def test_the_rows_of_a_table_too_wide_for_a_phone_name_their_columns():
    html = table(
        ["h", "", "A&amp;B <b>c</b>", "honorificabilitudinitatibus"],
        ["d", "first", "0.5", "honorificabilitudinitatibus"],
    )
    cells = '<td>first</td><td data-head="A&amp;B c">0.5</td><td data-head="honorificabilitudinitatibus">'
    assert laid_out(html).startswith("<table data-stack>")
    assert cells in laid_out(html)
    assert f'<div class="rows">{html}'.replace("<th></th>", "<td></td>") == laid_out(f'<div class="rows">{html}')


def test_a_head_without_text_is_no_head():
    assert laid_out(table(["h", "", "x"])) == "<table>\n<thead>\n<tr><td></td><th>x</th></tr>\n</thead>\n</table>"


def test_a_head_that_is_a_formula_is_said_in_words_too():
    formula = "<math><mi>a</mi><mo>&lt;</mo></math>"
    html = laid_out(table(["h", formula, f"{formula} m"], ["d", formula, "1"]))
    said = formula.replace("<math>", '<math aria-label="a&lt;">')
    assert f"<th>{said}</th><th>{formula} m</th>" in html
    assert f"<td>{formula}</td>" in html


def test_names_can_be_broken_and_numbers_and_formulas_cannot():
    html = laid_out(table(["d", '<a href="a_b">nn.ops.log_softmax</a>', "0.25", "<math><mi>a_b</mi></math>", "f(x)"]))
    assert '<a href="a_b">nn.<wbr>ops.<wbr>log_<wbr>softmax</a>' in html
    assert "<td>0.25</td><td><math><mi>a_b</mi></math></td><td>f(<wbr>x)</td>" in html
    assert tables.longest("<code>a_<wbr>bc</code> d") == 2
    assert tables.longest("<math><mi>x</mi> <mo>=</mo> <mi>y</mi></math> d") == 3


# Sources

MODULE = '''
"""A module."""
from functools import wraps
from typing import NamedTuple
from os.path import join

def lift(rule):
    """Not the inner one."""
    def inner(x):
        return rule(x)
    return inner

@lift
def twice(x):
    """Twice.

    With a doctest that holds a string: \\'\\'\\'x\\'\\'\\'.
    """

    # Because two is enough.
    return 2 * x

class Mode(NamedTuple):
    """How."""

    stats: dict = {}

def empty():
    """Nothing."""

alias = lift(len)
annotated: int = 3

def typed(
    f: dict[str, int], *xs: int, h: float = 1e-4,
    **ns: "list[str]",
) -> dict[str, int]:
    """Drop."""

    # Δ before a hint: the columns of a tree are bytes.
    "Δ"; kept: dict[str, int] = {"a": 0x10}

    def inner(y: int | None = None, /, *, dx: bool = True) -> int:
        return y  # y: int = 3 -> int
    return kept

def long(
    first_of_many_parameters: int, second_of_many_parameters: int, third_of_many_parameters: int = 3
) -> int:
    return 0

def noted(
    x: int,  # why
) -> int:
    return x
'''

TYPED = """\
def typed(f, *xs, h=1e-4, **ns):
    # Δ before a hint: the columns of a tree are bytes.
    "Δ"; kept = {"a": 0x10}

    def inner(y=None, /, *, dx=True):
        return y  # y: int = 3 -> int
    return kept"""
LONG = """\
def long(
    first_of_many_parameters, second_of_many_parameters, third_of_many_parameters=3
):
    return 0"""


@pytest.fixture
def sample(tmp_path, monkeypatch):
    (tmp_path / "sample_of_sources.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "sample_of_sources"
    sys.modules.pop("sample_of_sources", None)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("twice", "@lift\ndef twice(x):\n    # Because two is enough.\n    return 2 * x"),
        ("Mode", "class Mode(NamedTuple):\n    stats: dict = {}"),
        ("empty", "def empty():\n    ..."),
        ("alias", "alias = lift(len)"),
        ("annotated", "annotated: int = 3"),
        ("typed", TYPED),
        ("long", LONG),
        ("noted", "def noted(\n    x,  # why\n):\n    return x"),
        ("lift", "def lift(rule):\n    def inner(x):\n        return rule(x)\n    return inner"),
    ],
)
def test_source_is_the_statement_without_its_docstring_and_annotations(sample, name, code):
    assert sources.source(f"{sample}.{name}") == code


def test_a_source_line_becomes_a_listing_that_leads_to_the_reference(sample):
    shown = sources.on_page_markdown(f"Text\n\n    [source: {sample}.alias]\n", page(""), None, None)
    assert f"    [`{sample}.alias`][{sample}.alias]" in shown.replace('<p class="source-name" markdown="span">', "")
    assert "    ```python\n    alias = lift(len)\n    ```\n" in shown
    assert "not a [source: x.y] line" in sources.on_page_markdown("not a [source: x.y] line", page(""), None, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "does not define nothing"), ("join", "does not define join, posixpath|ntpath does")],
)
def test_a_name_the_module_does_not_define_stops_the_build(sample, name, message):
    with pytest.raises(PluginError, match=message):
        sources.on_page_markdown(f"[source: {sample}.{name}]", page(""), None, None)


@pytest.mark.parametrize("name", ["no_such_module.f", "affine"])
def test_a_module_that_is_not_there_stops_the_build(name):
    with pytest.raises(PluginError, match=rf"book/page.md: \[source: {name}\]"):
        sources.on_page_markdown(f"[source: {name}]", page(""), None, None)


PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
PRINTED = {match["name"]: page for page, text in PAGES.items() for match in sources.LINE.finditer(text)}


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_listing_fits_on_its_page(name):
    lines = sources.source(name).splitlines()
    assert [line for line in lines if len(line) > sources.WIDTH] == [], f"{name}, in docs/{PRINTED[name]}"


# Where a name is taught

CHAPTER = """
<h1 id="five">Five</h1><p><a class="r" href="../../reference/ops/#nnfunc.ops.mul">mul</a>,
<a href="../../reference/ops/#nnfunc.ops.add">add</a></p>
<h2 id="graph">A <em>graph</em><a class="headerlink" href="#graph">x</a></h2>
<p><a href="../../reference/ops/#nnfunc.ops.add">add</a></p>
<p class="source-name"><a class="r" href="../../reference/ops/#nnfunc.ops.mul"><code>mul</code></a></p>
"""
ENTRIES = "".join(
    f'<h2 id="nnfunc.ops.{name}" class="doc doc-heading">x</h2><pre>x</pre><div class="doc doc-contents ">{name}</div>'
    for name in ("mul", "add", "sub")
)


def test_a_name_is_taught_where_its_source_is_printed_or_else_where_it_is_first_linked():
    assert taught.sections(CHAPTER) == {
        "nnfunc.ops.mul": ("graph", "A <em>graph</em>"),
        "nnfunc.ops.add": ("", ""),
    }


def test_an_entry_of_the_reference_links_back_to_chapters_and_guides_only():
    pages = [
        SimpleNamespace(file=SimpleNamespace(src_uri=f"{url}.md"), url=f"{url}/", title=title, content=content)
        for url, title, content in [
            ("about/page", "No chapter", CHAPTER),
            ("book/five", "5. Five", CHAPTER),
            ("guides/own", "Own", CHAPTER.replace("ops.add", "ops.mul")),
            ("reference/ops", "Ops", ENTRIES),
        ]
    ]
    taught.on_env(None, None, SimpleNamespace(documentation_pages=lambda: [SimpleNamespace(page=p) for p in pages]))
    mul, add, sub = pages[-1].content.split("<h2 ")[1:]
    assert re.findall(r"<a (.*?)</a>", mul) == [
        'href="../../book/five/#graph">5. Five: A <em>graph</em>',
        'href="../../guides/own/#graph">Own: A <em>graph</em>',
    ]
    assert re.findall(r"<a (.*?)</a>", add) == ['href="../../book/five/">5. Five']
    assert "In the book" not in sub


# Formulas


def test_formulas_become_mathml():
    inline = formulas.on_page_content(r'<p>so <span class="arithmatex">\(x &lt; 1\)</span>.</p>', page(""), None, None)
    assert inline.startswith('<p>so <span class="unbroken"><math><mi>x</mi>')
    assert "&lt;" in inline
    assert inline.endswith("</math>.</span></p>")
    shown = formulas.on_page_content(r'<div class="arithmatex">\[\frac{1}{N}\]</div>', page(""), None, None)
    assert shown.startswith('<div class="formula"><math display="block"><mfrac><mn>1</mn><mi>N</mi></mfrac>')


def test_formulas_side_by_side_can_stand_below_each_other_and_a_line_of_the_source_goes_on():
    shown = formulas.convert(
        r"""a = \sqrt{1 \quad 2} = {3
        } , \qquad \begin{cases} 4 \quad
        5 \end{cases}
        = 6 \quad
        7""",
        True,
        "p.md",
    )
    pieces = re.findall(r"<math([^>]*)>(.*?)</math>", shown)
    assert [look for look, _ in pieces] == [' display="block"'] * 2 + [
        ' class="on" display="block"',
        ' display="block"',
    ]
    assert [re.sub(r"<[^>]*>|[\s\u2063]", "", text) for _, text in pieces] == ["a=12=3,", "{45", "=6", "7"]


def test_a_prime_is_not_raised_twice():
    shown = formulas.convert("f'(x)^2", False, "p.md")
    assert '<mrow><mi>f</mi><mo lspace="0" rspace="0">′</mo></mrow>' in shown
    assert shown.count("<msup>") == 1


def test_a_formula_that_cannot_be_converted_stops_the_build():
    with pytest.raises(PluginError, match=r"book/page.md: cannot convert the formula \\frac\{1"):
        formulas.on_page_content(r'<span class="arithmatex">\(\frac{1\)</span>', page(""), None, None)


def test_the_font_holds_the_glyphs_used_their_italics_and_the_means_to_stretch():
    ttlib = pytest.importorskip("fontTools.ttLib")
    formulas.glyphs.clear()
    formulas.convert(r"\sqrt{h} + \sum x", True, "p.md")
    font = ttlib.TTFont(io.BytesIO(formulas.font(formulas.glyphs)))
    held = set(map(chr, font.getBestCmap()))
    assert {"√", "∑", "+", "\N{PLANCK CONSTANT}", "\N{MATHEMATICAL ITALIC SMALL X}"} <= held
    assert "ψ" not in held
    assert font["MATH"].table.MathVariants.VertGlyphCoverage.glyphs
    assert formulas.font({"x", "√"}) == formulas.font({"√", "x"})


def test_a_root_has_one_width_whatever_its_size():
    ttlib = pytest.importorskip("fontTools.ttLib")
    font = ttlib.TTFont(io.BytesIO(formulas.font({"√", "x"})))
    variants, root = font["MATH"].table.MathVariants, font.getBestCmap()[ord("√")]
    stretched = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(root)]
    names = [v.VariantGlyph for v in stretched.MathGlyphVariantRecord]
    names += [part.glyph for part in stretched.GlyphAssembly.PartRecords]
    assert len(set(names)) > 5
    assert {font["hmtx"][name][0] for name in [root, *names]} == {900}
    assert max(font["glyf"][name].xMax for name in [root, *names]) < 950
