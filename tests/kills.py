"""Kills a run and resumes it: ``python -m tests.kills [--kills 50] [--seed 0] [--out tests/kills.md]``.

A run of the command is killed by SIGKILL, resumed with ``--resume``, and killed again: at steps spread over the whole
run, inside its saves (while an array is written, before the file is moved to its place, and after), and by the clock,
which may be while it imports. In the end its state is, bit for bit, that of a run that nobody killed, and nothing else
is left.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import nnfunc as nn
import nnfunc.__main__ as command

SAMPLES, BATCH, EPOCHS = 400, 10, 30
EPOCH = SAMPLES // BATCH
OPTIONS = ["--hidden", "12", "--batch", str(BATCH), "--epochs", str(EPOCHS), "--optimizer", "adam", "--lr", "0.01"]
SAVES = ("while an array is written", "before the file is moved", "after the file was moved")


def die(*args, **settings):
    os.kill(os.getpid(), signal.SIGKILL)


def victim(how, at, options):
    """Run the command here, and be killed at a step or inside a save, the first one that comes from step `at` on."""
    make, save, move = command.train_step, command._save_tree, os.replace

    def step_of(grad, optimizer):
        step = make(grad, optimizer)

        def stepped(state, batch):
            if how == "by the clock":
                time.sleep(0.03)  # else the run would be over before
            return die() if how == "at a step" and state.step >= at else step(state, batch)

        return stepped

    def half_written(file, a, **settings):
        file.write(b"\x93NUMPY")
        die()

    def moved(source, target):
        move(source, target)
        die()

    def saved(where, path, tree):
        if tree.get("step", -1) >= at:
            if how == SAVES[0]:
                np.lib.format.write_array = half_written
            os.replace = {SAVES[1]: die, SAVES[2]: moved}.get(how, move)
        save(where, path, tree)

    command.train_step, command._save_tree = step_of, saved
    return command.main(options)


def plan(kills, seed):
    """Where the kills come: half of them at steps, three tenths inside saves, the rest by the clock; in order."""
    rng, steps = np.random.default_rng(seed), np.linspace(0, EPOCH * EPOCHS, kills, endpoint=False).astype(int)
    for i, step in enumerate(steps.tolist()):
        if i % 10 in (1, 4, 7):
            yield SAVES[i % 10 // 3], step
        elif i % 10 in (3, 8):
            yield "by the clock", float(rng.uniform(0.05, 1.2))
        else:
            yield "at a step", step


def started(folder, how, at, options):
    words = [sys.executable, "-m", "tests.kills", "--victim", how, str(at), "--"]
    out = ["--out", str(folder / "run")] + (["--resume"] if (folder / "run" / "state.npz").exists() else [])
    pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": Path(__file__).parents[1]}
    return subprocess.Popen([*words, *options, *out], **pipe)


def killed(folder, how, at, options):
    """Start or resume the run, have it killed, and tell how it ended, what was said, and how far its file is."""
    with started(folder, how, at, options) as process:
        if how == "by the clock":
            time.sleep(at)
            process.kill()
        said = process.communicate()[1]
    path = folder / "run" / "state.npz"
    step = nn.load_state(path).step if path.exists() else "-"
    litter = len([*path.parent.glob(".nnfunc-*")]) if path.parent.exists() else 0
    return process.returncode, said, step, litter


def same(one, other):
    """Whether two states are equal to the last bit."""
    return repr_bits(one._asdict()) == repr_bits(other._asdict())


def repr_bits(tree):
    """A dict with its arrays as bytes."""
    if isinstance(tree, dict):
        return {name: repr_bits(value) for name, value in tree.items()}
    return (tree.dtype.str, tree.shape, tree.tobytes()) if isinstance(tree, np.ndarray) else tree


def script(kills, seed):
    """Return a row for each kill, and what is wrong in the end."""
    rows, wrong = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data")
        options = ["--data", str(folder / "data"), *OPTIONS]
        whole = killed(folder, "never", 0, options)
        wrong += [] if whole[0] == 0 else [f"the whole run ended with {whole[:2]}"]
        wanted = nn.load_state(folder / "run" / "state.npz")
        (folder / "run").rename(folder / "whole")
        for how, at in plan(kills, seed):
            code, said, step, litter = killed(folder, how, at, options)
            when = f"{at:.2f} s" if how == "by the clock" else str(at)
            rows.append([str(len(rows) + 1), how, when, str(step), str(litter)])
            if code != -signal.SIGKILL:
                wrong.append(f"kill {len(rows)} {how} {at}: ended with {code} {said!r}")
        code, said, *_ = killed(folder, "never", 0, options)
        wrong += [] if code == 0 else [f"the last resume ended with {code} {said!r}"]
        wrong += [] if same(nn.load_state(folder / "run" / "state.npz"), wanted) else ["the end is another"]
        left = sorted(file.name for file in (folder / "run").iterdir())
        wrong += [] if left == ["params.npz", "run.json", "state.npz"] else [f"left: {left}"]
    return rows, wrong


def write_data(folder):
    """Noisy images of 6 x 6 pixels, of three classes, in MNIST's format."""
    rng = np.random.default_rng(0)
    classes = rng.integers(128, size=(3, 6, 6))
    folder.mkdir()
    for half, count in (("train", SAMPLES), ("t10k", 50)):
        t = rng.integers(3, size=count)
        x = classes[t] + rng.integers(128, size=(count, 6, 6))
        for name, a in ((f"{half}-images-idx3-ubyte", x), (f"{half}-labels-idx1-ubyte", t)):
            header = bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes()
            (folder / name).write_bytes(header + a.astype(np.uint8).tobytes())


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to write the record to; it is printed in any case")
    args, start = parser.parse_args(argv), time.perf_counter()
    rows, wrong = script(args.kills, args.seed)
    about = f"{args.kills} SIGKILLs in a run of {EPOCH * EPOCHS} steps that saves every {EPOCH}, each followed by a "
    about += f"resume; seed {args.seed}, by `python -m tests.kills`: Python {platform.python_version()}, "
    about += f"NumPy {np.__version__}, "
    about += f"{time.perf_counter() - start:.0f} s.\n\n"
    about += "; ".join(wrong) or "The end is, bit for bit, that of a run that nobody killed, and no other file is left."
    table = [["kill", "how", "at", "saved step", "half files left"], ["---"] * 5, *rows]
    page = f"# Kills\n\n{about}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n"
    print(page)
    if args.out:
        args.out.write_text(page, "utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--victim"]:
        sys.exit(victim(sys.argv[2], float(sys.argv[3]), sys.argv[5:]))
    sys.exit(main())
