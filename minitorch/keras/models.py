"""`Model`, by subclass or from the inputs to the outputs of a graph, and `Sequential`."""
from __future__ import annotations

from typing import Any

from ..errors import absent_from
from . import backend, symbolic
from .layers.base import Layer
from .layers.core import InputLayer
from .optimizers import MODELS
from .saving import load_model as load_model
from .saving import save_model
from .serialization import deserialize, serialize
from .summary import print_summary
from .symbolic import KerasTensor
from .trainer import Trainer
from .weight_files import load_weights, save_weights


class Model(Trainer, Layer):
    """A subclass with layers as attributes and `call(inputs)`, or `Model(inputs, outputs)`.

    >>> from minitorch.keras import layers
    >>> x = layers.Input((4,))
    >>> model = Model(x, layers.Dense(2)(x) + 1)
    >>> model.output_shape, model.predict(np.zeros((3, 4)), verbose=0).shape
    ((None, 2), (3, 2))
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True,
                 **keywords: Any):
        super().__init__(name=name or (backend.unique_name("functional") if inputs is not None else None),
                         trainable=trainable, **keywords)
        MODELS.add(self)
        self._graph: Any = None
        if inputs is not None:
            self._from_graph(inputs, outputs)

    def _from_graph(self, inputs: Any, outputs: Any) -> None:
        ends = backend.flatten([inputs, outputs])
        if not all([isinstance(x, KerasTensor) for x in ends]):
            raise ValueError("Model: expected `inputs` and `outputs` to be tensors from Input() and from layers")
        self._graph = symbolic.steps(backend.flatten(inputs), backend.flatten(outputs)), inputs, outputs
        for node in self._graph[0]:
            if node.layer not in self._modules.values():
                self._modules[node.layer.name] = node.layer
        self.built = True

    inputs = property(lambda self: [] if self._graph is None else backend.flatten(self._graph[1]))
    outputs = property(lambda self: [] if self._graph is None else backend.flatten(self._graph[2]))
    input = property(lambda self: self._end(1))  # in the lists and dicts that the model was made with
    output = property(lambda self: self._end(2))
    input_shape = property(lambda self: _shape_of(self.input))
    output_shape = property(lambda self: _shape_of(self.output))

    def _end(self, i: int) -> Any:
        if self._graph is None:
            raise ValueError(f"The model {self.name!r} has no graph: it has not been built, or is a subclass of Model")
        return self._graph[i]

    @property
    def layers(self) -> list[Any]:
        """The layers directly below."""
        below: list[Any] = list(self.layers_below)
        return [_input_layer(x) for x in self.inputs if x.node.layer is None] + below

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of a name or at a position. Raises ValueError where there is none."""
        found = [layer for i, layer in enumerate(self.layers) if
                 (layer.name == name if index is None else i == index % len(self.layers))]
        if not found or (index is not None and not -len(self.layers) <= index < len(self.layers)):
            raise ValueError(f"No such layer: {name if index is None else index}. Existing layers are: "
                             f"{[layer.name for layer in self.layers]}.")
        return found[0]

    def build(self, input_shape: Any = None) -> None:
        """Build all layers by a run with zeros of this shape, in which None stands for any size."""
        self.built = True
        if self._graph is None and input_shape is not None and not self._called_now():
            self.compute_output_shape(input_shape)

    def call(self, inputs, training=None, mask=None):
        if self._graph is None:
            raise NotImplementedError(f"Model {type(self).__name__} does not have a `call()` method implemented.")
        order, given, outputs = self._graph
        return symbolic.replay(order, backend.flatten(given), _in_order(given, inputs), outputs)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        for layer in self._flatten_layers():
            if isinstance(layer, Layer):
                layer._added_losses.clear()
        before, self._inside = self._called_now(), True
        try:
            return super().__call__(*args, **keywords)
        finally:
            self._inside = before

    def _called_now(self) -> bool:
        return self.__dict__.get("_inside", False)

    def summary(self, line_length: int | None = None, positions: Any = None, print_fn: Any = None,
                expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None) -> None:
        """Print the layers, the shapes of their results and their numbers of weights."""
        for name, value in (("positions", positions), ("expand_nested", expand_nested), ("layer_range", layer_range),
                            ("show_trainable", show_trainable)):
            if value:
                raise NotImplementedError(f"summary: {name}={value}")
        print_summary(self, line_length, print_fn or print)

    save, save_weights, load_weights = save_model, save_weights, load_weights

    def get_config(self) -> dict[str, Any]:
        """The graph as data, or what the constructor of a subclass was given."""
        if self._graph is None or type(self).__init__ is not Model.__init__:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **symbolic.graph_config(*self._graph)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of which these are the data."""
        if "input_layers" not in config:
            return super().from_config(config)
        inputs, outputs = symbolic.graph_from_config(config, custom_objects)
        return cls(inputs, outputs, name=config.get("name"), trainable=config.get("trainable", True))

    def to_json(self, **keywords: Any) -> str:
        """The layers without their weights, as JSON; `model_from_json` reads it."""
        import json

        return json.dumps(self.serialized(), **keywords)


def model_from_json(text: str, custom_objects: Any = None) -> Any:
    """A model, with new weights, of the layers that `to_json` told of."""
    import json

    return deserialize(json.loads(text), custom_objects)


def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None) -> Any:
    """A model of the same layers with new weights."""
    if input_tensors is not None or clone_function is not None:
        raise NotImplementedError("clone_model: input_tensors and clone_function; build the model anew instead")
    return deserialize(model.serialized(), {type(layer).__name__: type(layer) for layer in model._flatten_layers()
                                            if not type(layer).__module__.startswith("minitorch.")})


class Sequential(Model):
    """Layers one after the other. With an `Input`, or a layer that was given `input_shape`, it is built at once.

    >>> from minitorch.keras import layers
    >>> model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    >>> model.output_shape, model.count_params()
    ((None, 1), 11)
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None):
        super().__init__(name=name, trainable=trainable)
        self._start: KerasTensor | None = None
        for layer in layers or []:
            self._append(layer)
        self._rebuild()

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input."""
        return list(self._modules.values())

    def add(self, layer: Any) -> None:
        """Add a layer at the end."""
        self._append(layer)
        self._rebuild()

    def pop(self) -> Any:
        """Take the last layer away, and return it."""
        layer = self._modules.pop(next(reversed(self._modules)))
        self._rebuild()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Build all layers for inputs of this shape."""
        if input_shape is not None and self._graph is None and self._modules:
            self._start = symbolic.Input(batch_shape=(None, *tuple(input_shape)[1:]))
            self._rebuild()

    def call(self, inputs, training=None, mask=None):
        for layer in self._modules.values():
            inputs = layer(inputs)
        return inputs

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if not self.built and args and not isinstance(args[0], KerasTensor):
            first = self._as_input(args[0])
            super().__call__(first, **keywords)  # builds each layer
            self._start = symbolic.Input(batch_shape=(None, *first.shape[1:]), dtype=first.dtype)
            self._rebuild()
        return super().__call__(*args, **keywords)

    def get_config(self) -> dict[str, Any]:
        """The layers as data, first the input where it is known."""
        if type(self).__init__ is not Sequential.__init__:
            return super().get_config()
        first = [] if self._start is None else [_input_layer(self._start)]
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype,
                "layers": [serialize(layer) for layer in [*first, *self.layers]],
                "build_input_shape": None if self._start is None else list(self._start.shape)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of which these are the data."""
        if "layers" not in config:
            return super().from_config(config)
        model = cls(deserialize(config["layers"], custom_objects), name=config.get("name"))
        if config.get("build_input_shape") and not model.built:
            model.build(config["build_input_shape"])
        return model

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor):
            self._start = layer
        elif isinstance(layer, InputLayer):
            self._start = symbolic.Input(batch_shape=layer._given_shape, dtype=layer.dtype, name=layer.name)
        elif isinstance(layer, Layer):
            if any(layer.name == other for other in self._modules):
                raise ValueError("All layers added to a Sequential model should have unique names. Name "
                                 f"'{layer.name}' is already the name of a layer in this model.")
            if self._start is None and not self._modules:
                if layer._given_shape is not None:
                    self._start = symbolic.Input(batch_shape=layer._given_shape)
                elif isinstance(layer, Model) and layer.inputs:
                    self._start = symbolic.Input(batch_shape=layer.input_shape)
            self._modules[layer.name.replace(".", "_")] = layer
        else:
            raise ValueError(f"Only instances of `keras.Layer` can be added to a Sequential model. Received: {layer} "
                             f"(of type {type(layer)})")

    def _rebuild(self) -> None:
        self._graph, self.built = None, False
        if self._start is not None and self._modules:
            x: Any = self._start
            for layer in self._modules.values():
                layer.__dict__.pop("_node", None)
                x = layer(x)
            self._graph = symbolic.steps([self._start], backend.flatten(x)), self._start, x
            self.built = True


def _input_layer(x: KerasTensor) -> InputLayer:
    return InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name)


def _shape_of(x: Any) -> Any:
    return x.shape if isinstance(x, KerasTensor) else [each.shape for each in backend.flatten(x)]


def _in_order(given: Any, inputs: Any) -> list[Any]:
    """The values for the inputs of a graph, which may come in a dict by name. Raises ValueError for a wrong number."""
    names = [x.name for x in backend.flatten(given)]
    if isinstance(inputs, dict):
        keys = list(given) if isinstance(given, dict) else names
        if missing := [key for key in keys if key not in inputs]:
            raise ValueError(f"Model: missing the inputs {missing}, got {list(inputs)}")
        return [inputs[key] for key in keys]
    values = backend.flatten(inputs)
    if len(values) != len(names):
        raise ValueError(f"Model: expected {len(names)} inputs ({', '.join(names)}), got {len(values)}")
    return values


__getattr__ = absent_from("keras.models", lambda: globals())
