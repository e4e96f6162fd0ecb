"""The pages about the book: the table of the sources, the notation, the glossary, and the questions of the sources."""

import ast
import inspect
import itertools
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnfunc as nn

pytest.importorskip("mkdocs", reason="the site's hooks need the book extra")

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "hooks"))
import glossary  # noqa: E402
import rows  # noqa: E402

sys.path.pop(0)

PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
PASSAGES = rows.passages(PAGES)
SECTIONS = {}  # the text below each heading, by its address, without that of the headings below it
for passage in PASSAGES:
    address = f"{passage.page}#{passage.anchor}"
    SECTIONS[address] = f"{SECTIONS.get(address, '')}\n{passage.text}"


# Sources


def test_every_row_is_listed_shown_and_asserted():
    listed = rows.rows(DOCS)
    sizes = {"S0": 20, "S1": 9, "S2": 13, "S3": 41, "S4": 17}
    assert [row["row"] for row in listed] == [f"{s}-{k:02}" for s, n in sizes.items() for k in range(1, n + 1)]
    statuses = {"printed", "measured", "never finished", "named only", "no number"}
    assert {row["status"] for row in listed} == statuses
    assert rows.faults(listed, PASSAGES, rows.tests(ROOT / "tests"), rows.records(ROOT / "tests")) == []


def test_the_page_has_a_table_for_each_source():
    assert re.findall(r"^\[rows: (S\d)\]$", PAGES["about/sources.md"], re.M) == ["S0", "S1", "S2", "S3", "S4"]


def test_every_picture_of_the_blog_is_drawn_in_the_section_that_is_named():
    text = PAGES["about/sources.md"].partition("### Its pictures")[2]
    links = re.findall(r"\(\.\./([^)]*)\)", text)
    assert len(links) == 11
    assert [link for link in links if not re.search(r"\]\((figure|film)\b", SECTIONS.get(link, ""))] == []


PAGE = """# 9. Title

## A `first` section

<!-- rows: S0-01 S0-02 -->

The slope is 0.25, and 0.75 is said of it.

```pycon
>>> # Not a heading, and below no mark of the page:
>>> print(0.5 / 2, "<!-- rows: S0-09 -->", sep=chr(10))    # not 0.7501
0.25
<!-- rows: S0-09 -->

```

## A first section

<!-- rows: S0-03 -->

<!-- rows: S0-04 -->

In words only: 1,234.
"""


def row(name, status="printed", *numbers):
    return {"row": name, "status": status, "what": "It", "numbers": numbers}


def shown(text=PAGE):
    return rows.passages({"book/09.md": text})


def test_a_heading_may_name_its_anchor():
    first, second = shown("## *One* { #t1 }\n\ntext\n\n## One\n")[1:]
    assert (first.heading, first.anchor, second.heading, second.anchor) == ("One", "t1", "One", "one")


def test_a_passage_goes_to_the_next_mark_or_heading():
    found = {name: passage for passage in shown() for name in passage.rows}
    assert list(found) == ["S0-01", "S0-02", "S0-03", "S0-04"]
    assert found["S0-01"] is found["S0-02"]
    assert [passage.anchor for passage in found.values()] == ["a-first-section"] * 2 + ["a-first-section_1"] * 2
    assert {passage.chapter for passage in found.values()} == {"9. Title"}
    assert "0.25" in found["S0-01"].text
    assert "words" not in found["S0-03"].text
    pages = {"about/a.md": "# A", "book/b.md": "# B"}
    assert [passage.page for passage in rows.passages(pages) if passage.heading] == ["book/b.md", "about/a.md"]
    assert [rows.checked(found[name]) for name in ("S0-01", "S0-03", "S0-04")] == [True, False, False]


def passage(text, page="book/09.md"):
    return rows.Passage(page, "9. Title", "A section", "a-section", ("S0-01",), text)


def example(*lines):
    return "\n".join(["```pycon", *lines, "", "```"])


@pytest.mark.parametrize(
    ("text", "counts", "proves"),
    [
        ("It is 0.25.", False, False),
        ("$$0.25$$", False, False),
        ("```pycon\n0.25\n```", False, False),
        (example(">>> print(x)", "0.25"), True, True),
        (example(">>> print(x)", "[0.25 0.5]"), True, True),
        (example(">>> print(x)    # doctest: +ELLIPSIS", "0.2..."), False, True),
        (example(">>> assert abs(x - 0.25) < 1e-9"), True, True),
        ("    " + example(">>> assert x == 0.25").replace("\n", "\n    "), True, True),
        (example(">>> f(0.25)", "7"), True, True),
        (example(">>> W = np.array([0.25])"), True, False),
        (example(">>> wanted = 0.25", ">>> assert x == wanted"), True, True),
        (example(">>> for x in (0.25, 1):", "...     print(f(x))", "7", "8"), True, True),
        (example(">>> wanted = 0.25"), False, False),
        (example(">>> wanted = [0.25, (1, 2)]", ">>> assert x > 1"), False, True),
        (example(">>> x = f(1)    # 0.25"), False, False),
        (example(">>> def f(x):", "...     'It is 0.25.'", "...     return x"), False, False),
        ("```python\nassert x == 0.25\n```", False, False),
        ("See `tests/experiments/a.csv`.", True, True),
        ("See `experiments/a.csv`.", False, False),
    ],
)
def test_a_number_counts_where_it_is_executed_or_recorded(text, counts, proves):
    here = [passage(text)]
    found = rows.faults([row("S0-01", "no number", "0.25")], here, {}, {"tests/experiments/a.csv": "1, 0.25\n"})
    fault = "S0-01: no output, no code and no record has the number 0.25 (marked in book/09.md)"
    assert found == ([] if counts else [fault])
    if "`tests" not in text:
        assert rows.checked(here[0]) is proves


def test_the_cells_of_a_lab_are_executed_too():
    text = "```python\nx = f(0.5)  # 0.25\nassert abs(x - 0.75) < 1\n```"
    lab = passage(text, "labs/a.md")
    assert rows.checked(lab)
    assert "0.75" in rows.evidence(lab)
    assert "0.25" not in rows.evidence(lab)
    assert not rows.checked(passage(text))


def test_a_record_that_is_not_there_is_a_fault():
    here = [passage("See `tests/experiments/b.csv`.")]
    assert rows.faults([row("S0-01", "no number")], here, {}, {}) == [
        "S0-01: book/09.md names tests/experiments/b.csv, which is not there"
    ]


def test_the_records_are_tables_in_the_tests_folder():
    found = rows.records(ROOT / "tests")
    assert {"tests/experiments/numerical.csv", "tests/experiments/record.md"} <= found.keys()


GOOD = [row("S0-01", "printed", "0.25"), row("S0-02"), row("S0-03", "no number"), row("S0-04", "no number")]


@pytest.mark.parametrize(
    ("listed", "asserted", "fault"),
    [
        (GOOD, {}, []),
        ([*GOOD, row("S1-01")], {}, ["S1-01: no page shows it"]),
        ([*GOOD, row("S1-01")], {"S1-01": [("test_a.py", "test_b", "")]}, ["S1-01: no page shows it"]),
        (GOOD[1:], {}, ["a mark names S0-01, which is not in sources.csv"]),
        (GOOD, {"S9-99": [("test_a.py", "test_b", "")]}, ["a mark names S9-99, which is not in sources.csv"]),
        ([*GOOD[:2], row("S0-03"), GOOD[3]], {}, ["S0-03: nothing asserts its numbers (marked in book/09.md)"]),
        ([*GOOD[:2], row("S0-03"), GOOD[3]], {"S0-03": [("test_a.py", "test_b", "")]}, []),
        (
            [row("S0-01", "printed", "0.2", "0.25", "25", "0.75"), *GOOD[1:]],
            {},
            ["S0-01: no output, no code and no record has the number 0.2, 25, 0.75 (marked in book/09.md)"],
        ),
        ([row("S0-01", "printed", "0.2"), *GOOD[1:]], {"S0-01": [("test_a.py", "test_b", "x == 0.2")]}, []),
        (
            [*GOOD[:3], row("S0-04", "no number", "1234")],
            {},
            ["S0-04: no output, no code and no record has the number 1234 (marked in book/09.md)"],
        ),
    ],
)
def test_each_kind_of_fault_is_named(listed, asserted, fault):
    assert rows.faults(listed, shown(), asserted) == fault


def test_marks_of_tests_are_read(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_a.py").write_text(
        'import pytest\n\n@pytest.mark.traps("T01")\n@pytest.mark.rows("S0-01", "S0-02")\n'
        '@pytest.mark.parametrize("x", [0.5])\ndef test_b(x):\n    """Of 6."""\n    assert x  # or 8\n\n\n'
        'def test_c():\n    assert 7\n\n\n@pytest.mark.rows("S0-05", record="b.csv")\ndef test_e():\n    assert 9\n'
    )
    (tmp_path / "b.csv").write_text("x,y\n0.125,250\n")
    (tmp_path / "a.py").write_text('@pytest.mark.rows("S0-03")\ndef test_d():\n    pass\n')
    found = rows.tests(tmp_path)
    assert {name: [(file, test) for file, test, _ in tests] for name, tests in found.items()} == {
        "S0-01": [("test_a.py", "test_b")],
        "S0-02": [("test_a.py", "test_b")],
        "S0-05": [("test_a.py", "test_e")],
    }
    assert "0.5" in found["S0-01"][0][2]
    assert not [number for number in ("S0", "6", "7", "8", "0.125") if number in found["S0-01"][0][2]]
    assert [number for number in ("S0", "9", "0.125") if number in found["S0-05"][0][2]] == ["9", "0.125"]
    assert rows.faults([row("S0-05", "printed", "0.125", "250")], [passage("")._replace(rows=("S0-05",))], found) == [
        f"a mark names S0-0{k}, which is not in sources.csv" for k in (1, 2)
    ]


def site(tmp_path, listed="row,status,what,numbers\nS0-01,printed,It,0.25\nS0-02,no number,Thing,\n"):
    """A page with a table and the folders it is made of."""
    (tmp_path / "docs" / "about").mkdir(parents=True)
    (tmp_path / "docs" / "book").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text('@pytest.mark.rows("S0-01")\ndef test_b():\n    pass\n')
    (tmp_path / "docs" / "about" / "sources.csv").write_text(listed)
    texts = {"about/sources.md": "# Sources\n\n[rows: S0]\n", "book/09.md": PAGE.split("## A first")[0]}
    for name, text in texts.items():
        (tmp_path / "docs" / name).write_text(text)
    files = [SimpleNamespace(src_uri=name, abs_src_path=tmp_path / "docs" / name) for name in texts]
    config = SimpleNamespace(docs_dir=tmp_path / "docs", config_file_path=tmp_path / "mkdocs.yml")
    page = SimpleNamespace(file=files[0])
    return texts["about/sources.md"], page, config, SimpleNamespace(documentation_pages=lambda: files)


def test_the_line_becomes_a_table(tmp_path):
    table = rows.on_page_markdown(*site(tmp_path))
    assert "| S0-01<br> *printed* | It | [9.&nbsp;A first section](../book/09.md#a-first-section)<br>" in table
    assert "test_<wbr>a.py::<wbr>test_<wbr>b</code>, the page's own examples |" in table
    assert "| S0-02 | Thing | [9.&nbsp;A first section](../book/09.md#a-first-section)<br>asserted by the page" in table


@pytest.mark.parametrize(
    ("chapter", "heading", "text"),
    [
        ("9. Title", "9. Title", "9.&nbsp;Title"),
        ("9. Title", "A section", "9.&nbsp;A section"),
        ("4a. Slopes", "4a. Slopes", "4a.&nbsp;Slopes"),
        ("4a. Slopes", "Tangents", "4a.&nbsp;Tangents"),
        ("XOR", "XOR", "XOR"),
        ("XOR", "The film", "XOR: The film"),
    ],
)
def test_a_link_names_the_chapter_by_its_number(chapter, heading, text):
    here = rows.Passage("book/09.md", chapter, heading, "a", (), "")
    assert rows.link(here, "about/sources.md") == f"[{text}](../book/09.md#a)"


def test_a_missing_row_breaks_the_build(tmp_path):
    listed = "row,status,what,numbers\nS0-01,printed,It,\nS0-02,no number,Thing,\nS0-03,printed,New,\n"
    with pytest.raises(PluginError, match=r"about/sources\.md:\nS0-03: no page shows it"):
        rows.on_page_markdown(*site(tmp_path, listed))


# The questions of the sources

QUESTIONS = {
    "02-perceptrons": [
        "inputs output", "weights bias", "AND OR", "XOR", "linear nonlinear", "computer",
    ],
    "03-networks": [
        "sigmoid ReLU", "Multidimensional arrays", "Regression classification", "identity softmax", "number of classes",
        "batch",
    ],
    "04a-slopes": [
        "Numerical differentiation", "Rounding formula's", "Partial variable", "Uphill subtracts", "hyperparameter",
    ],
    "04b-learning": [
        "Training test", "Generalisation", "loss function weights loss", "gradient negative weights",
        "gradient of the loss by the weights", "Backpropagation gradient",
    ],
    "05a-way-back": ["computational graph", "Nodes", "Forward backward"],
    "05b-a-network-learns": ["Layers backpropagation", "Numerical differentiation gradient check"],
}  # fmt: skip


@pytest.mark.rows("S3-28")
@pytest.mark.parametrize("chapter", QUESTIONS)
def test_the_fill_in_questions_stand_in_their_chapters_with_answers(chapter):
    text = SECTIONS[f"book/{chapter}.md#check-yourself"]
    found = re.findall(r'^\?\?\? question "(\d+)\. (.*)"\n\n((?:    .*\n|\n)+)', text + "\n", re.M)
    assert [int(number) for number, *_ in found] == list(range(1, len(QUESTIONS[chapter]) + 1))
    for (_, question, answer), words in zip(found, QUESTIONS[chapter], strict=True):
        assert "______" in question
        assert all(word.lower() in answer.lower() for word in words.split()), (question, answer)
        assert question.count("______") <= answer.count("*") // 2, "each blank has its word"


# Notation

LINK = re.compile(r"\[[^\]]*\]\(\.\./(book/(\d\d)[ab]?-[\w-]+\.md#[\w-]+)\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.S)
FENCED = re.compile(r"^ *(`{3,})pycon\n(.*?)^ *\1", re.M | re.S)
CODE = {address: "\n".join(body for _, body in FENCED.findall(text)) for address, text in SECTIONS.items()}
FORMULAS = {
    address: " ".join(shown + inline for shown, inline in FORMULA.findall(FENCED.sub("", text)))
    for address, text in SECTIONS.items()
}


def symbols():
    """(heading, symbols, names, shape, section) for each row of the page's tables."""
    page = [passage for passage in PASSAGES if passage.page == "about/notation.md"]
    for passage in page:
        for line in passage.text.splitlines():
            if line.startswith("| $"):
                symbol, code, *shape, _, link = (cell.strip() for cell in line[1:-1].split("|"))
                names = re.findall(r"`([^`]+)`", code)
                yield passage.heading, re.findall(r"\$([^$]+)\$", symbol), names, "".join(shape), LINK.search(link)[1]


SYMBOLS = list(symbols())


def network():
    """What the library makes of seven samples of five features, four hidden neurons and three classes."""
    rng = np.random.default_rng(0)
    sizes = {"N": 7, "D": 5, "M": 4, "C": 3}
    params, x, t = nn.init_mlp(0, (5, 4, 3)), rng.random((7, 5)), rng.integers(3, size=7)
    a1, z1 = [layer(params, x)[0] for layer in (nn.layers.affine(1), nn.layers.serial(*nn.mlp().expand(params)[:2]))]
    scores, loss = nn.predict(nn.mlp(), params, x), nn.ops.softmax_cross_entropy
    here = params | {"x": x, "a1": a1, "z1": z1, "z": scores, "scores": scores, "loss": loss(scores, t)[0]}
    here |= {
        "W": params["W1"],
        "s": nn.step(a1),
        "w": params["W1"][:, 0],
        "b": params["b1"][0],
        "theta": -params["b1"][0],
    }
    value, back = nn.ops.affine(x, params["W1"], params["b1"])
    dx, dW, db = back(value)
    answers = {
        (7,): [nn.perceptron(x, here["w"], here["b"]), loss(scores, t)[1]()[0].argmax(axis=1), t],
        (7, 3): [nn.softmax(scores), nn.one_hot(t, 3)],
    }
    for labels in (t, nn.one_hot(t, 3)):
        assert loss(scores, labels)[0].shape == ()
    assert all(a.shape == shape for shape, arrays in answers.items() for a in arrays)
    return sizes, {name: [a.shape] for name, a in here.items()} | {
        "y": [(7,), (7, 3)], "t": [(7,), (7, 3)], "h": [()],
        "dy": [value.shape], "dx": [dx.shape], "dW": [dW.shape], "db": [db.shape],
    }  # fmt: skip


def learning():
    params = nn.init_mlp(0, (5, 4, 3))
    opts = [rule().init(params) for rule in (nn.momentum, nn.adagrad, nn.rmsprop, nn.adam)]
    slots = {name: slot for opt in opts for name, slot in opt.items() if name != "t"}
    assert slots.keys() == {"v", "h", "m"}
    _, grads, _ = nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)(params, np.ones((1, 5)), [0])
    found = {name: [slot["W1"].shape] for name, slot in (slots | {"params": params, "grads": grads}).items()}
    numbers = {"lr", "momentum", "decay", "beta1", "beta2", "eps", "lam", "rate", "t"}
    for rule, name in itertools.product((nn.momentum, nn.adagrad, nn.rmsprop, nn.adam), numbers):
        if name in inspect.signature(rule).parameters:
            rule(**{name: 0.5}).step(params, grads, rule().init(params))
    return {"D": 5, "M": 4}, found | {name: [()] for name in numbers}


def normalisation():
    x = np.random.default_rng(0).random((7, 4))
    params = nn.init_batch_norm(1, 4)
    stats = nn.init_stats(params)
    _, _, new = nn.layers.batch_norm(1)(params, x, nn.layers.Mode(stats, key=(0, 0)))
    assert new.keys() == stats.keys()
    s = np.sqrt(new["var1"])
    found = params | new | {"s": s, "x_hat": nn.ops.batch_norm(x, np.ones(4), np.zeros(4))[0]}
    return {"N": 7, "C": 4}, {name: [a.shape] for name, a in found.items()} | {"len(x)": [()], "momentum": [()]}


def convolution():
    sizes = {"N": 2, "C": 3, "H": 6, "W": 7, "F": 4, "FH": 3, "FW": 3, "OH": 4, "OW": 5}
    x, params = np.ones((2, 3, 6, 7)), nn.init_conv2d(0, 1, filters=4, channels=3, size=3, scale="he")
    y, _, _ = nn.layers.conv2d(1)(params, x)
    found = params | {"x": x, "y": y, "col": nn.conv.im2col(x, 3, 3)}
    return sizes, {name: [a.shape] for name, a in found.items()}


MADE = {
    "A network and its loss": network,
    "Slopes": network,
    "Learning": learning,
    "Batch normalisation": normalisation,
    "Convolution": convolution,
}


@pytest.mark.parametrize("heading", MADE)
def test_the_shapes_are_those_that_the_library_makes(heading):
    sizes, found = MADE[heading]()
    listed = [(names, shape) for here, _, names, shape, _ in SYMBOLS if here == heading and shape]
    assert len(listed) >= 5
    for names, shape in listed:
        for name in names:
            wanted = [eval(part, sizes) for part in shape.split(" or ")]
            assert set(wanted) <= set(found[name]), f"{name} is {found[name]}, the page says {shape}"


def axes(letters):
    """``{'x': '..., D', 'W': 'D, M'}`` of what stands above an op."""
    return dict(re.findall(r"(\w+) \((.*?)\)", letters))


ABOVE = {
    f"{room.__name__}.{name}": axes(getattr(room, name).takes)
    for room in (nn.functions, nn.ops, nn.conv)
    for name in room.__all__
    if hasattr(getattr(room, name), "takes")
}


def test_each_letter_above_a_value_or_an_op_is_on_the_page():
    assert {f"nnfunc.ops.{name}" for name in nn.ops.__all__} <= ABOVE.keys()
    sizes = {symbol for heading, found, *_ in SYMBOLS if heading == "Sizes and indices" for symbol in found}
    named = {symbol.replace("_", "").upper() for symbol in sizes if symbol[0].isupper()}
    named |= set(re.findall(r"`([A-Z]+)`", SECTIONS["about/notation.md#shapes-above-an-op"]))
    for name, arrays in ABOVE.items():
        letters = set(", ".join(arrays.values()).split(", ")) - {"..."}
        assert letters <= named, name


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("A network and its loss", "nnfunc.ops.affine"),
        ("Batch normalisation", "nnfunc.ops.batch_norm"),
        ("Convolution", "nnfunc.ops.conv2d"),
    ],
)
def test_the_shapes_are_those_above_the_op(heading, name):
    listed = {name: shape for here, _, names, shape, _ in SYMBOLS if here == heading for name in names}
    stated = {array: letters.replace("...", "N") for array, letters in ABOVE[name].items()}
    found = {array: listed.get(f"{array}1") or listed.get(array, "") for array in stated}
    assert {array: shape.replace(",)", ")") for array, shape in found.items() if shape} == {
        array: f"({letters})" for array, letters in stated.items() if found[array]
    }
    assert len(list(filter(None, found.values()))) >= 2


def test_every_array_of_the_library_has_its_row():
    named = {name for *_, names, _, _ in SYMBOLS for name in names}
    params = nn.init_mlp(0, (5, 4, 3), batch_norm=True)
    opts = [rule().init(params) for rule in (nn.momentum, nn.nesterov, nn.adagrad, nn.rmsprop, nn.adam, nn.adamw)]
    assert {*params, *nn.init_stats(params), *(name for opt in opts for name in opt)} <= named


def test_the_names_are_names_of_the_library_or_of_the_chapter():
    nodes = [node for path in (ROOT / "nnfunc").glob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    known = {getattr(node, part, "") for node in nodes for part in ("id", "arg", "name")}
    known |= {f"d{name}" for name in known}  # the gradient by it
    params = nn.init_mlp(0, (5, 4, 3), batch_norm=True)
    known |= {*params, *nn.init_stats(params), *nn.adam().init({})}
    for _, _, names, _, section in SYMBOLS:
        chapter = " ".join(code for address, code in CODE.items() if address[:7] == section[:7])
        for name in names:
            found = name in known or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", chapter)
            assert found, f"{name}: not in nnfunc, not in the code of {section}"


def has(formulas, symbol):
    """Whether a symbol stands in formulas: x in x_i as well, since that is an entry of it, but not in x_1."""
    after = r"(?![a-zA-Z])" if "_" in symbol else r"(?![a-zA-Z]|_\{?\d)"
    return re.search(rf"(?<![\\a-zA-Z]){re.escape(symbol)}{after}", formulas)


def test_each_symbol_stands_in_the_section_that_brings_it_in():
    assert len(SYMBOLS) >= 50
    lost = [(symbol, section) for _, found, _, _, section in SYMBOLS for symbol in found
            if not has(FORMULAS.get(section, ""), symbol)]  # fmt: skip
    assert lost == []


def test_no_earlier_chapter_has_it():
    """The first of the chapters that a symbol's rows name; chapters 0 and 1 count for what they bring in themselves."""
    named = {}
    for _, found, _, _, section in SYMBOLS:
        for symbol in found:
            named.setdefault(symbol, []).append(int(section[5:7]))
    for symbol, chapters in named.items():
        least = 0 if min(chapters) < 2 else 2
        aside = ("#exercises", "#check-yourself", "#summary")
        there = [int(address[5:7]) for address, formulas in FORMULAS.items()
                 if address.startswith("book/") and not address.endswith(aside) and has(formulas, symbol)]  # fmt: skip
        assert min(chapters) == min(n for n in there if n >= least), symbol


# Glossary

TERMS = glossary.terms(DOCS)


def test_the_terms_are_many_and_in_order():
    names = [term["term"].lower() for term in TERMS]
    assert names == sorted(set(names))
    assert len(names) >= 90
    assert re.findall(r"^\[glossary\]$", PAGES["about/glossary.md"], re.M) == ["[glossary]"]


@pytest.mark.parametrize(
    ("name", "script"), [("japanese", r"[\u3040-\u30ff\u4e00-\u9fff]"), ("korean", r"[\uac00-\ud7a3]")]
)
def test_each_term_has_its_words_in_both_languages(name, script):
    bare = {term["term"] for term in TERMS if not re.search(script, term[name])}
    assert bare == {"AdaGrad", "Adam", "RMSprop", "im2col"}, "names that are the same everywhere"
    assert not [term["term"] for term in TERMS if term["term"] in bare and term[name]]


def test_no_word_stands_for_two_terms():
    twice = []
    for name, comma in (("japanese", "、"), ("korean", ", ")):
        words = [word for term in TERMS for word in term[name].split(comma) if word]
        twice += sorted({word for word in words if words.count(word) > 1})
    assert twice == []


def test_each_term_leads_to_a_section_that_speaks_of_it():
    for term in TERMS:
        text = SECTIONS[term["introduced"]].lower().replace("*", "")
        assert [word for word in term["term"].lower().split() if word[:5] not in text] == [], term


def test_what_readers_search_for_is_there():
    text = glossary.glossary(TERMS, {f"{p.page}#{p.anchor}": p for p in PASSAGES}, "about/glossary.md")
    for word in (
        "softmax",
        "損失関数",
        "損失",
        "活性化関数",
        "誤差逆伝播法",
        "손실 함수",
        "손실함수",
        "활성화함수",
        "경사하강법",
    ):
        assert word in text
    assert (
        '### loss function · <span lang="ja">損失関数</span> · '
        '<span lang="ko">손실 함수, 손실함수</span> { #loss-function }\n\n'
        "The function that says with one number how bad a network's outputs are. "
        "[4b.&nbsp;Loss functions](../book/04b-learning.md#loss-functions)\n"
    ) in text
    assert "\n### im2col { #im2col }\n" in text


def test_a_term_without_a_section_breaks_the_build(tmp_path):
    _, page, config, files = site(tmp_path)
    (tmp_path / "docs" / "about" / "glossary.csv").write_text(
        "term,japanese,korean,meaning,introduced\nslope,傾き,기울기,A rate.,book/09.md#a-first-section\n"
    )
    shown = glossary.on_page_markdown("# G\n\n[glossary]\n", page, config, files)
    assert "## S\n\n### slope · " in shown
    (tmp_path / "docs" / "book" / "09.md").write_text("# 9. Title\n")
    with pytest.raises(PluginError, match=r"slope: no section book/09\.md#a-first-section"):
        glossary.on_page_markdown("# G\n\n[glossary]\n", page, config, files)
