"""Prints the library's source into the page, so that nothing is retyped.

A line ``[source: nnfunc.ops.affine]`` becomes the statement that binds the name in its module (a function
with its decorators, a NamedTuple, an assignment), without its docstring, and a link to its reference entry.
Functions are printed without type annotations, which stand in the reference: here a reader looks for the formula.
A name that is not bound there stops the build.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from itertools import accumulate

from mkdocs.exceptions import PluginError

WIDTH = 76  # a longer signature keeps its lines
LINE = re.compile(r"^(?P<indent>[ \t]*)\[source:[ \t]*(?P<name>[\w.]+)[ \t]*\][ \t]*$", re.M)
SIGNATURE = re.compile(
    r"^(?P<indent> *)(?P<name>def \w+\()\n(?P<parameters>(?:(?P=indent) +[^#\n]+\n)+)(?P=indent)\):$", re.M
)


def on_page_markdown(markdown, page, config, files):
    def listing(match):
        try:
            code = source(match["name"])
        except (ImportError, LookupError) as error:
            raise PluginError(f"{page.file.src_uri}: [source: {match['name']}]: {error}") from error
        return textwrap.indent(_listing(match["name"], code), match["indent"])

    return LINE.sub(listing, markdown)


def source(name):
    """The source of the statement that binds `name`, its docstring cut."""
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise LookupError("name the module too, as in nnfunc.ops.affine")
    module = importlib.import_module(module_name)
    text = inspect.getsource(module)
    for node in reversed(ast.parse(text).body):  # the last one: overloads stand before the function
        if attribute in _bound(node):
            return without_annotations(_without_docstring(text.splitlines(), node))
    there = getattr(getattr(module, attribute, None), "__module__", None)
    raise LookupError(f"{module_name} does not define {attribute}" + (f", {there} does" if there else ""))


def without_annotations(code):
    """The same code with the annotations of its functions cut; a NamedTuple keeps those of its fields."""
    text = code.encode()  # a tree counts columns in bytes
    lines, cuts = [0, *accumulate(map(len, text.splitlines(keepends=True)))], []

    def start(node):
        return lines[node.lineno - 1] + node.col_offset

    def end(node):
        return lines[node.end_lineno - 1] + node.end_col_offset

    for function in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)):
        for parameter, default in _parameters(function.args):
            if parameter.annotation:
                name_end = start(parameter) + len(parameter.arg.encode())
                cuts.append((name_end, start(default), b"=") if default else (name_end, end(parameter.annotation), b""))
        if function.returns:
            cuts.append((text.rindex(b")", 0, start(function.returns)) + 1, end(function.returns), b""))
        for node in ast.walk(function):
            if isinstance(node, ast.AnnAssign) and node.value:
                cuts.append((end(node.target), end(node.annotation), b""))
    for first, last, instead in sorted(set(cuts), reverse=True):
        text = text[:first] + instead + text[last:]
    return SIGNATURE.sub(_on_one_line, text.decode())


def _parameters(arguments):
    """The parameters of a function, each with its default or None."""
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(positional) - len(arguments.defaults))
    yield from zip(positional, missing + arguments.defaults, strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((stars, None) for stars in (arguments.vararg, arguments.kwarg) if stars)


def _on_one_line(match):
    parameters = " ".join(match["parameters"].split()).removesuffix(",")
    line = f"{match['indent']}{match['name']}{parameters}):"
    return line if len(line) <= WIDTH else match[0]


def _bound(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)]


def _without_docstring(lines, node):
    decorators = getattr(node, "decorator_list", [])
    first, last = min(n.lineno for n in [node, *decorators]), node.end_lineno
    keep = lines[first - 1 : last]
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        doc = node.body[0]
        before, after = lines[first - 1 : doc.lineno - 1], lines[doc.end_lineno : last]
        while after and not after[0].strip():
            after.pop(0)
        keep = before + (after or [" " * doc.col_offset + "..."])
    return "\n".join(keep)


def _listing(name, code):
    title = f"[`{name}`][{name}]" if _documented(name) else f"`{name}`"
    return "\n".join(
        [
            '<div class="source" markdown="block">',
            f'<p class="source-name" markdown="span">{title}</p>',
            "",
            "```python",
            code,
            "```",
            "</div>",
        ]
    )


def _documented(name):
    module, _, attribute = name.rpartition(".")
    return attribute in getattr(sys.modules[module], "__all__", [] if attribute.startswith("_") else [attribute])
