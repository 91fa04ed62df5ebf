"""Models by name, and their weights: the registry, `weights=`, and the older `pretrained=`."""
from __future__ import annotations

import fnmatch
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import ModuleType
from typing import Any

from minitorch.vision.absent import absent

BUILDERS: dict[str, Callable[..., Any]] = {}


@dataclass
class Weights:
    """Where weights lie (`url`), what makes the `transforms` of their input, and what is known of them (`meta`)."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Weights):
            return NotImplemented
        return (self.url, self.meta, _parts(self.transforms)) == (other.url, other.meta, _parts(other.transforms))


class WeightsEnum(Enum):
    """The weights that are published for a model; the values are `Weights`."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """A member, its name, or None; raises TypeError for the weights of another model."""
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(f"Invalid Weight class provided; expected {cls.__name__} but received "
                            f"{type(obj).__name__}.")
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The parameters, from the cache directory or the network: `hub.load_state_dict_from_url`."""
        from minitorch.hub import load_state_dict_from_url

        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    @property
    def url(self) -> str:
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        return self.value.meta


def builder(enum: Any, load: Callable[..., Any] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a model function of one that returns an untrained model, and register it.

    It gets the arguments `weights` (a member of `enum`, its name, or None), `progress`, and the older `pretrained`.
    With weights, `load(make, weights, progress, kwargs)` returns the model; by default the model is made with as many
    classes as the weights have, and its state loaded.
    """
    def decorate(make: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(make)
        def build(weights: Any = None, progress: bool = True, **kwargs: Any) -> Any:
            if "pretrained" in kwargs:
                weights = bool(kwargs.pop("pretrained"))
            if isinstance(weights, bool):
                chosen = enum.IMAGENET1K_V1 if weights else None
                warnings.warn(f"{make.__name__}: 'pretrained' is deprecated; the call means weights={chosen}",
                              stacklevel=2)
                weights = chosen
            weights = enum.verify(weights)
            return make(**kwargs) if weights is None else (load or load_trained)(make, weights, progress, kwargs)

        own = inspect.signature(make).parameters.values()
        known = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
                 for name, default in (("weights", None), ("progress", True))]
        build.__signature__ = inspect.Signature([*known, *own])  # type: ignore[attr-defined]
        build.weights = enum  # type: ignore[attr-defined]
        BUILDERS[make.__name__] = build
        return build

    return decorate


def load_trained(make: Callable[..., Any], weights: WeightsEnum, progress: bool, kwargs: dict[str, Any]) -> Any:
    """A model with `weights`. Raises ValueError where `kwargs` ask for another number of classes."""
    if weights.meta["categories"] is not None:
        require(kwargs, "num_classes", len(weights.meta["categories"]))
    model = make(**kwargs)
    model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return model


def require(kwargs: dict[str, Any], name: str, value: Any) -> None:
    """Set the argument that the weights need; raises ValueError where it was given as something else."""
    if kwargs.setdefault(name, value) != value:
        raise ValueError(f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead.")


def get_model_builder(name: str) -> Callable[..., Any]:
    """The function that makes the model `name`. Raises ValueError for an unknown name."""
    if name.lower() not in BUILDERS:
        raise ValueError(f"Unknown model {name}: {absent('minitorch.vision.models', name, BUILDERS)}")
    return BUILDERS[name.lower()]


def get_model(name: str, **config: Any) -> Any:
    """The model `name`, made with the arguments `config`."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Callable[..., Any] | str) -> Any:
    """The WeightsEnum of a model, given by its name or its function."""
    return (get_model_builder(name) if isinstance(name, str) else name).weights  # type: ignore[attr-defined]


def get_weight(name: str) -> Any:
    """The weights of a full name.

    >>> from minitorch.vision.models import get_weight
    >>> get_weight("ResNet50_Weights.DEFAULT").meta["num_params"]
    25557032
    """
    owner, dot, member = name.partition(".")
    if not dot or "." in member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for build in BUILDERS.values():
        if build.weights.__name__ == owner:  # type: ignore[attr-defined]
            return build.weights[member]  # type: ignore[attr-defined]
    raise ValueError(f"The weight enum '{owner}' for the specific method couldn't be retrieved.")


def list_models(module: ModuleType | None = None, include: Iterable[str] | str | None = None,
                exclude: Iterable[str] | str | None = None) -> list[str]:
    """The sorted names of the models: those made in `module`, that match one of the wildcard patterns `include` and
    none of `exclude`.

    >>> from minitorch.vision.models import list_models
    >>> list_models(include="resnet*")
    ['resnet101', 'resnet152', 'resnet18', 'resnet34', 'resnet50']
    """
    package = __name__.rpartition(".")[0]
    if module is None or module is sys.modules.get(package):
        names = set(BUILDERS)
    else:
        names = {name for name, build in BUILDERS.items() if build.__module__ == module.__name__}
    if include:
        names = {name for name in names if _matches(name, include)}
    if exclude:
        names = {name for name in names if not _matches(name, exclude)}
    return sorted(names)


def _matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))


def _parts(transforms):
    """What two equal `partial`s have in common; they are not equal themselves."""
    if isinstance(transforms, partial):
        return transforms.func, transforms.args, transforms.keywords
    return transforms
