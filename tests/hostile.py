"""Damages files and loads them: ``python -m tests.hostile [--cases 100000] [--seed 0] [--out tests/hostile.md]``.

Whatever is in a file, loading it gives an answer, or a ValueError or an OSError that names the file. The files are a
dict of parameters (stored and packed), a state, a run of the command, IDX (plain and gzipped), a run.json, and
pictures. Each is damaged at random: bits, bytes and sizes changed, pieces cut out, doubled or put in from another kind.
Half of the archives are forged: damaged inside, under a right checksum. All that under a limit of memory.
"""

import argparse
import collections
import contextlib
import gzip
import io
import json
import os
import platform
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

import nnfunc as nn
from nnfunc.__main__ import SETTINGS, _settings, main, read_images, train_parser

MEMORY = 2**30  # bytes of addresses, all in all
SIZES = [0, 1, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
KINDS = ("params", "packed", "state", "run", "idx", "gzip", "run.json", "png", "jpeg", "gif", "bmp", "tiff", "webp")


def originals(folder):
    """A whole file of each kind, as bytes."""
    rng = np.random.default_rng(0)
    params, path = nn.init_mlp(0, (5, 4, 3)), Path(folder, "whole")
    nn.save_params(path, params)
    files = {"params": path.read_bytes()}
    with open(path, "wb") as file:
        np.savez_compressed(file, **params)
    files["packed"] = path.read_bytes()
    opt = {"inner": nn.adamw().init(params), "scale": np.float32(0.5), "best": None, "empty": {}}
    nn.save_state(path, nn.init_state(nn.adam(), params, {"mean1": np.ones(4)})._replace(opt=opt))
    files["state"] = path.read_bytes()
    settings = {name: train_parser().get_default(name) for name in SETTINGS}
    files["run.json"] = json.dumps(settings | {"sizes": [784, 50, 10]}, indent=2).encode()
    images = rng.integers(256, size=(6, 7, 5)).astype(np.uint8)
    files["idx"] = bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes() + images.tobytes()
    files["gzip"] = gzip.compress(files["idx"], mtime=0)
    picture = Image.fromarray(rng.integers(256, size=(20, 30, 3)).astype(np.uint8))
    for name in KINDS[7:]:
        file = io.BytesIO()
        picture.save(file, name)
        files[name] = file.getvalue()
    with contextlib.redirect_stdout(None):
        write_data(Path(folder, "data"), rng)
        command = ["--data", str(Path(folder, "data")), "--hidden", "4", "--batch", "10", "--steps", "2"]
        assert main([*command, "--out", str(Path(folder, "run"))]) == 0
    files["run"] = Path(folder, "run", "state.npz").read_bytes()
    return files


def write_data(folder, rng):
    """A small data set, for a small run."""
    folder.mkdir()
    for half in ("train", "t10k"):
        for kind, a in (("images-idx3", rng.integers(256, size=(20, 3, 3))), ("labels-idx1", np.arange(20) % 3)):
            head = bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes()
            (folder / f"{half}-{kind}-ubyte").write_bytes(head + a.astype(np.uint8).tobytes())


def damaged(data, rng, other):
    """The bytes with one to three damages."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, much = rng.integers(len(data) + 1), int(rng.integers(1, 40))
        match rng.integers(8):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.integers(8)
            case 2 if at < len(data):
                data[at] = rng.integers(256)
            case 3:
                size = SIZES[rng.integers(len(SIZES))]
                data[at : at + 4] = size.to_bytes(4, "little" if rng.integers(2) else "big")
            case 4:
                del data[at : at + much]
            case 5:
                data[at:at] = data[at : at + much]
            case 6:
                del data[at:]
            case 7:
                start = rng.integers(len(other))
                data[at : at + much] = other[start : start + much]
    return bytes(data)


def forged(data, rng, other):
    """An archive of which one entry is damaged, and its checksum right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = [*entries][rng.integers(len(entries))]
    entries[name] = damaged(entries[name], rng, other)
    file = io.BytesIO()
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(file, "w", methods[rng.choice(4, p=[0.5, 0.3, 0.1, 0.1])]) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return file.getvalue()


def load(kind, path):
    """What a file of this kind holds, as something that can be compared."""
    if kind in ("params", "packed"):
        return [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in nn.load_params(path).items()]
    if kind == "run.json":
        return _settings(path.with_name("params.npz"), None)
    if kind in ("idx", "gzip"):
        return nn.read_idx(path).tobytes()
    if kind in ("state", "run"):
        return repr(nn.load_state(path))
    return read_images(path).tobytes()


def outcome(kind, path, whole):
    """In a word, what came of loading a damaged file; in capitals what must not."""
    try:
        came = load(kind, path)
    except Exception as error:
        if not isinstance(error, ValueError | OSError):
            return f"{type(error).__name__} ESCAPED"
        if isinstance(error.__cause__, MemoryError) and kind in KINDS[:7]:
            return "MEMORY ASKED FOR"
        return type(error).__name__ if str(path) in str(error) else f"{type(error).__name__} WITHOUT NAME"
    return "as it was" if came == whole else "something else"


def run(count, seed):
    """How often each outcome came, by kind of damage, and the largest amount of memory taken meanwhile."""
    rng, found = np.random.default_rng(seed), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        files, wholes = originals(folder), {}
        for kind, data in files.items():
            path = Path(folder, "run.json" if kind == "run.json" else f"{kind}.file")
            path.write_bytes(data)
            wholes[kind] = load(kind, path)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for _ in range(count):
            kind, other = KINDS[rng.integers(len(KINDS))], files[KINDS[rng.integers(len(KINDS))]]
            forge = kind in KINDS[:4] and rng.integers(2)
            path = Path(folder, "run.json" if kind == "run.json" else f"{kind}.file")
            path.write_bytes((forged if forge else damaged)(files[kind], rng, other))
            came = outcome(kind, path, wholes[kind])
            if came == "something else" and kind in (*KINDS[:4], "gzip") and not forge:
                came = "CHANGED IN SILENCE"  # which their checksums forbid
            found[f"{kind}, forged" if forge else kind, came] += 1
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(found):
    """The outcomes as a table in Markdown."""
    kinds, words = sorted({kind for kind, _ in found}), sorted({word for _, word in found})
    rows = [["file", *words], ["---"] * (len(words) + 1)]
    rows += [[kind, *(str(found[kind, word]) for word in words)] for kind in kinds]
    rows += [["all", *(str(sum(found[kind, word] for kind in kinds)) for word in words)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def parsed(argv):
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to write the record to; it is printed in any case")
    return parser.parse_args(argv)


def script(argv=None):
    args, started = parsed(argv), time.perf_counter()
    warnings.simplefilter("ignore")  # Pillow and NumPy warn of much before they refuse it
    found, memory = run(args.cases, args.seed)
    about = f"{args.cases:,} damaged files, seed {args.seed}, by `python -m tests.hostile`: Python "
    about += f"{platform.python_version()}, NumPy {np.__version__}, {time.perf_counter() - started:.0f} s, "
    about += f"{memory / 2**20:.0f} MiB of memory at most, of {MEMORY / 2**20:.0f} MiB of addresses allowed."
    page = f"# Damaged files\n\n{about}\n\n{table(found)}\n"
    print(page)
    if args.out:
        args.out.write_text(page, "utf-8")
    return int(any(word.split()[-1].isupper() for _, word in found))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(script())
