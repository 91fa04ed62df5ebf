"""Image transforms against closed forms, Pillow and PyTorch's interpolation; random draws against PyTorch's."""
import colorsys
import io
import math

import numpy as np
import pytest

import minitorch
from minitorch.vision import transforms as T
from minitorch.vision import utils
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms import v2

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
rng = np.random.default_rng(1)
RGB = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
GRAY = rng.integers(0, 256, (7, 9), dtype=np.uint8)
KINDS = ["pil", "array", "tensor"]


def as_kind(pixels, kind):
    """(H, W) or (H, W, C) as one of the three kinds of image."""
    if kind == "pil":
        return Image.fromarray(pixels)
    if kind == "array":
        return pixels
    return minitorch.from_numpy(np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)))


def pixels_of(image):
    """Back to (H, W) or (H, W, C)."""
    if isinstance(image, minitorch.Tensor):
        array = image.numpy()
        return array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)
    return np.asarray(image)


def seeded(seed=3):
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    minitorch.manual_seed(seed)
    return torch


# Conversions


@pytest.mark.parametrize("pixels", [RGB, GRAY, RGB[::2, ::-1], RGB[:0]], ids=["rgb", "gray", "strided", "empty"])
def test_to_tensor(pixels):
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    expected = planes.astype(np.float32) / np.float32(255)
    for kind in ("array", "pil") if pixels.size else ("array",):
        tensor = T.ToTensor()(as_kind(np.ascontiguousarray(pixels), kind) if kind == "pil" else pixels)
        assert tensor.dtype == minitorch.float32 and tensor.is_contiguous()
        np.testing.assert_array_equal(tensor.numpy(), expected)


def test_to_tensor_divides_as_torch():
    torch = pytest.importorskip("torch")
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(F.to_tensor(levels)[0].numpy(), torch.from_numpy(levels).float().div(255).numpy())


@pytest.mark.parametrize(
    "image, values, dtype",
    [
        (Image.fromarray(np.array([[0, 70000]], np.int32)), [[0, 70000]], "int32"),
        (Image.fromarray(np.array([[0.0, 1.5]], np.float32)), [[0.0, 1.5]], "float32"),
        (Image.fromarray(np.array([[0, 300]], np.uint16)), [[0, 300]], "int16"),
        (Image.fromarray(np.array([[False, True]])), [[0.0, 1.0]], "float32"),
    ],
    ids=["I", "F", "I;16", "1"],
)
def test_to_tensor_of_other_modes(image, values, dtype):
    tensor = F.to_tensor(image)
    assert tensor.dtype == getattr(minitorch, dtype) and tensor.tolist() == [values]


@pytest.mark.parametrize("name", ["float64", "float16"])
def test_to_tensor_gives_the_default_type(name):
    from minitorch.vision.transforms.arrays import batch_to_tensor

    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    before = minitorch.get_default_dtype()
    minitorch.set_default_dtype(getattr(minitorch, name))
    try:
        one, batch = F.to_tensor(levels), batch_to_tensor(levels[None], T.ToTensor())
    finally:
        minitorch.set_default_dtype(before)
    assert one.dtype == batch.dtype == getattr(minitorch, name)
    np.testing.assert_array_equal(one[0].numpy(), levels.astype(name) / np.array(255, name))
    np.testing.assert_array_equal(batch[0].numpy(), one.numpy())


def test_to_tensor_leaves_other_types_alone():
    tensor = F.to_tensor(np.full((2, 2, 1), 300.0))
    assert tensor.dtype == minitorch.float64 and tensor.max().item() == 300.0
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        F.to_tensor([1, 2])
    with pytest.raises(ValueError, match="1 dimensions"):
        F.to_tensor(np.zeros(3))


def test_pil_to_tensor_keeps_the_values():
    tensor = T.PILToTensor()(Image.fromarray(RGB))
    assert tensor.dtype == minitorch.uint8
    np.testing.assert_array_equal(tensor.numpy(), RGB.transpose(2, 0, 1))
    tensor += 1  # its memory is its own
    with pytest.raises(TypeError):
        T.PILToTensor()(minitorch.zeros(1, 2, 2))


@pytest.mark.parametrize("pixels", [RGB, GRAY, np.dstack([RGB, GRAY]), np.dstack([GRAY, GRAY])])
def test_to_pil_and_back(pixels):
    for image in (pixels, as_kind(pixels, "tensor")):
        np.testing.assert_array_equal(np.asarray(T.ToPILImage()(image)), pixels)
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(F.to_tensor(pixels))), pixels)


def test_to_pil_modes():
    assert F.to_pil_image(RGB, "HSV").mode == "HSV"
    assert F.to_pil_image(minitorch.zeros(3, 4)).size == (4, 3)
    floats = F.to_pil_image(minitorch.full((1, 2, 2), 3.5), mode="F")
    assert floats.mode == "F" and floats.getpixel((0, 0)) == 3.5
    assert F.to_pil_image(np.zeros((2, 2), np.int32)).mode == "I"
    just_under = np.full((1, 1), np.nextafter(100 / 255, 0))  # 99.99... in float64, 100 once it is rounded to float32
    for kind in (np.asarray, minitorch.from_numpy):
        assert F.to_pil_image(kind(just_under)).getpixel((0, 0)) == int(just_under[0, 0] * 255) == 99
        assert F.to_pil_image(kind(just_under.astype(np.float32))).getpixel((0, 0)) == 100
    for bad, message in [
        (minitorch.zeros(5, 2, 2), "> 4 channels"),
        (minitorch.zeros(2), "2/3 dimensional"),
        (np.zeros((2, 2), np.int64), "int64 is not supported"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            F.to_pil_image(bad)
    with pytest.raises(ValueError, match=r"Only modes .* for 3 channels"):
        F.to_pil_image(RGB, "RGBA")
    with pytest.raises(TypeError):
        F.to_pil_image("image")


def test_convert_image_dtype():
    levels = minitorch.tensor([[[0, 1, 128, 255]]], dtype=minitorch.uint8)
    as_float = T.ConvertImageDtype(minitorch.float32)(levels)
    np.testing.assert_array_equal(as_float.numpy()[0, 0], np.array([0, 1, 128, 255], np.float32) / np.float32(255))
    assert F.convert_image_dtype(as_float, minitorch.uint8).tolist() == levels.tolist()
    assert F.convert_image_dtype(levels, minitorch.int16).tolist() == [[[0, 128, 16384, 32640]]]
    wide = minitorch.tensor([[[0, 127, 128, 32767]]], dtype=minitorch.int16)
    assert F.convert_image_dtype(wide, minitorch.uint8).tolist() == [[[0, 0, 1, 255]]]
    assert F.convert_image_dtype(as_float, minitorch.float64).dtype == minitorch.float64
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(as_float, minitorch.int32)


def test_normalize():
    x = rng.random((2, 3, 4, 5), dtype=np.float32)
    mean, std = (0.4, 0.5, 0.6), [0.1, 0.2, 0.4]
    expected = (x - np.float32(mean)[:, None, None]) / np.float32(std)[:, None, None]
    tensor = minitorch.from_numpy(x.copy())
    for image in (tensor, tensor[0]):
        got = T.Normalize(mean, std)(image)
        np.testing.assert_allclose(got.numpy(), expected if image is tensor else expected[0], rtol=1e-6)
    np.testing.assert_array_equal(tensor.numpy(), x)
    assert T.Normalize(0.5, 0.5)(minitorch.zeros(2, 1, 1)).tolist() == [[[-1.0]], [[-1.0]]]
    T.Normalize(mean, std, inplace=True)(tensor)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)


def test_normalize_first_used_in_inference_mode_differentiates_later():
    with minitorch.inference_mode():
        F.normalize(minitorch.zeros(1, 2, 2), 0.125, 0.375)
    x = minitorch.zeros(1, 2, 2, requires_grad=True)
    F.normalize(x, 0.125, 0.375).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / 0.375, rtol=1e-6)


@pytest.mark.parametrize(
    "image, mean, std, error, message",
    [
        (np.zeros((3, 2, 2)), 0, 1, TypeError, "Tensor Image"),
        (minitorch.zeros(3, 2, 2, dtype=minitorch.uint8), 0, 1, TypeError, "float tensor"),
        (minitorch.zeros(2, 2), 0, 1, ValueError, "C, H, W"),
        (minitorch.zeros(3, 2, 2), 0, (1, 0, 1), ValueError, "zero"),
        (minitorch.zeros(3, 2, 2), (0, 0), 1, ValueError, "mean for 3 channels, got 2"),
    ],
)
def test_normalize_refuses(image, mean, std, error, message):
    with pytest.raises(error, match=message):
        F.normalize(image, mean, std)


# Position


@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("kind", KINDS)
def test_moving_pixels(kind, pixels):
    image = as_kind(pixels, kind)
    assert F.get_dimensions(image) == [1 if pixels.ndim == 2 else 3, 7, 9] and F.get_image_size(image) == [9, 7]
    np.testing.assert_array_equal(pixels_of(F.hflip(image)), pixels[:, ::-1])
    np.testing.assert_array_equal(pixels_of(F.vflip(image)), pixels[::-1])
    np.testing.assert_array_equal(pixels_of(F.crop(image, 1, 2, 4, 5)), pixels[1:5, 2:7])
    np.testing.assert_array_equal(pixels_of(T.CenterCrop((4, 5))(image)), pixels[2:6, 2:7])

    border = [(3, 3), (2, 2)] + [(0, 0)] * (pixels.ndim - 2)
    np.testing.assert_array_equal(pixels_of(F.crop(image, -3, -2, 13, 13)), np.pad(pixels, border))
    np.testing.assert_array_equal(pixels_of(F.center_crop(image, 13))[3:10, 2:11], pixels)
    border = [(3, 4), (1, 2)] + [(0, 0)] * (pixels.ndim - 2)
    for mode in ("edge", "reflect", "symmetric"):
        expected = np.pad(pixels, border, mode=mode)
        np.testing.assert_array_equal(pixels_of(F.pad(image, (1, 3, 2, 4), padding_mode=mode)), expected)
    expected = np.pad(pixels, border, constant_values=77)
    np.testing.assert_array_equal(pixels_of(T.Pad((1, 3, 2, 4), fill=77)(image)), expected)
    np.testing.assert_array_equal(pixels_of(F.pad(image, (1, -2))), pixels_of(F.pad(F.crop(image, 2, 0, 3, 9), (1, 0))))


@pytest.mark.parametrize("kind", KINDS)
def test_pad_fills_each_channel(kind):
    padded = pixels_of(F.pad(as_kind(RGB, kind), 1, fill=(1, 2, 3)))
    assert padded[0, 0].tolist() == [1, 2, 3] and padded.shape == (9, 11, 3)


def test_arrays_only_move():
    with pytest.raises(TypeError, match="PIL Image or Tensor"):
        F.resize(RGB, 3)
    with pytest.raises(TypeError, match="got shape"):
        F.hflip(minitorch.zeros(3))
    for bad, message in [((1, 2, 3), "3 element"), (1, "one of")]:
        with pytest.raises(ValueError, match=message):
            F.pad(RGB, bad, padding_mode="wrap" if bad == 1 else "constant")


def test_five_and_ten_crop():
    image = as_kind(RGB, "tensor")
    crops = T.FiveCrop((2, 3))(image)
    expected = [RGB[:2, :3], RGB[:2, 6:], RGB[5:, :3], RGB[5:, 6:], RGB[2:4, 3:6]]
    for crop, part in zip(crops, expected):
        np.testing.assert_array_equal(pixels_of(crop), part)
    assert len(T.TenCrop(2)(image)) == 10
    np.testing.assert_array_equal(pixels_of(T.TenCrop((2, 3), vertical_flip=True)(image)[5]), RGB[::-1][:2, :3])
    with pytest.raises(ValueError, match="bigger than input size"):
        F.five_crop(image, 8)


# Resizing


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(4, 5), (14, 11), (3, 20), (1, 1)])
def test_resize_as_torch(mode, antialias, size):
    torch = pytest.importorskip("torch")
    x = rng.random((2, 3, 7, 9), dtype=np.float32)
    smooth = mode.startswith("bi")
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size, mode=mode, align_corners=False if smooth else None, antialias=smooth and antialias
    )
    got = F.resize(minitorch.from_numpy(x), size, T.InterpolationMode(mode), antialias=antialias)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=2e-6)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resize_of_bytes_is_pillows_but_for_rounding(mode):
    size, code = (4, 6), T.InterpolationMode(mode)
    by_pillow = np.asarray(F.resize(Image.fromarray(RGB), size, code)).astype(int)
    by_us = pixels_of(F.resize(as_kind(RGB, "tensor"), size, code))
    assert by_us.dtype == np.uint8 and np.abs(by_us - by_pillow).max() <= 1


@pytest.mark.parametrize(
    "size, max_size, expected",
    [(14, None, (14, 18)), ([5], None, (5, 6)), ((3, 4), None, (3, 4)), (14, 16, (12, 16)), (7, None, (7, 9))],
)
def test_resized_size(size, max_size, expected):
    assert T.Resize(size, max_size=max_size)(minitorch.zeros(3, 7, 9)).shape[-2:] == expected
    assert T.Resize(size, max_size=max_size)(minitorch.zeros(3, 9, 7)).shape[-2:] == (
        expected if isinstance(size, tuple) else expected[::-1]
    )


def test_resize_refuses():
    image = minitorch.zeros(3, 7, 9)
    for arguments, message in [
        ({"size": (1, 2, 3)}, "1 or 2 element"),
        ({"size": 5, "max_size": 5}, "strictly greater"),
        ({"size": (2, 3), "max_size": 5}, "int size only"),
        ({"size": 3, "interpolation": T.InterpolationMode.LANCZOS}, "PIL images only"),
    ]:
        with pytest.raises(ValueError, match=message):
            F.resize(image, **arguments)
    with pytest.raises(TypeError, match="InterpolationMode"):
        F.resize(image, 3, interpolation=3.5)
    assert F.resize(Image.fromarray(RGB), (3, 4), 1).size == (4, 3)  # 1: Pillow's code of Lanczos


def test_resize_has_a_gradient():
    x = minitorch.ones(1, 4, 4, requires_grad=True)
    F.resize(x, (2, 2)).sum().backward()
    assert x.grad.sum().item() == pytest.approx(4.0)


# Rotation and affine maps


@pytest.mark.parametrize("kind", ["pil", "tensor"])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4])
def test_quarter_turns(kind, quarters):
    square = RGB[:, :7]
    np.testing.assert_array_equal(pixels_of(F.rotate(as_kind(square, kind), 90 * quarters)), np.rot90(square, quarters))
    turned = F.rotate(as_kind(RGB, kind), 90 * quarters, expand=True)
    np.testing.assert_array_equal(pixels_of(turned), np.rot90(RGB, quarters))


@pytest.mark.parametrize("angle", [13, -37.5, 122])
@pytest.mark.parametrize("arguments", [{}, {"expand": True}, {"center": (2, 3)}, {"fill": 9}], ids=str)
def test_rotation_of_tensors_is_pillows(angle, arguments):
    """Every pixel but a few, where the sampled point falls between two pixels."""
    by_pillow = np.asarray(F.rotate(Image.fromarray(RGB), angle, **arguments))
    by_us = pixels_of(F.rotate(as_kind(RGB, "tensor"), angle, **arguments))
    assert by_us.shape == by_pillow.shape
    assert np.mean((by_us == by_pillow).all(-1)) > 0.97


def test_translation_scale_and_shear():
    image = as_kind(RGB, "tensor")
    moved = pixels_of(F.affine(image, 0, (2, -1), 1.0, 0))
    np.testing.assert_array_equal(moved[:-1, 2:], RGB[1:, :-2])
    assert not moved[-1].any() and not moved[:, :2].any()
    square = RGB[:6, :6]
    doubled = pixels_of(F.affine(as_kind(square, "tensor"), 0, (0, 0), 2.0, 0))
    np.testing.assert_array_equal(doubled[1:5, 1:5], np.repeat(np.repeat(square[2:4, 2:4], 2, 0), 2, 1))
    # a shear of 45 degrees in x moves a row at distance d from the middle by d pixels
    sheared = pixels_of(F.affine(as_kind(GRAY, "tensor"), 0, (0, 0), 1.0, (45.0, 0.0)))
    for row in range(7):
        shift = 3 - row
        inside = [column for column in range(9) if 0 <= column - shift < 9]
        assert [sheared[row, c] for c in inside] == [GRAY[row, c - shift] for c in inside]


@pytest.mark.parametrize("kind", ["pil", "tensor"])
def test_affine_turns_clockwise(kind):
    square = as_kind(RGB[:, :7], kind)
    np.testing.assert_array_equal(pixels_of(F.affine(square, 90, (0, 0), 1.0, 0)), np.rot90(RGB[:, :7], -1))


@pytest.mark.parametrize("params", [(20, (1, -2), 1.3, (10, -5)), (-70, (0, 0), 0.7, 15.0)])
def test_affine_of_tensors_is_pillows(params):
    by_pillow = np.asarray(F.affine(Image.fromarray(RGB), *params, fill=7))
    by_us = pixels_of(F.affine(as_kind(RGB, "tensor"), *params, fill=7))
    assert np.mean((by_us == by_pillow).all(-1)) > 0.95


def test_bilinear_sampling_is_exact_on_a_plane():
    """Bilinear interpolation reproduces a linear function; outside of the image is the fill value."""
    y, x = np.mgrid[:20, :30] + 0.5
    plane = minitorch.from_numpy((2 * x - 3 * y).astype(np.float32)[None])
    turn = math.radians(25)
    turned = F.rotate(plane, 25, T.InterpolationMode.BILINEAR, fill=1000.0).numpy()[0]
    source_x = math.cos(turn) * (x - 15) - math.sin(turn) * (y - 10) + 15
    source_y = math.sin(turn) * (x - 15) + math.cos(turn) * (y - 10) + 10
    inside = (source_x > 0.5) & (source_x < 29.5) & (source_y > 0.5) & (source_y < 19.5)
    np.testing.assert_allclose(turned[inside], (2 * source_x - 3 * source_y)[inside], atol=1e-3)
    outside = (source_x < -0.5) | (source_x > 30.5) | (source_y < -0.5) | (source_y > 20.5)
    assert outside.any() and (turned[outside] == 1000).all()
    with pytest.raises(ValueError, match="PIL images only"):
        F.rotate(plane, 5, T.InterpolationMode.BICUBIC)
    with pytest.raises(ValueError, match="scale should be positive"):
        F.affine(plane, 0, (0, 0), 0.0, 0)


def test_affine_matrix_is_torchvisions():
    """Rotation, then shear in y, then in x, as torchvision documents it; seen on a plane, which sampling preserves."""
    angle, translate, scale, shear = 20.0, (1, -2), 1.4, (12.0, -7.0)
    a, sx, sy = (math.radians(value) for value in (angle, *shear))
    turn = np.array([
        [math.cos(a - sy) / math.cos(sy), -math.cos(a - sy) * math.tan(sx) / math.cos(sy) - math.sin(a)],
        [math.sin(a - sy) / math.cos(sy), -math.sin(a - sy) * math.tan(sx) / math.cos(sy) + math.cos(a)],
    ])
    y, x = np.mgrid[:20, :30] + 0.5
    offset = np.stack([x - 15 - translate[0], y - 10 - translate[1]]).reshape(2, -1)
    source_x, source_y = (np.linalg.inv(scale * turn) @ offset + [[15], [10]]).reshape(2, 20, 30)
    plane = minitorch.from_numpy((2 * x - 3 * y).astype(np.float32)[None])
    moved = F.affine(plane, angle, translate, scale, shear, T.InterpolationMode.BILINEAR).numpy()[0]
    inside = (source_x > 0.5) & (source_x < 29.5) & (source_y > 0.5) & (source_y < 19.5)
    assert inside.sum() > 300
    np.testing.assert_allclose(moved[inside], (2 * source_x - 3 * source_y)[inside], atol=1e-3)


# Colour


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_color_factors(name, factor):
    x = rng.random((3, 4, 5), dtype=np.float32)
    gray = 0.2989 * x[0] + 0.587 * x[1] + 0.114 * x[2]
    other = {"brightness": 0.0, "contrast": gray.mean(), "saturation": gray}[name]
    adjust = getattr(F, f"adjust_{name}")
    expected = np.clip(factor * x + (1 - factor) * other, 0, 1)
    np.testing.assert_allclose(adjust(minitorch.from_numpy(x), factor).numpy(), expected, atol=1e-5)
    by_pillow = np.asarray(adjust(Image.fromarray(RGB), factor)).astype(int)
    by_us = adjust(as_kind(RGB, "tensor"), factor)
    assert by_us.dtype == minitorch.uint8
    assert np.abs(pixels_of(by_us) - by_pillow).max() <= 2
    with pytest.raises(ValueError, match="non-negative"):
        adjust(Image.fromarray(RGB), -0.1)


@pytest.mark.parametrize("factor", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hue(factor):
    x = rng.random((3, 4, 5), dtype=np.float32)
    x[:, 0, 0] = 0.5  # grey: no hue
    expected = np.empty_like(x)
    for i in np.ndindex(4, 5):
        h, s, v = colorsys.rgb_to_hsv(*x[(slice(None), *i)].tolist())
        expected[(slice(None), *i)] = colorsys.hsv_to_rgb((h + factor) % 1, s, v)
    np.testing.assert_allclose(F.adjust_hue(minitorch.from_numpy(x), factor).numpy(), expected, atol=1e-5)
    by_pillow = np.asarray(F.adjust_hue(Image.fromarray(RGB), factor)).astype(int)
    difference = np.abs(pixels_of(F.adjust_hue(as_kind(RGB, "tensor"), factor)) - by_pillow)
    assert difference.mean() < 4  # Pillow rounds hue and saturation to 8 bits
    with pytest.raises(ValueError, match="not in"):
        F.adjust_hue(Image.fromarray(RGB), 0.6)
    assert F.adjust_hue(Image.fromarray(GRAY), factor).mode == "L"


@pytest.mark.parametrize("channels", [1, 3])
def test_grayscale(channels):
    by_pillow = np.asarray(T.Grayscale(channels)(Image.fromarray(RGB))).astype(int)
    by_us = pixels_of(T.Grayscale(channels)(as_kind(RGB, "tensor")))
    assert by_us.shape == by_pillow.shape == ((7, 9) if channels == 1 else (7, 9, 3))
    assert np.abs(by_us - by_pillow).max() <= 1
    with pytest.raises(ValueError, match="1 or 3"):
        F.to_grayscale(as_kind(RGB, "tensor"), 2)


# Random transforms: the same draws as torchvision's, written out in torch


@pytest.mark.parametrize("kind", KINDS)
def test_random_crop(kind):
    for seed in range(5):
        torch = seeded(seed)
        padded = np.pad(RGB, [(2, 2), (2, 2), (0, 0)], mode="reflect")
        top = torch.randint(0, 11 - 7 + 1, size=(1,)).item()
        left = torch.randint(0, 13 - 8 + 1, size=(1,)).item()
        got = T.RandomCrop((7, 8), padding=2, padding_mode="reflect")(as_kind(RGB, kind))
        np.testing.assert_array_equal(pixels_of(got), padded[top : top + 7, left : left + 8])
        assert minitorch.rand(1).item() == torch.rand(1).item()


def test_random_crop_of_small_images():
    image = as_kind(RGB, "tensor")
    assert T.RandomCrop(12, pad_if_needed=True)(image).shape == (3, 12, 12)
    with pytest.raises(ValueError, match=r"size \(12, 12\) is larger than input image size \(7, 9\)"):
        T.RandomCrop(12)(image)
    minitorch.manual_seed(0)
    before = minitorch.get_rng_state()
    assert T.RandomCrop((7, 9))(image).tolist() == image.tolist()
    assert before.tolist() == minitorch.get_rng_state().tolist()  # nothing to choose, nothing drawn


@pytest.mark.parametrize("flip, mirrored", [(T.RandomHorizontalFlip, RGB[:, ::-1]), (T.RandomVerticalFlip, RGB[::-1])])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_random_flips(flip, mirrored, p):
    torch = seeded()
    for _ in range(10):
        flipped = torch.rand(1).item() < p
        np.testing.assert_array_equal(flip(p)(RGB), mirrored if flipped else RGB)


def test_random_resized_crop():
    torch = seeded()
    image = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    low, high = torch.log(torch.tensor((3 / 4, 4 / 3)))
    for _ in range(5):
        for _ in range(10):
            area = 60 * 80 * torch.empty(1).uniform_(0.08, 1.0).item()
            ratio = torch.exp(torch.empty(1).uniform_(low, high)).item()
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= 80 and 0 < height <= 60:
                break
        top, left = (torch.randint(0, n, size=(1,)).item() for n in (60 - height + 1, 80 - width + 1))
        expected = image.crop((left, top, left + width, top + height)).resize((24, 20), 2)
        np.testing.assert_array_equal(np.asarray(T.RandomResizedCrop((20, 24))(image)), np.asarray(expected))


@pytest.mark.parametrize(
    "size, ratio, expected",
    [
        ((4, 100), (0.5, 2.0), (0, 46, 4, 8)),
        ((100, 4), (0.5, 2.0), (46, 0, 8, 4)),
        ((8, 8), (0.9, 1.1), (0, 0, 8, 8)),
    ],
)
def test_random_resized_crop_falls_back_to_the_middle(size, ratio, expected):
    assert T.RandomResizedCrop.get_params(minitorch.zeros(1, *size), (5.0, 5.0), ratio) == expected


def test_color_jitter():
    torch = seeded()
    jitter = T.ColorJitter(0.4, (0.5, 1.5), 0.2, 0.1)
    order = torch.randperm(4).tolist()
    ranges = [(0.6, 1.4), (0.5, 1.5), (0.8, 1.2), (-0.1, 0.1)]
    factors = [torch.empty(1).uniform_(*limits).item() for limits in ranges]
    image = expected = Image.fromarray(RGB)
    for i in order:
        expected = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)[i](expected, factors[i])
    np.testing.assert_array_equal(np.asarray(jitter(image)), np.asarray(expected))
    np.testing.assert_array_equal(np.asarray(T.ColorJitter()(image)), RGB)
    assert T.ColorJitter(brightness=3).brightness == (0.0, 4.0)
    for bad in ({"brightness": -1}, {"hue": 0.7}, {"contrast": (2, 1)}):
        with pytest.raises(ValueError):
            T.ColorJitter(**bad)


def test_random_rotation_and_affine():
    torch = seeded()
    image = Image.fromarray(RGB)
    angle = torch.empty(1).uniform_(-30.0, 30.0).item()
    np.testing.assert_array_equal(np.asarray(T.RandomRotation(30)(image)), np.asarray(image.rotate(angle)))

    params = T.RandomAffine.get_params([-10.0, 20.0], (0.2, 0.3), (0.5, 1.5), [-5.0, 5.0, 1.0, 2.0], [40, 20])
    angle = torch.empty(1).uniform_(-10.0, 20.0).item()
    shift = tuple(round(torch.empty(1).uniform_(-reach, reach).item()) for reach in (8.0, 6.0))
    rest = [torch.empty(1).uniform_(*limits).item() for limits in ((0.5, 1.5), (-5.0, 5.0), (1.0, 2.0))]
    assert params == (angle, shift, rest[0], (rest[1], rest[2]))
    assert T.RandomAffine(0, shear=5).shear == [-5.0, 5.0]
    assert T.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5)(image).size == image.size
    for degrees, others in ((-1, {}), ((1, 2, 3), {}), (0, {"translate": (2, 0)}), (0, {"scale": (0, 1)})):
        with pytest.raises(ValueError):
            T.RandomAffine(degrees, **others)


def test_random_grayscale_keeps_the_channels():
    assert pixels_of(T.RandomGrayscale(1.0)(as_kind(RGB, "tensor"))).shape == RGB.shape
    assert T.RandomGrayscale(1.0)(Image.fromarray(RGB)).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(T.RandomGrayscale(0.0)(Image.fromarray(RGB))), RGB)


@pytest.mark.parametrize("value", [0, (0.1, 0.2, 0.3), "random"])
def test_random_erasing(value):
    image = minitorch.ones(3, 20, 30)
    torch = seeded()
    torch.rand(1)
    low, high = torch.log(torch.tensor((0.3, 3.3)))
    while True:
        area = 600 * torch.empty(1).uniform_(0.02, 0.33).item()
        ratio = torch.exp(torch.empty(1).uniform_(low, high)).item()
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height < 20 and width < 30:
            break
    if value == "random":
        patch = torch.empty([3, height, width]).normal_().numpy()
    else:
        patch = np.float32(value) if value == 0 else np.float32(value)[:, None, None]
    top, left = (torch.randint(0, n, size=(1,)).item() for n in (20 - height + 1, 30 - width + 1))
    expected = np.ones((3, 20, 30), np.float32)
    expected[:, top : top + height, left : left + width] = patch
    np.testing.assert_array_equal(T.RandomErasing(1.0, value=value)(image).numpy(), expected)
    assert image.min().item() == 1.0
    assert T.RandomErasing(0.0)(image) is image


def test_random_erasing_refuses():
    for arguments, message in [
        ({"value": "noise"}, "noise"),
        ({"scale": (0.5, 2)}, "Scale"),
        ({"p": 2}, "probability"),
    ]:
        with pytest.raises(ValueError, match=message):
            T.RandomErasing(**arguments)
    with pytest.raises(ValueError, match="1 or 3 numbers"):
        T.RandomErasing(1.0, value=(1, 2))(minitorch.zeros(3, 8, 8))
    with pytest.raises(TypeError, match="Tensor Image"):
        T.RandomErasing(1.0)(Image.fromarray(RGB))


def test_transforms_of_transforms():
    torch = seeded()
    double = T.Lambda(lambda x: 2 * x)
    for _ in range(10):
        applied = torch.rand(1).item() <= 0.3
        assert T.RandomApply([double, double], p=0.3)(1) == (4 if applied else 1)
    assert T.Compose([double, T.Compose([double])])(1) == 4
    assert {T.RandomChoice([double, T.Lambda(lambda x: -x)])(1) for _ in range(50)} == {2, -1}
    assert T.RandomChoice([double, T.Lambda(lambda x: -x)], p=[0, 1])(1) == -1
    assert {T.RandomOrder([double, T.Lambda(lambda x: x + 1)])(1) for _ in range(50)} == {3, 4}
    with pytest.raises(TypeError, match="callable"):
        T.Lambda(3)
    with pytest.raises(ValueError, match="2 probabilities"):
        T.RandomChoice([double, double], p=[1.0])


def test_transforms_are_modules_that_print():
    pipeline = T.Compose([T.RandomCrop(32, padding=4), T.Resize(8), T.ToTensor(), T.Normalize((0.5,), (0.5,))])
    assert repr(pipeline) == (
        "Compose(\n    RandomCrop(size=(32, 32), padding=4)\n"
        "    Resize(size=8, interpolation=bilinear, max_size=None, antialias=True)\n"
        "    ToTensor()\n    Normalize(mean=(0.5,), std=(0.5,))\n)"
    )
    chain = minitorch.nn.Sequential(T.CenterCrop(2), T.Normalize(0.5, 0.5))
    assert chain(minitorch.zeros(1, 4, 4)).tolist() == [[[-1.0, -1.0], [-1.0, -1.0]]]


# Grids and files


def test_make_grid():
    images = rng.random((5, 3, 4, 6), dtype=np.float32)
    grid = utils.make_grid(minitorch.from_numpy(images), nrow=3, padding=1, pad_value=0.5)
    assert grid.shape == (3, 2 * 5 + 1, 3 * 7 + 1)
    expected = np.full(grid.shape, 0.5, np.float32)
    for k, image in enumerate(images):
        top, left = k // 3 * 5 + 1, k % 3 * 7 + 1
        expected[:, top : top + 4, left : left + 6] = image
    np.testing.assert_array_equal(grid.numpy(), expected)
    as_list = utils.make_grid([minitorch.from_numpy(image) for image in images], nrow=3, padding=1, pad_value=0.5)
    np.testing.assert_array_equal(as_list.numpy(), expected)


def test_make_grid_of_one_and_of_gray():
    gray = minitorch.arange(6).reshape(2, 3).float()
    assert utils.make_grid(gray).shape == utils.make_grid(gray.reshape(1, 2, 3)).shape == (3, 2, 3)
    assert utils.make_grid(gray.reshape(1, 1, 2, 3).expand(2, 1, 2, 3)).shape == (3, 6, 12)
    with pytest.raises(TypeError, match="tensor or list of tensors"):
        utils.make_grid(np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="got"):
        utils.make_grid(minitorch.zeros(3))


def test_make_grid_normalizes():
    images = minitorch.stack([minitorch.full((3, 2, 2), 1.0), minitorch.full((3, 2, 2), 5.0)])
    images[0, 0, 0, 0] = -3.0
    both = utils.make_grid(images, normalize=True, padding=0)
    assert both.max().item() == 1.0 and both[1, 0, 0].item() == pytest.approx(0.5)
    assert utils.make_grid(images, normalize=True, value_range=(0, 2), padding=0).min().item() == 0.0
    each = utils.make_grid(images, normalize=True, scale_each=True, padding=0)
    assert each[1, 0, 0].item() == pytest.approx(1.0)
    assert images.min().item() == -3.0


def test_save_image():
    file = io.BytesIO()
    utils.save_image(F.to_tensor(RGB), file, format="png")
    np.testing.assert_array_equal(np.asarray(Image.open(file)), RGB)


# Tone, sharpness, warps: closed forms, Pillow, torchvision


def test_tone_curves_on_tensors():
    x = minitorch.tensor([[[0, 100, 255]]], dtype=minitorch.uint8)
    assert F.invert(x).tolist() == [[[255, 155, 0]]]
    assert F.solarize(x, 100).tolist() == [[[0, 155, 0]]]
    assert F.posterize(x, 2).tolist() == [[[0, 64, 192]]]
    assert F.autocontrast(minitorch.tensor([[[10.0, 20.0, 30.0]]]) / 40).tolist() == [[[0.0, 0.5, 1.0]]]
    assert F.autocontrast(x[..., :1]).tolist() == [[[0]]]
    assert F.adjust_gamma(x, 2.0).tolist() == [[[0, 39, 255]]]
    with pytest.raises(TypeError, match="Threshold should be less than bound"):
        F.solarize(x, 256)
    with pytest.raises(TypeError, match="1 or 3, but found 2"):
        F.invert(minitorch.zeros(2, 3, 3))
    with pytest.raises(ValueError, match="non-negative"):
        F.adjust_gamma(x, -1)


@pytest.mark.parametrize("name, arguments, tolerance", [
    ("invert", (), 0), ("posterize", (3,), 0), ("solarize", (90,), 0), ("autocontrast", (), 1), ("equalize", (), 0),
    ("adjust_sharpness", (2.5,), 1), ("adjust_sharpness", (0.3,), 1), ("adjust_gamma", (1.7, 1.1), 1),
])  # fmt: skip
@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
def test_tensors_agree_with_pillow(name, arguments, tolerance, pixels):
    by_pillow = np.asarray(getattr(F, name)(as_kind(pixels, "pil"), *arguments)).astype(int)
    by_tensor = pixels_of(getattr(F, name)(as_kind(pixels, "tensor"), *arguments)).astype(int)
    assert np.abs(by_pillow - by_tensor).max() <= tolerance


def test_gaussian_blur():
    image = np.zeros((1, 9, 11), np.float64)
    image[0, 4, 5] = 1
    x, y = np.arange(-2, 3), np.arange(-1, 2)
    across, down = np.exp(-(x**2) / (2 * 0.7**2)), np.exp(-(y**2) / (2 * 1.3**2))
    expected = np.outer(down / down.sum(), across / across.sum())
    got = F.gaussian_blur(minitorch.from_numpy(image), (5, 3), (0.7, 1.3))
    np.testing.assert_allclose(got[0, 3:6, 3:8].numpy(), expected, rtol=1e-6)
    assert got.sum().item() == pytest.approx(1)
    flat = F.gaussian_blur(as_kind(np.full((8, 8), 77, np.uint8), "pil"), 7)
    assert np.asarray(flat).tolist() == [[77] * 8] * 8 and flat.mode == "L"
    for bad, message in (((4,), "odd"), (([3, 3, 3],), "length should be 2"), ((3, -1.0), "positive")):
        with pytest.raises(ValueError, match=message):
            F.gaussian_blur(minitorch.zeros(1, 5, 5), *bad)


def test_perspective_and_elastic_identity():
    corners = [[0, 0], [8, 0], [8, 6], [0, 6]]
    for kind in ("pil", "tensor"):
        unmoved = pixels_of(F.perspective(as_kind(RGB, kind), corners, corners))
        assert np.abs(unmoved.astype(int) - RGB).max() <= 1
        still = minitorch.zeros(1, 7, 9, 2)
        np.testing.assert_array_equal(pixels_of(F.elastic_transform(as_kind(RGB, kind), still)), RGB)
    one_right = still + minitorch.tensor([2 / 9, 0.0])
    moved = F.elastic_transform(as_kind(GRAY, "tensor"), one_right, fill=5)
    np.testing.assert_array_equal(moved[0, :, :-1].numpy(), GRAY[:, 1:])
    assert (moved[0, :, -1] == 5).all()
    with pytest.raises(ValueError, match=r"should be \(1, 7, 9, 2\)"):
        F.elastic_transform(as_kind(RGB, "tensor"), still[:, 1:])
    with pytest.raises(ValueError, match="greater than 0"):
        F.resize(as_kind(RGB, "tensor"), (0, 4))
    with pytest.raises(ValueError, match="four corners"):
        F.perspective(as_kind(RGB, "pil"), corners[:3], corners[:3])


def test_linear_transformation():
    matrix, mean = minitorch.randn(12, 12), minitorch.randn(12)
    x = minitorch.randn(2, 3, 2, 2)
    got = T.LinearTransformation(matrix, mean)(x)
    expected = (x.numpy().reshape(2, 12) - mean.numpy()) @ matrix.numpy()
    np.testing.assert_allclose(got.numpy().reshape(2, 12), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="square"):
        T.LinearTransformation(matrix[:4], mean)
    with pytest.raises(ValueError, match="incompatible shape"):
        T.LinearTransformation(matrix, mean)(x[..., :1])


# A smooth image: no pixel decides by a hair
SMOOTH = (np.add.outer(np.arange(23) * 5, np.arange(31) * 4)[..., None] + [0, 9, 20]).astype(np.uint8)
BILINEAR = T.InterpolationMode.BILINEAR
AUGMENTATIONS = {
    "RandomInvert": {"p": 0.7}, "RandomPosterize": {"bits": 3}, "RandomSolarize": {"threshold": 100},
    "RandomAdjustSharpness": {"sharpness_factor": 2.0}, "RandomAutocontrast": {}, "RandomEqualize": {},
    "GaussianBlur": {"kernel_size": 5}, "RandomPerspective": {"p": 0.9, "fill": 7}, "ElasticTransform": {"fill": 3},
    "AutoAugment": {"interpolation": BILINEAR, "fill": 9}, "RandAugment": {"num_ops": 3, "interpolation": BILINEAR},
    "TrivialAugmentWide": {"interpolation": BILINEAR}, "AugMix": {},
    "RandomRotation": {"degrees": 40, "interpolation": BILINEAR, "expand": True, "fill": 50},
    "RandomAffine": {"degrees": 17, "translate": (0.2, 0.2), "shear": 20, "interpolation": BILINEAR, "fill": 20},
}  # fmt: skip


def as_theirs(value):
    theirs = pytest.importorskip("torchvision.transforms")
    return getattr(theirs.InterpolationMode, value.name) if isinstance(value, T.InterpolationMode) else value


def assert_nearly(got, expected):
    """Bytes that differ by rounding; a tenth of a percent of them by the side of a threshold."""
    difference = np.abs(got.astype(int) - expected.astype(int))
    assert got.shape == expected.shape and np.mean(difference > 1) <= 0.02 and np.median(difference) <= 1


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_draw_as_torchvision(name, version):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.transforms" + (".v2" if version == "v2" else ""))
    arguments = AUGMENTATIONS[name]
    ours = getattr(T if version == "v1" else v2, name)(**arguments)
    other = getattr(theirs, name)(**{key: as_theirs(value) for key, value in arguments.items()})
    planes = np.ascontiguousarray(SMOOTH.transpose(2, 0, 1))
    for seed in range(4):
        for image, copy in ((Image.fromarray(SMOOTH), Image.fromarray(SMOOTH)),
                            (minitorch.from_numpy(planes), torch.from_numpy(planes))):
            seeded(seed)
            got, expected = ours(image), other(copy)
            assert_nearly(pixels_of(got), expected.numpy().transpose(1, 2, 0) if isinstance(expected, torch.Tensor)
                          else np.asarray(expected))
            assert minitorch.rand(1).item() == torch.rand(1).item()


def test_old_names_of_arguments():
    assert T.RandomRotation(10, resample=2).interpolation is BILINEAR
    grid = utils.make_grid(minitorch.arange(8.0).reshape(2, 1, 2, 2), padding=0, normalize=True, range=(0, 7))
    assert grid[0, 0].tolist() == pytest.approx([0, 1 / 7, 4 / 7, 5 / 7])
    with pytest.raises(TypeError, match="value_range has to be a tuple"):
        utils.make_grid(grid, normalize=True, value_range=3)
    with pytest.raises(AttributeError, match="nearest that exists is 'RandomCrop'"):
        T.RandomCrops  # noqa: B018


# v2: whole samples


def test_samples_keep_their_structure():
    flip = v2.RandomHorizontalFlip(p=1.0)
    image = minitorch.arange(6.0).reshape(1, 2, 3)
    other = minitorch.ones(1, 2, 3)
    sample = {"image": image, "target": [3, "name", other], "pair": (None, 2.5)}
    got = flip(sample)
    assert got["image"].tolist() == image.flip(-1).tolist() and got["target"][2] is other  # the first tensor only
    assert got["target"][:2] == [3, "name"] and got["pair"] == (None, 2.5)
    out, label = flip(image, 7)
    assert out.tolist() == got["image"].tolist() and label == 7
    pictures = [Image.fromarray(RGB), Image.fromarray(RGB)]
    for _ in range(8):
        first, second, passed = v2.RandomResizedCrop(5)(*pictures, image)
        assert passed is image
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_v2_conversions():
    picture = Image.fromarray(RGB)
    pipeline = v2.Compose([v2.ToImage(), v2.ToDtype(minitorch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    got, label = pipeline(picture, 4)
    np.testing.assert_allclose(got.numpy(), RGB.transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    assert label == 4 and v2.ToImage()(GRAY).shape == (1, 7, 9)
    plain = v2.ToDtype(minitorch.float32)(minitorch.tensor([[[7]]], dtype=minitorch.uint8))
    assert plain.dtype == minitorch.float32 and plain.item() == 7
    assert v2.ToDtype({minitorch.Tensor: None})(plain) is plain
    with pytest.raises(ValueError, match="No dtype was specified"):
        v2.ToDtype({int: minitorch.float32})(plain)
    with pytest.warns(UserWarning, match="deprecated"):
        assert v2.ToTensor()(picture).max().item() <= 1
    assert v2.ToPILImage()(v2.PILToTensor()(picture)).tobytes() == picture.tobytes()
    gray = as_kind(GRAY, "tensor")
    assert v2.RGB()(gray).shape == (3, 7, 9) and v2.Identity()(gray) is gray
    assert v2.Lambda(lambda x: -x, int)((3, "a")) == (-3, "a")


class Brighter(v2.Transform):
    def make_params(self, flat_inputs):
        return {"by": len(flat_inputs)}

    def transform(self, inpt, params):
        return inpt + params["by"]


def test_v2_containers_and_own_transforms():
    x = minitorch.zeros(1, 2, 2)
    assert Brighter()(x, 3)[0].max().item() == 1
    assert v2.RandomApply([Brighter()], p=1.0)(x).max().item() == 1 and v2.RandomApply([Brighter()], p=0.0)(x) is x
    assert v2.RandomOrder([Brighter(), Brighter()])(x).max().item() == 2
    assert v2.RandomChoice([Brighter(), v2.Identity()], p=[0.0, 2.0])(x) is x
    assert "Brighter()" in repr(v2.Compose([Brighter()]))
    for bad, error in ((lambda: v2.Compose([]), ValueError), (lambda: v2.Compose(3), TypeError),
                       (lambda: v2.RandomChoice([Brighter()], p=[1, 2]), ValueError)):
        with pytest.raises(error):
            bad()
    with pytest.raises(NotImplementedError, match="must define transform"):
        v2.Transform()(x)
    with pytest.raises(AttributeError, match="'SanitizeBoundingBoxes'"):
        v2.SanitizeBoundingBoxes  # noqa: B018


@pytest.mark.parametrize("name, arguments", [
    ("RandomCrop", {"size": (7, 5)}), ("RandomCrop", {"size": 9, "padding": 2}),
    ("RandomCrop", {"size": 12, "pad_if_needed": True}), ("ColorJitter", {"brightness": 0.4, "hue": 0.2}),
    ("RandomErasing", {"p": 0.9}), ("GaussianNoise", {}), ("RandomChannelPermutation", {}),
    ("RandomPhotometricDistort", {}), ("RandomZoomOut", {}), ("RandomResize", {"min_size": 4, "max_size": 9}),
    ("RandomShortestSize", {"min_size": [4, 6], "max_size": 8}),
    ("ScaleJitter", {"target_size": (8, 8), "scale_range": (0.5, 2.0)}),
    ("RandomGrayscale", {"p": 0.5}), ("Pad", {"padding": 2, "padding_mode": "reflect"}),
])  # fmt: skip
def test_v2_draws_as_torchvision(name, arguments):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.transforms.v2")
    planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
    for seed in range(5):
        seeded(seed)
        got = getattr(v2, name)(**arguments)(minitorch.from_numpy(planes)).numpy()
        assert_nearly(got, getattr(theirs, name)(**arguments)(torch.from_numpy(planes)).numpy())
        assert minitorch.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_mixing(name):
    images = minitorch.stack([minitorch.full((1, 6, 8), float(i)) for i in range(3)])
    labels = minitorch.tensor([0, 2, 1])
    minitorch.manual_seed(2)
    mixed, soft = getattr(v2, name)(num_classes=4)(images, labels)
    share = soft[0, 0].item()
    assert 0 < share < 1 and soft[0, 1].item() == pytest.approx(1 - share) and soft.sum().item() == pytest.approx(3)
    assert mixed[0].mean().item() == pytest.approx(2 * (1 - share), abs=1e-5)  # the one before it is the last, of 2
    by_name = getattr(v2, name)(num_classes=4)({"x": images, "labels": labels})
    assert by_name["labels"].shape == (3, 4)
    for sample, message in (((images, labels[:2]), "batch size"), ((images[0], labels), "4 dims"),
                            ((images, 3), "must be a tensor"), (images, "where the labels are")):
        with pytest.raises(ValueError, match=message):
            getattr(v2, name)(num_classes=4)(sample)
    with pytest.raises(ValueError, match="num_classes must be passed"):
        getattr(v2, name)()(images, labels)
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.transforms.v2")
    seeded(4)
    x, y = getattr(theirs, name)(num_classes=4)(torch.from_numpy(images.numpy()), torch.tensor([0, 2, 1]))
    mixed, soft = getattr(v2, name)(num_classes=4)(images, labels)
    np.testing.assert_allclose(mixed.numpy(), x.numpy(), atol=1e-6)
    np.testing.assert_allclose(soft.numpy(), y.numpy(), atol=1e-6)


def test_modules_that_programs_import_from():
    from minitorch.vision import datasets, ops, version
    from minitorch.vision.datasets.fakedata import FakeData
    from minitorch.vision.ops.focal_loss import sigmoid_focal_loss
    from minitorch.vision.transforms import transforms
    from minitorch.vision.transforms.transforms import Compose, InterpolationMode

    assert transforms is T.transforms and Compose is T.Compose and transforms.F is F
    assert "Compose" in transforms.__all__ and InterpolationMode is T.InterpolationMode
    assert not {"AutoAugment", "functional"} & set(transforms.__all__)
    assert FakeData is datasets.FakeData and sigmoid_focal_loss is ops.sigmoid_focal_loss
    assert version.__version__ == minitorch.vision.__version__
    with pytest.raises(AttributeError, match="'Resize'"):
        transforms.__getattr__("Rezize")
