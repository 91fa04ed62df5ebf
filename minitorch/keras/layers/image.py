"""Layers with a window over space: convolutions, pooling, padding. Data (N, *space, C) unless channels_first.

The core's layout is (N, C, *space). Arrays are turned by views alone, so that between two layers nothing is copied.
"""
from __future__ import annotations

from typing import Any

from ...nn import functional as F
from ...tensor import Tensor
from .. import activations
from .base import Layer
from .core import one_of, positive

_FORMATS = ("channels_last", "channels_first")


class Spatial(Layer):
    """What these layers share: the number of dimensions in space, and where the channels are."""

    rank = 2

    def __init__(self, data_format: str | None = None, **keywords: Any):
        super().__init__(**keywords)
        self.data_format = one_of(type(self).__name__, "data_format", data_format or "channels_last", _FORMATS)

    def sizes(self, argument: str, value: Any) -> tuple[int, ...]:
        """One positive integer a dimension in space. Raises ValueError."""
        values = (value,) * self.rank if isinstance(value, int) else tuple(value)
        if len(values) != self.rank:
            raise ValueError(f"{type(self).__name__}: expected {self.rank} integers as `{argument}`, got {value}")
        return tuple(positive(type(self).__name__, argument, n) for n in values)

    def channels_of(self, input_shape: Any) -> int:
        if len(input_shape) != self.rank + 2:
            raise self._bad_input(f"ndim={self.rank + 2}, found ndim={len(input_shape)}", input_shape)
        return input_shape[-1 if self.data_format == "channels_last" else 1]

    def call(self, inputs):
        x = inputs.movedim(-1, 1) if self.data_format == "channels_last" else inputs
        y = self.compute(x)
        return y.movedim(1, -1) if self.data_format == "channels_last" else y

    def compute(self, x: Tensor) -> Tensor:
        """The result for (N, C, *space)."""
        raise NotImplementedError(f"{type(self).__name__}: a layer of this kind defines compute(x)")

    def _check(self, args):
        self.channels_of(args[0].shape)


class Conv2D(Spatial, kernel="glorot_uniform", bias="zeros"):
    """Cross-correlation with `filters` windows, kernel (*kernel_size, inputs / groups, filters).

    padding: "valid", "same" (as many outputs as inputs / strides, rounded up), and in one dimension "causal".

    >>> Conv2D(4, 3, padding="same")(np.zeros((1, 5, 5, 2))).shape
    torch.Size([1, 5, 5, 4])
    """

    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: Any = 1, groups: int = 1, activation: Any = None,
                 use_bias: bool = True, **keywords: Any):
        super().__init__(data_format, **keywords)
        kind = type(self).__name__
        self.filters, self.groups = positive(kind, "filters", filters), groups
        self.kernel_size = self.sizes("kernel_size", kernel_size)
        self.strides, self.dilation_rate = self.sizes("strides", strides), self.sizes("dilation_rate", dilation_rate)
        self.padding = one_of(kind, "padding", padding.lower(), self.paddings)
        self.activation, self.use_bias = activations.get(activation), use_bias

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(f"{type(self).__name__}: groups={self.groups} must divide the {channels} input channels "
                             f"and the {self.filters} filters")
        return *self.kernel_size, channels // self.groups, self.filters

    def build(self, input_shape):
        self._channels = self.channels_of(input_shape)
        self._weight("kernel", self.kernel_shape(self._channels))
        self._weight("bias", (self.filters,), self.use_bias)

    def _check(self, args):
        if (found := self.channels_of(args[0].shape)) != self._channels:
            raise self._bad_input(f"{self._channels} channels, found {found}", args[0].shape)

    def compute(self, x):
        return self.activation(self.convolved(x, turned(self.kernel), self.bias, self.groups))

    def convolved(self, x: Tensor, kernel: Tensor, bias: Any, groups: int) -> Tensor:
        """The windows' sums, for a kernel as the core has it, (outputs, inputs / groups, *kernel_size)."""
        x, padding = padded(x.to(kernel.dtype), self.padding, self.kernel_size, self.strides, self.dilation_rate)
        return _CONV[self.rank](x, kernel, bias, self.strides, padding, self.dilation_rate, groups)


class DepthwiseConv2D(Conv2D, depthwise="glorot_uniform", bias="zeros"):
    """Each channel with `depth_multiplier` windows of its own, kernel (*kernel_size, inputs, depth_multiplier)."""

    def __init__(self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1,
                 data_format: str | None = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
                 **keywords: Any):
        super().__init__(1, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias,
                         **keywords)
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape):
        self._channels = self.channels_of(input_shape)
        self.filters = self._channels * self.depth_multiplier
        self._weight("depthwise_kernel", (*self.kernel_size, self._channels, self.depth_multiplier))
        self._weight("bias", (self.filters,), self.use_bias)

    kernel = property(lambda self: self.depthwise_kernel)

    def compute(self, x):
        return self.activation(self.each_channel(x, self.bias))

    def each_channel(self, x: Tensor, bias: Any = None) -> Tensor:
        kernel = self.depthwise_kernel.permute(self.rank, self.rank + 1, *range(self.rank))
        return self.convolved(x, kernel.reshape(-1, 1, *self.kernel_size), bias, self._channels)


class SeparableConv2D(DepthwiseConv2D, depthwise="glorot_uniform", pointwise="glorot_uniform", bias="zeros"):
    """`DepthwiseConv2D`, and then a `Conv2D` with windows of size 1."""

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: Any = 1, depth_multiplier: int = 1,
                 activation: Any = None, use_bias: bool = True, **keywords: Any):
        super().__init__(kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation,
                         use_bias, **keywords)
        self.filters = positive(type(self).__name__, "filters", filters)

    def build(self, input_shape):
        self._channels = channels = self.channels_of(input_shape)
        self._weight("depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier))
        self._weight("pointwise_kernel", (*[1] * self.rank, channels * self.depth_multiplier, self.filters))
        self._weight("bias", (self.filters,), self.use_bias)

    def compute(self, x):
        return self.activation(_CONV[self.rank](self.each_channel(x), turned(self.pointwise_kernel), self.bias))


class Conv2DTranspose(Conv2D):
    """The transpose of a `Conv2D`, which enlarges by `strides`, kernel (*kernel_size, filters, inputs)."""

    def kernel_shape(self, channels):
        return *self.kernel_size, self.filters, channels

    def compute(self, x):
        if self.dilation_rate != (1,) * self.rank or self.groups != 1:
            raise NotImplementedError(f"{type(self).__name__}: dilation_rate and groups other than 1")
        kernel = turned(self.kernel)
        y = _TRANSPOSED[self.rank](x.to(kernel.dtype), kernel, None, self.strides)
        for axis, (size, stride, window) in enumerate(zip(x.shape[2:], self.strides, self.kernel_size), 2):
            wanted = size * stride + (0 if self.padding == "same" else max(window - stride, 0))
            start = max(window - stride, 0) // 2 if self.padding == "same" else 0
            if wanted > y.shape[axis]:
                y = F.pad(y, [0, 0] * (y.ndim - 1 - axis) + [0, wanted - y.shape[axis]])
            y = y.narrow(axis, start, wanted)
        if self.bias is not None:
            y = y + self.bias.reshape(-1, *[1] * self.rank)
        return self.activation(y)


class MaxPooling2D(Spatial):
    """The largest value of each window of `pool_size`, every `strides` (`pool_size`) values."""

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
                 **keywords: Any):
        super().__init__(data_format, **keywords)
        self.pool_size = self.sizes("pool_size", pool_size)
        self.strides = self.sizes("strides", pool_size if strides is None else strides)
        self.padding = one_of(type(self).__name__, "padding", padding.lower(), ("valid", "same"))

    def compute(self, x):
        widths = same_widths(x.shape[2:], self.pool_size, self.strides) if self.padding == "same" else []
        if any(widths):
            x = F.pad(x, widths, value=float("-inf"))
        return _MAX[self.rank](x, self.pool_size, self.strides)


class AveragePooling2D(MaxPooling2D):
    """The mean of each window, of the values that are there where padding adds some."""

    def compute(self, x):
        widths = same_widths(x.shape[2:], self.pool_size, self.strides) if self.padding == "same" else []
        y = _MEAN[self.rank](F.pad(x, widths) if any(widths) else x, self.pool_size, self.strides)
        if any(widths):
            there = F.pad(x.new_ones((1, 1, *x.shape[2:])), widths)
            y = y / _MEAN[self.rank](there, self.pool_size, self.strides)
        return y


class GlobalAveragePooling2D(Spatial):
    """The mean over all of space: (N, C)."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **keywords: Any):
        super().__init__(data_format, **keywords)
        self.keepdims = keepdims

    def call(self, inputs):
        first = 1 if self.data_format == "channels_last" else 2
        return self.reduce(inputs, tuple(range(first, first + self.rank)))

    def reduce(self, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        return x.mean(dims, keepdim=self.keepdims)


class GlobalAveragePooling1D(GlobalAveragePooling2D):
    """The mean over the steps of (N, T, C), of those that count where there is a mask."""

    rank = 1

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        there = mask.to(inputs.dtype).unsqueeze(-1)
        return (inputs * there).sum(1, keepdim=self.keepdims) / there.sum(1, keepdim=self.keepdims)


class GlobalMaxPooling2D(GlobalAveragePooling2D):
    """The largest value over all of space: (N, C)."""

    def reduce(self, x, dims):
        return x.amax(dims, keepdim=self.keepdims)


class ZeroPadding2D(Spatial):
    """Zeros around: `padding` is n, (rows, columns) or ((top, bottom), (left, right)); in 1D n or (before, behind)."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **keywords: Any):
        super().__init__(data_format, **keywords)
        each = (padding,) * self.rank if isinstance(padding, int) else tuple(padding) if self.rank > 1 else (padding,)
        self.padding = tuple((n, n) if isinstance(n, int) else tuple(n) for n in each)

    def compute(self, x):
        return F.pad(x, [n for pair in reversed(self.padding) for n in pair])


class Cropping2D(ZeroPadding2D):
    """What `ZeroPadding2D` adds taken away."""

    def compute(self, x):
        return F.pad(x, [-n for pair in reversed(self.padding) for n in pair])


class UpSampling2D(Spatial):
    """`size` times as many rows and columns: repeated, or interpolated where "bilinear"."""

    def __init__(self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **keywords: Any):
        super().__init__(data_format, **keywords)
        self.size = self.sizes("size", size)
        self.interpolation = one_of(type(self).__name__, "interpolation", interpolation, ("nearest", "bilinear"))

    def compute(self, x):
        options: dict[str, Any] = {"align_corners": False} if self.interpolation == "bilinear" else {}
        return F.interpolate(x, size=[n * k for n, k in zip(x.shape[2:], self.size)], mode=self.interpolation,
                             **options)


def _over(rank: int, kind: Any, **changed: Any) -> Any:
    """The class for another number of dimensions in space."""
    name = kind.__name__.replace("2D", f"{rank}D")
    return type(name, (kind,), {"rank": rank, "__module__": __name__, **changed,
                                "__doc__": f"`{kind.__name__}` over {rank} dimension{'s' * (rank > 1)}."})


ZeroPadding1D, Cropping1D = _over(1, ZeroPadding2D), _over(1, Cropping2D)
_WITH_CAUSAL = ("valid", "same", "causal")
Conv1D, Conv3D = _over(1, Conv2D, paddings=_WITH_CAUSAL), _over(3, Conv2D)
SeparableConv1D, Conv1DTranspose = _over(1, SeparableConv2D, paddings=_WITH_CAUSAL), _over(1, Conv2DTranspose)
MaxPooling1D, MaxPooling3D = _over(1, MaxPooling2D), _over(3, MaxPooling2D)
AveragePooling1D, AveragePooling3D = _over(1, AveragePooling2D), _over(3, AveragePooling2D)
GlobalMaxPooling1D, UpSampling1D = _over(1, GlobalMaxPooling2D), _over(1, UpSampling2D)
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D

_CONV: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d}
_MAX: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def turned(kernel: Tensor) -> Tensor:
    """A kernel (*window, inputs, outputs) as the core has it, (outputs, inputs, *window)."""
    return kernel.permute(kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))


def same_widths(space: Any, window: Any, strides: Any) -> list[int]:
    """The widths, as `F.pad` takes them, with which there are size / stride windows, rounded up; the odd one behind."""
    widths = []
    for size, k, stride in reversed(list(zip(space, window, strides))):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        widths += [total // 2, total - total // 2]
    return widths


def padded(x: Tensor, padding: str, window: Any, strides: Any, dilation: Any) -> tuple[Tensor, Any]:
    """x, padded where the two sides differ, and the padding that is left to the convolution."""
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
    if padding == "causal":
        return F.pad(x, [reach[0] - 1, 0]), 0
    widths = same_widths(x.shape[2:], reach, strides) if padding == "same" else [0, 0] * len(reach)
    if widths[::2] == widths[1::2]:
        return x, tuple(reversed(widths[::2]))
    return F.pad(x, widths), 0
