"""Files of parameters: what comes back, what is refused, and what is left when a write fails."""

import io
import itertools
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nnfunc as nn

PARAMS = {
    "W10": np.arange(6, dtype=np.float32).reshape(2, 3),
    "W2": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "b": np.array([1.5, -0.0, np.nan, np.inf], np.float16),
    "alpha": np.array(0.25),
    "none": np.zeros((0, 3), np.float32),
    "mask": np.array([True, False]),
    "count": np.array([[2**40]], np.int64),
    "重み": np.array([1 + 2j]),
}


NAMES = "wanted a str without a slash, backslash or NUL, of at most 1000 characters with those it is in"


def assert_same(one, two):
    assert list(one) == list(two)
    for name, a in one.items():
        assert (a.dtype, a.shape) == (two[name].dtype, two[name].shape), name
        assert a.tobytes() == two[name].tobytes(), name


def test_dtypes_shapes_order_and_every_bit_come_back(tmp_path):
    nn.save_params(tmp_path / "params.npz", PARAMS)
    loaded = nn.load_params(tmp_path / "params.npz")
    assert_same(loaded, PARAMS)
    assert loaded["W2"].flags.f_contiguous, "order in memory decides how fast a matrix product is, and its last bit"
    assert loaded["W10"].flags.c_contiguous
    assert all(a.flags.writeable for a in loaded.values())


def test_a_noncontiguous_array_is_saved_as_it_looks(tmp_path):
    a = np.arange(20.0).reshape(4, 5)
    nn.save_params(tmp_path / "p", {"a": a[::2, ::-1], "T": a.T})
    loaded = nn.load_params(tmp_path / "p")
    assert np.array_equal(loaded["a"], a[::2, ::-1])
    assert np.array_equal(loaded["T"], a.T)


def test_lists_and_numbers_are_saved_as_arrays(tmp_path):
    nn.save_params(tmp_path / "p", {"w": [0.5, 0.5], "b": -0.7})
    loaded = nn.load_params(tmp_path / "p")
    assert loaded["w"].tolist() == [0.5, 0.5]
    assert loaded["b"].shape == ()


def test_names_that_numpy_would_take_for_its_own_arguments_are_kept(tmp_path):
    params = {"file": np.ones(1), "allow_pickle": np.ones(2), "a.npy": np.ones(3)}
    nn.save_params(tmp_path / "p", params)
    assert_same(nn.load_params(tmp_path / "p"), params)


def test_numpy_reads_the_file(tmp_path):
    nn.save_params(tmp_path / "params.npz", PARAMS)
    with np.load(tmp_path / "params.npz") as archive:
        assert_same(dict(archive), PARAMS)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_file_of_numpy_is_read(tmp_path, write):
    write(tmp_path / "p.npz", **PARAMS)
    assert_same(nn.load_params(tmp_path / "p.npz"), PARAMS)


@pytest.mark.parametrize("name", ["params", "params.npz", "params.dat", "a b.npz", "重み.npz"])
@pytest.mark.parametrize("kind", [Path, str])
def test_the_path_is_used_as_it_is_given(tmp_path, name, kind):
    nn.save_params(kind(tmp_path / name), {"w": np.ones(2)})
    assert os.listdir(tmp_path) == [name]
    assert nn.load_params(kind(tmp_path / name))["w"].tolist() == [1, 1]


def test_a_path_relative_to_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nn.save_params("p.npz", {"w": np.ones(2)})
    assert (tmp_path / "p.npz").exists()


def test_no_parameters_at_all(tmp_path):
    nn.save_params(tmp_path / "p", {})
    assert nn.load_params(tmp_path / "p") == {}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"a/b": np.ones(1)}, "save_params: the name 'a/b' cannot be saved, " + NAMES),
        ({"": np.ones(1)}, "save_params: the name '' cannot be saved, " + NAMES),
        ({3: np.ones(1)}, "save_params: the name 3 cannot be saved, " + NAMES),
        ({"a\\b": np.ones(1)}, "save_params: the name 'a\\\\b' cannot be saved, " + NAMES),
        ({"a\0b": np.ones(1), "a\0c": np.ones(1)}, "save_params: the name 'a\\x00b' cannot be saved, " + NAMES),
        ({"a\ud800": np.ones(1)}, "save_params: the name 'a\\ud800' cannot be saved, " + NAMES),
        ({"a" * 1001: np.ones(1)}, f"save_params: the name '{'a' * 98} cannot be saved, " + NAMES),
        ({"w": np.array([{}])}, "save_params: w is an array of dtype object; only numbers are saved"),
        ({"w": "text"}, "save_params: w is an array of dtype <U4; only numbers are saved"),
        ({"w": None}, "save_params: w is an array of dtype object; only numbers are saved"),
        ({"w": np.ones(1), "v": np.array([b"ab"])}, "save_params: v is an array of dtype |S2; only numbers are saved"),
        (
            {"w": np.ma.masked_array([1.0, 2.0], [True, False])},
            "save_params: w is a masked array, whose mask would be lost; wanted w.filled(...)",
        ),
        ([np.ones(1)], "save_params: params is a list of 1, wanted a dict"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_the_old_file(tmp_path, params, message):
    path = tmp_path / "params.npz"
    nn.save_params(path, PARAMS)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.save_params(path, params)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["params.npz"]


def test_a_dict_of_dicts_is_no_dict_of_parameters(tmp_path):
    """It would be saved as a state is, and load_params would refuse the file."""
    with pytest.raises(ValueError, match=r"^save_params: layer holds arrays itself; wanted arrays alone$"):
        nn.save_params(tmp_path / "p", {"layer": {"W": np.ones(1)}})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_write_that_fails_midway_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, error, after):
    path, write, calls = tmp_path / "params.npz", np.lib.format.write_array, itertools.count()
    nn.save_params(path, PARAMS)

    def failing(file, a, **settings):
        if next(calls) == after:
            file.write(b"half of it")
            raise error
        write(file, a, **settings)

    monkeypatch.setattr(np.lib.format, "write_array", failing)
    with pytest.raises(type(error)):
        nn.save_params(path, {name: a + a for name, a in PARAMS.items()})
    assert next(calls) == after + 1, "the test stands where the library writes"
    assert os.listdir(tmp_path) == ["params.npz"]
    assert_same(nn.load_params(path), PARAMS)


def test_a_move_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    nn.save_params(tmp_path / "p", PARAMS)

    def replace(source, target):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError):
        nn.save_params(tmp_path / "p", {"w": np.ones(1)})
    assert os.listdir(tmp_path) == ["p"]
    assert_same(nn.load_params(tmp_path / "p"), PARAMS)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.save_params(tmp_path / "none" / "p.npz", {"w": np.ones(1)})


# What is no file of parameters


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("params") / "whole.npz"
    nn.save_params(path, {"W1": np.arange(12, dtype=np.float32).reshape(4, 3), "b1": np.ones(3)})
    return path.read_bytes()


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^load_params: {re.escape(str(path))} "):
        nn.load_params(path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path, whole):
    for length in range(len(whole)):
        refused(tmp_path / "p.npz", whole[:length])


def test_a_file_with_a_changed_byte_is_refused_or_holds_the_same(tmp_path, whole):
    """A zip archive's dates and systems may change unnoticed, its arrays may not."""
    path = tmp_path / "p.npz"
    path.write_bytes(whole)
    wanted = nn.load_params(path)
    for place in range(len(whole)):
        for mask in (0x01, 0x40, 0x80, 0xFF):
            changed = bytearray(whole)
            changed[place] ^= mask
            path.write_bytes(changed)
            try:
                loaded = nn.load_params(path)
            except ValueError as error:
                assert str(error).startswith(f"load_params: {path} ")  # noqa: PT017 (most bytes, but not all)
            else:
                assert_same(loaded, wanted)


def test_each_byte_of_the_numbers_is_guarded(tmp_path, whole):
    numbers = np.arange(12, dtype=np.float32).tobytes()
    start = whole.index(numbers)
    for place in range(start, start + len(numbers)):
        changed = bytearray(whole)
        changed[place] ^= 0x04
        refused(tmp_path / "p.npz", changed)


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_no_pickle_is_read(tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "p.npz"
    trap = Trap(sprung)
    np.savez(path, W1=np.ones(2), W2=np.array([trap], dtype=object), allow_pickle=True)
    for data in (path.read_bytes(), pickle.dumps({"W1": trap}), pickle.dumps(trap)):
        refused(path, data)
        assert not sprung.exists()
    pickle.loads(pickle.dumps(trap))
    assert sprung.exists(), "the trap is one"


def npy(a):
    file = io.BytesIO()
    np.save(file, a)
    return file.getvalue()


def archive(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name, data in entries.items():
            z.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"W1 = [1, 2, 3]\n",
        npy(np.ones(3)),
        archive({"notes.txt": "no array"}),
        archive({"W1.npy": b""}),
        archive({"W1.npy": npy(np.ones(3))[:-1]}),
        archive({"W1.npy": npy(np.ones(3)) + b"more"}),
        archive({"W1.npy": npy(np.ones(3)), "W1/b.npy": npy(np.ones(3))}),
        archive({"W1/b.npy": npy(np.ones(3)), "W1.npy": npy(np.ones(3))}),
        archive({"folder/": b""}),
        archive({"params/W1.npy": npy(np.ones(3))}),
    ],
    ids=[
        "empty",
        "zeros",
        "text",
        "npy",
        "text in a zip",
        "empty entry",
        "short entry",
        "long entry",
        "array, then folder",
        "folder, then array",
        "folder",
        "state",
    ],
)
def test_what_is_no_file_of_parameters_is_refused(tmp_path, data):
    refused(tmp_path / "p.npz", data)


def test_a_saved_state_is_no_file_of_parameters(tmp_path):
    path = tmp_path / "state.npz"
    nn.save_state(path, nn.init_state(nn.adam(), nn.init_mlp(0, (2, 2))))
    message = f"load_params: {path} holds params, stats, opt, seed, step, as a saved state does; wanted arrays alone"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.load_params(path)


def test_a_missing_file_and_a_folder_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.load_params(tmp_path / "none.npz")
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        nn.load_params(tmp_path)


def test_count_params():
    assert nn.count_params(PARAMS) == 6 + 6 + 4 + 1 + 0 + 2 + 1 + 1
    assert nn.count_params({}) == 0
    assert nn.count_params({"w": [1.0, 2.0], "b": 3.0}) == 3
    assert type(nn.count_params(PARAMS)) is int
    with pytest.raises(ValueError, match=r"^count_params: params is a list of 2, wanted a dict$"):
        nn.count_params([np.ones(1), np.ones(1)])
    assert nn.count_params(nn.init_mlp(0, (784, 100, 100, 10))) == 785 * 100 + 101 * 100 + 101 * 10
