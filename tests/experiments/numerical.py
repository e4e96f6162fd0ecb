"""Training by numerical gradient alone, run to its end: ``python -m tests.experiments.numerical [--out FILE]``.

Ten thousand steps of 784-50-10, batch 100, learning rate 0.1, each gradient 79,520 central differences; beside it the
same run by backpropagation. The sources began this run and never saw its end: by their own programs it takes days.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import nnfunc as nn

RECORD = Path(__file__).with_suffix(".csv")
GRADIENTS = {"numerical": nn.numerical_value_and_grad, "backprop": nn.value_and_grad}


def run(data, seed=0, steps=10_000, every=600, hidden=50, activation=nn.layers.sigmoid):
    """Yield a row of the table at each multiple of `every`: the step, and of each gradient its loss and accuracies."""
    (x, t), (x_test, t_test) = data
    x, x_test = x.astype(np.float64), x_test.astype(np.float64)
    net, optimizer = nn.mlp(activation), nn.sgd(lr=0.1)
    first = nn.init_state(optimizer, nn.init_mlp(seed, (784, hidden, 10), 0.01, np.float64), seed=seed)
    runs = [
        nn.fit(nn.train_step(gradient(net, nn.ops.softmax_cross_entropy), optimizer), first, batches, steps)
        for gradient in GRADIENTS.values()
        for batches in [nn.minibatches(x, t, 100, seed)]
    ]
    for pair in zip(*runs, strict=True):
        step = pair[0][0].step
        if step % every and step != steps:
            continue
        row = {"step": step}
        for name, (state, metrics) in zip(GRADIENTS, pair, strict=True):
            row |= {f"{name} loss": f"{metrics['loss']:.12g}"}
            for part, images, labels in (("train", x, t), ("test", x_test, t_test)):
                row |= {f"{name} {part}": round(float(nn.accuracy(nn.predict(net, state.params, images), labels)), 6)}
        numerical, backprop = (state.params for state, _ in pair)
        apart = max(float(abs(numerical[name] - backprop[name]).max()) for name in numerical)
        yield row | {"weights apart": f"{apart:.1e}"}


def main(argv=None):
    from ..benchmarks.timing import one_thread

    parser = argparse.ArgumentParser(prog="python -m tests.experiments.numerical", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="a CSV file for the rows; they are printed in any case")
    arguments = parser.parse_args(argv)
    rows, start = [], time.process_time()
    with one_thread():
        for row in run(nn.load_mnist(), steps=arguments.steps):
            print(*(f"{name} {value}" for name, value in row.items()), sep=", ", flush=True)
            rows.append(row)
    print(f"{time.process_time() - start:.0f} seconds of one core")
    if arguments.out:
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
