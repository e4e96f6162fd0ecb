"""Runs the pages' examples in as many processes as there are cores, those of which nothing is kept (executed.py).

`results` has what came of each page of this build: its results, a PluginError, or None while it is being run.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib.util import find_spec
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import executed
from mkdocs.exceptions import PluginError
from mkdocs.utils import meta

HERE = str(Path(__file__).parent)
PATIENCE = 4  # seconds without a word on the terminal

log = logging.getLogger("mkdocs.hooks.pages")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the pages share the cores
results, pools = {}, []


def start(pages, config):
    """Look up what is kept, and start what must be run; an iterator that has each page once its results are there."""
    folder, surroundings, tasks = Path(config.config_file_path).parent / ".cache" / "pages", executed.surroundings(), []
    for page in pages:
        text, name = page.file.content_string, page.file.src_uri
        markdown, front = meta.get_data(text)
        if executed.EXAMPLE.search(markdown) and find_spec(front.get("needs", "doctest")):
            key = executed.key(markdown, surroundings)
            results[name] = executed.kept(folder, name, key)
            if not results[name]:
                tasks.append((page, key, (markdown, name, text[: text.find(markdown)].count("\n"))))
    if not tasks:
        return iter(())
    if HERE not in sys.path:
        sys.path.append(HERE)  # a process takes the path of the one that starts it
    pools.append(ProcessPoolExecutor(min(_cores(), len(tasks)), get_context("spawn"), _humbly))
    with _deaf_to_ctrl_c():
        futures = {pools[-1].submit(executed.run, *task): (page, key) for page, key, task in tasks}
    log.info(f"Running the code of {_number(len(tasks), 'page')} in {_number(pools[-1]._max_workers, 'process')}")
    return _finish(pools[-1], futures, folder)


def title(page):
    """A page's heading, which will be its title; MkDocs has not read it yet."""
    heading = re.search(r"^# (.+)$", page.file.content_string, re.M)
    return heading[1] if heading else page.file.src_uri


def stop():
    """Run no more."""
    while pools:
        pools.pop().shutdown(wait=False, cancel_futures=True)
    for child in active_children():
        child.kill()


def _finish(pool, futures, folder):
    began, said = time.monotonic(), time.monotonic()
    while futures:
        done, _ = wait(futures, timeout=max(0, said + PATIENCE - time.monotonic()), return_when=FIRST_COMPLETED)
        if pool not in pools:  # another build has begun
            return
        for future in done:
            page, key = futures.pop(future)
            try:
                results[page.file.src_uri] = future.result()
            except PluginError as error:
                results[page.file.src_uri] = error
            else:
                executed.keep(folder, page.file.src_uri, key, future.result())
                log.info(f"{title(page)}, {future.result()['seconds']:.0f} s")
            said = time.monotonic()
            yield page
        if not done:
            at_work = [title(page) for future, (page, _) in futures.items() if future.running()]
            log.info(f"after {time.monotonic() - began:.0f} s at work: {'; '.join(at_work[: _cores()])}")
            said = time.monotonic()
    pools.remove(pool)
    pool.shutdown()


@contextlib.contextmanager
def _deaf_to_ctrl_c():
    """Processes started in here take no notice of Ctrl-C: it is for the server, which stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _humbly():
    """A reader who waits for the first page goes first; and no process outlives the one that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)


def _end_with_parent():
    parent_process().join()
    os._exit(1)


def _cores():
    return os.cpu_count() or 1


def _number(n, what):
    return f"{n} {what}" + ("" if n == 1 else "es" if what.endswith("s") else "s")
