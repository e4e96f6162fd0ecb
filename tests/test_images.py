"""Images: shifted and turned ones against slow and independent ways to do the same, and files that are not black."""

import re

import numpy as np
import pytest

import nnfunc as nn

KEY = (3, 14)


@pytest.fixture
def pictures(rng):
    """Noise, since every pixel that goes astray shows in it; higher than wide, so that no axis passes for another."""
    return rng.random((40, 2, 9, 7))


def numbers(N):
    """One pixel in the middle of each of N images."""
    images = np.zeros((N, 1, 11, 11))
    images[:, 0, 5, 5] = 1
    return images


@pytest.mark.parametrize("move", [nn.shift, nn.rotate])
def test_the_same_key_gives_the_same_images_and_another_key_others(move, pictures):
    pictures.flags.writeable = False
    one = move(pictures, KEY)
    assert np.array_equal(one, move(pictures, (np.int64(3), np.uint8(14))))
    for key in [(3, 15), (4, 14), (3,), (3, 14, 0), (14, 3)]:
        assert not np.array_equal(one, move(pictures, key))
    assert one.shape == pictures.shape
    assert not np.shares_memory(one, pictures)


@pytest.mark.parametrize("move", [nn.shift, nn.rotate])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_the_dtype_is_kept(move, dtype, pictures):
    assert move((pictures * 200).astype(dtype), KEY).dtype == dtype


@pytest.mark.parametrize("move", [nn.shift, nn.rotate])
def test_lists_are_taken_and_masks_are_not(move, pictures):
    assert np.array_equal(move(pictures.tolist(), KEY), move(pictures, KEY))
    with pytest.raises(ValueError, match=rf"^{move.__name__}: images is a masked array"):
        move(np.ma.array(pictures), KEY)


@pytest.mark.parametrize("move", [nn.shift, nn.rotate])
def test_no_images_are_no_trouble(move):
    assert move(np.zeros((0, 1, 5, 4), np.float32), KEY).shape == (0, 1, 5, 4)


@pytest.mark.parametrize("move", [nn.shift, nn.rotate])
@pytest.mark.parametrize(
    ("images", "key", "message"),
    [
        (np.zeros((2, 784)), KEY, "images has shape (2, 784) and dtype float64, wanted numbers (N, C, H, W)"),
        (np.zeros((28, 28)), KEY, "images has shape (28, 28) and dtype float64, wanted numbers (N, C, H, W)"),
        ([[[["a"]]]], KEY, "images has shape (1, 1, 1, 1) and dtype <U1, wanted numbers (N, C, H, W)"),
        (np.zeros((1, 1, 4, 4)), 3, "key is 3, wanted a tuple of ints from 0 up"),
        (np.zeros((1, 1, 4, 4)), (), "key is (), wanted a tuple of ints from 0 up"),
        (np.zeros((1, 1, 4, 4)), (3, -1), "key is (3, -1), wanted a tuple of ints from 0 up"),
        (np.zeros((1, 1, 4, 4)), None, "key is None, wanted a tuple of ints from 0 up"),
    ],
)
def test_what_is_no_batch_or_no_key_is_refused(move, images, key, message):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{move.__name__}: {message}')}$"):
        move(images, key)


# Moved


def rolled(image, down, right):
    """A moved image by np.roll: room around it first, so that what is rolled out does not come in again."""
    room = max(image.shape)
    wide = np.roll(np.pad(image, ((0, 0), (room, room), (room, room))), (down, right), axis=(1, 2))
    return wide[:, room:-room, room:-room]


@pytest.mark.parametrize("pixels", [0, 1, 2, np.int64(4), 9])
def test_shift_is_a_roll_with_nothing_coming_in(pictures, pixels):
    p = int(pixels)
    for image, moved in zip(pictures, nn.shift(pictures, KEY, pixels), strict=True):
        steps = [(a, b) for a in range(-p, p + 1) for b in range(-p, p + 1)]
        assert any(np.array_equal(rolled(image, *step), moved) for step in steps)
    if not p:
        assert np.array_equal(nn.shift(pictures, KEY, 0), pictures)


def test_every_move_is_as_likely_as_any_other():
    moved = nn.shift(numbers(10_000), KEY, 2)[:, 0]
    assert (moved.sum(axis=(1, 2)) == 1).all(), "a pixel this far inside stays in"
    counts = moved.sum(axis=0)
    assert not np.delete(np.delete(counts, range(3, 8), 0), range(3, 8), 1).any()
    inner = counts[3:8, 3:8]
    assert inner.sum() == 10_000
    # 400 of each of the 25, with a deviation of 20; up and down do not hang together with left and right
    assert abs(inner - 400).max() < 80


def test_shift_moves_pixels_by_the_formula():
    """The moves are the key's own: those of the SeedSequence that the design names."""
    images = np.arange(30.0).reshape(1, 1, 5, 6) + 1
    a, b = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(14,))).integers(0, 5, 2) - 2
    moved = nn.shift(images, KEY, 2)[0, 0]
    for h in range(5):
        for w in range(6):
            inside = 0 <= h + a < 5 and 0 <= w + b < 6
            assert moved[h, w] == (images[0, 0, h + a, w + b] if inside else 0)


@pytest.mark.parametrize("pixels", [-1, 1.5, 2.0, None, True, np.nan, "2"])
def test_a_move_is_a_whole_number_of_pixels(pixels):
    with pytest.raises(ValueError, match=rf"^shift: pixels is {pixels!r}, wanted an int from 0 up$"):
        nn.shift(np.zeros((1, 1, 4, 4)), KEY, pixels)


# Turned


def turned(image, angle):
    """An image turned counter-clockwise: every pixel is a tent, and an output pixel looks through all of them.

    Bilinear interpolation is the sum of tents ``max(0, 1 - |dh|) * max(0, 1 - |dw|)``. A place is a complex
    number here, to the right and up, and where the light of a pixel comes from is that place turned back.
    """
    H, W = image.shape
    h, w = np.mgrid[:H, :W]
    place = (w - (W - 1) / 2) - 1j * (h - (H - 1) / 2)
    source = place * np.exp(-1j * angle)
    rows, columns = (H - 1) / 2 - source.imag, (W - 1) / 2 + source.real
    tents = [
        np.clip(1 - abs(rows - i), 0, None) * np.clip(1 - abs(columns - j), 0, None) * image[i, j]
        for i in range(H)
        for j in range(W)
    ]
    return sum(tents)


def angles(N, degrees, shape=(9, 7)):
    """The angles of N turned images, read off two ramps that are turned with them."""
    H, W = shape
    h, w = np.mgrid[:H, :W].astype(float)
    ramps = nn.rotate(np.broadcast_to([h, w], (N, 2, H, W)), KEY, degrees)
    middle = ramps[:, :, H // 2, W // 2]
    cos, minus_sin = (ramps[:, :, H // 2 + 1, W // 2] - middle).T  # one pixel down
    sin, cos_too = (ramps[:, :, H // 2, W // 2 + 1] - middle).T  # one pixel to the right
    np.testing.assert_allclose([cos, sin], [cos_too, -minus_sin], atol=1e-12)  # no mirror and no shear,
    np.testing.assert_allclose(cos**2 + sin**2, 1, atol=1e-12)  # and no change of size
    return np.arctan2(sin, cos)


@pytest.mark.parametrize("degrees", [0, 10, 45, 180])
@pytest.mark.parametrize(("H", "W"), [(9, 7), (8, 7), (9, 6), (4, 4)])
def test_a_turn_is_a_sum_of_tents(pictures, degrees, H, W):
    pictures = pictures[:, :, :H, :W]
    wanted = [
        [turned(channel, angle) for channel in image]
        for image, angle in zip(pictures, angles(40, degrees), strict=True)
    ]
    np.testing.assert_allclose(nn.rotate(pictures, KEY, degrees), wanted, atol=1e-12)
    if degrees == 10:
        assert np.array_equal(nn.rotate(pictures, KEY), nn.rotate(pictures, KEY, degrees)), "ten if nothing is said"


def test_no_degrees_change_nothing(pictures):
    assert np.array_equal(nn.rotate(pictures, KEY, 0), pictures)


@pytest.mark.parametrize("degrees", [-1, np.nan, np.inf, None, True, "10", [10]])
def test_the_widest_turn_is_a_number_from_zero_up(degrees):
    with pytest.raises(ValueError, match=r"^rotate: degrees is .*, wanted a number in \[0, inf\)$"):
        nn.rotate(np.zeros((1, 1, 4, 4)), KEY, degrees)


def test_angles_are_uniform_and_as_wide_as_told():
    phi = np.degrees(angles(4000, 25.0))
    assert abs(phi).max() <= 25
    # eight bins of 500 each, with a deviation of 21
    assert abs(np.histogram(phi, 8, (-25, 25))[0] - 500).max() < 90


def test_a_positive_angle_turns_counter_clockwise():
    phi = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(14,))).uniform(-90, 90, 40)
    np.testing.assert_allclose(np.degrees(angles(40, 90)), phi, atol=1e-9)
    right = np.zeros((40, 1, 9, 9))
    right[:, 0, 4, 7] = 1  # on the right goes up for a positive angle, down for a negative one
    after = nn.rotate(right, KEY, 90)[:, 0]
    height = after @ np.ones(9) @ np.arange(4, -5, -1)
    assert (np.sign(height) == np.sign(phi)).all()


def test_a_constant_stays_constant_inside_and_fades_at_the_edge():
    after = nn.rotate(np.ones((50, 1, 15, 15)), KEY, 180)[:, 0]
    h, w = np.mgrid[-7:8, -7:8]
    np.testing.assert_allclose(after[:, np.hypot(h, w) <= 7], 1, atol=1e-12)
    assert after.min() >= 0
    assert after.max() <= 1 + 1e-12
    assert after[:, 0, 0].min() == 0, "a corner sees the outside"


def test_ink_is_neither_made_nor_lost(mnist):
    images = mnist[0][0][:200].reshape(-1, 1, 28, 28)
    ink, after = images.sum(axis=(1, 2, 3)), nn.rotate(images, KEY, 15).sum(axis=(1, 2, 3))
    assert abs(after / ink - 1).max() < 0.03


def test_ints_are_rounded_not_cut():
    grey = np.full((30, 1, 9, 9), 200, np.uint8)
    grey[:, :, ::2] = 201
    floats = nn.rotate(grey.astype(float), KEY, 40)
    assert np.array_equal(nn.rotate(grey, KEY, 40), np.round(floats))
    assert np.array_equal(
        nn.rotate(np.full((30, 1, 9, 9), 255, np.uint8), KEY, 40)[:, :, 3:6, 3:6].ravel(), [255] * 270
    )


# Files


@pytest.mark.traps("T32")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_scaled(dtype):
    grey = np.arange(256) / 255
    pixels = nn.to_uint8(grey.astype(dtype).reshape(16, 16))
    assert pixels.dtype == np.uint8
    assert pixels.ravel().tolist() == list(range(256))


def test_grey_values_are_rounded_to_the_nearest():
    assert nn.to_uint8([0.0, 0.9 / 255, 254.4 / 255, 1.0]).tolist() == [0, 1, 254, 255]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_ints_stay_what_they_are(dtype):
    pixels = nn.to_uint8(np.array([0, 1, 128, 255], dtype))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [0, 1, 128, 255]


@pytest.mark.traps("T32")
def test_bools_are_black_and_white():
    assert nn.to_uint8(np.eye(2) > 0).tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([0.0, 1.01], "float64 runs from 0 to 1.01, wanted 0 to 1"),
        ([-0.01, 1.0], "float64 runs from -0.01 to 1, wanted 0 to 1"),
        (np.float32([0.0, 255.0]), "float32 runs from 0 to 255, wanted 0 to 1"),
        ([0, 256], "int64 runs from 0 to 256, wanted 0 to 255"),
        ([-1, 3], "int64 runs from -1 to 3, wanted 0 to 255"),
        ([0.5, np.nan], "float64 holds nan, wanted 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused_not_wrapped(image, message):
    with pytest.raises(ValueError, match=f"^to_uint8: an image of {re.escape(message)}$"):
        nn.to_uint8(image)


def test_what_is_no_grey_is_refused():
    for image, message in [
        (["a"], "dtype <U1, wanted real"),
        ([1j], "dtype complex"),
        (np.ma.array([0.5]), "is a masked"),
    ]:
        with pytest.raises(ValueError, match=f"^to_uint8: image .*{message}"):
            nn.to_uint8(image)


@pytest.mark.rows("S3-12")
@pytest.mark.traps("T32")
def test_the_first_digit_saved_and_read_again_is_the_first_digit(mnist, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra `images`")
    (raw, _), _ = nn.load_mnist(normalize=False, flatten=False)
    nn.save_image(tmp_path / "5.png", mnist[0][0][0].reshape(28, 28))
    with image.open(tmp_path / "5.png") as picture:
        assert (picture.mode, picture.size, picture.format) == ("L", (28, 28), "PNG")
        pixels = np.asarray(picture)
    assert np.array_equal(pixels, raw[0, 0])
    assert (int(pixels.sum()), np.count_nonzero(pixels), int(pixels.max())) == (27525, 166, 255)


def test_a_file_is_as_high_as_the_array_and_in_the_format_of_its_name(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra `images`")
    nn.save_image(str(tmp_path / "wide.bmp"), [[0, 100, 255]])
    with image.open(tmp_path / "wide.bmp") as picture:
        assert (picture.size, picture.format) == ((3, 1), "BMP")
        assert np.asarray(picture).tolist() == [[0, 100, 255]]


@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (28, 28, 3)])
def test_only_one_grey_image_is_saved(shape, tmp_path):
    with pytest.raises(
        ValueError, match=rf"^save_image: the image has shape {re.escape(str(shape))}, wanted \(H, W\)$"
    ):
        nn.save_image(tmp_path / "x.png", np.zeros(shape))
    assert list(tmp_path.iterdir()) == []
