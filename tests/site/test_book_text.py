"""The text from which chapter 9 learns, and the program that took it out of the book."""

import subprocess
import sys
from pathlib import Path

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
sys.path.insert(0, str(ASSETS))
import book_text  # noqa: E402

sys.path.pop(0)

PAGE = """# A title

A *first* sentence, with [a link](there.md#to) and [another][nnfunc.ops.add]. With `code` in it. With $x$ in it. Naïve.
(Left open. Two words? Word.

$$y = x$$

```pycon
>>> 1 + 1
2

```

- A point,
  in two lines.
- **Another** point: it is short.

??? note "A box"

    What stands in it.

| a | table |
|---|---|

![A picture.](figure "A caption.")

[source: nnfunc.ops.add]
"""


def test_prose_is_what_has_nothing_but_words(tmp_path):
    (tmp_path / "page.md").write_text(PAGE, "utf-8")
    assert book_text.prose([tmp_path / "page.md"]).splitlines() == [
        "A first sentence, with a link and another. Two words?",
        "A point, in two lines.",
        "Another point: it is short.",
        "What stands in it.",
    ]


def test_the_text_that_is_learnt_from_is_frozen():
    text = (ASSETS / "book.txt").read_text("ascii")
    assert (len(text), len(set(text))) == (125603, 73)


def test_the_program_writes_the_prose_of_the_chapters_as_they_stand():
    run = subprocess.run([sys.executable, ASSETS / "book_text.py"], capture_output=True, text=True, check=True)
    assert len(run.stdout) > 100_000
    assert run.stdout.isascii()
    assert not set("`$*[]<>|") & set(run.stdout)
