"""How soon a reader sees the site: `python tests/site/how_soon.py`, on a machine that does nothing else.

It serves a copy of the tree twice, cold (nothing is kept) and warm, and says when the first page came, what the longest
silence on the terminal was, and when the last page had its results; then it saves each chapter and waits for it to come
back. It needs the extra `book`.
"""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "site", "build", "dist", "*.egg-info")
FIRST, MARK = "book/02-perceptrons/", "\n\nSaved at this very moment.\n"


def serve(tree, port):
    """The process, the time it began, and the lines it prints, each with its time, as they come."""
    env = os.environ | {"PYTHONPATH": str(tree), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-u", "-m", "mkdocs", "serve", "-a", f"127.0.0.1:{port}"]
    began, lines = time.perf_counter(), []
    process = subprocess.Popen(command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read():
        lines.extend((time.perf_counter() - began, line) for line in process.stdout)

    threading.Thread(target=read, daemon=True).start()
    return process, began, lines


def when(address, right):
    """The time at which the page is there and right."""
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                if right(answer.read().decode()):
                    return time.perf_counter()
        except OSError:
            pass
        time.sleep(0.05)


def longest_silence(lines, end):
    times = [0, *(at for at, _ in lines if at < end), end]
    return max(later - sooner for sooner, later in itertools.pairwise(times))


def main():
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        tree, home = Path(folder, "nnfunc"), f"http://127.0.0.1:{port}/"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        pages = [path.relative_to(tree / "docs").with_suffix("").as_posix() for path in (tree / "docs").rglob("*.md")]
        pages = [re.sub(r"(^|/)index$", r"\1", page) for page in pages]
        for state in ("cold", "warm"):
            process, began, lines = serve(tree, port)
            first = when(home + FIRST, lambda text: True) - began
            for page in pages:
                when(
                    f"{home}{page}{'/' if page[-1:] not in ('', '/') else ''}",
                    lambda text: 'equiv="refresh"' not in text,
                )
            whole = time.perf_counter() - began
            silence = longest_silence(lines, whole)
            print(f"{state}: first page {first:.1f} s, all results {whole:.1f} s, longest silence {silence:.1f} s")
            if state == "cold":
                process.send_signal(signal.SIGINT)
                process.wait()
        for chapter in sorted((tree / "docs" / "book").glob("*.md")):
            text, saved = chapter.read_text("utf-8"), time.perf_counter()
            chapter.write_text(text + MARK, "utf-8")
            back = when(f"{home}book/{chapter.stem}/", lambda text: MARK.strip() in text) - saved
            own = json.loads((tree / ".cache/pages/book" / f"{chapter.stem}.json").read_text())["results"]["seconds"]
            print(f"{chapter.stem} saved: back after {back:.1f} s, of which its code took {own:.1f} s")
        process.send_signal(signal.SIGINT)
        process.wait()


if __name__ == "__main__":
    main()
