"""The likely cause of a value that is not finite, for the ops where it usually comes from."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .wording import numpy

Values = dict[str, Any]  # an op's arguments, or what its node keeps, by name


def cause(name: str, values: Values, y: Any, backward: bool = False) -> str:
    """A sentence on why op `name`, or its gradient, gave a `y` that is not finite; "" where there is no guess."""
    arrays = {key: numpy(v) for key, v in values.items() if hasattr(v, "dtype") or isinstance(v, (int, float))}
    table = _BACKWARD if backward else _FORWARD
    with np.errstate(all="ignore"):
        found = table[name](arrays, numpy(y)) if name in table and arrays else ""
        return found or (_general_backward if backward else _general)(arrays, numpy(y))


# Forward: each takes the arguments by name, in order, and the result

def _log(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    if (x < 0).any():
        return f"the logarithm of a negative number, of {_count(x < 0)}, is NaN. Clamp it, or look where it comes from"
    if (x == 0).any():
        return (f"log(0) = -inf: {_count(x == 0)} are 0. Add a small number or clamp(min=...) before, or use "
                "log_softmax, logsigmoid or log1p, which never form the 0")
    return ""


def _div(given: Values, y: np.ndarray) -> str:
    a, b = list(given.values())[:2]
    both = np.broadcast_to((a == 0) & (b == 0), y.shape)
    if both.any():
        return f"0 / 0 = NaN: {_count(both)} have 0 above and below. Add a small eps to b"
    if (b == 0).any():
        return f"division by 0: {_count(b == 0)} of the denominator are 0. Add a small eps, or clamp it" if b.size > 1 \
            else "division by 0: the denominator is 0"
    return f"overflow: the quotient is beyond {_largest(y)}; the denominator's smallest size is {_small(b)}"


def _sqrt(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    return f"the root of a negative number: {_count(x < 0)} are below 0. Rounding? clamp(min=0) before" \
        if (x < 0).any() else ""


def _rsqrt(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    return _sqrt(given, y) or (f"1 / sqrt(0) = inf: {_count(x == 0)} are 0. Add a small eps" if (x == 0).any() else "")


def _reciprocal(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    return f"division by 0: {_count(x == 0)} are 0. Add a small eps, or clamp it" if (x == 0).any() else ""


def _pow(given: Values, y: np.ndarray) -> str:
    x, exponent = [*given.values(), np.array(1)][:2]
    if (x < 0).any() and (exponent != np.floor(exponent)).any():
        return f"a negative number to a power that is no integer is NaN: {_count(x < 0)} are below 0"
    if (x == 0).any() and (exponent < 0).any():
        return f"0 to a negative power is a division by 0: {_count(x == 0)} are 0"
    return ""


def _exp(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    limit = float(np.log(_max(y)))
    return (f"overflow: exp of more than {limit:.4g} is beyond {y.dtype}, and the largest input is {x.max():.4g}. "
            "Subtract the maximum before (softmax and logsumexp do), or clamp")


def _domain(low: float, high: float) -> Callable[[Values, np.ndarray], str]:
    def say(given: Values, y: np.ndarray) -> str:
        x = _first(given)
        outside = (x < low) | (x > high)
        at = (x == low) | (x == high)
        if outside.any():
            return f"{_count(outside)} lie outside of [{low:g}, {high:g}]. Clamp before"
        return f"{_count(at)} are {low:g} or {high:g}, where it is infinite. Clamp before" if at.any() else ""
    return say


def _softmax(given: Values, y: np.ndarray) -> str:
    x = _first(given)
    if np.isneginf(x).any():
        return "a row of -inf alone has no softmax (0 / 0): a mask that masks everything"
    return "inf - inf: the input has an infinity" if np.isinf(x).any() else ""


def _mean(given: Values, y: np.ndarray) -> str:
    return "the mean of no elements is 0 / 0" if not _first(given).size else ""


def _var(given: Values, y: np.ndarray) -> str:
    return "the unbiased variance of a single element is 0 / 0: give correction=0, or a larger batch"


def _classes(given: Values, y: np.ndarray) -> str:
    return "" if not np.isfinite(_first(given)).all() else \
        "the mean over no targets is 0 / 0: all of them are ignore_index, or the batch is empty"


def _general(given: Values, y: np.ndarray) -> str:
    arrays = [a for a in given.values() if a.dtype.kind in "fcV"]
    if any(np.isnan(a).any() for a in arrays):
        return ""
    if np.isnan(y).any():
        if any(np.isinf(a).any() for a in arrays):
            return "an infinity that came in: inf - inf, 0 * inf or inf / inf is NaN"
        return ""
    largest = max([float(np.abs(a.astype(np.float64)).max()) for a in arrays if a.size and a.dtype.kind != "c"] or [0])
    if largest ** 2 > _max(y) / 1e4 or y.dtype.itemsize == 2:
        return (f"overflow: the largest input is {largest:.4g}, and {y.dtype} ends at {_largest(y)}. Do the values "
                "grow from step to step (learning rate, initialization, no normalization)?")
    return ""


# Backward: each takes what the node keeps by name, `dy`, and the gradient

def _root_back(kept: Values, dx: np.ndarray) -> str:
    y = kept.get("y", kept.get("x"))
    return ("the slope of a root at 0 is 1 / 0 = inf, and 0 * inf = NaN: "
            f"{_count(y == 0)} are 0. Add a small eps under the root") if y is not None and (y == 0).any() else ""


def _log_back(kept: Values, dx: np.ndarray) -> str:
    x = kept.get("x")
    return (f"the slope of log is 1 / x, and {_count(x == 0)} of x are 0; with a gradient of 0 that is 0 / 0 = NaN, "
            "even where torch.where drops the value. Replace the zeros before the logarithm") \
        if x is not None and (x == 0).any() else ""


def _div_back(kept: Values, dx: np.ndarray) -> str:
    b = kept.get("b", kept.get("x"))
    return (f"the slope of a / b divides by b, and {_count(b == 0)} of b are 0, even where torch.where drops the "
            "value. Replace the zeros before the division") if b is not None and (b == 0).any() else ""


def _pow_back(kept: Values, dx: np.ndarray) -> str:
    x, exponent = kept.get("x"), kept.get("exponent")
    if x is None or exponent is None or not (x == 0).any():
        return ""
    if (exponent < 1).any():
        power = float(np.ravel(exponent)[0])
        return f"the slope of x ** {power:g} at 0 is infinite: {_count(x == 0)} of x are 0. Add a small eps"
    return f"the slope by the exponent is log(x), and {_count(x == 0)} of x are 0"


def _norm_back(kept: Values, dx: np.ndarray) -> str:
    y = kept.get("y")
    return "the norm of a vector of zeros has no slope: 0 / 0. Add a small eps to the norm's square" \
        if y is None or (y == 0).any() else ""


def _bound_back(kept: Values, dx: np.ndarray) -> str:
    x = kept.get("x")
    return f"the slope at 1 and -1 is infinite: {_count(np.abs(x) == 1)} are there. Clamp a little inside" \
        if x is not None and (np.abs(x) == 1).any() else ""


def _general_backward(kept: Values, dx: np.ndarray) -> str:
    infinite = [name for name, a in kept.items() if name != "dy" and a.dtype.kind in "fcV" and np.isinf(a).any()]
    dy = kept.get("dy")
    if infinite and np.isnan(dx).any():
        return f"0 * inf = NaN: {infinite[0]!r}, which it keeps from the forward pass, has infinities"
    if dy is not None and dy.dtype.kind in "fcV" and np.isinf(dy).any() and np.isnan(dx).any():
        return "0 * inf or inf - inf = NaN: the gradient that it got has infinities"
    return ""


_FORWARD: dict[str, Callable[[Values, np.ndarray], str]] = {
    **dict.fromkeys(["log", "log2", "log10"], _log), "div": _div, "true_divide": _div, "remainder": _div, "fmod": _div,
    "sqrt": _sqrt, "rsqrt": _rsqrt, "reciprocal": _reciprocal, "pow": _pow, "float_power": _pow,
    **dict.fromkeys(["exp", "exp2", "expm1", "sinh", "cosh"], _exp),
    "acos": _domain(-1, 1), "asin": _domain(-1, 1), "atanh": _domain(-1, 1), "logit": _domain(0, 1),
    "log1p": _domain(-1, float("inf")), **dict.fromkeys(["softmax", "log_softmax"], _softmax), "mean": _mean,
    **dict.fromkeys(["var", "std"], _var), **dict.fromkeys(["cross_entropy_classes", "nll_loss_classes"], _classes),
}
_BACKWARD: dict[str, Callable[[Values, np.ndarray], str]] = {
    "sqrt": _root_back, "std": _root_back, "rsqrt": _root_back, "log": _log_back, "log2": _log_back,
    "log10": _log_back, "div": _div_back, "reciprocal": _div_back, "pow": _pow_back,
    **dict.fromkeys(["norm", "vector_norm", "linalg_vector_norm", "cdist"], _norm_back),
    **dict.fromkeys(["acos", "asin", "atanh"], _bound_back),
}


def _first(given: Values) -> Any:
    return next(iter(given.values()))


def _count(where: Any) -> str:
    return f"{int(np.sum(where))} of {np.size(where)} elements"


def _max(y: np.ndarray) -> float:
    return float(np.finfo(y.dtype).max) if y.dtype.kind in "fc" else 3.4e38


def _largest(y: np.ndarray) -> str:
    return f"{_max(y):.3g}"


def _small(b: np.ndarray) -> str:
    return f"{float(np.abs(b).min()):.3g}" if b.size else "none"
