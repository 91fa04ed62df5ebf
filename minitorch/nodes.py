"""What programs do with a node of the graph: its class is called after the operation, it takes hooks, it can be called.

Nodes are made as plain `Node`s, thousands a second. One that a program looks at, through `grad_fn` or
`next_functions`, becomes an object of a class of its own name, which works the same.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from . import engine
from .engine import GraphError, Node, Output, lifted_kernels, mode
from .graph_names import node_name

_CLASSES: dict[str, type] = {}


def shown(edge: Any) -> Any:
    """The node behind an edge, its class named after its operation; a leaf's AccumulateGrad; None for None.

    >>> import minitorch as torch
    >>> y = torch.ones(2, requires_grad=True).exp()
    >>> type(y.grad_fn).__name__, y.grad_fn(torch.ones(2)).detach()
    ('ExpBackward0', tensor([2.7183, 2.7183]))
    """
    node = edge.node if type(edge) is Output else edge
    if type(node) is Node:
        name = node_name(node)
        kind = _CLASSES.get(name)
        if kind is None:
            custom = hasattr(node.op, "ctx")
            kind = _CLASSES[name] = type(name, (_CustomNode if custom else _ShownNode,),
                                         {"__module__": "torch.autograd.function" if custom else "builtins"})
        node.__class__ = kind
    return node if node is None or isinstance(node, Node) else node._accumulator()


class _ShownNode(Node):
    """A node that a program has seen."""

    def name(self) -> str:
        return type(self).__name__

    @property
    def metadata(self) -> dict:
        """For anything that a program wants to remember of this node."""
        return self.__dict__.setdefault("_metadata", {})

    def _sequence_nr(self) -> int:
        return self.number

    def register_hook(self, fn: Callable) -> Any:
        """Call `fn(grad_inputs, grad_outputs)` after this node's gradients were computed; what it returns, unless
        None, takes the place of the former."""
        engine.hooked = True
        if self.posthooks is None:
            self.posthooks = OrderedDict()
        return _handle(self.posthooks, fn)

    def register_prehook(self, fn: Callable) -> Any:
        """Call `fn(grad_outputs)` before they are computed; what it returns, unless None, takes their place."""
        if self.hooks is None:
            self.hooks = OrderedDict()
        return _handle(self.hooks, _before(self, fn))

    def __call__(self, *grads: Any) -> Any:
        """The gradients of this node's inputs for gradients of its outputs, itself one that can be differentiated."""
        expected = self.outputs or 1
        if len(grads) != expected:
            raise TypeError(f"expected {expected} arguments, got {len(grads)} instead")
        if self.backward is None:
            raise GraphError(f"{self.name()}: Trying to backward through the graph a second time: it was freed")
        lifted = mode.grad and self.k is not None and not hasattr(self.op, "ctx")
        dys = [g if lifted or g is None else g._array for g in grads]
        dy = dys[0] if self.outputs is None else dys
        functions, k = (self.op.lift(self), lifted_kernels()) if lifted else (self.backward, self.k)
        found = results(self, functions, dy, k, lifted)
        return found[0] if len(found) == 1 else tuple(found)


class _CustomNode(_ShownNode):
    """The node of a custom Function, which shows the attributes of that one's context."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(self.op.ctx, name)
        except AttributeError:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'") from None


def with_hooks(node: Any, functions: Any, k: Any, lifted: bool) -> Any:
    """The node's gradient functions as one, which calls its hooks with what they return."""
    def call(dy, needs):
        given = tuple([_tensor(g) for g in (dy if type(dy) is list else [dy])])
        found = tuple(results(node, functions, dy, k, lifted, needs))
        for hook in list(node.posthooks.values()):
            new = hook(found, given)
            if new is not None:
                new = new if isinstance(new, tuple) else (new,)
                if len(new) != len(found):
                    raise RuntimeError(f"hook '{getattr(hook, '__name__', hook)}' has returned an incorrect number of "
                                       f"values (got {len(new)}, but expected {len(found)})")
                found = new
        return [g if g is None or lifted else g._array for g in found]

    return call


def results(node: Any, functions: Any, dy: Any, k: Any, lifted: bool, needs: Any = None) -> list:
    """A tensor or None an input: its gradient, in its shape and type."""
    needs = [edge is not None for edge in node.inputs] if needs is None else needs
    if type(functions) is list:
        found = [function(dy) if needed and function else None for needed, function in zip(needs, functions)]
    else:
        found = functions(dy, needs)
    return [None if g is None or edge is None else _tensor(engine._fit(k, edge, g, dy, lifted)[0])
            for g, edge in zip(found, node.inputs)]


def _before(node: Any, fn: Callable) -> Callable:
    """`fn` as a hook on what a node gets: an array or tensor, or a list of such where it has several outputs."""
    def hook(dy):
        given = dy if type(dy) is list else [dy]
        new = fn(tuple([_tensor(g) for g in given]))
        if new is None:
            return dy
        new = list(new) if isinstance(new, (tuple, list)) else [new]
        if len(new) != len(given):
            raise RuntimeError(f"hook '{getattr(fn, '__name__', fn)}' has returned an incorrect number of values (got "
                               f"{len(new)}, but expected {len(given)})")
        arrays = [g if g is None or hasattr(old, "_array") else g._array for g, old in zip(new, given)]
        return arrays if type(dy) is list else arrays[0]

    return hook


def _tensor(g: Any) -> Any:
    from .tensor import Tensor

    return g if g is None or isinstance(g, Tensor) else Tensor._wrap(g)


def _handle(hooks: OrderedDict, hook: Callable) -> Any:
    from .tensor import Handle

    return Handle(hooks, hook)
