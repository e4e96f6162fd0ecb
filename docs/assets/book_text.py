"""Write the prose of the book's chapters to the standard output: text for a network to learn from.

``python docs/assets/book_text.py`` reads the chapters as they now stand. The file book.txt beside it, from which
chapter 9 and its lab learn, was written by it once, of chapters 0 to 8 as they stood on 28 November 2026, and is
frozen. Later changes of the book do not change it, or each comma would move every number of that chapter.

Prose is what stands in paragraphs, lists and boxes. Code, formulas, tables, headings, figures and comments are left
out, and so is a sentence that holds code, a formula or a character outside ASCII. Of a link its text stays.
"""

import re
import sys
from pathlib import Path

CHAPTERS = Path(__file__).parents[1] / "book"
NO_PROSE = re.compile(r"#|\||!|\?\?\?|\[source:")
ITEM = re.compile(r"^\s*(?:-|\d+\.) ", re.M)
PLAIN = re.compile(r"[A-Za-z0-9 .,:;?!'\"()-]* [A-Za-z0-9 .,:;?!'\"()-]*[.:?!)\"]")


def paragraphs(markdown):
    """Yield the paragraphs and the items of lists, each on one line."""
    markdown = re.sub(r"^([ \t]*)(`{3,}).*?^\1\2[ \t]*$", "", markdown, flags=re.M | re.S)
    markdown = re.sub(r"\$\$.*?\$\$|<!--.*?-->", "", markdown, flags=re.S)
    for block in re.split(r"\n\s*\n", markdown):
        if not NO_PROSE.match(block.strip()):
            yield from (" ".join(item.split()) for item in ITEM.split(block))


def sentences(paragraph):
    """Yield the sentences that are nothing but words."""
    paragraph = re.sub(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", paragraph)
    paragraph = re.sub(r"(?<!\w)\*+|\*+(?!\w)", "", paragraph)
    for sentence in re.split(r"(?<=[.?!:]) (?=[A-Z\"(])", paragraph):
        if PLAIN.fullmatch(sentence) and sentence.count("(") == sentence.count(")"):
            yield sentence


def prose(files):
    """Return the text of Markdown files, a paragraph on each line."""
    found = (" ".join(sentences(part)) for file in files for part in paragraphs(file.read_text(encoding="utf-8")))
    return "".join(f"{line}\n" for line in found if line)


if __name__ == "__main__":
    sys.stdout.write(prose(sorted(CHAPTERS.glob("*.md"))))
