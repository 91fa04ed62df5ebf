"""Lazy layers: they learn their number of input channels from their first input, and then become the ordinary layer."""
from __future__ import annotations

import inspect
from typing import Any

from ..op import FUNCTIONS
from ..tensor import Tensor
from . import conv, linear, normalization
from .module import Module
from .parameter import Buffer, Parameter


class _Uninitialized(Tensor):
    """What is to be a tensor, once its shape is known."""

    uninitialized = True

    def materialize(self, shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> None:
        """Give it memory of `shape`, and make it an ordinary parameter or buffer."""
        self._array = FUNCTIONS["empty"](tuple(shape), device=device or self.device, dtype=dtype or self.dtype)._array
        kind: Any = Parameter if isinstance(self, Parameter) else Tensor
        self.__class__ = kind

    @property
    def shape(self):
        raise RuntimeError("Can't access the shape of an uninitialized parameter or buffer. This error usually happens "
                           "in `load_state_dict` when trying to load an uninitialized parameter into an initialized "
                           "module. Call `forward` to initialize the parameters before accessing their attributes.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet."""

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return super().__new__(cls, FUNCTIONS["empty"](0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None):
        pass


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is not known yet."""


class LazyModule(Module):
    """A layer that waits for its first input. `count` names the argument that it waits for."""

    cls_to_become: Any
    count: str
    dim: int  # of the input, where the channels are

    def _prepare(self, options: dict) -> None:
        """Build the layer for no channels at all, and mark what depends on their number as unknown."""
        self.cls_to_become.__init__(self, 0, **options)
        self._options = options
        for name, p in self._parameters.items():
            if p is not None:
                self._parameters[name] = UninitializedParameter(p._requires_grad, p.device, p.dtype)
        self._apply(lambda t: t)

    def _apply(self, fn: Any, recurse: bool = True) -> Module:
        super()._apply(fn)
        for name, b in self._buffers.items():
            if b is not None and b._array.size == 0:
                self._buffers[name] = UninitializedBuffer(b)
        return self

    def reset_parameters(self) -> None:
        """Nothing to draw yet."""

    def has_uninitialized_params(self) -> bool:
        """Whether some parameter waits for its shape."""
        return any(isinstance(p, UninitializedParameter) for p in self._parameters.values())

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of channels from `input`, and draw the parameters that were not loaded meanwhile."""
        channels = input._array.shape[self.dim]
        known = next((p for p in self._parameters.values() if p is not None), None)
        if known is not None:
            self._options.update(device=known.device, dtype=known.dtype)
        layer = self.cls_to_become(channels, **self._options)
        for own, new in ((self._parameters, layer._parameters), (self._buffers, layer._buffers)):
            for name, p in own.items():
                if isinstance(p, _Uninitialized):
                    p.materialize(new[name]._array.shape)
                    p._array = new[name]._array
        setattr(self, self.count, channels)
        del self._options
        self.__class__ = self.cls_to_become

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.initialize_parameters(input)
        return self.forward(input, *args, **kwargs)  # the ordinary layer's, from now on


def _lazy(layer: Any, count: str, dim: int, **defaults: Any) -> Any:
    own, _, *others = inspect.signature(layer.__init__).parameters.values()
    signature = inspect.Signature([own, *(p.replace(default=defaults.get(p.name, p.default)) for p in others)])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        self._prepare({name: value for name, value in bound.arguments.items() if name != "self"})

    __init__.__dict__["__signature__"] = signature
    return type(f"Lazy{layer.__name__}", (LazyModule, layer), {
        "__init__": __init__, "cls_to_become": layer, "count": count, "dim": dim, "__module__": __name__,
        "__doc__": f"{layer.__name__} without `{count}`: the first input tells it."})


LazyLinear = _lazy(linear.Linear, "in_features", -1)
LazyConv1d, LazyConv2d, LazyConv3d = (
    _lazy(getattr(conv, f"Conv{nd}d"), "in_channels", -nd - 1) for nd in (1, 2, 3))
LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = (
    _lazy(getattr(conv, f"ConvTranspose{nd}d"), "in_channels", -nd - 1) for nd in (1, 2, 3))
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (
    _lazy(getattr(normalization, f"BatchNorm{nd}d"), "num_features", 1) for nd in (1, 2, 3))
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (
    _lazy(getattr(normalization, f"InstanceNorm{nd}d"), "num_features", -nd - 1, affine=True, track_running_stats=True)
    for nd in (1, 2, 3))
