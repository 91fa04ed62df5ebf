"""CIFAR-100: 60,000 colour images of 100 classes, 32 x 32."""
from __future__ import annotations

from .files import Arrays, cifar


def load_data(path: str = "cifar100") -> Arrays:
    """(x_train, y_train), (x_test, y_test): uint8 images (N, 32, 32, 3) and labels (N, 1).

    `path` is a folder with the batch files; by default they are in ~/.keras/datasets/cifar100, fetched if missing.
    """
    return cifar(100, path)
