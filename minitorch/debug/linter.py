"""`lint`: the usual mistakes of a training step, found in its graph, its parameters and its optimizer."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .. import engine
from ..engine import mode, note_source, noting
from ..nn import Module
from ..nn.scopes import Scopes
from ..optim import Optimizer
from ..tensor import Tensor
from . import graph_checks, parameter_checks
from .findings import LEVELS, Finding, Findings
from .state import State
from .walking import Graph


def lint(model: Module, loss: Tensor | Callable[[], Tensor], optimizer: Any = None) -> Findings:
    """Look for the usual mistakes in a training step; nothing is changed.

    `loss` is what `model` computed, before its backward; or better a function that computes it, such as
    `lambda: criterion(model(x), y)`: then source lines and modules are named, and the graph is there for certain.
    `optimizer` is one, or a list of several. Gradients are computed, but no `grad` changes. Raises TypeError for what
    is no Module, no tensor or no optimizer.

    >>> from minitorch import nn, ones, tensor
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Softmax(1))
    >>> lint(net, nn.functional.cross_entropy(net(ones(2, 2)), tensor([0, 2])))
    lint: 1 error
    error    softmax before cross_entropy
             after 0
             cross_entropy takes logits and computes their log_softmax itself. Of probabilities, which lie between 0
             and 1, that is nearly flat: the loss cannot come near 0, and gradients are small.
             -> Give it the output of the last linear layer; use softmax only to show probabilities.
    """
    optimizers = [] if optimizer is None else list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]
    if not isinstance(model, Module):
        raise TypeError(f"lint: model expects a Module, got {type(model).__name__}")
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise TypeError(f"lint: optimizer expects an Optimizer or a list of them, got {type(one).__name__}")
    modules: dict[int, str] = {}
    if callable(loss) and not isinstance(loss, Tensor):
        with State(loss, model, optimizers), engine.enable_grad():
            return _looked_at(model, _computed(loss, model, modules), optimizers, modules)
    return _looked_at(model, loss, optimizers, modules)


def _looked_at(model: Module, loss: Any, optimizers: list[Optimizer], modules: dict[int, str]) -> Findings:
    if not isinstance(loss, Tensor):
        raise TypeError(f"lint: loss expects a tensor, or a function that returns one, got {type(loss).__name__}")
    found = list(_of_loss(loss))
    found += parameter_checks.of_values(model)
    found += parameter_checks.of_modes(model, optimizers)
    if loss._requires_grad and not _is_freed(loss):
        graph = Graph(loss, model, lambda node: modules.get(node.number, ""))
        found += graph_checks.all_of(graph, loss)
        found += parameter_checks.of_reach(model, graph, optimizers)
        found += parameter_checks.of_gradients(model, graph, loss)
    for optimizer in optimizers:
        found += parameter_checks.of_optimizer(optimizer)
    return Findings(sorted(dict.fromkeys(found), key=lambda finding: LEVELS.index(finding.level)))


def _computed(loss: Callable[[], Tensor], model: Module, modules: dict[int, str]) -> Tensor:
    """The loss, with the source line of each node, and in `modules` the module."""
    def note(node):
        if scopes.path:
            modules[node.number] = scopes.path

    names = {module: name or type(model).__name__ for name, module in model.named_modules()}
    with Scopes(names) as scopes, noting(note_source), noting(note):
        return loss()


def _of_loss(loss: Tensor) -> Iterator[Finding]:
    if not loss._requires_grad:
        why = "Nothing was recorded: it was computed under no_grad or inference_mode, from detach(), .data, item() " \
              "or NumPy arrays, by an op without a gradient such as argmax or a comparison, or from no parameter."
        yield Finding("error", "the loss has no graph: backward cannot reach any parameter", "", why,
                      "Compute the loss from the model's output, with gradients on" +
                      (", outside of no_grad." if not mode.grad else "."))
        return
    if loss._array.size != 1:
        yield Finding("error", f"the loss is no scalar: its shape is {tuple(loss.shape)}", "",
                      "backward() starts from one number.", "Take the mean (or sum) over the batch.")
    if _is_freed(loss):
        yield Finding("error", "the loss's graph was freed: backward has run already", "",
                      "backward frees what it needed, so there is nothing left to look at.",
                      "Call lint before backward, or give it a function that computes the loss.")
    if not bool((loss._array == loss._array).all()):
        yield Finding("error", "the loss is NaN", "", "Some op made a NaN, and all that depends on it is NaN too.",
                      "Run the step under `with minitorch.debug.anomaly():`, which names the op and the line.")


def _is_freed(loss: Tensor) -> bool:
    node: Any = getattr(loss._node, "node", loss._node)
    return node is not None and node.backward is None
