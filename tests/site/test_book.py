"""The book as a path: numbers rather than verdicts, and chapters that can be read in one go."""

import doctest
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "docs" / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("*.md"))
FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?^[ \t]*\1[ \t]*$", re.M | re.S)


def verdict(printed):
    """Whether every word of an output is True or False, behind a label or not."""
    after_labels = [re.sub(r"^.*?\b(?=(True|False)\b)", "", line) for line in printed.splitlines() if line.strip()]
    return all(re.findall(r"\w+", line) and not re.sub(r"True|False|\W", "", line) for line in after_labels)


@pytest.mark.parametrize(
    ("printed", "is_one"),
    [
        ("True\n", True),
        ("W1 True\nb1 False\n", True),
        ("[ True False]\n", True),
        ("(True, True)\n", True),
        ("True 0.5\n", False),
        ("0.5\n", False),
        ("{'W1': True}\n", True),
        ("W1 True\n3.5\n", False),
        ("Truely\n", False),
    ],
)
def test_a_verdict_is_known_as_one(printed, is_one):
    assert verdict(printed) is is_one


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_numbers_rather_than_verdicts(chapter):
    examples = doctest.DocTestParser().get_examples((BOOK / f"{chapter}.md").read_text("utf-8"))
    outputs = [example.want for example in examples if example.want and not example.exc_msg]
    verdicts = sum(map(verdict, outputs))
    assert verdicts <= 0.1 * len(outputs), f"{verdicts} of {len(outputs)} outputs"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_read_in_one_go(chapter):
    prose = FENCED.sub("", (BOOK / f"{chapter}.md").read_text("utf-8"))
    prose = re.sub(r"<!--.*?-->|\$\$.*?\$\$|\]\([^)]*\)", " ", prose, flags=re.S)
    words = len(re.findall(r"[^\W\d_][\w'’-]*", prose))
    assert words <= 5000, f"{words} words"
