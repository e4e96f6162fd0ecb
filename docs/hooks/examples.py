"""Shows each page with the results of its examples, which are run while the site is built (see executed.py).

Pages are run in as many processes as there are cores, and only if nothing is kept of them. A wrong output, or a
warning, stops the build with the page and the line. While the site is served no reader waits for that: a page that
is still being run is shown as it is written, asks for itself every two seconds, and names its mistake if it has one.

A figure that a block leaves open belongs to the next line ``![what it shows](figure "a caption")`` (see figures.py) and
is drawn there. Where the code stands in a closed box, "The code of the figure", the reader finds the box below. A
figure without such a line stops the build, and so does a line without a figure.

Where another machine may print other digits, a page writes dots, ``0.9...  # doctest: +ELLIPSIS``. The build shows what
it printed itself, marks the line, and says below the block what was asked for. If the dots are too wide a band, the
next line narrows it, ``>>> assert 0.93 < accuracy < 0.95  # band``: doctest and pytest run it as any other, the reader
finds it below the block.

A page whose front matter says ``needs: jax`` is shown as it is written where jax is not installed.
"""

import doctest
import html
import re
import sys
from itertools import zip_longest

import again
import executed
import figures
import pages
from mkdocs.exceptions import PluginError

BAND = re.compile(r"assert (.+?)\s*# band$")
NOTE = "Your machine may print other digits. Asked for:"
CODE_ABOVE = re.compile(
    r'^(?P<box>(?P<indent>[ \t]*)\?\?\? example "The code of the \w+"\n(?:\n|(?P=indent)(?:    |\t).*\n)+)'
    r'(?P<figures>(?:(?P=indent)<figure class="plot"(?:.*\n)+?(?P=indent)</figure>\n\n?)+)',
    re.M,
)
REFRESH = '<meta http-equiv="refresh" content="2">'

serving, navigation, early = False, None, set()


def on_startup(command, dirty):
    global serving
    serving = command == "serve"


def on_shutdown():
    pages.stop()
    again.close()


def on_pre_build(config):
    """While serving, each build sees the library as it now stands."""
    if serving:
        for name in [n for n in sys.modules if n.partition(".")[0] == "nnfunc"]:
            del sys.modules[name]


def on_nav(nav, config, files):
    global navigation
    navigation = nav
    pages.stop()
    pages.results.clear()
    finished = pages.start([file.page for file in files.documentation_pages()], config)
    if serving:
        early.clear()
        again.follow(finished, lambda page: page.file.src_uri in early)
    else:
        for page in finished:
            _results(page.file.src_uri)
    return nav


def on_page_markdown(markdown, page, config, files):
    if not executed.EXAMPLE.search(markdown):
        return markdown
    name = page.file.src_uri
    try:
        found = _results(name)
        (early.discard if found or name not in pages.results else early.add)(name)
        return show(markdown, found, name)
    except PluginError as error:
        if not serving:
            raise
        return f"<pre class='wrong'>{html.escape(str(error))}</pre>\n\n{show(markdown, None, name)}"


def on_post_page(output, page, config):
    return output.replace("</head>", f"{REFRESH}</head>", 1) if page.file.src_uri in early else output


def _results(name):
    found = pages.results.get(name)
    if isinstance(found, PluginError):
        raise found
    return found


def show(markdown, found, name):
    """The page as it is shown, with the results that were found, or as it is written if there are none as yet."""
    waiting, drawn, rest = [], 0, iter(found["parts"] if found else ())

    def part(match):
        nonlocal drawn
        if match["fence"] and not executed.EXAMPLE.search(match["body"]):
            return match[0]
        if match["fence"]:
            result = next(rest, {"got": (), "drawn": ()})
            waiting.extend(result["drawn"])
            return _shown(match, result["got"])
        drawn += 1
        if not found:
            return figures.place(match, None, name, f"fig{drawn}")
        where = f"{name}, figure {drawn}"
        return figures.place(match, next(rest)["svg"] if match["svg"] else waiting, where, f"fig{drawn}")

    shown = executed.PART.sub(part, markdown)
    if waiting:
        raise PluginError(f'{name}: {len(waiting)} figure(s) without a line ![what it shows](figure "a caption")')
    outside = executed.EXAMPLE.search(executed.PART.sub("", markdown))
    if outside:
        raise PluginError(f"{name}: an example outside a fenced block: {outside.string[outside.start() :][:60]!r}")
    return CODE_ABOVE.sub(_code_below, shown)


def _code_below(match):
    """The figures first, and then the box with their code, which book.css leaves out on paper."""
    return match["figures"] + match["box"].replace("??? example", "??? example drawing", 1)


def _shown(match, outputs):
    """The block without what only doctest needs, and with the numbers of this build where they vary."""
    lines, shown, varying, bands, at = match["body"].splitlines(), [], [], [], 0
    for example, output in zip(executed.examples(match["body"]), outputs, strict=False):
        printed = example.lineno + example.source.count("\n")
        end = printed + example.want.count("\n")
        shown += lines[at : example.lineno]
        band = BAND.match(example.source)
        if band:
            bands.append(band[1])
        else:
            shown += lines[example.lineno : printed]
            if example.options.get(doctest.ELLIPSIS) and not example.exc_msg:
                wanted, got = lines[printed:end], output.splitlines()
                bands += [line.strip() for line in wanted if "..." in line]
                differs = [len(got) != len(wanted) or "..." in line for line, _ in zip_longest(wanted, got)]
                varying += [len(shown) + k for k, varies in enumerate(differs, 1) if varies]
                shown += [" " * example.indent + line for line in got]
            else:
                shown += lines[printed:end]
        at = end
    info = re.sub(r"^\s*(python|py|)(?=\s|$)", "pycon", match["info"])
    info += f' hl_lines="{" ".join(map(str, varying))}"' if varying else ""
    body = re.sub(r"[ \t]*#[ \t]*doctest:.*", "", "\n".join([*shown, *lines[at:]]))
    body = body.replace("<BLANKLINE>", "").rstrip() + "\n"
    note = f"\n\n{match['indent']}{NOTE} {', '.join(f'`{band}`' for band in bands)}.\n{match['indent']}{{: .band }}\n"
    return f"{match['indent']}{match['fence']}{info}\n{body}{match['indent']}{match['fence']}{note if bands else ''}"


def on_env(env, config, files):
    if env is not again.last.get("env"):
        again.remember(env, navigation, config, files)


def on_serve(server, config, builder):
    """A saved page is built again by itself, and a page that had to wait for its results when it has them."""

    def run(saved):
        list(pages.start(saved, config))
        return saved

    server.builder = again.builder(server.builder, run)
    again.whole.set()
    return server
