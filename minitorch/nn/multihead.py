"""Multi-head attention: queries, keys and values projected, cut into heads, attended, joined. Vaswani et al. 2017."""
from __future__ import annotations

import math
import warnings
from typing import Any

from ..op import FUNCTIONS
from ..ops.attention import scaled_dot_product_attention
from ..tensor import Tensor
from . import init
from .linear import NonDynamicallyQuantizableLinear, empty_parameter
from .module import Module

_linear, _cat, _pad = FUNCTIONS["linear"], FUNCTIONS["cat"], FUNCTIONS["pad"]


class MultiheadAttention(Module):
    """`num_heads` attentions side by side, each over embed_dim / num_heads features of the projected inputs.

    y = concat(head_1, ..., head_h) W_out, head_i = softmax(q_i k_iᵀ / √d) v_i (Vaswani et al. 2017)

    Query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), with `batch_first` (N, L, embed_dim) and so on, or
    without the N. `add_bias_kv` adds a learnt key and value to the sequences, `add_zero_attn` zeros. The projections
    are in_proj_weight (3 embed_dim, embed_dim), or q_proj_weight, k_proj_weight and v_proj_weight where `kdim` or
    `vdim` is another, and out_proj.

    Raises ValueError or AssertionError where embed_dim is not a positive multiple of num_heads.

    >>> from minitorch import ones
    >>> x = ones(5, 2, 8)
    >>> y, weights = MultiheadAttention(8, num_heads=4)(x, x, x)
    >>> y.shape, weights.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 5, 5]))
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                             f"num_heads={num_heads} instead")
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(f"embed_dim must be divisible by num_heads, got embed_dim={embed_dim} and "
                                 f"num_heads={num_heads}")
        same = self._qkv_same_embed_dim
        for name, columns in (("q_proj_weight", embed_dim), ("k_proj_weight", self.kdim),
                              ("v_proj_weight", self.vdim)):
            self.register_parameter(name, None if same else empty_parameter((embed_dim, columns), device, dtype))
        self.register_parameter("in_proj_weight",
                                empty_parameter((3 * embed_dim, embed_dim), device, dtype) if same else None)
        self.register_parameter("in_proj_bias", empty_parameter(3 * embed_dim, device, dtype) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, empty_parameter((1, 1, embed_dim), device, dtype) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the projections of the inputs anew; biases become 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
                need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """(output, weights), see `functional.multi_head_attention_forward`; weights is None unless `need_weights`."""
        return multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, not self._qkv_same_embed_dim, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
            batch_first=self.batch_first)


def multi_head_attention_forward(
        query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
        in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None,
        add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor, out_proj_bias: Tensor | None,
        training: bool = True, key_padding_mask: Tensor | None = None, need_weights: bool = True,
        attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False,
        q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
        v_proj_weight: Tensor | None = None, static_k: Tensor | None = None, static_v: Tensor | None = None,
        average_attn_weights: bool = True, is_causal: bool = False, *,
        batch_first: bool = False) -> tuple[Tensor, Tensor | None]:
    """What `MultiheadAttention` computes: (output (L, N, E), weights (N, L, S), or None unless `need_weights`).

    `attn_mask` (L, S) or (N * heads, L, S), and `key_padding_mask` (N, S), boolean (True: do not look there) or added
    to the scores. `is_causal` says that `attn_mask` is the causal mask, which then need not be read. Without
    `average_attn_weights` the weights are (N, heads, L, S). `static_k` and `static_v` (N * heads, S, E / heads) stand
    in for the projected ones. `batch_first` is not PyTorch's: inputs and output have the batch first.

    Raises AssertionError or RuntimeError for shapes that do not fit.
    """
    single = query.ndim == 2
    _check_dims(query, key, value, key_padding_mask, attn_mask)
    if single:
        query, key, value = _alike(lambda x: x.unsqueeze(1), query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        batch_first = False
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    n, steps = query.shape[:2] if batch_first else query.shape[1::-1]

    if is_causal and attn_mask is None:
        raise RuntimeError("multi_head_attention_forward: Need attn_mask if specifying the is_causal hint. You may use "
                           "Transformer.generate_square_subsequent_mask to create this mask.")
    key_padding_mask = additive_mask("key_padding_mask", key_padding_mask, query, attn_mask, "attn_mask")
    is_causal = is_causal and key_padding_mask is None and not need_weights
    attn_mask = None if is_causal else additive_mask("attn_mask", attn_mask, query)
    if attn_mask is not None:
        attn_mask = _fitted_mask(attn_mask, n, num_heads, steps, key.shape[1 if batch_first else 0])

    weights_in = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(query, key, value, weights_in, in_proj_bias)
    if (bias_k is None) != (bias_v is None) or (bias_k is not None and not (static_k is None and static_v is None)):
        raise AssertionError("multi_head_attention_forward: bias_k and bias_v are given both or not at all, and not "
                             "with static_k or static_v")
    if bias_k is not None and bias_v is not None:
        along, size = (1, (n, -1, -1)) if batch_first else (0, (-1, n, -1))
        bias_k, bias_v = bias_k.reshape(1, 1, -1), bias_v.reshape(1, 1, -1)
        k, v = _cat([k, bias_k.expand(size)], along), _cat([v, bias_v.expand(size)], along)
    q = _heads(q, num_heads, batch_first)
    k = _heads(k, num_heads, batch_first) if static_k is None else _static("static_k", static_k, q)
    v = _heads(v, num_heads, batch_first) if static_v is None else _static("static_v", static_v, q)
    if add_zero_attn:
        zero = FUNCTIONS["zeros"](n, num_heads, 1, q.shape[-1], dtype=k.dtype, device=k.device)
        k, v = _cat([k, zero], 2), _cat([v, zero], 2)

    mask = _merged(attn_mask, key_padding_mask, (bias_k is not None) + add_zero_attn, n, k.shape[2])
    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
        weights = FUNCTIONS["softmax"](scores if mask is None else scores + mask, -1)
        if dropout_p > 0:
            weights = FUNCTIONS["dropout"](weights, dropout_p, True)
        y = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    at_once = batch_first and not training  # else (L, N, E) in memory, as in PyTorch: dropout draws in that order
    y = y.permute(*((0, 2, 1, 3) if at_once else (2, 0, 1, 3))).flatten(2)
    y = _linear(y, out_proj_weight, out_proj_bias)
    if batch_first and training:
        y = y.transpose(0, 1)
    if single:
        return y.squeeze(1), None if weights is None else weights.squeeze(0)
    return y, weights


def additive_mask(name: str, mask: Tensor | None, like: Tensor, other: Tensor | None = None,
                  other_name: str = "") -> Tensor | None:
    """A mask as numbers that are added to scores: True becomes -inf. Raises AssertionError for integers."""
    if mask is None:
        return None
    boolean = str(mask.dtype) == "torch.bool"
    if not boolean and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported, got {mask.dtype}")
    if other is not None and mask.dtype != other.dtype:
        warnings.warn(f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
                      stacklevel=3)
    if not boolean:
        return mask
    return FUNCTIONS["zeros_like"](mask, dtype=like.dtype).masked_fill_(mask, -math.inf)


def _alike(change: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three changed, the same tensor where they were the same: one projection serves it."""
    q = change(query)
    k = q if key is query else change(key)
    return q, k, k if value is key else change(value)


def _projected(query: Tensor, key: Tensor, value: Tensor, weights: Any, bias: Tensor | None) -> Any:
    """query, key and value, each times its weight, in as few products as possible."""
    if isinstance(weights, tuple):
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        return [_linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]
    if query is key and key is value:
        return _linear(query, weights, bias).chunk(3, -1)
    width = query.shape[-1]
    sizes = [width, 2 * width] if key is value else [width] * 3
    parts = weights.split(sizes)
    biases = (None,) * 3 if bias is None else bias.split(sizes)
    q, *others = [_linear(x, w, b) for x, w, b in zip((query, key, value), parts, biases)]
    return q, *(others[0].chunk(2, -1) if key is value else others)


def _heads(x: Tensor, heads: int, batch_first: bool) -> Tensor:
    """(N, heads, L, E / heads) of (L, N, E), or of (N, L, E)."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).permute(*((0, 2, 1, 3) if batch_first else (1, 2, 0, 3)))


def _static(name: str, x: Tensor, q: Tensor) -> Tensor:
    n, heads, _, width = q.shape
    if x.ndim != 3 or x.shape[0] != n * heads or x.shape[2] != width:
        raise AssertionError(f"multi_head_attention_forward: expecting {name} of shape ({n * heads}, S, {width}), but "
                             f"got {tuple(x.shape)}")
    return x.unflatten(0, (n, heads))


def _fitted_mask(mask: Tensor, n: int, heads: int, rows: int, columns: int) -> Tensor:
    """The attention mask, with (N, heads, L, S) made of (N * heads, L, S)."""
    expected = (rows, columns) if mask.ndim == 2 else (n * heads, rows, columns)
    if tuple(mask.shape) != expected:
        raise RuntimeError(f"multi_head_attention_forward: The shape of the {mask.ndim}D attn_mask is "
                           f"{tuple(mask.shape)}, but should be {expected}.")
    return mask if mask.ndim == 2 else mask.unflatten(0, (n, heads))


def _merged(mask: Tensor | None, padding: Tensor | None, added: int, n: int, columns: int) -> Tensor | None:
    """Both masks in one; the keys `added` at the end are always seen."""
    if added:
        mask, padding = (m if m is None else _pad(m, (0, added)) for m in (mask, padding))
    if padding is None:
        return mask
    if tuple(padding.shape) != (n, columns):
        raise AssertionError(f"multi_head_attention_forward: expecting key_padding_mask shape of "
                             f"{(n, columns - added)}, but got {(padding.shape[0], padding.shape[1] - added)}")
    padding = padding.reshape(n, 1, 1, columns)
    return padding if mask is None else mask + padding


def _check_dims(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, mask: Tensor | None) -> None:
    if query.ndim not in (2, 3):
        raise AssertionError("multi_head_attention_forward: query should be unbatched 2D or batched 3D tensor but "
                             f"received {query.ndim}-D query tensor")
    kind = "unbatched (2-D)" if query.ndim == 2 else "batched (3-D)"
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(f"For {kind} `query`, expected `key` and `value` to be {query.ndim}-D but found "
                             f"{key.ndim}-D and {value.ndim}-D tensors respectively")
    if padding is not None and padding.ndim != query.ndim - 1:
        raise AssertionError(f"For {kind} `query`, expected `key_padding_mask` to be `None` or {query.ndim - 1}-D but "
                             f"found {padding.ndim}-D tensor instead")
    if mask is not None and mask.ndim not in (2, 3):
        raise AssertionError(f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                             f"{mask.ndim}-D tensor instead")


def _check_sizes(query: Tensor, key: Tensor, value: Tensor, width: int, heads: int, separate: bool) -> None:
    if query.shape[-1] != width:
        raise AssertionError(f"was expecting embedding dimension of {width}, but got {query.shape[-1]}")
    if width % heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {heads}")
    k, v = (tuple(x.shape[:2] if separate else x.shape) for x in (key, value))
    if k != v:
        raise AssertionError(f"key's sequence and batch dims {k} do not match value's {v}" if separate else
                             f"key shape {k} does not match value shape {v}")
