"""Layers of attention: each query's mean of the values, weighted by how well the keys match it."""
from __future__ import annotations

import math
from typing import Any

from ...nn import functional as F
from ...op import FUNCTIONS
from .. import initializers, regularizers
from .base import Layer
from .core import positive


class MultiHeadAttention(Layer):
    """Several heads of scaled dot products (Vaswani et al. 2017), `layer(query, value, key=value)`.

    Weights: query, key and value (C, num_heads, key_dim), output (num_heads, value_dim, C), and their biases.

    >>> MultiHeadAttention(num_heads=2, key_dim=3)(np.zeros((1, 5, 4)), np.zeros((1, 7, 4))).shape
    torch.Size([1, 5, 4])
    """

    supports_masking = True

    def __init__(self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0,
                 use_bias: bool = True, output_shape: Any = None, attention_axes: Any = None,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, seed: int | None = None,
                 **keywords: Any):
        super().__init__(**keywords)
        if attention_axes not in (None, 1, (1,), [1]):
            raise NotImplementedError(f"MultiHeadAttention: attention_axes={attention_axes}; the steps are axis 1")
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim, self.value_dim = positive("MultiHeadAttention", "key_dim", key_dim), value_dim or key_dim
        self.dropout, self.use_bias, self.output_size = dropout, use_bias, output_shape
        self.kernel_initializer, self.bias_initializer = map(initializers.get, (kernel_initializer, bias_initializer))
        self.kernel_regularizer, self.bias_regularizer = map(regularizers.get, (kernel_regularizer, bias_regularizer))

    def _add(self, query: int, value: int, key: int) -> None:
        heads, size = self.num_heads, self.output_size
        out = query if size is None else size if isinstance(size, int) else size[-1]
        for name, shape, bias in (
                ("query", (query, heads, self.key_dim), (heads, self.key_dim)),
                ("key", (key, heads, self.key_dim), (heads, self.key_dim)),
                ("value", (value, heads, self.value_dim), (heads, self.value_dim)),
                ("output", (heads, self.value_dim, out), (out,))):
            part = _Projection(name=f"{self.name}_{name}")
            part.kernel = part.add_weight(shape, self.kernel_initializer, regularizer=self.kernel_regularizer,
                                          name="kernel")
            part.bias = part.add_weight(bias, self.bias_initializer, regularizer=self.bias_regularizer,
                                        name="bias") if self.use_bias else None
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
        there = [m for m in (None if query_mask is None else query_mask[:, None, :, None],
                             None if value_mask is None else value_mask[:, None, None, :],
                             None if key_mask is None else key_mask[:, None, None, :]) if m is not None]
        if causal:
            there.append(FUNCTIONS["ones"](query.shape[1], value.shape[1]).tril().bool())
        for m in there:
            mask = m if mask is None else mask & m
        return mask


class _Projection(Layer):
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


class Attention(Layer):
    """Dot products of queries and keys, `layer([query, value, key=value])`; `score_mode="concat"` adds and takes tanh.

    Luong et al. 2015.
    """

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, **keywords: Any):
        super().__init__(**keywords)
        self.use_scale, self.score_mode, self.dropout = use_scale, score_mode, dropout

    def build(self, input_shape):
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight") \
            if self.score_mode == "concat" else None

    def scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            y = query @ key.transpose(-1, -2)
            return y if self.scale is None else y * self.scale
        each = query.unsqueeze(2) + key.unsqueeze(1)
        return self.concat_score_weight * (each if self.scale is None else each * self.scale).tanh().sum(-1)

    def call(self, inputs, mask=None, return_attention_scores=False, training=False, use_causal_mask=False):
        query, value, key = [*inputs, inputs[1]][:3]
        scores = self.scores(query, key)
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


class AdditiveAttention(Attention):
    """`Attention` with Σ scale tanh(query + key) for the products (Bahdanau et al. 2015)."""

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **keywords: Any):
        super().__init__(use_scale, "additive", dropout, **keywords)

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale") if self.use_scale else None

    def scores(self, query, key):
        each = (query.unsqueeze(2) + key.unsqueeze(1)).tanh()
        return (each if self.scale is None else each * self.scale).sum(-1)
