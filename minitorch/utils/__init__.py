"""Utilities around training under PyTorch's names (`minitorch.utils.data`, ...), imported when first used."""

import importlib

from ..errors import absent_from


def swap_tensors(t1, t2):
    """Exchange all that two tensors are (values, gradients, types, attributes): whoever holds one sees the other.

    Raises RuntimeError for a view, and for what has a history.

    >>> import minitorch as torch
    >>> a, b = torch.arange(2), torch.zeros(1)
    >>> swap_tensors(a, b)
    >>> a, b
    (tensor([0.]), tensor([0, 1]))
    """
    for t in (t1, t2):
        if t._node is not None or t._base is not None:
            raise RuntimeError("swap_tensors: a tensor with a history, or a view, cannot be swapped: detach() it first")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__



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
