"""Transforms of whole samples: the images in (image, label), in a dict, in nested lists; everything else passes."""
from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from minitorch import get_rng_state, nn, set_rng_state
from minitorch.tensor import Tensor
from minitorch.vision.pillow import is_pil_image


class Transform(nn.Module):
    """The base of own transforms: `make_params` draws what all images of a sample share, `transform` changes one.

    Images are the PIL images of a sample or, where there are none, its first tensor.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define transform")

    def _wants(self, leaf: Any) -> bool:
        """Whether a part of a sample may be transformed."""
        return is_image(leaf)

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        chosen = images_of(sample, self._wants)
        params = self.make_params(chosen)
        return replace(sample, chosen, [self.transform(image, params) for image in chosen])

    def extra_repr(self) -> str:
        shown = (bool, int, float, str, tuple, list, enum.Enum)
        return ", ".join(f"{name}={value}" for name, value in self.__dict__.items()
                         if not name.startswith("_") and name != "training" and isinstance(value, shown))


class OnSamples:
    """Before a transform of single images: makes it one of samples, that draws the same for each image of a sample."""

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        change = super().forward  # type: ignore[misc]
        chosen = images_of(sample, self._wants)
        if len(chosen) == 1:
            return replace(sample, chosen, [change(chosen[0])])
        before, results = get_rng_state(), []
        for image in chosen:
            set_rng_state(before)
            results.append(change(image))
        return replace(sample, chosen, results)

    def _wants(self, leaf: Any) -> bool:
        return is_image(leaf)


def is_image(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) or is_pil_image(leaf)


def images_of(sample: Any, wants: Callable[[Any], bool] = is_image) -> list[Any]:
    """The parts of `sample` to transform: of the tensors only the first, and none where there is a PIL image."""
    leaves = list(_leaves(sample))
    tensors_left = 0 if any(is_pil_image(leaf) for leaf in leaves) else 1
    chosen = []
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            if not tensors_left:
                continue
            tensors_left = 0
        if wants(leaf):
            chosen.append(leaf)
    return chosen


def replace(sample: Any, chosen: list[Any], results: list[Any]) -> Any:
    """`sample` with the parts `chosen`, the same objects in the same order, replaced."""
    pairs = list(zip(chosen, results))

    def rebuild(part):
        if isinstance(part, dict):
            return {key: rebuild(value) for key, value in part.items()}
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            return type(part)(*(rebuild(item) for item in part))
        if isinstance(part, (list, tuple)):
            return type(part)(rebuild(item) for item in part)
        if pairs and part is pairs[0][0]:
            return pairs.pop(0)[1]
        return part

    return rebuild(sample)


def _leaves(part):
    if isinstance(part, dict):
        for value in part.values():
            yield from _leaves(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _leaves(value)
    else:
        yield part
