"""Lets pytest run the book's pages as the build does."""

import doctest
import re
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

sys.modules.setdefault("nose.plugins", SimpleNamespace(Plugin=object))  # nose itself needs Python < 3.12
from nose_plugin import DoctestIgnoreUnicode, _UnicodeOutputCheck  # noqa: E402  (registers IGNORE_UNICODE)

collect_ignore = ["assets", "hooks"]  # programs of the build, not pages


def pytest_itemcollected(item):
    """Give the runner of a page doctest-ignore-unicode's own way of comparing."""
    runner = getattr(item, "runner", None)
    if isinstance(runner, doctest.DocTestRunner) and not isinstance(runner._checker.check_output, _UnicodeOutputCheck):
        DoctestIgnoreUnicode()._patchTestCase(SimpleNamespace(_dt_checker=runner._checker))
    needed = re.match(r"---\nneeds: (\w+)\n", item.path.read_text("utf-8")) if item.path.suffix == ".md" else None
    if needed and not find_spec(needed[1]):
        item.add_marker(pytest.mark.skip(reason=f"the page needs {needed[1]}, which is not installed"))


@pytest.fixture(autouse=True)
def _figures_are_drawn_in_memory():
    """Draw without a window, and leave no figure to the next page."""
    try:
        import matplotlib
    except ImportError:
        yield
        return
    matplotlib.use("agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")
