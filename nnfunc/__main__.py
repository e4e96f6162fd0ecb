"""Train a network on MNIST, or let a trained one read pictures: ``python -m nnfunc --help``."""

import argparse
import importlib.util
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise, takewhile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from . import layers, networks, ops, optimizers
from ._arrays import check_range, whole
from .datasets import load_mnist, read_idx
from .forms import Metrics, State
from .functions import accuracy, softmax
from .initializers import init_mlp
from .params import _branches, _bytes, _load_tree, _replacing, _save_tree
from .training import every, fit, init_state, load_state, minibatches, progress, train_step

ACTIVATIONS = ("sigmoid", "relu", "tanh", "identity")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
DTYPES = ("float32", "float64")
SETTINGS = ("activation", "hidden", "scale", "optimizer", "lr", "batch", "seed", "dtype", "data", "transpose")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    own, argv = argv is None, list(sys.argv[1:] if argv is None else argv)
    try:
        if argv[:1] == ["predict"]:
            return read_digits(predict_parser().parse_args(argv[1:]))
        return train(train_arguments(argv))
    except KeyboardInterrupt:
        print("nnfunc: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        print("nnfunc:", error, *getattr(error, "__notes__", ()), sep="\n  ", file=sys.stderr)
        return 2
    finally:
        if own:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the second of two Ctrl-C has nothing to stop any more


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of the training command."""
    about = "Train a multi-layer perceptron on MNIST and save it. To use it, see 'python -m nnfunc predict --help'."
    parser = _parser("python -m nnfunc", about)
    add = parser.add_argument
    add("--hidden", type=int, nargs="*", default=[50], metavar="N", help="neurons of each hidden layer")
    add("--activation", choices=ACTIVATIONS, default="sigmoid", help="what follows each hidden layer")
    add("--scale", type=_scale, default=0.01, help="standard deviation of the first weights, or 'he', or 'xavier'")
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="the update rule")
    add("--lr", type=float, default=0.1, help="learning rate")
    add("--batch", type=int, default=100, help="samples in a batch")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=10_000, help="how many batches to learn from")
    length.add_argument("--epochs", type=int, help="the same in rounds through the data")
    add("--seed", type=int, default=0, help="decides the first weights and the order of the data")
    add("--dtype", choices=DTYPES, default="float32", help="precision of all numbers")
    add("--data", metavar="FOLDER", help="IDX files of another data set instead of the bundled MNIST")
    add("--transpose", action="store_true", help="swap the images' rows and columns: EMNIST's files hold them lying")
    add("--out", metavar="FOLDER", type=Path, default=Path(), help="where params.npz, run.json and state.npz go")
    add("--resume", action="store_true", help="go on with the run in that folder, under its own settings")
    return parser


def _parser(prog: str, about: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog, description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)


def _scale(text: str) -> str | float:
    return text if text in ("he", "xavier") else float(text)


def train_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; a resumed run keeps the settings that are in its state.npz, or is refused others."""
    parser = train_parser()
    args = parser.parse_args(argv)
    if args.resume:
        saved = _settings(args.out / "state.npz", _load_tree("--resume", args.out / "state.npz", 2**31).get("run"))
        parser.set_defaults(**{name: saved[name] for name in SETTINGS})
        args = parser.parse_args(argv)
        if other := [name for name in SETTINGS if getattr(args, name) != saved[name]]:
            raise ValueError(f"--resume: the run in {args.out} has another --{other[0]}, {saved[other[0]]}")
    return args


def _settings(file: Path, text: Any) -> dict[str, Any]:
    """Return the settings of a run, which its files hold or, if they are old, the run.json beside them."""
    try:
        text = _bytes("run", file := file.with_name("run.json"), 2**20) if text is None else text
        run = {"transpose": False} | json.loads(text)
        for n in (run["seed"], run["batch"], *run["hidden"]):
            whole("run", "a setting", n)
        getattr(optimizers, OPTIMIZERS[OPTIMIZERS.index(run["optimizer"])])(lr=run["lr"])
        fits = run["activation"] in ACTIVATIONS and run["dtype"] in DTYPES and isinstance(run["data"], str | None)
        if not fits:
            raise ValueError(f"they are {run!s:.300}")
        return {name: run[name] for name in SETTINGS}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{file} holds no settings of a run: {error!r}") from error


def train(args: argparse.Namespace) -> int:
    """Train, print the table, save; end a run that is interrupted with what it has learnt so far."""
    optimizer = getattr(optimizers, args.optimizer)(lr=args.lr)
    (x, t), (x_test, t_test) = load_mnist(path=args.data, transpose=args.transpose)
    x, x_test = x.astype(args.dtype, copy=False), x_test.astype(args.dtype, copy=False)
    sizes = (x.shape[1], *args.hidden, 1 + int(max(t.max(), t_test.max())))
    epoch = len(x) // whole("train", "--batch", args.batch, 1, len(x))
    steps = whole("train", "--steps", args.steps)
    if args.epochs is not None:
        steps = whole("train", "--epochs", args.epochs) * epoch
    net = networks.mlp(getattr(layers, args.activation))
    step = train_step(networks.value_and_grad(net, ops.softmax_cross_entropy), optimizer)

    def evaluate(state: State) -> Metrics:
        scores = (networks.predict(net, state.params, images, batch_size=1000) for images in (x, x_test))
        return {"train": accuracy(next(scores), t), "test": accuracy(next(scores), t_test)}

    # In each file, so that none is ever read with the settings of another run.
    text = {"run": json.dumps({name: getattr(args, name) for name in SETTINGS} | {"sizes": sizes}, indent=2)}
    keep = lambda state: _save_tree("train", args.out / "state.npz", state._asdict() | text)
    if args.resume:
        state = load_state(args.out / "state.npz")
        shapes = [np.shape(p) for name, p in state.params.items() if name[0] == "W"]
        opt, kept = (dict(_branches("train", memory)) for memory in (optimizer.init(state.params), state.opt))
        if shapes != [*pairwise(sizes)] or opt.keys() != kept.keys() or state.seed != args.seed:
            raise ValueError(f"--resume: the state in {args.out} has other sizes, optimizer or seed than its settings")
    else:
        state = init_state(optimizer, init_mlp(args.seed, sizes, args.scale, args.dtype), seed=args.seed)
        args.out.mkdir(parents=True, exist_ok=True)
        keep(state)
    with _stops() as stops:
        batches = takewhile(lambda _: not stops, minibatches(x, t, args.batch, seed=args.seed, start=state.step))
        run = _numbers(fit(step, state, batches, max(0, steps - state.step), every(epoch, evaluate)))
        if importlib.util.find_spec("tqdm"):
            run = progress(run, steps, state.step)
        _say("epoch | train acc, test acc")
        if state.step == 0:
            _say(_row(0, evaluate(state)))
        started, losses = time.perf_counter(), deque[float](maxlen=100)
        for state, metrics in run:
            losses.append(metrics["loss"])
            if "test" in metrics:
                keep(state)
                _say(_row(state.step // epoch, metrics))
        seconds = time.perf_counter() - started
        keep(state)
        _save_tree("train", args.out / "params.npz", state.params | text)
        with _replacing("train", args.out / "run.json") as file:
            file.write(f"{text['run']}\n".encode())
        if state.step < steps:
            _say(f"interrupted after step {state.step}; --resume goes on from here")
    last = evaluate(state)
    loss = f"{np.mean(losses):.4f}" if losses else "-"
    _say(f"loss {loss}, train acc {last['train']:.4f}, test acc {last['test']:.4f}, {seconds:.1f} s")
    return 0 if state.step >= steps else 128 + stops[0]


@contextmanager
def _stops() -> Iterator[list[int]]:
    """Collect Ctrl-C, and SIGTERM, which a cluster sends, so that what was learnt can be saved before the end."""
    stops: list[int] = []
    heeded = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) != signal.SIG_IGN]
    before = [(s, signal.signal(s, lambda number, _: stops.append(number))) for s in heeded]
    try:
        yield stops
    finally:
        for s, handler in before:
            signal.signal(s, handler)


def _say(text: str) -> None:
    """Print at once, above the bar if there is one; a reader who has gone, as `head -1` has, ends no run."""
    bar = importlib.util.find_spec("tqdm")
    try:
        with importlib.import_module("tqdm").tqdm.external_write_mode() if bar else nullcontext():
            print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _numbers(run: Iterable[tuple[State, Metrics]]) -> Iterator[tuple[State, Metrics]]:
    """Pass a run on, but stop it before anything is saved that is no longer a number."""
    for state, metrics in run:
        if not all(np.isfinite(a).all() for a in (metrics["loss"], *state.params.values())):
            raise ValueError(f"train: the loss is no longer a number after step {state.step}; a smaller --lr may help")
        yield state, metrics


def _row(epoch: int, metrics: Metrics) -> str:
    return f"{epoch:5} | {metrics['train']:.4f}, {metrics['test']:.4f}"


def predict_parser() -> argparse.ArgumentParser:
    """Return the parser of the predict command."""
    about = "Read digits in pictures (PNG, JPEG, ...; one digit each) or in an IDX file of images."
    parser = _parser("python -m nnfunc predict", about)
    add = parser.add_argument
    add("params", type=Path, help="the params.npz of a training run")
    add("files", type=Path, nargs="+", metavar="file", help="a picture or an IDX file")
    add("--activation", choices=ACTIVATIONS, help="if there is no run.json beside the parameters")
    add("--ink", choices=("auto", "dark", "light"), default="auto", help="is the digit dark or light?")
    add("--transpose", action="store_true", help="swap rows and columns of an IDX file's images, as for EMNIST")
    return parser


def read_digits(args: argparse.Namespace) -> int:
    """Print the digit in each image, how probable it is, and the second guess."""
    params = _load_tree("predict", args.params, 2**31)
    text, beside = params.pop("run", None), args.params.with_name("run.json")
    if args.activation is None and text is None and not beside.exists():
        raise ValueError(f"predict: the parameters do not say the activation; there is no {beside}: give --activation")
    net = networks.mlp(getattr(layers, args.activation or _settings(args.params, text)["activation"]))
    for file in args.files:
        images = read_images(file, args.ink, args.transpose)
        try:
            x = images.reshape(len(images), -1).astype(params["W1"].dtype)
            y = softmax(networks.predict(net, params, x, batch_size=1000))
            check_range("predict", "the scores", y)
            for i, p in enumerate(y):
                second, first = np.argsort(p)[-2:]
                name = f"{file}[{i}]" if len(y) > 1 else file
                _say(f"{name}: {first}  {p[first]:.1%}  (or {second}, {p[second]:.1%})")
        except Exception as error:  # of any kind: under the names of weights there may be anything
            raise ValueError(f"predict: {args.params} cannot read {file}: {error!r}") from error
    return 0


def read_images(file: Path, ink: str = "auto", transpose: bool = False) -> np.ndarray:
    """Return the images of a file, (N, 28, 28) from 0 to 1, light on dark as in MNIST."""
    if not _bytes("predict", file, 2**31).startswith((b"\0\0", b"\x1f\x8b")):
        return read_picture(file, ink)[None]
    images = read_idx(file)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"predict: {file} holds {images.dtype} {images.shape}, wanted images: uint8 (N, H, W)")
    return (images.swapaxes(1, 2) if transpose else images) / np.float32(255)


def read_picture(file: Path, ink: str = "auto", limit: int = 2**31) -> np.ndarray:
    """Return a picture as MNIST would have it: grey, light on dark, 28 x 28.

    A picture of another size is cut to its digit, scaled to 20 pixels on the longer side and put
    with its centre of mass in the middle, as was done for MNIST. No more than `limit` bytes are
    asked for to unpack it.
    """
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("predict: pictures need Pillow: pip install pillow") from error
    try:
        # Of the formats that Pillow has another program draw, none.
        with Image.open(file, formats=("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")) as opened:
            if (size := 16 * prod(opened.size)) > limit:  # four channels, thrice, and the floats
                raise ValueError(f"it unfolds to {size} bytes, and the limit is {limit}")
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
        grey = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("L")
        a = np.asarray(grey) / np.float32(255)
        border = np.concatenate([a[0], a[-1], a[:, 0], a[:, -1]])
        if ink == "dark" or (ink == "auto" and np.median(border) > 0.5):
            a, border = 1 - a, 1 - border
        if a.shape == (28, 28):
            return a
        ground, top = np.median(border), a.max()
        if top - ground < 0.1:
            raise ValueError("nothing stands out from its ground")
        a = np.clip((a - ground) / (top - ground), 0, 1)
        digit = Image.fromarray((255 * a).astype(np.uint8)).crop(Image.fromarray(a > 0.25).getbbox())
        width, height = (max(1, round(20 * n / max(digit.size))) for n in digit.size)
        a = np.asarray(digit.resize((width, height), Image.Resampling.BOX)) / np.float32(255)
        centres = [np.average(place, weights=a) + 0.5 for place in np.indices(a.shape)]
        before = [min(max(0, round(14 - c)), 28 - n) for c, n in zip(centres, a.shape, strict=True)]
        return np.pad(a, [(k, 28 - n - k) for k, n in zip(before, a.shape, strict=True)])
    except Exception as error:  # of any kind: each format has its own, and memory may be short
        raise ValueError(f"predict: {file} cannot be read as a picture: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
