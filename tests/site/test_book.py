"""The book as a path: numbers before verdicts, meanings before words, and a network that learns before its reasons."""

import ast
import doctest
import re
import sys
from functools import cache
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BOOK = DOCS / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("*.md"))
FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?^[ \t]*\1[ \t]*$", re.M | re.S)


def verdict(printed):
    """Whether every word of an output is True or False, behind a label or not."""
    after_labels = [re.sub(r"^.*?\b(?=(True|False)\b)", "", line) for line in printed.splitlines() if line.strip()]
    return all(re.findall(r"\w+", line) and not re.sub(r"True|False|\W", "", line) for line in after_labels)


@pytest.mark.parametrize(
    ("printed", "is_one"),
    [
        ("True\n", True),
        ("W1 True\nb1 False\n", True),
        ("[ True False]\n", True),
        ("(True, True)\n", True),
        ("True 0.5\n", False),
        ("0.5\n", False),
        ("{'W1': True}\n", True),
        ("W1 True\n3.5\n", False),
        ("Truely\n", False),
    ],
)
def test_a_verdict_is_known_as_one(printed, is_one):
    assert verdict(printed) is is_one


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_numbers_rather_than_verdicts(chapter):
    examples = doctest.DocTestParser().get_examples((BOOK / f"{chapter}.md").read_text("utf-8"))
    outputs = [example.want for example in examples if example.want and not example.exc_msg]
    verdicts = sum(map(verdict, outputs))
    assert verdicts <= 0.1 * len(outputs), f"{verdicts} of {len(outputs)} outputs"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_read_in_one_go(chapter):
    prose = FENCED.sub("", (BOOK / f"{chapter}.md").read_text("utf-8"))
    prose = re.sub(r"<!--.*?-->|\$\$.*?\$\$|\]\([^)]*\)", " ", prose, flags=re.S)
    words = len(re.findall(r"[^\W\d_][\w'’-]*", prose))
    assert words <= 5000, f"{words} words"


def test_the_chapters_are_read_in_the_order_of_their_names():
    assert re.findall(r"book/(.*)\.md", (DOCS.parent / "mkdocs.yml").read_text("utf-8")) == CHAPTERS


# Words come after their meaning

EVERYDAY = {
    "axis": "drawings have axes",
    "class": "pupils sit in classes, and Python has them",
    "feature": "whatever stands out",
    "label": "drawings have labels",
    "learning": "what people do",
    "neural network": "the subject of the book",
    "probability": "known from school",
    "rounding": "known from school",
    "shape": "what is round or square",
    "symmetry": "known from school",
}  # terms that say something to everybody, and no more than that until they are introduced
ASIDE = re.compile(
    r"\A---\n.*?^---\n|^[ \t]*(`{3,}|~{3,}).*?^[ \t]*\1[ \t]*$|<!--.*?-->|\$\$.*?\$\$|\$[^$]+\$|(`+)[^`]+\2"
    r"|^#+ [^\n]*$|^\[source: [^\n]*\]$|<[^>]+>|(?<=\])\[[^\]]*\]",
    re.M | re.S,
)  # what is no prose: code, formulas, headings, listings, tags, the addresses of the reference
LINK = re.compile(r"\]\(([^)\s\"]*)\s*")
CITATIONS = "Where the numbers come from"


@cache
def hooks():
    pytest.importorskip("mkdocs", reason="the site's hooks need the book extra")
    sys.path.insert(0, str(DOCS / "hooks"))
    import glossary
    import rows

    sys.path.pop(0)
    return glossary, rows


def book():
    """The sections of the book in the order in which they are read."""
    _, rows = hooks()
    return rows.passages({f"book/{chapter}.md": (BOOK / f"{chapter}.md").read_text("utf-8") for chapter in CHAPTERS})


def forms(term):
    """The term and its plural, in small letters or capitals, in two words or with a hyphen."""
    endings = {"y": "(?:y|ies)", "is": "[ei]s", "ix": "(?:ix|ices)"}
    stem, ending = next(((term.removesuffix(end), more) for end, more in endings.items() if term.endswith(end)),
                        (term, "(?:e?s)?"))  # fmt: skip
    words = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", stem)))
    return re.compile(rf"(?<![\w-]){words}{ending}(?!\w)", re.I)


def linked(sentence, page):
    """The addresses to which the sentence has links."""
    targets = LINK.findall(sentence)
    folder = page.partition("/")[0]
    return [
        page + to if to.startswith("#") else to.removeprefix("../") if to.startswith("../") else f"{folder}/{to}"
        for to in targets
    ]


def too_early(term, sections):
    """(page, heading, sentence) of the first use, if it comes before the meaning and no link leads there, or None.

    A word in emphasis is being explained, if that is on the page where the glossary says that it is.
    """
    introduced, places = term["introduced"], [f"{section.page}#{section.anchor}" for section in sections]
    used, slug = forms(term["term"]), re.sub(r"\W+", "-", term["term"].lower())
    for section in sections[: places.index(introduced)]:
        if section.heading == CITATIONS:
            continue
        for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", ASIDE.sub(" … ", section.text)):
            words = LINK.sub("] ", sentence)
            here = used.search(words)
            if here:
                explained = words[here.start() - 1] == "*" and section.page == introduced.partition("#")[0]
                if explained or {introduced, f"about/glossary.md#{slug}"} & {*linked(sentence, section.page)}:
                    return None
                return section.page, section.heading, " ".join(words.split())
    return None


@pytest.mark.parametrize(
    ("term", "text", "early"),
    [
        ("affine map", "It is an affine map.", True),
        ("affine map", "Two affine-maps.", True),
        ("affine map", "Affine\nmaps.", True),
        ("matrix", "Of matrices.", True),
        ("axis", "Two axes.", True),
        ("symmetry", "Two symmetries.", True),
        ("gate", "Gates.", True),
        ("gate", "To navigate, investigate, delegated.", False),
        ("gate", "`gate`, $gate$, <b class='gate'>, [it][gate.gate]", False),
        ("gate", "```pycon\n>>> gate\n\n```", False),
        ("gate", "    ```pycon\n    >>> gate\n\n    ```\n\n    A gate.", True),
        ("gate", "A [gate](02.md#a-gate).", False),
        ("gate", "A gate is [explained there](02.md#a-gate).", False),
        ("gate", "A [gate](../about/glossary.md#gate).", False),
        ("gate", "A gate. It is [explained there](02.md#a-gate).", True),
        ("gate", "A [gate](02.md#another).", True),
        ("gate", "A *gate*.", True),
        ("gate", '![A gate.](figure "It")', True),
        ("gate", '![It.](figure "A gate.")', True),
        ("gate", "<!-- gate -->", False),
    ],
)
def test_a_use_before_the_meaning_is_found(term, text, early):
    _, rows = hooks()
    first = {"book/01.md": f"# 1. First\n\n## A gate\n\n{text}\n\n## Where the numbers come from\n\nThe {term}.\n"}
    sections = rows.passages(first | {"book/02.md": f"# 2. Second\n\nA *{term}*.\n\n## A gate\n\nA {term}.\n"})
    found = too_early({"term": term, "introduced": "book/02.md#a-gate"}, sections)
    assert (found[:2] if found else None) == (("book/01.md", "A gate") if early else None)


def test_the_everyday_words_are_terms():
    glossary, _ = hooks()
    assert EVERYDAY.keys() <= {term["term"] for term in glossary.terms(DOCS)}


@cache
def all_too_early():
    glossary, _ = hooks()
    sections = book()
    places = {f"{section.page}#{section.anchor}" for section in sections}  # a section that is lost stops the build
    terms = [term for term in glossary.terms(DOCS) if term["term"] not in EVERYDAY and term["introduced"] in places]
    found = {term["term"]: too_early(term, sections) for term in terms}
    return {name: use for name, use in found.items() if use}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_word_comes_before_its_meaning(chapter):
    assert {name: use[1:] for name, use in all_too_early().items() if use[0] == f"book/{chapter}.md"} == {}


# First something learns, then it is said why

FIGURE = re.compile(r"^!\[.*?\]\((figure|film)", re.M | re.S)
UNFOLDED = re.compile(r"^```pycon\n(.*?)^```$", re.M | re.S)
DOWNHILL = re.compile(r"grad|slope|^g\b|^d[A-Za-z]|\.T @|@ d")


def learns(source):
    """Whether the code trains: it calls fit or history, or repeats a step that subtracts a rate times a gradient."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = {node for node in nodes if isinstance(node, ast.Call)}
    if {"nn.fit", "fit", "nn.history", "history"} & {ast.unparse(call.func) for call in calls}:
        return True
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    named = [node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)]
    functions |= {ast.unparse(node.targets[0]): node.value for node in named}
    repeated = [node for node in nodes if isinstance(node, ast.For | ast.While)]
    repeated += [call for call in calls if re.search(r"\b(reduce|accumulate)$", ast.unparse(call.func))]
    seen = set()
    while repeated:
        for node in ast.walk(repeated.pop()):
            if isinstance(node, ast.Name) and node.id in functions.keys() - seen:
                seen.add(node.id)
                repeated.append(functions[node.id])
            if isinstance(node, ast.Call) and re.search(r"(?<!^nn)\.step$", ast.unparse(node.func)):
                return True
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Sub):
                less = node.right if isinstance(node, ast.BinOp) else node.value
                product = isinstance(less, ast.BinOp) and isinstance(less.op, ast.Mult)
                if product and any(DOWNHILL.search(ast.unparse(factor)) for factor in (less.left, less.right)):
                    return True
    return False


def opening(text):
    """What the first fifth of a page shows of learning, boxes aside: nothing, learns, or learns and shows it."""
    fifth, parser, source = text[: len(text) // 5], doctest.DocTestParser(), ""
    blocks = [(block.start(), parser.get_examples(block[1])) for block in UNFOLDED.finditer(fifth)]
    for k, (start, examples) in enumerate(blocks):
        source += "".join(example.source for example in examples)
        if learns(source):
            outputs = [example.want for _, later in blocks[k:] for example in later]
            shows = FIGURE.search(fifth, start) or any(re.search(r"\d", output) for output in outputs)
            return "learns and shows it" if shows else "learns"
    return "nothing"


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("state, curves = nn.history(nn.fit(step, state, batches, 3))\n", True),
        ("for x in batches:\n    W = W - 0.1 * dW(x)\n", True),
        ("for x in batches:\n    W -= lr * dW(x)\n", True),
        ("for x in batches:\n    params = {k: p - lr * grads[k] for k, p in params.items()}\n", True),
        ("for x in batches:\n    params, opt = optimizer.step(params, grads, opt)\n", True),
        ("for x in batches:\n    print(nn.step(x - 1))\n", False),
        ("W = W - 0.1 * dW\n", False),
        ("params = nn.load_pretrained('deep_convnet')\n", False),
        ("fit = nn.fit\n", False),
        ("line = np.polynomial.Polynomial.fit(x, y, 1)\n", False),
        ("for x in batches:\n    print(x**2 - 2 * x)\n", False),
        ("def down(W):\n    return W - lr * slope(W)\n", False),
        ("def down(W):\n    return W - lr * slope(W)\nfor _ in range(9):\n    W = down(W)\n", True),
        ("down = lambda W, x: W - lr * grad(W, x)\nW = functools.reduce(down, batches, W)\n", True),
        ("W = functools.reduce(lambda W, x: W - lr * grad(W, x), batches, W)\n", True),
        ("def down(W, x):\n    return W - lr * (x.T @ dy(W))\nW = reduce(down, batches, W)\n", True),
    ],
)
def test_code_that_learns_is_known(source, does):
    assert learns(source) is does


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        ("```pycon\n>>> print(nn.fit(x))\n0.5\n\n```\n", "learns and shows it"),
        ("```pycon\n>>> y = nn.fit(x)\n\n```\n\nHere:\n\n```pycon\n>>> print(y)\n0.5\n\n```\n", "learns and shows it"),
        ('```pycon\n>>> plot(nn.fit(x))\n\n```\n\n![It.](figure "It.")\n', "learns and shows it"),
        ('```pycon\n>>> plot(nn.fit(x))\n\n```\n\n![It.](film "It.")\n', "learns and shows it"),
        ("```pycon\n>>> print(7)\n7\n>>> y = nn.fit(x)\n\n```\n", "learns and shows it"),
        ("```pycon\n>>> print(7)\n7\n\n```\n\n```pycon\n>>> y = nn.fit(x)\n\n```\n", "learns"),
        ("```pycon\n>>> print(nn.fit(x))\nTrue\n\n```\n", "learns"),
        ("```pycon\n>>> print(7)\n7\n\n```\n", "nothing"),
    ],
)
def test_an_opening_is_judged_by_what_it_shows(shown, what):
    assert opening(shown + "word " * len(shown)) == what
    assert opening("word " * len(shown) + shown) == "nothing"


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if c[:3] >= "04b" and c[:3] != "05a"])
def test_a_network_learns_in_the_first_fifth(chapter):
    assert opening((BOOK / f"{chapter}.md").read_text("utf-8")) == "learns and shows it"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_exercises_have_a_mistake_to_find(chapter):
    _, below, exercises = (BOOK / f"{chapter}.md").read_text("utf-8").partition("\n## Exercises\n")
    if not below:
        others = [BOOK / f"{other}.md" for other in CHAPTERS if other[:2] == chapter[:2] and other != chapter]
        assert any("\n## Exercises\n" in path.read_text("utf-8") for path in others), "its other half has exercises"
        return
    assert re.search(r"^\*\*\d+\. Find the mistake[.:].*\*\*", exercises, re.M)
