"""`torch.functional`: the functions of the top level that PyTorch keeps in a file of this name."""
import importlib

from minitorch.errors import absent_from

_NAMES = """
    atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors cartesian_prod cdist chain_matmul
    einsum istft lu meshgrid norm pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive
    unravel_index"""
__all__ = _NAMES.split()


def __getattr__(name):
    if name in __all__:
        return getattr(importlib.import_module("minitorch"), name)
    return absent_from(__name__.replace(".compat", ""), lambda: __all__)(name)
