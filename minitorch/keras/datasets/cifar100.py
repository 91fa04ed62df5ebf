"""CIFAR100: 60,000 colour images of 100 classes, uint8 (N, 32, 32, 3) and labels (N, 1)."""
from .files import loader

load_data = loader("CIFAR100", "cifar100")
