"""Execute the labs, and keep what they put out for the site to show.

    python docs/labs/execute.py                  # all of them, some minutes
    python docs/labs/execute.py xor optimizers   # these two
    python docs/labs/execute.py --check          # all of them, keeping nothing: do they run, is what is kept theirs?

As many run at once as there are cores. A lab whose assertion fails, or that writes to stderr, is not kept. It needs
the extra `book`.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "hooks"))
import figures  # noqa: E402
import labs  # noqa: E402

SETUP = """\
from matplotlib_inline.backend_inline import set_matplotlib_formats
set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})
"""
ENVIRONMENT = {"MATPLOTLIBRC": str(figures.STYLE), "OPENBLAS_NUM_THREADS": "1"}  # the labs share the cores
CLIENT = {
    "kernel_name": "python3",
    "startup_timeout": 600,  # a busy machine is slow, and that is no failure
    "record_timing": False,
    "extra_arguments": ["--log-level=ERROR"],  # or each kernel warns of its unencrypted port
}


class LabError(Exception):
    """Why a lab's outputs are not kept."""


def execute(text, name):
    """What the lab's code cells put out, a list for each: texts that were printed, values, figures as SVG."""
    notebook = jupytext.reads(text, fmt="md")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    try:
        asyncio.run(NotebookClient(notebook, **CLIENT).async_execute(env=os.environ | ENVIRONMENT))
    except CellExecutionError as error:
        raise LabError(f"{name}: {error}") from error
    drawn, cells = 0, []
    for cell in (cell for cell in notebook.cells[1:] if cell.cell_type == "code"):
        cells.append([])
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise LabError(f"{name} writes to stderr:\n{output.text}")
            if output.output_type == "stream":
                cells[-1].append({"stream": output.text.rstrip()})
            elif "image/svg+xml" in output.data:
                drawn += 1
                cells[-1].append({"svg": figures.themed(output.data["image/svg+xml"], f"fig{drawn}")})
            elif any(kind.startswith("image/") for kind in output.data):
                raise LabError(f"{name}: a picture that is not SVG")
            else:
                cells[-1].append({"value": output.data["text/plain"].rstrip()})
    return cells


def outcome(path, check):
    """Execute one lab; keep its outputs, or see whether those that are kept are of this text. What to say of it."""
    began, text = time.perf_counter(), path.read_text("utf-8")
    try:
        cells = execute(text, path.stem)
        if check and labs.kept(path, text) is None:
            raise LabError(f"{path.stem}: what is kept is of another text; `python docs/labs/execute.py {path.stem}`")
    except LabError as error:
        return False, str(error)
    if not check:
        labs.place(path).parent.mkdir(exist_ok=True)
        labs.place(path).write_text(json.dumps({"stamp": labs.stamp(text), "cells": cells}, indent=0) + "\n", "utf-8")
    return True, f"{path.stem}, {time.perf_counter() - began:.0f} s"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a lab, such as xor (all of them if none is named)")
    parser.add_argument("--check", action="store_true", help="keep nothing; fail if what is kept is of another text")
    asked = parser.parse_args(arguments)
    paths = [HERE / f"{name}.md" for name in asked.names] or sorted(HERE.glob("*.md"))
    right = True
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a lab is a process; its thread only waits for it
        for good, said in pool.map(partial(outcome, check=asked.check), paths):
            print(said, flush=True)
            right &= good
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
