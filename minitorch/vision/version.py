"""The version, under the module that torchvision keeps it in."""
from minitorch.vision import __version__

__all__ = ["__version__"]
