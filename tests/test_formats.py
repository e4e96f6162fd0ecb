"""The recipes of docs/guides/in-and-out.md: each section's code is run as it stands, and more is asked of it."""

import contextlib
import io
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import layers, ops

PAGE = (Path(__file__).parents[1] / "docs" / "guides" / "in-and-out.md").read_text("utf-8")
OPENING, *SECTIONS = re.split(r"(?m)^(?=## )", PAGE)
BLOCKS = {
    section.split("\n", 1)[0].removeprefix("## "): [
        dedent(code) for _, code in re.findall(r"(?ms)^( *)```python\n(.*?)^\1```$", section)
    ]
    for section in SECTIONS
}
NEEDED = {"PyTorch": ["torch"], "safetensors": ["safetensors"], "ONNX": ["onnx", "onnxruntime"], "optax": ["optax"]}


@cache
def printed_and_bound(title):
    """What a section's code prints, and the names that it binds, after the page's opening lines."""
    bound = dict(re.findall(r"(?m)^>>> import (\w+) as (\w+)$", OPENING))
    bound = {short: __import__(package) for package, short in bound.items()} | {"layers": layers, "ops": ops}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec("\n".join(BLOCKS[title]), bound)
    return printed.getvalue(), bound


def names(title):
    for package in NEEDED[title]:
        pytest.importorskip(package, reason=f"{package} comes with the extra `formats`")
    return printed_and_bound(title)[1]


def test_all_code_of_the_page_is_run():
    assert {title for title, blocks in BLOCKS.items() if blocks} == NEEDED.keys()
    assert PAGE.count("```python") == sum(map(len, BLOCKS.values()))


@pytest.mark.parametrize("title", NEEDED)
def test_the_code_of_each_section_prints_what_stands_behind_it(title):
    names(title)
    wanted = re.findall(r"(?m)^ *print\(.*\) +# (.*)$", "\n".join(BLOCKS[title]))
    assert wanted
    assert printed_and_bound(title)[0].splitlines() == wanted


def test_the_code_fits_on_a_phone():
    assert [line for blocks in BLOCKS.values() for line in "".join(blocks).splitlines() if len(line) > 76] == []


# PyTorch


def torchs(module, x):
    import torch

    with torch.no_grad():
        return module.double().eval()(torch.tensor(x)).numpy()


@pytest.mark.parametrize("which", ["mlp", "simple_convnet", "deep_convnet"])
def test_scores_in_float64_are_those_of_the_same_module(which, rng):
    page = names("PyTorch")
    if which == "mlp":
        module, x, net = page["other"], rng.random((20, 784)), nn.mlp(dropout=0.2)
        weights = page["numbered"]((0, 4, 8), page["WEIGHTS"]) | page["numbered"]((1, 5), page["NORM"])
    else:
        module, places = page["PLACES"][which]
        x, net, weights = rng.random((5, 1, 28, 28)), getattr(nn, which)(), page["numbered"](places, page["WEIGHTS"])
    running = page["running"] if which == "mlp" else {}
    wanted = torchs(module := deepcopy(module), x)
    params, stats = (page["from_torch"](module.state_dict(), listed) for listed in (weights, running))
    assert {a.dtype for a in params.values()} == {np.dtype(np.float64)}
    np.testing.assert_allclose(nn.predict(net, params, x, stats), wanted, rtol=0, atol=1e-12)
    moved = {name: a + 0.01 for name, a in params.items()}
    module.load_state_dict(page["to_torch"](moved | stats, weights | running))
    np.testing.assert_allclose(nn.predict(net, moved, x, stats), torchs(module, x), rtol=0, atol=1e-12)


def test_what_comes_in_and_goes_out_is_a_copy_that_safetensors_can_write():
    page = names("PyTorch")
    module = page["Sequential"](page["Linear"](3, 2))
    listed = page["numbered"]((0,), page["WEIGHTS"])
    params = page["from_torch"](module.state_dict(), listed)
    before = {name: a.copy() for name, a in params.items()}
    module.load_state_dict({name: a + 1 for name, a in module.state_dict().items()})
    np.testing.assert_equal(params, before)
    assert all(a.flags.c_contiguous and a.flags.owndata for a in params.values())
    out = page["to_torch"](params, listed)
    out["0.weight"] += 1
    out["0.bias"] += 1
    np.testing.assert_equal(params, before)


def test_a_list_with_a_name_too_few_or_too_many_does_not_pass():
    page = names("PyTorch")
    params, listed = nn.init_mlp(0, (4, 3, 2)), page["numbered"]((0, 4), page["WEIGHTS"])
    module = page["Sequential"](page["Linear"](4, 3), page["ReLU"](), page["Linear"](3, 2))
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*2\.weight.*Unexpected key.*4\.weight"):
        module.load_state_dict(page["to_torch"](params, listed))


@pytest.mark.parametrize("shape", [(10, 3), (4, 3, 2, 5)], ids=["features", "channels"])
def test_torchs_running_variance_is_the_unbiased_one(shape, rng):
    names("PyTorch")
    import torch

    theirs = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(3, momentum=0.1).double()
    params = nn.init_batch_norm(1, 3, dtype=np.float64)
    stats, layer, steps = nn.init_stats(params), layers.batch_norm(1, momentum=0.9), 5
    for i in range(steps):
        x = rng.standard_normal(shape) * (i + 1) + i
        y, _, stats = layer(params, x, layers.Mode(stats, key=(0, i)))
        np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), rtol=0, atol=1e-12)
    N, rest = np.prod(shape) // 3, 0.9**steps
    np.testing.assert_allclose(stats["mean1"], theirs.running_mean.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose((stats["var1"] - rest) * N / (N - 1), theirs.running_var.numpy() - rest, rtol=1e-12)


# safetensors


@pytest.mark.parametrize("lying", [lambda W: W.T, lambda W: W[:, ::2], np.asfortranarray], ids=["T", "slice", "F"])
def test_arrays_that_do_not_lie_in_a_row_are_wrong_in_one_version_and_right_by_the_cure(lying):
    names("safetensors")
    import safetensors
    from safetensors.numpy import load, save

    W = lying(np.arange(12, dtype=np.float32).reshape(3, 4))
    if safetensors.__version__ == "0.8.0":
        assert not np.array_equal(load(save({"W": W}))["W"], W)
    np.testing.assert_array_equal(load(save({"W": np.ascontiguousarray(W)}))["W"], W)


def test_torchs_half_of_safetensors_refuses_such_an_array():
    names("safetensors"), names("PyTorch")
    import torch
    from safetensors.torch import save

    with pytest.raises(ValueError, match="contiguous"):
        save({"W": torch.ones(2, 3).T})


def test_a_net_comes_back_from_its_file_however_its_arrays_lie(tmp_path, rng):
    page = names("safetensors")
    params = {name: np.asfortranarray(p) for name, p in nn.init_mlp(0, (4, 3, 3, 2), batch_norm=True).items()}
    params["b3"] = np.arange(4.0)[::2]
    stats = {name: rng.random(3) for name in nn.init_stats(params)}
    page["save_net"](tmp_path / "a", params, stats, {"dropout": 0.5})
    found = page["load_net"](tmp_path / "a")
    for got, wanted in zip(found, (params, stats, {"dropout": 0.5}), strict=True):
        np.testing.assert_equal(got, wanted)
    assert found[0]["b3"].dtype == np.float64
    assert found[0]["W1"].dtype == np.float32


def test_metadata_is_text_on_both_sides():
    names("safetensors")
    from safetensors.numpy import save

    with pytest.raises(TypeError):
        save({"W": np.ones(2)}, metadata={"dropout": 0.5})


def test_pytorch_reads_what_numpy_wrote():
    names("safetensors"), names("PyTorch")
    from safetensors.numpy import save
    from safetensors.torch import load

    params = nn.init_mlp(0, (4, 3, 2))
    read = {name: a.numpy() for name, a in load(save(params)).items()}
    np.testing.assert_equal(read, params)


# ONNX

IMAGES = layers.serial(
    layers.serial(layers.conv2d(1, stride=(1, 2), pad=(2, 1)), layers.batch_norm(1, eps=0.1), layers.tanh),
    layers.max_pool2d((2, 3), stride=(2, 1), pad=(0, 1)),
    layers.dropout(0.5),
    layers.serial(layers.serial(layers.avg_pool2d(3, stride=2, pad=1), layers.flatten), layers.affine(2)),
)


def test_every_kind_of_layer_computes_the_same_in_onnxruntime(rng):
    page = names("ONNX")
    x = rng.standard_normal((7, 2, 9, 11)).astype(np.float32)
    params = nn.init_conv2d(0, 1, 4, 2, (3, 2)) | nn.init_batch_norm(1, 4) | {"b1": rng.random(4, np.float32)}
    params |= {"gamma1": rng.random(4, np.float32), "beta1": rng.random(4, np.float32)}
    stats = {"mean1": rng.random(4, np.float32), "var1": rng.random(4, np.float32)}
    seen = layers.serial(*IMAGES.expand(params)[:3], layers.avg_pool2d(3, stride=2, pad=1), layers.flatten)
    params |= nn.init_affine(0, 2, nn.predict(seen, params, x, stats).shape[1], 3)
    params["W2"] = np.asfortranarray(params["W2"])
    model = page["to_onnx"](IMAGES, params, stats, x.shape[1:])
    wanted = nn.predict(IMAGES, params, x, stats)
    np.testing.assert_allclose(page["run"](model, x), wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(page["run"](model, x[:1]), wanted[:1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", [layers.relu, layers.sigmoid, layers.tanh], ids=lambda f: f.__name__)
def test_each_activation_has_its_word(activation, rng):
    page, x = names("ONNX"), rng.standard_normal((3, 4)).astype(np.float32)
    net, params = nn.mlp(activation), nn.init_mlp(0, (4, 5, 2))
    model = page["to_onnx"](net, params, {}, (4,))
    assert [node.op_type for node in model.graph.node] == ["Gemm", activation.__name__.title(), "Gemm"]
    np.testing.assert_allclose(page["run"](model, x), nn.predict(net, params, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [layers.fan_out(layers.relu, layers.relu), layers.join(ops.add), lambda params, x, mode: None],
    ids=["a branch", "two inputs", "by hand"],
)
def test_what_the_table_does_not_know_stops_with_an_error(layer):
    with pytest.raises((KeyError, AttributeError)):
        names("ONNX")["to_onnx"](layers.serial(layer), {}, {}, (4,))


# optax


def test_an_optax_optimizer_does_as_it_does_by_hand(rng):
    page = names("optax")
    import optax

    transform = optax.chain(optax.add_decayed_weights(0.1), optax.trace(0.9), optax.scale(-0.1))
    optimizer = page["from_optax"](transform)
    params = theirs = nn.init_mlp(0, (3, 4, 2))
    opt, memory = optimizer.init(params), transform.init(params)
    for _ in range(5):
        grads = {name: rng.standard_normal(p.shape).astype(np.float32) for name, p in params.items()}
        params, opt = optimizer.step(params, grads, opt)
        updates, memory = transform.update(grads, memory, theirs)
        theirs = optax.apply_updates(theirs, updates)
        np.testing.assert_equal(page["listed"]((params, opt))[0], page["listed"]((theirs, memory))[0])


PAIRS = {
    "sgd": (lambda: nn.sgd(0.1), lambda optax: optax.sgd(0.1)),
    "momentum": (lambda: nn.momentum(0.1, 0.8), lambda optax: optax.sgd(0.1, momentum=0.8)),
    "nesterov": (lambda: nn.nesterov(0.1, 0.8), lambda optax: optax.sgd(0.1, momentum=0.8, nesterov=True)),
    "adam": (lambda: nn.adam(0.01), lambda optax: optax.adam(0.01)),
    "by a schedule": (lambda: nn.adam(nn.cosine(0.01, 80)), lambda optax: optax.adam(nn.cosine(0.01, 80))),
}


@pytest.mark.parametrize("which", PAIRS)
def test_the_same_rule_in_both_collections_takes_the_same_steps(which, rng):
    page = names("optax")
    import jax
    import optax

    with jax.enable_x64(True):
        ours, theirs = PAIRS[which][0](), page["from_optax"](PAIRS[which][1](optax))
        a = b = {"W1": rng.standard_normal((3, 2))}
        opt, memory = ours.init(a), theirs.init(b)
        for _ in range(100):
            grads = {"W1": rng.standard_normal((3, 2))}
            (a, opt), (b, memory) = ours.step(a, grads, opt), theirs.step(b, grads, memory)
        assert b["W1"].dtype == np.float64
        np.testing.assert_allclose(a["W1"], b["W1"], rtol=0, atol=1e-12)


def test_a_file_of_another_optimizer_is_refused(tmp_path):
    page = names("optax")
    import optax

    params, path = nn.init_mlp(0, (3, 4, 2)), tmp_path / "a.npz"
    adam, sgd = (nn.init_state(page["from_optax"](make(0.1)), params) for make in (optax.adam, optax.sgd))
    page["save"](path, adam._replace(seed=5, step=7))
    again = page["load"](path, adam)
    assert (again.seed, again.step) == (5, 7)
    for start in (sgd, nn.init_state(nn.adam(0.1), params)):
        with pytest.raises(ValueError, match="another optimizer or network"):
            page["load"](path, start)
