"""Image datasets under torchvision's names, and the readers of their file formats."""

from minitorch.vision.datasets import folder, utils
from minitorch.vision.datasets.cifar import CIFAR10, CIFAR100, read_cifar
from minitorch.vision.datasets.digits import Digits, read_digits
from minitorch.vision.datasets.fake import FakeData
from minitorch.vision.datasets.folder import DatasetFolder, ImageFolder
from minitorch.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST, read_idx
from minitorch.vision.datasets.utils import DatasetError
from minitorch.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "KMNIST",
    "MNIST",
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
