"""MNIST: 70,000 handwritten digits, uint8 images (N, 28, 28) and labels (N,)."""
from .files import loader

load_data = loader("MNIST", "mnist")
