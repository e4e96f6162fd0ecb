"""The site as a reader gets it: built strictly, and looked through page by page."""

import hashlib
import html
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nnfunc

ROOT = Path(__file__).parents[2]
CHECK = Path(__file__).with_name("check_site.py")


def check(site):
    done = subprocess.run([sys.executable, str(CHECK), str(site)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_nothing_is_dead_foreign_unseen_raw_or_heavy(site):
    code, lines = check(site)
    assert lines == ["0 faults"]
    assert code == 0


def test_every_page_is_built_and_none_of_the_machinery(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.parent.relative_to(site) for path in site.rglob("index.html")}
    assert {page.parent if page.name == "index" else page for page in pages} == built
    assert not list(site.rglob("*.py"))
    assert not (site / "hooks").exists()


def entries(site):
    """The entries of the reference but for the fields of tuples: {full name: HTML}."""
    found = {}
    for path in sorted((site / "reference").glob("*/index.html")):
        parts = re.split(r'<h2 id="(nnfunc\.[^"]+)" class="doc doc-heading">', path.read_text("utf-8"))
        found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return found


def public():
    """What the modules offer, once each: {full name: value}."""
    modules = [importlib.import_module(f"nnfunc.{info.name}") for info in pkgutil.iter_modules(nnfunc.__path__)]
    return {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in getattr(m, "__all__", [])}


def test_the_reference_has_every_public_name_and_says_where_the_book_teaches_it(site):
    shown, wanted = entries(site), public()
    values = {id(pkgutil.resolve_name(name)): name for name in shown}
    assert [name for name, value in wanted.items() if id(value) not in values] == []
    assert len(shown) == len(values) == len({id(value) for value in wanted.values()})
    assert [name for name, text in shown.items() if '<p class="taught"' not in text] == []


# As in tests/test_docstrings.py: where all is mathematics.
MATHEMATICS = ["functions", "gradient", "conv", "ops", "layers", "networks", "numerical", "optimizers"]


def test_an_entry_of_a_function_has_all_its_parts_and_that_of_a_lifted_layer_leads_to_its_op(site):
    shown = entries(site)
    assert "nnfunc.ops.affine" in shown
    for name, text in shown.items():
        value = pkgutil.resolve_name(name)
        if hasattr(value, "op") and inspect.isfunction(value):
            assert f'#nnfunc.ops.{value.op.__name__}"' in text, name
        elif inspect.isfunction(value):
            wanted = ["<math", "<summary>References</summary>"] if name.split(".")[1] in MATHEMATICS else []
            for part in [*wanted, 'class="gp"']:
                assert part in text, f"{name} lacks {part}"


def test_formulas_are_mathml_in_the_font_that_lies_beside_its_licence(site):
    assert "<math" in (site / "reference" / "ops" / "index.html").read_text("utf-8")
    font = site / "assets" / "fonts" / "stix-two-math.woff2"
    assert font.read_bytes()[:4] == b"wOF2"
    assert font.stat().st_size < 150_000
    assert "SIL OPEN FONT LICENSE" in font.with_name("stix-two-math-licence.txt").read_text("utf-8")


def test_the_page_about_tests_shows_its_listing_and_no_directive_in_it(site):
    text = (site / "how-tested" / "index.html").read_text("utf-8")
    assert "[u'W1', u'b1']" in html.unescape(text)
    assert text.count("doctest: +IGNORE_UNICODE") == 1, "in the prose, not in the block"


def test_two_builds_are_the_same_to_the_byte(site, build, tmp_path):
    def digests(folder):
        return {
            p.relative_to(folder): hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob("*") if p.is_file()
        }

    first, second = digests(site), digests(build(tmp_path / "second", PYTHONHASHSEED="1"))
    assert sorted(str(path) for path in first.keys() | second.keys() if first.get(path) != second.get(path)) == []


RUN = """
import json, sys
from pathlib import Path
sys.path.insert(0, "docs/hooks")
import executed
for name in sys.argv[1:]:
    print(json.dumps(executed.run(Path("docs", name).read_text("utf-8"), name)["parts"]))
"""


@pytest.mark.usefixtures("build")
def test_a_page_gives_the_same_in_another_process():
    """The two builds above may share what is kept; here the code runs twice."""
    pages = ["book/00-calculus.md", "book/02-perceptrons.md", "book/04a-slopes.md", "book/05a-way-back.md"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    first, second = (
        subprocess.run(
            [sys.executable, "-c", RUN, *pages],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second
    assert first.count("<svg") > 10


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('<a href="gone/">x</a>', "index.html:1: no file for gone/"),
        ('<a href="#gone">x</a>', "index.html:1: no #gone in index.html"),
        ('<a href="other.html#here">x</a>', "index.html:1: no #here in other.html"),
        (
            '<script src="https://example.org/a.js"></script>',
            "index.html:1: fetched from elsewhere: https://example.org/a.js",
        ),
        ('<img alt="a" src="//example.org/a.png">', "index.html:1: fetched from elsewhere: //example.org/a.png"),
        ('<img alt="" src="other.html">', "index.html:1: picture without alternative text: other.html"),
        ('<figure><svg><path d=""/></svg></figure>', "index.html:1: figure without alternative text"),
        (r"<p>so \(x\) is</p>", r"index.html:1: formula left as LaTeX: so \(x\) is"),
        (r"<p>$$\frac12$$</p>", r"index.html:1: formula left as LaTeX: $$\frac12$$"),
        ("<p>" + "long " * 60_000 + "</p><svg>" + "a" * 99 + "</svg>", "index.html: 300,007 bytes without its figures"),
    ],
)
def test_the_check_finds_each_kind_of_fault(tmp_path, content, fault):
    (tmp_path / "index.html").write_text(content)
    (tmp_path / "other.html").write_text('<p id="there">x</p>')
    assert check(tmp_path) == (1, [fault, "1 faults"])


def test_the_check_reads_style_sheets(tmp_path):
    (tmp_path / "a.css").write_text(
        '@import "https://example.org/b.css"; p { src: url(gone.png) } q { src: url("a.css") }'
    )
    assert check(tmp_path) == (
        1,
        [
            "a.css: https://example.org/b.css is elsewhere or missing",
            "a.css: gone.png is elsewhere or missing",
            "2 faults",
        ],
    )


def test_the_check_passes_a_good_page(tmp_path):
    links = '<p id="a"><a href="#a">x</a> <a href="https://example.org">y</a></p>'
    figure = '<figure><img src="index.html" alt="z"></figure>'
    (tmp_path / "index.html").write_text(links + r"<code>\(x\)</code>" + figure)
    assert check(tmp_path) == (0, ["0 faults"])


def test_each_parameter_of_the_reference_has_its_own_default(site):
    entry = html.unescape(re.sub(r"<[^>]+>", "", entries(site)["nnfunc.optimizers.adam"]))
    shown = dict(re.findall(r"(\w+)\s+\(\s*float,\s+default:\s+(\S+)\s*\)", entry))
    assert shown == {"lr": "0.001", "beta1": "0.9", "beta2": "0.999", "eps": "1e-08"}
