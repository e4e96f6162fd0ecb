"""Builds one page of the served site again, without the others.

MkDocs builds all pages whenever a file is saved. If nothing but pages has been saved since the last build, those pages
alone are read, run and written here, into the site that is being served. The index to search, and what is made of
several pages, wait for the next whole build.
"""

import contextlib
import os
import threading
from pathlib import Path

from mkdocs.commands import build
from mkdocs.exceptions import PluginError

last = {}  # of the last whole build: its templates, configuration, pages and files' times
one_at_a_time = threading.RLock()
whole = threading.Event()  # the site has been built, and may be mended
closed = threading.Event()


def remember(env, nav, config, files):
    last.update(env=env, nav=nav, config=config, files=files, written=_written(config))


def builder(build_all, run):
    """The server's builder: `build_all()`, or if nothing but pages was saved `run(pages)`, which returns them."""

    def build_what_was_saved():
        with one_at_a_time:
            saved = _saved()
            if not saved:
                whole.clear()
                build_all()
                whole.set()
            for page in run(saved) if saved else ():
                page_again(page)

    return build_what_was_saved


def follow(pages, early):
    """Build each of these pages again as it comes, once the whole site stands, if it was built too early."""

    def work():
        waiting = []
        for page in pages:
            waiting.append(page)
            while whole.is_set() and waiting:
                if early(page := waiting.pop(0)):
                    mend(page)
        whole.wait()
        for page in filter(early, waiting):
            mend(page)

    def mend(page):
        with contextlib.suppress(PluginError):  # MkDocs has told of it, and other pages wait
            page_again(page)

    threading.Thread(target=work, daemon=True).start()


def close():
    """Build nothing more: the folder of the site is about to be deleted."""
    with one_at_a_time:
        closed.set()


def page_again(page):
    with one_at_a_time:
        if closed.is_set():
            return
        config, files, env = last["config"], last["files"], last["env"]
        build._populate_page(page, config, files)
        config.plugins.on_env(env, config=config, files=files)
        build._build_page(page, config, files.documentation_pages(), last["nav"], env)


def _saved():
    """The pages saved since the last build, if nothing else was, and none has come or gone."""
    then, now = last["written"], _written(last["config"])
    changed = {path for path in then.keys() | now.keys() if then.get(path) != now.get(path)}
    pages = {file.abs_src_path: file.page for file in last["files"].documentation_pages()}
    last["written"] = now
    return [pages[path] for path in changed] if changed <= pages.keys() & then.keys() & now.keys() else []


def _written(config):
    """When each watched file was written."""
    found = [Path(config.config_file_path)]
    for folder in (config.docs_dir, *config.watch):
        found += [
            Path(where, name) for where, _, names in os.walk(folder) for name in names if not name.endswith(".pyc")
        ]
    return {str(path.absolute()): path.stat().st_mtime_ns for path in found if path.exists()}
