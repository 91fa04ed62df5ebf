"""DenseNet: each layer sees the outputs of all before it."""
from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

from minitorch import cat, nn
from minitorch.nn import functional as F
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder, require
from minitorch.vision.models._weights import ENUMS

DenseNet121_Weights = ENUMS["DenseNet121_Weights"]
DenseNet161_Weights = ENUMS["DenseNet161_Weights"]
DenseNet169_Weights = ENUMS["DenseNet169_Weights"]
DenseNet201_Weights = ENUMS["DenseNet201_Weights"]

__all__ = [
    "DenseNet", "DenseNet121_Weights", "DenseNet161_Weights", "DenseNet169_Weights", "DenseNet201_Weights",
    "densenet121", "densenet161", "densenet169", "densenet201",
]  # fmt: skip


class _DenseLayer(nn.Module):
    def __init__(self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float,
                 memory_efficient: bool = False):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        features = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any([feature.requires_grad for feature in features]):
            from minitorch.utils.checkpoint import checkpoint

            squeezed = checkpoint(lambda *parts: self._squeeze(parts), *features, use_reentrant=False)
        else:
            squeezed = self._squeeze(features)
        new = self.conv2(self.relu2(self.norm2(squeezed)))
        return F.dropout(new, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else new

    def _squeeze(self, features):
        return self.conv1(self.relu1(self.norm1(cat(list(features), 1))))


class _DenseBlock(nn.ModuleDict):
    def __init__(self, num_layers: int, num_input_features: int, bn_size: int, growth_rate: int, drop_rate: float,
                 memory_efficient: bool = False):
        super().__init__()
        for i in range(num_layers):
            layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate, memory_efficient)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)


class _Transition(nn.Sequential):
    def __init__(self, num_input_features: int, num_output_features: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """DenseNet-BC (Huang et al., arXiv:1608.06993).

    Each layer adds `growth_rate` channels, through `bn_size` times as many; `block_config` are the numbers of layers in
    the blocks. `memory_efficient` computes the squeezed channels again in backward.
    """

    def __init__(self, growth_rate: int = 32, block_config: tuple[int, ...] = (6, 12, 24, 16),
                 num_init_features: int = 64, bn_size: int = 4, drop_rate: float = 0, num_classes: int = 1000,
                 memory_efficient: bool = False):
        super().__init__()
        self.features = nn.Sequential(OrderedDict([
            ("conv0", nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False)),
            ("norm0", nn.BatchNorm2d(num_init_features)),
            ("relu0", nn.ReLU(inplace=True)),
            ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
        ]))
        channels = num_init_features
        for i, num_layers in enumerate(block_config, 1):
            block = _DenseBlock(num_layers, channels, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{i}", block)
            channels += num_layers * growth_rate
            if i < len(block_config):
                self.features.add_module(f"transition{i}", _Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(features, (1, 1)).flatten(1))


def _load(make, weights, progress, kwargs):
    """The published files are older than the rule that names have no dots: they say norm.1 where it is norm1."""
    require(kwargs, "num_classes", len(weights.meta["categories"]))
    model = make(**kwargs)
    state = weights.get_state_dict(progress=progress, check_hash=True)
    old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
    model.load_state_dict({old.sub(r"\1\2", key): value for key, value in state.items()})
    return model


@builder(DenseNet121_Weights, _load)
def densenet121(**kwargs: Any) -> DenseNet:
    """DenseNet-121; `kwargs` are those of `DenseNet`, here and below."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@builder(DenseNet161_Weights, _load)
def densenet161(**kwargs: Any) -> DenseNet:
    """DenseNet-161."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@builder(DenseNet169_Weights, _load)
def densenet169(**kwargs: Any) -> DenseNet:
    """DenseNet-169."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@builder(DenseNet201_Weights, _load)
def densenet201(**kwargs: Any) -> DenseNet:
    """DenseNet-201."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)
