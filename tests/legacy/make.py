"""Writes the files of this folder, which are those of revision f5f7acf: its code made them, and its code alone should.

Run it with that revision's package on the path, from the root of the repository:

    git worktree add --detach ../old f5f7acf
    PYTHONPATH=../old python tests/legacy/make.py

- ``state.npz`` and ``end.npz``: the states of a network with batch norm after `HALF` and after `ALL` steps of Adam.
  In float64: a bias before batch norm has no gradient but what rounding leaves, and Adam makes steps of that, which in
  float32 would take another way on every processor.
- ``run/``: the folder of a run of ``python -m nnfunc`` after `HALF` steps, and ``run-end.npz``: the parameters after
  `ALL`. In float32, as the command computes unless told.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

import nnfunc as nn
from nnfunc.__main__ import main

HERE = Path(__file__).parent
HALF, ALL = 20, 40
SIZES = (4, 6, 3)
COMMAND = ["--data", "data", "--hidden", "6", "--activation", "tanh", "--scale", "xavier"]
COMMAND += ["--optimizer", "adam", "--lr", "0.01", "--batch", "20", "--seed", "3"]


def points():
    """Sixty points around three centres, and their classes."""
    rng = np.random.default_rng(0)
    centres, t = rng.standard_normal((3, 4)), rng.integers(3, size=60)
    return centres[t] + 0.5 * rng.standard_normal((60, 4)), t


def parts():
    """What the training of the network with batch norm is made of: optimizer and step."""
    optimizer = nn.adam(lr=0.01)
    return optimizer, nn.train_step(nn.value_and_grad(nn.mlp(nn.layers.tanh), nn.ops.softmax_cross_entropy), optimizer)


def train(state, steps):
    """The state after so many steps in all."""
    _, step = parts()
    batches = nn.minibatches(*points(), 10, seed=state.seed, start=state.step)
    return nn.history(nn.fit(step, state, batches, steps - state.step))[0]


def write_images(folder):
    """A data set in MNIST's format: noisy images of 5 x 5 pixels, of three classes."""
    rng = np.random.default_rng(0)
    classes = rng.integers(128, size=(3, 5, 5))
    folder.mkdir()
    for half, count in (("train", 200), ("t10k", 50)):
        t = rng.integers(3, size=count)
        x = classes[t] + rng.integers(128, size=(count, 5, 5))
        for name, a in ((f"{half}-images-idx3-ubyte", x), (f"{half}-labels-idx1-ubyte", t)):
            header = bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes()
            (folder / name).write_bytes(header + a.astype(np.uint8).tobytes())


def write():
    params, stats = nn.init_mlp(0, SIZES, dtype=np.float64, batch_norm=True)
    half = train(nn.init_state(parts()[0], params, stats, seed=7), HALF)
    nn.save_state(HERE / "state.npz", half)
    nn.save_state(HERE / "end.npz", train(half, ALL))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # run.json names the data's folder
        write_images(Path("data"))
        main([*COMMAND, "--steps", str(HALF), "--out", "run"])
        shutil.copytree("run", HERE / "run", dirs_exist_ok=True)
        main([*COMMAND, "--steps", str(ALL), "--out", "whole"])
        shutil.copy(Path("whole", "params.npz"), HERE / "run-end.npz")


if __name__ == "__main__":
    write()
