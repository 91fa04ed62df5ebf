"""Layers of attention: each query's mean of the values, weighted by how well the keys match it."""
from __future__ import annotations

import math
from typing import Any

from ...nn import functional as F
from ...op import FUNCTIONS
from .base import Layer
from .core import positive


class MultiHeadAttention(Layer, kernel="glorot_uniform", bias="zeros"):
    """Several heads of scaled dot products (Vaswani et al. 2017), `layer(query, value, key=value)`.

    Weights: query, key and value (C, num_heads, key_dim), output (num_heads, value_dim, C), and their biases.

    >>> MultiHeadAttention(num_heads=2, key_dim=3)(np.zeros((1, 5, 4)), np.zeros((1, 7, 4))).shape
    torch.Size([1, 5, 4])
    """

    supports_masking = True

    def __init__(self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0,
                 use_bias: bool = True, output_shape: Any = None, attention_axes: Any = None, seed: int | None = None,
                 **keywords: Any):
        super().__init__(**keywords)
        if attention_axes not in (None, 1, (1,), [1]):
            raise NotImplementedError(f"MultiHeadAttention: attention_axes={attention_axes}; the steps are axis 1")
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim, self.value_dim = positive("MultiHeadAttention", "key_dim", key_dim), value_dim or key_dim
        self.dropout, self.use_bias, self.output_size = dropout, use_bias, output_shape

    def _add(self, query: int, value: int, key: int) -> None:
        heads, size = self.num_heads, self.output_size
        out = query if size is None else size if isinstance(size, int) else size[-1]
        for name, shape, bias in (
                ("query", (query, heads, self.key_dim), (heads, self.key_dim)),
                ("key", (key, heads, self.key_dim), (heads, self.key_dim)),
                ("value", (value, heads, self.value_dim), (heads, self.value_dim)),
                ("output", (heads, self.value_dim, out), (out,))):
            part = _Projection(name=f"{self.name}_{name}", **{key: getattr(self, key) for key in self._options})
            part._weight("kernel", shape)
            part._weight("bias", bias, self.use_bias)
            part.built = True
            setattr(self, f"{name}_dense", part)

    def call(self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
             return_attention_scores=False, training=False, use_causal_mask=False):
        key = value if key is None else key
        if not hasattr(self, "query_dense"):
            self._add(query.shape[-1], value.shape[-1], key.shape[-1])
        q, k, v = self.query_dense.split(query), self.key_dense.split(key), self.value_dense.split(value)
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask)
        drop = self.dropout if training else 0.0
        if return_attention_scores:
            scores = q @ k.transpose(-1, -2) / math.sqrt(self.key_dim)
            weights = F.softmax(scores if mask is None else scores.masked_fill(~mask, -1e9), dim=-1)
            y = F.dropout(weights, drop) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, drop)
        y = self.output_dense.join(y)
        return [y, weights] if return_attention_scores else y

    def _mask(self, query: Any, value: Any, query_mask: Any, value_mask: Any, key_mask: Any, mask: Any,
              causal: bool) -> Any:
        """(N, heads, T, S), True where a query may look; None where it may everywhere."""
        if mask is not None:
            mask = mask.bool()
            mask = mask.unsqueeze(1) if mask.ndim == 3 else mask
        query_mask = getattr(query, "_keras_mask", None) if query_mask is None else query_mask
        value_mask = getattr(value, "_keras_mask", None) if value_mask is None else value_mask
        there = [] if query_mask is None else [query_mask[:, None, :, None]]
        there += [m[:, None, None, :] for m in (value_mask, key_mask) if m is not None]
        if causal:
            there.append(FUNCTIONS["ones"](query.shape[1], value.shape[1]).tril().bool())
        for m in there:
            mask = m if mask is None else mask & m
        return mask


class _Projection(Layer, kernel="glorot_uniform", bias="zeros"):
    """A linear map from (N, T, C) to heads (N, H, T, K), or back."""

    def split(self, x):
        c, heads, width = self.kernel.shape
        y = x.to(self.kernel.dtype) @ self.kernel.reshape(c, heads * width)
        y = y if self.bias is None else y + self.bias.reshape(-1)
        return y.reshape(*x.shape[:2], heads, width).transpose(1, 2)

    def join(self, x):
        heads, width, c = self.kernel.shape
        y = x.transpose(1, 2).reshape(x.shape[0], x.shape[2], heads * width) @ self.kernel.reshape(heads * width, c)
        return y if self.bias is None else y + self.bias


class Attention(Layer, scale="ones"):
    """Dot products of queries and keys, `layer([query, value, key=value])`. Luong et al. 2015."""

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, **keywords: Any):
        super().__init__(**keywords)
        if score_mode != "dot":
            raise NotImplementedError(f"Attention: score_mode={score_mode!r}; 'dot' is what there is")
        self.use_scale, self.dropout = use_scale, dropout

    def build(self, input_shape):
        self._weight("scale", (), self.use_scale)

    def call(self, inputs, mask=None, return_attention_scores=False, training=False, use_causal_mask=False):
        query, value, key = [*inputs, inputs[1]][:3]
        scores = query @ key.transpose(-1, -2)
        scores = scores if self.scale is None else scores * self.scale
        masks = mask if isinstance(mask, (list, tuple)) else [getattr(x, "_keras_mask", None) for x in (query, value)]
        if masks[1] is not None:
            scores = scores.masked_fill(~masks[1].bool().unsqueeze(1), -1e9)
        if use_causal_mask:
            scores = scores.masked_fill(~FUNCTIONS["ones"](scores.shape[-2:]).tril().bool(), -1e9)
        weights = F.dropout(F.softmax(scores, dim=-1), self.dropout if training else 0.0)
        y = weights @ value
        if masks[0] is not None:
            y = y * masks[0].unsqueeze(-1)
        return [y, weights] if return_attention_scores else y
