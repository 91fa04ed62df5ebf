"""Image files to tensors and back, through Pillow."""
from __future__ import annotations

from typing import Any

from minitorch.vision.absent import absent
from minitorch.vision.io.image import (
    ImageReadMode,
    decode_gif,
    decode_image,
    decode_jpeg,
    decode_png,
    decode_webp,
    encode_jpeg,
    encode_png,
    read_file,
    read_image,
    write_file,
    write_jpeg,
    write_png,
)

__all__ = [
    "ImageReadMode", "decode_gif", "decode_image", "decode_jpeg", "decode_png", "decode_webp", "encode_jpeg",
    "encode_png", "read_file", "read_image", "write_file", "write_jpeg", "write_png",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise absent(__name__, name, __all__, "minitorch.vision.io has images only, no video")
