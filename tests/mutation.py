"""Would the tests notice? Mistakes made on purpose, one at a time: ``python -m tests.mutation [--sample N]``.

cosmic-ray (of the extra `dev`) lists every place where a number, an operator, a comparison or a decorator could be
another. A sample of these by a fixed seed is tried, each against the test files of its own module alone, in copies of
this tree. What no test notices is listed in `tests/mutation.md`, with the reason why it is no mistake where
`tests/mutation.csv` knows one; with a sample of 800 that takes two or three hours of one core. Shifts and operators on
bits are left out: Python itself refuses them on floats, so that anything would notice.

`--json FILE` keeps what came out. Once there are tests for what survived, ``--again FILE`` tries that alone, with them.
"""

import argparse
import csv
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD, REASONS = ROOT / "tests" / "mutation.md", ROOT / "tests" / "mutation.csv"
# Each module's own test files, the quickest first. The ops of all modules share those of errors, of numbers at the edge
# and of other libraries' arrays.
OWN = {
    "_arrays": ["test_arrays", "test_functions", "test_errors", "test_wrong_calls", "test_numbers"],
    "functions": ["test_functions", "test_array_api", "test_errors", "test_numbers"],
    "gradient": ["test_gradient", "test_checkers"],
    "conv": ["test_conv", "test_errors", "test_array_api"],
    "ops": ["test_ops", "test_errors", "test_numbers", "test_array_api"],
    "layers": ["test_layers", "test_errors"],
    "networks": ["test_networks", "test_errors"],
    "numerical": ["test_numerical_training", "test_networks"],
    "initializers": ["test_initializers"],
    "optimizers": ["test_optimizers"],
    "params": ["test_params", "test_faults", "test_hostile"],
    "training": ["test_training", "test_faults"],
    "search": ["test_search"],
    "datasets/__init__": ["test_datasets", "test_hostile"],
    "datasets/images": ["test_images"],
    "__main__": ["test_main", "test_hostile"],
}
LEFT_OUT = re.compile("Shift|Bit|Invert")
LONG = "tests/test_main.py::test_main_job_ends_within_the_bands_of_the_sources"  # minutes, and others notice as much
LIMIT = 300  # seconds for the tests of one module; a mutation that loops for ever is noticed, too


def places(folder, module):
    """The mutations of a module, as cosmic-ray lists them: its database, and the numbers of its jobs."""
    settings = f'[cosmic-ray]\nmodule-path = ["nnfunc/{module}.py"]\ntimeout = {LIMIT}.0\nexcluded-modules = []\n'
    settings += f'test-command = {json.dumps(" ".join(command(module)))}\n[cosmic-ray.distributor]\nname = "local"\n'
    stem = Path(folder, module.replace("/", "-"))
    stem.with_suffix(".toml").write_text(settings, encoding="utf-8")
    call("init", stem, folder)
    with sqlite3.connect(stem.with_suffix(".sqlite")) as jobs:
        found = jobs.execute("SELECT job_id, operator_name FROM mutation_specs ORDER BY operator_name, occurrence")
        return stem, [job for job, operator in found if not LEFT_OUT.search(operator)]


def command(module):
    tests = [f"tests/{name}.py" for name in OWN[module]]
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--deselect", LONG, *tests]


def call(what, stem, folder):
    tool = [sys.executable, "-m", "cosmic_ray.cli"]
    subprocess.run([*tool, what, f"{stem}.toml", f"{stem}.sqlite"], cwd=folder, check=True)


def tried(tree, kept, stem):
    """Try the chosen mutations of a module in a copy of the tree; return what no test noticed, and how many did."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(tree, Path(folder, "tree"))
        with sqlite3.connect(f"{stem}.sqlite") as jobs:
            for (job,) in jobs.execute("SELECT job_id FROM work_items").fetchall():
                if job not in kept:
                    jobs.execute("DELETE FROM mutation_specs WHERE job_id = ?", [job])
                    jobs.execute("DELETE FROM work_items WHERE job_id = ?", [job])
        call("exec", stem, copy)
        with sqlite3.connect(f"{stem}.sqlite") as jobs:
            return jobs.execute("SELECT test_outcome, diff FROM work_results").fetchall()


def again(tree, module, found):
    """Try once more what no test noticed: each difference in turn, with the tests as they now are."""
    return [(outcome, diff) if noticed(outcome) else (once_more(tree, module, diff), diff) for outcome, diff in found]


def once_more(tree, module, diff):
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(tree, Path(folder, "tree"))
        apply = ["git", "apply", "--recount", "-"]
        if subprocess.run(apply, cwd=copy, input=f"{diff}\n", text=True, check=False).returncode:
            return "SURVIVED"  # its line is another by now
        try:
            tests = subprocess.run(command(module), cwd=copy, capture_output=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            return "KILLED"
        return "KILLED" if tests.returncode else "SURVIVED"


def noticed(outcome):
    return not str(outcome).upper().endswith("SURVIVED")


def changed(diff):
    """The lines of a difference that were taken out and put in."""
    lines = (line for line in diff.splitlines() if re.match(r"[+-](?![+-])", line))
    return " ".join(f"`{line[0]} {line[1:].strip()}`" for line in lines)


def told(results, number):
    """The record: how many were noticed in each module, and what was not."""
    with REASONS.open(encoding="utf-8", newline="") as file:
        reasons = {(row["module"], row["change"]): row["reason"] for row in csv.DictReader(file)}
    lines, rest = ["| module | tried | noticed | no mistake |", "| --- | ---: | ---: | ---: |"], []
    everything = Counter()
    for module, found in results.items():
        survivors = [changed(diff) for outcome, diff in found if not noticed(outcome)]
        why = {change: reasons.get((module, change)) for change in survivors}
        here = Counter(tried=len(found), noticed=len(found) - len(survivors))
        here["none"] = sum(why[change] is not None for change in survivors)
        everything += here
        lines.append(f"| `{module}` | {here['tried']} | {here['noticed']} | {here['none']} |")
        rest += [f"- `{module}`: {change}: {why[change] or '**no reason yet**'}" for change in survivors]
    share, mistakes = everything["noticed"] / everything["tried"], everything["tried"] - everything["none"]
    head = f"{everything['tried']} of {number} mutations, seed 0, by `python -m tests.mutation`: {share:.1%} noticed, "
    head += f"{everything['noticed'] / mistakes:.1%} of those that are mistakes."
    return "\n".join(["# Mutations", "", head, "", *lines, "", "What no test noticed:", "", *rest, ""])


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help=f"which of {', '.join(OWN)}; all if none is named")
    parser.add_argument("--sample", type=int, default=800)
    parser.add_argument("--jobs", type=int, default=1, help="how many modules at once")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--json", type=Path, help="a file for what came out, to be tried again")
    parser.add_argument("--again", type=Path, help="such a file; nothing but what survived is tried")
    arguments = parser.parse_args(argv)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        tree = Path(folder, "tree")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(tree)], check=True)
        if arguments.again:
            before = json.loads(arguments.again.read_text(encoding="utf-8"))
            number, found = before["number"], before["found"]
            answers = pool.map(partial(again, tree), found, found.values())
            results = dict(zip(found, answers, strict=True))
        else:
            listed = {module: places(tree, module) for module in OWN}
            jobs = [job for _, own in listed.values() for job in own]
            number = len(jobs)
            kept = {*random.Random(0).sample(range(number), min(arguments.sample, number))}
            chosen = {job for k, job in enumerate(jobs) if k in kept}
            names = arguments.modules or [*OWN]
            answers = pool.map(partial(tried, tree, chosen), [listed[name][0] for name in names])
            results = dict(zip(names, answers, strict=True))
    if arguments.json:
        arguments.json.write_text(json.dumps({"number": number, "found": results}), encoding="utf-8")
    record = told(results, number)
    print(record)
    arguments.record.write_text(record, encoding="utf-8")


if __name__ == "__main__":
    main()
