"""Damaged and crafted files: an answer, or a ValueError or OSError that names the file, within the memory allowed."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import nnfunc as nn
from nnfunc.__main__ import main, read_images, read_picture

from .hostile import write_data

ROOT = Path(__file__).parents[1]
LOADERS = {"params": nn.load_params, "state": nn.load_state, "idx": nn.read_idx, "picture": read_images}
ANY_FILE = pytest.mark.parametrize("kind", LOADERS)


def refused(load, path, message="", errors=ValueError):
    """The error of a load, which must name the file."""
    with pytest.raises(errors) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    return caught.value


def test_of_two_thousand_damaged_files_none_escapes_or_asks_for_memory():
    command = [sys.executable, "-m", "tests.hostile", "--cases", "2000", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all |" in done.stdout


@ANY_FILE
@given(data=st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda b: b"\0\0" + b)))
def test_bytes_of_any_kind(kind, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(data)
    try:
        LOADERS[kind](path)
    except (ValueError, OSError) as error:
        assert str(path) in str(error)  # noqa: PT017 (few bytes, but some, are an IDX file)


@ANY_FILE
@given(st.text(max_size=200), st.binary(max_size=50), st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]))
def test_headers_of_any_kind_in_an_archive(tmp_path_factory, kind, header, tail, version):
    text = header.encode("utf-8")
    data = b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + tail
    path = tmp_path_factory.getbasetemp() / "any-header.npz"
    path.write_bytes(packed({"W1.npy": data}))
    refused(LOADERS[kind], path)


@given(text=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_contents_of_any_kind(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any-contents.npz"
    path.write_bytes(packed({"contents.json": text.encode()}))
    refused(nn.load_state, path)


def packed(entries, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(shape, dtype="<f4", data=b"", fortran=False):
    """An .npy file whose header says what it likes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": fortran, "shape": shape})
    return file.getvalue() + data


def test_an_archive_whose_list_of_entries_is_lost_is_not_empty(tmp_path):
    path = tmp_path / "p"
    nn.save_params(path, {"W1": np.ones(3)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\5\6")
    data[at + 12 : at + 16] = bytes(4)
    path.write_bytes(data)
    refused(nn.load_params, path)
    nn.save_params(path, {})
    assert nn.load_params(path) == {}


# What a file may ask for

SMALL = """
import resource, sys
from pathlib import Path
import nnfunc as nn
from nnfunc.__main__ import main, read_images
from PIL import Image, PngImagePlugin, GifImagePlugin
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 96 * 2**20,) * 2)
path = Path(sys.argv[1])
"""


def limited(code, path):
    """Run a program that may have 96 MiB beyond what it has after its imports, and answer what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", SMALL + code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def liar(says):
    """An archive of 256 MiB of zeros whose entry says that it is another size."""
    data = bytearray(packed({"W1.npy": npy((2**26,), data=bytes(2**28))}))
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = says.to_bytes(4, "little")
    return bytes(data)


MUCH, ONES = b"\xff\xff\xff\xff", b"\0\0\0\1"
BOMBS = {
    "a header of much and no data": ("load_params", lambda: packed({"W1.npy": npy((2**28,))})),
    "a header of more than there is": ("load_params", lambda: packed({"W1.npy": npy((10**12, 10**12))})),
    "zeros that unfold beyond the limit": ("load_params", lambda: liar(2**32 - 2)),
    "an entry that unfolds to more than it says": ("load_params", lambda: liar(300)),
    "what NumPy never packs": ("load_params", lambda: packed({"W1.npy": bytes(2**28)}, zipfile.ZIP_BZIP2)),
    "a gzip of zeros, a small header": ("read_idx", lambda: gzip.compress(b"\0\0\x08\1\0\0\0\2" + bytes(2**28))),
    "a gzip of zeros, a large header": ("read_idx", lambda: gzip.compress(b"\0\0\x08\1" + MUCH + bytes(2**28))),
    "a large header and nothing behind it": ("read_idx", lambda: b"\0\0\x08\1\x7f\xff\xff\xff"),
    "255 axes": ("read_idx", lambda: b"\0\0\x08\xff" + ONES * 255 + b"\7"),
    "no data, and more axes than memory has": ("read_idx", lambda: b"\0\0\x08\5" + MUCH * 4 + bytes(4)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_memory_is_asked_for_that_the_file_does_not_justify(bomb, tmp_path):
    load, make = BOMBS[bomb]
    (tmp_path / "bomb").write_bytes(make())
    said = limited(f"try: nn.{load}(path)\nexcept ValueError as e: print(repr(e.__cause__), e)", tmp_path / "bomb")
    assert str(tmp_path / "bomb") in said
    assert "MemoryError" not in said


def png(width, height):
    """A picture whose header says that it is so large."""
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("side", [8_000, 12_000, 20_000, 60_000, 2**31 - 1])
def test_a_picture_of_gigabytes_is_refused(side, tmp_path):
    """By its size, or where that is still allowed for want of memory."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    said = limited("try: read_images(path)\nexcept ValueError as e: print(e)", path)
    assert f"{path} cannot be read as a picture" in said
    nn.save_params(tmp_path / "p", nn.init_mlp(0, (784, 10)))
    told = limited("print(main(['predict', str(path.with_name('p')), sys.argv[1], '--activation', 'relu']))", path)
    assert told == "2\n"


def test_the_limit_of_a_picture_is_told(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"x\.png cannot be read as a picture: it unfolds to 1600 bytes, .* is 1599$"):
        read_picture(tmp_path / "x.png", limit=1599)
    with pytest.raises(ValueError, match="nothing stands out"):
        read_picture(tmp_path / "x.png", limit=1600)


def test_the_limit_can_be_set(tmp_path):
    path, params = tmp_path / "p", {"W1": np.ones(100), "b1": np.ones(3)}
    nn.save_params(path, params)
    size, unfolded = path.stat().st_size, sum(len(npy(a.shape, "<f8")) + a.nbytes for a in params.values())
    assert nn.load_params(path, limit=size).keys() == params.keys()
    refused(lambda path: nn.load_params(path, limit=size - 1), path, f"has {size} bytes, and the limit is {size - 1}")
    np.savez_compressed(tmp_path / "p.npz", **params)
    path = tmp_path / "p.npz"
    assert nn.load_params(path, limit=unfolded).keys() == params.keys()
    refused(lambda path: nn.load_params(path, limit=unfolded - 1), path, f"{unfolded} bytes of {unfolded - 1} at most")
    path.write_bytes(gzip.compress(b"\0\0\x08\1\0\0\3\xe8" + bytes(1000)))
    assert nn.read_idx(path, limit=1000).shape == (1000,)
    refused(lambda path: nn.read_idx(path, limit=999), path, "of shape (1000,) want 1000 of 999 at most")
    nn.save_state(path, nn.init_state(nn.adam(), params))
    refused(lambda path: nn.load_state(path, limit=500), path, "and the limit is 500")
    for load in (nn.load_params, nn.load_state, nn.read_idx):
        with pytest.raises(ValueError, match=r"^(load_\w+|read_idx): limit is .*, wanted an int from 0 up$"):
            load(path, limit=-1)


# What is no file


@pytest.mark.parametrize("name", ["load_params", "load_state", "read_idx", "read_images"])
def test_a_pipe_or_a_device_is_refused_at_once(name, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    load = getattr(nn, name, read_images)
    for path in (tmp_path / "pipe", Path(os.devnull), Path(os.devnull).with_name("zero")):
        refused(load, path, "is a pipe or a device, wanted a file", OSError)
    refused(load, tmp_path, "is a folder, wanted a file", OSError)
    refused(load, tmp_path / "none", "No such file", FileNotFoundError)


def test_a_link_to_a_file_is_a_file(tmp_path):
    nn.save_params(tmp_path / "p", {"w": np.ones(2)})
    (tmp_path / "link").symlink_to(tmp_path / "p")
    assert nn.load_params(tmp_path / "link")["w"].tolist() == [1, 1]


@pytest.mark.parametrize("save", [nn.save_params, lambda path, p: nn.save_state(path, nn.init_state(nn.sgd(), p))])
def test_nothing_is_put_in_the_place_of_a_pipe_or_a_folder(save, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match=f"{name} is a .*, wanted a file"):
            save(tmp_path / name, {"w": np.ones(2)})
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


# The run of the command


@pytest.fixture
def old_run(tmp_path):
    """A folder as an older version left it: settings in run.json, a state without them."""
    write_data(tmp_path / "data", np.random.default_rng(0))
    command = ["--data", str(tmp_path / "data"), "--hidden", "4", "--batch", "10", "--steps", "3"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    nn.save_state(tmp_path / "state.npz", nn.load_state(tmp_path / "state.npz"))
    nn.save_params(tmp_path / "params.npz", nn.load_params(tmp_path / "params.npz"))
    return tmp_path


@pytest.mark.parametrize("text", ["null", "[]", "{}", "3", '"x"', "", "{", "[" * 10**5, "\xff", "1" * 5000])
def test_a_run_json_that_is_none(text, old_run, capsys):
    (old_run / "run.json").write_bytes(text.encode("latin-1"))
    pictures = str(old_run / "data" / "t10k-images-idx3-ubyte")
    for command in (["--resume", "--out", str(old_run)], ["predict", str(old_run / "params.npz"), pictures]):
        capsys.readouterr()
        assert main(command) == 2
        assert f"{old_run / 'run.json'} holds no settings of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("activation", v) for v in ("softmax", "serial", 3, None, [])]
    + [("optimizer", v) for v in ("no", "cosine", ["sgd"], None)]
    + [("lr", v) for v in (float("nan"), -1, "0.1", None, [0.1])]
    + [("hidden", v) for v in (5, None, [5.5], ["5"], [-5], [[5]])]
    + [("seed", v) for v in (-1, 0.5, "0", None, True)]
    + [("batch", v) for v in (-1, 0.5, "0", None, True)]
    + [("dtype", v) for v in ("float16", "no", 3, None)]
    + [("data", v) for v in (3, ["x"], {}, True)],
)
def test_a_setting_of_another_kind_is_refused(name, value, old_run, capsys):
    run = json.loads((old_run / "run.json").read_text("utf-8"))
    (old_run / "run.json").write_text(json.dumps(run | {name: value}), "utf-8")
    capsys.readouterr()
    assert main(["--resume", "--out", str(old_run)]) == 2
    assert f"{old_run / 'run.json'} holds no settings of a run" in capsys.readouterr().err
    (old_run / "run.json").write_text(json.dumps({n: v for n, v in run.items() if n != name}), "utf-8")
    assert main(["--resume", "--out", str(old_run)]) == 2


@pytest.mark.parametrize("change", [{"hidden": [5]}, {"hidden": []}, {"optimizer": "adam"}, {"seed": 7}])
def test_a_state_of_another_run_than_its_run_json_is_refused(change, old_run, capsys):
    run = json.loads((old_run / "run.json").read_text("utf-8"))
    (old_run / "run.json").write_text(json.dumps(run | change), "utf-8")
    capsys.readouterr()
    assert main(["--resume", "--out", str(old_run)]) == 2
    message = f"--resume: the state in {old_run} has other sizes, optimizer or seed than its settings"
    assert message in capsys.readouterr().err


def test_parameters_of_anything_are_refused_by_name(tmp_path, capsys):
    path, image = tmp_path / "params.npz", tmp_path / "images-idx3-ubyte"
    image.write_bytes(b"\0\0\x08\3" + ONES + ONES + ONES + b"\7")
    for params in (
        {},
        {"W1": np.ones(1)},
        {"W1": np.ones((1, 1)), "b1": np.ones(1)},
        {"W1": np.ones((2, 3)), "b1": np.ones(3)},
        {"W1": np.full((1, 3), np.nan), "b1": np.ones(3)},
        {"W1": np.ones((1, 3), complex), "b1": np.ones(3)},
        {"W1": np.ones((1, 3)), "b1": np.ones(4)},
        {"V": np.ones((1, 3))},
    ):
        nn.save_params(path, params)
        assert main(["predict", str(path), str(image), "--activation", "relu"]) == 2
        assert f"predict: {path} cannot read {image}: " in capsys.readouterr().err
