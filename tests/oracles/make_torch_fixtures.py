"""Values and gradients as PyTorch computes them, in float64.

``python tests/oracles/make_torch_fixtures.py`` writes them to ops.npz, conv.npz, networks.npz and
deep.npz beside this file, with which the tests compare; where PyTorch is installed the tests also ask
it afresh.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent

# What an op is told beside its arrays
SETTINGS = {
    "batch_norm: another eps": {"eps": 0.1},
    "dropout": {"rate": 0.4, "key": (1, 2)},
    "dropout: images": {"rate": 0.75, "key": (0, 0, 3)},
}
# Case: the shapes of the arrays, and the settings
CONVOLUTIONS = {
    "conv2d": ([(2, 3, 7, 6), (4, 3, 3, 3), (4,)], {}),
    "conv2d: more filters than twice the channels": ([(2, 1, 6, 5), (5, 1, 3, 3), (5,)], {"pad": 1}),
    "conv2d: stride and pad": ([(3, 2, 7, 8), (3, 2, 3, 2), (3,)], {"stride": 2, "pad": 1}),
    "conv2d: pairs": ([(2, 2, 8, 9), (3, 2, 3, 4), (3,)], {"stride": (2, 3), "pad": (1, 2)}),
    "conv2d: one pair": ([(2, 2, 6, 5), (2, 2, 2, 3), (2,)], {"stride": (1, 2)}),
    "conv2d: pixels left over": ([(1, 2, 8, 7), (2, 2, 3, 3), (2,)], {"stride": 3}),
    "conv2d: one place": ([(1, 1, 5, 5), (2, 1, 5, 5), (2,)], {}),
    "conv2d: one pixel": ([(2, 3, 4, 3), (2, 3, 1, 1), (2,)], {}),
    "conv2d: more padding than filter": ([(1, 2, 3, 3), (2, 2, 2, 2), (2,)], {"pad": (3, 2)}),
    "conv2d: a batch in chunks": ([(23, 1, 4, 4), (2, 1, 2, 2), (2,)], {}),
    "max_pool2d": ([(2, 2, 6, 4)], {"size": 2}),
    "max_pool2d: pixels left over": ([(1, 2, 7, 5)], {"size": 2}),
    "max_pool2d: overlap and pad": ([(2, 3, 7, 6)], {"size": 3, "stride": 2, "pad": 1}),
    "max_pool2d: pairs": ([(2, 2, 7, 8)], {"size": (3, 2), "stride": (2, 1), "pad": (1, 0)}),
    "max_pool2d: ties": ([(3, 2, 6, 6)], {"size": 3, "stride": 1, "pad": 1}),
    "avg_pool2d": ([(2, 2, 6, 4)], {"size": 2}),
    "avg_pool2d: pixels left over": ([(1, 2, 7, 5)], {"size": 2}),
    "avg_pool2d: overlap and pad": ([(2, 3, 7, 6)], {"size": 3, "stride": 2, "pad": 1}),
    "avg_pool2d: pairs": ([(2, 2, 7, 8)], {"size": (3, 2), "stride": (2, 1), "pad": (1, 0)}),
}


def ops(seed=0):
    """Return {case: arrays}: inputs "x0", "x1", ..., labels "t", "dy", the output "y" and gradients "d0", ..."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    one_hot = np.eye(5)[[4, 0, 2, 2]]
    probabilities = rng.dirichlet(np.ones(5), 4)
    unit = rng.random((4, 5))

    cases = {
        "add": (torch.add, [(3, 4), (3, 4)]),
        "mul": (torch.mul, [(3, 4), (3, 4)]),
        "identity": (torch.clone, [(3, 4)]),
        "affine": (lambda x, W, b: F.linear(x, W.T, b), [(6, 4), (4, 3), (3,)]),
        "affine: one sample": (lambda x, W, b: F.linear(x, W.T, b), [(4,), (4, 3), (3,)]),
        "affine: more axes": (lambda x, W, b: F.linear(x, W.T, b), [(2, 3, 4), (4, 5), (5,)]),
        "sigmoid": (torch.sigmoid, [(4, 5)]),
        "tanh": (torch.tanh, [(4, 5)]),
        "relu": (torch.relu, [(4, 5)]),
        "softmax": (lambda x: F.softmax(x, -1), [(4, 5)]),
        "softmax: more axes": (lambda x: F.softmax(x, -1), [(2, 3, 4)]),
        "log_softmax": (lambda x: F.log_softmax(x, -1), [(4, 5)]),
        "flatten": (lambda x: torch.flatten(x, 1), [(3, 2, 2, 2)]),
        "batch_norm": (normalise, [(6, 3), (3,), (3,)]),
        "batch_norm: another eps": (lambda *a: normalise(*a, eps=0.1), [(2, 3), (3,), (3,)]),
        "batch_norm: images": (normalise, [(3, 2, 4, 5), (2,), (2,)]),
        "batch_norm: one image": (normalise, [(1, 2, 4, 3), (2,), (2,)]),
        "dropout": (lambda x: drop(x, **SETTINGS["dropout"]), [(8, 5)]),
        "dropout: images": (lambda x: drop(x, **SETTINGS["dropout: images"]), [(2, 3, 4, 4)]),
        "softmax_cross_entropy": (F.cross_entropy, [(4, 5)], np.array([4, 0, 2, 2])),
        "softmax_cross_entropy: one-hot": (F.cross_entropy, [(4, 5)], one_hot),
        "softmax_cross_entropy: probabilities": (F.cross_entropy, [(4, 5)], probabilities),
        "softmax_cross_entropy: scores of hundreds": (F.cross_entropy, [(4, 5)], np.array([4, 0, 2, 2])),
        "sigmoid_cross_entropy": (F.binary_cross_entropy_with_logits, [(4, 5)], unit),
        "sigmoid_cross_entropy: scores of hundreds": (F.binary_cross_entropy_with_logits, [(4, 5)], unit),
        "sum_squared_error": (lambda y, t: F.mse_loss(y, t, reduction="sum") / 2, [(4, 5)], unit),
        "mean_squared_error": (F.mse_loss, [(4, 5)], unit),
    }
    found = {}
    for case, spec in cases.items():
        f, shapes, t = (*spec, None)[:3]
        scale = 300 if "hundreds" in case else 1
        x = [torch.tensor(scale * single(rng.standard_normal(shape)), requires_grad=True) for shape in shapes]
        y = f(*x) if t is None else f(*x, torch.tensor(t if t.ndim == 1 else single(t)))
        dy = torch.tensor(single(rng.standard_normal(tuple(y.shape))))
        grads = torch.autograd.grad(y, x, dy)
        found[case] = {f"x{i}": a.detach().numpy() for i, a in enumerate(x)}
        found[case] |= {} if t is None else {"t": t if t.ndim == 1 else single(t)}
        found[case] |= {"dy": dy.numpy(), "y": y.detach().numpy()}
        found[case] |= {f"d{i}": g.numpy() for i, g in enumerate(grads)}
    return found


def networks(seed=0):
    """Return {"activation loss": arrays}: W1, b1, ..., "x", "t", "scores", "loss" and the gradients "dW1", ..."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    losses = {
        "softmax_cross_entropy": F.cross_entropy,
        "sigmoid_cross_entropy": F.binary_cross_entropy_with_logits,
        "sum_squared_error": lambda y, t: F.mse_loss(y, t, reduction="sum") / 2,
        "mean_squared_error": F.mse_loss,
    }
    found = {}
    for activation in ("sigmoid", "tanh", "relu"):
        for loss, f in losses.items():
            sizes = (4, 6, 5, 3)
            params = {}
            for i in (1, 2, 3):
                params[f"W{i}"] = torch.tensor(single(rng.standard_normal(sizes[i - 1 : i + 1])), requires_grad=True)
                params[f"b{i}"] = torch.tensor(single(rng.standard_normal(sizes[i])), requires_grad=True)
            x = single(rng.standard_normal((8, 4)))
            t = rng.integers(3, size=8) if loss == "softmax_cross_entropy" else single(rng.random((8, 3)))
            z = torch.tensor(x)
            for i in (1, 2, 3):
                z = F.linear(z if i == 1 else getattr(torch, activation)(z), params[f"W{i}"].T, params[f"b{i}"])
            value = f(z, torch.tensor(t))
            grads = torch.autograd.grad(value, list(params.values()))
            found[f"{activation} {loss}"] = {
                **{name: p.detach().numpy() for name, p in params.items()},
                **{"x": x, "t": t, "scores": z.detach().numpy(), "loss": value.detach().numpy()},
                **{f"d{name}": g.numpy() for name, g in zip(params, grads, strict=True)},
            }
    return found


def conv(seed=0):
    """Return the same as `ops`, for the convolutions and poolings of CONVOLUTIONS."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    found = {}
    for case, (shapes, settings) in CONVOLUTIONS.items():
        f = getattr(F, case.split(":")[0])
        named = {{"size": "kernel_size", "pad": "padding"}.get(name, name): value for name, value in settings.items()}
        draw = (lambda shape: rng.integers(3, size=shape)) if "ties" in case else rng.standard_normal
        x = [torch.tensor(single(draw(shape)), requires_grad=True) for shape in shapes]
        y = f(*x, **named)
        dy = torch.tensor(single(rng.standard_normal(tuple(y.shape))))
        found[case] = {f"x{i}": a.detach().numpy() for i, a in enumerate(x)} | {"dy": dy.numpy()}
        found[case] |= {"y": y.detach().numpy()}
        found[case] |= {f"d{i}": g.numpy() for i, g in enumerate(torch.autograd.grad(y, x, dy))}
    return found


def deep(seed=0):
    """Return {case: arrays} for five layers with batch norm and for both convnets.

    "x", "t", the parameters, "mean1" ..., then "scores", "loss", gradients "dW1" ..., statistics "new mean1" ...
    """
    rng = np.random.default_rng(seed)
    found = {}
    for case in ("training", "evaluation", "training with dropout"):
        sizes, params, stats = (6, 5, 5, 5, 5, 4), {}, {}
        for i in range(1, 6):
            params |= affine_weights(rng, i, *sizes[i - 1 : i + 1])
            if i < 5:
                params |= {f"gamma{i}": 1 + 0.3 * rng.standard_normal(5), f"beta{i}": rng.standard_normal(5)}
                stats |= {f"mean{i}": rng.standard_normal(5), f"var{i}": 0.5 + rng.random(5)}
        x, t = rng.standard_normal((7, 6)), rng.integers(4, size=7)
        found[f"mlp, {case}"] = train(five_layers(case), params, stats, x, t)

    params = conv_weights(rng, 1, 3, 2, 5) | affine_weights(rng, 2, 3 * 3 * 2, 6) | affine_weights(rng, 3, 6, 4)
    x, t = rng.standard_normal((3, 2, 11, 9)), rng.integers(4, size=3)
    found["simple_convnet"] = train(simple_convnet, params, {}, x, t)

    channels, params = (1, 2, 2, 3, 3, 4, 4), {}
    for i in range(1, 7):
        params |= conv_weights(rng, i, channels[i], channels[i - 1], 3)
    params |= affine_weights(rng, 7, 4 * 2 * 2, 6) | affine_weights(rng, 8, 6, 4)
    x, t = rng.standard_normal((5, 1, 12, 12)), rng.integers(4, size=5)
    for case, key in (("training", (5, 6)), ("evaluation", None)):
        found[f"deep_convnet, {case}"] = train(lambda p, s, x, key=key: deep_convnet(p, x, key), params, {}, x, t)
    return found


def affine_weights(rng, i, inputs, outputs):
    s = np.sqrt(2 / inputs)
    return {f"W{i}": s * rng.standard_normal((inputs, outputs)), f"b{i}": rng.standard_normal(outputs)}


def conv_weights(rng, i, filters, channels, size):
    W = rng.standard_normal((filters, channels, size, size)) * np.sqrt(2 / (channels * size * size))
    return {f"W{i}": W, f"b{i}": rng.standard_normal(filters)}


def five_layers(case):
    import torch
    from torch.nn import functional as F

    def net(p, stats, z):
        new = {}
        for i in range(1, 5):
            z = F.linear(z, p[f"W{i}"].T, p[f"b{i}"])
            given = stats[f"mean{i}"], stats[f"var{i}"]
            if case == "evaluation":
                z = F.batch_norm(z, *given, p[f"gamma{i}"], p[f"beta{i}"])
            else:  # PyTorch's own running variance is Bessel's
                seen = z.mean(dim=0), z.var(dim=0, unbiased=False)
                new |= {
                    f"new {name}{i}": 0.9 * old + 0.1 * now
                    for name, old, now in zip(("mean", "var"), given, seen, strict=True)
                }
                z = normalise(z, p[f"gamma{i}"], p[f"beta{i}"])
            z = torch.relu(z)
            if case == "training with dropout":
                z = drop(z, 0.3, (5, 6, 4 * i - 1))
        return F.linear(z, p["W5"].T, p["b5"]), new

    return net


def simple_convnet(p, stats, x):
    import torch
    from torch.nn import functional as F

    z = torch.flatten(F.max_pool2d(torch.relu(F.conv2d(x, p["W1"], p["b1"])), 2), 1)
    return F.linear(torch.relu(F.linear(z, p["W2"].T, p["b2"])), p["W3"].T, p["b3"]), {}


def deep_convnet(p, z, key):
    """Compute the scores; the dropouts are the layers 18 and 20."""
    import torch
    from torch.nn import functional as F

    for i in range(1, 7):
        z = torch.relu(F.conv2d(z, p[f"W{i}"], p[f"b{i}"], padding=2 if i == 4 else 1))
        if i % 2 == 0:
            z = F.max_pool2d(z, 2)
    z = torch.relu(F.linear(torch.flatten(z, 1), p["W7"].T, p["b7"]))
    if key:
        z = drop(z, 0.5, (*key, 18))
    z = F.linear(z, p["W8"].T, p["b8"])
    return drop(z, 0.5, (*key, 20)) if key else z, {}


def train(net, params, stats, x, t):
    """Run a net there and back, on the mean cross-entropy; return what went in and what came out."""
    import torch
    from torch.nn import functional as F

    into = {name: single(a) for name, a in (params | stats | {"x": x}).items()}
    tensors = {name: torch.tensor(a, requires_grad=name in params or name == "x") for name, a in into.items()}
    scores, new = net(tensors, tensors, tensors["x"])
    loss = F.cross_entropy(scores, torch.tensor(t))
    names = ["x", *params]
    grads = torch.autograd.grad(loss, [tensors[name] for name in names])
    out = {"scores": scores, "loss": loss} | new | {f"d{name}": g for name, g in zip(names, grads, strict=True)}
    return into | {"t": t} | {name: a.detach().numpy() for name, a in out.items()}


def normalise(x, gamma, beta, eps=1e-5):
    from torch.nn import functional as F

    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def drop(x, rate, key):
    """Apply dropout with the mask that belongs to the key."""
    import torch

    rng = np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))
    mask = rng.random(tuple(x.shape), np.float32) >= np.float32(rate)
    return torch.where(torch.tensor(mask), x / (1 - rate), 0.0)


def single(a):
    """Round to float32 and go back: the tests in float32 start from the same numbers."""
    return a.astype(np.float32).astype(np.float64)


def save(name, cases):
    arrays = {f"{case}/{key}": a for case, found in cases.items() for key, a in found.items()}
    np.savez_compressed(FOLDER / name, **arrays)


def load(name):
    cases = {}
    with np.load(FOLDER / name) as archive:
        for path in archive:
            case, key = path.split("/")
            cases.setdefault(case, {})[key] = archive[path]
    return cases


if __name__ == "__main__":
    save("ops.npz", ops())
    save("conv.npz", conv())
    save("networks.npz", networks())
    save("deep.npz", deep())
