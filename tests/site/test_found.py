"""What leads readers to a page: its title, its description and address, what search makes of it, how to install."""

import html
import importlib
import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOME = (DOCS / "index.md").read_text("utf-8")
INSTALL = (DOCS / "install.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


def hook():
    pytest.importorskip("mkdocs", reason="the site's hooks need the book extra")
    sys.path.insert(0, str(DOCS / "hooks"))
    try:
        return importlib.import_module("found")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def pages(site):
    """{address: HTML} of every page."""
    found = {path.parent.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("index.html")}
    assert len(found) == len(list(DOCS.rglob("*.md")))
    return found


def words(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup.replace('title="Permanent link">&para;', ">"))).split())


def test_a_page_has_one_title_in_the_contents_above_its_text_and_in_the_tab(pages):
    contents = re.findall(r'<a href="([^"]*)" class="md-nav__link[^"]*">(.*?)</a>', pages["."], re.S)
    named = {address.strip("/") or ".": words(title) for address, title in contents if not address.startswith("#")}
    titles = {address: words(re.search(r"<h1[^>]*>(.*?)</h1>", text, re.S)[1]) for address, text in pages.items()}
    assert titles == named
    assert {address: words(re.search(r"<title>(.*?)</title>", text, re.S)[1]) for address, text in pages.items()} == {
        address: f"{title} - nnfunc" for address, title in titles.items()
    }
    assert len(set(titles.values())) == len(titles)


def test_every_page_has_a_description_of_its_own(pages):
    told = {}
    for address, text in pages.items():
        (told[address],) = re.findall(r'<meta name="description" content="([^"]*)">', text)
        assert re.findall(r'<meta property="og:description" content="([^"]*)">', text) == [told[address]]
        (title,) = re.findall(r'<meta property="og:title" content="([^"]*)">', text)
        assert f"<title>{title} - nnfunc</title>" in text
    short = {address: text for address, text in told.items() if not 40 <= len(html.unescape(text)) <= 160}
    assert short == {}
    assert len(set(told.values())) == len(told)
    assert [text for text in told.values() if re.search(r"[<>\\$`*]|\s\s", text)] == []


@pytest.mark.parametrize(
    ("paragraph", "told"),
    [
        ("Short.", "Short."),
        ("<a href='x'>One</a>\n&lt; <code>two</code>", "One < two"),
        (f"{'word ' * 15}end. {'word ' * 15}end. More of it.", f"{'word ' * 15}end. {'word ' * 15}end."),
        (f"At 0.5 it turns. {'word ' * 40}end.", f"At 0.5 it turns. {'word ' * 28}…"),
        ("word " * 40, f"{'word ' * 31}…"),
    ],
)
def test_a_description_is_as_many_sentences_as_fit(paragraph, told):
    found = hook()
    made = found.description(f'<h1>T</h1><p class="taught">In the book</p><p>{paragraph}</p><p>Second.</p>')
    assert made == told.strip()
    assert len(made) <= found.LONGEST


def test_front_matter_says_its_own():
    page = SimpleNamespace(meta={"description": "Mine."}, file=SimpleNamespace(src_uri="book/01.md"))
    hook().on_page_content("<p>Another.</p>", page, None, None)
    hook().on_page_markdown("", page, None, None)
    assert page.meta == {"description": "Mine.", "search": {"boost": 3}}


def test_the_glossary_has_a_heading_for_each_term_and_letters_alone_in_its_contents(pages):
    text = pages["about/glossary"]
    terms = re.findall(r'<h3 id="([^"]+)">', text)
    contents = re.findall(r'<a href="#([^"]*)" class="md-nav__link">', text)
    assert len(terms) > 100
    assert set(contents) == {term[0] for term in terms}


def test_search_tells_the_nodes_of_its_words_apart(site):
    """If a new theme has other code here, see whether lunr's issue 503 is still open (docs/hooks/found.py)."""
    (worker,) = (site / "assets" / "javascripts" / "workers").glob("search.*.js")
    assert worker.read_text("utf-8").count('.id+","') == 1


# The address


def test_the_addresses_come_from_the_environment(tmp_path, monkeypatch):
    """A small site, built with the settings of this one."""
    build, load = (importlib.import_module(f"mkdocs.{name}") for name in ("commands.build", "config"))
    (tmp_path / "docs" / "book").mkdir(parents=True)
    for name in ("index.md", "book/page.md"):
        (tmp_path / "docs" / name).write_text("# Title\n\nText.\n")

    def made(name):
        less = {
            "nav": ["index.md", "book/page.md"],
            "hooks": [],
            "plugins": [],
            "exclude_docs": "",
            "watch": [],
            "strict": True,
        }
        folders = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / name)}
        build.build(load.load_config(str(ROOT / "mkdocs.yml"), **folders, **less))
        texts = [(tmp_path / name / file).read_text("utf-8") for file in ("sitemap.xml", "book/page/index.html")]
        return texts[0], re.findall(
            r'<link rel="canonical" href="([^"]*)">|<a href="([^"]*)"[^>]* rel="edit">', texts[1]
        )

    for name in ("NNFUNC_SITE_URL", "NNFUNC_EDIT_URI"):
        monkeypatch.delenv(name, raising=False)
    sitemap, links = made("without")
    assert "<loc>" not in sitemap
    assert links == []
    monkeypatch.setenv("NNFUNC_SITE_URL", "https://example.org/nnfunc")
    monkeypatch.setenv("NNFUNC_EDIT_URI", "https://example.org/me/nnfunc/edit/main/docs/")
    sitemap, links = made("with")
    place = "https://example.org/nnfunc"
    assert re.findall(r"<loc>(.*)</loc>", sitemap) == [f"{place}/", f"{place}/book/page/"]
    edit = "https://example.org/me/nnfunc/edit/main/docs/book/page.md"
    assert sorted(filter(None, sum(links, ()))) == [edit, f"{place}/book/page/"]


# Install


def commands(text, language):
    return re.findall(rf"^[ ]*```{language}\n(.*?)^[ ]*```$", text, re.M | re.S)


def test_every_extra_is_listed_with_what_it_brings():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", INSTALL, re.M)
    wanted = {}
    for extra, needs in EXTRAS.items():
        together = re.match(r"nnfunc\[(.*)\]", needs[0])
        others = [f"`{name}`" for name in together[1].split(",")] if together else []
        wanted[extra] = sorted([*others, *(re.match(r"[\w-]+", need)[0] for need in needs[len(others) > 0 :])])
    assert {extra: sorted(brings.split(", ")) for extra, brings in rows} == wanted


def test_those_extras_bring_pytorch_or_jax_that_are_said_to():
    def large(extra):
        inner = re.findall(r"[\w]+", " ".join(re.findall(r"nnfunc\[(.*)\]", " ".join(EXTRAS[extra]))))
        return any(re.match(r"torch|jax", need) for need in EXTRAS[extra]) or any(map(large, inner))

    said = re.search(r"\bOnly (.*) bring them\.$", INSTALL, re.M)[1]
    assert set(re.findall(r"`(\w+)`", said)) == set(filter(large, EXTRAS))


@pytest.mark.parametrize(("language", "then"), [("sh", " && "), ("powershell", "; ")])
def test_the_readme_home_and_install_bring_the_book_alike(language, then):
    line, home, page = (commands(text, language)[0] for text in (README, HOME, INSTALL))
    assert home.strip() == line.strip()
    assert then.join(part.strip() for part in page.strip().splitlines()) == line.strip()
    assert "NO_MKDOCS_2_WARNING=1" in line
    assert line.strip().endswith("mkdocs serve --open")


def test_no_line_asks_a_package_index_for_nnfunc():
    texts = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "nnfunc").rglob("*.py")]
    lines = [line for path in texts for line in path.read_text("utf-8").splitlines() if "pip install" in line]
    asked = [line for line in lines if re.search(r"""pip install\b[^`&;]*\s["']?nnfunc\b""", line)]
    assert len(lines) > 10
    assert asked == []
