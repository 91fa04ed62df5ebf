"""Utilities around training under PyTorch's names (`minitorch.utils.data`, ...), imported when first used."""

import importlib

from ..errors import absent_from


def __getattr__(name):
    if not name.startswith("__"):
        full_name = f"{__name__}.{name}"
        try:
            return importlib.import_module(full_name)
        except ModuleNotFoundError as error:
            if error.name != full_name:
                raise
    import pkgutil

    return absent_from(__name__, lambda: [module.name for module in pkgutil.iter_modules(__path__)])(name)
