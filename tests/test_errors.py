"""Errors are the product too: each wrong argument, and the message that is to meet it, word for word.

What letters say of shapes is tested once for all in test_arrays.py; here is what they do not say.
"""

import re
from functools import partial

import numpy as np
import pytest

import nnfunc as nn
from nnfunc import conv, layers, ops
from nnfunc.layers import Mode, affine, lift, serial


def zeros(*shape):
    return np.zeros(shape)


def back(op, *args):
    """Return the pullback alone."""
    return op(*args)[1]


PARAMS = {"W1": zeros(3, 4), "b1": zeros(4), "W2": zeros(4, 2), "b2": zeros(2)}
NORM, STATS = {"gamma1": zeros(4), "beta1": zeros(4)}, {"mean1": zeros(4), "var1": np.ones(4)}

# (what is called, its arguments, the whole message)
VALUES = [
    (nn.sigmoid, ["a"], "sigmoid: x has dtype <U1, wanted real numbers"),
    (nn.relu, [1j], "relu: x has dtype complex128, wanted real numbers"),
    (nn.tanh, [[None]], "tanh: x has dtype object, wanted real numbers"),
    (nn.softmax, [[1j]], "softmax: x has dtype complex128, wanted real numbers"),
    (nn.log_softmax, [[1j]], "log_softmax: x has dtype complex128, wanted real numbers"),
    (nn.one_hot, [[0, 3], 3], "one_hot: t holds labels from 0 to 3, wanted 0 to 2"),
    (nn.one_hot, [[-1, 2], 3], "one_hot: t holds labels from -1 to 2, wanted 0 to 2"),
    (nn.one_hot, [[0.0], 3], "one_hot: t has dtype float64, labels are ints"),
    (nn.one_hot, [[True], 3], "one_hot: t has dtype bool, labels are ints"),
    (
        nn.perceptron,
        [zeros(4, 3), zeros(2), 0],
        "perceptron: x (4, 3), w (2,); wanted x (..., D), w (D); D is 3 and 2",
    ),
    (nn.perceptron, [1.0, zeros(1), 0], "perceptron: x (), w (1,); wanted x (..., D), w (D)"),
    (nn.perceptron, [zeros(2), zeros(2), [0]], "perceptron: b is a list of 1, wanted a number in (-inf, inf)"),
    (nn.perceptron, [[np.nan, 0.0], [1.0, 1.0], 0], "step: x holds nan, wanted numbers"),
    (nn.step, [[1.0, np.nan]], "step: x holds nan, wanted numbers"),
    (nn.one_hot, [[0], 0], "one_hot: classes is 0, wanted an int from 1 up"),
    (
        nn.mean_squared_error,
        [zeros(0, 3), zeros(0, 3)],
        "mean_squared_error: y has shape (0, 3); there is nothing to take a mean of",
    ),
    (
        nn.cross_entropy_error,
        [zeros(0, 3), zeros(0, 3)],
        "cross_entropy_error: y has shape (0, 3); there is nothing to take a mean of",
    ),
    *(
        (
            nn.cross_entropy_error,
            [y, [0]],
            f"cross_entropy_error: the rows of y sum to {sums} (smallest entry {least}); "
            "wanted probabilities, which sum to 1; scores go to nnfunc.ops.softmax_cross_entropy",
        )
        for y, sums, least in [
            ([[2.5, -1.0]], "1.5 ... 1.5", -1),
            ([[1.0, 1.0]], "2 ... 2", 1),
            ([[2.0, -1.0]], "1 ... 1", -1),
            ([[np.nan, 0.5]], "nan ... nan", "nan"),
        ]
    ),
    (
        nn.accuracy,
        [zeros(2, 1), [0, 1]],
        "accuracy: t holds labels from 0 to 1, wanted 0 to 0; "
        "one output is a yes-or-no question, for nnfunc.ops.sigmoid_cross_entropy",
    ),
    (nn.accuracy, [zeros(0, 3), []], "accuracy: y has shape (0, 3); there is nothing to take a mean of"),
    (nn.accuracy, [0.5, 0], "accuracy: y (); wanted y (..., C)"),
]

# Labels that do not fit scores of shape (4, 3), and the rest of the message
LABELS = {
    "a column": (
        zeros(4, 1).astype(int),
        "t has shape (4, 1), {y} has shape (4, 3); wanted int labels of shape (4,) or one-hot rows of shape (4, 3)",
    ),
    "too few": (
        [0, 1, 2],
        "t has shape (3,), {y} has shape (4, 3); wanted int labels of shape (4,) or one-hot rows of shape (4, 3)",
    ),
    "one for all": (
        1,
        "t has shape (), {y} has shape (4, 3); wanted int labels of shape (4,) or one-hot rows of shape (4, 3)",
    ),
    "rows of four": (
        np.eye(4),
        "t has shape (4, 4), {y} has shape (4, 3); wanted int labels of shape (4,) or one-hot rows of shape (4, 3)",
    ),
    "out of range": ([0, 1, 2, 3], "t holds labels from 0 to 3, wanted 0 to 2"),
    "negative": ([0, -1, 2, 0], "t holds labels from -1 to 2, wanted 0 to 2"),
    "floats": ([0.0, 1.0, 2.0, 0.0], "t has dtype float64, labels are ints"),
    "bools": ([True, False, True, False], "t has dtype bool, labels are ints"),
    "random rows": (
        [[0.9, 0.9, 0.1], *np.eye(3)],
        "the rows of t sum to 1 ... 1.9 (smallest entry 0); wanted one-hot rows or probabilities, which sum to 1",
    ),
    "a row of zeros": (
        [[0, 0, 0], *np.eye(3)],
        "the rows of t sum to 0 ... 1 (smallest entry 0); wanted one-hot rows or probabilities, which sum to 1",
    ),
    "a negative entry": (
        [[1.5, -0.5, 0], *np.eye(3)],
        "the rows of t sum to 1 ... 1 (smallest entry -0.5); wanted one-hot rows or probabilities, which sum to 1",
    ),
    "off by two per mille": (
        [[1.002, 0, 0], *np.eye(3)],
        "the rows of t sum to 1 ... 1.002 (smallest entry 0); wanted one-hot rows or probabilities, which sum to 1",
    ),
}

OPS = [
    (ops.add, [zeros(3), zeros(1)], "add: x (3,), y (1,); wanted x (...), y (...); ... is (3,) and (1,)"),
    (ops.mul, [zeros(2, 3), 2.0], "mul: x (2, 3), y (); wanted x (...), y (...); ... is (2, 3) and ()"),
    (ops.affine, [[["a"]], zeros(1, 1), zeros(1)], "affine: x has dtype <U1, wanted real numbers"),
    *(
        (
            ops.batch_norm,
            [x, zeros(3), zeros(3)],
            f"batch_norm: x has shape {x.shape}; the variance of a feature wants at least 2 values, not {m}",
        )
        for x, m in [(zeros(0, 3), 0), (zeros(1, 3), 1), (zeros(1, 3, 1, 1), 1), (zeros(2, 3, 0, 4), 0)]
    ),
    *(
        (ops.dropout, [zeros(4), rate, (0, 1)], f"dropout: rate is {rate!r}, wanted a number in [0, 1)")
        for rate in (1, 1.0, -0.1, 2.5, np.nan, np.inf)
    ),
    *(
        (ops.dropout, [zeros(4), 0.5, key], f"dropout: key is {key!r}, wanted a tuple of ints from 0 up")
        for key in (None, 5, (), [0, 1], (-1, 0), (0, -1), (0.0, 1), (0, 1.5), ("0",), "01", np.array([0, 1]), (None,))
    ),
    (ops.flatten, [zeros(5)], "flatten: x (5,); wanted x (N, D, ...); one sample is x[None]"),
    (
        ops.softmax_cross_entropy,
        [zeros(3), 1],
        "softmax_cross_entropy: z (3,); wanted z (N, ..., C); one sample is z[None]",
    ),
    (
        ops.softmax_cross_entropy,
        [zeros(0, 3), []],
        "softmax_cross_entropy: z has shape (0, 3); there is nothing to take a mean of",
    ),
    (ops.sigmoid_cross_entropy, [zeros(2), [0, 2]], "sigmoid_cross_entropy: t runs from 0 to 2, wanted 0 to 1"),
    (
        ops.sigmoid_cross_entropy,
        [zeros(0), zeros(0)],
        "sigmoid_cross_entropy: z has shape (0,); there is nothing to take a mean of",
    ),
    (
        ops.mean_squared_error,
        [zeros(0), zeros(0)],
        "mean_squared_error: y has shape (0,); there is nothing to take a mean of",
    ),
]

AFFINE = "wanted x (..., D), W (D, M), b (M)"
IMAGES, FILTERS = zeros(2, 3, 5, 4), zeros(6, 3, 3, 3)
AN_INT = "wanted an int from {} up, or a pair of them"


def shaped(op, x, **settings):
    """Call the op on images, with filters if it takes some."""
    return op(x, FILTERS, zeros(6), **settings) if op is ops.conv2d else op(x, **({"size": 2} | settings))


CONV = [
    *(
        (
            shaped,
            [op, x],
            f"{op.__name__}: x {x.shape}; wanted x (N, C, H, W)" + advice,
        )
        for op in (ops.max_pool2d, ops.avg_pool2d)
        for x, advice in ((zeros(3, 5, 5), "; one sample is x[None]"), (zeros(4, 9), ""), (np.zeros(()), ""))
    ),
    (
        ops.conv2d,
        [zeros(2, 1, 5, 4), FILTERS, zeros(6)],
        "conv2d: x (2, 1, 5, 4), W (6, 3, 3, 3), b (6,); wanted x (N, C, H, W), W (F, C, FH, FW), b (F); C is 1 and 3",
    ),
    (
        ops.conv2d,
        [zeros(1, 3, 5, 2), FILTERS, zeros(6)],
        "conv2d: a window of 3 does not fit in 2 pixels with padding 0",
    ),
    (
        ops.conv2d,
        [zeros(1, 3, 0, 9), FILTERS, zeros(6), 1, 1],
        "conv2d: a window of 3 does not fit in 0 pixels with padding 1",
    ),
    (
        ops.conv2d,
        [IMAGES, zeros(6, 3, 0, 2), zeros(6)],
        f"conv2d: window is (0, 2), {AN_INT.format(1)}",
    ),
    (ops.max_pool2d, [IMAGES, (5, 5)], "max_pool2d: a window of 5 does not fit in 4 pixels with padding 0"),
    (ops.avg_pool2d, [IMAGES, 6], "avg_pool2d: a window of 6 does not fit in 5 pixels with padding 0"),
    *(
        (partial(shaped, **{name: value}), [op, IMAGES], f"{op.__name__}: {name} is {value!r}, {AN_INT.format(least)}")
        for op in (ops.conv2d, ops.max_pool2d, ops.avg_pool2d)
        for name, least, values in [
            ("stride", 1, [0, -1, (1, 0), 1.0, (1, 2.0), (1, 1, 1), (1,), (), "1", "ab", np.array([1, 1])]),
            ("pad", 0, [-1, (0, -1), 0.5, (1, 1, 1, 1), None, "same"]),
        ]
        for value in values
    ),
    *(
        (op, [IMAGES, size], f"{op.__name__}: window is {size!r}, {AN_INT.format(1)}")
        for op in (ops.max_pool2d, ops.avg_pool2d)
        for size in (0, -2, 2.0, (2, 0), (2, 2, 2), None)
    ),
    *(
        (
            op,
            [IMAGES, size, 1, pad],
            f"{op.__name__}: pad {pad} is not smaller than the window {size}; some windows would be empty",
        )
        for op in (ops.max_pool2d, ops.avg_pool2d)
        for size, pad in ((2, 2), ((3, 2), 2), ((1, 3), (1, 0)), (2, (0, 3)))
    ),
    (
        conv.im2col,
        [zeros(3, 5, 5), 2, 2],
        "im2col: x (3, 5, 5); wanted x (N, C, H, W); one sample is x[None]",
    ),
    (conv.im2col, [IMAGES, 6, 2], "im2col: a window of 6 does not fit in 5 pixels with padding 0"),
    (conv.im2col, [IMAGES, (2, 2), 2], f"im2col: window is ((2, 2), 2), {AN_INT.format(1)}"),
    (conv.im2col, [IMAGES, 2, 2, 0], f"im2col: stride is 0, {AN_INT.format(1)}"),
    (
        conv.col2im,
        [zeros(2, 12, 11), (2, 3, 5, 4), 2, 2],
        "col2im: col has shape (2, 12, 11), wanted (2, 12, 12) for images (2, 3, 5, 4)",
    ),
    (
        conv.col2im,
        [zeros(24, 12), (2, 3, 5, 4), 2, 2],
        "col2im: col (24, 12); wanted col (N, K, P); one sample is col[None]",
    ),
    (
        conv.col2im,
        [zeros(2, 12, 12), (3, 5, 4), 2, 2],
        "col2im: the images have shape (3, 5, 4), wanted (N, C, H, W)",
    ),
    (conv.conv_output_size, [4, 5], "conv_output_size: a window of 5 does not fit in 4 pixels with padding 0"),
    (conv.conv_output_size, [4, 7, 1, 1], "conv_output_size: a window of 7 does not fit in 4 pixels with padding 1"),
    (conv.conv_output_size, [-1, 3], "conv_output_size: size is -1, wanted an int from 0 up"),
    (conv.conv_output_size, [4.0, 3], "conv_output_size: size is 4.0, wanted an int from 0 up"),
    (conv.conv_output_size, [4, 0], "conv_output_size: filter_size is 0, wanted an int from 1 up"),
    (conv.conv_output_size, [4, 3, 0], "conv_output_size: stride is 0, wanted an int from 1 up"),
    (conv.conv_output_size, [4, 3, 1.5], "conv_output_size: stride is 1.5, wanted an int from 1 up"),
    (conv.conv_output_size, [4, 3, 1, -1], "conv_output_size: pad is -1, wanted an int from 0 up"),
    (conv.conv_output_size, [4, 3, (1, 1)], "conv_output_size: stride is (1, 1), wanted an int from 1 up"),
]

PULLBACKS = [
    *(
        (
            back(op, zeros(4, 3)),
            [zeros(3)],
            f"{op.__name__}: the gradient has shape (3,), wanted (4, 3), the shape of the output",
        )
        for op in (ops.identity, ops.sigmoid, ops.tanh, ops.relu, ops.softmax, ops.log_softmax, ops.flatten)
    ),
    (
        back(ops.batch_norm, zeros(4, 3), zeros(3), zeros(3)),
        [zeros(3)],
        "batch_norm: the gradient has shape (3,), wanted (4, 3), the shape of the output",
    ),
    (
        back(ops.dropout, zeros(4, 3), 0.5, (0,)),
        [zeros(4, 1)],
        "dropout: the gradient has shape (4, 1), wanted (4, 3), the shape of the output",
    ),
    (
        back(ops.conv2d, IMAGES, FILTERS, zeros(6)),
        [zeros(2, 6, 5, 4)],
        "conv2d: the gradient has shape (2, 6, 5, 4), wanted (2, 6, 3, 2), the shape of the output",
    ),
    *(
        (
            back(op, IMAGES, 2),
            [zeros(2, 3, 1, 1)],
            f"{op.__name__}: the gradient has shape (2, 3, 1, 1), wanted (2, 3, 2, 2), the shape of the output",
        )
        for op in (ops.max_pool2d, ops.avg_pool2d)
    ),
    (back(ops.add, zeros(4), zeros(4)), [1.0], "add: the gradient has shape (), wanted (4,), the shape of the output"),
    (back(ops.mul, 1.0, 2.0), [zeros(1)], "mul: the gradient has shape (1,), wanted (), the shape of the output"),
    (
        back(ops.affine, zeros(8, 2), zeros(2, 3), zeros(3)),
        [zeros(8, 1)],
        "affine: the gradient has shape (8, 1), wanted (8, 3), the shape of the output",
    ),
    (
        back(ops.affine, zeros(8, 2), zeros(2, 3), zeros(3)),
        [zeros(2, 3)],
        "affine: the gradient has shape (2, 3), wanted (8, 3), the shape of the output",
    ),
    *(
        (
            back(op, zeros(2, 3), np.eye(2, 3)),
            [zeros(2)],
            f"{op.__name__}: the gradient has shape (2,), wanted one number, like the loss",
        )
        for op in (ops.softmax_cross_entropy, ops.sigmoid_cross_entropy, ops.sum_squared_error, ops.mean_squared_error)
    ),
]

NOTHING_KEPT = "pullback: the layer ran with Mode(grad=False), which keeps nothing for the way back"
LAYERS = [
    (affine(1), [{"W1": zeros(3, 2)}, zeros(1, 3)], "affine(W1, b1): params has no b1; it has W1"),
    (
        affine(2),
        [PARAMS | {"W2": zeros(4, 3)}, zeros(1, 4)],
        "affine: x (1, 4), W (4, 3), b (2,); wanted x (..., D), W (D, M), b (M); M is 3 and 2",
    ),
    (affine(1), [{}, zeros(1, 3)], "affine(W1, b1): params has no W1, b1; it has no names"),
    (lift(ops.mul, "scale"), [{"b": 1, "W": 2}, 1.0], "mul(scale): params has no scale; it has b, W"),
    *(
        (net({"W1": zeros(3, 2), "b1": zeros(2)}, zeros(1, 3), Mode(grad=False))[1], [zeros(1, 2)], NOTHING_KEPT)
        for net in (affine(1), serial(affine(1)), nn.mlp(), serial(), layers.dropout(0.5), layers.tap("x"))
    ),
    *(
        (layers.batch_norm(1)(NORM, zeros(2, 4), Mode(STATS, key, grad=False))[1], [zeros(1, 4)], NOTHING_KEPT)
        for key in (None, (0, 0))
    ),
    (layers.dropout(0.5)({}, zeros(1, 3), Mode(key=(0, 0), grad=False))[1], [zeros(1, 3)], NOTHING_KEPT),
    (layers.dropout, [1], "dropout: rate is 1, wanted a number in [0, 1)"),
    (layers.dropout, [-0.25], "dropout: rate is -0.25, wanted a number in [0, 1)"),
    *(
        (
            serial(layers.dropout(0.5)),
            [{}, zeros(1, 3), Mode(key=key)],
            f"serial: key is {key!r}, wanted a tuple of ints from 0 up",
        )
        for key in (5, 0, (), [0, 1], (-1, 0), (0, 1.0), "01")
    ),
    (
        layers.dropout(0.5),
        [{}, zeros(1, 3), Mode(key=(-1,))],
        "dropout: key is (-1,), wanted a tuple of ints from 0 up",
    ),
    (
        layers.batch_norm(1),
        [{"gamma1": zeros(4)}, zeros(1, 4), Mode(STATS)],
        "batch_norm(gamma1, beta1): params has no beta1; it has gamma1",
    ),
    (
        layers.batch_norm(1),
        [NORM, zeros(2, 4), Mode({"mean1": zeros(4)}, (0, 0))],
        "batch_norm(gamma1, beta1): mode.stats has no var1; it has mean1",
    ),
    *(
        (
            layers.batch_norm(1),
            [NORM, zeros(2, 4), Mode({"mean1": mean, "var1": var}, key)],
            f"batch_norm: x (2, 4), gamma (4,), beta (4,), mean {mean.shape}, var {var.shape}; "
            f"wanted x (N, C, ...), gamma (C), beta (C), mean (C), var (C){torn}",
        )
        for key in (None, (0, 0))
        for mean, var, torn in [
            (zeros(1), zeros(4), "; C is 4 and 1"),
            (zeros(4), zeros(4, 1), ""),
            (zeros(3), zeros(3), "; C is 4 and 3"),
            (zeros(1, 4), zeros(1, 4), ""),
        ]
    ),
    (
        layers.batch_norm(1),
        [NORM, zeros(2, 3), Mode(STATS)],
        "batch_norm: x (2, 3), gamma (4,), beta (4,), mean (4,), var (4,); "
        "wanted x (N, C, ...), gamma (C), beta (C), mean (C), var (C); C is 3 and 4",
    ),
    (layers.conv2d(2), [{"W2": FILTERS}, IMAGES], "conv2d(W2, b2): params has no b2; it has W2"),
]


INITIALIZERS = [
    *(
        (nn.init_conv2d, [0, 1, 2, 3, size], f"init_conv2d: size is {size!r}, {AN_INT.format(1)}")
        for size in (0, (3, 0), 2.0, (2, 3, 4), "3")
    ),
    (
        nn.init_conv2d,
        [0, 1, 2, 3, 3, "glorot"],
        "init_conv2d: scale is 'glorot', wanted a number in [0, inf), 'he' or 'xavier'",
    ),
    (
        nn.init_simple_convnet,
        [0, (1, 4, 28)],
        "conv_output_size: a window of 5 does not fit in 4 pixels with padding 0",
    ),
    (
        nn.init_simple_convnet,
        [0, (1, 28, 5)],
        "conv_output_size: a window of 2 does not fit in 1 pixels with padding 0",
    ),
]


def predict(batch_size):
    return nn.predict(nn.mlp(), PARAMS, zeros(2, 3), batch_size=batch_size)


NUMERICAL = nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)
UNUSED = nn.numerical_value_and_grad(serial(affine(1), layers.relu), ops.softmax_cross_entropy)
GAP = "wanted W1, b1, W2, b2, ... without a gap"
NORM_GAP = f"{GAP}, and gamma1, beta1, ... for each hidden layer"
NETWORKS = [
    (nn.mlp(), [{}, zeros(1, 3)], f"mlp: params has no names; {GAP}"),
    (nn.mlp(), [{n: PARAMS[n] for n in ("W2", "b2")}, zeros(1, 4)], f"mlp: params has W2, b2; {GAP}"),
    (nn.mlp(), [{n: PARAMS[n] for n in ("W1", "W2", "b2")}, zeros(1, 3)], f"mlp: params has W1, W2, b2; {GAP}"),
    (
        nn.mlp(),
        [{"W1": zeros(3, 4), "b1": zeros(4), "W3": zeros(4, 2), "b3": zeros(2)}, zeros(1, 3)],
        f"mlp: params has W1, b1, W3, b3; {GAP}",
    ),
    (nn.mlp(), [{"W0": zeros(3, 4), "b0": zeros(4)}, zeros(1, 3)], f"mlp: params has W0, b0; {GAP}"),
    (nn.mlp(), [PARAMS | {"Wx": zeros(1)}, zeros(1, 3)], f"mlp: params has W1, b1, W2, b2, Wx; {GAP}"),
    (nn.mlp(), [PARAMS | {"gamma1": zeros(4)}, zeros(1, 3)], f"mlp: params has W1, b1, W2, b2, gamma1; {NORM_GAP}"),
    (nn.mlp(), [PARAMS | {"beta1": zeros(4)}, zeros(1, 3)], f"mlp: params has W1, b1, W2, b2, beta1; {GAP}"),
    (
        nn.mlp(),
        [PARAMS | NORM | {"gamma2": zeros(2), "beta2": zeros(2)}, zeros(1, 3)],
        f"mlp: params has W1, b1, W2, b2, gamma1, beta1, gamma2, beta2; {NORM_GAP}",
    ),
    (
        nn.mlp(),
        [PARAMS | {"W3": zeros(2, 2), "b3": zeros(2)} | NORM, zeros(1, 3)],
        f"mlp: params has W1, b1, W2, b2, W3, b3, gamma1, beta1; {NORM_GAP}",
    ),
    (
        nn.mlp(),
        [PARAMS | {"mean1": zeros(4)} | NORM, zeros(1, 3)],
        f"mlp: params has W1, b1, W2, b2, mean1, gamma1, beta1; {NORM_GAP}",
    ),
    (
        nn.mlp(),
        [{n: p for n, p in (PARAMS | NORM).items() if n != "b2"}, zeros(1, 3)],
        f"mlp: params has W1, b1, W2, gamma1, beta1; {NORM_GAP}",
    ),
    (
        nn.mlp(),
        [PARAMS | NORM, zeros(1, 3)],
        "batch_norm(gamma1, beta1): mode.stats has no mean1, var1; it has no names",
    ),
    (nn.mlp, [layers.relu, 1.5], "mlp: dropout is 1.5, wanted a number in [0, 1)"),
    (nn.mlp, [layers.relu, -0.5], "mlp: dropout is -0.5, wanted a number in [0, 1)"),
    (nn.mlp(), [PARAMS, zeros(1, 3), Mode(key=7)], "serial: key is 7, wanted a tuple of ints from 0 up"),
    (
        nn.simple_convnet(),
        [nn.init_simple_convnet(0), zeros(1, 784)],
        "conv2d: x (1, 784), W (30, 1, 5, 5), b (30,); wanted x (N, C, H, W), W (F, C, FH, FW), b (F)",
    ),
    (
        nn.simple_convnet(),
        [nn.init_simple_convnet(0), zeros(1, 1, 14, 14)],
        f"affine: x (1, 750), W (4320, 100), b (100,); {AFFINE}; D is 750 and 4320",
    ),
    (
        nn.deep_convnet(),
        [{}, zeros(1, 1, 28, 28)],
        "conv2d(W1, b1): params has no W1, b1; it has no names",
    ),
    (predict, [0], "predict: batch_size is 0, wanted an int from 1 up"),
    (predict, [-5], "predict: batch_size is -5, wanted an int from 1 up"),
    (NUMERICAL, [PARAMS | {"Wx": zeros(1)}, zeros(1, 3), [0]], f"mlp: params has W1, b1, W2, b2, Wx; {GAP}"),
    (UNUSED, [PARAMS, zeros(1, 3), [0]], "numerical_value_and_grad: no layer uses W2, b2"),
]


def norm(p):
    return sum((a**2).sum() for a in p.values())


ONE = "wanted one number; for one gradient a row, call it for each row"


def writes(x):
    x[0] = 0.0
    return x.sum()


GRADIENT = [
    (
        nn.numerical_gradient,
        [np.square, [3.0, 4.0]],
        f"numerical_gradient: f returned an array of shape (2,), {ONE}",
    ),
    (
        nn.numerical_gradient,
        [lambda x: x[:1], [3.0, 4.0]],
        f"numerical_gradient: f returned an array of shape (1,), {ONE}",
    ),
    (
        nn.gradient_descent,
        [np.square, [3.0, 4.0]],
        f"numerical_gradient: f returned an array of shape (2,), {ONE}",
    ),
    (nn.numerical_gradient, [writes, [3.0, 4.0]], "assignment destination is read-only"),
    (
        nn.check_gradients,
        [norm, {"b": zeros(2)}, {"W": zeros(2)}],
        "check_gradients: params has ['b'], grads has ['W']",
    ),
    (
        nn.check_gradients,
        [norm, {"b": zeros(2)}, {"b": zeros(2, 1)}],
        "check_gradients: b has shape (2,), its gradient (2, 1)",
    ),
    (
        nn.check_vjp,
        [lambda x: (x, lambda dy: (dy[:1],)), (zeros(2),)],
        "check_vjp: gradient 0 of <lambda> is an array of shape (1,), wanted an array of shape (2,)",
    ),
]


@pytest.mark.parametrize(
    ("call", "args", "message"), [*VALUES, *OPS, *CONV, *PULLBACKS, *INITIALIZERS, *LAYERS, *NETWORKS, *GRADIENT]
)
def test_message(call, args, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call(*args)
    assert str(caught.value) == message


@pytest.mark.traps("T19", "T24", "T25")
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize(
    ("call", "where", "name"),
    [
        (ops.softmax_cross_entropy, "softmax_cross_entropy", "z"),
        (nn.cross_entropy_error, "cross_entropy_error", "y"),
        (nn.accuracy, "accuracy", "y"),
    ],
)
def test_labels_that_do_not_fit(call, where, name, labels):
    t, message = LABELS[labels]
    message = f"{where}: {message.format(y=name)}"
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call(np.full((4, 3), 1 / 3), t)
    assert str(caught.value) == message


# The notes that tell where in a network it happened

DEEP = serial(layers.flatten, serial(affine(1), layers.relu), affine(2))


@pytest.mark.parametrize(
    ("run", "message", "notes"),
    [
        (
            lambda: nn.predict(nn.mlp(), PARAMS, zeros(8, 5)),
            f"affine: x (8, 5), W (3, 4), b (4,); {AFFINE}; D is 5 and 3",
            ["in layer 0 of 3: affine(W1, b1), input shape (8, 5)"],
        ),
        (
            lambda: nn.predict(nn.mlp(), PARAMS | {"W2": zeros(5, 2)}, zeros(8, 3)),
            f"affine: x (8, 4), W (5, 2), b (2,); {AFFINE}; D is 4 and 5",
            ["in layer 2 of 3: affine(W2, b2), input shape (8, 4)"],
        ),
        (
            lambda: DEEP(PARAMS, zeros(8, 1, 2, 2)),
            f"affine: x (8, 4), W (3, 4), b (4,); {AFFINE}; D is 4 and 3",
            [
                "in layer 0 of 2: affine(W1, b1), input shape (8, 4)",
                "in layer 1 of 3: serial(affine(W1, b1), relu), input shape (8, 4)",
            ],
        ),
        (
            lambda: DEEP(PARAMS, zeros(8, 3))[1](zeros(8, 1)),
            "affine: the gradient has shape (8, 1), wanted (8, 2), the shape of the output",
            ["in layer 2 of 3: affine(W2, b2), gradient shape (8, 1)"],
        ),
        (
            lambda: nn.predict(nn.deep_convnet(), nn.init_deep_convnet(0), zeros(2, 1, 20, 20)),
            f"affine: x (2, 576), W (1024, 50), b (50,); {AFFINE}; D is 576 and 1024",
            ["in layer 16 of 21: affine(W7, b7), input shape (2, 576)"],
        ),
        (
            lambda: nn.predict(
                serial(layers.identity, layers.conv2d(1)), {"W1": FILTERS, "b1": zeros(6)}, IMAGES[:, :2]
            ),
            "conv2d: x (2, 2, 5, 4), W (6, 3, 3, 3), b (6,); "
            "wanted x (N, C, H, W), W (F, C, FH, FW), b (F); C is 2 and 3",
            ["in layer 1 of 2: conv2d(W1, b1), input shape (2, 2, 5, 4)"],
        ),
        (
            lambda: nn.mlp()(PARAMS | NORM, zeros(0, 3), Mode(STATS, (0, 0))),
            "batch_norm: x has shape (0, 4); the variance of a feature wants at least 2 values, not 0",
            ["in layer 1 of 4: batch_norm(gamma1, beta1), input shape (0, 4)"],
        ),
        (
            lambda: serial(affine(1))({"W1": zeros(3, 2)}, zeros(1, 3)),
            "affine(W1, b1): params has no b1; it has W1",
            ["in layer 0 of 1: affine(W1, b1), input shape (1, 3)"],
        ),
        (
            lambda: nn.predict(nn.mlp(), PARAMS, [[1.0, 2.0]]),
            f"affine: x (1, 2), W (3, 4), b (4,); {AFFINE}; D is 2 and 3",
            ["in layer 0 of 3: affine(W1, b1), input a list of 1"],
        ),
        (
            lambda: nn.numerical_value_and_grad(nn.mlp(), ops.softmax_cross_entropy)(PARAMS, zeros(8, 5), LABELS),
            f"affine: x (8, 5), W (3, 4), b (4,); {AFFINE}; D is 5 and 3",
            ["in layer 0 of 3: affine(W1, b1), input shape (8, 5)"],
        ),
    ],
)
def test_notes(run, message, notes):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run()
    assert str(caught.value) == message
    assert caught.value.__notes__ == notes


@pytest.mark.parametrize("name", ["value_and_grad", "numerical_value_and_grad"])
def test_a_parameter_that_no_layer_uses_is_refused(name):
    grad = getattr(nn, name)(serial(affine(1)), ops.softmax_cross_entropy)
    with pytest.raises(ValueError, match=rf"^{name}: no layer uses V, W9$"):
        grad(nn.init_mlp(0, (3, 2)) | {"V": zeros(1), "W9": zeros(1)}, zeros(1, 3), np.array([0]))


def test_a_function_that_fails_leaves_its_argument_alone():
    x = np.array([3.0, 4.0])

    def fails(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nn.numerical_gradient(fails, x)
    assert x.tolist() == [3, 4]
