"""Runs the examples of each page while the site is built, and shows the figures they draw.

All fenced blocks with ``>>>`` run in order, in one namespace, under doctest; a wrong output, or a warning,
stops the build with the page and the line. A figure that a block leaves open belongs to the next line
``![what it shows](figure "a caption")`` (see figures.py) and is drawn there, so the code may stand in a closed
box and the picture below it. A figure without such a line stops the build, and so does a line without a figure.

A page whose front matter says ``needs: jax`` is shown as it is written where jax is not installed.
"""

import contextlib
import doctest
import re
import sys
import types
import warnings
from importlib.util import find_spec

import figures
import numpy as np
from matplotlib import pyplot as plt
from mkdocs.exceptions import PluginError

sys.modules.setdefault("nose.plugins", types.SimpleNamespace(Plugin=object))  # nose itself needs Python < 3.12
import nose_plugin  # noqa: E402  (registers IGNORE_UNICODE)

PART = re.compile(
    r"^(?P<indent>[ \t]*)(?:"
    r"(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ \t]*$"
    rf"|{figures.LINE})",
    re.M | re.S,
)
EXAMPLE = re.compile(r"^[ \t]*>>> ", re.M)


def on_startup(command, dirty):
    """While serving, each build sees the library as it now stands."""
    global fresh
    fresh = command == "serve"


def on_pre_build(config):
    if fresh:
        for name in [n for n in sys.modules if n.partition(".")[0] == "nnfunc"]:
            del sys.modules[name]


def on_page_markdown(markdown, page, config, files):
    if not EXAMPLE.search(markdown):
        return markdown
    if not find_spec(getattr(page, "meta", {}).get("needs", "doctest")):
        return PART.sub(lambda m: _shown(m) if m["fence"] and EXAMPLE.search(m["body"]) else m[0], markdown)
    source = page.file.content_string
    first_line = source[: max(source.find(markdown.strip()), 0)].count("\n")
    return run(markdown, page.file.src_uri, first_line)


def run(markdown, name, first_line=0):
    """The page as it is shown, if every example gives what it says."""
    runner, namespace = doctest.DocTestRunner(_checker(), verbose=False), {"__name__": "__main__"}
    waiting, drawn = [], 0

    def line(match):
        return first_line + markdown.count("\n", 0, match.start()) + 1

    def part(match):
        nonlocal drawn
        if match["fence"] is None:
            drawn += 1
            return figures.place(match, waiting, f"{name}:{line(match)}", f"fig{drawn}", namespace)
        if not EXAMPLE.search(match["body"]):
            return match[0]
        test = doctest.DocTestParser().get_doctest(match["body"], namespace, name, name, line(match))
        test.globs, report = namespace, []
        runner.run(test, out=report.append, clear_globs=False)
        if runner.failures:
            raise PluginError("".join(report))
        for number in plt.get_fignums():
            waiting.append(figures.draw(plt.figure(number)))
        plt.close("all")
        return _shown(match)

    with contextlib.ExitStack() as page_wide:
        page_wide.enter_context(figures.style())
        page_wide.enter_context(np.printoptions())
        page_wide.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        shown = PART.sub(part, markdown)
    if waiting:
        raise PluginError(f'{name}: {len(waiting)} figure(s) without a line ![what it shows](figure "a caption")')
    outside = EXAMPLE.search(PART.sub("", markdown))
    if outside:
        raise PluginError(f"{name}: an example outside a fenced block: {outside.string[outside.start() :][:60]!r}")
    return shown


def _checker():
    checker = doctest.OutputChecker()
    checker.check_output = nose_plugin._UnicodeOutputCheck(checker.check_output)
    return checker


def _shown(match):
    """The block without what only doctest needs."""
    info = re.sub(r"^\s*(python|py|)(?=\s|$)", "pycon", match["info"])
    body = re.sub(r"[ \t]*#[ \t]*doctest:.*", "", match["body"])
    body = body.replace("<BLANKLINE>", "").rstrip() + "\n"
    return f"{match['indent']}{match['fence']}{info}\n{body}{match['indent']}{match['fence']}"


fresh = False
