"""The files themselves: what may stand in them, and what they may import."""

import ast
import doctest
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = {"nnfunc", "docs", "tests", "mkdocs.yml", "pyproject.toml", "README.md", "LICENSE", ".gitignore", ".ci"}
ORDER = ["_arrays", "forms", "functions", "gradient", "conv", "ops", "layers", "networks", "numerical", "initializers"]
ORDER += ["optimizers", "params", "training", "search", "datasets", "draw", "plots", "pretrained", "__main__"]


def files():
    """The files of the repository; outside a checkout, those of the folders that belong to it."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        shown = [git, "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(shown, check=True, capture_output=True, text=True).stdout.split("\0")
        return [path for name in names if name and (path := ROOT / name).is_file()]
    inside = [path for name in TOP for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    return [path for path in inside if path.is_file() and "__pycache__" not in path.parts]


def text(path):
    """A file's text, or None for what is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


FILES = files()
TEXTS = {str(path.relative_to(ROOT)): content for path in FILES if (content := text(path)) is not None}
LIBRARY = {name: ast.parse(content) for name, content in TEXTS.items() if re.fullmatch(r"nnfunc/.*\.py", name)}
TESTS = {name: ast.parse(content) for name, content in TEXTS.items() if re.fullmatch(r"tests/.*\.py", name)}
PAGES = {name: content for name, content in TEXTS.items() if name == "README.md" or re.fullmatch(r"docs/.*\.md", name)}


def found(pattern, texts=TEXTS):
    """Where a pattern stands, as file:line."""
    return [
        f"{name}:{content.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, content in texts.items()
        for match in re.finditer(pattern, content)
    ]


def test_the_search_sees_the_files():
    assert {"README.md", "pyproject.toml", "nnfunc/ops.py", "tests/test_tree.py"} <= TEXTS.keys()
    assert len(LIBRARY) >= len(ORDER)
    assert found("(?m)^import ast$", {"tests/test_tree.py": TEXTS["tests/test_tree.py"]}) == [
        "tests/test_tree.py:3: import ast"
    ]


def test_the_top_holds_what_belongs_there():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} <= TOP


def test_no_file_names_the_machine_it_was_written_on():
    folders = "|".join(["home", "root", "tmp", "work", "opt", "mnt", "Users"])
    assert found(rf"(?<![\w.~*)}}/-])/(?:{folders})/\w+") == []


def test_no_file_names_a_registry():
    """Whoever installs decides where from."""
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.", "un" + "pkg.com", "ana" + "conda.org"]
    outside = {name: content for name, content in TEXTS.items() if name != "tests/test_tree.py"}
    assert found("|".join(map(re.escape, hosts)), outside) == []


def test_no_example_is_skipped_and_no_test_expected_to_fail():
    assert found(r"doctest:.*" + re.escape("+" + "SKIP")) == []
    assert found(r"mark\." + "xfail|pytest" + r"\.xfail") == []


# The library


def named(node):
    """``np.random.normal`` of the expression that says so."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{named(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def imports(tree):
    """All imports of a module, as (module, whether at its top)."""
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, top


@pytest.mark.parametrize("name", LIBRARY)
def test_no_class_but_named_tuples_and_protocols(name):
    classes = [node for node in ast.walk(LIBRARY[name]) if isinstance(node, ast.ClassDef)]
    assert [c.name for c in classes if [named(base) for base in c.bases] not in (["NamedTuple"], ["Protocol"])] == []


@pytest.mark.parametrize("name", [name for name in LIBRARY if not Path(name).name.startswith("_")])
def test_a_name_is_public_or_has_an_underscore(name):
    """In `__all__`, or private to the package; a module with an underscore is private as it is."""
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    defined = [node.name for node in LIBRARY[name].body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert [each for each in defined if not each.startswith("_") and each not in module.__all__] == []


@pytest.mark.parametrize("name", LIBRARY)
def test_no_global_generator(name):
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}
    used = {named(node) for node in ast.walk(LIBRARY[name]) if isinstance(node, ast.Attribute)}
    drawn = {match[1] for use in used if (match := re.match(r"(?:np|numpy)\.random\.(\w+)", use))}
    assert drawn <= allowed
    assert not {module for module, _ in imports(LIBRARY[name])} & {"random", "numpy.random"}


@pytest.mark.parametrize("name", LIBRARY)
def test_no_pickle(name):
    modules = {module.split(".")[0] for module, _ in imports(LIBRARY[name])}
    assert not modules & {"pickle", "cPickle", "_pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
    for node in ast.walk(LIBRARY[name]):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False
        if isinstance(node, ast.Call):
            assert named(node.func) not in {"np.load", "numpy.load", "eval", "exec"}


@pytest.mark.parametrize("name", LIBRARY)
def test_numpy_is_the_only_package_that_is_imported_with_it(name):
    here = {module.split(".")[0] for module, top in imports(LIBRARY[name]) if top}
    assert here - sys.stdlib_module_names <= {"numpy", "nnfunc"}


def module_of(name):
    """``training`` of nnfunc/training.py, and of any file in a folder nnfunc/training."""
    return Path(name).relative_to("nnfunc").parts[0].removesuffix(".py")


def used_by(name):
    """The modules of the package that a file imports from, other than its own folder's."""
    inside = len(Path(name).parts) - 1  # the number of dots that lead to nnfunc itself
    for node in ast.walk(LIBRARY[name]):
        if isinstance(node, ast.ImportFrom) and node.level == inside:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level or node.module.split(".")[0] != "nnfunc", "imports inside the package are relative"


def test_every_module_has_its_place():
    assert {module_of(name) for name in LIBRARY} - {"__init__"} == set(ORDER)
    assert set(used_by("nnfunc/datasets/images.py")) == {"_arrays"}
    assert set(used_by("nnfunc/pretrained/__main__.py")) >= {"networks", "ops", "datasets", "training"}


@pytest.mark.parametrize("name", [name for name in LIBRARY if name != "nnfunc/__init__.py"])
def test_imports_run_downward(name):
    place = ORDER.index(module_of(name))
    above = {module for module in used_by(name) if ORDER.index(module) >= place}
    assert not above, f"{module_of(name)} imports {above}"


# The pages


def test_every_page_passes_plain_doctest_too():
    """To doctest a closing fence right behind an output is one more line of it."""
    wrong = []
    for name, content in PAGES.items():
        for fence in re.finditer(r"(?ms)^([ \t]*)(`{3,}|~{3,})[^\n]*\n(.*?)^\1\2[ \t]*$", content):
            if re.search(r"(?m)^\s*>>> ", fence[3]) and not re.search(r"\n[ \t]*\n\Z", fence[3]):
                wrong.append(f"{name}:{content.count(chr(10), 0, fence.end()) + 1}")
    assert wrong == []


def test_every_public_name_has_a_reference_page():
    reference = {name: content for name, content in PAGES.items() if name.startswith("docs/reference/")}
    shown = set()
    for module, options in re.findall(r"(?m)^::: nnfunc\.(\S+)\n((?:    .*\n)*)", "\n".join(reference.values())):
        public = importlib.import_module(f"nnfunc.{module}").__all__
        members = re.search(r"members: \[(.*)\]", options)
        shown |= {f"{module}.{name}" for name in (members[1].split(", ") if members else public)}
    for module in [*ORDER[:-1], "datasets.images"]:
        public = importlib.import_module(f"nnfunc.{module}")
        here = [name for name in public.__all__ if getattr(public, name).__module__ == public.__name__]
        assert {f"{module}.{name}" for name in here} <= shown
    linked = set(re.findall(r"\]\((\w+\.md)\)", reference["docs/reference/index.md"]))
    assert linked == {Path(name).name for name in reference} - {"index.md"}


def test_the_promises_name_tests_that_are_there():
    told = re.findall(r"\*(`tests/[^*]+)\*", PAGES["docs/about/promises.md"])
    assert len(told) > 15
    for promise in told:
        files = [name for name in re.findall(r"`(tests/[^`]+)`", promise) if (ROOT / name).exists()]
        assert len(files) == promise.count("`tests/")
        defined = "".join((ROOT / name).read_text("utf-8") for name in files if name.endswith(".py"))
        for test in re.findall(r"`(test_\w+)`", promise):
            assert f"def {test}(" in defined, test


def test_the_readme_runs():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert result.attempted > 0
    assert result.failed == 0


def test_each_mutation_that_no_test_notices_has_its_reason():
    record = (ROOT / "tests" / "mutation.md").read_text("utf-8")
    rows = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \|", record)
    tried, noticed, none = (sum(map(int, column)) for column in zip(*rows, strict=True))
    assert tried == 800
    assert noticed + none == tried
    assert noticed >= 0.94 * tried
    promise = (ROOT / "docs" / "about" / "promises.md").read_text("utf-8")
    (drawn_from,) = re.findall(r"of (\d+) mutations", record)
    assert (
        f"Of {tried} such changes, drawn from {int(drawn_from):,}, they noticed {noticed / tried * 100:.1f} %"
        in promise
    )
    assert "no reason yet" not in record
    assert len(re.findall(r"^- `", record, re.M)) == none
