"""Train the weights that come with the package: ``python -m nnfunc.pretrained [name ...] [--out FOLDER]``.

The deep network takes about half an hour on one core, the others a minute or two.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .. import networks, ops
from ..datasets import load_mnist, rotate, shift
from ..forms import Batch
from ..functions import accuracy
from ..initializers import init_deep_convnet, init_mlp, init_simple_convnet
from ..optimizers import adam, cosine
from ..params import save_params
from ..training import every, fit, init_state, minibatches, train_step
from . import _NETS

RECIPES = {
    "three_layer": (lambda: init_mlp(0, (784, 50, 100, 10), "xavier"), 12_000, False),
    "simple_convnet": (lambda: init_simple_convnet(0), 3_000, False),
    "deep_convnet": (lambda: init_deep_convnet(0), 6_600, True),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Train the nets that are named, and save their parameters in float16."""
    parser = argparse.ArgumentParser(prog="python -m nnfunc.pretrained", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(RECIPES))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args(argv)
    if unknown := ", ".join(set(args.names) - RECIPES.keys()):
        parser.error(f"there is no recipe for {unknown}")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names or RECIPES:
        train(name, args.out / f"{name}.npz")


def train(name: str, path: Path) -> None:
    """Train one net by its recipe."""
    init, steps, augmented = RECIPES[name]
    flat = name == "three_layer"
    (x, t), (x_test, t_test) = load_mnist(flatten=flat)
    net = _NETS[name]()
    optimizer = adam(cosine(1e-3, steps))
    step = train_step(networks.value_and_grad(net, ops.softmax_cross_entropy), optimizer)
    batches = varied(minibatches(x, t, 100)) if augmented else minibatches(x, t, 100)

    def evaluate(state):
        return {"test": accuracy(networks.predict(net, state.params, x_test, batch_size=100), t_test)}

    run = fit(step, init_state(optimizer, init()), batches, steps, every(600, evaluate))
    for state, metrics in run:
        if "test" in metrics:
            print(f"{name}: step {state.step}, loss {metrics['loss']:.4f}, test acc {metrics['test']:.4f}", flush=True)
    save_params(path, {name: p.astype(np.float16) for name, p in state.params.items()})


def varied(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Turn and move each batch of images a little, batch i by the key (1, i)."""
    for i, (x, t) in enumerate(batches):
        yield shift(rotate(x, (1, i, 0)), (1, i, 1)), t


if __name__ == "__main__":
    main()
