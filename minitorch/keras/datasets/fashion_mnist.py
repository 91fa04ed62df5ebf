"""FashionMNIST: 70,000 pieces of clothing, 28 x 28."""
from __future__ import annotations

from .files import Arrays, datasets, images


def load_data(path: str = "fashion_mnist.npz") -> Arrays:
    """(x_train, y_train), (x_test, y_test): uint8 images (N, 28, 28) and labels (N,).

    `path` is a folder with the IDX files; by default they are in ~/.keras/datasets/fashion_mnist, fetched if
    they are missing.
    """
    return images(datasets.FashionMNIST, path)
