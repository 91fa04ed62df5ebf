"""Images under torchvision's names: datasets, transforms, utils. Pillow is needed only where PIL images appear."""

from minitorch.vision import datasets, transforms, utils

__all__ = ["datasets", "transforms", "utils"]
