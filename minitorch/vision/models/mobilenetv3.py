"""MobileNetV3: MobileNetV2's blocks with squeeze-and-excitation and hard swish, as a search found them."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from minitorch import nn
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder
from minitorch.vision.models._utils import _make_divisible, init_like_mobilenet
from minitorch.vision.models._weights import ENUMS
from minitorch.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

MobileNet_V3_Large_Weights = ENUMS["MobileNet_V3_Large_Weights"]
MobileNet_V3_Small_Weights = ENUMS["MobileNet_V3_Small_Weights"]

__all__ = [
    "MobileNetV3", "MobileNet_V3_Large_Weights", "MobileNet_V3_Small_Weights", "mobilenet_v3_large",
    "mobilenet_v3_small",
]  # fmt: skip

# Howard et al., tables 1 and 2: channels in, kernel, expanded channels, channels out, squeeze-and-excitation,
# activation, stride. From the row TAIL on, a dilated network has dilation 2, one with a reduced tail half the channels.
_LARGE = [
    (16, 3, 16, 16, False, "RE", 1), (16, 3, 64, 24, False, "RE", 2), (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2), (40, 5, 120, 40, True, "RE", 1), (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2), (80, 3, 200, 80, False, "HS", 1), (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1), (80, 3, 480, 112, True, "HS", 1), (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2), (160, 5, 960, 160, True, "HS", 1), (160, 5, 960, 160, True, "HS", 1),
]  # fmt: skip
_SMALL = [
    (16, 3, 16, 16, True, "RE", 2), (16, 3, 72, 24, False, "RE", 2), (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2), (40, 5, 240, 40, True, "HS", 1), (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1), (48, 5, 144, 48, True, "HS", 1),
    (48, 5, 288, 96, True, "HS", 2), (96, 5, 576, 96, True, "HS", 1), (96, 5, 576, 96, True, "HS", 1),
]  # fmt: skip
TAIL = -3


class InvertedResidualConfig:
    """One block: a row of the table, with its channels multiplied by `width_mult`."""

    def __init__(self, input_channels: int, kernel: int, expanded_channels: int, out_channels: int, use_se: bool,
                 activation: str, stride: int, dilation: int, width_mult: float):
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        return _make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise, squeeze-and-excitation, 1x1 to fewer; a shortcut where the shape stays."""

    def __init__(self, cnf: InvertedResidualConfig, norm_layer: Callable[..., nn.Module],
                 se_layer: Callable[..., nn.Module] | None = None):
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ValueError(f"illegal stride value {cnf.stride}")
        se_layer = se_layer or partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)
        wide = cnf.expanded_channels
        common: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU}
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **common))
        layers.append(Conv2dNormActivation(wide, wide, kernel_size=cnf.kernel, groups=wide, dilation=cnf.dilation,
                                           stride=1 if cnf.dilation > 1 else cnf.stride, **common))
        if cnf.use_se:
            layers.append(se_layer(wide, _make_divisible(wide // 4, 8)))
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, norm_layer=norm_layer,
                                           activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        return self.block(input) + input if self.use_res_connect else self.block(input)


class MobileNetV3(nn.Module):
    """Howard et al., arXiv:1905.02244: images (N, 3, H, W) to logits (N, num_classes).

    `last_channel` is the width of the layer before the last.
    """

    def __init__(self, inverted_residual_setting: list[InvertedResidualConfig], last_channel: int,
                 num_classes: int = 1000, block: Callable[..., nn.Module] | None = None,
                 norm_layer: Callable[..., nn.Module] | None = None, dropout: float = 0.2, **kwargs: Any):
        super().__init__()
        blocks = inverted_residual_setting
        if not blocks:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(cnf, InvertedResidualConfig) for cnf in blocks):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        block = block or InvertedResidual
        common: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish}
        last = blocks[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, blocks[0].input_channels, kernel_size=3, stride=2, **common),
            *(block(cnf, norm_layer) for cnf in blocks),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **common),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(6 * last, last_channel), nn.Hardswish(inplace=True),
                                        nn.Dropout(p=dropout, inplace=True), nn.Linear(last_channel, num_classes))
        init_like_mobilenet(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@builder(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3, large; `kwargs` are those of `MobileNetV3`, and `width_mult`, `reduced_tail`, `dilated`."""
    return _mobilenet_v3(_LARGE, 1280, **kwargs)


@builder(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3, small."""
    return _mobilenet_v3(_SMALL, 1024, **kwargs)


def _mobilenet_v3(rows, last_channel, width_mult=1.0, reduced_tail=False, dilated=False, **kwargs):
    divider = 2 if reduced_tail else 1
    blocks = []
    for i, (channels, kernel, expanded, out, se, activation, stride) in enumerate(rows, -len(rows)):
        if i >= TAIL:
            out //= divider
        if i > TAIL:
            channels, expanded = channels // divider, expanded // divider
        dilation = 2 if dilated and i >= TAIL else 1
        blocks.append(InvertedResidualConfig(channels, kernel, expanded, out, se, activation, stride, dilation,
                                             width_mult))
    return MobileNetV3(blocks, InvertedResidualConfig.adjust_channels(last_channel // divider, width_mult), **kwargs)
