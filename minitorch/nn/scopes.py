"""Which module runs: for tools that put what they see under the name of a layer."""
from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

from .hooks import register_module_forward_hook, register_module_forward_pre_hook


class Scopes:
    """Within a `with` block, `path` is the name of the innermost module whose forward runs, "" outside of all.

    A module is named after the first called of those that hold it, and that one after its class. Derived
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
        self._running = threading.local()

    @property
    def open(self) -> list[str]:
        """The names of the modules that run on this thread, outermost first."""
        if not hasattr(self._running, "names"):
            self._running.names = []
        return self._running.names

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
        if module not in self.names:
            top = type(module).__name__
            for name, part in module.named_modules():  # all at once: a ModuleList is never called, its modules are
                self.names.setdefault(part, f"{top}.{name}".rstrip("."))
        self.open.append(self.names[module])
        self.entered(module, inputs)

    def _leave(self, module: Any, inputs: tuple, output: Any) -> None:
        if self.open:
            self.left(module, output)
            self.open.pop()
