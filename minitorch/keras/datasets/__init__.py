"""Keras's data sets, read from files: mnist, fashion_mnist, cifar10, cifar100."""
from . import cifar10, cifar100, fashion_mnist, mnist

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist"]
