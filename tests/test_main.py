"""The command `python -m nnfunc`: the main job on the real MNIST, resuming, and reading users' pictures."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import nnfunc as nn
from nnfunc import __main__ as command
from nnfunc.__main__ import main, read_images, read_picture

SMALL = ["--batch", "1000", "--epochs", "6", "--activation", "relu", "--lr", "0.5", "--scale", "he"]


def rows(out):
    """Return the table's rows as numbers: epoch, train accuracy, test accuracy."""
    return np.array(
        [[float(n) for n in re.split(r"[|,]", line)] for line in out.splitlines() if re.match(r" *\d+ \|", line)]
    )


@pytest.mark.rows("S3-27", "S3-33")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("activation", "first", "last"), [("sigmoid", (0.76, 0.81), (0.94, 0.95)), ("relu", (0.895, 0.915), (0.965, 0.975))]
)
def test_main_job_ends_within_the_bands_of_the_sources(activation, first, last, seed, tmp_path, capsys):
    assert main(["--activation", activation, "--seed", str(seed), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    table = rows(out)
    assert table[:, 0].tolist() == list(range(17))
    assert 0.05 < table[0, 2] < 0.15
    assert first[0] <= table[1, 2] <= first[1]
    assert last[0] <= table[16, 2] <= last[1]
    summary = re.fullmatch(r"loss (\S+), train acc (\S+), test acc (\S+), \S+ s", out.splitlines()[-1])
    loss, train, test = map(float, summary.groups())
    assert 0.02 < loss < 0.3
    assert last[0] <= test <= last[1]
    params = nn.load_params(tmp_path / "params.npz")
    assert params["W1"].dtype == np.float32
    (x, t), _ = nn.load_mnist()
    net = nn.mlp(getattr(nn.layers, activation))
    assert nn.accuracy(nn.predict(net, params, x), t) == pytest.approx(train, abs=1e-4)


def start(*args):
    def heed_interrupts():  # a shell that runs the tests in the background lets them, and so their children, ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-u", "-m", "nnfunc", *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts)


def wait_for_row(process, epoch):
    for line in process.stdout:
        if line.startswith(f"{epoch:5} |"):
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_killed_and_resumed_run_gives_the_same_bits(optimizer, tmp_path, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = [*SMALL, "--optimizer", optimizer, "--lr", "0.01", "--seed", "3"]
    assert main([*options, "--out", str(whole)]) == 0
    process = start(*options, "--out", str(broken))
    wait_for_row(process, 2)
    process.kill()
    process.communicate()
    assert not (broken / "params.npz").exists()
    assert nn.load_state(broken / "state.npz").step in (60, 120, 180, 240, 300)
    assert main(["--resume", "--epochs", "6", "--out", str(broken)]) == 0
    a, b = nn.load_state(whole / "state.npz"), nn.load_state(broken / "state.npz")
    assert (a.step, a.seed, a.opt["t"]) == (b.step, b.seed, b.opt["t"]) == (360, 3, 360)
    for name in a.params:
        np.testing.assert_array_equal(a.params[name], b.params[name])
        np.testing.assert_array_equal(a.params[name], nn.load_params(broken / "params.npz")[name])


def test_interrupt_saves_what_was_learnt(tmp_path):
    process = start(*SMALL, "--epochs", "1000", "--out", str(tmp_path))
    wait_for_row(process, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    step = int(re.search(r"interrupted after step (\d+)", out)[1])
    assert step >= 60
    assert nn.load_state(tmp_path / "state.npz").step == step
    _, (x, t) = nn.load_mnist()
    learnt = nn.accuracy(nn.predict(nn.mlp(), nn.load_params(tmp_path / "params.npz"), x), t)
    assert learnt > 0.8
    assert f"test acc {learnt:.4f}" in out


def test_resume_refuses_other_settings(tmp_path, capsys):
    assert main(["--steps", "2", "--out", str(tmp_path)]) == 0
    assert main(["--resume", "--steps", "4", "--out", str(tmp_path), "--lr", "0.2"]) == 2
    assert f"--resume: the run in {tmp_path} has another --lr, 0.1" in capsys.readouterr().err
    assert main(["--resume", "--out", str(tmp_path / "nowhere")]) == 2
    assert f"No such file or directory: '{tmp_path / 'nowhere' / 'state.npz'}'" in capsys.readouterr().err


def test_resume_takes_the_same_settings_again(tmp_path, capsys):
    options = ["--out", str(tmp_path), "--hidden", "20", "15", "--lr", "0.25", "--scale", "he"]
    assert main([*options, "--steps", "1"]) == 0
    assert main([*options, "--steps", "2", "--resume"]) == 0
    assert nn.load_state(tmp_path / "state.npz").step == 2


def test_a_run_that_ends_at_once_leaves_no_state_of_another(tmp_path, monkeypatch, capsys):
    assert main(["--steps", "3", "--out", str(tmp_path)]) == 0

    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnfunc.__main__.minibatches", stopped)
    assert main(["--steps", "3", "--seed", "1", "--out", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
    state = nn.load_state(tmp_path / "state.npz")
    assert (state.step, state.seed) == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "nan"], "sgd: lr is nan, wanted a number in [0, inf)"),
        (["--lr", "inf"], "sgd: lr is inf, wanted a number in [0, inf)"),
        (["--lr", "-0.1", "--optimizer", "adamw"], "adamw: lr is -0.1, wanted a number in [0, inf)"),
        (["--steps", "-5"], "train: --steps is -5, wanted an int from 0 up"),
        (["--epochs", "-1"], "train: --epochs is -1, wanted an int from 0 up"),
        (["--batch", "0"], "train: --batch is 0, wanted an int from 1 to 60000"),
        (["--batch", "60001"], "train: --batch is 60001, wanted an int from 1 to 60000"),
        (["--hidden", "50", "0"], "init_affine: outputs is 0, wanted an int from 1 up"),
        (["--scale", "nan"], "init_affine: scale is nan, wanted a number in [0, inf)"),
        (["--scale", "-1"], "init_affine: scale is -1.0, wanted a number in [0, inf)"),
        (["--seed", "-1"], "init_mlp: rng is -1, wanted an int from 0 up"),
    ],
)
def test_settings_out_of_bounds_are_refused_as_in_code_and_nothing_is_written(options, message, tmp_path, capsys):
    assert main([*options, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith(f"nnfunc:\n  {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("options", [["--steps", "40"], ["--steps", "120"], ["--epochs", "1"]])
def test_a_loss_that_is_no_number_ends_the_run_and_leaves_what_was_saved(options, tmp_path, capsys):
    """Whether it is met at a step, at a checkpoint, or in the parameters of the last step."""
    wild = ["--batch", "1000", "--activation", "identity", "--hidden", "20", "20", "--scale", "1", "--lr"]
    assert main([*wild, "1e-5", "--steps", "2", "--out", str(tmp_path)]) == 0
    before = (tmp_path / "params.npz").read_bytes()
    capsys.readouterr()
    assert main([*wild, "1e5", *options, "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    step = int(re.search(r"train: the loss is no longer a number after step (\d+); a smaller --lr may help", err)[1])
    assert 1 <= step <= 40
    assert "nan" not in out
    assert (tmp_path / "params.npz").read_bytes() == before
    assert all(np.isfinite(p).all() for p in nn.load_state(tmp_path / "state.npz").params.values())


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_the_last_step_may_break_the_parameters(tmp_path, monkeypatch, capsys):
    """The loss is the one before the step, so of this one there is no loss any more."""

    def breaking(grad, optimizer):
        step = nn.train_step(grad, optimizer)

        def last(state, batch):
            state, metrics = step(state, batch)
            return state._replace(params={name: p * np.nan for name, p in state.params.items()}), metrics

        return last

    monkeypatch.setattr("nnfunc.__main__.train_step", breaking)
    assert main(["--steps", "1", "--out", str(tmp_path)]) == 2
    assert "train: the loss is no longer a number after step 1;" in capsys.readouterr().err
    assert not (tmp_path / "params.npz").exists()
    assert nn.load_state(tmp_path / "state.npz").step == 0


def test_a_run_that_is_done_already_takes_no_step(tmp_path, capsys):
    assert main(["--steps", "3", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["--resume", "--steps", "2", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("loss -, train acc ")
    assert nn.load_state(tmp_path / "state.npz").step == 3


def test_options_reach_the_run(tmp_path, capsys):
    options = [
        "--hidden",
        "20",
        "10",
        "--activation",
        "tanh",
        "--scale",
        "xavier",
        "--dtype",
        "float64",
        "--batch",
        "64",
    ]
    assert main([*options, "--optimizer", "momentum", "--lr", "0.02", "--steps", "3", "--out", str(tmp_path)]) == 0
    state = nn.load_state(tmp_path / "state.npz")
    assert {name: p.shape for name, p in state.params.items()} == {
        "W1": (784, 20), "b1": (20,), "W2": (20, 10), "b2": (10,), "W3": (10, 10), "b3": (10,),
    }  # fmt: skip
    assert {p.dtype for p in state.params.values()} == {np.dtype(np.float64)}
    assert state.opt.keys() == {"t", "v"}
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["activation"], run["sizes"], run["optimizer"], run["seed"]) == (
        "tanh",
        [784, 20, 10, 10],
        "momentum",
        0,
    )
    # the same three steps by hand
    (x, t), _ = nn.load_mnist()
    optimizer = nn.momentum(lr=0.02)
    step = nn.train_step(nn.value_and_grad(nn.mlp(nn.layers.tanh), nn.ops.softmax_cross_entropy), optimizer)
    by_hand = nn.init_state(optimizer, nn.init_mlp(0, (784, 20, 10, 10), "xavier", np.float64))
    by_hand, _ = nn.history(nn.fit(step, by_hand, nn.minibatches(x.astype(np.float64), t, 64), 3))
    np.testing.assert_array_equal(state.params["W1"], by_hand.params["W1"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert main([*SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def digits():
    """Return ten clear test images, 0 to 9."""
    _, (x, t) = nn.load_mnist(normalize=False, flatten=False)
    return [x[t == digit][3, 0] for digit in range(10)]


def dark_on_light(image):
    return Image.fromarray(255 - image)


def colour_and_large(image):
    red_on_yellow = np.where(image[..., None] > 96, np.uint8([160, 20, 30]), np.uint8([250, 240, 120]))
    return Image.fromarray(np.pad(red_on_yellow, ((20, 4), (2, 40), (0, 0)), mode="edge")).resize((350, 260))


def transparent(image):
    ink = np.zeros((*image.shape, 4), np.uint8)
    ink[..., 3] = image
    return Image.fromarray(ink)


@pytest.mark.parametrize("make", [Image.fromarray, dark_on_light, colour_and_large, transparent])
def test_predict_reads_pictures_of_every_kind(make, trained, digits, tmp_path, capsys):
    files = []
    for digit, image in enumerate(digits):
        make(image).save(tmp_path / f"{digit}.png")
        files.append(str(tmp_path / f"{digit}.png"))
    assert main(["predict", str(trained / "params.npz"), *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r".*/(\d)\.png: (\d)  ([\d.]+)%  \(or (\d), ([\d.]+)%\)", line).groups() for line in lines]
    assert sum(digit == guess for digit, guess, *_ in found) >= 9
    assert all(float(first) >= float(second) for _, _, first, _, second in found)


def test_picture_of_another_size_is_centred_like_mnist(digits, tmp_path):
    colour_and_large(digits[3]).save(tmp_path / "3.png")
    image = read_picture(tmp_path / "3.png")
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    inked = np.flatnonzero((image > 0).any(axis=1))
    assert inked[-1] - inked[0] + 1 == 20
    centre = (image.sum(axis=1) @ np.arange(28) + image.sum() / 2) / image.sum()
    assert abs(centre - 14) <= 0.5


def test_ink_option_overrules_the_guess(digits, tmp_path):
    Image.fromarray(digits[5]).save(tmp_path / "5.png")
    as_it_is, inverted = read_picture(tmp_path / "5.png", "light"), read_picture(tmp_path / "5.png", "dark")
    np.testing.assert_array_equal(as_it_is, digits[5] / np.float32(255))
    np.testing.assert_allclose(inverted, 1 - as_it_is, atol=1e-6)


def test_predict_reads_idx_files_without_pillow(trained, tmp_path, capsys, monkeypatch):
    _, (x, t) = nn.load_mnist(normalize=False, flatten=False)
    Image.fromarray(x[0, 0]).save(tmp_path / "7.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (200, 28, 28))
    (tmp_path / "images-idx3-ubyte").write_bytes(header + x[:200].tobytes())
    assert main(["predict", str(trained / "params.npz"), str(tmp_path / "images-idx3-ubyte")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 200
    guesses = [int(re.search(r"\[(\d+)\]: (\d)  ", line)[2]) for line in lines]
    assert np.mean(guesses == t[:200]) > 0.9
    assert main(["predict", str(trained / "params.npz"), str(tmp_path / "7.png")]) == 2
    assert "pip install pillow" in capsys.readouterr().err


def test_predict_stands_images_up_that_lie(trained, digits, tmp_path, capsys):
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (10, 28, 28))
    (tmp_path / "upright").write_bytes(header + np.stack(digits).tobytes())
    (tmp_path / "lying").write_bytes(header + np.stack(digits).transpose(0, 2, 1).tobytes())
    told = []
    for file, options in (("upright", []), ("lying", ["--transpose"]), ("lying", [])):
        assert main(["predict", str(trained / "params.npz"), str(tmp_path / file), *options]) == 0
        told.append(re.sub("upright|lying", "", capsys.readouterr().out))
    assert told[0] == told[1] != told[2]


def test_images_come_from_0_to_1_whatever_they_are_read_from(digits, tmp_path):
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (10, 28, 28))
    (tmp_path / "idx").write_bytes(header + np.stack(digits).tobytes())
    np.testing.assert_array_equal(read_images(tmp_path / "idx"), np.stack(digits) / np.float32(255))
    colour_and_large(digits[3]).save(tmp_path / "3.png")
    image = read_images(tmp_path / "3.png")
    assert image.min() == 0
    assert 0.9 < image.max() <= 1


def test_a_line_of_one_pixel_stays_one_pixel_wide(tmp_path):
    a = np.full((60, 60), 255, np.uint8)
    a[10:50, 30] = 0
    Image.fromarray(a).save(tmp_path / "1.png")
    assert np.count_nonzero(read_picture(tmp_path / "1.png").any(axis=0)) == 1


@pytest.mark.parametrize("installed", [True, False])
def test_the_bar_is_shown_where_tqdm_is_installed(installed, tmp_path, monkeypatch):
    shown, there = [], command.importlib.util.find_spec
    monkeypatch.setattr(command, "progress", lambda run, *steps: shown.append(steps) or run)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: there(name) if installed else None)
    assert main(["--steps", "2", "--out", str(tmp_path)]) == 0
    assert shown == [(2, 0)] * installed


def test_the_whole_border_says_what_the_ground_is(tmp_path):
    a = np.full((28, 28), 200, np.uint8)
    a[-1], a[:, 0], a[0, :4] = 0, 0, 0  # 61 of its 112 pixels are dark, none of them in the second row but one
    Image.fromarray(a).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png"), a / np.float32(255))


@pytest.mark.parametrize("wrong", [{"activation": "loud"}, {"dtype": "float16"}, {"data": 3}])
def test_settings_that_no_run_could_have_are_refused(wrong, trained, tmp_path, capsys):
    settings = json.loads((trained / "run.json").read_text()) | wrong
    nn.save_params(tmp_path / "params.npz", nn.load_params(trained / "params.npz"))
    (tmp_path / "run.json").write_text(json.dumps(settings))
    assert main(["predict", str(tmp_path / "params.npz"), "x.png"]) == 2
    assert "holds no settings of a run" in capsys.readouterr().err


def test_predict_wants_the_activation(trained, digits, tmp_path, capsys):
    Image.fromarray(digits[1]).save(tmp_path / "1.png")
    nn.save_params(tmp_path / "params.npz", nn.load_params(trained / "params.npz"))
    command = ["predict", str(tmp_path / "params.npz"), str(tmp_path / "1.png")]
    assert main(command) == 2
    assert "the parameters do not say the activation" in capsys.readouterr().err
    assert main([*command, "--activation", "relu"]) == 0
    assert "1.png: 1 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture at all", "cannot identify image file"),
        (b"", "cannot identify image file"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]), "wanted images"),
        (bytes([0, 0, 9, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7]), "int8 (1, 1, 1), wanted images: uint8 (N, H, W)"),
        (bytes([0, 0, 11, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7, 7]), "int16 (1, 1, 1), wanted images: uint8"),
        (
            bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 1, 1, 1]),
            "affine: x (1, 4), W (784, 50), b (50,); wanted x (..., D), W (D, M), b (M); D is 4 and 784",
        ),
    ],
)
def test_predict_refuses_other_files(content, message, trained, tmp_path, capsys):
    (tmp_path / "file").write_bytes(content)
    assert main(["predict", str(trained / "params.npz"), str(tmp_path / "file")]) == 2
    assert message in capsys.readouterr().err


def test_predict_refuses_an_empty_picture(trained, tmp_path, capsys):
    Image.new("L", (50, 50), 200).save(tmp_path / "blank.png")
    assert main(["predict", str(trained / "params.npz"), str(tmp_path / "blank.png")]) == 2
    assert "nothing stands out" in capsys.readouterr().err
