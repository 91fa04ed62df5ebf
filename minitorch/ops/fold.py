"""Windows as columns (im2col) and their adjoint (col2im)."""
from __future__ import annotations

from math import prod
from typing import Any

from minitorch_kernels.places import column_places

from ..errors import ShapeError
from ..op import composite, op
from ..shapes import ntuple


@op(method=False, function=False)
def im2col(k, x, /, window, dilation, padding, stride):
    """x (N, C, H, W) to (N, C * window, places), the windows as columns."""
    size = x.shape[2:]
    return (k.im2col(x, window, dilation, padding, stride),
            lambda dy: k.col2im(dy, size, window, dilation, padding, stride))


@op(method=False, function=False)
def col2im(k, x, /, size, window, dilation, padding, stride):
    """x (N, C * window, places) to (N, C, *size): overlapping windows are summed."""
    return (k.col2im(x, size, window, dilation, padding, stride),
            lambda dy: k.im2col(dy, window, dilation, padding, stride))


@composite(method=False)
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of (N, C, H, W) or (C, H, W) as columns: (N, C * window, places)."""
    if input.ndim not in (3, 4):
        raise ShapeError(f"unfold: expects (C, H, W) or (N, C, H, W), got shape {tuple(input.shape)}")
    options = _options("unfold", kernel_size, dilation, padding, stride)
    size = tuple(input._array.shape[-2:])
    if min(column_places(size, *options)) < 1:
        raise ShapeError(f"unfold: Given input with spatial size {size}, kernel_size={options[0]}, "
                         f"dilation={options[1]}, padding={options[2]}, stride={options[3]}, calculated shape of the "
                         f"array of sliding blocks as {column_places(size, *options)}, which is too small")
    return im2col(input, *options) if input.ndim == 4 else im2col(input.unsqueeze(0), *options).squeeze(0)


@composite(method=False)
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns (N, C * window, places) or (C * window, places) summed into (N, C, *output_size)."""
    if input.ndim not in (2, 3):
        raise ShapeError("fold: expects (C * window, places) or (N, C * window, places), "
                         f"got shape {tuple(input.shape)}")
    options = _options("fold", kernel_size, dilation, padding, stride)
    size = ntuple("fold", "output_size", output_size, 2)
    rows, places = input._array.shape[-2:]
    if rows % prod(options[0]):
        raise ShapeError(f"fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
                         f"but got input of shape {tuple(input.shape)} and kernel_size={options[0]}")
    expected = column_places(size, *options)
    if min(expected) < 1 or prod(expected) != places:
        raise ShapeError(f"fold: Given output_size={size}, kernel_size={options[0]}, dilation={options[1]}, "
                         f"padding={options[2]}, stride={options[3]}, expected size of input's last dimension to "
                         f"match the calculated number of sliding blocks {prod(expected)}, but got {places}")
    return col2im(input, size, *options) if input.ndim == 3 else col2im(input.unsqueeze(0), size, *options).squeeze(0)


def _options(name: str, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple:
    options = tuple(ntuple(name, key, value, 2) for key, value in
                    (("kernel_size", kernel), ("dilation", dilation), ("padding", padding), ("stride", stride)))
    for key, value, least in zip(("kernel_size", "dilation", "padding", "stride"), options, (1, 1, 0, 1)):
        if min(value) < least:
            raise ShapeError(f"{name}: {key} expects values of at least {least}, got {value}")
    return options
