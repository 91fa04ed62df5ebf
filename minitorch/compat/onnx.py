"""The names of ONNX export that programs import; there is no exporter behind them."""
from __future__ import annotations

from typing import Any, NoReturn

from minitorch.errors import MissingError, absent_from


def export(model: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises MissingError: no ONNX file is written; `save(model.state_dict(), path)` keeps the weights.

    >>> export(None, (), "model.onnx")
    Traceback (most recent call last):
    ...
    minitorch.errors.MissingError: onnx.export: there is no exporter; save(model.state_dict(), path) keeps the weights
    """
    raise MissingError("onnx.export: there is no exporter; save(model.state_dict(), path) keeps the weights")


def is_in_onnx_export() -> bool:
    """False."""
    return False


__all__ = ["export", "is_in_onnx_export"]
__getattr__ = absent_from(__name__, lambda: __all__)
