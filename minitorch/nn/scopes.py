"""Which module runs: for tools that put what they see under the name of a layer."""
from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from .hooks import register_module_forward_hook, register_module_forward_pre_hook


class Scopes:
    """Within a `with` block, `path` is the name of the innermost module whose forward runs, "" outside of all.

    A module is named after the one that called first of those that hold it, which is named after its class. Derived
    classes may do more in `entered` and `left`. `names` are names that are known beforehand.

    >>> from minitorch import nn, ones
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> class Shown(Scopes):
    ...     def entered(self, module, inputs):
    ...         print(self.path)
    >>> with Shown():
    ...     y = net(ones(1, 2))
    Sequential
    Sequential.0
    Sequential.1
    """

    def __init__(self, names: dict[Any, str] | None = None):
        self.names: WeakKeyDictionary = WeakKeyDictionary(names or {})
        self.open: list[str] = []  # the names of the modules that run, outermost first

    @property
    def path(self) -> str:
        return self.open[-1] if self.open else ""

    def entered(self, module: Any, inputs: tuple) -> None:
        """Called when a module has become the innermost one."""

    def left(self, module: Any, output: Any) -> None:
        """Called while it still is; `output` is None where its forward raised."""

    def __enter__(self) -> Any:
        self._handles = [register_module_forward_pre_hook(self._enter),
                         register_module_forward_hook(self._leave, always_call=True)]
        return self

    def __exit__(self, *exception: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self.open.clear()

    def _enter(self, module: Any, inputs: tuple) -> None:
        name = self.names.setdefault(module, type(module).__name__)
        for own, child in module.named_children():
            self.names.setdefault(child, f"{name}.{own}")
        self.open.append(name)
        self.entered(module, inputs)

    def _leave(self, module: Any, inputs: tuple, output: Any) -> None:
        if self.open:
            self.left(module, output)
            self.open.pop()
