"""Image classifiers under torchvision's names: the same parameters, the same initialisation from the same seed.

>>> from minitorch import zeros
>>> resnet18(num_classes=10).eval()(zeros(1, 3, 32, 32)).shape
torch.Size([1, 10])
"""
# ruff: noqa: F403  (each file lists in its __all__ what it publishes)
from __future__ import annotations

from typing import Any

from minitorch.vision.absent import absent
from minitorch.vision.models import mobilenet
from minitorch.vision.models._api import (
    Weights,
    WeightsEnum,
    get_model,
    get_model_builder,
    get_model_weights,
    get_weight,
    list_models,
)
from minitorch.vision.models.alexnet import *
from minitorch.vision.models.convnext import *
from minitorch.vision.models.densenet import *
from minitorch.vision.models.efficientnet import *
from minitorch.vision.models.googlenet import *
from minitorch.vision.models.inception import *
from minitorch.vision.models.mnasnet import *
from minitorch.vision.models.mobilenetv2 import *
from minitorch.vision.models.mobilenetv3 import *
from minitorch.vision.models.resnet import *
from minitorch.vision.models.shufflenetv2 import *
from minitorch.vision.models.squeezenet import *
from minitorch.vision.models.vgg import *
from minitorch.vision.models.vision_transformer import *

__all__ = [name for name in globals() if not name.startswith("_") and name not in ("annotations", "Any", "absent")]

_NOT_HERE = ("detection", "segmentation", "video", "optical_flow", "quantization")


def __getattr__(name: str) -> Any:
    if name in _NOT_HERE:
        raise absent(__name__, name, (), "minitorch.vision.models has image classifiers only: see list_models()")
    raise absent(__name__, name, __all__)
