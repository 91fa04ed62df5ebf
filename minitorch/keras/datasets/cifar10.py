"""CIFAR-10: 60,000 colour images of 10 classes, 32 x 32."""
from __future__ import annotations

from .files import Arrays, cifar


def load_data(path: str = "cifar10") -> Arrays:
    """(x_train, y_train), (x_test, y_test): uint8 images (N, 32, 32, 3) and labels (N, 1).

    `path` is a folder with the batch files; by default they are in ~/.keras/datasets/cifar10, fetched if missing.
    """
    return cifar(10, path)
