"""Image files to tensors (C, H, W) of bytes and back, through Pillow."""
from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from minitorch import from_numpy, stack, uint8
from minitorch.tensor import Tensor
from minitorch.vision.pillow import pil
from minitorch.vision.transforms.functional import pil_to_tensor, to_pil_image


class ImageReadMode(Enum):
    """The channels of the tensor that a file is read into."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES = {ImageReadMode.GRAY: "L", ImageReadMode.GRAY_ALPHA: "LA", ImageReadMode.RGB: "RGB",
          ImageReadMode.RGB_ALPHA: "RGBA"}
_PLAIN = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")


def read_file(path: Any) -> Tensor:
    """The bytes of a file as a uint8 tensor (N,)."""
    return from_numpy(np.fromfile(path, np.uint8))


def write_file(filename: Any, data: Tensor) -> None:
    """Write the bytes of a uint8 tensor (N,) to a file."""
    _check("write_file", data, 1)
    Path(filename).write_bytes(data.cpu().numpy().tobytes())


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Tensor:
    """The image in a file, as `decode_image` reads its bytes."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_image(input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Tensor:
    """The image whose file's bytes `input` holds (or the file of that path), as a uint8 tensor (C, H, W).

    `mode` is an ImageReadMode or its name. An animated GIF becomes (N, C, H, W).

    Raises RuntimeError for bytes that are no image.
    """
    if isinstance(input, (str, Path)):
        input = read_file(input)
    _check("decode_image", input, 1)
    mode = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    library = pil("decode_image")
    try:
        image = library.Image.open(io.BytesIO(input.cpu().numpy().tobytes()))
        frames = getattr(image, "n_frames", 1)
        if image.format == "GIF" and frames > 1:
            return stack([_tensor(_frame(image, i), mode) for i in range(frames)], 0)
        if apply_exif_orientation:
            image = library.ImageOps.exif_transpose(image)
        return _tensor(image, mode)
    except (OSError, SyntaxError) as error:  # what Pillow raises for damaged files
        raise RuntimeError(f"decode_image: the {input.numel()} bytes are no image that can be read: {error}") from error


def decode_png(input: Tensor, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Tensor:
    """`decode_image` for the bytes of a PNG file."""
    return decode_image(input, mode, apply_exif_orientation)


def decode_webp(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """`decode_image` for the bytes of a WebP file."""
    return decode_image(input, mode)


def decode_gif(input: Tensor) -> Tensor:
    """`decode_image` for the bytes of a GIF file, in RGB."""
    return decode_image(input, ImageReadMode.RGB)


def decode_jpeg(input: Any, mode: Any = ImageReadMode.UNCHANGED, device: Any = "cpu",
                apply_exif_orientation: bool = False) -> Any:
    """`decode_image` for the bytes of a JPEG file, or a list of such."""
    if isinstance(input, list):
        return [decode_jpeg(one, mode, device, apply_exif_orientation) for one in input]
    return decode_image(input, mode, apply_exif_orientation).to(device)


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of the PNG file of a uint8 tensor (1 or 3, H, W); `compression_level` from 0 to 9."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError(f"encode_png: Compression level should be between 0 and 9, got {compression_level}")
    return _encoded("encode_png", input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """The bytes of the JPEG file of a uint8 tensor (1 or 3, H, W), or of each of a list; `quality` from 1 to 100."""
    if isinstance(input, list):
        return [encode_jpeg(one, quality) for one in input]
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    return _encoded("encode_jpeg", input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Write a uint8 tensor (1 or 3, H, W) to a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Write a uint8 tensor (1 or 3, H, W) to a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))


def _tensor(image, mode):
    if mode is not ImageReadMode.UNCHANGED:
        image = image.convert(_MODES[mode])
    elif image.mode not in _PLAIN:  # palettes and single bits
        image = image.convert("RGBA" if "transparency" in image.info else "L" if image.mode == "1" else "RGB")
    return pil_to_tensor(image)


def _frame(image, i):
    image.seek(i)
    return image.convert("RGB")


def _encoded(name, input, format, **options):
    _check(name, input, 3)
    if input.shape[0] not in (1, 3):
        raise RuntimeError(f"{name}: The number of channels should be 1 or 3, got: {input.shape[0]}")
    file = io.BytesIO()
    to_pil_image(input).save(file, format, **options)
    return from_numpy(np.frombuffer(file.getvalue(), np.uint8).copy())


def _check(name, input, ndim):
    if not isinstance(input, Tensor) or input.dtype != uint8 or input.ndim != ndim:
        actual = f"{input.dtype} {tuple(input.shape)}" if isinstance(input, Tensor) else type(input).__name__
        raise RuntimeError(f"{name}: expected a uint8 tensor of {ndim} dimension{'s' * (ndim > 1)}, got {actual}")
