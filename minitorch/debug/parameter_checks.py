"""What `lint` sees in parameters, gradients, modes and optimizers."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import grad
from ..nn import Module, Parameter
from ..nn.dropout import _Dropout
from ..nn.normalization import _BatchNorm
from ..optim import Optimizer
from ..tensor import Tensor
from .findings import Finding, listed
from .walking import Graph
from .wording import kinds, numpy

VANISHED = 1e-6  # of the gradient of the last layer: what the first one's may be
EXPLODED = 1e4  # times a layer's weights: what its gradient may be, both as root mean squares


def of_values(model: Module) -> Iterator[Finding]:
    """NaN, infinities, and weights that are all the same."""
    same = []
    for name, p in [*model.named_parameters(), *model.named_buffers()]:
        array = numpy(p._array) if type(p._array).__module__ != "builtins" else np.zeros(0)
        if array.dtype.kind not in "fcV" or not array.size:
            continue
        if not np.isfinite(array).all():
            yield Finding("error", f"{kinds(array)} of {array.size} elements in {name}", name,
                          "Whatever is computed from it is not finite either, and no step repairs it.",
                          "Go back to a checkpoint; find the step that made it with minitorch.debug.anomaly().")
        elif isinstance(p, Parameter) and p._requires_grad and array.ndim >= 2 and min(array.shape[:2]) > 1 and \
                bool((array == array.flat[0]).all()):
            same.append(name)
    if len(same) >= 2:
        yield Finding("warning", f"all elements are the same in {listed(same)}", same[0],
                      "Units that start the same get the same gradients and stay the same: the layer is as good as "
                      "one unit.", "Draw them: nn.init.kaiming_uniform_, xavier_normal_, normal_ ...")


def of_modes(model: Module, optimizers: list[Optimizer]) -> Iterator[Finding]:
    """Dropout and batch norm that are in evaluation while the model is trained."""
    switched = {name: m for name, m in model.named_modules() if isinstance(m, (_BatchNorm, _Dropout))
                and getattr(m, "p", 1) != 0}
    evaluating = [name or type(m).__name__ for name, m in switched.items() if not m.training]
    if not evaluating:
        return
    what = "batch norm and dropout are" if len({isinstance(m, _Dropout) for m in switched.values()}) == 2 else \
        "dropout is" if isinstance(next(iter(switched.values())), _Dropout) else "batch norm is"
    if not model.training:
        yield Finding("warning" if optimizers else "note", f"the model is in evaluation mode: {what} off",
                      listed(evaluating), "A loss that is to be trained on is computed as if in use: nothing is "
                      "dropped, and batch norm takes its running statistics and does not update them.",
                      "model.train() before training, also after each evaluation.")
    else:
        yield Finding("note", "some layers are in evaluation mode in a model that trains", listed(evaluating),
                      "On purpose where pretrained layers are frozen; else a model.eval() too many.",
                      "model.train() sets all of them.")


def of_reach(model: Module, graph: Graph, optimizers: list[Optimizer]) -> Iterator[Finding]:
    """Parameters that no gradient reaches or no optimizer holds, and those that the model does not know."""
    named = dict(model.named_parameters())
    unreached = [name for name, p in named.items() if p._requires_grad and id(p) not in graph.leaves]
    if unreached and graph.complete:
        all_of = len(unreached) == len([p for p in named.values() if p._requires_grad])
        yield Finding("error" if all_of else "warning", f"no gradient reaches {listed(unreached)}", unreached[0],
                      "The loss does not depend on it: it is not used in forward, or what it made was detached, "
                      "computed under no_grad, or passed through NumPy or a whole number.",
                      "Use it, or take it out of the model (or freeze it with requires_grad_(False)).")
    held = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
    strangers = [leaf for key, leaf in graph.leaves.items()
                 if isinstance(leaf, Parameter) and key not in graph.names and key not in held]
    if strangers:
        shapes = listed([f"{tuple(p.shape)} in {graph.leaf_users[id(p)][0].op.name}" for p in strangers])
        yield Finding("error", f"{_parameters(strangers)} of the loss not in the model: {shapes}",
                      graph.where(graph.leaf_users[id(strangers[0])][0]),
                      "model.parameters() does not list them, so no optimizer that is given those trains them, and "
                      "they are neither saved nor moved. Layers in a plain list or dict are not registered.",
                      "nn.ModuleList, nn.ModuleDict or nn.ParameterList in the place of the list or dict.")
    if optimizers:
        yield from _held(named, graph, held)


def _held(named: dict[str, Any], graph: Graph, held: set[int]) -> Iterator[Finding]:
    if named and not any(id(p) in held for p in named.values()):
        yield Finding("error", "the optimizer holds none of the model's parameters", "",
                      "It steps other tensors: the model was made anew, copied or reparametrized after it, or it was "
                      "given another one's parameters.", "Make the optimizer last, from this model.parameters().")
        return
    missing = [name for name, p in named.items() if p._requires_grad and id(p) in graph.leaves and id(p) not in held]
    if missing:
        yield Finding("warning", f"no optimizer holds {listed(missing)}", missing[0],
                      "It gets gradients, and is never changed.",
                      "Give it to the optimizer, or freeze it with requires_grad_(False), which saves its gradient.")
    frozen = [name for name, p in named.items() if not p._requires_grad and id(p) in held]
    if frozen:
        yield Finding("note", f"the optimizer holds frozen parameters: {listed(frozen)}", frozen[0],
                      "They have no gradient, so it leaves them alone (unless a gradient of before is still there).",
                      "filter(lambda p: p.requires_grad, model.parameters()) says what is meant.")
    before = [name for name, p in named.items() if p._grad is not None and id(p) in held]
    if before:
        yield Finding("note", f"gradients are there before backward: {listed(before)}", before[0],
                      "backward adds to them. That is meant where gradients are accumulated over several batches; else "
                      "each step also follows the batches before.",
                      "optimizer.zero_grad() before backward.")


def of_gradients(model: Module, graph: Graph, loss: Tensor) -> Iterator[Finding]:
    """Gradients that are not finite, all zero, vanish or explode from layer to layer."""
    named = {name: p for name, p in model.named_parameters() if p._requires_grad and id(p) in graph.leaves}
    if not named or loss._array.size != 1 or not graph.complete:  # a checkpoint would add to each `grad`
        return
    try:
        found = grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        yield Finding("error", f"backward raises {type(error).__name__}", "", str(error), "See the message.")
        return
    sizes: dict[str, float] = {}
    for name, g in zip(named, found):
        if g is None or g.is_sparse:
            continue
        array = numpy(g._array)
        if not np.isfinite(array).all():
            yield Finding("error", f"the gradient of {name} has {kinds(array)} of {array.size} elements", name,
                          "The step makes the parameter NaN.",
                          "Run the step under minitorch.debug.anomaly(), which names the op that made the first one.")
            return
        sizes[name] = _size(array)
    yield from _sizes(named, graph, sizes)


def _sizes(named: dict[str, Any], graph: Graph, sizes: dict[str, float]) -> Iterator[Finding]:
    if sizes and not any(sizes.values()):
        yield Finding("error", "all gradients are 0", "", "No step changes anything: the loss does not depend on the "
                      "parameters here, or a layer that is dead or starts at 0 cuts all of them off.",
                      "Look at the last layers first: initialization, activation, masks.")
        return
    order = {name: min(user.number for user in graph.leaf_users[id(p)]) for name, p in named.items()
             if sizes.get(name) and p._array.ndim >= 2}
    layers = sorted(order, key=lambda name: order[name])
    if len(layers) < 3:
        return
    first, last = layers[0], layers[-1]
    if sizes[first] / sizes[last] < VANISHED:
        yield Finding("warning", f"gradients vanish towards the input: {sizes[first]:.1e} in {first}, "
                      f"{sizes[last]:.1e} in {last}", first,
                      "Each layer multiplies them by less than 1, so the first layers hardly learn.",
                      "ReLU or GELU for sigmoid or tanh, an initialization made for it (kaiming_, xavier_), "
                      "normalization, residual connections.")
    weights = {name: _size(numpy(named[name]._array)) for name in layers}
    worst = max(layers, key=lambda name: sizes[name] / max(weights[name], 1e-12))
    if sizes[worst] > EXPLODED * max(weights[worst], 1e-3):
        yield Finding("warning", f"gradients explode: {sizes[worst]:.1e} in {worst}, whose weights are of size "
                      f"{weights[worst]:.1e}", worst,
                      "Layers multiply values and gradients by more than 1, and any usual step throws the weights far "
                      "off.", "Smaller initial weights, normalized inputs and layers, residual connections; "
                      "clip_grad_norm_ against single outliers.")


def _parameters(found: list) -> str:
    return f"{len(found)} parameter{'s' * (len(found) > 1)}"


def _size(array: np.ndarray) -> float:
    """The root mean square."""
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    return float(np.sqrt(np.mean(np.abs(wide) ** 2))) if array.size else 0.0


def of_optimizer(optimizer: Optimizer) -> Iterator[Finding]:
    """Rates of 0, and parameters that are stepped twice."""
    seen: set[int] = set()
    twice = []
    for i, group in enumerate(optimizer.param_groups):
        if float(group.get("lr", 1)) == 0:
            yield Finding("warning", "a learning rate of 0", f"group {i} of {type(optimizer).__name__}",
                          "Its parameters do not change.", "Look at the scheduler: warm-up that starts at 0 takes one "
                          "step for nothing, a decay may have reached its end.")
        for p in group["params"]:
            twice += [p] * (id(p) in seen)
            seen.add(id(p))
    if twice:
        yield Finding("warning", f"the optimizer holds {_parameters(twice)} twice", type(optimizer).__name__,
                      "They are stepped twice, with twice the learning rate.", "Each parameter once; tied weights are "
                      "listed once by model.parameters().")
