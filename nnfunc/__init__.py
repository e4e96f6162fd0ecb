"""nnfunc: neural networks as pure functions on NumPy arrays.

Values, gradients, networks, initializers, optimizers, training, files and data stand at the top,
``nnfunc.relu``; the ops and layers of the same names are ``nnfunc.ops.relu`` and ``nnfunc.layers.relu``.
"""

from . import (
    conv,
    datasets,
    draw,
    functions,
    gradient,
    initializers,
    layers,
    networks,
    ops,
    optimizers,
    params,
    plots,
    pretrained,
    training,
)
from .datasets import *
from .functions import *
from .gradient import *
from .initializers import *
from .networks import *
from .optimizers import *
from .params import *
from .pretrained import *
from .training import *

__all__ = [
    "conv",
    "draw",
    "layers",
    "ops",
    "plots",
    *datasets.__all__,
    *functions.__all__,
    *gradient.__all__,
    *initializers.__all__,
    *networks.__all__,
    *optimizers.__all__,
    *params.__all__,
    *pretrained.__all__,
    *training.__all__,
]
