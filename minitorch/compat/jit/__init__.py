"""TorchScript's names: functions and modules given to `script` and `trace` run as the Python that they are."""
from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import Any, Final, TypeVar

from minitorch.engine import no_grad
from minitorch.errors import NoAttributeError
from minitorch.nn import Module
from minitorch.tensor import Tensor

T = TypeVar("T")
Error = type("Error", (RuntimeError,), {"__doc__": "What a script raised; here errors are Python's own.",
                                       "__module__": "torch.jit"})


class ScriptModule(Module):
    """The base of scripted modules; as a base class of one's own, a Module."""

    def save(self, f: Any, **options: Any) -> None:
        """Raises NotImplementedError: TorchScript's files are not written."""
        raise _no_files("save")

    @property
    def code(self) -> str:
        """The source of `forward`."""
        return inspect.getsource(type(self).forward)

    @property
    def original_name(self) -> str:
        """The name of the class."""
        return type(self).__name__


RecursiveScriptModule = TracedModule = TopLevelTracedModule = ScriptModule


class ScriptFunction:
    """A scripted function: the function itself, with the names that TorchScript adds."""

    def __init__(self, function: Callable):
        self._function = function
        self.__name__, self.__doc__ = getattr(function, "__name__", "function"), function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self._function.__get__(instance, owner)

    @property
    def code(self) -> str:
        """Its source."""
        return inspect.getsource(self._function)

    @property
    def name(self) -> str:
        return self.__name__

    def save(self, f: Any, **options: Any) -> None:
        """Raises NotImplementedError: TorchScript's files are not written."""
        raise _no_files("save")


def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """A function, Module or class, to be run as Python. Modules share everything with the original.

    >>> @script
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """
    if isinstance(obj, (ScriptModule, ScriptFunction, type)):
        return obj
    if isinstance(obj, Module):
        return _twin(obj)
    if not callable(obj):
        raise TypeError(f"script: expects a function, a Module or a class, got {type(obj).__name__}")
    return ScriptFunction(obj)


def trace(func: Any, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True,
          check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True, _force_outplace: bool = False,
          _module_class: Any = None, _compilation_unit: Any = None, example_kwarg_inputs: dict | None = None,
          _store_inputs: bool = True) -> Any:
    """A function or Module after a run with `example_inputs`, which shows that it takes them. What depends on values
    stays Python, and is decided anew at each call."""
    inputs = () if example_inputs is None else \
        (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    with no_grad():
        func(*copy.deepcopy([x.detach() if isinstance(x, Tensor) else x for x in inputs]),
             **(example_kwarg_inputs or {}))
    return script(func)


def trace_module(mod: Module, inputs: dict[str, Any], **options: Any) -> Module:
    """The same for methods by name."""
    with no_grad():
        for name, values in inputs.items():
            getattr(mod, name)(*(values if isinstance(values, tuple) else (values,)))
    return script(mod)


def _twin(module: Module) -> Module:
    """An object with the module's own attributes, whose type is its type and ScriptModule."""
    kind = type(module)
    twin: Any = object.__new__(type(kind.__name__, (kind, ScriptModule), {"__module__": kind.__module__,
                                                                     "__doc__": kind.__doc__}))
    object.__setattr__(twin, "__dict__", module.__dict__)
    return twin


# Decorators and annotations: what they mark is Python anyway

def ignore(drop: Any = False, **options: Any) -> Any:
    """The function itself; also as `ignore(drop=True)`."""
    return drop if callable(drop) else lambda fn: fn


def unused(fn: T) -> T:
    """The function itself."""
    return fn


export = script_method = script_if_tracing = interface = unused


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


def isinstance_(obj: Any, target_type: Any) -> bool:
    """`isinstance`."""
    return isinstance(obj, target_type)


class Attribute:
    """A value with its type."""

    def __init__(self, value: Any, type: Any):
        self.value, self.type = value, type


def is_scripting() -> bool:
    """False: everything runs as Python."""
    return False


def is_tracing() -> bool:
    """False: everything runs as Python."""
    return False


def freeze(mod: Module, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Module:
    """The module itself. Raises RuntimeError in training mode, as PyTorch does."""
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on "
                           "your module before freezing.")
    return script(mod)


def optimize_for_inference(mod: Module, other_methods: Any = None) -> Module:
    """The module itself."""
    return script(mod)


def fork(func: Callable, *args: Any, **kwargs: Any) -> Any:
    """A future with the result, computed at once."""
    from concurrent.futures import Future

    future: Future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Any) -> Any:
    """The result of `fork`."""
    return future.result()


@contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """Accepted around a block."""
    yield


def fuser(name: str) -> Any:
    """Accepted around a block."""
    return nullcontext()


def enable_onednn_fusion(enabled: bool) -> None:
    """Nothing: oneDNN is not used."""


def set_fusion_strategy(strategy: Any) -> Any:
    """Nothing: `minitorch.compile` fuses."""
    return strategy


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Raises NotImplementedError: TorchScript's files are not written."""
    raise _no_files("save")


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Raises NotImplementedError: TorchScript's files hold code of a language that is not here."""
    raise _no_files("load")


def _no_files(name: str) -> NotImplementedError:
    return NotImplementedError(f"jit.{name}: files of TorchScript code are neither written nor read here; save the "
                               "state_dict with minitorch.save and load it into the model's class")


def __getattr__(name: str) -> Any:
    if name == "isinstance":
        return isinstance_
    if name == "annotations":
        return importlib.import_module(f"{__name__}.annotations")
    raise NoAttributeError(f"module 'torch.jit' has no attribute '{name}'", name, lambda: globals())


__all__ = ["Attribute", "Error", "Final", "ScriptFunction", "ScriptModule", "annotate", "export", "fork", "freeze",
           "ignore", "is_scripting", "is_tracing", "load", "optimize_for_inference", "save", "script",
           "script_method", "trace", "trace_module", "unused", "wait"]
