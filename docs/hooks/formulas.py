"""LaTeX becomes MathML at build time, and the site gets just the glyphs of STIX Two Math it uses.

No script and no other host is needed to show a formula. One that cannot be converted stops the build.
"""

import importlib.util
import io
import re
import unicodedata
from html import unescape
from pathlib import Path

import math_core
from fontTools import subset
from mkdocs.exceptions import PluginError

FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<latex>.*?)\\[)\]]</(?P=tag)>', re.S)
PUNCTUATED = re.compile(r"<math>(?:(?!</math>).)*</math>[.,;:!?)]+", re.S)
PRIMED = re.compile(r"<msup>((?:(?!</?msup>).)*)<mo>([′″‴])</mo></msup>")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}\n]|[^\\{}\n]+", re.S)
OPENING, CLOSING = ("{", "\\begin", "\\left"), ("}", "\\end", "\\right")
TO_MATHML = math_core.LatexToMathML(fancy_error=False)
# Chromium takes a variable's italic form from the mathematical alphabets, so the font must hold these too.
ITALIC = {
    unicodedata.normalize("NFKC", chr(c)): chr(c)
    for c in (*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E)
    if unicodedata.name(chr(c), "")
}
ROOT = 900  # thousandths of the type's size, between a small root's 794 and a tall one's 1212
glyphs = set()


def on_pre_build(config):
    glyphs.clear()


def on_page_content(html, page, config, files):
    html = FORMULA.sub(lambda m: convert(m["latex"], m["open"] == "[", page.file.src_uri), html)
    return PUNCTUATED.sub(r'<span class="unbroken">\g<0></span>', html)


def convert(latex, display, name):
    """MathML for one formula as it stands in the page's HTML."""
    latex = unescape(latex).strip()
    if display:
        shown = (converted(part, True, name).replace("<math ", f"<math{on} ", 1) for on, part in parts(latex))
        return f'<div class="formula">{" ".join(shown)}</div>'
    return converted(latex, False, name)


def parts(latex):
    """What wide spaces and the source's lines divide: a browser never breaks a formula, but can wrap several of them.

    Each has before it how it goes on from the one before: with nothing after a space, without any after a line.
    """
    found, depth = [["", ""]], 0
    for token in TOKEN.findall(latex):
        depth += (token in OPENING) - (token in CLOSING)
        if token in ("\\quad", "\\qquad", "\n") and not depth:
            goes_on = token == "\n" and found[-1][1].strip()
            found.append([' class="on"' if goes_on else "", ""])
        else:
            found[-1][1] += token
    return [(on, part.strip()) for on, part in found if part.strip()]


def converted(latex, display, name):
    try:
        mathml = TO_MATHML.convert_with_local_state(latex, displaystyle=display)
    except math_core.LatexError as error:
        raise PluginError(f"{name}: cannot convert the formula {latex}\n{error}") from error
    mathml = PRIMED.sub(
        r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', mathml
    )  # the font's prime is raised already
    text = set(unescape(re.sub(r"<[^>]*>", "", mathml)))
    glyphs.update(text, (ITALIC[c] for c in text if c in ITALIC))
    if re.search("<msqrt|<mroot", mathml):
        glyphs.add("√")  # drawn by the element, not written in it
    return mathml


def on_post_build(config):
    if not glyphs:
        return
    folder = Path(config.site_dir, "assets", "fonts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stix-two-math.woff2").write_bytes(font(glyphs))


def font(characters):
    """STIX Two Math, cut down to these characters and what they stretch into, as woff2."""
    package = importlib.util.find_spec("ziamath").submodule_search_locations[0]
    options = subset.Options(flavor="woff2", layout_features=["*"], notdef_outline=True, name_IDs=["*"])
    cut, out = subset.Subsetter(options), io.BytesIO()
    cut.populate(unicodes=sorted(map(ord, characters)))
    with subset.load_font(Path(package, "fonts", "STIXTwoMath-Regular.ttf"), options) as stix:
        cut.subset(stix)
        if ord("√") in stix.getBestCmap():
            one_width(stix, stix.getBestCmap()[ord("√")])
        subset.save_font(stix, out, options)
    return out.getvalue()


def one_width(font, sign):
    """Give a sign and all that it stretches into the same width.

    A browser keeps room for the widest of them, whichever it draws (so says MathML Core), and STIX's tallest root is
    half as wide again as its small one: there would be a gap behind every root.
    """
    variants = font["MATH"].table.MathVariants
    stretched = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(sign)]
    names = {sign, *(v.VariantGlyph for v in stretched.MathGlyphVariantRecord)}
    for name in names | {part.glyph for part in stretched.GlyphAssembly.PartRecords}:
        glyph = font["glyf"][name]
        glyph.coordinates.scale((ROOT / font["hmtx"][name][0], 1))
        glyph.coordinates.toInt()
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = ROOT, glyph.xMin
