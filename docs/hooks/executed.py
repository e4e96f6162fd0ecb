"""Runs the examples of a page, and keeps what came of it.

All fenced blocks with ``>>>`` run in order, in one namespace, under doctest, and what they print and draw is a list of
plain values, one for each part of the page: so a page can be run in another process, and its results be kept.

They are kept in .cache/pages until the page, a file that it names, the library, what runs it here or the version of a
package that the project names changes.
"""

import contextlib
import doctest
import hashlib
import json
import os
import re
import sys
import time
import types
import warnings
from importlib.metadata import distributions, requires
from importlib.util import find_spec
from pathlib import Path

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
NAMED_FILE = re.compile(r'"((?:docs|tests)/[\w./-]+)"')
LIBRARY = Path(find_spec("nnfunc").origin).parent
PACKAGES = {re.match(r"[\w.-]+", need)[0] for need in requires("nnfunc")}  # in lower case, with hyphens
RUNS_IT = (Path(__file__), Path(figures.__file__), figures.STYLE)


def parts(markdown):
    """The parts of a page that have results: blocks with examples, and lines that name a drawing."""
    return [m for m in PART.finditer(markdown) if m["svg"] or (m["fence"] and EXAMPLE.search(m["body"]))]


def examples(body):
    return doctest.DocTestParser().get_examples(body)


def run(markdown, name, first_line=0):
    """The results of each part: what a block printed and drew, or the SVG that a line names."""
    start, results = time.perf_counter(), []
    runner, namespace = _Runner(_checker(), verbose=False), {"__name__": "__main__"}
    with contextlib.ExitStack() as page_wide:
        page_wide.enter_context(figures.style())
        page_wide.enter_context(np.printoptions())
        page_wide.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        for part in parts(markdown):
            line = first_line + markdown.count("\n", 0, part.start()) + 1
            if part["svg"]:
                if part["svg"] not in namespace:
                    raise PluginError(f"{name}:{line}: the examples above bind no {part['svg']}")
                results.append({"svg": namespace[part["svg"]]})
                continue
            # Its line in the test's name, or doctest would look for another block's lines in this one.
            test = doctest.DocTestParser().get_doctest(part["body"], namespace, f"{name}:{line}", name, line)
            test.globs, report = namespace, []
            runner.run(test, out=report.append, clear_globs=False)
            if runner.failures:
                raise PluginError("".join(report))
            drawn = [plt.figure(number) for number in plt.get_fignums()]
            below = next((m["kind"] for m in PART.finditer(markdown, part.end()) if m["kind"]), "figure")
            drawn = figures.frames(drawn) if drawn and below == "film" else list(map(figures.draw, drawn))
            plt.close("all")
            results.append({"got": [getattr(example, "got", "") for example in test.examples], "drawn": drawn})
    return {"seconds": time.perf_counter() - start, "parts": results}


class _Runner(doctest.DocTestRunner):
    """Keeps what each example printed."""

    def report_success(self, out, test, example, got):
        example.got = got


def _checker():
    checker = doctest.OutputChecker()
    checker.check_output = nose_plugin._UnicodeOutputCheck(checker.check_output)
    return checker


def surroundings():
    """A digest of all that decides the results of every page: the library, what runs it, and the versions."""
    found = {re.sub(r"[-_.]+", "-", package.name).lower(): package.version for package in distributions()}
    versions = sorted(f"{name} {version}" for name, version in found.items() if name in PACKAGES)
    digest = hashlib.sha256(repr([sys.version, *versions]).encode())
    library = (path for path in sorted(LIBRARY.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    for path in (*RUNS_IT, *library):
        digest.update("/".join(path.parts[-2:]).encode() + path.read_bytes())
    return digest.hexdigest()


def key(markdown, surroundings):
    """A digest of all that decides the results of one page."""
    digest = hashlib.sha256(f"{surroundings}\n{markdown}".encode())
    for named in map(Path, NAMED_FILE.findall(markdown)):
        for path in sorted(named.iterdir()) if named.is_dir() else [named]:
            if path.is_file() and path.suffix != ".md":
                digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(folder, name, wanted):
    """The results of a page as they were kept, or None."""
    path = Path(folder, name).with_suffix(".json")
    past = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return past["results"] if past.get("key") == wanted else None


def keep(folder, name, key, results):
    path = Path(folder, name).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps({"key": key, "results": results}), encoding="utf-8")
    half.replace(path)
