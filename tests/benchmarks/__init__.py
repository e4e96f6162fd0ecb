"""Benchmarks: how long a step takes, beside the same step elsewhere. ``python -m tests.benchmarks``.

A `Task` says what is to be computed: a network, layer by layer, its first parameters, the data, the batch and the
optimizer. Each peer has a file, ``with_<peer>.py``, which writes the task as that peer's own users would:
``training(task)`` and ``predicting(task)`` return variants, ``{name: make}``, their names beginning with the column
of the table that they stand for. ``make(rows)`` sets a variant up and returns its step, a function without arguments
that does the work once and returns the loss, or the scores. With `rows`, an iterator of row numbers, it learns from
those rows, which is how the results are compared before anything is timed; without, it draws its batches in its own
fastest way. A peer that is not installed is left out.
"""

import os
import sys

# OpenBLAS counts its threads when NumPy is imported, and threadpoolctl, which could tell it later, may be missing.
if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
