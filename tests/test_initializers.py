"""Initializers: the numbers a network starts from."""

import re
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


FANS = (16 * 3 * 5, 64 * 3 * 5)  # what a neuron of the convolution sees, and who sees a neuron of its input


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [("he", sqrt(2 / FANS[0])), ("xavier", sqrt(2 / sum(FANS))), (0.01, 0.01), (1 / sqrt(FANS[0]), 1 / sqrt(FANS[0]))],
)
def test_filters_count_their_pixels_as_inputs(scale, wanted):
    """15,360 weights: 3 % is more than five sigmas, and the channels alone as inputs were a factor of four."""
    params = nn.init_conv2d(7, 1, 64, 16, (3, 5), scale, dtype=np.float64)
    assert [p.shape for p in params.values()] == [(64, 16, 3, 5), (64,)]
    assert params["W1"].std() == pytest.approx(wanted, rel=0.03)
    assert abs(params["W1"].mean()) < 5 * wanted / sqrt(params["W1"].size)
    assert np.mean(abs(params["W1"]) < wanted) == pytest.approx(0.6827, abs=0.02)
    assert not params["b1"].any()


@pytest.mark.parametrize("activation", [nn.layers.relu, nn.layers.tanh])
def test_the_scale_made_for_an_activation_keeps_the_signal_through_twenty_layers(activation):
    """He's for ReLU, Xavier's for tanh; of weights of 0.01 nothing comes through."""
    scale = {"relu": "he", "tanh": "xavier"}[activation.__name__]
    x = np.random.default_rng(0).standard_normal((200, 100))
    net, sizes = nn.mlp(activation), [100] * 21

    def size(scale):
        return nn.predict(net, nn.init_mlp(0, sizes, scale, dtype=np.float64), x).std()

    assert 0.1 < size(scale) < 10
    assert size(0.01) < 1e-15


def test_he_is_the_default():
    for made, he in [
        (nn.init_conv2d(0, 1, 6, 4, 3), nn.init_conv2d(0, 1, 6, 4, (3, 3), "he")),
        (nn.init_simple_convnet(0), nn.init_simple_convnet(0, scale="he")),
        (nn.init_affine(0, 1, 6, 4), nn.init_affine(0, 1, 6, 4, "he")),
        (nn.init_mlp(0, (6, 4, 2)), nn.init_mlp(0, (6, 4, 2), "he")),
    ]:
        assert made.keys() == he.keys()
        assert all(np.array_equal(made[name], he[name]) for name in he)


def test_a_deviation_of_zero_gives_zeros():
    assert not nn.init_affine(0, 1, 3, 2, scale=0)["W1"].any()


@pytest.mark.traps("T29")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_batch_norm_starts_as_the_identity(dtype):
    """Its running variance starts at 1; the book's own starts at 0."""
    params = nn.init_batch_norm(2, 3, dtype=dtype)
    stats = nn.init_stats(params)
    wanted = {"gamma2": [1, 1, 1], "beta2": [0, 0, 0]}, {"mean2": [0, 0, 0], "var2": [1, 1, 1]}
    assert tuple({name: a.tolist() for name, a in made.items()} for made in (params, stats)) == wanted
    arrays = [*params.values(), *stats.values()]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])


def test_an_mlp_with_batch_norm_is_the_same_mlp_and_batch_norm_for_each_hidden_layer():
    params = nn.init_mlp(3, (5, 4, 3, 2), "xavier", batch_norm=True, dtype=np.float64)
    stats = nn.init_stats(params)
    plain = nn.init_mlp(3, (5, 4, 3, 2), "xavier", dtype=np.float64)
    assert all(np.array_equal(params[name], plain[name]) for name in plain)
    assert {name: a.shape for name, a in params.items() if name not in plain} == {
        "gamma1": (4,),
        "beta1": (4,),
        "gamma2": (3,),
        "beta2": (3,),
    }
    assert {name: a.shape for name, a in stats.items()} == {"mean1": (4,), "var1": (4,), "mean2": (3,), "var2": (3,)}
    assert {a.dtype for a in (params | stats).values()} == {np.dtype(np.float64)}
    alone = nn.init_mlp(0, (3, 2), batch_norm=True)
    assert list(alone) == ["W1", "b1"]
    assert nn.init_stats(alone) == {}


def test_statistics_are_read_off_the_gammas_whatever_their_names():
    params = nn.init_batch_norm("q", 2) | nn.init_affine(0, 1, 2, 3) | {"gamma10": [1, 2], "beta10": [0, 0]}
    stats = nn.init_stats(params)
    assert {name: (a.tolist(), a.dtype.name) for name, a in stats.items()} == {
        "meanq": ([0, 0], "float32"),
        "varq": ([1, 1], "float32"),
        "mean10": ([0, 0], "float64"),
        "var10": ([1, 1], "float64"),
    }
    assert nn.init_stats({}) == nn.init_stats(nn.init_simple_convnet(0)) == {}
    x = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    y, _, _ = nn.layers.batch_norm("q")(params, x, nn.layers.Mode(stats))
    np.testing.assert_allclose(y, x, rtol=1e-4)
    with pytest.raises(ValueError, match=r"^init_stats: params is a list of 1, wanted a dict$"):
        nn.init_stats(["gamma1"])
    with pytest.raises(ValueError, match=r"^init_stats: gamma1 has dtype <U1, wanted real numbers$"):
        nn.init_stats({"gamma1": ["a"]})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_convnets_have_the_sizes_of_the_book(dtype):
    simple, deep = nn.init_simple_convnet(0, dtype=dtype), nn.init_deep_convnet(0, dtype=dtype)
    assert nn.count_params(simple) == 30 * 26 + 4321 * 100 + 101 * 10
    assert [deep[f"W{i}"].shape for i in range(1, 9)] == [
        (16, 1, 3, 3),
        (16, 16, 3, 3),
        (32, 16, 3, 3),
        (32, 32, 3, 3),
        (64, 32, 3, 3),
        (64, 64, 3, 3),
        (1024, 50),
        (50, 10),
    ]
    for params in (simple, deep):
        assert {p.dtype for p in params.values()} == {np.dtype(dtype)}
        for i in range(1, len(params) // 2 + 1):
            W = params[f"W{i}"]
            inputs = W.shape[0] if W.ndim == 2 else W[0].size
            assert W.std() == pytest.approx(sqrt(2 / inputs), rel=5 / sqrt(2 * W.size)), f"W{i}"
            assert not params[f"b{i}"].any()


def test_a_convnet_fits_the_images_it_is_made_for():
    for image in [(1, 28, 28), (3, 9, 12), (2, 6, 7)]:
        params = nn.init_simple_convnet(0, image, filters=2, hidden=3, classes=4)
        assert nn.predict(nn.simple_convnet(), params, np.zeros((2, *image), np.float32)).shape == (2, 4)


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


def test_a_convnet_draws_each_layer_from_a_spawn_of_its_own():
    simple, deep = nn.init_simple_convnet(11), nn.init_deep_convnet(11)
    alone = [
        (simple, nn.init_conv2d(11, 1, 30, 1, 5)),
        (simple, nn.init_affine(11, 2, 4320, 100)),
        (deep, nn.init_conv2d(11, 5, 64, 32, 3)),
        (deep, nn.init_affine(11, 8, 50, 10)),
    ]
    for params, layer in alone:
        assert all(np.array_equal(params[name], p) for name, p in layer.items())
    assert not np.array_equal(deep["W2"][0, :1], deep["W1"][0])
    rng = np.random.default_rng(4)
    advanced = [nn.init_conv2d(rng, 1, 4, 4, 3)["W1"] for _ in range(2)]
    assert not np.array_equal(*advanced)


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
    with pytest.raises(ValueError, match=r"^init_affine: scale is .*, wanted a number in \[0, inf\)"):
        nn.init_affine(0, 1, 4, 3, scale)
    with pytest.raises(ValueError, match=r"^init_conv2d: scale is .*, wanted a number in \[0, inf\)"):
        nn.init_conv2d(0, 1, 4, 3, 2, scale)
    with pytest.raises(ValueError, match="scale is"):
        nn.init_mlp(0, (4, 3), scale)


def test_a_scale_that_is_none_is_told_the_names():
    message = "init_affine: scale is 'kaiming', wanted a number in [0, inf), 'he' or 'xavier'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.init_affine(0, 1, 4, 3, "kaiming")


@pytest.mark.parametrize("sizes", [(), (784,), 784, None, {784: 10, 10: 2}])
def test_too_few_sizes_are_refused(sizes):
    message = f"init_mlp: sizes is {sizes!r}, wanted at least inputs and outputs"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.init_mlp(0, sizes)


@pytest.mark.parametrize("n", [0, -1, 2.0, None, True, "3", np.nan, (3,)])
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda n: nn.init_affine(0, 1, n, 2), "init_affine: inputs"),
        (lambda n: nn.init_affine(0, 1, 2, n), "init_affine: outputs"),
        (lambda n: nn.init_mlp(0, (3, n, 2)), "init_affine: outputs"),
        (lambda n: nn.init_conv2d(0, 1, n, 2, 3), "init_conv2d: filters"),
        (lambda n: nn.init_conv2d(0, 1, 2, n, 3), "init_conv2d: channels"),
        (lambda n: nn.init_batch_norm(1, n), "init_batch_norm: features"),
        (lambda n: nn.init_simple_convnet(0, filters=n), "init_conv2d: filters"),
        (lambda n: nn.init_simple_convnet(0, hidden=n), "init_affine: outputs"),
        (lambda n: nn.init_simple_convnet(0, classes=n), "init_affine: outputs"),
        (lambda n: nn.init_simple_convnet(0, (n, 28, 28)), "init_conv2d: channels"),
    ],
)
def test_sizes_are_ints_from_one_up(call, says, n):
    with pytest.raises(ValueError, match=rf"^{says} is .*, wanted an int from 1 up"):
        call(n)


@pytest.mark.parametrize("image", [(28, 28), (1, 28, 28, 1), 28, None, "abc"])
def test_an_image_has_channels_height_and_width(image):
    message = f"init_simple_convnet: image is {image!r}, wanted (channels, height, width)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.init_simple_convnet(0, image)


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, complex, object, "U3", "datetime64[s]"])
def test_weights_are_floats(dtype):
    for call in [
        lambda: nn.init_affine(0, 1, 4, 3, dtype=dtype),
        lambda: nn.init_conv2d(0, 1, 4, 3, 2, dtype=dtype),
        lambda: nn.init_batch_norm(1, 4, dtype=dtype),
        lambda: nn.init_mlp(0, (784, 50, 10), dtype=dtype),
        lambda: nn.init_simple_convnet(0, dtype=dtype),
        lambda: nn.init_deep_convnet(0, dtype=dtype),
    ]:
        message = rf"^init_\w+: dtype is {re.escape(str(np.dtype(dtype)))}, wanted floats, float32 say$"
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("rng", [-1, True, "q", 1.5, (-1,)])
def test_a_seed_that_is_none_is_refused_by_name(rng):
    for call in [
        lambda: nn.init_affine(rng, 1, 4, 3),
        lambda: nn.init_conv2d(rng, 1, 4, 3, 2),
        lambda: nn.init_mlp(rng, (4, 3)),
        lambda: nn.init_simple_convnet(rng),
        lambda: nn.init_deep_convnet(rng),
    ]:
        with pytest.raises(ValueError, match=r"^init_\w+: rng is .*, wanted (an int from 0 up|what np.random)"):
            call()


@pytest.mark.parametrize("i", [-1, 1.5, None, True, (1,), b"q"])
def test_a_layer_has_a_number_or_a_name(i):
    for where, call in [
        ("init_affine", lambda: nn.init_affine(0, i, 4, 3)),
        ("init_conv2d", lambda: nn.init_conv2d(0, i, 4, 3, 2)),
        ("init_batch_norm", lambda: nn.init_batch_norm(i, 4)),
    ]:
        with pytest.raises(ValueError, match=f"^{where}: i is {re.escape(repr(i))}, wanted an int from 0 up$"):
            call()


def test_a_layer_with_a_name_draws_from_a_stream_of_its_own():
    """``layers.affine("q")`` finds its weights as Wq and bq; its stream is known by the letters."""
    made = {name: nn.init_affine(3, name, 4, 4, "xavier") for name in ("q", "k", "qk", "重み")}
    for name, params in made.items():
        assert list(params) == [f"W{name}", f"b{name}"]
        stream = np.random.SeedSequence(3, spawn_key=(0, *name.encode()))
        W = sqrt(2 / 8) * np.random.default_rng(stream).standard_normal((4, 4))
        assert np.array_equal(params[f"W{name}"], W.astype(np.float32))
    weights = [params[f"W{name}"] for name, params in made.items()] + [nn.init_affine(3, 0, 4, 4, "xavier")["W0"]]
    assert len({W.tobytes() for W in weights}) == 5
    filters = nn.init_conv2d(3, "q", 2, 1, 2)
    assert nn.layers.conv2d("q")(filters, np.zeros((1, 1, 2, 2), np.float32))[0].shape == (1, 2, 1, 1)


def test_a_number_draws_from_the_stream_that_it_always_had():
    """Weights of the first release: who names a seed, then and now, starts from the same."""
    for i in (0, 1, 7, np.int64(2)):
        stream = np.random.SeedSequence(5, spawn_key=(int(i),))
        W = sqrt(2 / 4) * np.random.default_rng(stream).standard_normal((4, 3))
        assert np.array_equal(nn.init_affine(5, i, 4, 3)[f"W{i}"], W.astype(np.float32))


def test_a_hyper_parameter_of_numpy_widens_nothing():
    assert nn.init_affine(0, 1, 4, 3, np.float64(0.01))["W1"].dtype == np.float32
