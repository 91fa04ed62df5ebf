"""The exceptions, each of the class that PyTorch raises in the same place: code that catches those still works."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


class ShapeError(RuntimeError, ValueError):
    """A shape that does not fit: sizes, number of dimensions, channels."""


class DimError(IndexError):
    """A dimension out of range."""


class BoundsError(IndexError, RuntimeError):
    """An index out of range; PyTorch raises IndexError in some ops and RuntimeError in others."""


class DTypeError(RuntimeError, TypeError):
    """An element type that the operation does not have."""


class DeviceError(RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class LinAlgError(RuntimeError, ValueError):
    """A matrix that an algorithm of linear algebra cannot take: singular, or not positive-definite."""


class GraphError(RuntimeError):
    """A graph that cannot be differentiated: freed, overwritten, or never recorded."""


class MissingError(ImportError, RuntimeError):
    """An optional package that is not installed; the message says how to get it."""


class CheckpointError(RuntimeError, ValueError):
    """A file that is no checkpoint, or a damaged one; the message names it."""


class NoCudaError(MissingError, DeviceError, AssertionError):
    """No GPU can be used: CuPy is not installed, or finds none. AssertionError is what PyTorch's CPU build raises."""


class DistributedError(RuntimeError):
    """More processes than one, which `distributed` does not have."""


class NotStrided(NotImplementedError):
    """An operation that looks at the array of a tensor which has none, such as a sparse one.

    The ops hand themselves over to the tensor's own `_run(name, args, kwargs)`.
    """

    def __init__(self, tensor: Any, message: str):
        super().__init__(message)
        self.tensor = tensor

    def run(self, name: str, args: tuple, kwargs: dict) -> Any:
        return self.tensor._run(name, args, kwargs)


class NoAttributeError(AttributeError):
    """A name that is not there. What names there are is looked at when the message is read: `hasattr` stays quick."""

    def __init__(self, message: str, wanted: str, names: Callable[[], Iterable[str]]):
        super().__init__(message)
        self._wanted, self._names = wanted, names

    def __str__(self) -> str:
        return self.args[0] + nearest(self._wanted, self._names())


def absent_from(module: str, names: Callable[[], Iterable[str]],
                instead: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """The `__getattr__` of a module: an error that names the nearest of its `names`, or what `instead` says."""
    shown = module.replace("minitorch", "torch", 1)

    def absent(name: str) -> Any:
        message = f"module '{shown}' has no attribute '{name}'"
        if instead and name in instead:
            raise NoAttributeError(f"{message}; the nearest that exists is {instead[name]}", name, list)
        raise NoAttributeError(message, name, names)

    return absent


def check_keywords(kind: type, keywords: Iterable[str]) -> None:
    """Raise TypeError for a keyword that the constructor of `kind`, one of this package's classes, does not have."""
    init: Any = kind.__init__  # type: ignore[misc]
    if getattr(init, "__module__", "").partition(".")[0] != "minitorch":
        return
    code = init.__code__ if hasattr(init, "__code__") else None
    if code is None or code.co_flags & 8:  # **keywords
        return
    names = code.co_varnames[1:code.co_argcount + code.co_kwonlyargcount]
    for keyword in keywords:
        if keyword not in names:
            raise TypeError(f"{kind.__name__}.__init__() got an unexpected keyword argument '{keyword}'"
                            + nearest(keyword, names))


def nearest(wanted: str, names: Iterable[str]) -> str:
    """The end of a message on a name that is not there: the nearest that is, or nothing.

    >>> nearest("sofmax", ["softmax", "relu"])
    "; the nearest that exists is 'softmax'"
    >>> nearest("Foo", ["softmax"])
    ''
    """
    import difflib

    public = [name for name in names if not name.startswith("_") or wanted.startswith("_")]
    small: dict[str, str] = {name.lower(): name for name in public}
    near = difflib.get_close_matches(wanted, public, 1) or \
        [small[n] for n in difflib.get_close_matches(wanted.lower(), small, 1)]
    return f"; the nearest that exists is '{near[0]}'" if near else ""
