"""The names of symbolic tracing that programs import; there is no tracer behind them."""
from __future__ import annotations

import importlib
from typing import Any, NoReturn, TypeVar

from minitorch._absent import stand_ins
from minitorch.errors import MissingError, absent_from

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """Returned as it came: it would tell a tracer to leave the function whole, and nothing is traced.

    >>> wrap(len)("abc")
    3
    """
    return fn_or_name


def symbolic_trace(root: Any, concrete_args: Any = None) -> NoReturn:
    """Raises MissingError: `func.functional_call` and forward hooks do what most traces are made for.

    >>> symbolic_trace(None)
    Traceback (most recent call last):
    ...
    minitorch.errors.MissingError: fx.symbolic_trace: there is no tracer; register_forward_hook reaches inside a model
    """
    raise MissingError("fx.symbolic_trace: there is no tracer; register_forward_hook reaches inside a model")


globals().update(stand_ins(
    "torch.fx", "there is no tracer", "Graph GraphModule Interpreter Node Proxy Tracer Transformer"))
__all__ = ["symbolic_trace", "wrap"]
_absent = absent_from("torch.fx", lambda: globals())


def __getattr__(name: str) -> Any:
    if name in ("_pytree", "proxy"):
        return importlib.import_module(f"{__name__}.{name}")
    return _absent(name)
