"""Between PIL images, arrays and tensors: types, layouts and ranges of values."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minitorch.errors import ShapeError
from minitorch.tensor import Tensor
from minitorch.vision.pillow import is_pil_image, pil


def to_tensor(pic) -> Tensor:
    """A PIL image, or an array (H, W) or (H, W, C), as a tensor (C, H, W); 8-bit values become the default type
    in [0, 1].

    Raises TypeError for anything else, ValueError for an array with another number of dimensions.

    >>> to_tensor(np.full((1, 2, 3), 255, np.uint8)).shape
    torch.Size([3, 1, 2])
    """
    from minitorch import from_numpy, get_default_dtype

    planes = _planes("to_tensor", pic)
    if planes.dtype == np.uint8:
        return from_numpy(np.divide(planes, get_default_dtype().numpy.type(255), order="C"))
    return from_numpy(np.array(planes, order="C"))


def pil_to_tensor(pic) -> Tensor:
    """A PIL image as a tensor (C, H, W) of the same values."""
    from minitorch import from_numpy

    if not (is_pil_image(pic) or isinstance(pic, np.ndarray)):
        raise TypeError(f"pil_to_tensor: pic should be PIL Image. Got {type(pic)}")
    return from_numpy(np.array(_planes("pil_to_tensor", pic), order="C"))


def to_pil_image(pic, mode: str | None = None):
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Floating-point values are taken to lie in [0, 1]. `mode` is one of Pillow's; by default it follows from the
    number of channels and the type. Raises TypeError or ValueError for what cannot be shown.
    """
    if not isinstance(pic, (Tensor, np.ndarray)):
        raise TypeError(f"to_pil_image: pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"to_pil_image: pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    pixels: Any = pic
    if isinstance(pic, Tensor):
        values = pic.detach().cpu().numpy()
        pixels = values if values.ndim == 2 else values.transpose(1, 2, 0)
    if pixels.dtype.kind == "f" and mode != "F":
        pixels = (pixels * pixels.dtype.type(255)).astype(np.int32).astype(np.uint8)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels > 4:
        raise ValueError(f"to_pil_image: pic should not have > 4 channels. Got {channels} channels.")
    if channels == 1:
        pixels = pixels.reshape(pixels.shape[:2])
    return _fromarray(pixels, channels, mode)


def convert_image_dtype(image: Tensor, dtype=None) -> Tensor:
    """Change the type and scale the values: integers span the range of their type, floats span [0, 1]."""
    import minitorch

    dtype = dtype or minitorch.float32
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        if minitorch.iinfo(dtype).bits > (16 if image.dtype != minitorch.float64 else 32):
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
        return (image * (minitorch.iinfo(dtype).max + 1 - 1e-3)).to(dtype)
    top = 1 if image.dtype == minitorch.bool else minitorch.iinfo(image.dtype).max
    if dtype.is_floating_point:
        return image.to(dtype) / top
    new_top = 1 if dtype == minitorch.bool else minitorch.iinfo(dtype).max
    if top > new_top:
        return (image // ((top + 1) // (new_top + 1))).to(dtype)
    return image.to(dtype) * ((new_top + 1) // (top + 1))


def normalize(tensor: Tensor, mean, std, inplace: bool = False) -> Tensor:
    """(tensor - mean) / std, each a number a channel, for a floating-point tensor (..., C, H, W).

    Raises TypeError for other types, ValueError for fewer than three dimensions or a zero in `std`.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"normalize: img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"normalize: Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(f"normalize: Expected tensor to be a tensor image of size (..., C, H, W). Got {tensor.shape}")
    mean, std = (_channel_values(name, values, tensor) for name, values in (("mean", mean), ("std", std)))
    if inplace:
        return tensor.sub_(mean).div_(std)
    return (tensor - mean) / std


_PIL_TYPES = {"I": np.int32, "I;16": np.int16, "F": np.float32}


def _planes(name, pic):
    """The values of a PIL image or an array as (C, H, W)."""
    if is_pil_image(pic):
        pixels = np.asarray(pic, _PIL_TYPES.get(pic.mode))
        pixels = pixels.astype(np.uint8) * 255 if pic.mode == "1" and name == "to_tensor" else pixels
    elif isinstance(pic, np.ndarray):
        pixels: Any = pic
    else:
        raise TypeError(f"{name}: pic should be PIL Image or ndarray. Got {type(pic)}")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"{name}: pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


_MODES_OF_CHANNELS = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_MODES_OF_TYPES = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F", "bool": "1"}


def _fromarray(pixels, channels, mode):
    image_module = pil("to_pil_image").Image
    if channels == 1:
        expected = _MODES_OF_TYPES.get(pixels.dtype.name)
        if expected is None:
            raise TypeError(f"to_pil_image: Input type {pixels.dtype} is not supported")
        if mode is not None and mode != expected:
            raise ValueError(f"to_pil_image: Incorrect mode ({mode}) for {pixels.dtype}. Should be {expected}")
        if expected == "I;16":
            pixels = pixels.astype(np.uint16)
        return image_module.fromarray(np.ascontiguousarray(pixels))
    allowed = _MODES_OF_CHANNELS[channels]
    if mode is not None and mode not in allowed:
        raise ValueError(f"to_pil_image: Only modes {allowed} are supported for {channels} channels, got {mode}")
    if pixels.dtype != np.uint8:
        raise TypeError(f"to_pil_image: Input type {pixels.dtype} is not supported for {channels} channels")
    size = pixels.shape[1], pixels.shape[0]
    return image_module.frombytes(mode or allowed[0], size, np.ascontiguousarray(pixels).tobytes())


def _channel_values(name, values, tensor):
    """A number, or one a channel as (C, 1, 1), in the type and on the device of `tensor`."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    values = tuple(values) if isinstance(values, (list, tuple)) else values
    if isinstance(values, tuple) and len(values) not in (1, tensor.shape[-3]):
        raise ShapeError(f"normalize: expected {name} for {tensor.shape[-3]} channels, got {len(values)} values")
    return _constants(name, values, tensor.dtype, tensor.device)


@functools.lru_cache(maxsize=64)
def _constants(name, values, dtype, device):
    """Made once: for small images it takes longer than the arithmetic."""
    from minitorch import as_tensor, inference_mode

    with inference_mode(False):  # they outlive the block that asks for them first
        constants = as_tensor(values, dtype=dtype, device=device)
    if name == "std" and bool((constants == 0).any()):
        raise ValueError(f"normalize: std has a zero after conversion to {dtype}, leading to division by zero.")
    return constants.view(-1, 1, 1) if constants.ndim else constants
