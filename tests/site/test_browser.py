"""The site in a real browser: each page by day and by night, wide and on a phone, and what a reader does with it."""

import csv
import doctest
import functools
import http.server
import json
import re
import threading
from pathlib import Path

import pytest

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the browser tests need the browser extra")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    "".join(f"{part}/" for part in path.relative_to(DOCS).with_suffix("").parts if part != "index")
    for path in DOCS.rglob("*.md")
)
LOOKS = [("light", "default", 1280), ("dark", "slate", 360)]
SIZES = [1280, 390, 360]
PATIENCE = 180_000  # milliseconds: a busy machine is slow, and that is no failure

# What a page shows that it should not; boxes are opened first, since what they hold must fit as well.
FAULTS = """
async () => {
    document.querySelectorAll("details").forEach(box => { box.open = true })
    await document.fonts.ready
    const faults = [], seen = element => element.getBoundingClientRect().width * element.getBoundingClientRect().height
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth > width) {
        const content = [...document.querySelectorAll("article *")]
        const far = content.find(element => element.getBoundingClientRect().right > width && !element.closest("pre"))
        faults.push(`scrolls sideways to ${document.documentElement.scrollWidth}, ${far?.outerHTML.slice(0, 99)}`)
    }
    for (const box of document.querySelectorAll("article :is(pre, pre code, .md-typeset__scrollwrap, table)"))
        if (width < 400 && box.scrollWidth > box.clientWidth)
            faults.push(`scrolls sideways: ${box.textContent.slice(0, 99)}`)
    for (const code of document.querySelectorAll("article pre code"))
        if (parseFloat(getComputedStyle(code).fontSize) < 11) faults.push(`too small: ${code.textContent.slice(0, 99)}`)
    for (const math of document.querySelectorAll("article math"))
        if (!seen(math)) faults.push(`not to be seen: ${math.textContent}`)
    if (document.querySelector("article math")) {
        const font = [...document.fonts].find(font => font.family.includes("STIX Two Math"))
        if (font?.status != "loaded") faults.push(`the formulas' font is ${font?.status}`)
    }
    for (const picture of document.querySelectorAll("article img, article figure svg:not(.still)")) {
        if (!(picture.getAttribute("alt") ?? picture.getAttribute("aria-label") ?? "").trim())
            faults.push(`no alternative text: ${picture.outerHTML.slice(0, 99)}`)
        if (!seen(picture)) faults.push(`not to be seen: ${picture.outerHTML.slice(0, 99)}`)
    }
    return faults
}
"""
# The lines of code that take several rows, and how far those after the first stand right of where the code begins.
WRAPPED = """
() => [...document.querySelectorAll("pre .line")].map(line => {
    const range = document.createRange(), walk = document.createTreeWalker(line, NodeFilter.SHOW_TEXT), places = []
    for (let node = walk.nextNode(); node; node = walk.nextNode())
        for (let i = 0; i < node.length; i++) {
            range.setStart(node, i); range.setEnd(node, i + 1)
            const { left, top } = range.getBoundingClientRect()
            if (node.data[i].trim()) places.push([left, Math.round(top)])
        }
    const text = line.textContent, begin = text.match(/^(?:(?:>>>|[.]{3}) )? */)[0].replace(/ /g, "").length
    const next = places.find(place => place[1] > places[0][1] + 5)
    return next && { text, deeper: next[0] - places[begin][0] }
}).filter(Boolean)
"""
FOCUS = """
() => {
    const element = document.activeElement
    const shown = element.matches("input.md-option") ? element.nextElementSibling : element
    const style = getComputedStyle(shown), box = shown.getBoundingClientRect()
    const visible = style.outlineStyle != "none" && parseFloat(style.outlineWidth) > 0 && box.width * box.height > 0
    return [element == document.body ? "" : shown.outerHTML.slice(0, 120), visible]
}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(browser, site):
    """Where the built site is served."""
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def tabs(browser, address):
    """A tab by day and a tab by night, each with the list of what went wrong in it.

    They get an empty index to search, since Material reads the whole of it on every page.
    """
    empty = {"config": {"lang": ["en"], "separator": " ", "pipeline": [], "fields": {}}, "docs": []}
    opened = {}
    for look, _, width in LOOKS:
        context = browser.new_context(
            color_scheme=look, reduced_motion="reduce", viewport={"width": width, "height": 800}
        )
        context.set_default_timeout(PATIENCE)
        context.route("**/search_index.json", lambda route: route.fulfill(json=empty))
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab, wrong = context.new_page(), []
        tab.on("console", lambda said, wrong=wrong: said.type in ("error", "warning") and wrong.append(said.text))
        tab.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        tab.on("request", lambda r, wrong=wrong: r.url.startswith(("data:", address)) or wrong.append(f"asks {r.url}"))
        tab.on("response", lambda r, wrong=wrong: r.status < 400 or wrong.append(f"{r.status} {r.url}"))
        opened[look] = tab, wrong
    return opened


@pytest.fixture
def tab(tabs):
    """The tab by day, at its full width."""
    tab, _ = tabs["light"]
    tab.set_viewport_size({"width": 1280, "height": 800})
    return tab


def visit(tab, url):
    assert tab.goto(url).ok, url
    tab.wait_for_function("document.body.hasAttribute('data-md-color-scheme')")


def barriers(tab):
    """What axe-core finds wrong with the page for readers who cannot see it well, or not at all."""
    found = axe.Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{rule['id']}: {node['html'][:99]} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(("look", "scheme", "width"), LOOKS, ids=["light", "dark"])
@pytest.mark.parametrize("page", [*PAGES, "404.html"], ids=lambda page: page or "home")
def test_a_page_is_whole_by_day_and_by_night_wide_and_on_a_phone(tabs, address, page, look, scheme, width):
    tab, wrong = tabs[look]
    wrong.clear()
    faults = []
    for size in sorted(SIZES, reverse=width == max(SIZES)):
        tab.set_viewport_size({"width": size, "height": 800})
        if size == width:
            visit(tab, address + page)
            assert tab.locator("body").get_attribute("data-md-color-scheme") == scheme
        faults += [f"{size}: {fault}" for fault in tab.evaluate(FAULTS)]
        if size == width:
            faults += barriers(tab)
    assert faults + wrong == []


@pytest.mark.parametrize("page", ["book/05a-way-back/", "reference/ops/"])
def test_formulas_are_set_in_the_sites_own_font(tab, address, page):
    visit(tab, address + page)
    tab.evaluate(FAULTS)
    protocol = tab.context.new_cdp_session(tab)
    protocol.send("DOM.enable")
    protocol.send("CSS.enable")
    root = protocol.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    formulas = protocol.send("DOM.querySelectorAll", {"nodeId": root, "selector": "article math"})["nodeIds"]
    fonts = {
        (font["familyName"], font["isCustomFont"])
        for formula in formulas
        for font in protocol.send("CSS.getPlatformFontsForNode", {"nodeId": formula})["fonts"]
    }
    protocol.detach()
    assert len(formulas) > 10
    assert fonts == {("STIX Two Math", True)}


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("page", ["index", "book/05b-a-network-learns"])
def test_the_copy_button_takes_what_can_be_typed(tab, address, page, width):
    tab.set_viewport_size({"width": width, "height": 800})
    text = (DOCS / f"{page}.md").read_text("utf-8")
    blocks = re.findall(r"(?ms)^([ \t]*)```pycon\n(.*?)^\1```$", text)
    blocks = [doctest.DocTestParser().get_examples(body) for _, body in blocks]
    shown = [[example for example in block if not example.source.endswith("# band\n")] for block in blocks]
    typed = ["".join(example.source for example in block) for block in shown]
    assert any(block[-1].want for block in shown)
    visit(tab, address + page.removesuffix("index"))
    tab.evaluate(FAULTS)
    copied = []
    for block in tab.locator("pre:has(.gp)").all():
        block.locator("xpath=..").locator("[data-clipboard-target]").evaluate("button => button.click()")
        tab.wait_for_function("navigator.clipboard.readText().then(text => text != '-')")
        copied.append(tab.evaluate("navigator.clipboard.readText()"))
        tab.evaluate("navigator.clipboard.writeText('-')")
    assert copied == [re.sub(r"[ \t]*#[ \t]*doctest:.*", "", code).rstrip("\n") for code in typed]


def test_a_long_line_goes_on_deeper_than_it_began_on_a_phone(tab, address):
    tab.set_viewport_size({"width": 390, "height": 800})
    visit(tab, address + "book/05b-a-network-learns/")
    tab.evaluate(FAULTS)
    wrapped = tab.evaluate(WRAPPED)
    assert len(wrapped) > 20
    assert [line for line in wrapped if not 0 < line["deeper"] < 30] == []


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)], ids=["phone", "desk"])
def test_home_says_in_its_first_screen_what_this_is_and_where_to_go(tab, address, size):
    tab.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    visit(tab, address)
    seen = [part for part in tab.locator("article h1, article p, article a").all()
            if (box := part.bounding_box()) and box["y"] + box["height"] < size[1]]  # fmt: skip
    text = " ".join(part.inner_text() for part in seen)
    for answer in ("library", "book", "people who program", "Python and NumPy", "no graphics card", "MNIST", "checked"):
        assert answer in text
    links = {part.inner_text(): part.get_attribute("href") for part in seen if part.get_attribute("href")}
    ways = {"Start reading": "book/00-calculus/", "Run it": "#run-it", "Use the library": "#use-the-library"}
    assert links | ways | {"perceptrons": "book/02-perceptrons/"} == links
    assert tab.locator("article figure").first.bounding_box()["y"] < size[1] - 100


def test_the_line_that_runs_it_is_copied_as_the_readme_has_it(tab, address):
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    visit(tab, address)
    for system, language in ("Linux and macOS", "sh"), ("Windows, in PowerShell", "powershell"):
        tab.get_by_text(system, exact=True).first.click()
        tab.evaluate("navigator.clipboard.writeText('-')")
        block = tab.locator(".tabbed-block:visible").first
        block.locator("[data-clipboard-target]").evaluate("button => button.click()")
        tab.wait_for_function("navigator.clipboard.readText().then(text => text != '-')")
        (line,) = tab.evaluate("navigator.clipboard.readText()").split("\n")
        assert f"```{language}\n{line}\n```" in readme
        assert "mkdocs serve" in line


# What the site's own search worker finds for each of the words, best first: the results of a page stand together.
SEARCH = """
async words => {
    const worker = new Worker(new URL(JSON.parse(document.getElementById("__config").textContent).search, location))
    const ask = message => new Promise(answer => {
        worker.onmessage = event => answer(event.data)
        worker.postMessage(message)
    })
    const index = await (await fetch("search/search_index.json")).json()
    await ask({type: 0, data: {...index, options: {suggest: false}}})
    const found = {}
    for (const word of words)
        found[word] = (await ask({type: 2, data: word})).data.items.map(page => page.map(section => section.location))
    worker.terminate()
    return found
}
"""
LOSS, BACK = "book/04b-learning/#loss-functions", "book/05a-way-back/#the-chain-rule"
FIRST = {
    "install": "install/",
    "installation": "install/",
    "softmax": "book/03-networks/#softmax",
    "ソフトマックス関数": "book/03-networks/#softmax",
    "adam": "book/06a-updates/#adam",
    "dropout": "book/06b-regularising/#dropout",
    "loss function": LOSS,
    "損失関数": LOSS,
    "손실함수": LOSS,
    "손실 함수": LOSS,
    "backpropagation": BACK,
    "誤差逆伝播法": BACK,
    "오차역전파법": BACK,
    "오차 역전파법": BACK,
    "확률적경사하강법": "book/04b-learning/#learning-at-last",
    "확률적 경사하강법": "book/04b-learning/#learning-at-last",
}


@pytest.fixture(scope="module")
def search(browser, address):
    """search(words): {word: a list for each page, best first, with what was found on it}."""
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        visit(tab, address)
        yield lambda words: tab.evaluate(SEARCH, [*words])


def test_the_search_finds_the_explanation_first_and_the_chapter_before_the_reference(search):
    found = search(FIRST)
    assert {word: pages[0][0] for word, pages in found.items()} == FIRST
    for word in ("softmax", "adam", "dropout", "affine", "batch", "gradient", "convolution", "pullback"):
        tops = [page[0].partition("/")[0] for page in (found.get(word) or search([word])[word])]
        assert tops.index("book") < tops.index("reference"), word


def test_each_term_of_the_glossary_is_found_as_itself_and_where_it_is_explained_in_three_languages(search):
    with (DOCS / "about" / "glossary.csv").open(encoding="utf-8", newline="") as file:
        terms = list(csv.DictReader(file))
    addresses = {}
    for term in terms:
        page, anchor = term["introduced"].split(".md#")
        korean = term["korean"].split(", ")
        words = [term["term"], *term["japanese"].split("、"), *korean, *(word.replace(" ", "") for word in korean)]
        slug = re.sub(r"\W+", "-", term["term"].lower())
        addresses |= dict.fromkeys(words, (f"about/glossary/#{slug}", f"{page}/#{anchor}", f"{page}/"))
    addresses.pop("")
    lost = {}
    for word, pages in search(addresses).items():
        entry, *places = addresses[word]
        sections = [section for page in pages for section in page]
        if entry not in sections or not {*places} & {*sections}:
            lost[word] = sections[:5]
    assert len(addresses) > 400
    assert lost == {}


def test_the_search_answers_whatever_is_typed_first(search, site):
    """A word that lunr has made up stops every search for what it begins with, so first letters find them all."""
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    texts = " ".join(entry[part] for entry in index["docs"] for part in ("title", "text"))
    separator = re.compile(index["config"]["separator"])
    words = {word.lower() for word in separator.split(re.sub(r"<[^>]*>", " ", texts)) if word and word[0].isalnum()}
    typed = {word[0] for word in words} | {word for word in words if re.search(r"\d", word)}
    assert {"p", "4", "손", "im2col"} <= typed
    assert sorted(letters for letters, pages in search(typed).items() if not pages) == []


def test_a_reader_sees_by_which_word_a_section_was_found(browser, address):
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        visit(tab, address)
        tab.locator("input.md-search__input").click()
        tab.locator("input.md-search__input").fill("損失関数")
        tab.locator(".md-search-result__meta", has_text="matching document").wait_for()
        first = tab.locator("a.md-search-result__link:has(.md-tag)").first
        assert first.evaluate("link => link.pathname + link.hash") == f"/{LOSS}"
        assert [tag.inner_text() for tag in first.locator(".md-tag").all() if tag.is_visible()] == ["損失関数\u200b"]
        assert first.locator(".md-tag").count() > 3


@pytest.mark.parametrize("page", ["", "book/05b-a-network-learns/", "reference/functions/"])
def test_whoever_uses_the_keyboard_sees_where_they_are(tab, address, page):
    visit(tab, address + page)
    reached = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.append(tuple(tab.evaluate(FOCUS)))
    reached = [where for where in reached if where[0]]
    assert len(set(reached)) > 20
    assert [where for where, visible in reached if not visible] == []
    assert "md-skip" in reached[0][0]
