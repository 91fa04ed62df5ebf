"""Random numbers by rejection: gamma, Poisson and binomial numbers, drawn one by one as PyTorch draws them.

How many uniform numbers an element takes shows only while it is drawn. So a loop works through a block of them: it
stops before the first element that the block does not complete, and says how many are done and how many uniform
numbers they took; the generator then goes back to there. The loops run as they stand, and compiled where there is
much to draw: with the same arithmetic, in the order in which it is written, to the same bits.
"""
from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .mt19937 import Twister
from .rounding import cast, digits, work_dtype

_WORTH_COMPILING = 1 << 15  # elements, from which on importing Numba does not cost more than it saves
_WORTH_CALLING = 1 << 8  # and once it is there
_BLOCK = 1 << 16  # uniform numbers at a time
_THIRD, _SQUEEZE = float(np.float32(1) / np.float32(3)), float(np.float32(0.0331))  # PyTorch has them in float32
_STIRLING = (0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
             0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287)


class Rejection:
    """The part of `random.Generator` that draws by rejection: parameters are arrays, results have their dtype."""

    _lock: Any
    _twister: Twister
    _normal: float | None

    def standard_gamma(self, alpha: np.ndarray) -> np.ndarray:
        """Gamma numbers of rate 1, an element of concentration `alpha` each; none is 0.

        G. Marsaglia and W. W. Tsang, A simple method for generating gamma variables, ACM TOMS 26 (2000) 363.
        """
        return _clamped(self._gammas(alpha), alpha.dtype, math.inf)

    def dirichlet(self, alpha: np.ndarray) -> np.ndarray:
        """Points of the simplex, one for each row of concentrations: gamma numbers over their sum."""
        work_dtype("_sample_dirichlet", alpha.dtype)
        gammas = _clamped(self._gammas(alpha.astype(np.float64)), np.dtype(np.float64), math.inf)
        below_one = 1 - 2.0 ** -digits(alpha.dtype)
        return _clamped(gammas / gammas.sum(-1, keepdims=True), alpha.dtype, below_one)

    def poisson(self, rate: np.ndarray) -> np.ndarray:
        """Poisson numbers of an array of rates.

        W. Hörmann, The transformed rejection method for generating Poisson random variables, Insurance: Mathematics
        and Economics 12 (1993) 39; below a rate of 10, products of uniform numbers.
        """
        work_dtype("poisson", rate.dtype)
        takes = min(float(rate.max(initial=1)) + 1, 10.5)
        return cast(self._draw(_poissons, [rate], takes), rate.dtype)

    def binomial(self, count: np.ndarray, prob: np.ndarray) -> np.ndarray:
        """Successes in `count` trials of probability `prob`, arrays of one shape and dtype.

        W. Hörmann, The generation of binomial random variates, J. Stat. Comput. Simul. 46 (1993) 101 (BTRS); where
        fewer than 10 are expected, sums of geometric numbers (L. Devroye, Non-uniform random variate generation,
        1986, X.4.3).
        """
        work = work_dtype("binomial", prob.dtype)
        n: np.ndarray = count.astype(work)
        p: np.ndarray = prob.astype(work)
        rare = np.where(p > 0.5, 1 - p, p)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, log_miss = n * rare, np.log1p(-rare)
            spread, odds, mode = np.sqrt(mean * (1 - rare)), rare / (1 - rare), np.floor((n + 1) * rare)
        return cast(self._draw(_binomials, [n, p, rare, mean, log_miss, spread, odds, mode], 11), prob.dtype)

    def _gammas(self, alpha: np.ndarray) -> np.ndarray:
        work = work_dtype("_standard_gamma", alpha.dtype)
        small = (alpha < 1) & (alpha > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.where(small, 1 / alpha.astype(work), 0)
            boosted: np.ndarray = np.where(small, alpha + alpha.dtype.type(1), alpha).astype(work)
            d = np.where(alpha > 0, (boosted - work(_THIRD)).astype(np.float64), 0)
            c = 1 / np.sqrt(9 * d)
        return self._draw(_gammas, [d, c, power], 3.4)

    def _draw(self, loop: Callable, parameters: list[np.ndarray], takes: float) -> np.ndarray:
        """What `loop` draws for `parameters`, float64; it takes about `takes` uniform numbers an element."""
        shape, size = parameters[0].shape, parameters[0].size
        values: list[Any] = [np.ascontiguousarray(p, np.float64).reshape(-1) for p in parameters]
        numba_is_there = f"{__package__}.cpu.jit" in sys.modules
        compiled = _compiled(loop) if size >= (_WORTH_CALLING if numba_is_there else _WORTH_COMPILING) else None
        out: Any = np.empty(size)
        if compiled is None:
            values, out = [p.tolist() for p in values], [0.0] * size
        done, missing = 0, 0
        with self._lock:
            normal = math.nan if self._normal is None else self._normal
            while done < size:
                mark, count = self._twister.mark(), min(int(takes * (size - done)) + 16, _BLOCK) + missing
                u = self._twister.units(count, np.float64)
                before = done
                done, used, normal = (compiled or loop)(*values, out, done, u if compiled else u.tolist(), normal)
                missing = 2 * count if done == before else 0
                if used < count:
                    self._twister.rewind(mark)
                    self._twister.words(2 * used)
            self._normal = None if math.isnan(normal) else normal
        return np.array(out, np.float64).reshape(shape)


# The loops: parameters, where the results go, the first of them to draw, uniform numbers, the waiting normal number;
# they return how many are drawn by now, how many uniform numbers that took, and the normal number that waits then

def _gammas(d, c, power, out, first, u, normal):
    used, end = 0, len(u)
    for i in range(first, len(out)):
        if d[i] <= 0:
            out[i] = 0.0
            continue
        at, waiting, scale = used, normal, 1.0
        if power[i] != 0:
            if at == end:
                return i, used, normal
            scale = (1 - u[at]) ** power[i]
            at += 1
        while True:
            if waiting == waiting:
                x, waiting = waiting, math.nan
            else:
                if at + 2 > end:
                    return i, used, normal
                radius, angle = math.sqrt(-2 * math.log1p(-u[at + 1])), 2 * math.pi * u[at]
                x, waiting = radius * math.cos(angle), radius * math.sin(angle)
                at += 2
            y = 1 + c[i] * x
            if y <= 0:
                continue
            if at == end:
                return i, used, normal
            v, w, xx = y * y * y, 1 - u[at], x * x
            at += 1
            if w < 1 - _SQUEEZE * xx * xx or math.log(w) < 0.5 * xx + d[i] * (1 - v + math.log(v)):
                break
        out[i] = scale * d[i] * v
        used, normal = at, waiting
    return len(out), used, normal


def _poissons(rates, out, first, u, normal):
    used, end = 0, len(u)
    for i in range(first, len(out)):
        rate, at, count = rates[i], used, 0.0
        if rate >= 10:
            b = 0.931 + 2.53 * math.sqrt(rate)
            a = -0.059 + 0.02483 * b
            while True:
                if at + 2 > end:
                    return i, used, normal
                x, v = u[at] - 0.5, u[at + 1]
                at += 2
                distance = 0.5 - abs(x)
                if distance == 0:
                    continue
                count = ((2 * a / distance + b) * x + rate + 0.43) // 1.0
                if distance >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
                    break
                if count < 0 or (distance < 0.013 and v > distance):
                    continue
                if v == 0:
                    break
                accepted = math.log(v) + math.log(1.1239 + 1.1328 / (b - 3.4)) - math.log(a / (distance * distance) + b)
                if accepted <= count * math.log(rate) - rate - math.lgamma(count + 1):
                    break
        elif rate > 0:
            floor, product = math.exp(-rate), 1.0
            while True:
                if at == end:
                    return i, used, normal
                product *= u[at]
                at += 1
                if product <= floor:
                    break
                count += 1
        elif rate != 0:
            count = math.nan
        out[i] = count
        used = at
    return len(out), used, normal


def _binomials(counts, probs, rares, means, log_misses, spreads, odds, modes, out, first, u, normal):
    used, end = 0, len(u)
    for i in range(first, len(out)):
        n, p, at, k = counts[i], probs[i], used, 0.0
        if not n > 0 or not p > 0 or p >= 1:
            out[i] = math.nan if p != p else n if n > 0 and p >= 1 else 0.0
            continue
        if means[i] >= 10:
            r, m, rare = odds[i], modes[i], rares[i]
            b = 1.15 + 2.53 * spreads[i]
            a = -0.0873 + 0.0248 * b + 0.01 * rare
            c, squeeze, alpha = means[i] + 0.5, 0.92 - 4.2 / b, (2.83 + 5.1 / b) * spreads[i]
            while True:
                if at + 2 > end:
                    return i, used, normal
                x, v = u[at] - 0.5, u[at + 1]
                at += 2
                distance = 0.5 - abs(x)
                if distance == 0:
                    continue
                k = ((2 * a / distance + b) * x + c) // 1.0
                if k < 0 or k > n:
                    continue
                if (distance >= 0.07 and v <= squeeze) or v == 0:
                    break
                bound = ((m + 0.5) * math.log((m + 1) / (r * (n - m + 1)))
                         + (n + 1) * math.log((n - m + 1) / (n - k + 1))
                         + (k + 0.5) * math.log(r * (n - k + 1) / (k + 1)))
                for sign, j in ((1.0, m), (1.0, n - m), (-1.0, k), (-1.0, n - k)):
                    if j < 10:
                        bound += sign * _STIRLING[int(j)]
                    else:
                        square = (j + 1) * (j + 1)
                        bound += sign * ((1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (j + 1))
                if math.log(v * alpha / (a / (distance * distance) + b)) <= bound:
                    break
        else:
            total = 0.0
            while True:
                if at == end:
                    return i, used, normal
                if u[at] == 0:
                    at += 1
                    break
                total -= -math.log(u[at]) / log_misses[i] // 1.0  # the quotient rounded up
                at += 1
                if total > n:
                    break
                k += 1
        out[i] = n - k if p > 0.5 else k
        used = at
    return len(out), used, normal


@functools.cache
def _compiled(loop: Callable) -> Callable | None:
    """`loop` compiled, some 30 times faster; None where Numba is not installed."""
    try:
        from .cpu.jit import in_order
    except ImportError:
        return None
    return in_order(loop)


def _clamped(x: np.ndarray, dtype: np.dtype, most: float) -> np.ndarray:
    """`x` in `dtype`, no smaller than its smallest normal number and no larger than `most`."""
    least = np.finfo(np.float16 if dtype == np.float16 else work_dtype("", dtype)).tiny
    return np.asarray(np.minimum(np.maximum(cast(x, dtype), dtype.type(least)), dtype.type(most)))
