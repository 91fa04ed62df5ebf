"""Elementwise kernels for large contiguous arrays as tasks: on all threads, at the price of a microsecond.

The functions are polynomials in float32, which vectorise; float64 is left to NumPy. Each is within the units in the
last place (ULP) that ACCURACY says, for all numbers: subnormal ones, infinities and NaN too (tested).
"""
from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .. import memory
from .jit import exactly, jit
from .tasks import task
from .widest import widest

PART = 1 << 16  # numbers in a part
PAGE = 4096  # bytes
LINE = 16  # numbers of a line that are worth a loop
PERIOD = 1 << 13  # the same, about, where an operand repeats itself
WORK = {"exp": 12, "expm1": 16, "log": 15, "log1p": 20, "tanh": 15, "erf": 30, "erfc": 40}  # an element's operations
ACCURACY = {"exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 1.5, "tanh": 1.5, "erf": 2.0, "erfc": 5.0}  # ULP


def add_into(total, x):
    """See `minitorch_kernels.elementwise.add_into`."""
    size = total.size
    _add_into(-(-size // PART), size, total.reshape(-1), x.reshape(-1))
    return total


def where(mask, a, b):
    """a where the mask is True, b elsewhere; one of them may be a number. NumPy's branches at every element."""
    like = a if isinstance(a, np.ndarray) and a.ndim else b
    out = memory.empty(mask.shape, like.dtype)
    a, b = (np.asarray(x, like.dtype).reshape(-1) for x in (a, b))
    _where(-(-out.size // PART), out.size, mask.reshape(-1), a, b, out.reshape(-1))
    return out


def binary(name, a, b, dtype, shape):
    """a and b of `dtype`, put together by the task `name`, or None where they do not lie as it asks.

    Each is a contiguous array of `shape`, a number, or the last axes of one that is repeated; or one of them has a
    number for each line of the other, a column.
    """
    size = math.prod(shape)
    spread = _repeats(a, dtype, shape), _repeats(b, dtype, shape)
    if None in spread and name in COLUMN:
        if spread[1] == size and name in ("add", "mul"):
            a, b, spread = b, a, spread[::-1]
        line = _serves(b, dtype, shape)
        if spread[0] != size or line is None:
            return None
        out, step = memory.empty(shape, dtype), max(1, PART // line)
        COLUMN[name](-(-size // (step * line)), size, step, line, a.reshape(-1), b.reshape(-1), out.reshape(-1))
        return out
    if None in spread or PERIOD < min(spread) < size or max(spread) < size:
        return None
    n, step = min(spread), PART
    if n < size:
        step = n * max(1, PERIOD // n)
        a, b = (x if m == size else _number(dtype.type(x).tobytes(), step, dtype) if type(x) in (int, float) else
                _repeated(x, m, step, dtype) for x, m in zip((a, b), spread))
    out = memory.empty(shape, dtype)
    BINARY[name](-(-size // step), size, step, a.reshape(-1), b.reshape(-1), out.reshape(-1))
    return out


def unary(name, x):
    """The function `name` of a contiguous array of float32."""
    out = memory.empty(x.shape, x.dtype)
    UNARY[name](-(-x.size // PART), WORK[name] * x.size, x.reshape(-1), out.reshape(-1))
    return out


def _repeats(x, dtype, shape):
    """After how many elements of the result the operand x repeats itself; None where it does not."""
    if not isinstance(x, np.ndarray):
        return 1 if type(x) in (int, float) else None
    if x.dtype != dtype or not (x.flags.c_contiguous and x.flags.writeable):
        return None
    if x.shape == shape or x.size == 1:
        return x.size
    sizes = x.shape
    while sizes[0] == 1:
        sizes = sizes[1:]
    return x.size if sizes == shape[len(shape) - len(sizes):] else None


def _serves(x, dtype, shape):
    """How many elements of the result, side by side, a number of the operand x serves; None where it is no column."""
    if not isinstance(x, np.ndarray) or x.dtype != dtype or not (x.flags.c_contiguous and x.flags.writeable):
        return None
    sizes = (1,) * (len(shape) - x.ndim) + x.shape
    end = max([i + 1 for i, n in enumerate(sizes) if n > 1], default=0)
    begin = min([i for i, n in enumerate(sizes) if n > 1], default=0)
    line = math.prod(shape[end:])
    return line if sizes[begin:end] == shape[begin:end] and line >= LINE else None


@lru_cache(32)
def _number(value, step, dtype):
    """A number, given by its bytes (0 is equal to -0), over and over. Programs use the same ones in each step."""
    return _repeated(np.frombuffer(value, dtype), 1, step, dtype)


def _repeated(x, n, step, dtype):
    """x, of n elements, over and over in memory that begins where all large buffers do within a page.

    Elsewhere its reads might share the last 12 bits of their addresses with the writes just before, and would wait.
    """
    buffer = np.empty(step + 2 * PAGE // dtype.itemsize, dtype)
    skip = (memory.LINE - buffer.ctypes.data) % PAGE // dtype.itemsize
    out = buffer[skip:skip + step]
    out.reshape(-1, n)[:] = x.reshape(-1)
    return out


@task
def _add_into(part, total, x):
    first, last = part * PART, (part + 1) * PART
    total, x = total[first:last], x[first:last]
    for i in range(total.size):
        total[i] += x[i]


@task
def _where(part, mask, a, b, out):
    """A number is an array of one element."""
    first, last = part * PART, min((part + 1) * PART, out.size)
    mask, out = mask[first:last], out[first:last]
    if a.size == 1:
        value, b = a[0], b[first:last]
        for i in range(out.size):
            other = b[i]
            out[i] = value if mask[i] else other
    elif b.size == 1:
        value, a = b[0], a[first:last]
        for i in range(out.size):
            other = a[i]
            out[i] = other if mask[i] else value
    else:
        a, b = a[first:last], b[first:last]
        for i in range(out.size):
            one, other = a[i], b[i]
            out[i] = one if mask[i] else other


# Two operands; one may be as short as a part, and then serves every part

@jit
def _share(part, step, a, b, out):
    """What of each array belongs to a part."""
    first = part * step
    a, b = a[first if a.size == out.size else 0:], b[first if b.size == out.size else 0:]
    return a, b, out[first:first + step]


@task
def _add(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] + b[i]


@task
def _sub(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] - b[i]


@task
def _mul(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] * b[i]


@task
def _div(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] / b[i]


@task
def _maximum(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] if a[i] > b[i] or a[i] != a[i] else b[i]  # nan, whichever it is


@task
def _minimum(part, step, a, b, out):
    a, b, out = _share(part, step, a, b, out)
    for i in range(out.size):
        out[i] = a[i] if a[i] < b[i] or a[i] != a[i] else b[i]


# An operand with a number for each line, whose numbers begin anew after the last

@task
def _add_column(part, step, line, a, b, out):
    for row in range(part * step, min((part + 1) * step, out.size // line)):
        x, value, y = a[row * line:(row + 1) * line], b[row % b.size], out[row * line:(row + 1) * line]
        for i in range(line):
            y[i] = x[i] + value


@task
def _sub_column(part, step, line, a, b, out):
    for row in range(part * step, min((part + 1) * step, out.size // line)):
        x, value, y = a[row * line:(row + 1) * line], b[row % b.size], out[row * line:(row + 1) * line]
        for i in range(line):
            y[i] = x[i] - value


@task
def _mul_column(part, step, line, a, b, out):
    for row in range(part * step, min((part + 1) * step, out.size // line)):
        x, value, y = a[row * line:(row + 1) * line], b[row % b.size], out[row * line:(row + 1) * line]
        for i in range(line):
            y[i] = x[i] * value


@task
def _div_column(part, step, line, a, b, out):
    for row in range(part * step, min((part + 1) * step, out.size // line)):
        x, value, y = a[row * line:(row + 1) * line], b[row % b.size], out[row * line:(row + 1) * line]
        for i in range(line):
            y[i] = x[i] / value


@task
def _exp(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = exp32(x[i])


@task
def _expm1(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = expm1_32(x[i])


@task
def _log(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = log32(x[i])


@task
def _log1p(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = log1p32(x[i])


@task
def _tanh(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = tanh32(x[i])


@task
def _erf(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = erf32(x[i])


@task
def _erfc(part, x, out):
    widest()
    x, out = x[part * PART:(part + 1) * PART], out[part * PART:(part + 1) * PART]
    for i in range(out.size):
        out[i] = erfc32(x[i])


BINARY = {"add": _add, "sub": _sub, "mul": _mul, "div": _div, "maximum": _maximum, "minimum": _minimum}
COLUMN = {"add": _add_column, "sub": _sub_column, "mul": _mul_column, "div": _div_column}
UNARY = {"exp": _exp, "expm1": _expm1, "log": _log, "log1p": _log1p, "tanh": _tanh, "erf": _erf, "erfc": _erfc}


# Functions of one float32. All their constants are of that type too, or the arithmetic would be float64's

@exactly
def exp32(x):
    """2^k exp(r) with |r| <= 0.35: Taylor's series. 2^k is two factors, so that subnormal results are rounded once."""
    p, k = _power(x)
    half = np.int32(k >> ONE_I)
    y = p * _two_to(half) * _two_to(np.int32(k - half))
    y = ZERO if x < LEAST else y
    return INF if x > MOST else y


@exactly
def expm1_32(x):
    """2^k (exp(r) - 1) + (2^k - 1), of which little cancels; 2^k exp(r) where 1 does not show beside it."""
    r, p, k = _reduced(x)
    m = p * r * r + r
    half = np.int32(k >> ONE_I)
    far = (m + ONE) * _two_to(half) * _two_to(np.int32(k - half))
    power = _two_to(k)
    y = far if k > SO_LARGE else m * power + (power - ONE)
    y = -ONE if x < ALMOST else y
    y = INF if x > MOST else y
    return x if x == ZERO else y  # the zero keeps its sign


@exactly
def _power(x):
    """exp(x) as p 2^k, k a whole number."""
    r, p, k = _reduced(x)
    p = p * r + ONE
    return p * r + ONE, k


@exactly
def _reduced(x):
    """r, p and k such that exp(x) = 2^k exp(r), |r| <= 0.35, and exp(r) = 1 + r + p r²."""
    t = x * LOG2E + SHIFT  # so large a sum is rounded to a whole number, which its low bits hold
    k = t - SHIFT
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = T7 * r + T6
    p = p * r + T5
    p = p * r + T4
    p = p * r + T3
    return r, p * r + HALF, np.int32(np.float32(t).view(np.int32) - SHIFT_BITS)


@exactly
def _two_to(k):
    return np.int32(np.int32(k + BIAS) << DIGITS).view(np.float32)


@exactly
def log32(x):
    """e ln 2 + log(1 + f) for x = 2^e (1 + f), 1 + f between sqrt(1/2) and sqrt(2)."""
    tiny = x < SMALLEST
    bits = np.float32(x * TWO_23 if tiny else x).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_BITS) >> DIGITS)
    f = np.int32(bits - np.int32(e << DIGITS)).view(np.float32) - ONE
    e = np.float32(e) - (DIGITS_F if tiny else ZERO)
    p = L8 * f + L7
    p = p * f + L6
    p = p * f + L5
    p = p * f + L4
    p = p * f + L3
    p = p * f + L2
    p = p * f + L1
    p = p * f + L0
    s = f * f
    y = e * LN2_HIGH + (f + (e * LN2_LOW + (s * f * p - HALF * s)))
    y = -INF if x == ZERO else y
    y = INF if x == INF else y
    return y if x >= ZERO else NAN


@exactly
def log1p32(x):
    """log(1 + x): the logarithm of the rounded sum, corrected by what rounding lost of it."""
    y = x + ONE
    lost = (x - (y - ONE)) / y if y < INF else ZERO
    result = log32(y) + (lost if y > ZERO else ZERO)
    return x if x == ZERO else result  # the zero keeps its sign


@exactly
def tanh32(x):
    """x + x³ P(x²) near 0, and 1 - 2 / (exp(2 |x|) + 1)."""
    a, s = abs(x), x * x
    p = H4 * s + H3
    p = p * s + H2
    p = p * s + H1
    p = p * s + H0
    near = x if s == ZERO else x + x * (s * p)  # the zero keeps its sign
    e, k = _power(TWO * (TEN if a > TEN else a))
    far = ONE - TWO / (e * _two_to(k) + ONE)
    far = -far if x < ZERO else far
    return far if a > NEAR else near


@exactly
def erf32(x):
    """x + x P(x²) near 0, and 1 - erfc(|x|)."""
    a = abs(x)
    t = FOUR if a > FOUR else a
    e, k = _power(-t * t)
    far = ONE - _scaled_erfc(t) * (e * _two_to(k))
    far = -far if x < ZERO else far
    return far if a > NEAR else _near_erf(x)


@exactly
def _near_erf(x):
    s = x * x
    p = E6 * s + E5
    p = p * s + E4
    p = p * s + E3
    p = p * s + E2
    p = p * s + E1
    p = p * s + E0
    return x + x * p


@exactly
def erfc32(x):
    """1 - erf(x) near 0, and exp(-t²) times what `_scaled_erfc` gives for t = |x|.

    t² = h² + (t - h)(t + h): the first is exact.
    """
    t = abs(x)
    t = LAST if t > LAST else t
    h = np.int32(np.float32(t).view(np.int32) & UPPER).view(np.float32)
    d = -(t - h) * (t + h)
    rest = (((T4 * d + T3) * d + HALF) * d + ONE) * d + ONE
    e, k = _power(-h * h)
    y = e * _two_to(np.int32(k + SIXTY_FOUR)) * rest * _scaled_erfc(t) * TINY
    y = TWO - y if x < ZERO else y
    return ONE - _near_erf(x) if t <= NEAR else y


@exactly
def _scaled_erfc(t):
    """exp(t²) erfc(t) for 0 <= t < 10.2: a polynomial in (t - 2) / (t + 2), over 1 + 2 t."""
    q = (t - TWO) / (t + TWO)
    p = C9 * q + C8
    p = p * q + C7
    p = p * q + C6
    p = p * q + C5
    p = p * q + C4
    p = p * q + C3
    p = p * q + C2
    p = p * q + C1
    return (p * q + C0) / (ONE + TWO * t)


ZERO, HALF, ONE, TWO, FOUR, TEN, INF, NAN = map(np.float32, (0, 0.5, 1, 2, 4, 10, math.inf, math.nan))
ONE_I, DIGITS, BIAS, SIXTY_FOUR = map(np.int32, (1, 23, 127, 64))
DIGITS_F, TWO_23, TINY, SMALLEST = map(np.float32, (23, 2.0**23, 2.0**-64, 2.0**-126))
LOG2E, SHIFT = np.float32(1 / math.log(2)), np.float32(1.5 * 2**23)
SHIFT_BITS, ROOT_BITS = SHIFT.view(np.int32), np.float32(math.sqrt(0.5)).view(np.int32)
UPPER = np.int32(-(1 << 12))  # the upper twelve digits of a float32
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
MOST, LEAST = np.float32(89), np.float32(-104.5)  # exp gives infinity above, 0 below
ALMOST, SO_LARGE = np.float32(-20), np.int32(24)  # expm1 gives -1 below, and exp for greater powers of 2
NEAR, LAST = np.float32(0.6), np.float32(10.15)
T3, T4, T5, T6, T7 = [np.float32(1 / math.factorial(k)) for k in range(3, 8)]
# The others were fitted by weighted least squares, reweighted until the largest error was smallest
L0, L1, L2, L3, L4, L5, L6, L7, L8 = map(np.float32, (
    0.3333331048488617, -0.24999986588954926, 0.20002146065235138, -0.16669213771820068, 0.14220009744167328,
    -0.12385592609643936, 0.11865249276161194, -0.11780519038438797, 0.06920595467090607))
H0, H1, H2, H3, H4 = map(np.float32, (
    -0.33333301544189453, 0.13331978023052216, -0.05378813296556473, 0.02080981247127056, -0.0059106252156198025))
E0, E1, E2, E3, E4, E5, E6 = map(np.float32, (
    0.12837916612625122, -0.37612637877464294, 0.1128377914428711, -0.026864787563681602, 0.005216843914240599,
    -0.0008357784245163202, 9.475535625824705e-05))
C0, C1, C2, C3, C4, C5, C6, C7, C8, C9 = map(np.float32, (
    1.2769783735275269, -0.0927639827132225, -0.16603146493434906, 0.16405542194843292, -0.054203882813453674,
    -0.008060142397880554, 0.00863009411841631, 0.0013133073225617409, -0.0012279992224648595,
    -0.0003994469589088112))
