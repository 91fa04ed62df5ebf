"""Counts the multiplications and additions of matrix products and convolutions, module by module."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from inspect import unwrap
from typing import Any
from weakref import WeakKeyDictionary

from ..engine import around_gradients
from ..nn.scopes import Scopes
from ..observing import around_ops

__all__ = ["FlopCounterMode", "register_flop_formula"]
_formulas: dict[str, Callable] = {}  # the programs' own: of an operator's name


def register_flop_formula(targets: Any, get_raw: bool = False) -> Callable:
    """Decorator of `f(*shapes, out_shape=..., **attributes)`: what an operator of `torch.library.custom_op` costs."""
    def register(formula: Callable) -> Callable:
        for target in targets if isinstance(targets, list | tuple) else [targets]:
            _formulas[_name(target)] = formula
        return formula

    return register


def _name(operator: Any) -> str:
    return str(getattr(operator, "_name", operator)).rpartition("::")[2].removeprefix("aten.")


class FlopCounterMode:
    """Counts within a `with` block; at its end a table is printed where `display`, down to `depth` modules.

    One multiplication and one addition count 2, as in PyTorch; what is no product counts nothing, nor do recurrent
    layers and fused attention. Gradients count with the module whose forward pass made them necessary.

    >>> from minitorch import nn, ones
    >>> with FlopCounterMode(display=False) as counter:
    ...     nn.Linear(4, 3)(ones(2, 4)).sum().backward()
    >>> counter.get_total_flops(), counter.get_flop_counts()["Linear"]
    (96, {'aten.addmm': 48, 'aten.mm': 48})
    """

    def __init__(self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None):
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[str, int]] = {}
        self._own = {_name(operator): formula for operator, formula in (custom_mapping or {}).items()}
        self._scopes = Scopes()
        self._running = ExitStack()

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts = defaultdict(lambda: defaultdict(int))
        self._costs: WeakKeyDictionary = WeakKeyDictionary()  # of a gradient function: its operator, cost, modules
        for context in (around_ops(self._op, everywhere=True), around_gradients(self._gradient, everywhere=True),
                        self._scopes):
            self._running.enter_context(context)
        return self

    def __exit__(self, *exception: object) -> None:
        self._running.close()
        if self.display:
            print(self.get_table(self.depth))

    def count(self, operator: str, flops: int, modules: Any = None) -> None:
        """Add what an operator cost to each of `modules`, those that run now where not given."""
        if flops:
            for name in {"Global", *(self._scopes.open if modules is None else modules)}:
                self.flop_counts[name][operator] += flops

    def get_total_flops(self) -> int:
        """All that was counted."""
        return sum(self.flop_counts.get("Global", {}).values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """By the name of a module, and "Global", a dict from operators, as "aten.mm", to what they cost."""
        return {name: dict(costs) for name, costs in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as a text: modules at most `depth` deep, and their operators."""
        depth, total = self.depth if depth is None else depth, self.get_total_flops()
        rows, power = [("Module", "FLOP", "% Total")], max(0, min((len(str(total)) - 2) // 3, 4))
        deep = sorted(name for name in self.flop_counts if name != "Global" and name.count(".") + 1 <= depth)
        covered = max((sum(self.flop_counts[name].values()) for name in deep), default=0)
        for name in [*(["Global"] if covered < total or not deep else []), *deep]:
            costs = self.flop_counts.get(name, {})
            for label, flops in [(name, sum(costs.values())), *((f"- {op}", n) for op, n in costs.items())]:
                rows.append((label, _short(flops, power), f"{100 * flops / total if total else 0:.2f}%"))
        widths = [max(len(column[0]) + 2, *map(len, column[1:])) for column in zip(*rows)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

    def _op(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        result = body(k, *arguments, **options)
        formula = self._own.get(op.name) or _formulas.get(op.name)
        forward, backward, flops = _cost(op.name, arguments, result, formula, options)
        self.count(forward, flops)
        if flops and type(result) is tuple:
            for gradient in result[1:3]:
                gradient = getattr(gradient, "function", gradient)
                if gradient is not None:
                    self._costs[gradient] = backward, flops, tuple(self._scopes.open)
        return result

    def _gradient(self, node: Any, function: Callable, i: int, arguments: tuple) -> Any:
        cost = self._costs.get(unwrap(function))  # below what other tools have put around it
        if cost is not None:
            operator, flops, modules = cost
            times = 1 if len(arguments) == 1 else sum(arguments[1][:2])  # of a function for all inputs: those needed
            self.count(operator, flops * times, modules)
        return function(*arguments)


def _short(flops: int, power: int) -> str:
    return f"{flops / 1000 ** power:.3f}{' KMBT'[power]}" if power else str(flops)


def _cost(name: str, arrays: tuple, result: Any, formula: Callable | None, attributes: dict) -> tuple[str, str, int]:
    """An op's operators in forward and backward, and what each of its gradients costs, as much as itself."""
    shapes = [tuple(a.shape) for a in arrays if hasattr(a, "shape")]
    y = result[0] if type(result) is tuple else result
    if formula is not None:
        return f"aten.{name}", f"aten.{name}_backward", formula(*shapes, out_shape=tuple(y.shape), **attributes)
    if name == "linear":
        x, weight = shapes[:2]
        return "aten.addmm" if len(shapes) > 2 else "aten.mm", "aten.mm", 2 * math.prod(x) * math.prod(weight[:-1])
    if name == "matmul" and (min(map(len, shapes)) == 2 or max(map(len, shapes)) > 2):
        operator = "aten.bmm" if min(map(len, shapes)) > 2 else "aten.mm"
        return operator, operator, 2 * math.prod(y.shape) * shapes[0][-1]
    if name in ("conv1d", "conv2d", "conv3d") or name.startswith("conv_transpose"):
        x, weight = shapes[:2]
        places = math.prod((y.shape if name[4] != "_" else x)[2 - len(weight):])
        batch = x[0] if len(x) == len(weight) else 1
        return "aten.convolution", "aten.convolution_backward", 2 * batch * places * math.prod(weight)
    return "", "", 0
