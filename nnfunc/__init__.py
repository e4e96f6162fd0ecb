"""nnfunc: neural networks as pure functions on NumPy arrays.

Values, gradients, networks, initializers, optimizers, training, files and data stand at the top,
``nnfunc.relu``; the ops and layers of the same names are ``nnfunc.ops.relu`` and ``nnfunc.layers.relu``.
"""

import os as _os
import signal as _signal
import sys as _sys

if _os.path.basename("".join(_sys.argv[:1])) in ("nnfunc", "-m" if "nnfunc" in _sys.orig_argv else "nnfunc"):  # noqa: SIM102
    # The command is being imported, and nobody could catch a Ctrl-C; training does, and gives this back.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda *_: (_os.write(2, b"nnfunc: interrupted\n"), _os._exit(130)))

from . import conv as conv
from . import draw as draw
from . import forms as forms
from . import layers as layers
from . import ops as ops
from . import plots as plots
from ._arrays import *
from .datasets import *
from .forms import Optimizer as Optimizer
from .forms import State as State
from .functions import *
from .gradient import *
from .initializers import *
from .networks import *
from .numerical import *
from .optimizers import *
from .params import *
from .pretrained import *
from .search import *
from .training import *

__version__ = "0.2.0"
