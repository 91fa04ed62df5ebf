"""VGG: stacks of 3x3 convolutions between poolings."""
from __future__ import annotations

from typing import Any

from minitorch import nn
from minitorch.tensor import Tensor
from minitorch.vision.models._api import builder, load_trained
from minitorch.vision.models._weights import ENUMS

VGG11_Weights = ENUMS["VGG11_Weights"]
VGG11_BN_Weights = ENUMS["VGG11_BN_Weights"]
VGG13_Weights = ENUMS["VGG13_Weights"]
VGG13_BN_Weights = ENUMS["VGG13_BN_Weights"]
VGG16_Weights = ENUMS["VGG16_Weights"]
VGG16_BN_Weights = ENUMS["VGG16_BN_Weights"]
VGG19_Weights = ENUMS["VGG19_Weights"]
VGG19_BN_Weights = ENUMS["VGG19_BN_Weights"]

__all__ = [
    "VGG", "VGG11_BN_Weights", "VGG11_Weights", "VGG13_BN_Weights", "VGG13_Weights", "VGG16_BN_Weights",
    "VGG16_Weights", "VGG19_BN_Weights", "VGG19_Weights", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16",
    "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip

# Simonyan and Zisserman, arXiv:1409.1556, table 1: channels, and "M" for a max pooling
cfgs: dict[str, list[str | int]] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "D": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "E": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


class VGG(nn.Module):
    """`features`, then three linear layers (Simonyan and Zisserman, arXiv:1409.1556)."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            self._initialise()

    def _initialise(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_layers(cfg: list[str | int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions and poolings that `cfg` lists."""
    layers: list[nn.Module] = []
    channels = 3
    for width in cfg:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _load(make, weights, progress, kwargs):
    kwargs["init_weights"] = False
    return load_trained(make, weights, progress, kwargs)


@builder(VGG11_Weights, _load)
def vgg11(**kwargs: Any) -> VGG:
    """VGG-11; `kwargs` are those of `VGG`, here and below."""
    return VGG(make_layers(cfgs["A"]), **kwargs)


@builder(VGG11_BN_Weights, _load)
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation."""
    return VGG(make_layers(cfgs["A"], batch_norm=True), **kwargs)


@builder(VGG13_Weights, _load)
def vgg13(**kwargs: Any) -> VGG:
    """VGG-13."""
    return VGG(make_layers(cfgs["B"]), **kwargs)


@builder(VGG13_BN_Weights, _load)
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation."""
    return VGG(make_layers(cfgs["B"], batch_norm=True), **kwargs)


@builder(VGG16_Weights, _load)
def vgg16(**kwargs: Any) -> VGG:
    """VGG-16."""
    return VGG(make_layers(cfgs["D"]), **kwargs)


@builder(VGG16_BN_Weights, _load)
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation."""
    return VGG(make_layers(cfgs["D"], batch_norm=True), **kwargs)


@builder(VGG19_Weights, _load)
def vgg19(**kwargs: Any) -> VGG:
    """VGG-19."""
    return VGG(make_layers(cfgs["E"]), **kwargs)


@builder(VGG19_BN_Weights, _load)
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation."""
    return VGG(make_layers(cfgs["E"], batch_norm=True), **kwargs)
