"""The gallery of traps: complete, each entry runnable alone, and tied to the chapters in both directions."""

import doctest
import re
import warnings
from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = (DOCS / "about/traps.md").read_text("utf-8")
CHAPTERS = {path.name: path.read_text("utf-8") for path in sorted((DOCS / "book").glob("*.md"))}
IDS = [f"T{i:02}" for i in range(1, 36)]
SETUP, *SECTIONS = re.split(r"^##+ ", GALLERY, flags=re.M)
ENTRIES = {m[1]: part for part in SECTIONS if (m := re.search(r"\{ #([\w-]+) \}$", part.partition("\n")[0]))}


def test_every_trap_has_its_entry_and_no_anchor_is_used_twice():
    titles = re.findall(r"^### (?:(T\d\d) · )?.+ \{ #([\w-]+) \}$", GALLERY, flags=re.M)
    assert sorted(label for label, _ in titles if label) == IDS
    assert all(anchor == label.lower() for label, anchor in titles if label)
    assert len(titles) == len(ENTRIES)


@pytest.mark.parametrize("trap", IDS)
def test_an_entry_is_marked_and_shows_the_mistake_and_the_library(trap):
    entry = ENTRIES[trap.lower()]
    assert f"<!-- traps: {trap} -->" in entry
    blocks = re.findall(r"^```pycon\n(.*?)^```$", entry, flags=re.M | re.S)
    assert len(blocks) >= 2
    assert any("nn." in block for block in blocks[1:]) or trap == "T12"  # which is Matplotlib's alone


@pytest.mark.parametrize("anchor", ENTRIES)
def test_an_entry_runs_alone(anchor):
    """With the imports at the top of the page, and nothing that another entry has defined."""
    matplotlib.use("agg")
    report, runner = [], doctest.DocTestRunner(verbose=False)
    parts = doctest.DocTestParser().get_doctest(SETUP + ENTRIES[anchor], {}, anchor, "traps.md", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run(parts, out=report.append)
    assert report == []
    assert runner.tries > 3 + 1


@pytest.mark.parametrize("trap", IDS)
def test_the_table_and_the_entry_lead_to_the_pages_that_show_the_trap(trap):
    (row,) = re.findall(rf"^\| \[{trap}\]\(#{trap.lower()}\) \| .+ \| (.+) \|$", GALLERY, flags=re.M)
    places = re.findall(r"\(\.\./([\w/.-]+\.md)(#[\w-]+)?\)", row)
    assert bool(places) != (row == "here")
    for page, anchor in places:
        assert f"(../{page}{anchor})" in ENTRIES[trap.lower()]
        assert f"<!-- traps: {trap} -->" in (DOCS / page).read_text("utf-8")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_passage_about_a_trap_leads_to_the_gallery(chapter):
    for passage in re.split(r"^(?=<!-- traps: )", CHAPTERS[chapter], flags=re.M)[1:]:
        trap = re.match(r"<!-- traps: (T\d\d) -->", passage)[1]
        assert f"[{trap} in the gallery](../about/traps.md#{trap.lower()})" in passage.partition("\n#")[0]
    anchors = re.findall(r"\.\./about/traps\.md#([\w-]+)", CHAPTERS[chapter])
    assert set(anchors) <= {*ENTRIES, "seen-in-the-books-official-code"}
