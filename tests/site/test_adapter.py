"""`# doctest: +IGNORE_UNICODE` works under pytest, through doctest-ignore-unicode's own checker."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).parents[2] / "docs" / "conftest.py"
PAGE = "```pycon\n>>> 'W1'{directive}\nu'W1'\n\n```\n"


@pytest.mark.parametrize(
    ("directive", "outcome"),
    [("  # doctest: +IGNORE_UNICODE", {"passed": 1}), ("", {"failed": 1})],
    ids=["with the directive", "without"],
)
def test_the_same_page_passes_with_the_directive_and_fails_without(pytester, directive, outcome):
    pytester.makeconftest(CONFTEST.read_text("utf-8"))
    pytester.makefile(".md", page=PAGE.format(directive=directive))
    result = pytester.runpytest_subprocess("--doctest-glob=*.md", "--import-mode=importlib")
    result.assert_outcomes(**outcome)


def test_the_directive_also_works_in_a_page_with_more_than_one_block(pytester):
    pytester.makeconftest(CONFTEST.read_text("utf-8"))
    page = PAGE.format(directive="  # doctest: +IGNORE_UNICODE")
    pytester.makefile(".md", one=page + page, two=page)
    pytester.runpytest_subprocess("--doctest-glob=*.md").assert_outcomes(passed=2)


def test_no_figure_is_left_to_the_next_page(pytester):
    pytest.importorskip("matplotlib")
    pytester.makeconftest(CONFTEST.read_text("utf-8"))
    draw = ">>> from matplotlib import pyplot as plt\n>>> plt.get_fignums()\n[]\n>>> _ = plt.figure()\n"
    pytester.makefile(".md", one=draw, two=draw)
    pytester.runpytest_subprocess("--doctest-glob=*.md").assert_outcomes(passed=2)
