"""Benchmarks: how long a step takes, beside the same step elsewhere. ``python -m tests.benchmarks``.

A workload is a function ``workload(data, dtype)`` that returns its peers, ``{name: make}``; ``make(rows)``
sets a peer up and returns its step, a function without arguments that takes one step and returns the loss. With
`rows`, an iterator of row numbers, a peer learns from those rows, which is how the losses are compared before
anything is timed; without, it draws its batches in its own fastest way. A peer that is not installed is left out.
"""
