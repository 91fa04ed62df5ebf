"""Attention whose scores and mask a program gives as functions of batch, head and the two positions.

Every score is worked out, as in PyTorch without its compiler: what a mask leaves out costs as much as the rest.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypedDict

from ... import dtypes
from ...op import FUNCTIONS
from ...tensor import Tensor
from .. import functional as F

__all__ = ["AuxOutput", "AuxRequest", "BlockMask", "FlexKernelOptions", "and_masks", "create_block_mask", "create_mask",
           "flex_attention", "noop_mask", "or_masks"]
_DEFAULT_SPARSE_BLOCK_SIZE = 128
_arange = FUNCTIONS["arange"]


class AuxRequest(NamedTuple):
    """What `flex_attention` shall return besides."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The logarithms of the rows' sums, and their largest scores, as far as asked for."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


class FlexKernelOptions(TypedDict, total=False):
    """Settings of PyTorch's compiled kernels, which do not concern what runs here."""


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """The mask that leaves everything: True."""
    return batch.new_ones((), dtype=dtypes.bool)


def and_masks(*mask_mods: Callable) -> Callable:
    """The mask function that is True where all of `mask_mods` are."""
    return _joined("and_masks", mask_mods, lambda a, b: a & b, True)


def or_masks(*mask_mods: Callable) -> Callable:
    """The mask function that is True where any of `mask_mods` is."""
    return _joined("or_masks", mask_mods, lambda a, b: a | b, False)


def _joined(name: str, mods: tuple, join: Callable, start: bool) -> Callable:
    if not all(map(callable, mods)):
        raise RuntimeError(f"{name}: all inputs should be callable mask_mods: {mods}")

    def mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        return reduce(join, [mod(b, h, q_idx, kv_idx) for mod in mods], b.new_full((), start, dtype=dtypes.bool))

    return mask


def create_mask(mod_fn: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:
    """The mask of shape (B or 1, H or 1, Q_LEN, KV_LEN) of `mod_fn(b, h, q_idx, kv_idx)`, which returns a bool.

    >>> create_mask(lambda b, h, q, kv: q >= kv, None, None, 2, 3)
    tensor([[[[ True, False, False],
              [ True,  True, False]]]])
    """
    return _everywhere(mod_fn, (B or 1, H or 1, Q_LEN, KV_LEN), device)


def _everywhere(f: Callable, shape: tuple, device: Any, *scores: Tensor) -> Tensor:
    """`f(score, b, h, q_idx, kv_idx)` of each place; without `scores`, `f(b, h, q_idx, kv_idx)`."""
    from ...func import vmap

    for own in reversed(range(4)):
        f = vmap(f, in_dims=(0,) * len(scores) + tuple(0 if i == own else None for i in range(4)))
    return f(*scores, *(_arange(n, device=device) for n in shape))


class BlockMask:
    """A mask function and which blocks of the scores it leaves partly or fully, row by row and column by column.

    `kv_num_blocks` (B, H, rows) counts the blocks that are partly left, `kv_indices` (B, H, rows, columns) begins with
    their numbers; `full_...` those that are fully left, or None; `q_...` the same by columns.
    """

    def __init__(self, partial: Tensor, full: Tensor | None, seq_lengths: tuple[int, int],
                 block_size: tuple[int, int], mask_mod: Callable):
        self._partial, self._full = partial, full
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, block_size, mask_mod
        self.kv_num_blocks, self.kv_indices = _listed(partial)
        self.q_num_blocks, self.q_indices = _listed(partial.transpose(-2, -1))
        self.full_kv_num_blocks = self.full_kv_indices = self.full_q_num_blocks = self.full_q_indices = None
        if full is not None:
            self.full_kv_num_blocks, self.full_kv_indices = _listed(full)
            self.full_q_num_blocks, self.full_q_indices = _listed(full.transpose(-2, -1))

    @classmethod
    def from_kv_blocks(cls, kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None = None,
                       full_kv_indices: Tensor | None = None, BLOCK_SIZE: int | tuple[int, int] = 128,
                       mask_mod: Callable | None = None, seq_lengths: tuple[int, int] | None = None,
                       compute_q_blocks: bool = True) -> BlockMask:
        """The mask with these blocks; within them `mask_mod` says what is left."""
        if kv_indices.ndim < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        size = _pair(BLOCK_SIZE)
        rows, columns = kv_indices.shape[-2:]
        partial, full = _drawn(kv_num_blocks, kv_indices), None
        if full_kv_num_blocks is not None and full_kv_indices is not None:
            full = _drawn(full_kv_num_blocks, full_kv_indices)
        return cls(partial, full, seq_lengths or (rows * size[0], columns * size[1]), size,
                   mask_mod or noop_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self._partial.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of scores."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """The percentage of the scores that lie in no block (below 0 where blocks stick out over the edge)."""
        return 100 * (1 - int(self.to_dense().sum()) * math.prod(self.BLOCK_SIZE) / self.numel())

    def to_dense(self) -> Tensor:
        """1 for each block of which anything is left, of shape (B, H, rows, columns), int32."""
        return self._partial if self._full is None else self._partial | self._full

    def to(self, device: Any) -> BlockMask:
        """The same on another device."""
        return BlockMask(self._partial.to(device), None if self._full is None else self._full.to(device),
                         self.seq_lengths, self.BLOCK_SIZE, self.mask_mod)

    def __getitem__(self, index: Any) -> BlockMask:
        """The blocks of some batches and heads; the mask function stays, and is asked from 0 on."""
        index = index if isinstance(index, tuple) else (index,)
        index = tuple(slice(i, i + 1 or None) if isinstance(i, int) else i for i in index)
        return BlockMask(self._partial[index], None if self._full is None else self._full[index], self.seq_lengths,
                         self.BLOCK_SIZE, self.mask_mod)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, BLOCK_SIZE={self.BLOCK_SIZE})"


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _listed(dense: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks each row has, and their numbers, those of the others after them."""
    order = dense.argsort(dim=-1, descending=True, stable=True)
    return dense.sum(-1).to(dtypes.int32), order.to(dtypes.int32).contiguous()


def _drawn(counts: Tensor, indices: Tensor) -> Tensor:
    """The 0s and 1s of which `_listed` made `counts` and `indices`."""
    given = (_arange(indices.shape[-1], device=indices.device) < counts.unsqueeze(-1)).to(dtypes.int32)
    return given.new_zeros(given.shape).scatter(-1, indices.to(dtypes.int64), given)


def create_block_mask(mask_mod: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None,
                      BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE, _compile: bool = False,
                      separate_full_blocks: bool = True) -> BlockMask:
    """The blocks of the mask `mask_mod(b, h, q_idx, kv_idx)`; B and H are None where it does not look at them.

    >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 4, 4, "cpu", BLOCK_SIZE=2).to_dense()
    tensor([[[[1, 0],
              [1, 1]]]], dtype=torch.int32)
    """
    size = _pair(BLOCK_SIZE)
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device).to(dtypes.int32)
    mask = F.pad(mask, (0, -KV_LEN % size[1], 0, -Q_LEN % size[0]))
    b, h, q, kv = mask.shape
    left = mask.view(b, h, q // size[0], size[0], kv // size[1], size[1]).sum(dim=(3, 5))
    full = (left == math.prod(size)).to(dtypes.int32)
    some = (left > 0).to(dtypes.int32)
    partial, full_or_none = (some - full, full) if separate_full_blocks else (some, None)
    return BlockMask(partial, full_or_none, (Q_LEN, KV_LEN), size, mask_mod)


def flex_attention(query: Tensor, key: Tensor, value: Tensor, score_mod: Callable | None = None,
                   block_mask: BlockMask | None = None, scale: float | None = None, enable_gqa: bool = False,
                   return_lse: bool = False, kernel_options: Any = None, *,
                   return_aux: AuxRequest | None = None) -> Any:
    """softmax(score_mod(query keyᵀ · scale)) value, with scores left out where the mask of `block_mask` is False.

    query (B, Hq, L, E), key (B, H, S, E), value (B, H, S, Ev): (B, Hq, L, Ev). `score_mod(score, b, h, q_idx, kv_idx)`
    changes one score; scale is 1/√E where not given. With `enable_gqa` Hq/H neighbouring query heads share a key.
    A row of which nothing is left is 0. With `return_lse` also the logarithms of the rows' sums, (B, Hq, L); with
    `return_aux` an AuxOutput. Raises NotImplementedError for other than 4 dimensions, ValueError for shapes that do
    not fit.

    >>> from minitorch import ones
    >>> x = ones(1, 1, 2, 4)
    >>> flex_attention(x, x, x, score_mod=lambda score, b, h, q, kv: score - 0.1 * (q - kv)).shape
    torch.Size([1, 1, 2, 4])
    """
    _check(query, key, value, block_mask, enable_gqa)
    if query.shape[1] != key.shape[1]:
        share = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
    working = dtypes.float64 if query.dtype == dtypes.float64 else dtypes.float32
    scores = query.to(working) @ key.to(working).transpose(-2, -1)
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if score_mod is not None:
        scores = _everywhere(score_mod, tuple(scores.shape), query.device, scores).to(working)
    if block_mask is not None:
        left = _everywhere(block_mask.mask_mod, tuple(scores.shape), query.device)
        scores = scores.masked_fill(~left, -math.inf)
    lse = scores.logsumexp(-1)
    sums = lse.masked_fill(lse == -math.inf, 0).unsqueeze(-1)
    y = ((scores - sums).exp() @ value.to(working)).to(query.dtype)
    if return_aux is not None:
        return y, AuxOutput(lse if return_aux.lse else None, scores.amax(-1) if return_aux.max_scores else None)
    return (y, lse) if return_lse else y


def _check(query: Tensor, key: Tensor, value: Tensor, block_mask: BlockMask | None, enable_gqa: bool) -> None:
    if query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        raise NotImplementedError("flex_attention: query, key, and value must be 4D tensors, got shapes "
                                  f"{tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}")
    if query.dtype != key.dtype or query.dtype != value.dtype:
        raise ValueError("flex_attention: query, key, and value must have the same dtype, got "
                         f"{query.dtype}, {key.dtype}, {value.dtype}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError("flex_attention: query and key must have the same embedding dimension, got "
                         f"{query.shape[-1]} and {key.shape[-1]}")
    heads, shared = query.shape[1], key.shape[1]
    if heads != shared and not enable_gqa:
        raise ValueError(f"flex_attention: query has {heads} heads, key and value have {shared}; "
                         "enable_gqa=True lets them share")
    if heads % shared:
        raise ValueError(f"flex_attention: the {heads} heads of query are no multiple of the {shared} of key")
    if block_mask is not None and block_mask.shape[-2:] != (query.shape[-2], key.shape[-2]):
        raise ValueError(f"flex_attention: block_mask was made for lengths {block_mask.shape[-2:]}, but query and key "
                         f"have {(query.shape[-2], key.shape[-2])}")
