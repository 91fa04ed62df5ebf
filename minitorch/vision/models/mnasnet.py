"""MnasNet: a network that a search found for the latency of telephones."""
from __future__ import annotations

from itertools import pairwise
from typing import Any

from minitorch import nn
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder
from minitorch.vision.models._utils import _make_divisible
from minitorch.vision.models._weights import ENUMS

MNASNet0_5_Weights = ENUMS["MNASNet0_5_Weights"]
MNASNet0_75_Weights = ENUMS["MNASNet0_75_Weights"]
MNASNet1_0_Weights = ENUMS["MNASNet1_0_Weights"]
MNASNet1_3_Weights = ENUMS["MNASNet1_3_Weights"]

__all__ = [
    "MNASNet", "MNASNet0_5_Weights", "MNASNet0_75_Weights", "MNASNet1_0_Weights", "MNASNet1_3_Weights", "mnasnet0_5",
    "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
]  # fmt: skip

_MOMENTUM = 1 - 0.9997  # the paper's 0.9997 is the share of the old mean that is kept
_WIDTHS = (32, 16, 24, 40, 80, 96, 192, 320)
# kernel, stride, expansion, blocks
_STACKS = ((3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1))


class _InvertedResidual(nn.Module):
    def __init__(self, in_ch: int, out_ch: int, kernel_size: int, stride: int, expansion_factor: int):
        super().__init__()
        wide = in_ch * expansion_factor
        self.layers = nn.Sequential(
            *_conv(in_ch, wide, 1), nn.ReLU(inplace=True),
            *_conv(wide, wide, kernel_size, stride, groups=wide), nn.ReLU(inplace=True),
            *_conv(wide, out_ch, 1),
        )  # fmt: skip
        self.apply_residual = in_ch == out_ch and stride == 1

    def forward(self, input: Tensor) -> Tensor:
        return self.layers(input) + input if self.apply_residual else self.layers(input)


class MNASNet(nn.Module):
    """MnasNet-B1 (Tan et al., arXiv:1807.11626), its channels multiplied by `alpha`: images (N, 3, H, W) to logits
    (N, num_classes)."""

    _version = 2  # the layout in which the first layers are scaled by alpha too

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2):
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        widths = [_make_divisible(width * alpha, 8) for width in _WIDTHS]
        stacks = [_stack(*pair, *row) for pair, row in zip(pairwise(widths[1:]), _STACKS)]
        self.layers = nn.Sequential(
            *_conv(3, widths[0], 3, 2), nn.ReLU(inplace=True),
            *_conv(widths[0], widths[0], 3, groups=widths[0]), nn.ReLU(inplace=True),
            *_conv(widths[0], widths[1], 1), *stacks,
            *_conv(widths[-1], 1280, 1), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="sigmoid")
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.layers(x).mean([2, 3]))


def _conv(channels, width, kernel_size, stride=1, groups=1):
    conv = nn.Conv2d(channels, width, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(width, momentum=_MOMENTUM)


def _stack(channels, width, kernel_size, stride, expansion, repeats):
    first = _InvertedResidual(channels, width, kernel_size, stride, expansion)
    return nn.Sequential(first, *(_InvertedResidual(width, width, kernel_size, 1, expansion)
                                  for _ in range(1, repeats)))


@builder(MNASNet0_5_Weights)
def mnasnet0_5(**kwargs: Any) -> MNASNet:
    """MnasNet of half the width; `kwargs` are those of `MNASNet` but alpha, here and below."""
    return MNASNet(0.5, **kwargs)


@builder(MNASNet0_75_Weights)
def mnasnet0_75(**kwargs: Any) -> MNASNet:
    """MnasNet of three quarters of the width."""
    return MNASNet(0.75, **kwargs)


@builder(MNASNet1_0_Weights)
def mnasnet1_0(**kwargs: Any) -> MNASNet:
    """MnasNet."""
    return MNASNet(1.0, **kwargs)


@builder(MNASNet1_3_Weights)
def mnasnet1_3(**kwargs: Any) -> MNASNet:
    """MnasNet, 1.3 times as wide."""
    return MNASNet(1.3, **kwargs)
