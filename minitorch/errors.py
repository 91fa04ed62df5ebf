"""The exceptions, each of the class that PyTorch raises in the same place: code that catches those still works."""


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
