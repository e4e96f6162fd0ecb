"""While the site is served to this machine alone, every block of code can be run and edited, in a kernel of the page.

The page gets a script, a style sheet and a token. The script asks for a run by a POST that has the token and comes from
a page of this server: nothing else on the machine or the network gets an answer. A built site has no trace of it.

Each exercise gets an empty block, above its answer. If the question names, in backticks, what the answer defines, the
block can be checked: what the reader wrote takes the place of these definitions, and the examples after them, in the
same block of the answer, must come out as they stand there.
"""

import ast
import itertools
import json
import re
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

import executed
import figures
import kernel
import pages
from mkdocs.utils import get_relative_url

ADDRESS, LARGEST = "/.live", 2**20
SCRIPT, STYLE = "assets/js/live.js", "assets/css/live.css"
EXERCISE = re.compile(r'^\*\*(\d+)\. (.*?)^(?=\?\?\? success "Answer"\n(.*?)(?=^\*\*\d+\. |^## |\Z))', re.M | re.S)
NAMED = re.compile(r"`(\w+)(?:\([^`]*\))?`")

serving, sources, drawn = False, {}, itertools.count(1)


class Exercise(NamedTuple):
    number: str
    at: int  # where its answer begins
    names: list  # what the reader has to define, if that can be checked
    before: list  # the answer's code before the first of these definitions
    compared: list  # the answer's examples after it, as doctest has them


def on_startup(command, dirty):
    global serving
    serving = command == "serve"


def on_shutdown():
    kernel.close_all()


def offered(config):
    return serving and config.dev_addr.host in ("127.0.0.1", "localhost", "::1")


def on_files(files, config):
    for name in (SCRIPT, STYLE):
        if (file := files.get_file_from_path(name)) and not offered(config):
            files.remove(file)
    return files


def on_page_markdown(markdown, page, config, files):
    if not offered(config) or not executed.EXAMPLE.search(markdown):
        return markdown
    sources[page.file.src_uri] = markdown
    for exercise in reversed(exercises(markdown)):
        place = (
            f'<div class="live exercise" data-number="{exercise.number}" data-check="{" ".join(exercise.names)}"></div>'
        )
        markdown = f"{markdown[: exercise.at]}{place}\n\n{markdown[exercise.at :]}"
    return markdown


def on_post_page(output, page, config):
    name = page.file.src_uri
    if not offered(config) or not pages.results.get(name):
        return output
    script, style = (get_relative_url(path, page.url) for path in (SCRIPT, STYLE))
    head = f'<meta name="live" content="{kernel.TOKEN}" data-page="{name}"><link rel="stylesheet" href="{style}">'
    return output.replace("</head>", f'{head}<script defer src="{script}"></script></head>', 1)


def on_serve(server, config, builder):
    if offered(config):
        server.set_app(application(server.get_app(), config.dev_addr.port, Path(config.config_file_path).parent))
    return server


def application(site, port, folder):
    """The server's application, and before it the one that answers the script."""
    hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}

    def app(environ, start_response):
        if environ["PATH_INFO"] != ADDRESS:
            return site(environ, start_response)
        host, length = environ.get("HTTP_HOST", ""), environ.get("CONTENT_LENGTH") or ""
        if not (
            environ["REQUEST_METHOD"] == "POST"
            and host in hosts
            and environ.get("HTTP_ORIGIN") == f"http://{host}"
            and compare_digest(environ.get("HTTP_X_TOKEN", "").encode(), kernel.TOKEN.encode())
            and length.isdecimal()
            and int(length) <= LARGEST
        ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"not from a page of this server"]
        shown = answer(folder, **json.loads(environ["wsgi.input"].read(int(length))))
        start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps(shown).encode()]

    return app


def answer(folder, do, id, **asked):
    """Do what the script asks for: run a block, check an exercise, stop, or close the page's kernel."""
    if do == "run":
        shown = kernel.ask(id, folder, "run", asked["above"], asked["code"], asked["edited"], asked["number"])
    elif do == "check":
        markdown = sources[asked["page"]]
        exercise = next(e for e in exercises(markdown) if e.number == asked["number"])
        shown = kernel.ask(id, folder, "check", code_above(markdown, exercise), asked["code"], *exercise[2:])
    else:
        shown = {"stop": kernel.stop, "close": kernel.close}[do](id) or ()
    return [(kind, _themed(text) if kind == "svg" else text) for kind, text in shown]


def _themed(svg):
    return figures.inline(figures.themed(svg, f"live{next(drawn)}"), "The figure that this code draws")


def code_above(markdown, exercise):
    return [e.source for part in executed.parts(markdown[: exercise.at]) for e in executed.examples(part["body"] or "")]


def exercises(markdown):
    """The exercises of a page."""
    start = markdown.find("\n## Exercises\n")
    found = EXERCISE.finditer(markdown, start) if start >= 0 else ()
    return [Exercise(m[1], m.end(), *_checkable(m[2], m[3])) for m in found]


def _checkable(question, answer):
    """What an exercise asks for by name, the answer's code before it, and the examples that must come out."""
    named = NAMED.findall(executed.PART.sub("", question))
    blocks = [executed.examples(part["body"] or "") for part in executed.parts(answer)]
    asked = [{_defined(example) for example in block} & set(named) for block in blocks]
    last = max((k for k, found in enumerate(asked) if found), default=-1)
    together = [example for block in blocks[: last + 1] for example in block]
    names = sorted(set().union(*asked), key=named.index)
    first = next((k for k, example in enumerate(together) if _defined(example) in names), 0)
    compared = [(e.source, e.want, e.exc_msg, e.options) for e in together[first:] if _defined(e) not in names]
    return names, [example.source for example in together[:first]], compared


def _defined(example):
    """The name that an example defines, if that is what it does."""
    statement = ast.parse(example.source).body[0]
    if isinstance(statement, ast.Assign):
        return getattr(statement.targets[0], "id", None)
    return getattr(statement, "name", None)
