"""Films: one drawing of many, moved without a script by buttons, by keys and by itself, and still on paper."""

import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

for needed in ("mkdocs", "matplotlib", "ziamath"):
    pytest.importorskip(needed, reason="the site's hooks need the book extra")

import numpy as np  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "hooks"))
import examples  # noqa: E402
import executed  # noqa: E402
import films  # noqa: E402

sys.path.pop(0)

TITLES = [f"frame {letter}" for letter in "abcdefghijklm"]
PAGE = """```pycon
>>> from matplotlib import pyplot as plt
>>> for k, letter in enumerate("abcdefghijklm"):
...     _, ax = plt.subplots(figsize=(3, 2))
...     _ = ax.plot([0, 13], [k, k])
...     _ = ax.plot([k], [k], "o") if k > 5 else ax.plot([0, 1], [9, 9])
...     _ = ax.set(ylim=(-1, 14), title=f"frame {letter}", ylabel=k * "long ")

```

![A line that rises](film "It *rises*.")
"""


def svg(*elements, title="", size=10):
    named = f"<title>{title}</title>" if title else ""
    return f'<svg role="img" aria-label="It" viewBox="0 0 {size} 9" style="width: 9px">{named}{"".join(elements)}</svg>'


def shown_at(markup, k):
    """What one sees of a film in frame k: the markup of its elements."""
    root = ElementTree.fromstring(re.search(r'<g id="[^"]*-film">.*?</g></svg>', markup)[0].removesuffix("</svg>"))
    seen = []
    for element in root:
        if element.get("class") == "shot":
            first, last = map(int, re.fullmatch(r"--a:(\d+);--b:(\d+)", element.get("style")).groups())
            seen += list(element) if first <= k <= last else []
        else:
            seen.append(element)
    return [ElementTree.tostring(element, encoding="unicode").replace(" />", "/>") for element in seen]


def run(text):
    return examples.show(text, executed.run(text, "p.md"), "p.md")


# Of frames


A, B, C, D = (f'<path d="M{k} 1"/>' for k in range(4))


@pytest.mark.parametrize(
    ("frames", "together"),
    [
        ([[A, B], [A, B]], [(A, {0, 1}), (B, {0, 1})]),
        ([[A, B], [A, C]], [(A, {0, 1}), (B, {0}), (C, {1})]),
        ([[A], [A, B], [A, B, C]], [(A, {0, 1, 2}), (B, {1, 2}), (C, {2})]),
        ([[A, B, C], [A, C], [A, B, C]], [(A, {0, 1, 2}), (B, {0, 2}), (C, {0, 1, 2})]),
        ([[A, A], [A]], [(A, {0, 1}), (A, {0})]),
        ([[], [A]], [(A, {1})]),
    ],
)
def test_what_frames_have_in_common_stands_once(frames, together):
    assert films.braid(frames) == together


def test_every_frame_of_a_braid_is_what_it_was_in_its_own_order():
    rng = np.random.default_rng(0)
    frames = [[A, B, C, D][: rng.integers(5)] + rng.choice([A, B, C, D], 5).tolist() for _ in range(12)]
    together = films.braid(frames)
    for k, frame in enumerate(frames):
        assert [element for element, seen in together if k in seen] == frame
    assert len(together) < sum(map(len, frames))


def test_a_frame_of_a_film_has_the_elements_of_its_drawing():
    frames = [[A, B], [A, C, D], [A, D], [A, B], [A, B, '<text x="1">&lt;b&gt; &amp; c</text>']]
    film = films.film([svg(*frame) for frame in frames], "fig1", "p.md")
    for k, frame in enumerate(frames):
        assert shown_at(film, k) == frame
    assert shown_at(film, len(frames)) == frames[-1], "the last frame stays a while"
    assert film.count(A) == 1


def test_a_drawn_film_has_in_each_frame_what_the_figure_by_itself_has():
    film = run(PAGE)
    singles = re.findall(r"<text[^>]*>([^<]*)</text>", film)
    assert len(singles) < 60, "tick labels stand once"
    for k, title in enumerate(TITLES):
        text = "".join(shown_at(film, k))
        assert re.findall(r"frame \w", text) == [title]
        assert text.count("long") == k
        assert text.count("stroke: var(--plot-1)") == 1


def test_frames_are_cut_out_alike_and_the_largest_is_whole_although_their_labels_differ():
    def size(shown):
        (box,) = set(re.findall(r'viewBox="0 0 ([^"]*)"', shown))
        return np.array(box.split(), float)

    def alone(k, letter):
        return PAGE.replace("(film", "(figure").replace('enumerate("abcdefghijklm")', f'[({k}, "{letter}")]')

    first, last = size(run(alone(0, "a"))), size(run(alone(12, "m")))
    assert first[1] < last[1]
    assert (size(run(PAGE)) > np.maximum(first, last) - 0.1).all()


def test_what_is_referred_to_is_there_once():
    film = run(PAGE)
    named = re.findall(r'\bid="([^"]*)"', film)
    assert len(named) == len(set(named))
    referred = {a or b for a, b in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', film)}
    assert referred <= set(named)
    assert all(name.startswith("fig1-") for name in named)


def test_a_film_is_the_same_each_time():
    assert run(PAGE) == run(PAGE)


def test_frames_may_be_svg_texts_that_an_example_has_bound_to_a_name():
    drawn = (
        "```pycon\n>>> import nnfunc as nn\n>>> sizes = (2, 3, 2), (2, 3, 3), (2, 3, 1), (3, 3, 3)\n"
        ">>> nets = [nn.draw.neurons_svg(nn.init_mlp(0, n)) for n in sizes]\n\n```\n"
    )
    film = run(drawn + "\n![A net](film:nets)\n")
    assert [sum("<circle" in e for e in shown_at(film, k)) for k in range(4)] == [7, 8, 6, 9]
    assert ">Network 2-3-2</label>" in film
    assert "<title>" not in film, "it would hide the alternative text and follow the pointer"


def test_each_button_has_the_title_of_its_frame_or_else_its_number():
    frames = [svg(A, title="b = 1 &lt; 2"), svg(B), svg(C), svg(D, title="$x$")]
    film = films.film(frames, "fig1", "p.md")
    assert re.findall(r'<label [^>]*for="([^"]*)"[^>]*>(.*?)</label>', film) == [
        ("fig1-at-0", "b = 1 &lt; 2"),
        ("fig1-at-1", "frame 2 of 4"),
        ("fig1-at-2", "frame 3 of 4"),
        ("fig1-at-3", "x"),
    ]
    assert len(re.findall(r'<input type="radio" name="fig1-frame"[^>]*id="fig1-at-\d"', film)) == 4
    assert len(re.findall(r"<input[^>]* checked>", film)) == 1


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([svg(A)] * 3, "a film of 3 frames, wanted 4 to 13"),
        ([svg(A)] * 14, "a film of 14 frames, wanted 4 to 13"),
        ([svg(A)] * 3 + [svg(A, size=11)], "the frames of a film have one size"),
        ([svg(f'<defs><path id="m" d="M{k} 1"/></defs>') for k in range(4)], "two things that differ have the id m"),
        ([svg(*(f'<path d="M{k} {i}"/>' for i in range(900))) for k in range(5)], r"bytes, wanted 80,000 or fewer"),
    ],
)
def test_what_is_no_film_is_refused_with_its_place(frames, message):
    with pytest.raises(PluginError, match=f"^p.md, figure 1: .*{message}"):
        films.film(frames, "fig1", "p.md, figure 1")


def test_a_film_takes_all_figures_that_wait_and_a_figure_after_it_only_its_own():
    plot = ">>> _ = plt.subplots(figsize=(1, 1))[1].plot([7, 8])\n"
    shown = run(PAGE + f"\n```pycon\n{plot}\n```\n\n![After](figure)\n")
    assert shown.count('class="film"') == 1
    assert 'aria-label="After"' in shown
    with pytest.raises(PluginError, match="figure 2: no figure was drawn"):
        run(PAGE + "\n![After](figure)\n")


def test_every_frame_has_its_rule_in_the_style_sheet():
    css = (DOCS / "assets/css/film.css").read_text("utf-8")
    rules = re.findall(r"\.track > :nth-child\((\d+)\):checked\) { --t: (\d+); }", css)
    assert [(int(child), int(t)) for child, t in rules] == [(k + 1, k) for k in range(1, films.FRAMES[-1])]


# In a browser, in which no script runs

PATIENCE = 180_000  # milliseconds
T = "film => Number(getComputedStyle(film).getPropertyValue('--t'))"
SEEN = """
film => [...film.querySelectorAll(".shot")].filter(shot => {
    const opacity = Number(getComputedStyle(shot).opacity)
    if (opacity != 0 && opacity != 1) throw `half seen: ${opacity}`
    return opacity == 1
}).map(shot => shot.textContent.match(/frame \\w/)?.[0]).filter(Boolean)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with two films, as the site has them."""
    html = re.sub(r' markdown="\w+"', "", run(PAGE + "\n" + PAGE))
    css = "".join((DOCS / f"assets/css/{name}.css").read_text("utf-8") for name in ("book", "film"))
    path = tmp_path_factory.mktemp("film") / "page.html"
    body = re.sub(r"```.*?```", "", html, flags=re.S)
    path.write_text(f'<!doctype html><style>{css}</style><body class="md-typeset">{body}', encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def film(browser, page, request):
    """The first of two films, in a tab where scripts are off."""
    look = {"viewport": {"width": 900, "height": 800}, "reduced_motion": "no-preference"}
    with browser.new_context(java_script_enabled=False, **look | getattr(request, "param", {})) as context:
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.goto(page)
        yield tab.locator(".film").first


def wait_until(film, condition):
    for _ in range(600):
        if condition(film.evaluate(T)):
            return film.evaluate(T)
        film.page.wait_for_timeout(50)
    raise AssertionError(f"still in frame {film.evaluate(T)}")


def test_a_film_shows_one_frame_that_of_the_chosen_button(film):
    assert film.evaluate(SEEN) == TITLES[:1]
    for k in (12, 3, 0, 7):
        film.locator(".track input").nth(k).click()
        assert film.evaluate(SEEN) == [TITLES[k]]
    assert film.page.locator(".film").nth(1).evaluate(SEEN) == TITLES[:1], "each film has its own buttons"


def test_arrow_keys_move_a_film(film):
    film.locator(".track input").first.focus()
    keys = film.page.keyboard
    for key, k in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowDown", 2)):
        keys.press(key)
        assert film.evaluate(SEEN) == [TITLES[k]]


def test_nothing_moves_before_it_is_asked_to(film):
    film.page.wait_for_timeout(1500)
    assert film.evaluate("film => film.getAnimations({subtree: true}).length") == 0
    assert film.evaluate(T) == 0


def test_play_runs_through_the_frames_and_a_second_click_stops_where_it_is(film):
    film.locator(".play").click()
    first = wait_until(film, lambda t: t >= 1)
    assert wait_until(film, lambda t: t > first) > first
    film.evaluate("film => { const [played] = film.getAnimations(); played.pause(); played.currentTime = 4.5 * 800 }")
    assert film.evaluate(SEEN) == [TITLES[4]]
    box = film.locator(".run").bounding_box()
    film.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert film.locator(".track input:nth-child(5)").is_checked()
    film.page.wait_for_timeout(1500)
    assert film.evaluate(SEEN) == [TITLES[4]]


def test_a_played_film_begins_anew_after_its_last_frame_which_stays_a_while(film):
    film.locator(".play").click()
    film.evaluate("film => { film.getAnimations()[0].currentTime = 13.5 * 800 }")
    assert film.evaluate(SEEN) == TITLES[-1:]
    wait_until(film, lambda t: t < 3)
    assert wait_until(film, lambda t: 1 <= t < 5) < 5


@pytest.mark.parametrize("film", [{"reduced_motion": "reduce"}], indirect=True)
def test_a_film_keeps_still_for_those_who_want_no_motion(film):
    assert not film.locator(".play").is_visible()
    film.locator(".play").evaluate("play => { play.checked = true }")
    film.page.wait_for_timeout(1500)
    assert film.evaluate(T) == 0
    film.locator(".track input").nth(4).click()
    assert film.evaluate(SEEN) == [TITLES[4]]


def test_on_paper_four_frames_stand_side_by_side_whatever_was_chosen(film):
    from PIL import Image

    def picture(drawing):
        return np.asarray(Image.open(io.BytesIO(drawing.screenshot())).convert("L"), dtype=float)

    film.locator(".track input").nth(6).click()
    film.page.emulate_media(media="print")
    assert not film.locator("fieldset").is_visible()
    drawings = film.locator("svg")
    assert drawings.count() == 4
    boxes = [drawings.nth(k).bounding_box() for k in range(4)]
    assert len({round(box["x"]) for box in boxes}) == len({round(box["y"]) for box in boxes}) == 2
    printed = [picture(drawings.nth(k)) for k in range(4)]
    frames = []
    for k in range(13):
        film.evaluate("(film, k) => film.style.setProperty('--t', k, 'important')", k)
        frames.append(picture(drawings.first))
    height, width = (min(p.shape[axis] for p in [*printed, *frames]) for axis in (0, 1))
    apart = [[abs(f[:height, :width] - p[:height, :width]).mean() for f in frames] for p in printed]
    assert np.argmin(apart, axis=1).tolist() == [0, 4, 8, 12]


@pytest.mark.parametrize("film", [{"viewport": {"width": 360, "height": 700}}], indirect=True)
def test_on_a_phone_each_tick_is_as_large_as_a_finger_needs(film):
    boxes = [tick.bounding_box() for tick in film.locator("input").all()]
    assert min(box["width"] for box in boxes) >= 24
    assert min(box["height"] for box in boxes) >= 24
    assert film.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_button_is_known_by_its_frame(film):
    for title in (TITLES[0], TITLES[12]):
        assert film.get_by_role("radio", name=title, exact=True).count() == 1
    assert film.get_by_role("group", name="Film of 13 frames").count() == 1
    assert film.get_by_role("img", name="A line that rises").count() == 1


# On the site

CHAPTERS = ("02-perceptrons", "04a-slopes", "05a-way-back", "06a-updates", "07-convolution")
PAGES = ("", *(f"book/{chapter}/" for chapter in CHAPTERS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page or "home")
def test_a_page_has_its_film(site, page):
    html = (site / page / "index.html").read_text("utf-8")
    found = re.findall(r'<div class="film".*?</fieldset>\s*</div>', html, re.S)
    assert len(found) == 1
    assert max(len(film.encode()) for film in found) <= films.LIMIT
