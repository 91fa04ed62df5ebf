"""ViT: a transformer on the patches of an image."""
from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from minitorch import cat, empty, nn, zeros
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder, load_trained, require
from minitorch.vision.models._weights import ENUMS
from minitorch.vision.ops.misc import MLP, Conv2dNormActivation

ViT_B_16_Weights = ENUMS["ViT_B_16_Weights"]
ViT_B_32_Weights = ENUMS["ViT_B_32_Weights"]
ViT_L_16_Weights = ENUMS["ViT_L_16_Weights"]
ViT_L_32_Weights = ENUMS["ViT_L_32_Weights"]
ViT_H_14_Weights = ENUMS["ViT_H_14_Weights"]

__all__ = [
    "ViT_B_16_Weights", "ViT_B_32_Weights", "ViT_H_14_Weights", "ViT_L_16_Weights", "ViT_L_32_Weights",
    "VisionTransformer", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32",
]  # fmt: skip

Norm = Callable[..., nn.Module]
LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """A convolution before the patches (Xiao et al., arXiv:2106.14881)."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Norm = nn.BatchNorm2d
    activation_layer: Norm = nn.ReLU


class MLPBlock(MLP):
    """Two linear layers with GELU between."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float):
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *arguments):
        if local_metadata.get("version") is None or local_metadata["version"] < 2:  # the layers once had names
            for kind in ("weight", "bias"):
                for old, new in (("linear_1", "0"), ("linear_2", "3")):
                    if f"{prefix}{old}.{kind}" in state_dict:
                        state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *arguments)


class EncoderBlock(nn.Module):
    """Self-attention, then `MLPBlock`, each after a normalisation and beside a shortcut."""

    def __init__(self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float, attention_dropout: float,
                 norm_layer: Norm = LayerNorm):
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions are added, then come the blocks: (N, seq_length, hidden_dim) to the same shape."""

    def __init__(self, seq_length: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int,
                 dropout: float, attention_dropout: float, norm_layer: Norm = LayerNorm):
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(OrderedDict(
            (f"encoder_layer_{i}",
             EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer))
            for i in range(num_layers)
        ))
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al., arXiv:2010.11929: images (N, 3, image_size, image_size) to logits (N, num_classes)."""

    def __init__(self, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int,
                 mlp_dim: int, dropout: float = 0.0, attention_dropout: float = 0.0, num_classes: int = 1000,
                 representation_size: int | None = None, norm_layer: Norm = LayerNorm,
                 conv_stem_configs: list[ConvStemConfig] | None = None):
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = (nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
                          if conv_stem_configs is None else _stem(conv_stem_configs, hidden_dim))
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout,
                               norm_layer)
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is not None:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
        heads["head"] = nn.Linear(representation_size or hidden_dim, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _initialise(self):
        if isinstance(self.conv_proj, nn.Conv2d):
            nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / self.conv_proj.weight[0].numel()))
            nn.init.zeros_(self.conv_proj.bias)
        else:
            last = self.conv_proj.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            nn.init.zeros_(last.bias)
        if self.representation_size is not None:
            layer = self.heads.pre_logits
            nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / layer.in_features))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Tensor) -> Tensor:
        """Images to patches (N, patches, hidden_dim)."""
        for side, actual in (("height", x.shape[2]), ("width", x.shape[3])):
            if actual != self.image_size:
                raise AssertionError(f"Wrong image {side}! Expected {self.image_size} but got {actual}!")
        return self.conv_proj(x).flatten(2).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        patches = self._process_input(x)
        x = self.encoder(cat([self.class_token.expand(len(patches), -1, -1), patches], 1))
        return self.heads(x[:, 0])


def _stem(configs, hidden_dim):
    stem, channels = nn.Sequential(), 3
    for i, row in enumerate(configs):
        stem.add_module(f"conv_bn_relu_{i}", Conv2dNormActivation(
            channels, row.out_channels, row.kernel_size, row.stride, norm_layer=row.norm_layer,
            activation_layer=row.activation_layer))
        channels = row.out_channels
    stem.add_module("conv_last", nn.Conv2d(channels, hidden_dim, kernel_size=1))
    return stem


def interpolate_embeddings(image_size: int, patch_size: int, model_state: OrderedDict[str, Tensor],
                           interpolation_mode: str = "bicubic", reset_heads: bool = False) -> OrderedDict[str, Tensor]:
    """The state of a ViT for another size of image: its grid of positions is resampled. `reset_heads` leaves the
    classifier out."""
    positions = model_state["encoder.pos_embedding"]
    count, length, width = positions.shape
    if count != 1:
        raise ValueError(f"Unexpected position embedding shape: {tuple(positions.shape)}")
    new_side, old_side = image_size // patch_size, math.isqrt(length - 1)
    if old_side**2 != length - 1:
        raise ValueError(f"seq_length is not a perfect square: {length - 1} positions of patches")
    if new_side == old_side:
        return model_state
    grid = positions[:, 1:].permute(0, 2, 1).reshape(1, width, old_side, old_side)
    grid = nn.functional.interpolate(grid, size=new_side, mode=interpolation_mode, align_corners=True)
    model_state["encoder.pos_embedding"] = cat([positions[:, :1], grid.flatten(2).permute(0, 2, 1)], 1)
    if reset_heads:
        return OrderedDict((key, value) for key, value in model_state.items() if not key.startswith("heads"))
    return model_state


def _load(make, weights, progress, kwargs):
    require(kwargs, "image_size", weights.meta["min_size"][0])
    return load_trained(make, weights, progress, kwargs)


def _vit(patch_size, num_layers, num_heads, hidden_dim, mlp_dim, kwargs):
    image_size = kwargs.pop("image_size", 224)
    return VisionTransformer(image_size, patch_size, num_layers, num_heads, hidden_dim, mlp_dim, **kwargs)


@builder(ViT_B_16_Weights, _load)
def vit_b_16(**kwargs: Any) -> VisionTransformer:
    """ViT-B with patches of 16x16; `kwargs` are `image_size` and those of `VisionTransformer` from dropout on."""
    return _vit(16, 12, 12, 768, 3072, kwargs)


@builder(ViT_B_32_Weights, _load)
def vit_b_32(**kwargs: Any) -> VisionTransformer:
    """ViT-B with patches of 32x32."""
    return _vit(32, 12, 12, 768, 3072, kwargs)


@builder(ViT_L_16_Weights, _load)
def vit_l_16(**kwargs: Any) -> VisionTransformer:
    """ViT-L with patches of 16x16."""
    return _vit(16, 24, 16, 1024, 4096, kwargs)


@builder(ViT_L_32_Weights, _load)
def vit_l_32(**kwargs: Any) -> VisionTransformer:
    """ViT-L with patches of 32x32."""
    return _vit(32, 24, 16, 1024, 4096, kwargs)


@builder(ViT_H_14_Weights, _load)
def vit_h_14(**kwargs: Any) -> VisionTransformer:
    """ViT-H with patches of 14x14."""
    return _vit(14, 32, 16, 1280, 5120, kwargs)
