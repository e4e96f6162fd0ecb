"""The pages about the book: the table of the sources, the notation, the glossary, and the questions of the sources."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs", reason="the site's hooks need the book extra")

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "hooks"))
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
    assert rows.faults(listed, PASSAGES, rows.tests(ROOT / "tests")) == []


def test_the_page_has_a_table_for_each_source():
    assert re.findall(r"^\[rows: (S\d)\]$", PAGES["about/sources.md"], re.M) == ["S0", "S1", "S2", "S3", "S4"]


def test_every_picture_of_the_blog_is_drawn_in_the_section_that_is_named():
    text = PAGES["about/sources.md"].partition("### Its pictures")[2]
    links = re.findall(r"\(\.\./([^)]*)\)", text)
    assert len(links) == 11
    assert [link for link in links if "](figure" not in SECTIONS.get(link, "")] == []


PAGE = """# 9. Title

## A `first` section

<!-- rows: S0-01 S0-02 -->

The slope is 0.25.

```pycon
>>> # Not a heading, and below no mark of the page:
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


def test_a_passage_goes_to_the_next_mark_or_heading():
    found = {name: passage for passage in shown() for name in passage.rows}
    assert list(found) == ["S0-01", "S0-02", "S0-03", "S0-04"]
    assert found["S0-01"] is found["S0-02"]
    assert [passage.anchor for passage in found.values()] == ["a-first-section"] * 2 + ["a-first-section_1"] * 2
    assert {passage.chapter for passage in found.values()} == {"9. Title"}
    assert "0.25" in found["S0-01"].text
    assert "words" not in found["S0-03"].text
    assert [rows.checked(found[name]) for name in ("S0-01", "S0-03", "S0-04")] == [True, False, False]


GOOD = [row("S0-01", "printed", "0.25"), row("S0-02"), row("S0-03", "no number"), row("S0-04", "no number", "1234")]


@pytest.mark.parametrize(
    ("listed", "asserted", "fault"),
    [
        (GOOD, {}, []),
        ([*GOOD, row("S1-01")], {}, ["S1-01: no page shows it"]),
        ([*GOOD, row("S1-01")], {"S1-01": [("test_a.py", "test_b", "")]}, ["S1-01: no page shows it"]),
        (GOOD[1:], {}, ["a mark names S0-01, which is not in sources.csv"]),
        (GOOD, {"S9-99": [("test_a.py", "test_b", "")]}, ["a mark names S9-99, which is not in sources.csv"]),
        ([*GOOD[:2], row("S0-03"), GOOD[3]], {}, ["S0-03: nothing asserts its numbers"]),
        ([*GOOD[:2], row("S0-03"), GOOD[3]], {"S0-03": [("test_a.py", "test_b", "")]}, []),
        (
            [row("S0-01", "printed", "0.2", "0.25", "25"), *GOOD[1:]],
            {},
            ["S0-01: no passage and no test with its mark has the number 0.2, 25"],
        ),
        ([row("S0-01", "printed", "0.2"), *GOOD[1:]], {"S0-01": [("test_a.py", "test_b", "== 0.2")]}, []),
    ],
)
def test_each_kind_of_fault_is_named(listed, asserted, fault):
    assert rows.faults(listed, shown(), asserted) == fault


def test_marks_of_tests_are_read(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_a.py").write_text(
        'import pytest\n\n@pytest.mark.traps("T01")\n@pytest.mark.rows("S0-01", "S0-02")\n'
        '@pytest.mark.parametrize("x", [0.5])\ndef test_b(x):\n    assert x\n\n\ndef test_c():\n    assert 7\n'
    )
    (tmp_path / "a.py").write_text('@pytest.mark.rows("S0-03")\ndef test_d():\n    pass\n')
    found = rows.tests(tmp_path)
    assert {name: [(file, test) for file, test, _ in tests] for name, tests in found.items()} == {
        "S0-01": [("test_a.py", "test_b")],
        "S0-02": [("test_a.py", "test_b")],
    }
    assert "0.5" in found["S0-01"][0][2]
    assert "7" not in found["S0-01"][0][2]


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
    assert "| S0-01<br> *printed* | It | [9. A first section](../book/09.md#a-first-section)<br>" in table
    assert "test_<wbr>a.py::<wbr>test_<wbr>b</code>, the page itself |" in table
    assert "| S0-02 | Thing | [9. A first section](../book/09.md#a-first-section)<br>asserted by the page" in table


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
    "04-learning": [
        "Training test", "Generalisation", "loss function weights loss", "gradient negative weights",
        "Numerical differentiation", "gradient of the loss by the weights", "Backpropagation gradient",
    ],
    "05-backpropagation": [
        "computational graph", "Nodes", "Forward backward", "Layers backpropagation",
        "Numerical differentiation gradient check",
    ],
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
