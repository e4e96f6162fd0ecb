"""Faults of the machine and signals: what is saved is whole, and every run can go on; errors name the file."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import nnfunc as nn
from nnfunc.__main__ import main

from . import kills
from .kills import repr_bits

ROOT = Path(__file__).parents[1]
PARAMS = {"W1": np.arange(12, dtype=np.float32).reshape(4, 3), "b1": np.ones(3)}


# A state comes back as it went


NUMBERS = arrays.arrays(st.sampled_from(["f2", "f4", ">f8", "i1", "u8", "?", "c16"]), arrays.array_shapes(min_dims=0))
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NUMBERS | NUMBERS.map(lambda a: a.ravel()[0])
)
NAMES = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=5)
TREES = st.recursive(st.dictionaries(NAMES, LEAVES), lambda inner: st.dictionaries(NAMES, LEAVES | inner), max_leaves=8)


def typed(tree):
    """A tree with the type of each leaf, and arrays and scalars as bytes."""
    if isinstance(tree, dict):
        return [(name, typed(value)) for name, value in tree.items()]
    if isinstance(tree, np.ndarray | np.generic):
        return type(tree), tree.dtype.str, tree.shape, tree.tobytes()
    return type(tree), repr(tree)


@given(opt=TREES, params=st.dictionaries(NAMES, NUMBERS))
def test_every_tree_that_is_saved_comes_back_equal_in_types_and_order(opt, params, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "tree.npz"
    state = nn.State(params, {}, opt, seed=3, step=7)
    nn.save_state(path, state)
    loaded = nn.load_state(path)
    assert typed(loaded._asdict()) == typed(state._asdict())
    assert type(loaded) is nn.State


def test_arrays_without_axes_stay_arrays(tmp_path):
    opt = {"t": 3, "mean": np.array(0.5), "count": np.array(7), "last": np.float64(0.5)}
    nn.save_state(tmp_path / "s", nn.init_state(nn.sgd(), {"w": np.array(2.5)})._replace(opt=opt))
    assert typed(nn.load_state(tmp_path / "s").opt) == typed(opt)


@pytest.mark.parametrize(
    ("value", "came"),
    [
        ((1, 2), "a tuple of 2"),
        ([1.0], "a list of 1"),
        ({1, 2}, "a set"),
        (np.array(["x"]), "an array of dtype <U1"),
        (np.datetime64(1, "s"), "np.datetime64"),
        (b"x", "a bytes"),
        (1j, "a complex"),
        (nn.sgd(), "a Optimizer of 2"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused_by_name(value, came, tmp_path):
    state = nn.init_state(nn.sgd(), PARAMS)._replace(opt={"t": 0, "inner": {"best": value}})
    with pytest.raises(
        ValueError, match=rf"^save_state: opt/inner/best is {re.escape(came)}.*; only numbers are saved$"
    ):
        nn.save_state(tmp_path / "s", state)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "part", [{"params": [1]}, {"stats": None}, {"opt": 3}, {"seed": -1}, {"step": 0.5}, {"seed": "x"}]
)
def test_what_would_be_no_state_is_not_saved(part, tmp_path):
    with pytest.raises(ValueError, match=r"^save_state: "):
        nn.save_state(tmp_path / "s", nn.init_state(nn.sgd(), PARAMS)._replace(**part))
    assert os.listdir(tmp_path) == []


def averaged(optimizer, share=0.9):
    """An optimizer around another, whose memory is a tree with an empty dict, numbers and a scalar of NumPy."""

    def init(params):
        return {"inner": optimizer.init(params), "mean": dict(params), "spare": {}, "norm": np.float64(0), "best": None}

    def step(params, grads, opt):
        params, inner = optimizer.step(params, grads, opt["inner"])
        mean = {name: share * a + (1 - share) * params[name] for name, a in opt["mean"].items()}
        norm = share * opt["norm"] + sum(np.square(g).sum() for g in grads.values())
        return params, opt | {"inner": inner, "mean": mean, "norm": norm}

    return nn.Optimizer(init, step)


@pytest.mark.parametrize("inner", [nn.adamw(), nn.momentum(), nn.sgd()])
def test_a_composed_optimizer_goes_on_bit_for_bit_in_its_own_precision(inner, tmp_path):
    x, t = nn.spiral(0, points=20)
    optimizer = averaged(inner)
    step = nn.train_step(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), optimizer)
    start = nn.init_state(optimizer, nn.init_mlp(0, (2, 8, 3)))
    whole, _ = nn.history(nn.fit(step, start, nn.minibatches(x, t, 10), 20))
    half, _ = nn.history(nn.fit(step, start, nn.minibatches(x, t, 10), 9))
    nn.save_state(tmp_path / "half.npz", half)
    loaded = nn.load_state(tmp_path / "half.npz")
    assert typed(loaded._asdict()) == typed(half._asdict())
    end, _ = nn.history(nn.fit(step, loaded, nn.minibatches(x, t, 10, start=9), 11))
    assert typed(end._asdict()) == typed(whole._asdict())
    assert {p.dtype for p in end.params.values()} == {np.dtype(np.float32)}


# Images that lie on their side


def test_transposed_images_are_turned_and_others_are_not(tmp_path):
    kills.write_data(tmp_path / "data")
    (x, t), (x_test, _) = nn.load_mnist(path=tmp_path / "data", flatten=False)
    (turned, same), (test, _) = nn.load_mnist(path=tmp_path / "data", flatten=False, transpose=True)
    assert np.array_equal(turned, x.swapaxes(2, 3))
    assert np.array_equal(test, x_test.swapaxes(2, 3))
    assert np.array_equal(same, t)
    assert turned.flags.c_contiguous
    flat, _ = nn.load_mnist(path=tmp_path / "data", transpose=True, normalize=False)[0]
    assert np.array_equal(flat.reshape(-1, 1, 6, 6), np.round(255 * turned))


def test_a_run_on_transposed_images_reads_upright_ones(tmp_path, capsys):
    """Upright is what `data` holds; `lying` holds the same as EMNIST would."""
    for folder, axes in (("data", (0, 1, 2)), ("lying", (0, 2, 1))):
        kills.write_data(tmp_path / folder)
        for file in (tmp_path / folder).glob("*images*"):
            a = nn.read_idx(file)
            file.write_bytes(file.read_bytes()[:16] + a.transpose(axes).tobytes())
    options = ["--hidden", "8", "--batch", "20", "--lr", "0.5", "--scale", "he", "--epochs", "20", "--transpose"]
    assert main(["--data", str(tmp_path / "lying"), *options, "--out", str(tmp_path)]) == 0
    assert main(["--resume", "--epochs", "21", "--out", str(tmp_path)]) == 0
    t = nn.read_idx(tmp_path / "data" / "t10k-labels-idx1-ubyte")

    def right(folder, *more):
        capsys.readouterr()
        file = str(tmp_path / folder / "t10k-images-idx3-ubyte")
        assert main(["predict", str(tmp_path / "params.npz"), file, *more]) == 0
        return np.mean([int(line.split()[1]) for line in capsys.readouterr().out.splitlines()] == t)

    assert right("data") > 0.9
    assert right("lying", "--transpose") == right("data")
    assert right("lying") < 0.7


# Folders where files are looked for


def test_a_folder_of_a_files_name_is_no_file(tmp_path):
    kills.write_data(tmp_path / "data")
    wanted = nn.load_mnist(path=tmp_path / "data")[0][0]
    file = tmp_path / "data" / "train-images-idx3-ubyte"
    data = file.read_bytes()
    file.unlink()
    file.mkdir()
    (file / "train-images-idx3-ubyte").write_bytes(data)
    message = "must hold one file for the train images, found train-images-idx3-ubyte/$"
    with pytest.raises(ValueError, match=message):
        nn.load_mnist(path=tmp_path / "data")
    (tmp_path / "data" / "train-images.idx3-ubyte").write_bytes(data)
    assert np.array_equal(nn.load_mnist(path=tmp_path / "data")[0][0], wanted)


# Several writers


def writer(path, value, times, errors):
    try:
        for _ in range(times):
            nn.save_params(path, {f"p{i}": np.full(300, value) for i in range(5)})
    except Exception as error:
        errors.append(error)


def one_of_two(path):
    """The value of a file, which must be all of one writer."""
    values = {float(v) for a in nn.load_params(path).values() for v in np.unique(a)}
    assert len(values) == 1
    return values.pop()


@pytest.mark.parametrize("number", ["of its own", "the same for all"])
def test_two_threads_and_a_reader_see_whole_files_only(number, tmp_path, monkeypatch):
    """Process numbers are equal in threads, and may be in two containers that share a volume."""
    if number == "the same for all":
        monkeypatch.setattr(os, "getpid", lambda: 7)
    path, errors = tmp_path / "p.npz", []
    nn.save_params(path, {"p0": np.zeros(300)})
    writers = [threading.Thread(target=writer, args=(path, float(value), 60, errors)) for value in (1, 2)]
    for thread in writers:
        thread.start()
    reads = [one_of_two(path)]
    while any(thread.is_alive() for thread in writers):
        reads.append(one_of_two(path))
    assert errors == []
    assert set(reads) <= {0, 1, 2}
    assert len(reads) > 10
    assert os.listdir(tmp_path) == ["p.npz"]


def test_two_processes_and_a_reader_see_whole_files_only(tmp_path):
    code = "from tests.test_faults import writer; import sys; e = []; writer(sys.argv[1], float(sys.argv[2]), 60, e)"
    path = tmp_path / "p.npz"
    nn.save_params(path, {"p0": np.zeros(300)})
    command = [sys.executable, "-c", f"{code}; sys.exit(repr(e) if e else 0)", str(path)]
    processes = [subprocess.Popen([*command, value], cwd=ROOT, stderr=subprocess.PIPE) for value in "12"]
    while any(process.poll() is None for process in processes):
        one_of_two(path)
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    assert os.listdir(tmp_path) == ["p.npz"]


# What killed writers leave


def half_written(path):
    """In a child: begin to save, and stop in the middle until killed."""
    child = os.fork()
    if child == 0:
        np.lib.format.write_array = lambda file, a, **settings: (file.flush(), signal.pause())
        nn.save_params(path, PARAMS)
    while not [*path.parent.glob(".nnfunc-*")]:
        time.sleep(0.01)
    return child


@pytest.fixture
def no_warning_of_forks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child never meets
        yield


@pytest.mark.usefixtures("no_warning_of_forks")
@pytest.mark.parametrize("save", [lambda path: nn.save_params(path, PARAMS), lambda path: nn.save_state(path, STATE)])
def test_the_next_write_sweeps_up_what_a_killed_one_left_and_nothing_else(save, tmp_path):
    (tmp_path / ".nnfunc").write_text("not ours")
    (tmp_path / ".p.npz.bak").write_text("nor this")
    child = half_written(tmp_path / "p.npz")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 3
    save(tmp_path / "another.npz")
    assert sorted(os.listdir(tmp_path)) == [".nnfunc", ".p.npz.bak", "another.npz"]


@pytest.mark.usefixtures("no_warning_of_forks")
def test_what_another_is_writing_is_not_swept_up(tmp_path):
    child = half_written(tmp_path / "p.npz")
    try:
        nn.save_params(tmp_path / "another.npz", PARAMS)
        assert len(os.listdir(tmp_path)) == 2
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    nn.save_params(tmp_path / "another.npz", PARAMS)
    assert os.listdir(tmp_path) == ["another.npz"]


STATE = nn.init_state(nn.adam(), PARAMS)


def test_without_locks_files_are_written_all_the_same(tmp_path, monkeypatch):
    """As on Windows, and on file systems of a network."""
    for lacking in (
        None,
        type("fcntl", (), {"LOCK_EX": 1, "LOCK_NB": 2, "LOCK_SH": 4, "flock": staticmethod(no_locks)}),
    ):
        monkeypatch.setitem(sys.modules, "fcntl", lacking)
        nn.save_params(tmp_path / "p", PARAMS)
        assert os.listdir(tmp_path) == ["p"]


def no_locks(file, how):
    raise OSError(errno.ENOLCK, "no locks")


def test_five_kills_and_resumes_end_bit_for_bit_as_a_run_that_nobody_killed():
    rows, wrong = kills.script(5, seed=1)
    assert wrong == []
    assert len(rows) == 5
    assert {how for _, how, *_ in rows} >= {"at a step", "by the clock", *kills.SAVES[:2]}


# Full disks and folders that cannot be written


def in_child(function):
    """What a function answers in a child of its own, as nobody where this is root."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            said = str(function())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        return pipe.read().decode()


def let_in(folder, mode):
    """Let another user into a folder, however many private ones it is in."""
    folder.chmod(mode)
    for outer in folder.parents:
        if not outer.stat().st_mode & 0o001:
            outer.chmod(outer.stat().st_mode | 0o555)


SAVERS = {
    "save_params": lambda path: nn.save_params(path, PARAMS),
    "save_state": lambda path: nn.save_state(path, STATE),
    "checkpoints": lambda path: list(nn.checkpoints([(STATE, {})], path, 1)),
}


@pytest.mark.usefixtures("no_warning_of_forks")
@pytest.mark.parametrize("saver", SAVERS)
def test_a_folder_that_cannot_be_written_is_told_by_the_name_of_the_file(saver, tmp_path):
    let_in(tmp_path, 0o555)
    said = in_child(lambda: SAVERS[saver](tmp_path / "file.npz"))
    assert said == f"PermissionError: [Errno 13] Permission denied: '{tmp_path / 'file.npz'}'"
    tmp_path.chmod(0o755)


@pytest.mark.usefixtures("no_warning_of_forks")
@pytest.mark.parametrize("saver", SAVERS)
def test_a_file_that_grows_too_large_is_told_by_its_name_and_the_old_one_stays(saver, tmp_path):
    path = tmp_path / "file.npz"
    SAVERS[saver](path)
    before = path.read_bytes()
    let_in(tmp_path, 0o777)

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        SAVERS[saver](path)

    said = in_child(save)
    assert said == f"OSError: [Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: '{path}'"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.npz"]


@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("full", ["write_array", "close"])
def test_a_full_disk_is_told_by_the_name_of_the_file(saver, full, tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    SAVERS[saver](path)
    before = path.read_bytes()

    def no_space(*args, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((np.lib.format, "write_array") if full == "write_array" else (os, "replace")), no_space)
    with pytest.raises(OSError, match=rf"^\[Errno 28\] No space left on device: '{re.escape(str(path))}'$"):
        SAVERS[saver](path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.npz"]


def test_a_folder_that_is_none_is_told_by_the_name_of_the_file(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for saver in SAVERS.values():
        with pytest.raises(NotADirectoryError, match=re.escape(str(tmp_path / "file" / "p.npz"))):
            saver(tmp_path / "file" / "p.npz")
        with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none" / "p.npz"))):
            saver(tmp_path / "none" / "p.npz")


def test_the_command_tells_which_file_could_not_be_written(tmp_path):
    kills.write_data(tmp_path / "data")
    command = [sys.executable, "-m", "nnfunc", "--data", str(tmp_path / "data"), "--steps", "3"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], cwd=ROOT, capture_output=True, preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr.decode() == f"nnfunc:\n  [Errno 27] File too large: '{tmp_path / 'out' / 'state.npz'}'\n"
    assert os.listdir(tmp_path / "out") == []


# Two runs in one folder


def small(tmp_path, *options):
    if not (tmp_path / "data").exists():
        kills.write_data(tmp_path / "data")
    return [
        "--data",
        str(tmp_path / "data"),
        "--batch",
        "20",
        "--hidden",
        "8",
        *options,
        "--out",
        str(tmp_path / "run"),
    ]


@pytest.mark.parametrize("after", range(5))
def test_a_new_run_in_a_used_folder_is_never_resumed_as_the_old_one(after, tmp_path, monkeypatch, capsys):
    """Whichever of its files were moved before it was killed."""
    new = [
        "--activation",
        "tanh",
        "--optimizer",
        "adam",
        "--seed",
        "5",
        "--hidden",
        "9",
        "--lr",
        "0.01",
        "--steps",
        "30",
    ]
    assert main([*small(tmp_path), *new]) == 0
    wanted = nn.load_state(tmp_path / "run" / "state.npz")
    (tmp_path / "run").rename(tmp_path / "wanted")
    assert main(small(tmp_path, "--steps", "40")) == 0
    moves, move = [], os.replace

    def killed(source, target):
        moves.append(target)
        if len(moves) > after:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", killed)
    assert main([*small(tmp_path), *new]) == 130
    monkeypatch.setattr(os, "replace", move)
    old = after == 0  # nothing of the new run is there yet
    pictures = str(tmp_path / "data" / "t10k-images-idx3-ubyte")
    guesses = np.array(guessed(capsys, tmp_path / "run" / "params.npz", pictures))
    params = nn.load_params(tmp_path / "run" / "params.npz")
    net = nn.mlp(nn.layers.tanh if params["W1"].shape[1] == 9 else nn.layers.sigmoid)
    x = nn.load_mnist(path=tmp_path / "data")[1][0]
    assert np.array_equal(guesses, nn.predict(net, params, x).argmax(axis=1))
    assert main(["--resume", "--steps", "40" if old else "30", "--out", str(tmp_path / "run")]) == 0
    state = nn.load_state(tmp_path / "run" / "state.npz")
    assert state.seed == (0 if old else 5)
    assert old or repr_bits(state._asdict()) == repr_bits(wanted._asdict())


def guessed(capsys, params, pictures):
    capsys.readouterr()
    assert main(["predict", str(params), pictures]) == 0
    return [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()]


# Signals


def start(*options, wait=True):
    """A run of the command, after its first epoch unless told not to wait."""

    def heed():  # a shell that runs the tests in the background lets them, and so their children, ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    process = subprocess.Popen([sys.executable, "-m", "nnfunc", *options], preexec_fn=heed, **pipe)
    while wait and not process.stdout.readline().startswith("    1 |"):
        assert process.poll() is None, process.stderr.read()
    return process


def ended(process, tmp_path, code):
    """How far the run came that was ended: all is saved, and nothing is said but that."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in out + err
    state = nn.load_state(tmp_path / "run" / "state.npz")
    assert re.search(rf"interrupted after step {state.step}; --resume goes on from here\n", out)
    assert np.array_equal(nn.load_params(tmp_path / "run" / "params.npz")["W1"], state.params["W1"])
    assert sorted(os.listdir(tmp_path / "run")) == ["params.npz", "run.json", "state.npz"]
    return state.step


@pytest.mark.parametrize("delay", [None, 0, 0.002, 0.005, 0.01, 0.03])
def test_one_interrupt_or_two_save_what_was_learnt(delay, tmp_path):
    process = start(*small(tmp_path, "--epochs", "1000000"))
    process.send_signal(signal.SIGINT)
    if delay is not None:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
    assert ended(process, tmp_path, 130) >= 20


def test_sigterm_saves_what_was_learnt_and_the_run_goes_on_bit_for_bit(tmp_path):
    process = start(*small(tmp_path, "--epochs", "1000000"))
    process.send_signal(signal.SIGTERM)
    step = ended(process, tmp_path, 128 + signal.SIGTERM)
    assert main(["--resume", "--steps", str(step + 30), "--out", str(tmp_path / "run")]) == 0
    resumed = nn.load_state(tmp_path / "run" / "state.npz")
    assert main(small(tmp_path, "--steps", str(step + 30))) == 0
    assert repr_bits(nn.load_state(tmp_path / "run" / "state.npz")._asdict()) == repr_bits(resumed._asdict())


def importing(tmp_path, code):
    """A program that has come to the first import of NumPy by nnfunc, and stays there."""
    (tmp_path / "numpy.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")

    def heed():
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment, "cwd": tmp_path}
    process = subprocess.Popen([sys.executable, *code], preexec_fn=heed, **pipe)
    assert process.stdout.readline() == "importing\n", process.stderr.read()
    return process


@pytest.mark.parametrize("words", [["-m", "nnfunc"], ["-u", "-m", "nnfunc", "--steps", "3"], ["nnfunc"]])
def test_an_interrupt_during_the_import_is_told_in_a_line(words, tmp_path):
    """By module, or by the script of the name that is installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nnfunc").write_text("import sys\nfrom nnfunc.__main__ import main\nsys.exit(main())\n")
    process = importing(tmp_path, [str(tmp_path / "bin" / "nnfunc")] if words == ["nnfunc"] else words)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "nnfunc: interrupted\n")
    assert process.returncode == 130


def test_an_import_into_another_program_leaves_its_signals_alone(tmp_path):
    process = importing(tmp_path, ["-c", "import nnfunc"])
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    code = "import signal, nnfunc; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code, "-m", "nnfunc"], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"True\n"


def test_signals_that_are_ignored_stay_so_and_all_are_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr("nnfunc.__main__._row", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN), signal.getsignal(signal.SIGINT)
    try:
        assert main(small(tmp_path, "--steps", "3")) == 0
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == (signal.SIG_IGN, before[1])
    finally:
        signal.signal(signal.SIGTERM, before[0])
    assert main(small(tmp_path, "--steps", "3")) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before[0]


# Readers that have gone


@pytest.mark.parametrize("flags", [[], ["-u"]])
@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_run_goes_on_to_its_end_when_the_reader_of_its_table_has_gone(flags, lines, tmp_path):
    command = [sys.executable, *flags, "-m", "nnfunc", *small(tmp_path, "--epochs", "30")]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen(command, **pipe) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")
    assert nn.load_state(tmp_path / "run" / "state.npz").step == 600
    assert (tmp_path / "run" / "params.npz").exists()


def test_a_run_goes_on_when_its_table_has_no_place(tmp_path):
    with open(os.devnull.replace("null", "full"), "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nnfunc", *small(tmp_path, "--epochs", "3")], cwd=ROOT, stdout=full
        )
    assert done.returncode == 0
    assert nn.load_state(tmp_path / "run" / "state.npz").step == 60
