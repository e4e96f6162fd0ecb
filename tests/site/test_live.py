"""Blocks that are run and edited in the page, in Chromium, and who else may ask for that: nobody."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

for needed in ("mkdocs", "material", "ipykernel"):
    pytest.importorskip(needed, reason="serving the site needs the book extra")

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "hooks"
sys.path.insert(0, str(HOOKS))
import executed  # noqa: E402
import kernel  # noqa: E402
import live  # noqa: E402

sys.path.pop(0)

CHAPTERS = sorted(path.name for path in (ROOT / "docs" / "book").glob("*.md"))
PATIENCE = 180_000  # milliseconds: a busy machine is slow, and that is no failure
TRACE = re.compile(r'name="live"|class="live|live\.(js|css)|X-Token')
PAGE = """# A page

```pycon
>>> def half(x):
...     return x / 2
>>> a = 20

```

```pycon
>>> half(a)
10.0
>>> half("a")
Traceback (most recent call last):
  ...
TypeError: unsupported operand type(s) for /: 'str' and 'int'
>>> [a, {"b": 1}]
[20, {'b': 1}]

```

??? note "The code of the figure"

    ```pycon
    >>> from matplotlib import pyplot as plt
    >>> _, ax = plt.subplots()
    >>> _ = ax.plot([1, 2, a])

    ```

    ![A line](figure "A line")

```pycon
>>> from pathlib import Path
>>> Path("mkdocs.yml").exists()
True
>>> import random    # doctest: +ELLIPSIS
>>> x = random.random()
>>> x    # doctest: +ELLIPSIS
0...
>>> assert 0 <= x < 1    # band

```

## Exercises

**1. Twice.** Write `twice(f)`, which applies a function two times.

??? success "Answer"

    ```pycon
    >>> def twice(f):
    ...     return lambda x: f(f(x))
    >>> print(twice(half)(a))
    5.0
    >>> assert twice(half)(1) == 0.25    # band

    ```

**2. In words.** What is a half of nothing?

??? success "Answer"

    Nothing.
"""
SETTINGS = """
site_name: live
theme: {name: material, font: false}
extra_css: [assets/css/book.css]
hooks: [HOOKS/live.py, HOOKS/examples.py, HOOKS/listings.py]
markdown_extensions: [attr_list, md_in_html, pymdownx.details, pymdownx.highlight, pymdownx.superfences]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A site of one page."""
    folder = tmp_path_factory.mktemp("small")
    for name in ("js/live.js", "css/live.css", "css/book.css"):
        (folder / "docs/assets" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs/assets" / name, folder / "docs/assets" / name)
    (folder / "docs/index.md").write_text(PAGE, "utf-8")
    (folder / "mkdocs.yml").write_text(SETTINGS.replace("HOOKS", HOOKS.as_posix()), "utf-8")
    return folder


@contextlib.contextmanager
def serving(folder, host="127.0.0.1"):
    """The address of a site that is being served, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONUNBUFFERED": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "mkdocs", "serve", "-a", f"{host}:{port}"]
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as server:
        said = []
        for line in server.stderr:
            said.append(line)
            if "Serving on" in line:
                break
        else:
            pytest.fail("".join(said), pytrace=False)
        try:
            run(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}/", server
        finally:
            server.send_signal(signal.SIGINT)
            server.stderr.read()


def run(address):
    """Wait until the page has been run, if it was shown before."""
    while 'http-equiv="refresh"' in fetch(address):
        time.sleep(0.5)
    return address


def fetch(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def address(small):
    with serving(small) as (address, _):
        yield address


@pytest.fixture
def page(browser, address):
    page, errors = browser.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert errors == []


def cell(page, number):
    return page.locator(".live").nth(number)


def press(page, number, name="Run"):
    """Press a button below a block, and wait for what comes."""
    cell(page, number).get_by_role("button", name=f"{name}:").click()
    return came(page, number)


def came(page, number):
    page.wait_for_function("() => !document.body.classList.contains('live-busy')")
    return [text.strip() for text in cell(page, number).locator(".came > pre").all_inner_texts()]


# In the page


def test_a_block_runs_after_those_above_it_and_goes_on_after_an_error_that_it_raises_on_purpose(page):
    first, error, rest = press(page, 1)
    assert first == "10.0"
    assert error == "TypeError: unsupported operand type(s) for /: 'str' and 'int'\nin line 2: half(\"a\")"
    assert rest == "[20, {'b': 1}]"


def test_what_a_page_shows_is_enough_and_runs_where_the_project_is(page):
    block = page.locator(".highlight:has(.gp)").nth(3)
    assert "doctest" not in block.inner_text()
    assert "assert" not in block.inner_text()
    there, number = press(page, 3)[0].splitlines()
    assert there == "True"
    assert 0 <= float(number) < 1


def test_a_block_is_edited_with_the_keyboard_broken_and_reset(page):
    edit = cell(page, 1).get_by_role("button", name="Edit:")
    area = cell(page, 1).locator("textarea")
    block = page.locator(".highlight:has(.gp)").nth(1)
    edit.focus()
    page.keyboard.press("Enter")
    assert area.input_value() == 'half(a)\nhalf("a")\n[a, {"b": 1}]'
    assert not block.is_visible()
    area.fill("for k in range(2):")
    page.keyboard.press("Enter")
    page.keyboard.type("print(k)")
    assert area.input_value() == "for k in range(2):\n    print(k)"
    page.keyboard.press("Control+Enter")
    assert came(page, 1) == ["0\n1"]
    area.fill("error = ValueError('too far')\nerror.add_note('in layer 3')\n1 + 1\nraise error\n3")
    page.keyboard.press("Control+Enter")
    assert came(page, 1) == ["2", "ValueError: too far\nin layer 3\nin line 4: raise error"]
    area.fill("1 +\n2")
    page.keyboard.press("Control+Enter")
    assert came(page, 1)[0].startswith("line 1\n    1 +\n")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Edit"
    assert area.is_visible()
    cell(page, 1).get_by_role("button", name="Reset:").click()
    assert came(page, 1) == []
    assert block.is_visible()
    assert not area.is_visible()
    assert page.evaluate("document.activeElement.textContent") == "Run"
    assert press(page, 1)[0] == "10.0"


def test_the_keyboard_is_not_caught_in_the_editor(page):
    cell(page, 0).get_by_role("button", name="Edit:").click()
    area = cell(page, 0).locator("textarea")
    own = area.input_value()
    page.keyboard.press("Control+End")
    page.keyboard.press("Tab")
    assert area.input_value() == own + "    "
    page.keyboard.press("Control+z")
    page.keyboard.press("Escape")
    assert not area.is_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") != "TEXTAREA"


def test_an_endless_loop_is_stopped_and_the_names_are_still_there(page):
    press(page, 0)
    cell(page, 1).get_by_role("button", name="Edit:").click()
    cell(page, 1).locator("textarea").fill("a = 5\nwhile True:\n    a = a + 1")
    cell(page, 1).get_by_role("button", name="Run:").click()
    time.sleep(1)
    assert cell(page, 1).get_by_role("button", name="Run:").count() == 0
    assert press(page, 1, "Stop") == ["Stopped."]
    cell(page, 1).locator("textarea").fill("a > 5")
    assert press(page, 1) == ["True"]


def test_code_that_cannot_be_interrupted_is_stopped_by_pressing_twice(page):
    press(page, 0)
    cell(page, 0).get_by_role("button", name="Edit:").click()
    deaf = "import signal\n_ = signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    cell(page, 0).locator("textarea").fill(deaf)
    cell(page, 0).get_by_role("button", name="Run:").click()
    time.sleep(1)
    stop = cell(page, 0).get_by_role("button", name="Stop:")
    stop.click()
    time.sleep(0.5)
    stop.click()
    assert came(page, 0) == ["Its Python has ended. The next run starts another one."]
    cell(page, 0).get_by_role("button", name="Reset:").click()
    assert press(page, 1)[0] == "10.0"


def test_endless_printing_is_cut_off(page):
    cell(page, 0).get_by_role("button", name="Edit:").click()
    cell(page, 0).locator("textarea").fill("while True:\n    print('again')")
    printed, stopped = press(page, 0)
    assert len(printed) < 250_000
    assert stopped == "Stopped."


def test_a_figure_is_drawn_in_the_colours_of_the_page_also_in_a_box(page):
    page.locator("summary", has_text="The code of the figure").click()
    press(page, 2)
    figure = cell(page, 2).locator(".came figure.plot svg")
    assert figure.get_attribute("role") == "img"
    drawn = figure.inner_html()
    assert "var(--plot-1)" in drawn
    assert not re.search("#0[a1]0", drawn)
    ids = page.evaluate("[...document.querySelectorAll('svg [id]')].map(element => element.id)")
    press(page, 2)
    again = page.evaluate("[...document.querySelectorAll('svg [id]')].map(element => element.id)")
    assert len(set(ids)) == len(ids)
    assert len(set(again)) == len(again)
    assert set(ids) != set(again)


def test_a_warning_and_a_value_are_shown_as_a_console_shows_them(page):
    cell(page, 0).get_by_role("button", name="Edit:").click()
    code = 'import numpy as np\nplot = __import__("matplotlib.pyplot").pyplot.show()\nnp.log(0)\nNone\n"it"'
    cell(page, 0).locator("textarea").fill(code)
    for _ in range(2):
        warning = "RuntimeWarning: divide by zero encountered in log (line 3)"
        assert press(page, 0) == [f"{warning}\nnp.float64(-inf)\n'it'"]


def test_an_exercise_has_a_block_to_write_in_and_if_its_answer_is_code_a_check(page):
    assert page.locator(".live.exercise").count() == 2
    assert cell(page, 6).get_by_role("button", name="Check:").count() == 0
    area, check = cell(page, 4).locator("textarea"), cell(page, 4).get_by_role("button", name="Check:")
    assert (
        page.evaluate(
            "document.querySelector('.live.exercise').compareDocumentPosition(document.querySelector('details.success'))"
        )
        & 4
    )
    check.click()
    assert came(page, 4) == ["Not yet: there is no twice."]
    area.fill("def twice(f):\n    return f")
    check.click()
    assert came(page, 4) == ["Not yet:\n>>> print(twice(half)(a))\nwanted\n5.0\ncame\n10.0"]
    area.fill("def twice(f):\n    return lambda x: f(f(x)) if x == a else 0")
    check.click()
    assert came(page, 4) == ["Not yet:\n>>> assert twice(half)(1) == 0.25\ncame\nAssertionError"]
    area.fill("def twice(f):\n    return 1 / 0\ntwice(1)")
    check.click()
    assert came(page, 4)[-1] == "Not yet: it does not run through."
    area.fill("def twice(f):\n    def g(x):\n        return f(f(x))\n    return g")
    check.click()
    assert came(page, 4) == ["Right."]
    page.reload()
    assert area.input_value().startswith("def twice(f):\n    def g")
    cell(page, 4).get_by_role("button", name="Reset:").click()
    assert area.input_value() == ""


def test_a_check_compares_with_the_page_as_it_is_written_whatever_the_reader_has_changed(page):
    cell(page, 0).get_by_role("button", name="Edit:").click()
    cell(page, 0).locator("textarea").fill("a = 1\ndef half(x): return x")
    press(page, 0)
    cell(page, 4).locator("textarea").fill("twice = lambda f: lambda x: f(f(x))")
    assert press(page, 4, "Check") == ["Right."]


def kernels_of(server):
    """The command lines of the server's child processes."""
    done = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(server.pid)], capture_output=True, text=True)
    return [line.split()[0] for line in done.stdout.splitlines() if "ipykernel" in line]


@pytest.mark.skipif(not shutil.which("ps"), reason="looks for processes with ps")
def test_a_page_loaded_anew_has_a_new_kernel_and_none_is_left_when_the_server_ends(browser, small):
    with serving(small) as (address, server):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        assert kernels_of(server) == []
        assert press(page, 1)[0] == "10.0"
        (old,) = kernels_of(server)
        page.reload()
        assert press(page, 1)[0] == "10.0"
        (new,) = kernels_of(server)
        assert new != old
        page.goto("about:blank")
        page.go_back()
        assert press(page, 1)[0] == "10.0"
        page.close(run_before_unload=False)
    assert subprocess.run(["ps", "-p", new], capture_output=True).returncode == 1


# Who may ask


@pytest.fixture(scope="module")
def asked(address):
    """asked(**changes) is the answer to a request as the page makes it, but for the changes."""
    port = int(address.rstrip("/").rpartition(":")[2])
    token = re.search('name="live" content="(.*?)"', fetch(address))[1]

    def ask(method="POST", **changes):
        body = json.dumps({"do": "run", "id": "test", "above": [], "code": "6 * 7", "edited": True, "number": 0})
        headers = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}", "X-Token": token} | changes
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(method, "/.live", body, {k: v.replace("PORT", str(port)) for k, v in headers.items() if v})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return ask


def test_the_page_gets_an_answer(asked):
    assert asked() == (200, '[["stdout", "42\\n"]]')


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"X-Token": ""},
        {"X-Token": "wrong"},
        {"X-Token": "fälschlich"},
        {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"method": "GET"},
        {"method": "OPTIONS"},
        {"Content-Length": str(2**20 + 1)},
        {"Content-Length": "many"},
    ],
    ids=lambda change: str(change)[:60],
)
def test_nobody_else_does(asked, change):
    assert asked(**change) == (403, "not from a page of this server")


def test_a_server_that_others_can_reach_offers_nothing(small):
    with serving(small, "0.0.0.0") as (address, _):
        assert not TRACE.search(fetch(address))
        for path in (".live", "assets/js/live.js", "assets/css/live.css"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(address + path)


def test_a_built_site_has_no_trace_of_it(site):
    assert not [path for path in site.rglob("*") if path.name.startswith("live.")]
    for path in site.rglob("*.html"):
        assert not TRACE.search(path.read_text("utf-8")), path


# The book


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_answer_is_right_and_nothing_is_not(chapter):
    """The check of each exercise that has one: its own answer, twice, and between them functions that return None."""
    markdown = (ROOT / "docs" / "book" / chapter).read_text("utf-8")
    exercises = [exercise for exercise in live.exercises(markdown) if exercise.names]
    assert len(exercises) >= 2
    for exercise in exercises:
        box = re.split(r"(?m)^(?:\*\*\d+\. |## )", markdown[exercise.at :])[0]
        own = "".join(e.source for part in executed.parts(box) for e in executed.examples(part["body"] or ""))
        none = "".join(f"{name} = lambda *args, **settings: None\n" for name in exercise.names)
        for code, verdict in (own, "right"), (none, "not yet"), (own, "right"), ("", "not yet"):
            above = live.code_above(markdown, exercise)
            shown = kernel.ask(chapter, ROOT, "check", above, code, *exercise[2:])
            assert shown[-1][0] == verdict, (exercise.number, shown)
    kernel.close(chapter)


SHOWN = """
[...document.querySelectorAll('.highlight:has(.gp) code')].map(
    code => [...code.querySelectorAll('.out')].map(out => out.textContent).join(''))
"""


def test_one_block_of_every_chapter_is_run_and_edited_and_every_block_of_one_shows_what_the_page_shows(browser, site):
    del site  # its build keeps the pages' results, for which nobody has to wait now
    with serving(ROOT) as (address, _):
        for chapter in CHAPTERS:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(run(f"{address}book/{chapter.removesuffix('.md')}/"))
            page.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true })")
            blocks = page.evaluate(SHOWN)
            cells = page.evaluate("[...document.querySelectorAll('.live')].map(c => c.matches('.exercise'))")
            places = [k for k, exercise in enumerate(cells) if not exercise]
            shown = [re.sub(r"Traceback \(most.*?\n(?: .*\n)+", "", block) for block in blocks]
            pairs = list(zip(places, shown, strict=True))
            for place, wanted in pairs if chapter.startswith("02") else [pair for pair in pairs if pair[1]][:1]:
                got = [text.partition("\nin line ")[0] for text in press(page, place) if text]
                got = [text for text in got if text != "Done. There is nothing to show."]
                assert "\n".join(got).split("\n") == wanted.strip().split("\n"), (chapter, place)
            cell(page, places[0]).get_by_role("button", name="Edit:").click()
            cell(page, places[0]).locator("textarea").fill("import nnfunc as nn\nnn.relu(7.0) * 6")
            assert press(page, places[0]) == ["np.float64(42.0)"], chapter
            page.close()
