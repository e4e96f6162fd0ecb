"""Measure how soon the pages of a built site are painted: ``python tests/site/first_paint.py SITE``.

First contentful paint, served on this machine to headless Chromium, a fresh context for each visit: the median of five
visits to each of the ten heaviest pages. No test asserts it, since a busy machine paints late.
"""

import functools
import http.server
import shutil
import statistics
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

PAINTED = """
() => new Promise(done => new PerformanceObserver(list => {
    const paint = list.getEntriesByName("first-contentful-paint")[0]
    if (paint) done(paint.startTime)
}).observe({ type: "paint", buffered: true }))
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def first_paint(browser, url):
    """Milliseconds from the request to the first text or picture."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto(url, wait_until="commit")
        return tab.evaluate(PAINTED)


def main(site):
    pages = sorted(site.rglob("index.html"), key=lambda page: page.stat().st_size)[-10:]
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = shutil.which("chromium") or driver.chromium.executable_path
        browser = driver.chromium.launch(executable_path=path)
        first_paint(browser, f"http://127.0.0.1:{server.server_port}/")  # the browser itself wakes up
        for page in pages:
            url = f"http://127.0.0.1:{server.server_port}/{page.parent.relative_to(site).as_posix()}/"
            median = statistics.median(first_paint(browser, url) for _ in range(5))
            print(
                f"{median:5.0f} ms  {page.stat().st_size / 1000:4.0f} KB  {page.parent.relative_to(site)}", flush=True
            )
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
