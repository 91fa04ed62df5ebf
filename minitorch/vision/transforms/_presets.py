"""What turns a picture into the input of a published model."""
from __future__ import annotations

from minitorch import float32, nn
from minitorch.tensor import Tensor
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.modes import InterpolationMode


class ImageClassification(nn.Module):
    """Scale the shorter side to `resize_size`, crop the middle, and normalise: a PIL image or tensor image to a float
    tensor (3, crop_size, crop_size)."""

    def __init__(self, *, crop_size: int, resize_size: int = 256, mean: tuple[float, ...] = (0.485, 0.456, 0.406),
                 std: tuple[float, ...] = (0.229, 0.224, 0.225),
                 interpolation: InterpolationMode = InterpolationMode.BILINEAR, antialias: bool | None = True):
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img) -> Tensor:
        img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, float32), self.mean, self.std)

    def __repr__(self):
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        return "\n    ".join([f"{type(self).__name__}(", *(f"{name}={getattr(self, name)}" for name in names)]) + "\n)"
