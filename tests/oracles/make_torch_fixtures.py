"""Values and gradients as PyTorch computes them, in float64.

``python tests/oracles/make_torch_fixtures.py`` writes them to ops.npz and networks.npz beside this
file, with which the tests compare; where PyTorch is installed the tests also ask it afresh.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


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
    save("networks.npz", networks())
