"""Random numbers: the values that PyTorch's CPU generator draws from the same seed by the same calls.

The algorithms are those of PyTorch 2.13 (ATen/core/DistributionsHelper.h and TransformationHelper.h,
native/cpu/DistributionTemplates.h; its builds leave MKL's generators off). A uniform number takes two words
of the Mersenne Twister in float64, one in float32, float16 and bfloat16.

Equal bit for bit: `uniform`, `random_`, `randint`, `randperm`, `bernoulli`, `normal` in float32, float16 and
bfloat16, and whatever has fewer than 16 elements. Larger arrays that need log, sin, tan or exp in float64
can differ in the last bits, since PyTorch calls the C library where NumPy has faster loops of its own;
rounded to float32, the difference practically never shows. `multinomial` without replacement puts categories
of equal score (probability 0, or ties in 16 bits) in the order of their index, PyTorch in none that is
fixed. PyTorch itself draws float32 normals with other last bits on processors without AVX2, and other
normals altogether into tensors that are not contiguous.
"""
from __future__ import annotations

import functools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .box_muller import box_muller
from .mt19937 import Twister, unit
from .rejection import Rejection
from .rounding import affine, cast, last_integer, limits, narrowed, work_dtype

DEFAULT_SEED = 67280421310721
Shape = int | tuple[int, ...]


class Generator(Rejection):
    """A source of random arrays. Threads may share one: the words of one array are consecutive in the stream.

    `dtype` is a NumPy dtype, or ml_dtypes' bfloat16. A dtype in which PyTorch has no such numbers raises
    NotImplementedError, a parameter out of its range RuntimeError, as in PyTorch.

    >>> Generator().manual_seed(0).uniform(3)
    array([0.4962566 , 0.7682218 , 0.08847743], dtype=float32)
    """

    def __init__(self, seed: int = DEFAULT_SEED):
        self._lock = threading.Lock()
        self.manual_seed(seed)

    # Seeds and states

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, -2^63 to 2^64 - 1 (negative ones count from 2^64); returns the generator.

        Raises RuntimeError where `seed` is no integer, ValueError where it is out of range.
        """
        if not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed: seed expects an integer, got {type(seed).__name__}")
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed expects -2^63 <= seed < 2^64, got {seed}")
        with self._lock:
            self._twister = Twister(seed % 2**64)
            self._normal: float | None = None  # the second of a pair, waiting
        return self

    def seed(self) -> int:
        """Start again from a seed of the operating system's entropy, and return that seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the generator last started from."""
        return self._twister.seed

    def get_state(self) -> np.ndarray:
        """The state as 5056 bytes (uint8), the same that torch.Generator.get_state() gives."""
        with self._lock:
            return self._twister.save(self._normal)

    def set_state(self, state: np.ndarray) -> Generator:
        """Continue from what `get_state` gave, here or in PyTorch. Raises TypeError or RuntimeError."""
        twister, normal = Twister.load(state)
        with self._lock:
            self._twister, self._normal = twister, normal
        return self

    def clone(self) -> Generator:
        """A second generator in the same state."""
        return Generator().set_state(self.get_state())

    def __reduce__(self) -> tuple:
        return _restored, (self.get_state(),)

    # Words

    def random_raw32(self, n: int) -> np.ndarray:
        """The next `n` words of the Mersenne Twister, uint32."""
        with self._lock:
            return self._twister.words(n)

    def random_raw64(self, n: int) -> np.ndarray:
        """`n` numbers of 64 bits, uint64: two words each, the upper half first."""
        with self._lock:
            return self._twister.words64(n)

    # Continuous distributions

    def uniform(self, shape: Shape, dtype: Any = np.float32, low: float = 0, high: float = 1) -> np.ndarray:
        """Uniform in [low, high): u * (high - low) + low, u of 24 bits (53 in float64).

        A draw that rounds to `high` becomes `low`. A complex dtype has both parts uniform.
        """
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return self.uniform(*parts(shape, dtype), low, high).view(dtype)[..., 0]
        work = work_dtype("uniform", dtype)
        check_uniform(low, high, dtype)
        start, scale = work(low), work(high) - work(low)
        first, last = cast(start, dtype), cast(work(high), dtype)

        if dtype == np.float32 and _size(shape) >= _worth_compiling():
            out = np.empty(shape, dtype)
            with self._lock:
                if self._twister.draw("uniform", start, scale, last, bool(scale == 1 or start == 0), out.reshape(-1)):
                    return out

        def transform(words: np.ndarray) -> np.ndarray:
            x = cast(affine(unit(words), scale, start), dtype)
            x[x == last] = first
            return x

        return self._fill(shape, dtype, work, transform)

    def normal(self, shape: Shape, dtype: Any = np.float32, mean: float = 0, std: float = 1,
               blocks: bool = True) -> np.ndarray:
        """Normal with `mean` and `std`: Box and Muller's method, in one of two ways.

        From 16 elements on, in blocks of 16 (`box_muller`); where the size is no multiple of 16, the last 16
        elements are drawn anew. Below, and without `blocks`, in pairs of float64, the second of which waits for the
        next such call. The parts of a complex dtype have standard deviation std / sqrt(2).
        """
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return self.normal(*parts(shape, dtype), mean, std / math.sqrt(2), blocks).view(dtype)[..., 0]
        work = work_dtype("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal: expects std >= 0, got std={std}")
        out = np.empty(shape, dtype)
        flat = out.reshape(-1)
        with self._lock:
            if flat.size < 16 or not blocks:
                flat[:] = cast(affine(self._pairs(flat.size), std, mean), dtype)
                return out
            rest = flat.size % 16
            self._blocks(flat[:flat.size - rest], work, mean, std)
            if rest:
                if dtype == work:  # PyTorch fills the whole array with uniform numbers before it forms blocks
                    self._twister.words(rest * (dtype.itemsize // 4))
                self._blocks(flat[-16:], work, mean, std)
        return out

    def _blocks(self, flat: np.ndarray, work: type, mean: float, std: float) -> None:
        """Fill `flat`, whole blocks of 16, with normal numbers. Needs the lock."""
        if flat.dtype == np.float32 and flat.size >= _worth_compiling():
            shift, scale = np.float32(mean), np.float32(std)
            if self._twister.draw("normal", shift, scale, bool(scale == 1 or shift == 0), flat):
                return
        for piece in _pieces(flat):
            piece[:] = cast(box_muller(self._twister.units(piece.size, work), mean, std), flat.dtype)

    def log_normal(self, shape: Shape, dtype: Any = np.float32, mean: float = 1,
                   std: float = 2) -> np.ndarray:
        """exp of normal numbers drawn in pairs; `mean` and `std` are those of the logarithm."""
        dtype = np.dtype(dtype)
        work_dtype("log_normal", dtype)
        if not std > 0:
            raise RuntimeError(f"log_normal: expects std > 0, got std={std}")
        out = np.empty(shape, dtype)
        with self._lock, np.errstate(over="ignore"):
            out.reshape(-1)[:] = cast(_libm("exp", affine(self._pairs(out.size), std, mean)), dtype)
        return out

    def exponential(self, shape: Shape, dtype: Any = np.float32, lambd: float = 1) -> np.ndarray:
        """Exponential with rate `lambd`: -log(1 - u) / lambd."""
        dtype = np.dtype(dtype)
        work_dtype("exponential", dtype)
        if not lambd > 0:
            raise RuntimeError(f"exponential: expects lambd > 0, got lambd={lambd}")
        return self._fill(shape, dtype, np.float64, lambda words: _libm("log1p", -unit(words)) * (-1 / lambd))

    def cauchy(self, shape: Shape, dtype: Any = np.float32, median: float = 0,
               sigma: float = 1) -> np.ndarray:
        """Cauchy around `median` with half width `sigma`: median + sigma tan(pi (u - 1/2))."""
        dtype = np.dtype(dtype)
        work_dtype("cauchy", dtype)
        if not sigma > 0:
            raise RuntimeError(f"cauchy: expects sigma > 0, got sigma={sigma}")
        return self._fill(shape, dtype, np.float64,
                          lambda words: affine(_libm("tan", np.pi * (unit(words) - 0.5)), sigma, median))

    # Discrete distributions

    def geometric(self, shape: Shape, dtype: Any = np.float32, p: float = 0.5) -> np.ndarray:
        """Number of trials up to the first success of probability `p`: ceil(log u / log(1 - p))."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric: expects 0 < p < 1, got p={p}")

        def transform(words: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return np.ceil(_libm("log", unit(words)) / math.log1p(-p))

        return self._fill(shape, np.dtype(dtype), np.float64, transform)

    def bernoulli(self, p: float | np.ndarray, shape: Shape | None = None, dtype: Any = None) -> np.ndarray:
        """1 with probability `p`, else 0: u < p.

        An array of probabilities is broadcast to `shape` (its own by default), and u has its precision, as
        in torch.bernoulli(p). For a number `p`, as in Tensor.bernoulli_(0.5) and in dropout, u is float64
        whatever `dtype` (float32 by default).
        """
        if isinstance(p, np.ndarray):
            work = work_dtype("bernoulli", p.dtype)
            if not np.all((p >= 0) & (p <= 1)):
                raise RuntimeError("bernoulli: expects 0 <= p <= 1, got an element outside")
            return (self.uniform(p.shape if shape is None else shape, work) < p).astype(dtype or p.dtype)
        bound = _bound(p)
        shape = () if shape is None else shape
        if _size(shape) >= _worth_compiling():
            out = np.empty(shape, bool)
            with self._lock:
                if self._twister.draw("bernoulli", bound, out.reshape(-1)):
                    return out.astype(dtype or np.float32, copy=False)
        return self._fill(shape, np.dtype(dtype or np.float32), np.float64, lambda words: words & (2**53 - 1) < bound)

    def bernoulli_bits(self, p: float, n: int) -> np.ndarray:
        """`bernoulli(p, n)` as bits, eight in a byte, the first one lowest; the last byte is filled up with 0.

        >>> Generator().bernoulli_bits(1.0, 10)
        array([255,   3], dtype=uint8)
        """
        bound = _bound(p)
        if n >= _worth_compiling():
            out = np.empty(-(-n // 8), np.uint8)
            with self._lock:
                if self._twister.draw("bernoulli_bits", bound, n, out):
                    return out
        return np.packbits(self.bernoulli(p, n, np.dtype(bool)), bitorder="little")

    def random_(self, shape: Shape, dtype: Any = np.float32, low: int | None = None,
                high: int | None = None) -> np.ndarray:
        """Integers in [0, m], [0, high), [low, high) or [low, m], by which bounds are given.

        m is the largest integer of an integer dtype, and 2^24 in float32 (2^11, 2^8 and 2^53 in float16,
        bfloat16 and float64). Remainders of words: of 64 bits for a range of 2^28 or more, or without bounds
        for dtypes of 8 bytes, else of 32.
        """
        return self._integers("random_", shape, np.dtype(dtype), low, high)

    def randint(self, low: int, high: int, shape: Shape, dtype: Any = np.int64) -> np.ndarray:
        """Integers in [low, high), as `random_` draws them."""
        return self._integers("randint", shape, np.dtype(dtype), low, high)

    def randperm(self, n: int, dtype: Any = np.int64) -> np.ndarray:
        """The numbers 0 to n - 1 in random order.

        Fisher and Yates' shuffle: element i changes places with one of those from i on, a word a step; from
        n = 2^32 / 20 on, where a word's remainder is too coarse, with one of those up to i, two words a
        step.
        """
        dtype = np.dtype(dtype)
        check_permutation(n, dtype)
        if n < _WORD_IS_COARSE:
            steps = np.arange(max(n - 1, 0))
            targets = self.random_raw32(steps.size) % (n - steps) + steps
        else:
            targets = (self.random_raw64(n) % np.arange(1, n + 1, dtype=np.uint64)).view(np.int64)
        compiled = _compiled_swaps() if n >= _worth_compiling() else None
        if compiled:
            order = np.arange(n)
            compiled(order, targets)
        else:
            _swaps(numbers := list(range(n)), targets.tolist())
            order = np.array(numbers, np.int64)
        return cast(order, dtype)

    def multinomial(self, probs: np.ndarray, num_samples: int, replacement: bool = False) -> np.ndarray:
        """Indices of categories, int64, (num_samples,) or (rows, num_samples), by weights (n,) or (rows, n).

        Weights need not sum to 1. With replacement: the place of a float64 u among the cumulative weights.
        Without, and for one sample: the largest of probs / q, q exponential; the first k in that order are a
        sample without replacement (Efraimidis and Spirakis, Inf. Process. Lett. 97, 2006).
        """
        work, n = check_multinomial(probs, num_samples, replacement), probs.shape[-1]
        if not np.all((probs >= 0) & (probs < np.inf)):
            raise RuntimeError("multinomial: probs expects numbers >= 0, got a negative one, inf or nan")
        if not np.all(np.any(probs > 0, -1)):
            raise RuntimeError("multinomial: probs expects a sum > 0")
        if not replacement or num_samples == 1:
            score = probs / self.exponential(probs.shape, probs.dtype)
            if num_samples == 1:
                return np.argmax(score, -1, keepdims=True)
            return np.argsort(-score, -1, kind="stable")[..., :num_samples]
        total: np.ndarray = np.cumsum(probs, -1, dtype=work)
        total /= total[..., -1:].copy()
        u = self.uniform((*probs.shape[:-1], num_samples), np.float64)
        rows = list(map(np.searchsorted, total.reshape(-1, n), u.reshape(-1, num_samples)))
        return np.array(rows, np.int64).reshape(u.shape)

    # What the distributions share

    def _fill(self, shape: Shape, dtype: np.dtype, work: type, transform: Callable) -> np.ndarray:
        """transform(words), a cacheful at a time: words of 64 bits where `work` is float64, else of 32."""
        out = np.empty(shape, dtype)
        with self._lock:
            draw = self._twister.words64 if work is np.float64 else self._twister.words
            for piece in _pieces(out.reshape(-1)):
                piece[:] = cast(transform(draw(piece.size)), dtype)
        return out

    def _pairs(self, n: int) -> np.ndarray:
        """`n` standard normal numbers in float64, in pairs; an odd one waits. Needs the lock."""
        waiting = np.array([x for x in [self._normal] if x is not None and n > 0])
        u = self._twister.units((n - waiting.size + 1) // 2 * 2, np.float64)
        radius, angle = np.sqrt(-2 * _libm("log1p", -u[1::2])), 2 * np.pi * u[0::2]
        pairs = np.stack([radius * _libm("cos", angle), radius * _libm("sin", angle)], 1)
        z = np.concatenate([waiting, pairs.ravel()])
        if n:
            self._normal = float(z[n]) if z.size > n else None
        return z[:n]

    def _integers(self, op: str, shape: Shape, dtype: np.dtype, low: int | None,
                  high: int | None) -> np.ndarray:
        first, size, wide = integer_range(op, dtype, low, high)

        def transform(words: np.ndarray) -> np.ndarray:
            if size < 2**64:
                words %= words.dtype.type(size)
            x = words.astype(np.uint64, copy=False)
            x += np.uint64(first % 2**64)  # modulo 2^64, which the view makes right
            return x.view(np.int64)

        return self._fill(shape, dtype, np.float64 if wide else np.float32, transform)


# What the GPU's generator (cuda/random.py) shares with this one

def integer_range(op: str, dtype: np.dtype, low: int | None, high: int | None) -> tuple[int, int, bool]:
    """The first integer, how many there are, and whether a draw takes 64 bits. Raises RuntimeError for bad bounds."""
    last = last_integer(op, dtype)
    if low is None and high is None:
        return 0, last + 1, dtype.itemsize == 8
    first, end = low or 0, last + 1 if high is None else high
    least, most = limits(dtype)
    if first < least or end - 1 > most:
        raise RuntimeError(f"{op}: low={low}, high={high} are out of bounds for {dtype}")
    first, end = narrowed(first, end, dtype)
    if first >= end:
        raise RuntimeError(f"{op}: expects low < high, got low={low}, high={high} for {dtype}")
    size = end - first
    return (0 if size == 2**64 else first), size, size >= 2**28  # all of 64 bits: the words as they are


def check_uniform(low: float, high: float, dtype: np.dtype) -> None:
    """Raises RuntimeError for bounds in the wrong order, or that dtype does not hold."""
    work_dtype("uniform", dtype)
    if not low <= high:
        raise RuntimeError(f"uniform: expects low <= high, got low={low}, high={high}")
    if max(abs(low), abs(high), high - low) > limits(dtype)[1]:
        raise RuntimeError(f"uniform: low={low}, high={high} are out of bounds for {dtype}")


def check_multinomial(probs: Any, num_samples: int, replacement: bool) -> type:
    """Raises NotImplementedError or RuntimeError for weights or a number of samples that do not fit."""
    work = work_dtype("multinomial", probs.dtype)
    if probs.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: probs expects 1 or 2 dimensions, got shape {probs.shape}")
    n = probs.shape[-1]
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: expects num_samples > 0, got {num_samples}")
    if n == 0 or (not replacement and num_samples > n):
        raise RuntimeError(f"multinomial: num_samples={num_samples} do not fit {n} categories, "
                           f"replacement={replacement}")
    return work


def check_permutation(n: int, dtype: np.dtype) -> None:
    """Raises RuntimeError where 0 to n - 1 are no numbers of dtype."""
    if n < 0:
        raise RuntimeError(f"randperm: expects n >= 0, got n={n}")
    if n - 1 > last_integer("randperm", dtype):
        raise RuntimeError(f"randperm: n={n} is too large for {dtype}")


_PIECE = 1 << 15  # words, at a time
_WORD_IS_COARSE = (2**32 - 1) // 20
_WORTH_COMPILING = 1 << 17  # elements, from which on importing Numba does not cost more than it saves
_WORTH_CALLING = 16  # and once it is there


def _worth_compiling() -> int:
    """From how many elements on compiled code is quicker than NumPy."""
    return _WORTH_CALLING if f"{__package__}.cpu.jit" in sys.modules else _WORTH_COMPILING


def _size(shape: Shape) -> int:
    return math.prod(shape) if isinstance(shape, tuple) else shape


def _bound(p: float) -> int:
    """u < p as a comparison of whole numbers: of 53 digits of u with this bound."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli: expects 0 <= p <= 1, got p={p}")
    return math.ceil(p * 2.0**53)


def _pieces(flat: np.ndarray) -> Iterator[np.ndarray]:
    return (flat[start:start + _PIECE] for start in range(0, flat.size, _PIECE))


def parts(shape: Shape, dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the real and imaginary parts of a complex array."""
    return (*np.broadcast_shapes(shape), 2), np.dtype(f"f{dtype.itemsize // 2}")


def _libm(name: str, x: np.ndarray) -> np.ndarray:
    """A function of the C library, to the bit, for a few numbers; NumPy's faster one for many."""
    if x.size < 16:
        try:
            return np.array([getattr(math, name)(v) for v in x.tolist()], float)
        except (OverflowError, ValueError):  # where NumPy has inf
            pass
    return getattr(np, name)(x)


def _swaps(order: Any, targets: Any) -> None:
    for i, j in enumerate(targets):
        order[i], order[j] = order[j], order[i]


@functools.cache
def _compiled_swaps() -> Callable | None:
    """`_swaps` compiled, 30 times faster; None where Numba is not installed."""
    try:
        from .cpu.jit import jit
    except ImportError:
        return None
    return jit(_swaps)


def _restored(state: np.ndarray) -> Generator:
    return Generator().set_state(state)
