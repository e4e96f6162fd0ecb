"""A record as text: the tables that are printed, and the part of the page "How fast" that is made of it."""

import contextlib
import datetime
import importlib.metadata
import importlib.util
import json
import platform
import re
from functools import partial
from pathlib import Path
from string import ascii_uppercase

from .dense import FLOOR
from .timing import table
from .with_nnfunc import NAME as OURS

COLUMNS = {
    FLOOR: FLOOR,
    "torch eager": "PyTorch eager",
    "torch channels_last": "channels last",
    "torch.compile": "PyTorch compiled",
    "jax.jit": "JAX jit",
    "jax scan": "JAX scan",
    "scikit-learn": "scikit-learn",
    "HIPS autograd": "HIPS autograd",
}
PACKAGES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "scikit-learn": "scikit-learn", "autograd": "autograd"}
FROM, TO = "<!-- from the record -->", "<!-- to here -->"


def circumstances():
    """What the numbers depend on."""
    versions = {"Python": platform.python_version()}
    for package, name in PACKAGES.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(package)
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        for blas in threadpoolctl.threadpool_info():
            if blas["internal_api"] == "openblas" and "numpy" in blas["filepath"]:
                versions["OpenBLAS"] = f"{blas['version']} (its kernels for {blas['architecture']})"
    return {"date": str(datetime.date.today()), "processor": processor(), "versions": versions}


def processor():
    """The processor's name as far as the system tells, and the numbers of its kind, as clouds hide the name."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        seen = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
        name, kind = seen.get("model name"), f" (family {seen.get('cpu family')}, model {seen.get('model')})"
        return name + kind * ("cpu family" in seen) if name else platform.machine()
    return platform.processor() or platform.machine()


def read(files):
    """The records in the files, the earliest first."""
    records = (json.loads(Path(file).read_text(encoding="utf-8")) for file in files)
    return sorted(records, key=lambda record: record["circumstances"]["date"])


def tables(*records):
    """The records as Markdown. Several get letters, and what they say of the same thing stands below each other."""
    records = dict(zip(ascii_uppercase if len(records) > 1 else [""], records, strict=False))
    parts = [told(*item) for item in records.items()]
    for dtype in dict.fromkeys(row["dtype"] for record in records.values() for row in record["rows"]):
        found = {letter: [row for row in record["rows"] if row["dtype"] == dtype] for letter, record in records.items()}
        parts += [f"**{dtype}**", ratios(found), *variants(found)]
    for key, (title, show) in KINDS.items():
        found = {letter: record[key] for letter, record in records.items() if record.get(key)}
        parts += [f"**{title}**", show(found)] if found else []
    return "\n\n".join(parts)


def beside(heads, found, lines):
    """One table of what ``lines(rows)`` makes of each record's rows, ``{letter: rows}``; equal first cells meet."""
    cells = [(letter, *line) for letter, rows in found.items() for line in lines(rows)]
    names = [*dict.fromkeys(name for _, name, *_ in cells)]
    cells.sort(key=lambda line: names.index(line[1]))
    return table(heads, ([f"{name}, {letter}" if letter else name, *rest] for letter, name, *rest in cells))


def told(letter, record):
    seen = record["circumstances"]
    versions = ", ".join(f"{name} {version}" for name, version in seen["versions"].items())
    busy = [cores for row in record["rows"] for cores in row["cores"].values()]
    used = f" Each peer kept {min(busy):.2f} to {max(busy):.2f} cores busy." if busy else ""
    where = f"{f'**{letter}**: ' if letter else ''}{seen['date']}, {seen['processor']}, {seen['cores']}"
    return f"{where}; {versions}. Medians of {seen['rounds']} rounds.{used}{around(seen)}"


def around(seen):
    """What else the machine did, as far as it was looked at and the system tells: sentences, each after a space."""
    told = ""
    if "load" in seen:
        told += " Load {:.2f} before and {:.2f} after.".format(*seen["load"])
    if "others" in seen:
        before, during = seen["others"]
        told += f" Other processes took {before:.0%} of the time of {seen['processors']} processors before,"
        told += f" and {during:.0%} during the run."
    if seen.get("beside"):
        told += " **So this was made beside other processes**: its times are too long, and its ratios less sure."
    return told


def ratios(found):
    rows = [row for rows in found.values() for row in rows]
    columns = [column for column in COLUMNS if any(row["ratios"][column] for row in rows)]
    spread = any("spread" in row for row in rows)  # earlier records lack it

    def line(row):
        yield row["workload"]
        yield from ("–" if row["ratios"][column] is None else f"{row['ratios'][column]:.2f}" for column in columns)
        yield f"{row['microseconds'][OURS] / 1000:.3g}"
        if spread:
            yield "{:.2f} to {:.2f}".format(*row["spread"]) if "spread" in row else "–"

    heads = ["nnfunc ÷", *(COLUMNS[column] for column in columns), "nnfunc, ms", *["its middle half"] * spread]
    return beside(heads, found, partial(map, line))


def variants(found, column="torch eager"):
    """Which of a peer's variants was the fastest."""
    for letter, rows in found.items():
        best = {row["workload"]: row["variants"][column] for row in rows if row["variants"][column]}
        if best:
            told = "; ".join(f"{name}: {variant.partition(': ')[2]}" for name, variant in best.items())
            yield f"{COLUMNS[column]} at its fastest{', ' * bool(letter)}{letter}: {told}."


def numerical(found):
    def line(row):
        yield from (row["network"], f"{row['parameters']:,}")
        yield from (f"{row['structured']:.3f}", f"{row['brute force']:.0f}")
        yield f"{row['brute force'] / row['structured']:.0f}"

    return beside(["", "parameters", "nnfunc, s", "brute force, s", "times faster"], found, partial(map, line))


def pieces(found):
    return beside(["part", "µs", "share"], found, _pieces)


def _pieces(parts):
    whole, left_out = parts["the whole step"], parts["the product left out"]
    inside = {name: t for name, t in parts.items() if name not in ("the whole step", "the product left out")}
    inside["Python and the rest"] = max(0.0, whole - sum(inside.values()))
    lines = [*inside.items(), ("the whole step", whole), ("not computed: the input's gradient", left_out)]
    return ([name, f"{t:.0f}", f"{t / whole:.0%}"] for name, t in lines)


def page_faults(found):
    def line(row):
        return [f"{row['workload']}, {row['before']}", f"{row['faults']:,.0f}", f"{row['microseconds'] / 1000:.3g}"]

    return beside(["step, before it", "page faults", "nnfunc, ms"], found, partial(map, line))


KINDS = {
    "numerical": ("Numerical gradient of every parameter, float64", numerical),
    "parts": ("A step of W1 (sigmoid), float32", pieces),
    "faults": ("Page faults of a step in a process of its own, float32", page_faults),
}


def in_page(text, *records):
    """The page with the part between its two marks made anew."""
    before, _, rest = text.partition(FROM)
    _, mark, after = rest.partition(TO)
    if not mark:
        raise ValueError(f"in_page: the page lacks {FROM} or {TO}")
    return f"{before}{FROM}\n\n{tables(*records)}\n\n{TO}{after}"
