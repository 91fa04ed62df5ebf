"""`Layer`: what all layers and models are. It builds its weights when it first sees an input."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ...engine import no_grad
from ...errors import nearest
from ...nn import Module
from ...nn.parameter import Parameter
from ...tensor import Tensor
from .. import backend, initializers, regularizers
from ..serialization import Configured, constructed_with, described, serialize
from ..symbolic import KerasTensor, is_symbolic, record


class Variable(Parameter):
    """A weight: a parameter with a name, which can be assigned to.

    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0]).numpy()
    array([2., 3.], dtype=float32)
    """

    name: str
    path: str
    regularizer: Any

    def __new__(cls, initial_value: Any = None, trainable: bool = True, dtype: Any = None, name: str = "variable",
                path: str | None = None) -> Variable:
        value = initial_value() if callable(initial_value) else initial_value
        # a copy: what was handed in must not change with the variable
        value = backend.as_tensor(value, dtype).detach().clone()
        v: Any = super().__new__(cls, value, trainable and value.is_floating_point())
        v.name, v.path, v.regularizer = name, path or name, None
        v._wanted = trainable  # whether it is trained while its layer is
        return v

    def __init__(self, *args: Any, **keywords: Any):
        pass

    def __deepcopy__(self, memo: dict) -> Any:
        twin: Any = super().__deepcopy__(memo)
        for name in ("name", "path", "regularizer", "_wanted"):
            setattr(twin, name, getattr(self, name))
        return twin

    @property
    def trainable(self) -> bool:
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._wanted = bool(value)
        self.requires_grad = self._wanted

    value = property(lambda self: self)

    def numpy(self, *args: Any, **keywords: Any) -> np.ndarray:
        return self.detach().numpy(*args, **keywords).copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.numpy().astype(dtype or self.numpy().dtype)

    @no_grad()
    def assign(self, value: Any) -> Variable:
        """Write `value` over the values. Raises ValueError where it is of another shape."""
        value = backend.as_tensor(value, self.dtype)
        if value.shape != self.shape:
            raise ValueError(f"assign: the variable {self.path!r} has shape {tuple(self.shape)}, "
                             f"the value has {tuple(value.shape)}")
        return self.copy_(value)

    def assign_add(self, value: Any) -> Variable:
        """Add `value` to the values."""
        return self.assign(self.detach() + backend.as_tensor(value, self.dtype))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract `value` from the values."""
        return self.assign_add(-backend.as_tensor(value, self.dtype))

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={tuple(self.shape)}, dtype={str(self.dtype)[6:]}, " \
               f"value={self.numpy()}>"


class Layer(Configured, Module):
    """A layer: `build(input_shape)` adds its weights at the first call, `call(inputs)` computes.

    `call` may ask for `training` (True within `fit`) and `mask` as keyword arguments. `input_shape` (without the batch)
    or `input_dim` let a Sequential build the layer at once.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    >>> Scale()([[1.0, 2.0]])
    tensor([[1., 2.]], grad_fn=<MulBackward0>)
    """

    supports_masking = False

    def __init__(self, *, activity_regularizer: Any = None, trainable: bool = True, dtype: Any = None,
                 name: str | None = None, input_shape: Any = None, input_dim: int | None = None,
                 batch_input_shape: Any = None, **keywords: Any):
        super().__init__()
        for key, default in self._options.items():
            setattr(self, key, _HOMES[key.rpartition("_")[2]].get(keywords.pop(key, default)))
        for key, value in keywords.items():
            if not (key.endswith("_constraint") and value is None):  # as files of Keras have it
                known = [*inspect.signature(type(self).__init__).parameters, *self._options]  # type: ignore[misc]
                raise TypeError(f"{type(self).__name__}: got an unexpected keyword argument {key!r}"
                                + nearest(key.replace("_constraint", "_regularizer"), known))
        self.name = name or backend.unique_name(backend.snake_case(type(self).__name__))
        self.dtype = str(backend.dtype_of(getattr(dtype, "name", dtype)))[6:]
        self.built, self._is_trainable, self._built_for = False, trainable, None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if input_dim is not None:
            input_shape = (input_dim,)
        self._given_shape = tuple(batch_input_shape) if batch_input_shape else \
            None if input_shape is None else (None, *input_shape)
        self._added_losses: list[Tensor] = []

    def __init_subclass__(cls, **weights: Any) -> None:
        """`weights` are names, and what each is drawn by: they give options kernel_initializer, kernel_regularizer."""
        super().__init_subclass__()
        if weights:
            cls._options = {f"{name}_{what}": start if what == "initializer" else None
                            for name, start in weights.items() for what in _HOMES}
        if "build" in vars(cls):
            cls.build = _noting_it(cls.build)  # type: ignore[method-assign]
        if "call" in vars(cls):
            names = inspect.signature(vars(cls)["call"]).parameters
            anything = any(p.kind is p.VAR_KEYWORD for p in names.values())
            cls._takes = frozenset(name for name in ("training", "mask") if name in names or anything)

    _takes: frozenset[str] = frozenset()
    _options: ClassVar[dict[str, Any]] = {}

    def build(self, input_shape: Any) -> None:
        """Add the weights for inputs of this shape: nothing to do unless a layer says so."""
        self.built = True

    def call(self, *args: Any, **keywords: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define call(): what it computes")

    def forward(self, *args: Any, **keywords: Any) -> Any:
        return self.call(*args, **keywords)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if "_modules" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}: call super().__init__() first in its __init__")
        if is_symbolic(args, keywords):
            return record(self, args, keywords)
        if args:
            x = args[0]
            if isinstance(x, (list, tuple)) and all([isinstance(n, (int, float)) for n in backend.flatten(x)]):
                x = np.asarray(x)  # nested lists of numbers are one array
            args = (backend.map_structure(self._as_input, x),
                    *[self._as_input(a) if isinstance(a, np.ndarray) else a for a in args[1:]])
        masks = [getattr(x, "_keras_mask", None) for x in backend.flatten(args[:1])]
        training = keywords.get("training")
        if training is None:
            training = backend.is_training()
        keywords.pop("training", None)
        if "training" in self._takes and training is not None:  # else the default of `call`
            keywords["training"] = training
        if "mask" in self._takes and keywords.get("mask") is None and masks and masks[0] is not None:
            keywords["mask"] = masks[0]
        with backend.phase(None if training is None else bool(training)):
            if not self.built:
                shapes = _shapes(args[0]) if args else None
                self.build(shapes)
                self.built, self._built_for = True, backend.without_batch(shapes)
            self._check(args)
            y: Any = super().__call__(*args, **keywords)
        mask = self.compute_mask(args[0] if args else None, masks[0] if len(masks) == 1 else None)
        if mask is not None and isinstance(y, Tensor):
            if y is args[0]:
                y = y.view_as(y)
            y._keras_mask = mask
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(y) / y.shape[0])
        return y

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Which steps of the result count: those of the input, for layers that keep them."""
        return previous_mask if self.supports_masking else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the result for inputs of this shape; None stands for any size."""
        y = self(backend.of_shapes(KerasTensor, input_shape))
        return y.shape if isinstance(y, KerasTensor) else [each.shape for each in y]

    def add_weight(self, shape: Any = None, initializer: Any = None, dtype: Any = None, trainable: bool = True,
                   regularizer: Any = None, name: str | None = None, **keywords: Any) -> Variable:
        """A new weight of `shape`, drawn by `initializer`: glorot_uniform, or zeros for numbers that are no floats."""
        given = {key for key, value in keywords.items() if value is not None}
        if unknown := given - {"aggregation", "autocast", "synchronization"}:
            raise TypeError(f"add_weight: unexpected keyword arguments {sorted(unknown)}")
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if initializer is None:
            initializer = "glorot_uniform" if backend.dtype_of(dtype or self.dtype).is_floating_point else "zeros"
        draw = initializers.get(initializer)
        name = name or "variable"
        with no_grad():
            v = Variable(draw(shape, dtype or self.dtype), trainable, dtype or self.dtype, name, f"{self.name}/{name}")
        v.regularizer = regularizers.get(regularizer)
        v.requires_grad = v._wanted and self.trainable
        key, n = name.replace(".", "_"), 1
        while hasattr(self, key) or key in self._parameters:
            key, n = f"{name}_{n}", n + 1
        self._parameters[key] = v
        return v

    def _weight(self, name: str, shape: Any, wanted: bool = True, **keywords: Any) -> None:
        """Add a weight that the class names as the attribute `name`, with its options; None unless `wanted`."""
        first = name if f"{name}_initializer" in self._options else name.partition("_")[0]
        options = {what: getattr(self, f"{first}_{what}") for what in _HOMES}
        setattr(self, name, self.add_weight(shape, **options, name=name, **keywords) if wanted else None)

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the loss of the step that is going on."""
        self._added_losses.extend(backend.flatten(loss))

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable) and "_parameters" in self.__dict__:
            for key in [key for key, v in self._parameters.items() if v is value]:  # as add_weight named it
                del self._parameters[key]
        super().__setattr__(name, value)

    # Members

    @property
    def layers_below(self) -> list[Module]:
        """The layers that are attributes of this one, or stand in lists and dicts that are."""
        for name, value in list(self.__dict__.items()):
            if isinstance(value, (list, tuple, dict)) and not name.startswith("_"):
                for i, part in enumerate(backend.flatten(value)):
                    if isinstance(part, Module) and part not in self._modules.values():
                        self._modules[f"{name}_{i}"] = part
        return [module for module in self._modules.values() if module is not None]

    def _flatten_layers(self) -> Iterator[Module]:
        yield self
        for layer in self.layers_below:
            yield from layer._flatten_layers() if isinstance(layer, Layer) else layer.modules()

    @property
    def weights(self) -> list[Any]:
        """All weights, those that are not trained too."""
        return list({id(v): v for layer in self._flatten_layers() for v in layer._parameters.values()
                     if v is not None}.values())

    trainable_weights = property(lambda self: [v for v in self.weights if v.requires_grad])
    non_trainable_weights = property(lambda self: [v for v in self.weights if not v.requires_grad])
    variables, trainable_variables, non_trainable_variables = weights, trainable_weights, non_trainable_weights

    @property
    def losses(self) -> list[Tensor]:
        """What layers added to the loss during the last call, and the regularizers of the weights."""
        added = [loss for layer in self._flatten_layers() for loss in getattr(layer, "_added_losses", [])]
        return added + [v.regularizer(v) for v in self.trainable_weights if getattr(v, "regularizer", None)]

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it for all layers below."""
        return self._is_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            if isinstance(layer, Layer):
                object.__setattr__(layer, "_is_trainable", bool(value))
            for v in layer._parameters.values():
                if v is not None:
                    v.requires_grad = bool(value) and getattr(v, "_wanted", True)

    # What the layer was first called on in a graph, and gave there: models end at a layer within another model with it.
    input = property(lambda self: self._first_call().args[0])
    output = property(lambda self: self._first_call().result)

    def _first_call(self) -> Any:
        if self.__dict__.get("_node") is None:
            raise AttributeError(f"The layer {self.name!r} has never been called on an Input and thus has no defined "
                                 "input and output.")
        return self.__dict__["_node"]

    def get_weights(self) -> list[np.ndarray]:
        """The values of all weights, in order."""
        return [backend.as_array(v).copy() for v in self.weights]

    @no_grad()
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Write values over those of all weights. Raises ValueError where their number or a shape differs."""
        own, weights = self.weights, [backend.as_array(value) for value in weights]
        if [tuple(v.shape) for v in own] != [value.shape for value in weights]:
            raise ValueError(f"set_weights: layer {self.name!r} was expecting {len(own)} weights of the shapes "
                             f"{[tuple(v.shape) for v in own]}, got {len(weights)} of the shapes "
                             f"{[value.shape for value in weights]}")
        for v, value in zip(own, weights):
            v.copy_(backend.as_tensor(value, v.dtype))

    def count_params(self) -> int:
        """The number of values in all weights. Raises ValueError before the layer is built."""
        if not self.built:
            raise ValueError(f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built.")
        return sum(v.numel() for v in self.weights)

    def get_config(self) -> dict[str, Any]:
        """What the constructor was given, and the layer's name, whether it is trained, and its dtype.

        A subclass that defines `get_config` itself gets the last three from here, and what the layer of this package
        that it derives from was given.
        """
        own = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype,
               **{key: serialize(getattr(self, key)) for key in self._options}}
        if type(self).get_config.__module__.startswith("minitorch."):
            init: Any = type(self).__init__  # type: ignore[misc]
            named = () if init is Layer.__init__ else inspect.signature(init).parameters
            return {**{k: v for k, v in constructed_with(self).items() if k not in _PLACE or k in named}, **own}
        ours = next(base for base in type(self).__mro__ if base.__module__.startswith("minitorch."))
        names = list(inspect.signature(ours.__init__).parameters)[1:]  # type: ignore[misc]
        return {**{k: serialize(getattr(self, k)) for k in names if hasattr(self, k)}, **own}

    def serialized(self) -> dict[str, Any]:
        """The layer as data: class, arguments, and the shape that it was built for."""
        data = described(self)
        return {**data, "build_config": self.get_build_config()} if self._built_for is not None else data

    def get_build_config(self) -> dict[str, Any]:
        """What `build_from_config` needs."""
        return {"input_shape": serialize(self._built_for)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer as the one was that `get_build_config` told of."""
        shape = backend.of_shapes(tuple, config["input_shape"])
        with backend.phase(False):
            self.build(shape)
        self.built, self._built_for = True, shape

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def _as_input(self, x: Any) -> Any:
        if not isinstance(x, (Tensor, np.ndarray, int, float)):
            return x
        t: Any = backend.as_tensor(x)
        if t.is_floating_point():
            t = t.to(backend.dtype_of(self.dtype))
        if hasattr(x, "_keras_mask"):
            t._keras_mask = x._keras_mask
        return t

    def _check(self, args: tuple) -> None:
        """Raise ValueError for an input that does not fit the weights."""

    def _bad_input(self, expected: str, shape: Any) -> ValueError:
        return ValueError(f'Input 0 of layer "{self.name}" is incompatible with the layer: expected {expected}, '
                          f"but received input with shape {tuple(shape)}")


def _noting_it(build: Any) -> Any:
    @functools.wraps(build)
    def with_note(self: Any, *args: Any, **keywords: Any) -> Any:
        result = build(self, *args, **keywords)
        self.built = True
        return result

    return with_note


_HOMES: dict[str, Any] = {"initializer": initializers, "regularizer": regularizers}
_PLACE = ("input_shape", "input_dim", "batch_input_shape", "input_length", "weights")  # of a layer in a Sequential


def _shapes(x: Any) -> Any:
    return tuple(x.shape) if hasattr(x, "shape") else backend.map_structure(_shapes, x) if x is not None else None
