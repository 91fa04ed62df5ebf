"""FashionMNIST: 70,000 pieces of clothing, uint8 images (N, 28, 28) and labels (N,)."""
from .files import loader

load_data = loader("FashionMNIST", "fashion_mnist")
