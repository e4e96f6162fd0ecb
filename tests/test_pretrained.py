"""Weights that come with the package: what they reach on the test images, in float32 and in half precision."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import pretrained
from nnfunc.pretrained import __main__ as recipes

FOLDER = Path(pretrained.__file__).parent
LEAST = {"three_layer": 0.93, "simple_convnet": 0.985, "deep_convnet": 0.993}
LAYERS = {"three_layer": 5, "simple_convnet": 7, "deep_convnet": 21}


def images(name, mnist):
    _, (x, t) = mnist
    return (x if name == "three_layer" else x.reshape(-1, 1, 28, 28)), t


def test_every_net_is_there_and_has_its_recipe():
    assert LEAST.keys() == pretrained._NETS.keys() == recipes.RECIPES.keys()
    assert {file.name for file in FOLDER.glob("*.npz")} == {f"{name}.npz" for name in LEAST}


@pytest.mark.parametrize("name", LEAST)
def test_a_file_is_small_and_in_half_precision(name):
    assert (FOLDER / f"{name}.npz").stat().st_size < 1_000_000
    stored = nn.load_params(FOLDER / f"{name}.npz")
    assert {p.dtype for p in stored.values()} == {np.dtype(np.float16)}
    started = recipes.RECIPES[name][0]()
    assert {key: p.shape for key, p in stored.items()} == {key: p.shape for key, p in started.items()}


@pytest.mark.parametrize("name", LEAST)
def test_what_is_loaded_is_float32_and_belongs_to_the_caller(name):
    net, params, stats = nn.load_pretrained(name)
    assert stats == {}
    assert len(net.expand(params)) == LAYERS[name]
    assert {p.dtype for p in params.values()} == {np.dtype(np.float32)}
    stored = nn.load_params(FOLDER / f"{name}.npz")
    for key, p in params.items():
        assert np.array_equal(p, stored[key])
        p[:] = 0
    assert nn.load_pretrained(name)[1]["W1"].any()


@pytest.mark.rows("S3-13")
@pytest.mark.parametrize("name", LEAST)
def test_accuracy_on_the_test_images(name, mnist):
    net, params, stats = nn.load_pretrained(name)
    x, t = images(name, mnist)
    assert nn.accuracy(nn.predict(net, params, x, stats, batch_size=100), t) >= LEAST[name]


@pytest.mark.rows("S3-14")
@pytest.mark.parametrize(("name", "N"), [("three_layer", 10_000), ("simple_convnet", 1000), ("deep_convnet", 200)])
def test_batches_change_nothing(name, N, mnist):
    net, params, stats = nn.load_pretrained(name)
    x, t = images(name, mnist)
    at_once = nn.predict(net, params, x[:N], stats)
    for size in (100, 77):
        in_batches = nn.predict(net, params, x[:N], stats, batch_size=size)
        np.testing.assert_allclose(in_batches, at_once, rtol=1e-4, atol=1e-4)
        assert nn.accuracy(in_batches, t[:N]) == nn.accuracy(at_once, t[:N])


@pytest.mark.parametrize("name", ["four_layer", "", "three_layer.npz", None, ["deep_convnet"]])
def test_other_names_are_refused(name):
    message = f"load_pretrained: name is {name!r}, wanted one of three_layer, simple_convnet, deep_convnet"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.load_pretrained(name)


# Half precision: the sources' half-float script rounds the numbers and then computes in float64 as before


@pytest.mark.parametrize(("name", "N"), [("three_layer", 10_000), ("simple_convnet", 400), ("deep_convnet", 100)])
def test_half_precision_all_the_way(name, N, mnist):
    """NumPy has no fast float16 on most machines, so the larger nets are tried on fewer images."""
    net, params, stats = nn.load_pretrained(name)
    x, t = images(name, mnist)
    x, t = x[:N], t[:N]
    half = {key: p.astype(np.float16) for key, p in params.items()}
    narrow = nn.predict(net, half, x.astype(np.float16), stats, batch_size=100)
    wide = nn.predict(net, params, x, stats, batch_size=100)
    assert narrow.dtype == np.float16
    assert np.isfinite(narrow).all()
    assert abs(float(nn.accuracy(narrow, t)) - float(nn.accuracy(wide, t))) <= 0.001
    np.testing.assert_allclose(narrow, wide, rtol=0.01, atol=0.05)
    assert not np.array_equal(narrow, wide), "it is not float32 in disguise"
    assert 2 * sum(p.nbytes for p in half.values()) == sum(p.nbytes for p in params.values())
    assert 2 * x.astype(np.float16).nbytes == x.nbytes


@pytest.mark.parametrize("name", LEAST)
def test_no_layer_leaves_half_precision(name, mnist):
    net, params, stats = nn.load_pretrained(name)
    x = images(name, mnist)[0][:2].astype(np.float16)
    half = {key: p.astype(np.float16) for key, p in params.items()}
    for layer in net.expand(half):
        x, _, _ = layer(half, x, nn.layers.Mode(stats, grad=False))
        assert x.dtype == np.float16, layer.__name__


def test_half_the_numbers_alone_widen_to_what_they_meet(mnist):
    """float16 weights and float32 images give float32, and no byte of the work is saved."""
    net, params, stats = nn.load_pretrained("three_layer")
    half = {key: p.astype(np.float16) for key, p in params.items()}
    assert nn.predict(net, half, mnist[1][0][:5], stats).dtype == np.float32


# The recipes


def test_the_recipe_runs(tmp_path, monkeypatch, capsys):
    """One round of 600 steps, after which the recipe tests its net for the first time."""
    init, _, augmented = recipes.RECIPES["three_layer"]
    monkeypatch.setitem(recipes.RECIPES, "three_layer", (init, 600, augmented))
    recipes.main(["three_layer", "--out", str(tmp_path / "new")])
    step, accuracy = capsys.readouterr().out.removeprefix("three_layer: step ").split(",")[::2]
    assert step == "600"
    assert float(accuracy.split()[-1]) > 0.85
    params = nn.load_params(tmp_path / "new" / "three_layer.npz")
    assert {p.dtype for p in params.values()} == {np.dtype(np.float16)}
    _, (x, t) = nn.load_mnist()
    learnt = nn.accuracy(nn.predict(nn.mlp(nn.layers.sigmoid), params, x[:1000]), t[:1000])
    assert float(accuracy.split()[-1]) == pytest.approx(float(learnt), abs=0.05)


@pytest.mark.parametrize("name", ["simple_convnet", "deep_convnet"])
def test_the_recipes_of_the_convnets_run(name, tmp_path, monkeypatch):
    init, _, augmented = recipes.RECIPES[name]
    seen = []

    def record(batches):
        for x, t in varied(batches):
            seen.append(x)
            yield x, t

    varied = recipes.varied
    monkeypatch.setattr(recipes, "varied", record)
    monkeypatch.setitem(recipes.RECIPES, name, (init, 2, augmented))
    recipes.main([name, "--out", str(tmp_path)])
    assert len(seen) == (2 if name == "deep_convnet" else 0), "the deep net learns from images that are varied"
    learnt, started = nn.load_params(tmp_path / f"{name}.npz"), init()
    assert learnt.keys() == started.keys()
    assert all((learnt[key] != p.astype(np.float16)).any() for key, p in started.items())


def test_batches_are_varied_each_by_its_number(mnist):
    x, t = mnist[0][0][:20].reshape(-1, 1, 28, 28), mnist[0][1][:20]
    first, second = recipes.varied([(x, t), (x, t)])
    again = next(recipes.varied(iter([(x, t)])))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], second[0])
    assert (first[0].shape, first[0].dtype) == (x.shape, np.float32)
    assert first[1] is second[1] is t
    assert abs(first[0].sum() / x.sum() - 1) < 0.02
    # A turn of 10 degrees and 2 pixels: the ink stays near
    h = np.arange(28.0)
    centre, moved = ((a.sum(axis=(1, 3)) @ h) / a.sum(axis=(1, 2, 3)) for a in (x, first[0]))
    assert 0.5 < abs(moved - centre).max() < 4


def test_a_recipe_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        recipes.main(["three_layers"])
    assert "there is no recipe for three_layers" in capsys.readouterr().err


def test_the_command_helps():
    command = [sys.executable, "-m", "nnfunc.pretrained", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "usage: python -m nnfunc.pretrained" in shown
    assert all(name in shown for name in LEAST)
