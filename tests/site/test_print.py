"""The book on paper: printed once, and read back."""

import re
import subprocess
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest

pypdf = pytest.importorskip("pypdf", reason="printing the book needs the browser extra")
pytest.importorskip("playwright", reason="printing the book needs the browser extra")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def book(site, tmp_path_factory):
    out = tmp_path_factory.mktemp("print") / "book.pdf"
    script = ROOT / "docs" / "assets" / "print_book.py"
    done = subprocess.run([sys.executable, script, site, out], capture_output=True, text=True, check=False)
    if "no Chromium" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return pypdf.PdfReader(out)


@pytest.fixture(scope="module")
def texts(book):
    return [unicodedata.normalize("NFKC", page.extract_text()) for page in book.pages]  # or "fi" is one letter


def outline(book):
    """The titles of the chapters and the pages on which they begin."""
    return {o["/Title"]: book.get_destination_page_number(o) for o in book.outline if not isinstance(o, list)}


def lowest(page):
    """The lowest line of a page above its number."""
    lines = defaultdict(str)

    def collect(text, above, here, *_):
        lines[round(here[4] * above[1] + here[5] * above[3] + above[5])] += text

    page.extract_text(visitor_text=collect)
    heights = [height for height, text in lines.items() if height > 40 and text.strip()]
    return unicodedata.normalize("NFKC", lines[min(heights)]).strip() if heights else ""


def test_the_contents_name_the_page_on_which_each_chapter_begins(book, texts):
    chapters = outline(book)
    first = min(page for page in chapters.values() if page > chapters["Contents"])
    listed = " ".join(" ".join(texts[chapters["Contents"] : first]).split())
    for title, page in list(chapters.items())[2:]:
        assert f"{title} {page + 1} " in f"{listed} ", title
        assert " ".join(texts[page].split()).startswith(f"{page + 1} {title}"), "the number at the foot is read first"
    assert [title[0] for title in chapters if title[0].isdigit()] == list("0123445566789")


def test_answers_are_printed_and_the_code_of_figures_is_not(site, texts):
    answers = sum(page.read_text("utf-8").count("<summary>Answer") for page in site.glob("book/*/index.html"))
    whole = "\n".join(texts)
    assert answers > 50
    assert len(re.findall(r"(?m)^ *Answer *$", whole)) == answers
    assert "The code of the" not in whole


def test_every_page_has_something_on_it_and_none_ends_with_a_heading(site, book):
    boxes = (re.findall("<summary>(.*?)</summary>", page.read_text("utf-8")) for page in site.glob("book/*/index.html"))
    headings = {re.sub("<[^>]*>", "", title) for titles in boxes for title in titles}

    def collect(items):
        for item in items:
            collect(item) if isinstance(item, list) else headings.add(item["/Title"].strip())

    collect(book.outline)
    ends = [lowest(page) for page in book.pages]
    first = min(page for title, page in outline(book).items() if title[0].isdigit())
    assert len(headings) > 200
    assert "" not in ends
    assert [end for end in ends[first:] if end in headings] == []


def test_links_stay_in_the_book_or_lead_to_the_web(book):
    named, ends = {name.removeprefix("/") for name in book.named_destinations}, []
    for page in book.pages:
        for note in page.get("/Annots") or ():
            note = note.get_object()
            ends.append(str(note["/Dest"]).removeprefix("/") if "/Dest" in note else note["/A"]["/URI"])
    assert sum(end in named for end in ends) > 500
    assert [end for end in ends if end not in named and not re.match("https?://(?!book.invalid)", end)] == []
