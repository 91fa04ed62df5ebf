"""DropBlock: dropout of whole squares, since neighbouring pixels say nearly the same."""
from __future__ import annotations

from minitorch import empty, nn
from minitorch.nn import functional as F
from minitorch.tensor import Tensor


def drop_block2d(input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
                 training: bool = True) -> Tensor:
    """Zero squares of `block_size` in images (N, C, H, W), about a share `p` of the pixels, and scale the rest up
    to the same mean (Ghiasi et al., arXiv:1810.12890).

    Raises ValueError for a `p` outside of [0, 1], an even block, or another number of dimensions.
    """
    return _drop_block("drop_block2d", input, p, block_size, inplace, eps, training, F.max_pool2d, 2)


def drop_block3d(input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
                 training: bool = True) -> Tensor:
    """`drop_block2d` for volumes (N, C, D, H, W)."""
    return _drop_block("drop_block3d", input, p, block_size, inplace, eps, training, F.max_pool3d, 3)


class DropBlock2d(nn.Module):
    """`drop_block2d` as a layer."""

    _function = staticmethod(drop_block2d)

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06):
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, inplace={self.inplace})"


class DropBlock3d(DropBlock2d):
    """`drop_block3d` as a layer."""

    _function = staticmethod(drop_block3d)


def _drop_block(name, input, p, block_size, inplace, eps, training, max_pool, ndim):
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != ndim + 2:
        raise ValueError(f"{name}: input should be {ndim + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    sizes = input.shape[2:]
    block_size = min(block_size, *sizes)
    if block_size % 2 == 0:
        raise ValueError(f"{name}: block size should be odd. Got {block_size} which is even.")
    gamma, centers = p, []  # gamma: how often a pixel is the centre of a block, if p of all pixels are to fall
    for size in sizes:
        centers.append(size - block_size + 1)
        gamma *= size / (block_size * centers[-1])
    hit = empty([*input.shape[:2], *centers], dtype=input.dtype, device=input.device).bernoulli_(gamma)
    hit = F.pad(hit, [block_size // 2] * (2 * ndim))
    kept = 1 - max_pool(hit, block_size, stride=1, padding=block_size // 2)
    scale = kept.numel() / (eps + kept.sum())
    return input.mul_(kept).mul_(scale) if inplace else input * kept * scale
