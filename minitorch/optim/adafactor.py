"""Adafactor: Adam's second moment kept as the product of a row and a column. Shazeer and Stern, 2018."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, advance, number, scalar


class Adafactor(Optimizer):
    """p -= max(eps2, rms(p)) min(lr, 1 / sqrt(step)) u / max(1, rms(u) / d), u = g / sqrt(v).

    For a matrix, or the last two dimensions of a tensor, v is the outer product of the running means of g² over
    columns and over rows, divided by their mean; for a vector it is the running mean of g² itself. The means' weight
    on the new value is step^beta2_decay. `weight_decay` shrinks p apart from the gradient. Raises ValueError for
    options out of range.

    >>> from minitorch import ones
    >>> w = ones(3, 4, requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> {name: tuple(value.shape) for name, value in optimizer.state[w].items()}
    {'step': (), 'row_var': (3, 1), 'col_var': (1, 4)}
    """

    def __init__(self, params: Any, lr: Any = 1e-2, beta2_decay: float = -0.8,
                 eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
                 foreach: bool | None = None, maximize: bool = False):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value, fits in (
                ("Learning rate should be >= 0", lr, number(lr) >= 0), ("d should be >= 1", d, d >= 1),
                ("beta2_decay should be <= 0", beta2_decay, beta2_decay <= 0),
                ("epsilon1 should be >= 0", eps[0], eps[0] is None or eps[0] >= 0),
                ("epsilon2 should be >= 0", eps[1], eps[1] >= 0),
                ("weight_decay should be >= 0", weight_decay, weight_decay >= 0)):
            if not fits:
                raise ValueError(f"{name} but is: {value}")
        super().__init__(params, {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d,
                                  "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize})

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, (eps1, eps2) = number(group["lr"]), group["eps"]
        for p, a, g, k in self._due(group):
            xp, state = k.xp, self.state[p]
            if not state:
                state["step"] = scalar(0)
                for name, shape in _moments(g.shape):
                    state[name] = Tensor._wrap(xp.zeros(shape, g.dtype))
            step, g = advance(state), -g if group["maximize"] else g
            least = float(xp.finfo(a.dtype).eps) if eps1 is None else eps1
            rate = max(eps2, _rms(xp, a)) * min(lr, step ** -0.5)
            if group["weight_decay"]:
                a *= 1 - lr * group["weight_decay"]
            new = step ** group["beta2_decay"]
            if g.ndim > 1:
                row, column = state["row_var"]._array, state["col_var"]._array
                row += new * ((g * g).mean(-1, keepdims=True) - row)
                column += new * ((g * g).mean(-2, keepdims=True) - column)
                v = row * column / row.mean(-2, keepdims=True).clip(least, None)
            else:
                v = state["variance"]._array
                v += new * (g * g - v)
            u = g / xp.sqrt(v.clip(least * least, None))
            a -= rate / max(1.0, _rms(xp, u) / group["d"]) * u


def _moments(shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    if len(shape) < 2:
        return [("variance", shape)]
    return [("row_var", (*shape[:-1], 1)), ("col_var", (*shape[:-2], 1, shape[-1]))]


def _rms(xp: Any, x: Any) -> float:
    return float(xp.linalg.norm(x.reshape(-1))) / max(x.size, 1) ** 0.5
