"""Weights that this library trained on MNIST, small enough to come with it. Chapters 3, 7 and 8.

``python -m nnfunc.pretrained`` trains them again.
"""

from pathlib import Path

import numpy as np

from .. import layers
from ..forms import Layer, Params
from ..networks import deep_convnet, mlp, simple_convnet
from ..params import load_params

__all__ = ["load_pretrained"]

_NETS = {"three_layer": lambda: mlp(layers.sigmoid), "simple_convnet": simple_convnet, "deep_convnet": deep_convnet}


def load_pretrained(name: str) -> tuple[Layer, Params, Params]:
    """Load a network that has learnt MNIST already.

    Parameters
    ----------
    name : {'three_layer', 'simple_convnet', 'deep_convnet'}
        784-50-100-10 with sigmoid, which takes rows (N, 784); the two others take images (N, 1, 28, 28).

    Returns
    -------
    net : layer
        The network.
    params : dict of arrays
        Its parameters, float32. The files hold them in float16.
    stats : dict of arrays
        Its running statistics: none.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> import nnfunc as nn
    >>> net, params, stats = nn.load_pretrained("three_layer")
    >>> _, (x, t) = nn.load_mnist()
    >>> bool(nn.accuracy(nn.predict(net, params, x, stats), t) > 0.93)
    True
    """
    if name not in [*_NETS]:
        raise ValueError(f"load_pretrained: name is {name!r}, wanted one of {', '.join(_NETS)}")
    params = load_params(Path(__file__).parent / f"{name}.npz")
    return _NETS[name](), {name: p.astype(np.float32) for name, p in params.items()}, {}
