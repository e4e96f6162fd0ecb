"""Files of an older revision: they are read, and what they hold goes on as if nothing had happened in between."""

import shutil

import numpy as np
import pytest

import nnfunc as nn
from nnfunc.__main__ import main

from .legacy.make import ALL, COMMAND, HALF, HERE, SIZES, parts, train, write_images


def arrays(state):
    """All that a state holds, as one dict of arrays and numbers, under the names that its file uses."""
    inside = {f"opt/{slot}": held for slot, held in state.opt.items()} | {"params": state.params, "stats": state.stats}
    flat = {"seed": state.seed, "step": state.step}
    for name, held in inside.items():
        flat |= {f"{name}/{inner}": a for inner, a in held.items()} if isinstance(held, dict) else {name: held}
    return flat


def same(one, other):
    """Whether two dicts of arrays are equal to the last bit, in names, order and dtypes too."""
    kinds = [[(name, np.asarray(a).dtype) for name, a in held.items()] for held in (one, other)]
    return kinds[0] == kinds[1] and all(np.array_equal(a, other[name]) for name, a in one.items())


def assert_close(one, other, atol=0.0):
    """Equal to 1e-6 of the largest number of each array, whatever the order in which a processor sums."""
    assert one.keys() == other.keys()
    for name, a in one.items():
        apart, largest = np.max(np.abs(np.subtract(a, other[name]))), np.max(np.abs(other[name]))
        assert apart <= 1e-6 * largest + atol, name


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A copy of the old run's folder, beside its data, where its run.json looks for them."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data")
    return shutil.copytree(HERE / "run", tmp_path / "run")


def test_old_parameters_and_states_are_read():
    state, params = nn.load_state(HERE / "state.npz"), nn.load_params(HERE / "run" / "params.npz")
    assert [*state.params] == ["W1", "b1", "gamma1", "beta1", "W2", "b2"]
    assert [*state.stats] == ["mean1", "var1"]
    assert state.opt.keys() == {"t", "m", "v"}
    assert state.opt["m"].keys() == state.opt["v"].keys() == state.params.keys()
    assert (state.seed, state.step, state.opt["t"]) == (7, HALF, HALF)
    assert {a.dtype for held in (state.params, state.stats, state.opt["m"]) for a in held.values()} == {np.dtype("f8")}
    assert {name: (a.shape, a.dtype.name) for name, a in params.items()} == {
        "W1": ((25, 6), "float32"), "b1": ((6,), "float32"), "W2": ((6, 3), "float32"), "b2": ((3,), "float32"),
    }  # fmt: skip
    assert same(params, nn.load_state(HERE / "run" / "state.npz").params)


def test_an_old_state_goes_on(tmp_path):
    old, end = nn.load_state(HERE / "state.npz"), arrays(nn.load_state(HERE / "end.npz"))
    resumed = train(old, ALL)
    nn.save_state(tmp_path / "state.npz", train(old, HALF + 7))
    assert same(arrays(resumed), arrays(train(nn.load_state(tmp_path / "state.npz"), ALL)))

    params = nn.init_mlp(0, SIZES, dtype=np.float64, batch_norm=True)
    stats = nn.init_stats(params)
    half = train(nn.init_state(parts()[0], params, stats, seed=7), HALF)
    whole = train(half, ALL)
    noise = 1e-8  # as far as Adam may go with what rounding leaves of a gradient of 0, that of the bias b1
    assert_close(arrays(half), arrays(old), noise)
    assert_close(arrays(resumed), end, noise)
    assert_close(arrays(whole), end, noise)
    if same(arrays(half), arrays(old)):  # unless another processor, or another order of sums, rounds otherwise
        assert same(arrays(resumed), arrays(whole))


def test_an_old_run_goes_on_at_the_command_line(run, capsys):
    assert main(["--resume", "--steps", str(ALL), "--out", "run"]) == 0
    assert main([*COMMAND, "--steps", str(HALF), "--out", "half"]) == 0
    assert main([*COMMAND, "--steps", str(ALL), "--out", "whole"]) == 0
    resumed, half, whole = (nn.load_state(f"{folder}/state.npz") for folder in ("run", "half", "whole"))
    assert (resumed.seed, resumed.step, resumed.opt["t"]) == (3, ALL, ALL)
    assert same(nn.load_params(run / "params.npz"), resumed.params)
    end = nn.load_params(HERE / "run-end.npz")
    assert_close(resumed.params, end)
    assert_close(whole.params, end)
    if same(arrays(half), arrays(nn.load_state(HERE / "run" / "state.npz"))):
        assert same(arrays(resumed), arrays(whole))


def test_an_old_run_reads_pictures(run, capsys):
    assert main(["predict", "run/params.npz", "data/t10k-images-idx3-ubyte"]) == 0
    guesses = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert np.mean(guesses == nn.read_idx("data/t10k-labels-idx1-ubyte")) == 0.84  # as it said when it ended
