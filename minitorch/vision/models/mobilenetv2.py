"""MobileNetV2: narrow layers with wide depthwise convolutions between them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch import nn
from minitorch.nn import functional as F
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder
from minitorch.vision.models._utils import _make_divisible, init_like_mobilenet
from minitorch.vision.models._weights import ENUMS
from minitorch.vision.ops.misc import Conv2dNormActivation

MobileNet_V2_Weights = ENUMS["MobileNet_V2_Weights"]

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

# expansion, channels, blocks, stride of the first (Sandler et al., table 2)
_STAGES = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, depthwise 3x3, 1x1 to fewer; beside a shortcut where the shape stays."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: float,
                 norm_layer: Callable[..., nn.Module] | None = None):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, norm_layer=norm_layer,
                                               activation_layer=nn.ReLU6))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, norm_layer=norm_layer,
                                 activation_layer=nn.ReLU6),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al., arXiv:1801.04381: images (N, 3, H, W) to logits (N, num_classes).

    Channels are multiplied by `width_mult` and rounded to `round_nearest`; `inverted_residual_setting` lists the stages
    as [expansion, channels, blocks, stride].
    """

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0,
                 inverted_residual_setting: list[list[int]] | None = None, round_nearest: int = 8,
                 block: Callable[..., nn.Module] | None = None, norm_layer: Callable[..., nn.Module] | None = None,
                 dropout: float = 0.2):
        super().__init__()
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if len(stages) == 0 or len(stages[0]) != 4:
            raise ValueError(f"inverted_residual_setting should be non-empty or a 4-element list, got {stages}")
        norm_layer = norm_layer or nn.BatchNorm2d
        block = block or InvertedResidual
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        common: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, **common)]
        for expansion, width, count, stride in stages:
            width = _make_divisible(width * width_mult, round_nearest)
            for i in range(count):
                features.append(block(channels, width, stride if i == 0 else 1, expand_ratio=expansion,
                                      norm_layer=norm_layer))
                channels = width
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **common))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        init_like_mobilenet(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1))


@builder(MobileNet_V2_Weights)
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2; `kwargs` are those of `MobileNetV2`."""
    return MobileNetV2(**kwargs)
