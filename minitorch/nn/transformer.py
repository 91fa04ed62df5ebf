"""The Transformer: encoder, decoder, and the layers that they stack. Vaswani et al. 2017."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable
from inspect import unwrap
from typing import Any

from ..engine import is_grad_enabled
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import functional as F
from . import init
from .activation import GELU, ReLU
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .multihead import MultiheadAttention, additive_mask
from .normalization import LayerNorm


class Transformer(Module):
    """An encoder reads `src`, a decoder reads `tgt` and what the encoder made of `src`.

    (S, N, d_model) and (T, N, d_model) give (T, N, d_model); with `batch_first` N comes first; N may be absent. All
    matrices start as `init.xavier_uniform_` draws them.

    >>> from minitorch import ones
    >>> model = Transformer(8, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16)
    >>> model(ones(5, 3, 8), ones(4, 3, 8)).shape
    torch.Size([4, 3, 8])
    """

    def __init__(self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
                 dim_feedforward: int = 2048, dropout: float = 0.1, activation: str | Callable = F.relu,
                 custom_encoder: Any = None, custom_decoder: Any = None, layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
                   device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder if custom_encoder is not None else TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norm())
        self.decoder = custom_decoder if custom_decoder is not None else TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None, tgt_mask: Tensor | None = None,
                memory_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
                tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
                src_is_causal: bool | None = None, tgt_is_causal: bool | None = None,
                memory_is_causal: bool = False) -> Tensor:
        """The decoder's output; masks as in `functional.multi_head_attention_forward`.

        Raises RuntimeError where batches or features do not fit.
        """
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError("the batch number of src and tgt must be equal, got shapes "
                               f"{tuple(src.shape)} and {tuple(tgt.shape)}")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(f"the feature number of src and tgt must be equal to d_model={self.d_model}, got shapes "
                               f"{tuple(src.shape)} and {tuple(tgt.shape)}")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                            tgt_key_padding_mask=tgt_key_padding_mask,
                            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
                            memory_is_causal=memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 up to the diagonal, -inf above, so that position i sees no later one.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return FUNCTIONS["full"]((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)

    def _reset_parameters(self) -> None:
        """Draw all matrices anew."""
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)


class TransformerEncoder(Module):
    """`num_layers` copies of `encoder_layer`, which start with the same values, and `norm` after them.

    With `enable_nested_tensor`, in evaluation without gradients, the outputs at padded positions, where padding only
    follows the sequences, are zeros, for the layers for which PyTorch does so too: batch_first, norms last, an even
    number of heads, biases, ReLU or GELU.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
                 enable_nested_tensor: bool = True, mask_check: bool = True) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check
        self.use_nested_tensor = enable_nested_tensor and _skips_padding(encoder_layer)

    def forward(self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
                is_causal: bool | None = None) -> Tensor:
        """`src` through all layers; whether `mask` is causal is found out unless `is_causal` says it."""
        padding = additive_mask("src_key_padding_mask", src_key_padding_mask, src, mask, "mask")
        mask = additive_mask("mask", mask, src)
        is_causal = _is_causal(mask, is_causal, _length(src, self.layers[0]))
        y = src
        for layer in self.layers:
            y = layer(y, src_mask=mask, is_causal=is_causal, src_key_padding_mask=padding)
        if padding is not None and mask is None and self._drops_padding(src, padding):
            y = y.masked_fill(padding.ne(0).unsqueeze(-1), 0.0)
        return y if self.norm is None else self.norm(y)

    def _drops_padding(self, src: Tensor, padding: Tensor) -> bool:
        if not self.use_nested_tensor or self.layers[0].training or src.ndim != 3:
            return False
        if is_grad_enabled() and (src.requires_grad or any(p.requires_grad for p in self.layers[0].parameters())):
            return False
        hidden = padding.ne(0)
        return not self.mask_check or bool((hidden[:, 1:] | ~hidden[:, :-1]).all())


class TransformerDecoder(Module):
    """`num_layers` copies of `decoder_layer`, which start with the same values, and `norm` after them."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
                tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False) -> Tensor:
        """`tgt` through all layers, each of which also looks at `memory`."""
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, _length(tgt, self.layers[0]))
        y = tgt
        for layer in self.layers:
            y = layer(y, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                      tgt_key_padding_mask=tgt_key_padding_mask, memory_key_padding_mask=memory_key_padding_mask,
                      tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)
        return y if self.norm is None else self.norm(y)


class _Layer(Module):
    """What encoder and decoder layers share: attention(s), then a network of two linear layers at each position.

    Each part is added to its input; the norms come after that, or, with `norm_first`, before each part.
    """

    attentions: tuple[str, ...]

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[Tensor], Tensor] = F.relu, layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        parts = range(1, len(self.attentions) + 2)
        for name in self.attentions:
            self.add_module(name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first,
                                                     device=device, dtype=dtype))
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for i in parts:
            self.add_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout))
        self.activation = _get_activation_fn(activation) if isinstance(activation, str) else activation
        plain = unwrap(activation) if callable(activation) else activation
        self.activation_relu_or_gelu = 1 if plain in ("relu", unwrap(F.relu)) or isinstance(activation, ReLU) else \
            2 if plain in ("gelu", unwrap(F.gelu)) or isinstance(activation, GELU) else 0

    def _part(self, i: int, x: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Part `i`, which is `compute`, with its dropout, sum and norm."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(compute(norm(x)))
        return norm(x + dropout(compute(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network of two linear layers at each position.

    y = norm2(a + W2 act(W1 a)), a = norm1(x + attention(x)), or with `norm_first` the norms inside of the sums

    >>> from minitorch import ones
    >>> TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, activation="gelu")(ones(5, 3, 8)).shape
    torch.Size([5, 3, 8])
    """

    attentions = ("self_attn",)

    def forward(self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
                is_causal: bool = False) -> Tensor:
        """(S, N, d_model) to the same; masks as in `functional.multi_head_attention_forward`."""
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, attn_mask=src_mask, key_padding_mask=src_key_padding_mask,
                                  need_weights=False, is_causal=is_causal)[0]

        return self._part(2, self._part(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to `memory`, then a network of two linear layers at each position."""

    attentions = ("self_attn", "multihead_attn")

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
                tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
                tgt_is_causal: bool = False, memory_is_causal: bool = False) -> Tensor:
        """(T, N, d_model) and (S, N, d_model) to (T, N, d_model)."""
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask,
                                  is_causal=tgt_is_causal, need_weights=False)[0]

        def attend_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(x, memory, memory, attn_mask=memory_mask,
                                       key_padding_mask=memory_key_padding_mask, is_causal=memory_is_causal,
                                       need_weights=False)[0]

        return self._part(3, self._part(2, self._part(1, tgt, attend), attend_memory), self._feed_forward)


def _get_activation_fn(name: str) -> Callable[[Tensor], Tensor]:
    if name not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {name}")
    return getattr(F, name)


def _get_clones(layer: Module, n: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(n)])


def _length(x: Tensor, layer: Any) -> int:
    return x.shape[1 if x.ndim == 3 and layer.self_attn.batch_first else 0]


def _is_causal(mask: Tensor | None, said: bool | None, length: int) -> bool:
    """Whether `mask` hides what comes later and nothing else, which attention can then do without reading it."""
    if said is not None or mask is None or tuple(mask.shape) != (length, length):
        return bool(said)
    causal = Transformer.generate_square_subsequent_mask(length, mask.device, mask.dtype)
    return bool(mask.eq(causal).all())


def _skips_padding(layer: Module) -> bool:
    """Whether PyTorch packs away the padding for this kind of layer."""
    if not isinstance(layer, TransformerEncoderLayer) or layer.norm_first or not layer.activation_relu_or_gelu:
        return False
    attention = layer.self_attn
    return attention.batch_first and attention.in_proj_bias is not None and attention.num_heads % 2 == 0 and \
        layer.norm1.eps == layer.norm2.eps
