"""Convolution layers in one to three dimensions, and their transposes."""
from __future__ import annotations

from typing import Any

from ..op import FUNCTIONS
from ..shapes import ntuple
from ..tensor import Tensor
from .linear import empty_parameter, reset
from .module import Module

_PADDING_MODES = {"zeros", "reflect", "replicate", "circular"}


class _ConvNd(Module):
    """What all convolutions share: a weight (O, C / groups, *kernel), a bias (O,), and how windows are laid."""

    dimensions: int
    transposed = False
    output_padding: tuple[int, ...]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        name, nd = type(self).__name__, self.dimensions
        _check_channels(in_channels, out_channels, groups)
        _check_padding(padding, stride, padding_mode)
        self.in_channels, self.out_channels, self.groups, self.padding_mode = (in_channels, out_channels, groups,
                                                                               padding_mode)
        self.kernel_size = ntuple(name, "kernel_size", kernel_size, nd)
        self.stride = ntuple(name, "stride", stride, nd)
        self.padding: Any = padding if isinstance(padding, str) else ntuple(name, "padding", padding, nd)
        self.dilation = ntuple(name, "dilation", dilation, nd)
        self.output_padding = (0,) * nd
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = empty_parameter((*shape, *self.kernel_size), device, dtype)
        self.register_parameter("bias", empty_parameter(out_channels, device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: uniform within 1 / sqrt(fan_in)."""
        reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        conv = FUNCTIONS[f"conv{self.dimensions}d"]
        if self.padding_mode == "zeros":
            return conv(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        padded = FUNCTIONS["pad"](input, self._reversed_padding_repeated_twice, self.padding_mode)
        return conv(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    @property
    def _reversed_padding_repeated_twice(self) -> list[int]:
        """The padding as `pad` takes it: (before, after) an axis, last axis first."""
        if self.padding == "valid":
            return [0] * (2 * self.dimensions)
        if self.padding != "same":
            return [p for p in reversed(self.padding) for _ in range(2)]
        total = [d * (n - 1) for d, n in zip(self.dilation, self.kernel_size)]
        return [p for t in reversed(total) for p in (t // 2, t - t // 2)]

    def extra_repr(self) -> str:
        nd = self.dimensions
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, default in (("padding", (0,) * nd), ("dilation", (1,) * nd), ("output_padding", (0,) * nd),
                              ("groups", 1)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value!r}" if name != "padding" else f", padding={value}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_ConvNd):
    """Cross-correlation of (N, C, L) with O windows of `kernel_size`."""

    dimensions = 1


class Conv2d(_ConvNd):
    """Cross-correlation of (N, C, H, W) with O windows of `kernel_size`.

    `padding` is a size, "valid" (none) or "same" (the output has the input's size, for stride 1).

    >>> from minitorch import ones
    >>> Conv2d(3, 8, 3, stride=2, padding=1)(ones(1, 3, 32, 32)).shape
    torch.Size([1, 8, 16, 16])
    """

    dimensions = 2


class Conv3d(_ConvNd):
    """Cross-correlation of (N, C, D, H, W) with O windows of `kernel_size`."""

    dimensions = 3


class _ConvTransposeNd(_ConvNd):
    """The adjoint of a convolution: every input value spreads a window; weight (C, O / groups, *kernel)."""

    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
                         padding_mode, device, dtype)
        self.output_padding = ntuple(type(self).__name__, "output_padding", output_padding, self.dimensions)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        transposed = FUNCTIONS[f"conv_transpose{self.dimensions}d"]
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return transposed(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: Any) -> list[int]:
        """What to add at the end of each axis for `output_size`. Raises ValueError where no padding reaches it."""
        nd = self.dimensions
        wanted = tuple(output_size)
        wanted = wanted[-nd:] if len(wanted) == input.ndim else wanted
        if len(wanted) != nd:
            raise ValueError(f"{type(self).__name__}: for {input.ndim}D input, output_size must have {nd} or "
                             f"{input.ndim} elements (got {len(wanted)})")
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in
                 zip(input.shape[-nd:], self.stride, self.padding, self.dilation, self.kernel_size)]
        most = [low + s - 1 for low, s in zip(least, self.stride)]
        if not all(low <= n <= high for low, n, high in zip(least, wanted, most)):
            raise ValueError(f"{type(self).__name__}: requested an output size of {list(wanted)}, but valid sizes "
                             f"range from {least} to {most} (for an input of {list(input.shape[-nd:])})")
        return [n - low for n, low in zip(wanted, least)]


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of (N, C, L)."""

    dimensions = 1


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of (N, C, H, W), which undoes the shape of a Conv2d of the same arguments.

    >>> from minitorch import ones
    >>> ConvTranspose2d(8, 3, 2, stride=2)(ones(1, 8, 16, 16)).shape
    torch.Size([1, 3, 32, 32])
    """

    dimensions = 2


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of (N, C, D, H, W)."""

    dimensions = 3


def _check_channels(inputs: int, outputs: int, groups: int) -> None:
    if groups <= 0:
        raise ValueError(f"groups must be a positive integer, got {groups}")
    if inputs % groups:
        raise ValueError(f"in_channels must be divisible by groups, got {inputs} and groups={groups}")
    if outputs % groups:
        raise ValueError(f"out_channels must be divisible by groups, got {outputs} and groups={groups}")


def _check_padding(padding: Any, stride: Any, mode: str) -> None:
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
        if padding == "same" and any(s != 1 for s in (stride if isinstance(stride, (tuple, list)) else (stride,))):
            raise ValueError(f"padding='same' is not supported for strided convolutions, got stride={stride}")
    if mode not in _PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {sorted(_PADDING_MODES)}, but got padding_mode='{mode}'")
