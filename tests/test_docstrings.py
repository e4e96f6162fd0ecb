"""Docstrings: every public name says its shapes and errors and shows an example; mathematics also formula, source."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import types
from functools import cache

import pytest

import nnfunc

MODULES = [
    module
    for info in pkgutil.iter_modules(nnfunc.__path__)
    if hasattr(module := importlib.import_module(f"nnfunc.{info.name}"), "__all__")
]
PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name in module.__all__
    if (value := getattr(module, name)).__module__ in (module.__name__, "nnfunc.datasets.images")
}
FUNCTIONS = [name for name, value in PUBLIC.items() if inspect.isfunction(value) and not hasattr(value, "op")]
TUPLES = [name for name, value in PUBLIC.items() if inspect.isclass(value) and issubclass(value, tuple)]
PROTOCOLS = [name for name, value in PUBLIC.items() if inspect.isclass(value) and not issubclass(value, tuple)]
# Where all is mathematics; files, pictures and bars have no formula, and none is made up for them.
MATHEMATICS = ["functions", "gradient", "conv", "ops", "layers", "networks", "numerical", "optimizers"]
SECTIONS = ["Attributes", "Parameters", "Returns", "Yields", "Raises", "References", "Examples"]


def sections(name):
    """The parts of a docstring: '' is what stands before the first title."""
    doc = inspect.getdoc(PUBLIC[name])
    assert doc, "no docstring"
    parts = re.split(r"(?m)^(\S.*)\n(-{3,})$", doc)
    found = {"": parts[0]}
    for title, line, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        assert title not in found, f"two sections {title}"
        assert len(line) == len(title), f"the line under {title} is not as long as the title"
        assert body.strip(), f"{title} is empty"
        found[title] = body
    unknown = set(found) - {"", *SECTIONS}
    assert not unknown, f"unknown sections {unknown}"
    assert list(found)[1:] == [title for title in SECTIONS if title in found], "the sections' order"
    return found


def entries(body):
    """The names of a section's entries: ``x, y : array`` gives x and y."""
    heads = re.findall(r"(?m)^(\S[^:\n]*?)(?: :.*)?$", body)
    return [name.strip() for head in heads for name in head.split(",")]


def has_example(found):
    return re.search(r"(?m)^\s*>>> ", found.get("Examples", ""))


def test_the_walk_finds_what_there_is():
    assert {"nnfunc.functions.sigmoid", "nnfunc.ops.affine", "nnfunc.datasets.load_mnist"} <= set(FUNCTIONS)
    assert {"nnfunc.conv.im2col", "nnfunc.datasets.shift", "nnfunc.draw.neurons_svg"} <= set(FUNCTIONS)
    assert {"nnfunc.plots.smooth_curve", "nnfunc.pretrained.load_pretrained"} <= set(FUNCTIONS)
    assert {"nnfunc.forms.Mode", "nnfunc.forms.Optimizer", "nnfunc.forms.State"} <= set(TUPLES)
    assert {"nnfunc.forms.Op", "nnfunc.forms.Layer"} <= set(PROTOCOLS)
    assert "nnfunc.conv.conv2d" in FUNCTIONS
    assert "nnfunc.ops.conv2d" not in FUNCTIONS, "it is told where it is written"
    assert len(FUNCTIONS) > 50
    others = set(PUBLIC) - set(FUNCTIONS) - set(TUPLES) - set(PROTOCOLS)
    lifted = {name for name in others if hasattr(PUBLIC[name], "op")}
    assert lifted, "the named layers"
    assert all(f"nnfunc.ops.{PUBLIC[name].op.__name__}" in FUNCTIONS for name in lifted), "a layer is its op, lifted"
    assert others - lifted == {"nnfunc.forms.EVAL"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_says_what_it_is(module):
    assert module.__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_parameters_result_and_example_and_where_it_is_mathematics_formula_and_source(name):
    found, signature = sections(name), inspect.signature(PUBLIC[name])
    assert re.match(r"\S.*[.:?]\n", found[""] + "\n"), "the first line is a sentence"
    if name.split(".")[1] in MATHEMATICS:
        assert re.search(r"\$[^$]+\$", found[""]), "no formula"
        assert "References" in found
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    wanted = [stars.get(p.kind, "") + p.name for p in signature.parameters.values()]
    assert entries(found.get("Parameters", "")) == wanted
    if signature.return_annotation is None:
        assert not {"Returns", "Yields"} & set(found)
    else:
        lazy = inspect.isgeneratorfunction(PUBLIC[name]) or "Iterator" in str(signature.return_annotation)
        assert ("Yields" if lazy else "Returns") in found
        assert ("Returns" if lazy else "Yields") not in found
    assert has_example(found)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_form_shows_its_call_and_says_no_more_than_that(name):
    assert re.search("``.+ = .+``|``.+``|rate", sections(name)[""])
    assert inspect.signature(PUBLIC[name].__call__).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_type_hints(name):
    signature = inspect.signature(PUBLIC[name])
    bare = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
    assert not bare
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", TUPLES)
def test_a_tuple_documents_its_fields(name):
    found, kind = sections(name), PUBLIC[name]
    assert issubclass(kind, tuple)
    assert entries(found["Attributes"]) == list(kind._fields)
    assert set(kind.__annotations__) == set(kind._fields)
    assert has_example(found)


# Who raises


@cache
def parsed(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


@cache
def mentioned(function):
    """The package's functions that a function names, to call them or to hand them on."""
    names, found = vars(inspect.getmodule(function)), []
    for node in ast.walk(parsed(function)):
        if isinstance(node, ast.Name):
            found.append(names.get(node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            found.append(getattr(module, node.attr, None) if isinstance(module, types.ModuleType) else None)
    found = {inspect.unwrap(f) for f in found if inspect.isfunction(f) and f.__module__.startswith("nnfunc")}
    return {f for f in found if not f.__closure__}


# Told once for all: arrays that do not fit the letters (at `op`), settings out of bounds (in the reference's index).
TOLD_ONCE = {"takes", "op", "way_back", "array", "floating", "entries", "real", "whole", "flag", "pair_of", "check_key"}
TOLD_ONCE |= {"mapping", "function", "namespace", "numpys", "_shared"}
TOLD_ONCE |= {"lift", "per_array"}  # and what these two say of the layers and the optimizers that they make


def reached(function):
    """A function and all it leads to, but for what is told once for all."""
    seen, waiting = set(), [function]
    while waiting:
        f = waiting.pop()
        if f not in seen and f.__name__ not in TOLD_ONCE:
            seen.add(f)
            waiting += mentioned(f)
    return seen


def raises(function):
    return any(isinstance(node, ast.Raise) for f in reached(function) for node in ast.walk(parsed(f)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_raises_says_so(name):
    there = re.search(r"\[nnfunc\.\w+\.\w+\]\[\]", sections(name)[""].split("\n")[0])
    if raises(PUBLIC[name]) and not there:
        assert "Raises" in sections(name)
        assert "ValueError" in entries(sections(name)["Raises"])


def test_the_search_for_errors_sees_through_helpers():
    assert raises(PUBLIC["nnfunc.params.load_params"]), "what loads for it raises"
    assert raises(PUBLIC["nnfunc.ops.softmax_cross_entropy"]), "so does what looks at the labels, through a helper"
    assert not raises(PUBLIC["nnfunc.functions.sigmoid"])
    assert not raises(PUBLIC["nnfunc.ops.affine"]), "the letters say what it takes"
    assert not raises(PUBLIC["nnfunc.params.count_params"])
