"""What every page keeps to, so that plain `python -m doctest` runs it as well."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
STANDARD = {name for name in vars(doctest) if doctest.OPTIONFLAGS_BY_NAME.get(name) == getattr(doctest, name)}
doctest.register_optionflag("IGNORE_UNICODE")  # as docs/conftest.py does
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


# Plain `python -m doctest PAGE` gives what this suite gives when it runs the page, since both take their examples from
# doctest's own parser, and the ways of comparing differ by nothing but flags that no page has (the test above). The
# build takes them block by block. So it is enough to see that examples and settings are the same everywhere, and to
# run one page in earnest.


def examples(text):
    parser = doctest.DocTestParser()
    return [(part.source, part.want, part.exc_msg, part.options) for part in parser.get_examples(text)]


def blocks(text):
    """What stands in fenced blocks with examples."""
    lines, opened = text.splitlines(keepends=True), None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line.rstrip())
        if fence and opened is None:
            opened = number, fence[1]
        elif fence and fence[1].startswith(opened[1]) and not fence[2].strip():
            yield "".join(lines[opened[0] : number - 1])
            opened = None


@pytest.mark.parametrize("page", PAGES)
def test_doctest_finds_in_a_page_what_stands_in_its_blocks(page):
    assert examples(PAGES[page]) == [example for block in blocks(PAGES[page]) for example in examples(block)]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_uses_what_only_pytest_has(page):
    assert "getfixture" not in PAGES[page]


def test_the_suite_adds_no_flag_and_no_parser(pytestconfig):
    assert pytestconfig.getini("doctest_optionflags") == []
    assert not pytestconfig.getoption("doctest_continue_on_failure")
    assert doctest.DocTestParser.__module__ == "doctest"


def test_plain_doctest_runs_a_chapter_and_sees_a_mistake(tmp_path):
    pytest.importorskip("matplotlib", reason="the chapters draw")
    chapter = DOCS / "book" / "02-perceptrons.md"
    wrong = tmp_path / "wrong.md"
    wrong.write_text(chapter.read_text("utf-8") + "\n```pycon\n>>> 1 + 1\n3\n\n```\n", "utf-8")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")])}
    for page, code in ((chapter, 0), (wrong, 1)):
        command = [sys.executable, "-W", "error", "-m", "doctest", str(page)]
        done = subprocess.run(command, cwd=DOCS.parent, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
    assert "1 + 1" in done.stdout
