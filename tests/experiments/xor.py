"""XOR by differences from fifty starts: ``python -m tests.experiments.xor [--out FILE]``.

The network of the lab, 2-8-2 with ReLU, with the settings and the random numbers of its source: 5,001 steps, learning
rate 0.01, the seeds 0 to 49. Each start is taken twice, with differences that reach 0.1 to each side and with 0.0001.
All hundred networks are computed at once, which takes half a minute of one core.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import nnfunc as nn

RECORD = Path(__file__).with_suffix(".csv")
STEPS = 0.1, 1e-4  # the h of the differences


def starts(seeds):
    """The first weights of each seed, drawn in the source's order by NumPy's old generator, and stacked."""
    drawn = [(0.1 * rng.randn(2, 8), 0.1 * rng.randn(8, 2)) for rng in map(np.random.RandomState, seeds)]
    W1, W2 = map(np.stack, zip(*drawn, strict=True))
    return {"W1": W1, "b1": np.zeros((len(drawn), 1, 8)), "W2": W2, "b2": np.zeros((len(drawn), 1, 2))}


def probabilities(params, x):
    hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
    scores = hidden @ params["W2"] + params["b2"]
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def losses(params, x, t):
    """The cross-entropy of each network, with the source's small number in the logarithm."""
    return -np.log(probabilities(params, x)[:, np.arange(len(t)), t] + 1e-7).mean(axis=-1)


def descend(params, x, t, h, lr=0.01):
    """One step of all networks, each with its own h."""
    new = {}
    for name, p in params.items():
        grad = np.empty_like(p)
        for place in np.ndindex(p.shape[1:]):
            shift = np.zeros_like(p)
            shift[:, *place] = h
            right, left = (losses(params | {name: moved}, x, t) for moved in (p + shift, p - shift))
            grad[:, *place] = (right - left) / (2 * h)
        new[name] = p - lr * grad
    return new


def run(seeds=range(50), steps=5001):
    """Yield a row for each seed and each h: the last loss, the four answers, and how many of them are right."""
    x, t = nn.xor()
    x = x.astype(np.float64)
    pairs = [(seed, h) for seed in seeds for h in STEPS]
    params, h = starts([seed for seed, _ in pairs]), np.array([h for _, h in pairs])
    for _ in range(steps):
        params = descend(params, x, t, h)
    answers = probabilities(params, x).argmax(axis=-1)
    for (seed, h), loss, answer in zip(pairs, losses(params, x, t), answers, strict=True):
        row = {"seed": seed, "h": h, "loss": f"{loss:.12g}", "answers": "".join(map(str, answer))}
        yield row | {"right": int((answer == t).sum())}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.xor", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--out", type=Path, help="a CSV file for the rows; they are printed in any case")
    arguments = parser.parse_args(argv)
    start, rows = time.process_time(), list(run(range(arguments.seeds)))
    for row in rows:
        print(*(f"{name} {value}" for name, value in row.items()), sep=", ")
    print(f"{time.process_time() - start:.0f} seconds of one core")
    if arguments.out:
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
