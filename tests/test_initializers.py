"""Initializers: the numbers a network starts from."""

from math import sqrt

import numpy as np
import pytest

import nnfunc as nn

D, M = 784, 500  # 392,000 weights: their standard deviation is known to 0.11 %, so 1 % is nine sigmas


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [("he", sqrt(2 / D)), ("xavier", sqrt(2 / (D + M))), (0.01, 0.01), (1 / sqrt(D), 1 / sqrt(D)), (2, 2.0)],
)
def test_weights_are_normal_with_the_standard_deviation_asked_for(scale, wanted):
    W = nn.init_affine(7, 1, D, M, scale, dtype=np.float64)["W1"]
    assert W.std() == pytest.approx(wanted, rel=0.01)
    assert abs(W.mean()) < 5 * wanted / sqrt(W.size)
    # A normal distribution keeps 68.27 % within one sigma and 4.55 % outside two; a uniform one 57.7 % and 0 %.
    assert np.mean(abs(W) < wanted) == pytest.approx(0.6827, abs=0.005)
    assert np.mean(abs(W) > 2 * wanted) == pytest.approx(0.0455, abs=0.003)


def test_he_is_the_default():
    for made, he in [
        (nn.init_affine(0, 1, 6, 4), nn.init_affine(0, 1, 6, 4, "he")),
        (nn.init_mlp(0, (6, 4, 2)), nn.init_mlp(0, (6, 4, 2), "he")),
    ]:
        assert made.keys() == he.keys()
        assert all(np.array_equal(made[name], he[name]) for name in he)


def test_a_deviation_of_zero_gives_zeros():
    assert not nn.init_affine(0, 1, 3, 2, scale=0)["W1"].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shapes_dtypes_and_biases(dtype):
    params = nn.init_mlp(0, (5, 4, 3, 2), dtype=dtype)
    assert list(params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert [a.shape for a in params.values()] == [(5, 4), (4,), (4, 3), (3,), (3, 2), (2,)]
    assert {a.dtype for a in params.values()} == {np.dtype(dtype)}
    assert not any(params[name].any() for name in ("b1", "b2", "b3"))


def test_float32_is_the_default_and_is_the_rounded_float64():
    params, wide = nn.init_mlp(3, (20, 10, 5)), nn.init_mlp(3, (20, 10, 5), dtype=np.float64)
    for name, a in params.items():
        assert a.dtype == np.float32
        assert np.array_equal(a, wide[name].astype(np.float32))
    assert not np.array_equal(wide["W1"], params["W1"]), "float64 has digits of its own"


def test_an_int_seed_makes_the_call_pure():
    once, twice = nn.init_mlp(5, (4, 3, 2)), nn.init_mlp(5, (4, 3, 2))
    other = nn.init_mlp(6, (4, 3, 2))
    for name in ("W1", "W2"):
        assert np.array_equal(once[name], twice[name])
        assert not np.array_equal(once[name], other[name])
    assert np.array_equal(once["W1"], nn.init_mlp(np.int64(5), (4, 3, 2))["W1"])
    assert not np.shares_memory(once["W1"], twice["W1"])


def test_the_global_generator_is_neither_read_nor_advanced():
    np.random.seed(1)  # noqa: NPY002
    one, before = nn.init_mlp(0, (4, 3)), np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(one["W1"], nn.init_mlp(0, (4, 3))["W1"])
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_layer_draws_the_same_weights_whatever_layers_stand_beside_it():
    deep = nn.init_mlp(11, (8, 6, 6, 6, 3), "xavier")
    for i, (inputs, outputs) in enumerate([(8, 6), (6, 6), (6, 6), (6, 3)], start=1):
        alone = nn.init_affine(11, i, inputs, outputs, "xavier")
        assert all(np.array_equal(alone[name], deep[name]) for name in alone)
    assert not np.array_equal(deep["W2"], deep["W3"]), "layers of one shape must not start equal"
    shallow = nn.init_mlp(11, (8, 6, 3), "xavier")
    assert np.array_equal(shallow["W1"], deep["W1"])


def test_a_generator_is_advanced():
    rng = np.random.default_rng(0)
    one, two = nn.init_affine(rng, 1, 4, 3), nn.init_affine(rng, 1, 4, 3)
    assert not np.array_equal(one["W1"], two["W1"])
    again = nn.init_affine(np.random.default_rng(0), 1, 4, 3)
    assert np.array_equal(one["W1"], again["W1"])


@pytest.mark.parametrize("make", [lambda: np.random.default_rng(4), lambda: np.random.SeedSequence(4), lambda: [4, 2]])
def test_all_that_default_rng_takes_is_taken_and_gives_unequal_layers(make):
    one, two = nn.init_mlp(make(), (5, 5, 5)), nn.init_mlp(make(), (5, 5, 5))
    assert np.array_equal(one["W1"], two["W1"])
    assert np.array_equal(one["W2"], two["W2"])
    assert not np.array_equal(one["W1"], one["W2"])


@pytest.mark.parametrize("scale", ["HE", "kaiming", "", "0.1", -0.1, float("nan"), float("inf"), -1, None, [0.1, 0.1]])
def test_a_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match=r"^init_affine: scale is .*, wanted 'he', 'xavier' or a standard deviation"):
        nn.init_affine(0, 1, 4, 3, scale)
    with pytest.raises(ValueError, match="scale is"):
        nn.init_mlp(0, (4, 3), scale)


@pytest.mark.parametrize("sizes", [(), (784,)])
def test_too_few_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"^init_mlp: sizes is \(.*\), wanted at least inputs and outputs$"):
        nn.init_mlp(0, sizes)


def test_a_hyper_parameter_of_numpy_widens_nothing():
    assert nn.init_affine(0, 1, 4, 3, np.float64(0.01))["W1"].dtype == np.float32
