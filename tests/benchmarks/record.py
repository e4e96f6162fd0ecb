"""A record as text: the tables that are printed, and the part of the page "How fast" that is made of it."""

import contextlib
import datetime
import importlib.metadata
import platform
import re
from pathlib import Path

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
    return {"date": str(datetime.date.today()), "processor": processor(), "versions": versions}


def processor():
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


def tables(record):
    """The record as Markdown."""
    parts = [told(record)]
    for dtype in dict.fromkeys(row["dtype"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["dtype"] == dtype]
        parts += [f"**{dtype}**", ratios(rows), *variants(rows)]
    if record.get("numerical"):
        parts += ["**Numerical gradient of every parameter, float64**", numerical(record["numerical"])]
    if record.get("parts"):
        parts += ["**A step of W1 (sigmoid), float32**", pieces(record["parts"])]
    return "\n\n".join(parts)


def told(record):
    seen = record["circumstances"]
    versions = ", ".join(f"{name} {version}" for name, version in seen["versions"].items())
    busy = [cores for row in record["rows"] for cores in row["cores"].values()]
    used = f" Each peer kept {min(busy):.2f} to {max(busy):.2f} cores busy." if busy else ""
    return (
        f"{seen['date']}, {seen['processor']}, {seen['cores']}; {versions}. Medians of {seen['rounds']} rounds.{used}"
    )


def ratios(rows):
    columns = [column for column in COLUMNS if any(row["ratios"][column] for row in rows)]
    heads = ["nnfunc ÷", *(COLUMNS[column] for column in columns), "nnfunc, ms"]
    return table(
        heads,
        (
            [
                row["workload"],
                *("–" if row["ratios"][column] is None else f"{row['ratios'][column]:.2f}" for column in columns),
                f"{row['microseconds'][OURS] / 1000:.3g}",
            ]
            for row in rows
        ),
    )


def variants(rows, column="torch eager"):
    """Which of a peer's variants was the fastest."""
    found = [(row["workload"], row["variants"][column].partition(": ")[2]) for row in rows if row["variants"][column]]
    if found:
        yield f"{COLUMNS[column]} at its fastest: {'; '.join(f'{name}: {variant}' for name, variant in found)}."


def numerical(rows):
    heads = ["", "parameters", "nnfunc, s", "brute force, s", "times faster"]
    return table(
        heads,
        (
            [
                row["network"],
                f"{row['parameters']:,}",
                f"{row['structured']:.3f}",
                f"{row['brute force']:.0f}",
                f"{row['brute force'] / row['structured']:.0f}",
            ]
            for row in rows
        ),
    )


def pieces(parts):
    whole, left_out = parts["the whole step"], parts["the product left out"]
    inside = {name: t for name, t in parts.items() if name not in ("the whole step", "the product left out")}
    inside["Python and the rest"] = max(0.0, whole - sum(inside.values()))
    lines = [*inside.items(), ("the whole step", whole), ("not computed: the input's gradient", left_out)]
    return table(["part", "µs", "share"], ([name, f"{t:.0f}", f"{t / whole:.0%}"] for name, t in lines))


def in_page(text, record):
    """The page with the part between its two marks made anew."""
    before, _, rest = text.partition(FROM)
    _, mark, after = rest.partition(TO)
    if not mark:
        raise ValueError(f"in_page: the page lacks {FROM} or {TO}")
    return f"{before}{FROM}\n\n{tables(record)}\n\n{TO}{after}"
