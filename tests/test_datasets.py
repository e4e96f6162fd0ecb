"""Data: MNIST as it comes with the package, other data in its format, damaged files, and the toy problems."""

import gzip
import inspect
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import datasets

BUNDLED = Path(datasets.__file__).parent / "mnist"
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TYPES = {0x08: ("B", np.uint8), 0x09: ("b", np.int8), 0x0B: ("h", np.int16), 0x0C: ("i", np.int32)}
TYPES |= {0x0D: ("f", np.float32), 0x0E: ("d", np.float64)}


def idx(values, shape, code=0x08):
    """An IDX file, written with struct: zero, zero, the type, the number of axes, the sizes, the numbers."""
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return head + struct.pack(f">{len(values)}{TYPES[code][0]}", *values)


def images(n, shape=(4, 3)):
    return idx([k % 256 for k in range(n * shape[0] * shape[1])], (n, *shape))


def labels(values):
    return idx(values, (len(values),))


@pytest.fixture
def folder(tmp_path):
    """A small data set: three images of 4x3 pixels to learn from, two to test on."""
    for name, data in zip(NAMES, (images(3), labels([2, 0, 1]), images(2), labels([1, 2])), strict=True):
        (tmp_path / name).write_bytes(data)
    return tmp_path


# MNIST


@pytest.mark.rows("S3-11")
def test_mnist_is_there(mnist):
    (x_train, t_train), (x_test, t_test) = mnist
    assert [a.shape for a in (x_train, t_train, x_test, t_test)] == [(60000, 784), (60000,), (10000, 784), (10000,)]
    assert [a.dtype for a in (x_train, t_train, x_test, t_test)] == [np.float32, np.int64, np.float32, np.int64]
    assert t_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert t_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(t_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    for x in (x_train, x_test):
        assert (x.min(), x.max()) == (0, 1)
        assert x.flags.c_contiguous


@pytest.mark.rows("S3-12")
@pytest.mark.traps("T32")
def test_the_first_image(mnist):
    (x, t), _ = nn.load_mnist(normalize=False)
    assert t[0] == 5
    assert x[0].shape == (784,)
    assert x[0].reshape(28, 28).shape == (28, 28)
    assert x.dtype == np.uint8
    assert (int(x[0].sum()), np.count_nonzero(x[0]), int(x[0].max())) == (27525, 166, 255)
    normalized = mnist[0][0][0]
    assert np.array_equal(normalized, x[0].astype(np.float32) / np.float32(255))
    assert np.array_equal(np.rint(normalized * 255).astype(np.uint8), x[0]), "each pixel can be had back"


@pytest.mark.rows("S3-11", "S4-03")
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("one_hot_label", [True, False])
def test_the_arguments_of_the_sources(mnist, normalize, flatten, one_hot_label):
    loaded = nn.load_mnist(normalize=normalize, flatten=flatten, one_hot_label=one_hot_label)
    for (x, t), (wanted_x, wanted_t) in zip(loaded, mnist, strict=True):
        N = len(wanted_x)
        assert x.dtype == (np.float32 if normalize else np.uint8)
        assert x.shape == ((N, 784) if flatten else (N, 1, 28, 28))
        assert np.array_equal(x.reshape(N, 784)[:50] / np.float32(1 if normalize else 255), wanted_x[:50])
        assert x.max() == (1 if normalize else 255)
        if one_hot_label:
            assert (t.shape, t.dtype) == ((N, 10), np.float32)
            assert np.array_equal(t.argmax(axis=1), wanted_t)
            assert (t.sum(axis=1) == 1).all()
            assert set(np.unique(t)) == {0, 1}
        else:
            assert t.dtype == np.int64
            assert np.array_equal(t, wanted_t)


@pytest.mark.parametrize("settings", [{}, {"normalize": False}, {"normalize": False, "flatten": False}])
def test_each_call_gives_arrays_of_its_own(folder, settings):
    one, two = nn.load_mnist(path=folder, **settings), nn.load_mnist(path=folder, **settings)
    for a, b in zip((*one[0], *one[1]), (*two[0], *two[1]), strict=True):
        assert a.flags.writeable
        assert not np.shares_memory(a, b)
        a[:] = 1
    again = nn.load_mnist(path=folder, **settings)
    assert all(np.array_equal(a, b) for a, b in zip((*two[0], *two[1]), (*again[0], *again[1]), strict=True))


def test_a_folder_cannot_land_in_a_switchs_place(folder):
    with pytest.raises(TypeError, match=r"takes 0 positional arguments but 1 was given"):
        nn.load_mnist(str(folder))
    for name in ("normalize", "flatten", "one_hot_label", "transpose"):
        for value in (str(folder), 1, 0, None, [True]):
            with pytest.raises(ValueError, match=rf"^load_mnist: {name} is .*, wanted True or False$"):
                nn.load_mnist(path=folder, **{name: value})
    assert nn.load_mnist(path=folder, flatten=np.False_)[0][0].shape == (3, 1, 4, 3)


def test_a_bundled_file_that_is_not_the_original_is_refused(monkeypatch):
    known = datasets._SHA256
    for name in NAMES:
        sums = known | {name: "0" * 64}
        monkeypatch.setattr(datasets, "_SHA256", sums)
        with pytest.raises(ValueError, match=rf"^load_mnist: .*{name}\.gz has not the sha256 of the original"):
            nn.load_mnist()


def test_the_sums_of_the_bundled_files_are_those_known_of_mnist():
    """The four sha256 are the data's own, not this package's."""
    assert datasets._SHA256 == {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }


def test_a_folder_of_the_bundled_files_loads_the_same(mnist, tmp_path):
    for name in NAMES:
        shutil.copy(BUNDLED / f"{name}.gz", tmp_path)
    loaded = nn.load_mnist(path=str(tmp_path))
    for (x, t), (wanted_x, wanted_t) in zip(loaded, mnist, strict=True):
        assert np.array_equal(x, wanted_x)
        assert np.array_equal(t, wanted_t)


# Other data in the same format


def test_plain_and_gzipped_files_may_stand_together(folder):
    plain = nn.load_mnist(path=folder)
    for name in NAMES[:3]:
        file = folder / name
        (folder / f"{name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    mixed = nn.load_mnist(path=folder)
    for (x, t), (wanted_x, wanted_t) in zip(mixed, plain, strict=True):
        assert np.array_equal(x, wanted_x)
        assert np.array_equal(t, wanted_t)
    (x, t), (x_test, t_test) = plain
    assert (x.shape, x_test.shape) == ((3, 12), (2, 12))
    assert (t.tolist(), t_test.tolist()) == ([2, 0, 1], [1, 2])
    assert x[1, 0] == np.float32(12) / np.float32(255)


@pytest.mark.parametrize("pattern", ["{}", "emnist-letters-{}.gz", "a.b-c-{}"])
@pytest.mark.parametrize("half", ["t10k", "test"])
def test_the_names_of_other_data_sets_are_understood(folder, pattern, half):
    wanted = nn.load_mnist(path=folder)
    for name in NAMES:
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        other = pattern.format(name.replace("t10k", half))
        (folder / other).write_bytes(gzip.compress(data) if other.endswith(".gz") else data)
    (folder / "NOTICE.md").write_text("not data")
    (folder / "emnist-letters-mapping.txt").write_text("1 65 97")
    loaded = nn.load_mnist(path=folder)
    assert np.array_equal(loaded[0][0], wanted[0][0])
    assert np.array_equal(loaded[1][1], wanted[1][1])


def test_the_classic_names_with_a_dot_are_understood(folder):
    for name in NAMES:
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert nn.load_mnist(path=folder)[0][0].shape == (3, 12)


def test_one_hot_rows_are_as_long_as_the_largest_label_wants(folder):
    (folder / NAMES[3]).write_bytes(labels([25, 2]))
    (_, t), (_, t_test) = nn.load_mnist(one_hot_label=True, path=folder)
    assert (t.shape, t_test.shape) == ((3, 26), (2, 26))
    assert t_test.argmax(axis=1).tolist() == [25, 2]


def test_images_are_not_transposed_or_cut(folder):
    (x, _), _ = nn.load_mnist(normalize=False, flatten=False, path=folder)
    assert x.shape == (3, 1, 4, 3)
    assert x.ravel().tolist() == list(range(36))


def test_images_that_lie_are_stood_up(folder):
    (lying, _), _ = nn.load_mnist(normalize=False, flatten=False, path=folder)
    (x, _), _ = nn.load_mnist(normalize=False, flatten=False, path=folder, transpose=True)
    assert np.array_equal(x, lying.transpose(0, 1, 3, 2))
    (rows, _), _ = nn.load_mnist(normalize=False, path=folder, transpose=True)
    assert np.array_equal(rows, x.reshape(3, 12))


def test_the_limit_is_the_last_number_of_bytes_that_passes(tmp_path):
    n = 2**24 + 1000  # more than is read at once
    (tmp_path / "x").write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, n) + bytes(n), 1))
    assert nn.read_idx(tmp_path / "x", limit=n).shape == (n,)
    with pytest.raises(ValueError, match=rf"want {n} of {n - 1} at most"):
        nn.read_idx(tmp_path / "x", limit=n - 1)


def test_one_class_alone_has_rows_of_one(folder):
    (folder / NAMES[1]).write_bytes(labels([0, 0, 0]))
    (folder / NAMES[3]).write_bytes(labels([0, 0]))
    (_, t), _ = nn.load_mnist(one_hot_label=True, path=folder)
    assert t.tolist() == [[1], [1], [1]]


def test_no_samples_are_a_data_set_too(folder):
    (folder / NAMES[2]).write_bytes(images(0))
    (folder / NAMES[3]).write_bytes(labels([]))
    _, (x, t) = nn.load_mnist(path=folder)
    assert (x.shape, t.shape) == ((0, 12), (0,))


# Failures


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (NAMES[0], images(3)[:-1], "35 bytes of data, uint8 of shape (3, 4, 3) want 36 of 2147483648 at most"),
        (NAMES[0], images(3) + b"\0", "37 bytes of data, uint8 of shape (3, 4, 3) want 36 of 2147483648 at most"),
        (NAMES[0], images(3)[:10], "there is no header in 10 bytes from 00 00 08 03 on"),
        (NAMES[2], b"\1" + images(2)[1:], "there is no header in 40 bytes from 01 00 08 03 on"),
        (NAMES[2], b"\0\0\x0a\3" + images(2)[4:], "there is no header in 40 bytes from 00 00 0a 03"),
        (NAMES[1], b"<!DOCTYPE html>", "there is no header in 15 bytes from 3c 21 44 4f"),
        (NAMES[1], b"", "there is no header in 0 bytes"),
        (NAMES[1], b"\0\0\x08", "there is no header in 3 bytes from 00 00 08 on"),
        (NAMES[0], labels([2, 0, 1]), "holds uint8 of shape (3,), wanted uint8 with 3 axes"),
        (NAMES[3], images(2), "holds uint8 of shape (2, 4, 3), wanted uint8 with 1 axes"),
        (NAMES[1], idx([2, 0, 1], (3,), 0x0C), "holds int32 of shape (3,), wanted uint8 with 1 axes"),
    ],
)
def test_a_damaged_or_mislabelled_file_is_named(folder, name, data, message, pack):
    (folder / name).write_bytes(pack(data))
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is compared)
        nn.load_mnist(path=folder)
    damaged = f"read_idx: {folder / name} is no IDX file, or a damaged one: "
    assert str(error.value).startswith((damaged + message, f"load_mnist: {folder / name} {message}"))


def test_images_and_labels_are_as_many(folder):
    for name, data, message in [
        (NAMES[0], images(4), "4 train images, but 3"),
        (NAMES[2], images(1), "1 test images, but 2"),
    ]:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"^load_mnist: {re.escape(str(folder))} holds {message} labels$"):
            nn.load_mnist(path=folder)
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("damage", ["cut", "cut in the header", "changed", "checksum", "not deflated"])
def test_a_damaged_gzip_file_is_named(folder, damage):
    file = folder / f"{NAMES[0]}.gz"
    (folder / NAMES[0]).unlink()
    packed = gzip.compress(images(3))
    middle = len(packed) // 2
    file.write_bytes(
        {
            "cut": packed[:middle],
            "cut in the header": packed[:5],
            "changed": packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :],
            "checksum": packed[:-8] + b"\0\0\0\0" + packed[-4:],
            "not deflated": packed[:10] + b"\xff" * 30,
        }[damage]
    )
    with pytest.raises(ValueError, match=rf"^read_idx: {re.escape(str(file))} is no IDX file, or a damaged one: "):
        nn.load_mnist(path=folder)
    with pytest.raises(ValueError, match="is no IDX file, or a damaged one: "):
        nn.read_idx(file)


def test_missing_and_ambiguous_files_are_named(folder):
    shutil.copy(folder / NAMES[1], folder / f"emnist-{NAMES[1]}")
    message = (
        f"load_mnist: {folder} must hold one file for the train labels, "
        f"found emnist-train-labels-idx1-ubyte, train-labels-idx1-ubyte"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.load_mnist(path=folder)
    (folder / NAMES[1]).unlink()
    (folder / f"emnist-{NAMES[1]}").unlink()
    message = f"load_mnist: {folder} must hold one file for the train labels, found no such file"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.load_mnist(path=folder)
    with pytest.raises(ValueError, match=r"none must hold one file for the train images, found no such file$"):
        nn.load_mnist(path=folder / "none")


# The format


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("code", TYPES)
def test_each_type_of_the_format_is_read_in_the_machines_byte_order(tmp_path, code, pack):
    values = [1, 2, 3, 100, 5, 127] if code in (0x08, 0x09) else [1, -2, 300, 4, -5, 32000]
    if code == 0x09:
        values[1] = -128
    if code in (0x0D, 0x0E):
        values[0] = 0.5
    file = tmp_path / "data.idx"
    file.write_bytes(pack(idx(values, (2, 3), code)))
    a = nn.read_idx(file)
    assert a.dtype == TYPES[code][1]
    assert a.dtype.isnative
    assert a.tolist() == [values[:3], values[3:]]
    assert a.flags.writeable
    assert a.flags.c_contiguous


def test_any_number_of_axes_is_read(tmp_path):
    file = tmp_path / "data"
    for shape in [(), (6,), (6, 1), (1, 2, 3), (2, 1, 1, 3), (0, 5)]:
        values = list(range(int(np.prod(shape))))
        file.write_bytes(idx(values, shape))
        a = nn.read_idx(str(file))
        assert a.shape == shape
        assert a.ravel().tolist() == values


def test_a_header_of_absurd_sizes_is_refused_without_making_the_array(tmp_path):
    file = tmp_path / "data"
    file.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(ValueError, match=f"0 bytes of data, uint8 of shape .* want {(2**32 - 1) ** 3} of"):
        nn.read_idx(file)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.read_idx(tmp_path / "none")


# The toy problems


def test_xor():
    x, t = nn.xor()
    assert (x.dtype, t.dtype) == (np.float32, np.int64)
    assert [(int(a), int(b), int(c)) for (a, b), c in zip(x, t, strict=True)] == [
        (a, b, a ^ b) for a in (0, 1) for b in (0, 1)
    ]
    x[:], t[:] = 7, 7
    assert nn.xor()[0].max() == 1
    assert nn.xor()[1].max() == 1


def test_spiral():
    x, t = nn.spiral(0, points=60, classes=5, noise=0.1)
    assert (x.shape, x.dtype) == ((300, 2), np.float32)
    assert np.bincount(t).tolist() == [60] * 5
    r = np.hypot(x[:, 0], x[:, 1]).reshape(5, 60)
    np.testing.assert_allclose(r, np.tile(np.arange(60) / 60, (5, 1)), atol=1e-6)
    same, other = nn.spiral(0, 60, 5, 0.1), nn.spiral(1, 60, 5, 0.1)
    assert np.array_equal(x, same[0])
    assert not np.array_equal(x, other[0])
    rng = np.random.default_rng(0)
    assert np.array_equal(nn.spiral(rng, 60, 5, 0.1)[0], x)
    assert not np.array_equal(nn.spiral(rng, 60, 5, 0.1)[0], x), "a generator is advanced"


def test_a_spiral_has_three_arms_of_a_hundred_if_nothing_is_said():
    assert all(np.array_equal(a, b) for a, b in zip(nn.spiral(0), nn.spiral(0, 100, 3, 0.2), strict=True))


def test_a_spiral_without_noise_is_its_formula():
    x, t = nn.spiral(0, points=10, classes=3, noise=0.0)
    for n in range(30):
        r = n % 10 / 10
        angle = 2 * np.pi * t[n] / 3 + 4 * r
        assert x[n].tolist() == pytest.approx([r * np.sin(angle), r * np.cos(angle)], abs=1e-6)


def test_the_noise_of_a_spiral_is_its_angles_deviation():
    def angles(noise):
        x, _ = nn.spiral(0, points=4000, classes=2, noise=noise)
        return np.arctan2(x[:, 0], x[:, 1])

    turn = (angles(0.2) - angles(0.0) + np.pi) % (2 * np.pi) - np.pi
    assert turn.std() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("points", [-1, 1.0, np.nan, "3", None, True]),
        ("classes", [0, -1, 2.5, "3", None, True]),
        ("noise", [-0.1, np.nan, np.inf, "0.1", None, True]),
    ],
)
def test_the_settings_of_a_spiral_have_bounds(name, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^spiral: {name} is .*, wanted an? "):
            nn.spiral(0, **{name: value})
    assert nn.spiral(0, points=0)[0].shape == (0, 2)
    assert nn.spiral(0, np.int64(2), np.uint8(1), np.float32(0))[0].shape == (2, 2)


# Shuffled and divided


@pytest.fixture
def pairs():
    """A thousand samples that know their labels, read-only."""
    x, t = np.arange(2000, dtype=np.float32).reshape(1000, 2), 7 * np.arange(1000, dtype=np.int16)
    x.flags.writeable = t.flags.writeable = False
    return x, t


def numbers(x):
    return (x[:, 0] / 2).astype(int)


def test_shuffle_keeps_pairs_together_and_loses_none(pairs):
    x, t = nn.shuffle(*pairs, seed=4)
    assert sorted(numbers(x)) == list(range(1000))
    assert np.array_equal(7 * numbers(x), t)
    assert np.array_equal(x[:, 1], x[:, 0] + 1), "rows stay rows"
    assert (x.dtype, t.dtype) == (np.float32, np.int16)
    assert not np.shares_memory(x, pairs[0])


def test_the_seed_decides_the_order(pairs):
    order = [numbers(nn.shuffle(*pairs, seed)[0]) for seed in (0, 0, 1, np.int64(0))]
    assert np.array_equal(order[0], order[1])
    assert np.array_equal(order[0], order[3])
    assert not np.array_equal(order[0], order[2])
    # uniform: no number stays near its place; the correlation of two shuffles of 1000 has a deviation of 0.032
    assert abs(np.corrcoef(order[0], np.arange(1000))[0, 1]) < 0.15
    assert abs(np.corrcoef(order[0], order[2])[0, 1]) < 0.15


@pytest.mark.parametrize(("validation", "n"), [(0.2, 200), (np.float32(0.2), 200), (150, 150)])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_part_is_kept_aside(pairs, validation, n, seed):
    (x, t), (x_val, t_val) = nn.train_validation_split(*pairs, validation, seed)
    assert (len(x), len(t), len(x_val), len(t_val)) == (1000 - n, 1000 - n, n, n)
    assert sorted([*numbers(x), *numbers(x_val)]) == list(range(1000))
    assert np.array_equal(7 * numbers(x), t)
    assert np.array_equal(7 * numbers(x_val), t_val)
    assert abs(np.mean(numbers(x_val)) - 499.5) < 90, "a fair sample; its mean has a deviation of about 20"
    again = nn.train_validation_split(*pairs, validation, seed)
    assert np.array_equal(again[1][0], x_val)
    assert not np.array_equal(nn.train_validation_split(*pairs, validation, seed + 1)[1][0], x_val)


class Series:
    """As pandas has it: rows have labels, and brackets ask for those; what is made of it as an array has its order."""

    def __init__(self, values, labels):
        self.values, self.labels = values, labels

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, label):
        rows = [self.labels.index(one) for one in label] if np.ndim(label) else self.labels.index(label)
        return Series(self.values[rows], [self.labels[row] for row in np.atleast_1d(rows)])


@pytest.mark.parametrize(
    "kind", [np.ndarray.tolist, lambda a: Series(a, [*range(999, -1, -1)])], ids=["list", "Series"]
)
def test_rows_go_by_position_whatever_holds_them(pairs, kind):
    x, t = pairs
    data = kind(x), kind(t)
    shuffled, wanted = nn.shuffle(*data, 4), nn.shuffle(x, t, 4)
    split, wanted_split = (nn.train_validation_split(*each, 0.2, 4) for each in (data, (x, t)))
    for a, b in [*zip(shuffled, wanted, strict=True), *zip(sum(split, ()), sum(wanted_split, ()), strict=True)]:
        assert type(a) is np.ndarray
        assert np.array_equal(a, b)


def test_a_network_of_several_inputs_keeps_them_together(pairs):
    x, t = pairs
    (one, two), labels = nn.shuffle((x, t), t, 4)
    assert np.array_equal(numbers(one) * 7, two)
    assert np.array_equal(two, labels)
    (kept, _), ((one, two), labels) = nn.train_validation_split((x, t), t, 10, 4)
    assert [len(a) for a in (*kept, one, two, labels)] == [990, 990, 10, 10, 10]
    assert np.array_equal(numbers(one) * 7, labels)


@pytest.mark.parametrize("which", ["x", "t"])
@pytest.mark.parametrize("f", [nn.shuffle, lambda x, t, seed: nn.train_validation_split(x, t, 10, seed)])
def test_what_has_no_rows_is_refused(pairs, f, which):
    for bad, message in [
        (5, rf"{which} has shape \(\); wanted \(N, ...\)"),
        (np.ma.array(np.arange(1000)), rf"{which} is a masked array"),
        ([[1], [2, 3]], rf"{which} is no array"),
    ]:
        with pytest.raises(ValueError, match=rf"^(shuffle|train_validation_split): {message}"):
            f(*(bad if name == which else a for name, a in zip("xt", pairs, strict=True)), 0)


def test_a_seed_is_a_whole_number_and_a_share_a_number(pairs):
    for seed in (-1, 0.5, None, True, "0"):
        with pytest.raises(ValueError, match=r"^shuffle: seed is .*, wanted an int from 0 up$"):
            nn.shuffle(*pairs, seed)
    for share in (np.nan, np.inf, "0.2", None, True, [0.2]):
        with pytest.raises(ValueError, match=r"^train_validation_split: validation is .*, wanted a number"):
            nn.train_validation_split(*pairs, share, 0)


@pytest.mark.parametrize("validation", [0, 1000, 1001, -1, 0.0, 1.0, 0.0001, 0.9999, -0.5, np.int64(1000)])
def test_no_part_may_be_empty(pairs, validation):
    message = f"train_validation_split: validation is {validation} of 1000 samples; both parts need some"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.train_validation_split(*pairs, validation, seed=0)


def test_data_and_labels_of_unequal_length_are_refused(pairs):
    x, t = pairs
    split = lambda x, t, seed: nn.train_validation_split(x, t, 10, seed)
    for name, call in (("shuffle", nn.shuffle), ("train_validation_split", split)):
        with pytest.raises(ValueError, match=rf"^{name}: x has 1000 samples, t has 999$"):
            call(x, t[:-1], 0)


def test_two_gigabytes_pass_if_nothing_is_said():
    for f in (nn.read_idx, nn.load_params, nn.load_state):
        assert inspect.signature(f).parameters["limit"].default == 2**31
