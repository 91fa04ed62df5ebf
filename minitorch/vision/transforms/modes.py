"""How pixels between the given ones are computed."""
from __future__ import annotations

from enum import Enum


class InterpolationMode(Enum):
    """The interpolation of `resize`, `rotate` and `affine`; Pillow's integer codes are accepted in their place."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"  # the last three for PIL images only
    HAMMING = "hamming"
    LANCZOS = "lanczos"


PIL_CODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def interpolation_mode(name: str, mode) -> InterpolationMode:
    """`mode`, given as a member, its value or Pillow's code, as a member. Raises TypeError for anything else."""
    if isinstance(mode, InterpolationMode):
        return mode
    if isinstance(mode, str):
        return InterpolationMode(mode)
    if isinstance(mode, int):
        for member, code in PIL_CODES.items():
            if code == mode:
                return member
    raise TypeError(f"{name}: Argument interpolation should be an InterpolationMode, got {mode!r}")
