"""Image datasets under torchvision's names, and the readers of their file formats."""

from __future__ import annotations

from typing import Any

from minitorch.vision.absent import absent
from minitorch.vision.datasets import folder, utils
from minitorch.vision.datasets.cifar import CIFAR10, CIFAR100, read_cifar
from minitorch.vision.datasets.digits import Digits, read_digits
from minitorch.vision.datasets.fakedata import FakeData
from minitorch.vision.datasets.folder import DatasetFolder, ImageFolder
from minitorch.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST, read_idx
from minitorch.vision.datasets.stl10 import STL10
from minitorch.vision.datasets.svhn import SVHN
from minitorch.vision.datasets.usps import USPS
from minitorch.vision.datasets.utils import DatasetError
from minitorch.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "STL10",
    "SVHN",
    "USPS",
    "DatasetError",
    "DatasetFolder",
    "Digits",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
    "folder",
    "read_cifar",
    "read_digits",
    "read_idx",
    "utils",
]


def __getattr__(name: str) -> Any:
    raise absent(__name__, name, __all__, "Images in folders of classes are read by ImageFolder")
