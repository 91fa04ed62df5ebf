"""Objects as plain data, which files of models hold, and back: `serialize`, `deserialize`, a program's classes.

The data are those of Keras 3: {"module", "class_name", "config", "registered_name"}, the config being what the
constructor is given. Nothing that is read is imported or run: classes come from here, or from the program by name.
"""
from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import nearest
from ..ops.values import from_numpy
from ..tensor import Tensor
from .backend import lookup

_registered: dict[str, Any] = {}  # "package>name": a class or function of the program
_scoped: dict[str, Any] = {}      # by plain name, within custom_object_scope
_HOMES = ("layers", "models", "optimizers.schedules", "optimizers", "losses", "metrics", "initializers",
          "regularizers")
# what Keras writes and has no counterpart here, with the only values that mean nothing
_MEANINGLESS = {"ema_momentum": 0.99, "data_format": "channels_last", "implementation": 2, "auto_scale_loss": True,
                "synchronized": False, "renorm_momentum": 0.99, "lora_alpha": None, "gate_granularity": None}


class Configured:
    """Remembers what its constructor is given, so that `get_config` needs no code in a subclass."""

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        self = super().__new__(cls)
        self.__dict__["_given"] = args, keywords
        return self

    def get_config(self) -> dict[str, Any]:
        """What the constructor was given, with its defaults, as plain data."""
        return constructed_with(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An object that is made as `config` says. Raises TypeError for what the constructor does not know."""
        values = {key: deserialize(value) for key, value in config.items()}
        known = _parameters(cls)  # type: ignore[arg-type]
        left = {key: values.pop(key) for key in list(values) if key not in known}
        for key, value in left.items():
            if key not in ("name", "trainable", "dtype") and value not in (None, False) \
                    and not (key in _MEANINGLESS and _MEANINGLESS[key] == value):
                raise TypeError(f"{cls.__name__}: does not know {key}={value!r}{nearest(key, known)}")
        made = cls(**values)
        if left.get("name") and hasattr(made, "name"):
            made.name = left["name"]
        return made


def constructed_with(x: Any) -> dict[str, Any]:
    """The arguments of x's constructor by name. Raises NotImplementedError where they have none, or are no data."""
    args, keywords = x.__dict__["_given"]
    signature = _signature(type(x))  # type: ignore[arg-type]
    bound = signature.bind(x, *args, **keywords)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL and value:
            raise NotImplementedError(f"{type(x).__name__}: define get_config(), since *{name} have no names")
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = value
    try:
        return {key: serialize(value) for key, value in found.items()}
    except TypeError as error:
        raise NotImplementedError(f"{type(x).__name__}: define get_config(): {error}") from None


def constructor(init: Callable[[Any, dict[str, Any]], None], /, more: bool = False, **defaults: Any) -> Any:
    """An `__init__` whose arguments and defaults are a table: it calls init(self, values by name).

    `...` stands for an argument without default; what else is given comes in values["keywords"] if `more`.
    """
    kind, needed = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    rest = [inspect.Parameter("keywords", inspect.Parameter.VAR_KEYWORD)] if more else []
    signature = inspect.Signature([inspect.Parameter("self", kind), *[
        inspect.Parameter(name, kind, default=needed if value is ... else value) for name, value in defaults.items()],
        *rest])

    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        try:
            bound = signature.bind(self, *args, **keywords)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}.__init__() {error}; it takes {', '.join(defaults)}") from None
        bound.apply_defaults()
        init(self, dict(list(bound.arguments.items())[1:]))

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def serialize(x: Any) -> Any:
    """x as data that JSON can hold. Raises TypeError for what is not known."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (list, tuple)):
        return [serialize(part) for part in x]
    if isinstance(x, dict):
        return {str(key): serialize(value) for key, value in x.items()}
    if isinstance(x, (np.ndarray, Tensor)):
        array = x.numpy(force=True) if isinstance(x, Tensor) else x
        return {"class_name": "__tensor__" if isinstance(x, Tensor) else "__numpy__",
                "config": {"value": array.tolist(), "dtype": str(array.dtype)}}
    if isinstance(x, slice):
        return {"class_name": "__slice__", "config": {"start": x.start, "stop": x.stop, "step": x.step}}
    if isinstance(x, dtypes.dtype):
        return str(x)[6:]
    if hasattr(x, "get_config"):
        return x.serialized() if hasattr(x, "serialized") else described(x)
    if isinstance(x, type):
        return {"module": None, "class_name": "type", "config": x.__name__, "registered_name": registered_name(x)}
    if callable(x):
        name = getattr(x, "__name__", "")
        if name == "<lambda>" or not name:
            raise TypeError(f"{x!r} has no name to find it by when the file is read; use a function that is "
                            "decorated with keras.saving.register_keras_serializable()")
        if _is_ours(x):
            return name
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": registered_name(x)}
    raise TypeError(f"{type(x).__name__} {x!r} cannot be written as data")


def described(x: Any) -> dict[str, Any]:
    """The data of an object that has a `get_config`."""
    kind = type(x)
    ours = _is_ours(kind)
    home = kind.__module__.replace("minitorch.keras", "keras") if ours else None
    if ours and home != "keras.optimizers.schedules":
        home = "keras" if home in ("keras.models", "keras.symbolic") else ".".join(str(home).split(".")[:2])
    return {"module": home, "class_name": kind.__name__, "config": x.get_config(),
            "registered_name": None if ours else registered_name(kind)}


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """What `serialize` made data of; other things as they are.

    Raises TypeError for a class that is not known, and ValueError for code in the data.
    """
    if custom_objects:
        with custom_object_scope(custom_objects):
            return deserialize(config)
    if isinstance(config, (list, tuple)):
        return [deserialize(part) for part in config]
    if not isinstance(config, dict):
        return config
    if not isinstance(config.get("class_name"), str) or ("config" not in config and "items" not in config):
        return {key: deserialize(value) for key, value in config.items()}
    name, inner = config["class_name"], config.get("config")
    if name in _PLAIN:
        return _PLAIN[name](config.get("items") if name == "__tuple__" else inner)
    if name in ("function", "type"):
        return _found(str(inner), config.get("registered_name"), "", name)
    inner = dict(inner) if inner else {}
    if isinstance(inner.get("dtype"), dict):  # a policy: its name says all
        inner["dtype"] = deserialize(inner["dtype"])
    module = config.get("module") or ""
    if ".ops." in module:
        from .ops import Operation

        return Operation.of(name, inner)
    made = _found(name, config.get("registered_name"), module, "class").from_config(inner)
    shape = (config.get("build_config") or {}).get("input_shape")
    if shape and hasattr(made, "build_from_config") and not made.built and module is not None:
        made.build_from_config(config["build_config"])
    return made


def getter(kind: str, table: Mapping[str, Any], instances: tuple | type = ()) -> Callable[[Any], Any]:
    """The `get` of a module, which also takes the data of an object, or one of these `instances`."""
    def get(identifier: Any) -> Any:
        """What a name stands for, or the thing itself. Raises ValueError for an unknown name."""
        identifier = deserialize(identifier)
        return identifier if isinstance(identifier, instances) else lookup(kind, identifier, table)

    return get


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Lets files name a class or function of the program: `@register_keras_serializable()` above it."""
    def register(x: Any) -> Any:
        key = f"{package}>{name or x.__name__}"
        _registered[key] = x
        return x

    return register


def registered_name(x: Any) -> str:
    """The name that files have for a class or function of the program."""
    return next((key for key, value in _registered.items() if value is x), x.__name__)


def get_registered_object(name: str, custom_objects: Any = None, module_objects: Any = None) -> Any:
    """What was registered by this name, or None."""
    return {**(module_objects or {}), **_registered, **_scoped, **(custom_objects or {})}.get(name)


def get_custom_objects() -> dict[str, Any]:
    """The classes and functions of the program by name; what is written here stays."""
    return _scoped


@contextmanager
def custom_object_scope(objects: dict[str, Any]) -> Iterator[None]:
    """Within the block these classes and functions are found by their names."""
    before = dict(_scoped)
    _scoped.update(objects)
    try:
        yield
    finally:
        _scoped.clear()
        _scoped.update(before)


def _found(name: str, registered: str | None, module: str, what: str) -> Any:
    for key in (registered, name):
        found = get_registered_object(key or "")
        if found is not None:
            return found
    if name == "Functional":
        name = "Model"
    homes = [*_HOMES, "activations"] if what == "function" else _HOMES
    for home in sorted(homes, key=lambda h: h not in module):  # a loss and a metric may have the same name
        members = vars(importlib.import_module(f"{__package__}.{home}"))
        if not module or module.startswith(("keras", "tf_keras", "tensorflow")):
            found = members.get(name)
            if callable(found) and not name.startswith("_"):
                return found
    raise TypeError(f"Could not locate {what} '{name}'. Decorate it with @keras.saving.register_keras_serializable(), "
                    f"or hand it in: custom_objects={{'{name}': {name}}}")


def _refused(inner: Any) -> Any:
    raise ValueError("the file holds a Python lambda as code, which is not run; write the layer's function with a name "
                     "and register it")


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "__tuple__": lambda items: tuple(deserialize(items)), "__slice__": lambda c: slice(*map(
        deserialize, (c["start"], c["stop"], c["step"]))),
    "__numpy__": lambda c: np.array(c["value"], c["dtype"]), "__ellipsis__": lambda c: ...,
    "__tensor__": lambda c: from_numpy(np.array(c["value"], c["dtype"])),
    "DTypePolicy": lambda c: c["name"], "__lambda__": _refused}


def _is_ours(x: Any) -> bool:
    return str(getattr(x, "__module__", "")).startswith(__package__)


@cache
def _signature(kind: type) -> inspect.Signature:
    return inspect.signature(kind.__init__)  # type: ignore[misc]


@cache
def _parameters(kind: type) -> frozenset[str]:
    """The names that the constructor takes, through **keywords those of the base classes' too."""
    names: set[str] = set(getattr(kind, "_options", ()))
    for each in kind.__mro__:
        if "__init__" not in vars(each) or each is object:
            continue
        parameters = list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]
        names.update(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names)
