"""Page faults of a convolutional step, by what its process did before: once a large block was freed, glibc keeps more.

Each count is taken in a fresh process, in which nobody has asked glibc for anything. The images are random, so that
the step is the same one whether or not MNIST was loaded.
"""

import contextlib
import json
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

import numpy as np

from . import conv, with_nnfunc
from .against import ROOT

resource = None
with contextlib.suppress(ImportError):  # Windows counts otherwise
    import resource

CURE = "np.empty(32_000_000, np.uint8)"
BEFORE = {"nothing": "", "the line": CURE, "load_mnist": "import nnfunc; kept = nnfunc.load_mnist()"}
STEPS = {"W4": (conv.w4, 20), "W4b": (conv.w4b, 4)}


def measure(rounds=3, images=60_000):
    """Medians over the rounds, a row for each workload and each thing done before; none where faults are not told."""
    if not resource:
        return []
    cases = [(name, before) for name in STEPS for before in BEFORE]
    counts = [[fresh(*case, images) for case in cases] for _ in range(rounds)]
    rows = []
    for (name, before), found in zip(cases, zip(*counts, strict=True), strict=True):
        middle = {key: median(count[key] for count in found) for key in ("faults", "microseconds")}
        rows.append({"workload": name, "before": before} | middle)
    return rows


def fresh(name, before, images):
    """What `count` finds in a new process, after the line of `BEFORE`."""
    told = f"import json; from tests.benchmarks import faults; print(json.dumps(faults.count({name!r}, {images})))"
    code, environment = f"import numpy as np\n{BEFORE[before]}\n{told}", os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else sys.exit(f"page faults, {name}: {done.stderr}")


def count(name, images):
    """Page faults a step of this process, the first steps left out, and the median of its time."""
    make, steps = STEPS[name]
    rng, times = np.random.default_rng(0), []
    data = rng.random((images, 784), np.float32), rng.integers(0, 10, images)
    step = with_nnfunc.train(make(data, np.float32))
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {"faults": faults / steps, "microseconds": median(times) * 1e6}
