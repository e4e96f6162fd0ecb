"""Types: the annotations hold inside the package, and fit the programs of the README and of the guide that composes."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README, GUIDE = (ROOT / name for name in ("README.md", "docs/guides/composing.md"))

# A page gives a name to one thing and later to another, and begins dicts and lists that are still empty.
AS_ON_A_PAGE = '# mypy: allow-redefinition, disable-error-code="no-redef,var-annotated"\n'

# Each line is wrong, and so noticed. What comes out of the last ones is an array, so that an editor can complete it.
WRONG = {
    "nn.mlp(nn.relu)": 'Argument 1 to "mlp" has incompatible type',
    "nn.init_state(nn.sgd, {})": 'Argument 1 to "init_state" has incompatible type',
    "nn.value_and_grad(nn.mlp, nn.ops.sum_squared_error)": 'Argument 1 to "value_and_grad" has incompatible type',
    "nn.ops.affine([[1.0]], [[2.0]])": 'Missing positional argument "b"',
    "nn.layers.dropout(rat=0.5)": 'Unexpected keyword argument "rat"',
    "nn.load_mnist(True)": "Too many positional arguments",
    "nn.sgd().step({}, {})": "Too few arguments",
    "nn.relu([1.0]).colour": '"ndarray[tuple[Any, ...], dtype[Any]]" has no attribute "colour"',
    "nn.ops.affine([[1.0]], [[2.0]], [3.0])[0].colour": 'has no attribute "colour"',
    'nn.init_mlp(0, (2, 2))["W1"].colour': 'has no attribute "colour"',
}


def code(text):
    """The examples of a page as a program."""
    return "".join(example.source for example in doctest.DocTestParser().get_examples(text))


def programs():
    """The README's examples, and each section of the guide with the guide's opening, since each stands alone."""
    opening, *sections = re.split(r"(?m)^(?=## )", GUIDE.read_text("utf-8"))
    titles = [re.sub(r"\W+", "_", section.splitlines()[0]).strip("_").lower() for section in sections]
    guide = {title: code(opening + section) for title, section in zip(titles, sections, strict=True)}
    return {"readme": code(README.read_text("utf-8"))} | guide


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_pages_have_programs():
    assert "nn.load_mnist" in programs()["readme"]
    assert len(programs()) > 10
    assert all("nn." in program for program in programs().values())


def test_the_annotations_hold_in_the_package_and_fit_the_programs_of_the_pages(tmp_path):
    """One run for all, since most of its time goes into NumPy's own annotations."""
    pytest.importorskip("mypy.version", minversion="2.0", reason="a name that changes its type is news of mypy 2")
    texts = programs() | {"wrong": "\n".join(["import nnfunc as nn", *WRONG])}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(AS_ON_A_PAGE + text, "utf-8")
    files = [str(tmp_path / f"{name}.py") for name in texts]
    report = run(sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "nnfunc", *files)
    errors = re.findall(r"(?m)^(.+):(\d+): error: (.*)", report)
    assert errors, report
    assert [error for error in errors if Path(error[0]).name != "wrong.py"] == [], report
    noticed = {int(line) - 3: text for _, line, text in errors}
    for i, (program, complaint) in enumerate(WRONG.items()):
        assert complaint in noticed.get(i, ""), f"{program}\n{report}"


def test_an_editor_shows_no_error_in_the_readme(tmp_path):
    found = shutil.which("basedpyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("basedpyright is not installed")
    settings = {"typeCheckingMode": "basic", "extraPaths": [str(ROOT)], "include": ["*.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    (tmp_path / "readme.py").write_text(programs()["readme"], "utf-8")
    (tmp_path / "wrong.py").write_text("import nnfunc as nn\nnn.ops.affine([[1.0]])\n", "utf-8")
    report = run(found, "--project", str(tmp_path), "--pythonpath", sys.executable, "--level", "error")
    errors = re.findall(r"(?m)^ +(.+):\d+:\d+ - error: ", report)
    assert [Path(name).name for name in errors] == ["wrong.py"], report
