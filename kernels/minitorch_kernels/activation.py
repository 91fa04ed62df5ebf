"""Activation functions and their derivatives `NAME_dx`, from the input or, where that is enough, from the output y."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .elementwise import CALLED, POOLED, compiled, plain, spread
from .layout import reason
from .onepass import one_pass
from .special import erf as erf_kernel
from .table import kernel

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@kernel
def sigmoid(xp, x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + xp.exp(-x))


@kernel
def sigmoid_dx(xp, dy, y):
    """The derivative of `y = sigmoid(x)`: dy y (1 - y)."""
    return dy * _conjugate(y * (1 - y))


@kernel
def tanh_dx(xp, dy, y):
    """The derivative of `y = tanh(x)`: dy (1 - y²)."""
    return dy * _conjugate(1 - y * y)


@kernel
def relu(xp, x):
    """max(x, 0)."""
    return xp.maximum(x, 0)


@kernel
def relu_dx(xp, dy, y):
    """The derivative of `y = relu(x)`: dy where y is positive (or nan)."""
    return xp.where(y <= 0, 0, dy)


@kernel
def leaky_relu(xp, x, slope):
    """x where it is positive, else slope x."""
    return xp.where(x > 0, x, x * slope)


@kernel
def leaky_relu_dx(xp, dy, x, slope):
    """The derivative of leaky_relu."""
    return xp.where(x > 0, dy, dy * slope)


@kernel
def elu(xp, x, alpha, scale, input_scale):
    """scale (x where it is positive, else alpha (exp(input_scale x) - 1)): elu, celu and selu in one."""
    return xp.where(x > 0, x * scale, xp.expm1(xp.minimum(x, 0) * input_scale) * (alpha * scale))


@kernel
def elu_dx(xp, dy, x, alpha, scale, input_scale):
    """The derivative of elu."""
    return dy * xp.where(x > 0, scale, xp.exp(xp.minimum(x, 0) * input_scale) * (alpha * scale * input_scale))


@kernel
def hardtanh(xp, x, low, high):
    """min(max(x, low), high)."""
    return xp.minimum(xp.maximum(x, low), high)


@kernel
def hardtanh_dx(xp, dy, x, low, high):
    """The derivative of hardtanh: dy between the bounds."""
    return xp.where((x <= low) | (x >= high), 0, dy)


@kernel
def hardsigmoid(xp, x):
    """x / 6 + 1/2 within [0, 1]."""
    return xp.minimum(xp.maximum(x + 3, 0), 6) / 6


@kernel
def hardsigmoid_dx(xp, dy, x):
    """The derivative of hardsigmoid."""
    return xp.where((x > -3) & (x < 3), dy / 6, 0)


@kernel
def hardswish(xp, x):
    """x hardsigmoid(x). Howard et al., Searching for MobileNetV3, arXiv 1905.02244."""
    return x * xp.minimum(xp.maximum(x + 3, 0), 6) / 6


@kernel
def hardswish_dx(xp, dy, x):
    """The derivative of hardswish."""
    return xp.where(x <= -3, 0, xp.where(x < 3, dy * (x / 3 + 0.5), dy))


@kernel
def hardshrink(xp, x, width):
    """x outside of [-width, width], 0 inside."""
    return xp.where((x >= -width) & (x <= width), 0, x)


@kernel
def softshrink(xp, x, width):
    """x moved by `width` towards 0, and 0 within [-width, width]."""
    return x - xp.minimum(xp.maximum(x, -width), width)


@kernel
def shrink_dx(xp, dy, x, width):
    """The derivative of hardshrink and softshrink."""
    return xp.where((x >= -width) & (x <= width), 0, dy)


@kernel
def gelu(xp, x, approximate):
    """x Φ(x), with Φ(x) = (1 + erf(x / √2)) / 2 or, for "tanh", its approximation.

    Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + xp.tanh(_inner(x)))
    return 0.5 * x * (1 + _erf(xp, x * math.sqrt(0.5)))


@kernel
def gelu_dx(xp, dy, x, approximate):
    """The derivative of gelu."""
    if approximate == "tanh":
        t = xp.tanh(_inner(x))
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)
    density = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return dy * (0.5 * (1 + _erf(xp, x * math.sqrt(0.5))) + x * density)


def _inner(x: Any) -> Any:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


@kernel
def silu(xp, x):
    """x sigmoid(x)."""
    return x / (1 + xp.exp(-x))


@kernel
def silu_dx(xp, dy, x):
    """The derivative of silu: s (1 + x (1 - s)) with s = sigmoid(x)."""
    s = 1 / (1 + xp.exp(-x))
    return dy * (s * (1 + x * (1 - s)))


@kernel
def softplus(xp, x, beta, threshold):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""
    z = x * beta
    return xp.where(z > threshold, x, xp.log1p(xp.exp(xp.minimum(z, threshold))) / beta)


@kernel
def softplus_dx(xp, dy, x, beta, threshold):
    """The derivative of softplus: sigmoid(beta x)."""
    z = x * beta
    return xp.where(z > threshold, dy, dy / (1 + xp.exp(-z)))


@kernel
def logsigmoid(xp, x):
    """log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)), which never overflows."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


@kernel
def logsigmoid_dx(xp, dy, x):
    """The derivative of logsigmoid: sigmoid(-x)."""
    return dy / (1 + xp.exp(x))


@kernel
def mish(xp, x):
    """x tanh(softplus(x)). Misra, Mish: a self regularized non-monotonic activation function, arXiv 1908.08681."""
    return x * xp.tanh(softplus(xp, x, 1, 20))


@kernel
def mish_dx(xp, dy, x):
    """The derivative of mish."""
    t = xp.tanh(softplus(xp, x, 1, 20))
    return dy * (t + x * (1 - t * t) / (1 + xp.exp(-x)))


@kernel
def dropout(xp, x, bits, scale):
    """x times `scale` where its bit is set, 0 elsewhere: eight elements a byte of `bits`, the first the lowest bit."""
    kept = xp.unpackbits(bits, bitorder="little")[:x.size].view("?")
    return x * xp.reshape(kept, x.shape) * scale


@kernel
def masked_scale(xp, x, mask, scale):
    """x times `scale` where `mask`, which may be broadcast, is True, 0 elsewhere."""
    return x * mask * scale


def _erf(xp: Any, x: Any) -> Any:
    return xp.erf(x) if hasattr(xp, "erf") else erf_kernel(xp, x)


def _conjugate(x: Any) -> Any:
    return x.conj() if "complex" in str(x.dtype) else x


# Versions for the CPU

def _in_float32(entry):
    """Numbers of 16 bits in float32 from beginning to end, so that a function rounds once."""
    def version(*operands):
        wide = [x.astype(np.float32) if isinstance(x, np.ndarray) else x for x in operands]
        return entry.reference(np, *wide).astype(operands[0].dtype)

    entry.version("float32", "cpu", version, refuses=_not_16_bits, backend="numpy")


def _not_16_bits(x, *rest):
    return None if x.dtype.char in "eE" else "float16 and bfloat16 only"


for _entry in (sigmoid, leaky_relu, leaky_relu_dx, elu, elu_dx, gelu, gelu_dx, silu, silu_dx, softplus, softplus_dx,
               logsigmoid, logsigmoid_dx, mish, mish_dx):
    _in_float32(_entry)


def _sigmoid_dx_into(dy, y, out):
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)
    np.multiply(out, dy, out=out)


def _tanh_dx_into(dy, y, out):
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, dy, out=out)


def _relu(x):
    if type(x) is np.ndarray and x.size >= CALLED and x.dtype.char in "fd" and plain(x):
        fast = compiled("activation")
        if fast:
            return fast.relu(x)
    return np.maximum(x, 0)


def _one_buffer(entry, into):
    """NumPy with the intermediate results in one buffer, which stays in the cache; large arrays by compiled code."""
    def version(dy, y):
        if y.dtype.char not in "fd" or dy.dtype is not y.dtype:
            return entry.reference(np, dy, y)
        if y.size >= POOLED:
            if (fast := compiled("smooth")) and dy.shape == y.shape and plain(dy) and plain(y):
                return getattr(fast, entry.name)(dy, y)
            return spread(into, memory.empty(y.shape, y.dtype), dy, y)
        out = np.empty_like(y)
        into(dy, y, out)
        return out

    entry.version("pooled", "cpu", version, backend="numpy")


def _too_small_for(least):
    """The predicate of a version for arrays of `least` elements: below, loading compiled code takes longer."""
    def refuses(x, *rest):
        if x.size < least:
            return f"fewer than {least} elements"
        arrays = [x, *(y for y in rest if isinstance(y, np.ndarray))]
        if any(y.dtype.char not in "fd" or y.dtype != x.dtype for y in arrays):
            return "float32 and float64 only"
        return "arrays of one shape only" if any(y.shape != x.shape for y in arrays) else None

    return refuses


def _unlike(x, y):
    if x.dtype.char not in "fd" or y.dtype != x.dtype or y.shape != x.shape:
        return "float32 and float64, arrays of one shape and dtype only"
    return None if x.flags.c_contiguous and y.flags.c_contiguous else "C-contiguous arrays only"


def _no_line(x, bits, scale):
    return None if x.dtype.char in "fd" and x.flags.c_contiguous else "contiguous float32 and float64 only"


def _not_large(x, y, *rest):
    if y.size < CALLED or x.shape != y.shape:
        return f"fewer than {CALLED} elements, or shapes that differ"
    if x.dtype.char not in "fd" or y.dtype.char not in ("?", x.dtype.char):
        return "float32 and float64 only"
    return None if x.flags.c_contiguous and y.flags.c_contiguous else "C-contiguous arrays only"


relu.version("pooled", "cpu", _relu, backend="numpy")
_one_buffer(sigmoid_dx, _sigmoid_dx_into)
_one_buffer(tanh_dx, _tanh_dx_into)
for _entry in (sigmoid, silu, silu_dx, gelu, gelu_dx):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.smooth:{_entry.name}",
                   refuses=_too_small_for(16 if "gelu" in _entry.name else CALLED))
for _entry in (leaky_relu, leaky_relu_dx, elu, elu_dx, hardtanh, hardtanh_dx, hardsigmoid, hardsigmoid_dx, hardswish,
               hardswish_dx, hardshrink, softshrink, shrink_dx, softplus, softplus_dx, logsigmoid, logsigmoid_dx, mish,
               mish_dx):
    one_pass(_entry)
relu_dx.version("numba", "cpu", "minitorch_kernels.cpu.activation:relu_dx", refuses=_unlike)
dropout.version("numba", "cpu", "minitorch_kernels.cpu.activation:dropout", refuses=_no_line)
masked_scale.version("numba", "cpu", "minitorch_kernels.cpu.activation:masked_scale", refuses=_not_large)


# Versions for the GPU

def _gaps(x, bits, scale):
    return None if x.dtype.char in "fdeE" and x.flags.c_contiguous else "contiguous floats only"


for _entry in (sigmoid, sigmoid_dx, tanh_dx, relu, relu_dx, silu, silu_dx):
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.elementwise:{_entry.name}", refuses=reason())
gelu.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:gelu", refuses=reason(arrays=1))
gelu_dx.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:gelu_dx", refuses=reason(arrays=2))
masked_scale.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:masked_scale", refuses=reason(mask=1))
dropout.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:dropout", refuses=_gaps)
