"""What leads readers to a page: its title, its description and address, what search makes of it, how to install."""

import html
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INSTALL = (DOCS / "install.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


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
def test_the_readme_and_the_page_install_the_book_alike(language, then):
    line, page = (commands(text, language)[0] for text in (README, INSTALL))
    assert then.join(part.strip() for part in page.strip().splitlines()) == line.strip()
    assert "NO_MKDOCS_2_WARNING=1" in line
    assert line.strip().endswith("mkdocs serve --open")


def test_no_line_asks_a_package_index_for_nnfunc():
    texts = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "nnfunc").rglob("*.py")]
    lines = [line for path in texts for line in path.read_text("utf-8").splitlines() if "pip install" in line]
    asked = [line for line in lines if re.search(r"""pip install\b[^`&;]*\s["']?nnfunc\b""", line)]
    assert len(lines) > 10
    assert asked == []
