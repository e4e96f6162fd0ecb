"""What every page keeps to, so that plain `python -m doctest` runs it as well."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
STANDARD = {name for name in vars(doctest) if doctest.OPTIONFLAGS_BY_NAME.get(name) == getattr(doctest, name)}
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})(.*)$")


def unseparated(text):
    """The lines of closing fences that doctest would take for expected output."""
    lines, opened = text.splitlines(), None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened = number, fence[1]
        elif fence and fence[1].startswith(opened[1]) and not fence[2].strip():
            block = lines[opened[0] : number - 1]
            if any(part.lstrip().startswith(">>> ") for part in block) and block[-1].strip():
                yield number
            opened = None


def test_a_closing_fence_right_below_an_output_is_noticed():
    assert list(unseparated("# x\n\n```pycon\n>>> 1\n1\n```\n")) == [6]
    assert list(unseparated("```pycon\n>>> 1\n1\n\n```\n\n```text\n1\n```\n")) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_blank_line_stands_before_each_closing_fence(page):
    assert [f"docs/{page}:{line}" for line in unseparated(PAGES[page])] == []


@pytest.mark.parametrize("page", PAGES)
def test_only_one_page_needs_more_than_the_standard_flags(page):
    used = {flag for line in re.findall(r"#\s*doctest:(.*)", PAGES[page]) for flag in re.findall(r"[+-](\w+)", line)}
    assert used - STANDARD <= ({"IGNORE_UNICODE"} if page == "how-tested.md" else set())
