"""Utilities around training under PyTorch's names (`minitorch.utils.data`, ...), imported when first used."""

import importlib


def __getattr__(name):
    if not name.startswith("_"):
        full_name = f"{__name__}.{name}"
        try:
            return importlib.import_module(full_name)
        except ModuleNotFoundError as error:
            if error.name != full_name:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
