"""Inception v3: convolutions of several shapes side by side."""
from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from minitorch import cat, nn
from minitorch.nn import functional as F
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder, require
from minitorch.vision.models._weights import ENUMS

Inception_V3_Weights = ENUMS["Inception_V3_Weights"]

__all__ = ["Inception3", "InceptionOutputs", "Inception_V3_Weights", "_InceptionOutputs", "inception_v3"]

InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])
_InceptionOutputs = InceptionOutputs
Block = Callable[..., nn.Module]


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation, ReLU; `kwargs` are those of the convolution."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception3(nn.Module):
    """Inception v3 (Szegedy et al., arXiv:1512.00567): images (N, 3, 299, 299) to logits (N, num_classes).

    In training, with `aux_logits`, the result is `InceptionOutputs` of the logits and those of an earlier classifier.
    `transform_input` takes images that are normalised as for ImageNet, and makes their range (-1, 1).
    """

    def __init__(self, num_classes: int = 1000, aux_logits: bool = True, transform_input: bool = False,
                 inception_blocks: list[Block] | None = None, init_weights: bool | None = None, dropout: float = 0.5):
        super().__init__()
        blocks = inception_blocks or [BasicConv2d, InceptionA, InceptionB, InceptionC, InceptionD, InceptionE,
                                      InceptionAux]
        if len(blocks) != 7:
            raise ValueError(f"length of inception_blocks should be 7 instead of {len(blocks)}")
        conv, block_a, block_b, block_c, block_d, block_e, aux = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = block_a(192, pool_features=32)
        self.Mixed_5c = block_a(256, pool_features=64)
        self.Mixed_5d = block_a(288, pool_features=64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, channels_7x7=128)
        self.Mixed_6c = block_c(768, channels_7x7=160)
        self.Mixed_6d = block_c(768, channels_7x7=160)
        self.Mixed_6e = block_c(768, channels_7x7=192)
        self.AuxLogits = aux(768, num_classes) if aux_logits else None
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280)
        self.Mixed_7c = block_e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        initialise(self, init_weights, 0.1)

    def forward(self, x: Tensor) -> Any:
        if self.transform_input:
            x = from_imagenet(x)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        aux = self.AuxLogits(x) if self.training and self.AuxLogits is not None else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits = self.fc(self.dropout(self.avgpool(x)).flatten(1))
        return InceptionOutputs(logits, aux) if self.training and self.aux_logits else logits


class _Mixed(nn.Module):
    """Branches side by side: their channels are joined."""

    def forward(self, x: Tensor) -> Tensor:
        return cat(self._forward(x), 1)

    def _forward(self, x: Tensor) -> list[Tensor]:
        raise NotImplementedError


class InceptionA(_Mixed):
    """1x1, 5x5, two 3x3, and pooling (figure 5 of the paper)."""

    def __init__(self, in_channels: int, pool_features: int, conv_block: Block | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1x1 = conv(in_channels, 64, kernel_size=1)
        self.branch5x5_1 = conv(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = conv(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, padding=1)
        self.branch_pool = conv(in_channels, pool_features, kernel_size=1)

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_pooled(x)),
        ]


class InceptionB(_Mixed):
    """Halves the image: 3x3, two 3x3, and max pooling."""

    def __init__(self, in_channels: int, conv_block: Block | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch3x3 = conv(in_channels, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, stride=2)

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, kernel_size=3, stride=2),
        ]


class InceptionC(_Mixed):
    """7x7 convolutions as 1x7 and 7x1 (figure 6)."""

    def __init__(self, in_channels: int, channels_7x7: int, conv_block: Block | None = None):
        super().__init__()
        conv, c7 = conv_block or BasicConv2d, channels_7x7
        row: dict[str, Any] = {"kernel_size": (1, 7), "padding": (0, 3)}
        column: dict[str, Any] = {"kernel_size": (7, 1), "padding": (3, 0)}
        self.branch1x1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7_1 = conv(in_channels, c7, kernel_size=1)
        self.branch7x7_2 = conv(c7, c7, **row)
        self.branch7x7_3 = conv(c7, 192, **column)
        self.branch7x7dbl_1 = conv(in_channels, c7, kernel_size=1)
        self.branch7x7dbl_2 = conv(c7, c7, **column)
        self.branch7x7dbl_3 = conv(c7, c7, **row)
        self.branch7x7dbl_4 = conv(c7, c7, **column)
        self.branch7x7dbl_5 = conv(c7, 192, **row)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def _forward(self, x: Tensor) -> list[Tensor]:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_pooled(x)),
        ]


class InceptionD(_Mixed):
    """Halves the image: 3x3, 7x7 then 3x3, and max pooling."""

    def __init__(self, in_channels: int, conv_block: Block | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch3x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = conv(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = conv(192, 192, kernel_size=(1, 7), padding=(0, 3))
        self.branch7x7x3_3 = conv(192, 192, kernel_size=(7, 1), padding=(3, 0))
        self.branch7x7x3_4 = conv(192, 192, kernel_size=3, stride=2)

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))),
            F.max_pool2d(x, kernel_size=3, stride=2),
        ]


class InceptionE(_Mixed):
    """3x3 convolutions as 1x3 and 3x1 side by side (figure 7)."""

    def __init__(self, in_channels: int, conv_block: Block | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        row: dict[str, Any] = {"kernel_size": (1, 3), "padding": (0, 1)}
        column: dict[str, Any] = {"kernel_size": (3, 1), "padding": (1, 0)}
        self.branch1x1 = conv(in_channels, 320, kernel_size=1)
        self.branch3x3_1 = conv(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = conv(384, 384, **row)
        self.branch3x3_2b = conv(384, 384, **column)
        self.branch3x3dbl_1 = conv(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = conv(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = conv(384, 384, **row)
        self.branch3x3dbl_3b = conv(384, 384, **column)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def _forward(self, x: Tensor) -> list[Tensor]:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return [
            self.branch1x1(x),
            cat([self.branch3x3_2a(single), self.branch3x3_2b(single)], 1),
            cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1),
            self.branch_pool(_pooled(x)),
        ]


class InceptionAux(nn.Module):
    """A classifier on an earlier stage, for training."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: Block | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.conv0 = conv(in_channels, 128, kernel_size=1)
        self.conv1 = conv(128, 768, kernel_size=5)
        self.conv1.stddev = 0.01
        self.fc = nn.Linear(768, num_classes)
        self.fc.stddev = 0.001

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(F.avg_pool2d(x, kernel_size=5, stride=3)))
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def initialise(model: nn.Module, init_weights: bool | None, std: float) -> None:
    """Truncated normal weights, of deviation `std` or the module's own `stddev`. None, the default, warns as PyTorch's
    does, and means True."""
    if init_weights is None:
        warnings.warn(f"The default weight initialization of {type(model).__name__} will be changed in future releases "
                      "of torchvision. To keep it, set init_weights=True.", FutureWarning, stacklevel=3)
    elif not init_weights:
        return
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, mean=0.0, std=float(getattr(module, "stddev", std)), a=-2, b=2)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1)
            nn.init.constant_(module.bias, 0)


def from_imagenet(x: Tensor) -> Tensor:
    """Images normalised by ImageNet's mean and deviation, as if by 0.5 and 0.5."""
    pairs = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    return cat([x[:, i : i + 1] * (std / 0.5) + (mean - 0.5) / 0.5 for i, (mean, std) in enumerate(pairs)], 1)


def load(make: Callable[..., Any], weights: Any, progress: bool, kwargs: dict[str, Any]) -> Any:
    """The weights hold the auxiliary classifiers, which are taken away afterwards where they were not asked for."""
    require(kwargs, "transform_input", True)
    require(kwargs, "num_classes", len(weights.meta["categories"]))
    aux_logits = kwargs.pop("aux_logits", None)
    model = make(**{**kwargs, "aux_logits": True, "init_weights": False})
    model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return model, aux_logits


def _load_inception(make, weights, progress, kwargs):
    model, aux_logits = load(make, weights, progress, kwargs)
    if aux_logits is False:
        model.aux_logits, model.AuxLogits = False, None
    return model


def _pooled(x):
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


@builder(Inception_V3_Weights, _load_inception)
def inception_v3(**kwargs: Any) -> Inception3:
    """Inception v3; `kwargs` are those of `Inception3`."""
    return Inception3(**kwargs)
