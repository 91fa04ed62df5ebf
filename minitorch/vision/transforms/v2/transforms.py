"""The transforms that v1 does not have, and those that draw or take other things than in v1."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minitorch import nn, rand, randint, randperm
from minitorch.dtypes import dtype as dtype_class
from minitorch.tensor import Tensor
from minitorch.vision.pillow import is_pil_image
from minitorch.vision.transforms import autoaugment, color, compose, geometry
from minitorch.vision.transforms.geometry import _rand, _uniform
from minitorch.vision.transforms.modes import InterpolationMode
from minitorch.vision.transforms.v2 import functional as F
from minitorch.vision.transforms.v2.samples import OnSamples, Transform, is_image

BILINEAR = InterpolationMode.BILINEAR


class Compose(Transform):
    """One transform of samples after another."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]):
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return _one_after_another(self.transforms, inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"    {transform}" for transform in self.transforms)


class RandomApply(Compose):
    """All of `transforms` with the probability `p`, else none."""

    def __init__(self, transforms: Sequence[Callable[..., Any]] | nn.ModuleList, p: float = 0.5):
        super().__init__(list(transforms) if isinstance(transforms, nn.ModuleList) else transforms)
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        return _one_after_another(self.transforms if _rand() < self.p else [], inputs)


class RandomChoice(Compose):
    """One of `transforms`, with probabilities proportional to `p`."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: list[float] | None = None):
        super().__init__(transforms)
        p = [1] * len(transforms) if p is None else p
        if len(p) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}")
        self.p = [share / sum(p) for share in p]

    def forward(self, *inputs: Any) -> Any:
        from minitorch import as_tensor, multinomial

        return self.transforms[int(multinomial(as_tensor(self.p), 1))](*inputs)


class RandomOrder(Compose):
    """All of `transforms` in random order."""

    def forward(self, *inputs: Any) -> Any:
        return _one_after_another([self.transforms[i] for i in randperm(len(self.transforms)).tolist()], inputs)


class Identity(Transform):
    """The sample as it is."""

    def forward(self, *inputs: Any) -> Any:
        return inputs if len(inputs) > 1 else inputs[0]


class Lambda(Transform):
    """A function of each part of a sample that is of one of `types`; by default of every part."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type):
        super().__init__()
        self.lambd = lambd
        self.types = types or (object,)

    def forward(self, *inputs: Any) -> Any:
        return self._map(inputs if len(inputs) > 1 else inputs[0])

    def _map(self, part):
        if isinstance(part, dict):
            return {key: self._map(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)(map(self._map, part))
        return self.lambd(part) if isinstance(part, self.types) else part


class ToImage(Transform):
    """PIL images and arrays (H, W, C) as tensors (C, H, W) of the same values; tensors stay."""

    def _wants(self, leaf: Any) -> bool:
        return is_image(leaf) or isinstance(leaf, np.ndarray)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.to_image(inpt)


class ToDtype(Transform):
    """Another type for tensor images, with `scale` for the range of values too. `dtype` is a dtype, or a dict with the
    keys Tensor and "others"; None as a dtype leaves the values alone."""

    def __init__(self, dtype: Any, scale: bool = False):
        super().__init__()
        if not isinstance(dtype, (dict, dtype_class)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def _wants(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        chosen: Any = self.dtype
        if isinstance(chosen, dict):
            if type(inpt) not in chosen and "others" not in chosen:
                raise ValueError(f"No dtype was specified for type {type(inpt)}. Pass e.g. dtype=torch.float32, or a "
                                 'dict with the key "others"')
            chosen = chosen.get(type(inpt), chosen.get("others"))
        return inpt if chosen is None else F.to_dtype(inpt, chosen, self.scale)


class ToTensor(Transform):
    """PIL images and arrays as float tensors in [0, 1]; `ToImage` and `ToDtype(float32, scale=True)` replace it."""

    def __init__(self):
        warnings.warn("The transform `ToTensor()` is deprecated. Instead, please use `v2.Compose([v2.ToImage(), "
                      "v2.ToDtype(torch.float32, scale=True)])`.", stacklevel=2)
        super().__init__()

    def _wants(self, leaf: Any) -> bool:
        return is_pil_image(leaf) or isinstance(leaf, np.ndarray)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.to_tensor(inpt)


class PILToTensor(OnSamples, compose.PILToTensor):
    __doc__ = compose.PILToTensor.__doc__

    def _wants(self, leaf: Any) -> bool:
        return is_pil_image(leaf)


class ToPILImage(OnSamples, compose.ToPILImage):
    __doc__ = compose.ToPILImage.__doc__

    def _wants(self, leaf: Any) -> bool:
        return isinstance(leaf, (Tensor, np.ndarray))


class ToPureTensor(Identity):
    """Tensors without metadata, as they are here anyway."""


class RGB(Transform):
    """Grey images as ones with three equal channels."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.grayscale_to_rgb(inpt)


class RandomCrop(OnSamples, geometry.RandomCrop):
    __doc__ = geometry.RandomCrop.__doc__

    @staticmethod
    def get_params(img, output_size):
        """A random (top, left, height, width); draws only for a side that is longer than the crop."""
        _, rows, columns = F.get_dimensions(img)
        height, width = output_size
        if rows < height or columns < width:
            raise ValueError(f"RandomCrop: Required crop size {(height, width)} is larger than input image size "
                             f"{(rows, columns)}")
        top = int(randint(0, rows - height + 1, ())) if rows > height else 0
        left = int(randint(0, columns - width + 1, ())) if columns > width else 0
        return top, left, height, width


class RandomErasing(OnSamples, color.RandomErasing):
    __doc__ = color.RandomErasing.__doc__

    def _wants(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor)


class _Signs:
    """Signs as v2 draws them."""

    def _negative(self) -> bool:
        return rand(()).item() <= 0.5


class AutoAugment(OnSamples, _Signs, autoaugment.AutoAugment):
    __doc__ = autoaugment.AutoAugment.__doc__

    def _draw_pair(self):
        chosen = int(randint(len(self.policies), ()))
        for step in self.policies[chosen]:
            if rand(()).item() <= step[1]:
                yield step, step[0] in autoaugment.SIGNED and self._negative()


class RandAugment(OnSamples, _Signs, autoaugment.RandAugment):
    __doc__ = autoaugment.RandAugment.__doc__


class TrivialAugmentWide(OnSamples, _Signs, autoaugment.TrivialAugmentWide):
    __doc__ = autoaugment.TrivialAugmentWide.__doc__


class AugMix(OnSamples, _Signs, autoaugment.AugMix):
    __doc__ = autoaugment.AugMix.__doc__


class GaussianNoise(Transform):
    """Add normal noise of `mean` and `sigma`, for values in [0, 1]; with `clip` the result stays in the range."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True):
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.gaussian_noise(inpt, self.mean, self.sigma, self.clip)


class RandomChannelPermutation(Transform):
    """The channels in random order."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"permutation": randperm(F.get_num_channels(flat_inputs[0]))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.permute_channels(inpt, params["permutation"])


class RandomPhotometricDistort(Transform):
    """Brightness, contrast, saturation, hue and the order of channels, each changed with the probability `p` (Liu et
    al., "SSD", arXiv:1512.02325)."""

    def __init__(self, brightness=(0.875, 1.125), contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=(-0.05, 0.05),
                 p: float = 0.5):
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for name in ("brightness", "contrast", "saturation", "hue"):
            params[name] = _uniform(*getattr(self, name)) if _rand() < self.p else None
        params["contrast_before"] = _rand() < 0.5
        channels = F.get_num_channels(flat_inputs[0])
        params["permutation"] = randperm(channels) if _rand() < self.p else None
        return params

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        first = ["contrast"] if params["contrast_before"] else []
        last = [] if params["contrast_before"] else ["contrast"]
        for name in ["brightness", *first, "saturation", "hue", *last]:
            if params[name] is not None:
                inpt = getattr(F, f"adjust_{name}")(inpt, params[name])
        return inpt if params["permutation"] is None else F.permute_channels(inpt, params["permutation"])


class RandomZoomOut(Transform):
    """With the probability `p` put the image on a canvas of `fill`, larger by a factor out of `side_range`."""

    def __init__(self, fill: Any = 0, side_range: Sequence[float] = (1.0, 4.0), p: float = 0.5):
        super().__init__()
        if len(side_range) != 2 or not 1.0 <= side_range[0] <= side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")
        self.fill = fill
        self.side_range = side_range
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        if _rand() >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return super().forward(*inputs)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = F.get_dimensions(flat_inputs[0])
        low, high = self.side_range
        factor = low + rand(1) * (high - low)
        wide, tall = int(width * factor), int(height * factor)
        across, down = rand(2)
        left, top = int((wide - width) * across), int((tall - height) * down)
        return {"padding": [left, top, wide - left - width, tall - top - height]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.pad(inpt, params["padding"], self.fill)


class _RandomSize(Transform):
    """Scale the image to a random size."""

    interpolation: Any
    antialias: bool | None

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.resize(inpt, params["size"], self.interpolation, antialias=self.antialias)


class RandomResize(_RandomSize):
    """The shorter side to a random length from `min_size` to below `max_size`."""

    def __init__(self, min_size: int, max_size: int, interpolation: Any = BILINEAR, antialias: bool | None = True):
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [int(randint(self.min_size, self.max_size, ()))]}


class RandomShortestSize(_RandomSize):
    """The shorter side to a random length out of `min_size`, the longer one to at most `max_size`."""

    def __init__(self, min_size: Any, max_size: int | None = None, interpolation: Any = BILINEAR,
                 antialias: bool | None = True):
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = F.get_dimensions(flat_inputs[0])
        ratio = self.min_size[int(randint(len(self.min_size), ()))] / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": (int(height * ratio), int(width * ratio))}


class ScaleJitter(_RandomSize):
    """Into `target_size`, then scaled by a random factor out of `scale_range`."""

    def __init__(self, target_size: tuple[int, int], scale_range: tuple[float, float] = (0.1, 2.0),
                 interpolation: Any = BILINEAR, antialias: bool | None = True):
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = F.get_dimensions(flat_inputs[0])
        low, high = self.scale_range
        scale = low + rand(1) * (high - low)
        ratio = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * ratio), int(width * ratio))}


def lifted(v1_class: type) -> type:
    """A transform of single images as one of samples."""
    return type(v1_class.__name__, (OnSamples, v1_class), {"__doc__": v1_class.__doc__, "__module__": __name__})


def _one_after_another(transforms, inputs):
    many = len(inputs) > 1
    for transform in transforms:
        outputs = transform(*inputs)
        inputs = outputs if many else (outputs,)
    return inputs if many else inputs[0]
