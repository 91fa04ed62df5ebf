"""MobileNetV2 and MobileNetV3 under one name."""

from minitorch.vision.models.mobilenetv2 import *  # noqa: F403
from minitorch.vision.models.mobilenetv2 import __all__ as _v2
from minitorch.vision.models.mobilenetv3 import *  # noqa: F403
from minitorch.vision.models.mobilenetv3 import __all__ as _v3

__all__ = [*_v2, *_v3]
