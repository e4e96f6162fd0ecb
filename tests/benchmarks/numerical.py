"""W6: the numerical gradient of every parameter, by the layers' structure and by brute force."""

from statistics import median
from time import perf_counter

import numpy as np

import nnfunc as nn

NETWORKS = {
    "784-50-10, sigmoid": ((784, 50, 10), nn.layers.sigmoid, 100),
    "784-50-10, relu": ((784, 50, 10), nn.layers.relu, 100),
    "784-100x4-10, relu": ((784, *[100] * 4, 10), nn.layers.relu, 128),
}
SAMPLE, CLOSE = 50, 2e-11


def measure(name, data, rounds):
    """Seconds of both ways. The brute force is timed on `SAMPLE` entries of each weight matrix, and scaled up."""
    sizes, activation, batch = NETWORKS[name]
    params, net = nn.init_mlp(0, sizes, dtype=np.float64), nn.mlp(activation)
    x, t = data[0][:batch].astype(np.float64), data[1][:batch]
    structured = nn.numerical_value_and_grad(net, nn.ops.softmax_cross_entropy)
    some = [*entries(params)]
    fast, slow, apart = [], [], 0.0
    for _ in range(rounds):
        start = perf_counter()
        grads = structured(params, x, t)[1]
        middle = perf_counter()
        sampled = brute_force(net, params, x, t, some)
        slow.append((perf_counter() - middle) / len(some))
        fast.append(middle - start)
        apart = max(apart, *(abs(grads[name][i] - g) for (name, i), g in zip(some, sampled, strict=True)))
    if not apart <= CLOSE:
        raise SystemExit(f"W6, {name}: the two ways differ by {apart:.1e}")
    count = nn.count_params(params)
    return {
        "network": name,
        "parameters": count,
        "sampled": len(some),
        "structured": median(fast),
        "brute force": count * median(slow),
        "apart": float(apart),
    }


def entries(params):
    """Names and indices of a sample of each weight matrix."""
    rng = np.random.default_rng(0)
    for name, W in params.items():
        if name[0] == "W":
            rows, columns = rng.integers(len(W), size=SAMPLE), rng.integers(W.shape[1], size=SAMPLE)
            yield from ((name, (int(i), int(j))) for i, j in zip(rows, columns, strict=True))


def brute_force(net, params, x, t, some):
    """`numerical_gradient` of a few entries, each put into its place in a private copy of the parameters."""
    private = {name: a.copy() for name, a in params.items()}

    def loss(values):
        for (name, i), value in zip(some, values, strict=True):
            private[name][i] = value
        return nn.ops.softmax_cross_entropy(nn.predict(net, private, x), t)[0]

    return nn.numerical_gradient(loss, [params[name][i] for name, i in some])
