"""ShuffleNetV2: half of the channels pass a block untouched, then the halves are interleaved."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch import cat, nn
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder
from minitorch.vision.models._weights import ENUMS

ShuffleNet_V2_X0_5_Weights = ENUMS["ShuffleNet_V2_X0_5_Weights"]
ShuffleNet_V2_X1_0_Weights = ENUMS["ShuffleNet_V2_X1_0_Weights"]
ShuffleNet_V2_X1_5_Weights = ENUMS["ShuffleNet_V2_X1_5_Weights"]
ShuffleNet_V2_X2_0_Weights = ENUMS["ShuffleNet_V2_X2_0_Weights"]

__all__ = [
    "ShuffleNetV2", "ShuffleNet_V2_X0_5_Weights", "ShuffleNet_V2_X1_0_Weights", "ShuffleNet_V2_X1_5_Weights",
    "ShuffleNet_V2_X2_0_Weights", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]  # fmt: skip


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Take a channel of each group in turn."""
    batch, channels, height, width = x.shape
    grouped = x.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)


class InvertedResidual(nn.Module):
    """At stride 1 half of the channels through the convolutions; at stride 2 all, through two branches."""

    def __init__(self, inp: int, oup: int, stride: int):
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError(f"illegal stride value {stride}")
        half = oup // 2
        if stride == 1 and inp != 2 * half:
            raise ValueError(f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If stride == 1 "
                             "then inp should be equal to oup // 2 << 1.")
        self.stride = stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(*_depthwise(inp, stride), *_pointwise(inp, half))
        self.branch2 = nn.Sequential(*_pointwise(inp if stride > 1 else half, half), *_depthwise(half, stride),
                                     *_pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return channel_shuffle(cat((kept, self.branch2(changed)), 1), 2)
        return channel_shuffle(cat((self.branch1(x), self.branch2(x)), 1), 2)


class ShuffleNetV2(nn.Module):
    """Ma et al., arXiv:1807.11164: images (N, 3, H, W) to logits (N, num_classes)."""

    def __init__(self, stages_repeats: list[int], stages_out_channels: list[int], num_classes: int = 1000,
                 inverted_residual: Callable[..., nn.Module] = InvertedResidual):
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        first, *widths, last = stages_out_channels
        self.conv1 = nn.Sequential(nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first),
                                   nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels = first
        for i, (repeats, width) in enumerate(zip(stages_repeats, widths), 2):
            blocks = [inverted_residual(channels, width, 2)]
            blocks += [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            channels = width
        self.conv5 = nn.Sequential(*_pointwise(channels, last))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.fc(self.conv5(x).mean([2, 3]))


def _pointwise(channels, width):
    return nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def _depthwise(channels, stride):
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels)


def _shufflenet(widths, kwargs):
    return ShuffleNetV2([4, 8, 4], widths, **kwargs)


@builder(ShuffleNet_V2_X0_5_Weights)
def shufflenet_v2_x0_5(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNetV2 of half the width; `kwargs` are those of `ShuffleNetV2` but the stages, here and below."""
    return _shufflenet([24, 48, 96, 192, 1024], kwargs)


@builder(ShuffleNet_V2_X1_0_Weights)
def shufflenet_v2_x1_0(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNetV2."""
    return _shufflenet([24, 116, 232, 464, 1024], kwargs)


@builder(ShuffleNet_V2_X1_5_Weights)
def shufflenet_v2_x1_5(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNetV2, 1.5 times as wide."""
    return _shufflenet([24, 176, 352, 704, 1024], kwargs)


@builder(ShuffleNet_V2_X2_0_Weights)
def shufflenet_v2_x2_0(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNetV2, twice as wide."""
    return _shufflenet([24, 244, 488, 976, 2048], kwargs)
