"""Runs the examples of each page while the site is built, and shows the figures they draw.

All fenced blocks with ``>>>`` run in order, in one namespace, under doctest; a wrong output, or a warning,
stops the build with the page and the line. A figure that a block leaves open belongs to the next line
``![what it shows](figure "a caption")`` (see figures.py) and is drawn there, so the code may stand in a closed
box and the picture below it. A figure without such a line stops the build, and so does a line without a figure.

Where another machine may print other digits, a page writes dots, ``0.9...  # doctest: +ELLIPSIS``. The build shows what
it printed itself, marks the line, and says below the block what was asked for. If the dots are too wide a band, the
next line narrows it, ``>>> assert 0.93 < accuracy < 0.95  # band``: doctest and pytest run it as any other, the reader
finds it below the block.

A page whose front matter says ``needs: jax`` is shown as it is written where jax is not installed.
"""

import contextlib
import doctest
import re
import sys
import types
import warnings
from importlib.util import find_spec
from itertools import zip_longest

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
BAND = re.compile(r"assert (.+?)\s*# band$")
NOTE = "Your machine may print other digits. Asked for:"


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
    runner, namespace = _Runner(_checker(), verbose=False), {"__name__": "__main__"}
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
        at = line(match)  # in the test's name, or doctest would look for another block's lines in this one
        test = doctest.DocTestParser().get_doctest(match["body"], namespace, f"{name}:{at}", name, at)
        test.globs, report = namespace, []
        runner.run(test, out=report.append, clear_globs=False)
        if runner.failures:
            raise PluginError("".join(report))
        for number in plt.get_fignums():
            waiting.append(figures.draw(plt.figure(number)))
        plt.close("all")
        return _shown(match, test.examples)

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


class _Runner(doctest.DocTestRunner):
    """Keeps what each example printed."""

    def report_success(self, out, test, example, got):
        example.got = got


def _shown(match, examples=()):
    """The block without what only doctest needs, and with the numbers of this build where they vary."""
    lines, shown, varying, bands, at = match["body"].splitlines(), [], [], [], 0
    for example in examples:
        printed = example.lineno + example.source.count("\n")
        end = printed + example.want.count("\n")
        shown += lines[at : example.lineno]
        band = BAND.match(example.source)
        if band:
            bands.append(band[1])
        else:
            shown += lines[example.lineno : printed]
            if example.options.get(doctest.ELLIPSIS) and not example.exc_msg:
                wanted, got = lines[printed:end], example.got.splitlines()
                bands += [line.strip() for line in wanted if "..." in line]
                differs = [len(got) != len(wanted) or "..." in line for line, _ in zip_longest(wanted, got)]
                varying += [len(shown) + k for k, varies in enumerate(differs, 1) if varies]
                shown += [" " * example.indent + line for line in got]
            else:
                shown += lines[printed:end]
        at = end
    info = re.sub(r"^\s*(python|py|)(?=\s|$)", "pycon", match["info"])
    info += f' hl_lines="{" ".join(map(str, varying))}"' if varying else ""
    body = re.sub(r"[ \t]*#[ \t]*doctest:.*", "", "\n".join([*shown, *lines[at:]]))
    body = body.replace("<BLANKLINE>", "").rstrip() + "\n"
    note = f"\n\n{match['indent']}{NOTE} {', '.join(f'`{band}`' for band in bands)}.\n{match['indent']}{{: .band }}\n"
    return f"{match['indent']}{match['fence']}{info}\n{body}{match['indent']}{match['fence']}{note if bands else ''}"


fresh = False
