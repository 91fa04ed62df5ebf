"""PyTorch's compiler back end by name: programs make settings in its `config`, which nothing here reads."""
from . import config

__all__ = ["config"]
