"""What a function can change: the models, optimizers, schedulers and tensors that it reaches, and putting them back."""
from __future__ import annotations

import copy
import functools
import os
import random
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..nn import Module
from ..ops.random import Generator, default_generator
from ..optim import Optimizer
from ..tensor import Tensor

DEPTH = 6  # containers and objects within one another
_OURS = ("minitorch", "minitorch_kernels", "numpy", "builtins")
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = (_HOME, *(os.path.dirname(os.path.abspath(str(m.__file__))) + os.sep for m in (table, np)))
_EXAMPLES = os.path.join(_HOME, "examples", "")


class State:
    """The models, optimizers, tensors, generators and others with a `state_dict` that can be reached from `roots`.

    From a function they are reached by its closure, its defaults and the globals that its code names. As a context
    manager it puts all of them back at the end, with the states of the random generators.

    >>> import minitorch as mt
    >>> w = mt.ones(2)
    >>> with State(lambda: w):
    ...     w = w.add_(1)
    >>> w
    tensor([1., 1.])
    """

    def __init__(self, *roots: Any):
        self.modules: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.tensors: dict[str, Tensor] = {}
        self.generators: list[Generator] = [default_generator]
        self.others: list[Any] = []  # schedulers, scalers: what has a state_dict
        self._seen: set[int] = set()
        self._held: list[Any] = []  # so that no identity is used again
        for root in roots:
            self._visit(root, "", 0)
        self.names: dict[int, str] = {}  # of each tensor, by its identity
        for name, t in self._all():
            self.names.setdefault(id(t), name)

    # Finding

    def module_names(self) -> dict[Module, str]:
        """The names of the modules and of all that are in them."""
        names: dict[Module, str] = {}
        for top, module in self.modules.items():
            for name, part in module.named_modules():
                names.setdefault(part, f"{top}.{name}" if name else top)
        return names

    def _all(self) -> Iterator[tuple[str, Tensor]]:
        for name, module in self.modules.items():
            head = f"{name}." if name else ""
            for own, t in [*module.named_parameters(), *module.named_buffers()]:
                yield head + own, t
        yield from self.tensors.items()
        for name, optimizer in self.optimizers.items():
            for i, p in enumerate([p for group in optimizer.param_groups for p in group["params"]]):
                yield f"{name}[{i}]", p

    def _visit(self, value: Any, name: str, depth: int) -> None:
        if id(value) in self._seen or depth > DEPTH or value is None or isinstance(value, (int, float, str, bytes)):
            return
        self._seen.add(id(value))
        self._held.append(value)
        if isinstance(value, Module):
            self.modules[self._free(self.modules, name or type(value).__name__)] = value
        elif isinstance(value, Optimizer):
            self.optimizers[self._free(self.optimizers, name or "optimizer")] = value
        elif isinstance(value, Tensor):
            self.tensors[self._free(self.tensors, name or "tensor")] = value
        elif isinstance(value, Generator):
            self.generators.append(value)
        elif isinstance(value, dict):
            for key, v in list(value.items()):
                self._visit(v, f"{name}[{key!r}]", depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for i, v in enumerate(value):
                self._visit(v, f"{name}[{i}]" if name else f"input{i}", depth + 1)
        elif isinstance(value, types.FunctionType):
            self._function(value, depth)
        elif isinstance(value, types.MethodType):
            self._visit(value.__self__, "", depth)
            self._visit(value.__func__, "", depth)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._visit(part, "", depth + 1)
        elif callable(getattr(value, "load_state_dict", None)) and not isinstance(value, type):
            self.others.append(value)
            self._visit(getattr(value, "optimizer", None), "", depth + 1)
        elif hasattr(value, "uncompiled"):
            self._visit(value.uncompiled, name, depth + 1)
        elif not isinstance(value, (type, types.ModuleType)) and isinstance(getattr(value, "__dict__", None), dict) \
                and (type(value).__module__.partition(".")[0] not in _OURS or
                     type(value).__module__.startswith("minitorch.examples.")):
            for key, v in list(vars(value).items()):
                self._visit(v, f"{name}.{key}" if name else key, depth + 1)

    def _function(self, function: types.FunctionType, depth: int) -> None:
        ours = _of_a_library(function.__code__.co_filename)
        if ours and not function.__closure__:
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            try:
                self._visit(cell.cell_contents, name, depth + 1)
            except ValueError:  # not bound yet
                continue
        self._visit(function.__defaults__, "", depth + 1)
        self._visit(function.__kwdefaults__, "", depth + 1)
        if not ours:
            for name in sorted(_global_names(function.__code__) & function.__globals__.keys()):
                self._visit(function.__globals__[name], name, depth + 1)

    @staticmethod
    def _free(names: dict, name: str) -> str:
        number, free = 1, name
        while free in names:
            number += 1
            free = f"{name}#{number}"
        return free

    # Keeping and putting back

    def __enter__(self) -> State:
        self._kept = [_Kept(t) for t in {id(t): t for _, t in self._all()}.values()]
        self._steps = [_KeptOptimizer(optimizer) for optimizer in self.optimizers.values()]
        self._dicts = [copy.deepcopy(other.state_dict()) for other in self.others]
        self._draws = [generator.source.get_state() for generator in self.generators]
        self._training = [(part, part.training) for module in self.modules.values() for part in module.modules()]
        self._python = random.getstate(), np.random.get_state()
        return self

    def __exit__(self, *exception: Any) -> None:
        for kept in self._kept:
            kept.restore()
        for steps in self._steps:
            steps.restore()
        for module, training in self._training:
            module.__dict__["training"] = training
        for other, state in zip(self.others, self._dicts):
            other.load_state_dict(state)
        for generator, draws in zip(self.generators, self._draws):
            generator.source.set_state(draws)
        random.setstate(self._python[0])
        np.random.set_state(self._python[1])


class _Kept:
    """A tensor's values and gradient."""

    def __init__(self, t: Tensor):
        self.t, self.array, self.node, self.requires = t, t._array, t._node, t._requires_grad
        self.values = t._array.copy()
        self.grad = t._grad
        self.grad_values = None if self.grad is None or self.grad.is_sparse else self.grad._array.copy()
        self.version = None if t._counter is None else t._counter[0]

    def restore(self) -> None:
        t = self.t
        t._array, t._node, t._requires_grad, t._grad = self.array, self.node, self.requires, self.grad
        if getattr(self.array.flags, "writeable", True):
            self.array[...] = self.values
        if self.grad_values is not None:
            self.grad._array[...] = self.grad_values  # type: ignore[union-attr]
        if t._counter is not None:
            t._counter[0] = self.version or 0


class _KeptOptimizer:
    """An optimizer's options and state."""

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self.groups = [{**group, "params": list(group["params"])} for group in optimizer.param_groups]
        self.state = {p: {key: (v, _Kept(v) if isinstance(v, Tensor) else copy.deepcopy(v)) for key, v in own.items()}
                      for p, own in optimizer.state.items()}

    def restore(self) -> None:
        for group, before in zip(self.optimizer.param_groups, self.groups):
            group.clear()
            group.update(before)
        self.optimizer.state.clear()
        self.optimizer._lists.clear()
        for p, own in self.state.items():
            for key, (value, kept) in own.items():
                if isinstance(kept, _Kept):
                    kept.restore()
                self.optimizer.state[p][key] = value if isinstance(kept, _Kept) else kept


def _of_a_library(path: str) -> bool:
    """Whether code is minitorch's own or NumPy's, and no program: as such the examples count."""
    return path.startswith(_LIBRARIES) and not path.startswith(_EXAMPLES)


def _global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names
