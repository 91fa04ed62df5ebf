"""The graph from outside: nodes, hooks on several tensors at once, hooks on the values that are kept for backward."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..engine import Node, Output, mode
from ..nodes import shown
from ..tensor import Handle, Tensor, edge_of

__all__ = ["GradientEdge", "Node", "get_gradient_edge", "increment_version", "register_multi_grad_hook",
           "save_on_cpu", "saved_tensors_hooks"]


class GradientEdge(NamedTuple):
    """A place in the graph: a node, and which of its outputs."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` is computed. Raises RuntimeError where it needs none."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    edge = edge_of(tensor)
    node = edge if isinstance(edge, Tensor) else shown(edge)
    return GradientEdge(node, edge.index if type(edge) is Output else 0)


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Say that memory was changed by something that the framework did not see."""
    for t in [tensor] if isinstance(tensor, Tensor) else tensor:
        t._bump()


class saved_tensors_hooks:
    """Within the block, `pack(tensor)` is kept for backward in the place of each saved tensor; `unpack` gives it back.

    >>> import minitorch as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> kept = []
    >>> with saved_tensors_hooks(lambda t: kept.append(t) or len(kept) - 1, lambda i: kept[i]):
    ...     y = (x ** 2).sum()
    >>> y.backward(), x.grad
    (None, tensor([2., 4.]))
    """

    def __init__(self, pack_hook: Callable, unpack_hook: Callable):
        self._saving = _Saving(pack_hook, unpack_hook)
        self._before: list = []

    def __enter__(self) -> None:
        self._before.append(mode.saving)
        mode.saving = self._saving

    def __exit__(self, *exception: Any) -> None:
        mode.saving = self._before.pop()


class save_on_cpu(saved_tensors_hooks):
    """Within the block, what is saved for backward is kept in the CPU's memory, and moved back when it is needed."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Any:
    """Within the block `saved_tensors_hooks` raise RuntimeError where they would be asked."""
    def refuse(*_):
        raise RuntimeError(error_message)

    with saved_tensors_hooks(refuse, refuse):
        yield


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> Handle:
    """Call `fn` in backward: with the list of all gradients, once all are there, or ("any") with the first."""
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: Expects mode to be one of ('all', 'any') but got {mode}")
    grads: list = [None] * len(tensors)
    state = {"count": 0}

    def hook_of(i: int) -> Callable:
        def hook(grad: Tensor) -> None:
            state["count"] += 1
            grads[i] = grad
            if mode == "any" and state["count"] == 1:
                fn(grad)
            last = state["count"] == sum(t.requires_grad for t in tensors)
            if last:
                result, grads[:] = list(grads), [None] * len(tensors)
                state["count"] = 0
                if mode == "all":
                    fn(result)
        return hook

    handles = [t.register_hook(hook_of(i)) for i, t in enumerate(tensors) if t.requires_grad]
    return _Handles(handles)


class _Handles(Handle):
    """Several handles as one."""

    def __init__(self, handles: list[Handle]):
        self.handles = handles
        self.id = handles[0].id if handles else 0

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Saving:
    """Takes the arrays out of a node's gradient functions, and puts them back when those run."""

    def __init__(self, pack: Callable, unpack: Callable):
        self.pack, self.unpack = pack, unpack

    def __call__(self, node: Node) -> None:
        packed: dict[int, _Packed] = {}
        functions = node.backward
        if type(functions) is list:
            node.backward = [f and self._replaced(f, node, packed) for f in functions]
        else:
            node.backward = self._replaced(functions, node, packed)

    def of_function(self, saved: list, node: Node) -> None:
        """The same for what a custom Function saved: (tensor, version counter, version) or None."""
        for i, entry in enumerate(saved):
            if entry is not None and isinstance(entry[0], Tensor):
                saved[i] = (_later(self, self._packed(entry[0].detach()), entry[0]), entry[1], entry[2])

    def _packed(self, t: Tensor) -> Any:
        before, mode.saving = mode.saving, None
        try:
            return self.pack(t)
        finally:
            mode.saving = before

    def _replaced(self, function: Any, node: Node, packed: dict[int, _Packed]) -> Any:
        if not isinstance(function, FunctionType) or not function.__closure__:
            return function
        keep = {name: self._taken(cell.cell_contents, node, packed)
                for name, cell in zip(function.__code__.co_freevars, function.__closure__)}
        if not any(_holds_packed(value) for value in keep.values()):
            return function
        code, names, module, defaults = function.__code__, function.__code__.co_freevars, function.__globals__, \
            function.__defaults__

        def call(*arguments):
            cells = tuple([CellType(_given_back(keep[name])) for name in names])
            made = FunctionType(code, module, code.co_name, defaults, cells)
            dy = arguments[0] if not isinstance(arguments[0], list) else next(g for g in arguments[0] if g is not None)
            return (node.op._lifted_function(node, made) if isinstance(dy, Tensor) else made)(*arguments)

        return call

    def _taken(self, value: Any, node: Node, packed: dict[int, _Packed]) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)([self._taken(v, node, packed) for v in value]) if type(value) in (list, tuple) else value
        if type(value) is not np.ndarray or value.dtype.kind not in "fcV":
            return value
        if id(value) not in packed:
            packed[id(value)] = _Packed(self, self._packed(Tensor._wrap(value)))
        return packed[id(value)]


class _Packed:
    """What `pack` returned, in the place of an array."""

    def __init__(self, saving: _Saving, kept: Any):
        self.saving, self.kept = saving, kept

    def array(self) -> Any:
        found = self.saving.unpack(self.kept)
        if not isinstance(found, Tensor):
            raise TypeError(f"saved_tensors_hooks: the unpack hook must return a Tensor, got {type(found).__name__}")
        return found._array


def _holds_packed(value: Any) -> bool:
    return any(map(_holds_packed, value)) if type(value) in (list, tuple) else isinstance(value, _Packed)


def _given_back(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)([_given_back(v) for v in value])
    return value.array() if isinstance(value, _Packed) else value


def _later(saving: _Saving, kept: Any, like: Tensor) -> Callable:
    edge = edge_of(like) if like.requires_grad and like._node is not None else None
    leaf = like if like.requires_grad and like._node is None else None
    return lambda node: leaf if leaf is not None else Tensor._wrap(saving.unpack(kept)._array, edge)
