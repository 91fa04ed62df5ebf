"""`compile`: a function of tensors is recorded, and from then on replayed without tensors, graph or engine."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .. import engine
from ..engine import mode

RECORDINGS = 8  # forms of one function that are kept
ATTEMPTS = 32  # recordings in all, after which a function runs eagerly for good


# "minitorch" is the one that there is; the others are PyTorch's names, which programs pass
BACKENDS = ("minitorch", "inductor", "eager", "aot_eager", "cudagraphs", "onnxrt", "openxla", "tvm", "ipex")


class InvalidBackend(RuntimeError):
    """A backend that there is not."""


class Unsupported(RuntimeError):
    """With fullgraph=True: what in the function cannot be replayed."""


def compile(model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "inductor",
            mode: str | None = None, options: dict | None = None, name: str | None = None, disable: bool = False,
            recompile_limit: int | None = None) -> Any:
    """Make calls of a training step, a forward function or a Module quicker: recorded twice, then replayed.

    A step may contain everything: `zero_grad`, forward, `backward`, clipping, the optimizer's and a scheduler's step.
    With tensors on a GPU the recording is a CUDA graph of forward, backward and the optimizer's step (graphed.py).
    The results are those of the eager run, on the same objects: parameters, gradients, buffers, optimizer state,
    random numbers. Other shapes, types, flags, Python values make a new recording. Where a replay could go wrong
    (values decide what happens, hooks, effects on Python objects) the function runs eagerly, with one warning;
    `compiled.explain()` tells the reasons, `fullgraph` raises `Unsupported` instead. With the backend
    "eager" functions run as they are. `dynamic`, other backends that PyTorch has, `mode`, `options`, `name` and
    `recompile_limit` are accepted for PyTorch's sake. Raises InvalidBackend for a name that is none.

    >>> import minitorch as mt
    >>> @mt.compile
    ... def f(x, w):
    ...     return (x @ w).relu().sum()
    >>> x, w = mt.ones(2, 3), mt.ones(3, 4)
    >>> [f(x, w).item() for _ in range(3)]
    [24.0, 24.0, 24.0]
    >>> print(f.explain())
    f: 1 recording, 1 replay
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
                                 options=options, name=name, disable=disable, recompile_limit=recompile_limit)
    if not callable(model):
        raise TypeError(f"compile: expects a function or a Module, got {type(model).__name__}")
    if isinstance(backend, str) and backend not in BACKENDS:
        raise InvalidBackend(f"Invalid backend: {backend!r}; there are {', '.join(BACKENDS)}")
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if disable or backend == "eager":
        return model
    from ..nn import Module

    if isinstance(model, Module):
        return _compiled_module(model, fullgraph)
    compiled = Compiled(model, fullgraph)
    return functools.update_wrapper(compiled, model, updated=())


stance = "default"  # what `compiler.set_stance` has set


class Compiled:
    """A function with its recordings."""

    def __init__(self, uncompiled: Callable, fullgraph: bool = False):
        self.uncompiled, self.fullgraph = uncompiled, fullgraph
        self.reset()

    def reset(self) -> None:
        """Forget all recordings."""
        self.recordings: list[Any] = []
        self.reasons: list[str] = []
        self.replays = 0
        self._pending: dict[Any, Any] = {}
        self._eager: set[Any] = set()
        self._attempts = 0
        self.on_gpu = False  # whether calls work with tensors on a GPU, and are captured as CUDA graphs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if engine.profiling is not None and engine.profiling.sees_replays:
            return engine.profiling.compiled(self, args, kwargs)
        if mode.recorder is None and stance != "force_eager":
            for recording in self.recordings:
                tensors = recording.match(args, kwargs)
                if tensors is not None:
                    self.replays += 1
                    return recording.run(*tensors)
            if self._attempts < ATTEMPTS and len(self.recordings) < RECORDINGS and stance != "eager_on_recompile":
                return self._record(args, kwargs)
        return self.uncompiled(*args, **kwargs)

    def recorded(self, args: tuple, kwargs: dict) -> tuple[Any, list] | None:
        """For a profiler, which replays by itself: the recording that is right for a call, and its tensors."""
        if mode.recorder is None and stance != "force_eager":
            for recording in self.recordings:
                tensors = recording.match(args, kwargs)
                if tensors is not None and hasattr(recording, "program"):  # not a graph, which shows no kernels
                    self.replays += 1
                    return recording, tensors
        return None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a decorated method: recordings an instance."""
        if instance is None:
            return self
        bound = Compiled(self.uncompiled.__get__(instance, owner), self.fullgraph)
        name = getattr(self.uncompiled, "__name__", None)
        if name is not None and hasattr(instance, "__dict__"):
            instance.__dict__.setdefault(name, bound)
        return bound

    def __reduce__(self) -> tuple:
        """Copies and pickles start without recordings: those belong to the objects that were recorded."""
        return Compiled, (self.uncompiled, self.fullgraph)

    def __getattr__(self, name: str) -> Any:
        if name == "uncompiled" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.uncompiled, name)

    def explain(self) -> str:
        """How many recordings and replays there were, and each reason for running eagerly."""
        name = getattr(self.uncompiled, "__name__", type(self.uncompiled).__name__)
        n, m = len(self.recordings), self.replays
        lines = [f"{name}: {n} recording{'s' * (n != 1)}, {m} replay{'s' * (m != 1)}"]
        return "\n".join([*lines, *(f"eager: {reason}" for reason in self.reasons)])

    def _record(self, args: tuple, kwargs: dict) -> Any:
        from .record import record

        return record(self, args, kwargs)

    def refused(self, reason: str) -> None:
        """Remember why calls run eagerly; warn of the first reason."""
        if reason in self.reasons:
            return
        self.reasons.append(reason)
        if self.fullgraph:
            raise Unsupported(reason)
        if len(self.reasons) == 1:
            name = getattr(self.uncompiled, "__name__", type(self.uncompiled).__name__)
            level = 5 + hasattr(self.uncompiled, "_modules")  # a module's call has a frame more
            warnings.warn(f"compile: {name} runs eagerly: {reason}", stacklevel=level)


def _compiled_module(module: Any, fullgraph: bool) -> Any:
    """An object of the module's type, with the module's own attributes, whose calls are compiled."""
    kind, compiled = type(module), Compiled(module, fullgraph)
    twin: Any = object.__new__(type(kind.__name__, (kind,), {
        "__module__": kind.__module__, "__doc__": kind.__doc__,
        "__call__": lambda self, *args, **kwargs: compiled(*args, **kwargs),
        "__reduce_ex__": lambda self, protocol: (_compiled_module, (module, fullgraph)),
        "_orig_mod": property(lambda self: module), "compiled": property(lambda self: compiled),
        "explain": lambda self: compiled.explain()}))
    object.__setattr__(twin, "__dict__", module.__dict__)
    return twin


__all__ = ["Compiled", "Unsupported", "compile"]
