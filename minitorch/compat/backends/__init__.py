"""PyTorch's switches for the libraries below it: none of them is used here, so the switches only remember.

`minitorch.backends.cudnn.benchmark = True` and the like may stand in programs; on this framework nothing depends on
them, except `cuda.matmul.allow_tf32`, or `set_float32_matmul_precision`: whether products of float32 on the GPU may
round their factors.
"""

from . import cpu, cuda, cudnn, mha, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mha", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]
