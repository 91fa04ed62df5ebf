"""L-BFGS: quasi-Newton steps from a short history of gradients, with or without a line search."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..device import kernels_of
from ..engine import enable_grad
from ..tensor import Tensor
from .optimizer import Optimizer, checked, number


class LBFGS(Optimizer):
    """Limited-memory BFGS; Nocedal and Wright, "Numerical Optimization", algorithm 7.4.

    p -= t H g, H the inverse Hessian that the last `history_size` changes of p and g suggest, t by line search

    `step(closure)` runs up to `max_iter` iterations, and calls `closure`, which computes the loss and its gradients
    anew, up to `max_eval` times (5/4 max_iter by default). `line_search_fn` is "strong_wolfe" or None: steps of
    length `lr` then. All parameters are in one group.

    >>> from minitorch import tensor
    >>> w = tensor([-1.2, 1.0], requires_grad=True)
    >>> optimizer = LBFGS([w], max_iter=60, line_search_fn="strong_wolfe")
    >>> def rosenbrock():
    ...     optimizer.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> first = optimizer.step(rosenbrock)
    >>> w.detach()
    tensor([1.0000, 1.0000])
    """

    def __init__(self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None):
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError(f"LBFGS: only 'strong_wolfe' is supported, got line_search_fn={line_search_fn!r}")
        super().__init__(params, checked(
            lr=lr, max_iter=max_iter, max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size,
            line_search_fn=line_search_fn))
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Run up to `max_iter` iterations; gives the loss before them."""
        group = self.param_groups[0]
        line = _Line(group["params"], closure)
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss, loss, g = line.evaluate()
        most = group["max_eval"]
        for i in range(group["max_iter"]):
            if not abs(g).max() > group["tolerance_grad"]:
                break
            before = loss
            d = _direction(state, g, group["history_size"])
            slope = float(g @ d)
            t = number(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(abs(g).sum()))
            state.update(t=t, prev_loss=before)
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                loss, g, t = _strong_wolfe(line, t, d, loss, g, slope, group["tolerance_change"], most - line.calls)
                line.move(t, d)
                state["t"] = t
            else:
                line.move(t, d)
                if i + 1 < group["max_iter"]:  # after the last step nobody needs the loss
                    _, loss, g = line.evaluate()
            if line.calls >= most or float(abs(d).max()) * t <= group["tolerance_change"]:
                break
            if abs(loss - before) < group["tolerance_change"]:
                break
        state["func_evals"] += line.calls
        return first_loss


def _direction(state: dict, g: Any, history: int) -> Any:
    """The next direction: minus the inverse Hessian that the history suggests, times the gradient `g`."""
    state["n_iter"] += 1
    if state["n_iter"] == 1:
        d = -g
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
    else:
        y, s = g - state["prev_flat_grad"]._array, state["d"]._array * number(state["t"])
        curvature = float(y @ s)
        if curvature > 1e-10:
            for name, value in (("old_dirs", Tensor._wrap(y)), ("old_stps", Tensor._wrap(s)), ("ro", 1 / curvature)):
                state[name] = [*state[name], value][-history:]
            state["H_diag"] = curvature / float(y @ y)
        past = [(y._array, s._array, number(r)) for y, s, r in zip(state["old_dirs"], state["old_stps"], state["ro"])]
        d, shares = -g, []
        for y, s, r in reversed(past):
            shares.append(float(s @ d) * r)
            d = d - shares[-1] * y
        d = d * number(state["H_diag"])
        for y, s, r in past:
            d = d + (shares.pop() - float(y @ d) * r) * s
    # "al" is scratch here; a state that PyTorch is to load has it
    state.update(d=Tensor._wrap(d), prev_flat_grad=Tensor._wrap(g), al=[None] * history)
    return d


class _Line:
    """The loss as a function of all parameters in one vector; counts its evaluations."""

    def __init__(self, params: list[Tensor], closure: Callable[[], Any]):
        self.params, self.closure, self.calls = params, closure, 0
        self.xp = kernels_of(params[0]._array).xp

    def evaluate(self) -> tuple[Any, float, Any]:
        """What the closure returns, as it is and as a number, and the gradient, where the parameters are now."""
        with enable_grad():
            loss = self.closure()
        self.calls += 1
        g = [(p._array * 0 if p._grad is None else p._grad.to_dense()._array).ravel() for p in self.params]
        return loss, float(number(loss)), self.xp.concatenate(g)

    def move(self, t: float, d: Any) -> None:
        """Add t d to the parameters."""
        start = 0
        for p in self.params:
            p._array[...] += t * d[start:start + p._array.size].reshape(p._array.shape)
            p._bump()
            start += p._array.size

    def at(self, t: float, d: Any) -> _Point:
        """The loss, the gradient and the slope at t d from here; the parameters stay where they are."""
        here = [p._array.copy() for p in self.params]
        self.move(t, d)
        _, loss, g = self.evaluate()
        for p, array in zip(self.params, here):
            p._array[...] = array
            p._bump()
        return _Point(t, loss, g, float(g @ d))


class _Point:
    """A point on the search line."""

    __slots__ = ("g", "loss", "slope", "t")

    def __init__(self, t: float, loss: float, g: Any, slope: float):
        self.t, self.loss, self.g, self.slope = t, loss, g, slope


def _strong_wolfe(line: _Line, t: float, d: Any, loss: float, g: Any, slope: float, tolerance: float, most: int,
                  c1: float = 1e-4, c2: float = 0.9) -> tuple[float, Any, float]:
    """A step length with sufficient decrease and a flat enough slope; Nocedal and Wright, algorithms 3.5 and 3.6.

    Gives the loss and the gradient there, and the length.
    """
    start = previous = _Point(0.0, loss, g, slope)

    def too_high(point):
        return point.loss > loss + c1 * point.t * slope

    def flat(point):
        return abs(point.slope) <= -c2 * slope

    new, tries = line.at(t, d), 0
    low = high = None
    while tries < most:  # find an interval that holds such a point
        if too_high(new) or (tries > 1 and new.loss >= previous.loss):
            low, high = previous, new
            break
        if flat(new):
            return new.loss, new.g, new.t
        if new.slope >= 0:
            low, high = previous, new
            break
        t = _cubic(previous, new, new.t + 0.01 * (new.t - previous.t), new.t * 10)
        previous, new, tries = new, line.at(t, d), tries + 1
    if low is None or high is None:
        low, high = start, new
    if low.loss > high.loss:
        low, high = high, low
    width, stalled = float(abs(d).max()), False
    while tries < most and abs(high.t - low.t) * width >= tolerance:  # and shrink it
        left, right = sorted((low.t, high.t))
        t, margin = _cubic(low, high, left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stalled or not left < t < right):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stalled = near
        new, tries = line.at(t, d), tries + 1
        if too_high(new) or new.loss >= low.loss:
            high = new
            if high.loss < low.loss:
                low, high = high, low
            continue
        if flat(new):
            return new.loss, new.g, new.t
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return low.loss, low.g, low.t


def _cubic(a: _Point, b: _Point, least: float, most: float) -> float:
    """The minimum, between two bounds, of the cubic through two points with their slopes; (3.59) in the book."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t) if a.t != b.t else math.nan
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    d2 = math.sqrt(square)
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2)), least), most)
