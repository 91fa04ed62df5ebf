"""What `lint` sees in a loss's graph: ops that do not belong together, shapes that spread, layers that are dead."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine import Node
from ..tensor import Tensor
from .findings import Finding, listed
from .walking import Graph, saved
from .wording import numpy

CROSS_ENTROPY = ("cross_entropy_classes",)
LOSSES = {"squared_error": "mse_loss", "huber": "smooth_l1_loss or huber_loss", "sub": "a difference in the loss",
          "bernoulli_entropy": "binary_cross_entropy", "cross_entropy_classes": "cross_entropy",
          "bernoulli_entropy_of_logits": "binary_cross_entropy_with_logits"}
LAYERS = ("linear", "matmul", "conv1d", "conv2d", "conv3d", "addmm")
SATURATED = 1e-3  # the slope of sigmoid and tanh below which an element hardly learns


def all_of(graph: Graph, loss: Tensor) -> list[Finding]:
    """All findings in the graph."""
    return [*_activation_before_cross_entropy(graph), *_activation_before_other_losses(graph), *_broadcasts(graph),
            *_dead(graph), *_norms(graph), *_targets(graph), *_sums(graph)]


def _activation_before_cross_entropy(graph: Graph) -> Iterator[Finding]:
    for node in graph.named(*CROSS_ENTROPY, "log_softmax"):
        before = graph.source(node.inputs[0])
        name = before.op.name if before else ""
        into = "cross_entropy" if node.op.name in CROSS_ENTROPY else "log_softmax"
        if before is None or (into == "log_softmax" and node.number not in graph.tail):
            continue
        if name == "softmax":
            yield Finding("error", f"softmax before {into}", graph.where(before), (
                f"{into} takes logits" + (" and computes their log_softmax itself" if into == "cross_entropy" else "")
                + ". Of probabilities, which lie between 0 and 1, that is nearly flat: the loss cannot come near 0, "
                "and gradients are small."), "Give it the output of the last linear layer; use softmax only to show "
                "probabilities.")
        elif name == "log_softmax":
            yield Finding("note", f"log_softmax before {into}", graph.where(before),
                          "It is right, as log_softmax of log_softmax is the same again, but computed twice.",
                          "Give cross_entropy the logits, or the log-probabilities to nll_loss.")
        elif name in ("sigmoid", "relu"):
            bound = "between 0 and 1" if name == "sigmoid" else "not negative"
            yield Finding("warning", f"{name} before {into}", graph.where(before),
                          f"Logits may be any number; here they are {bound}, so some classes cannot become unlikely"
                          + (", and a negative logit gets no gradient." if name == "relu" else "."),
                          f"Leave out the {name} after the last layer.")


def _activation_before_other_losses(graph: Graph) -> Iterator[Finding]:
    for node in graph.named("nll_loss_classes"):
        before = graph.source(node.inputs[0])
        if before is not None and before.op.name in ("softmax", "sigmoid", *LAYERS):
            given = "logits" if before.op.name in LAYERS else "probabilities"
            yield Finding("error", f"nll_loss of {given}, from {before.op.name}", graph.where(before),
                          "nll_loss takes log-probabilities. It returns minus what stands at the label, so of anything "
                          "else the loss falls below 0, or without end, and nothing is learned.",
                          "Use cross_entropy on the logits, or log_softmax before nll_loss.")
    for node in graph.named("bernoulli_entropy_of_logits"):
        before = graph.source(node.inputs[0])
        if before is not None and before.op.name in ("sigmoid", "softmax"):
            yield Finding("error", f"{before.op.name} before binary_cross_entropy_with_logits", graph.where(before),
                          "It takes logits and applies the sigmoid itself. Of numbers between 0 and 1 that is between "
                          "0.5 and 0.73: the model cannot say no.",
                          f"Leave out the {before.op.name}, or use binary_cross_entropy on probabilities.")
    for node in graph.named("log"):
        before = graph.source(node.inputs[0])
        if before is not None and before.op.name in ("softmax", "sigmoid"):
            instead = {"softmax": "log_softmax", "sigmoid": "logsigmoid"}[before.op.name]
            yield Finding("note", f"log of {before.op.name}", graph.where(node),
                          f"A probability that rounds to 0 becomes -inf, and its gradient NaN; {instead} never "
                          "forms it.", f"Use {instead}.")


def _broadcasts(graph: Graph) -> Iterator[Finding]:
    for node in graph.named("squared_error", "huber", "bernoulli_entropy", "bernoulli_entropy_of_logits", "sub"):
        if node.number not in graph.tail:
            continue
        shapes = _shapes(node)
        spread = _spread(node, shapes)
        if spread is not None:
            a = shapes[0]
            other = f" and {shapes[1]}" if len(shapes) > 1 else ""
            yield Finding("error", f"{a}{other} broadcast to {spread} in {LOSSES[node.op.name]}", graph.where(node), (
                "Every prediction is compared with every target, and the loss is the mean over all pairs: what it is "
                "smallest for is a model that predicts the mean of the targets for every input."),
                "Give both one shape: squeeze(1) the predictions, or unsqueeze(1) the targets.")


def _shapes(node: Node) -> list[tuple[int, ...]]:
    """The shapes of a loss's prediction and target, as far as they are known."""
    kept = saved(node)
    arrays = [kept[name] for name in node.op.params if hasattr(kept.get(name), "shape")]
    if len(arrays) >= 2:
        return [tuple(a.shape) for a in arrays[:2]]
    return [tuple(getattr(e, "shape", ())) for e in node.inputs if e is not None][:1] if None in node.inputs else []


def _spread(node: Node, shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """What (N, 1) and (N,) broadcast to, where that is what happens."""
    if len(shapes) == 2:
        a, b = shapes
        try:
            both = np.broadcast_shapes(a, b)
        except ValueError:
            return None
        return both if a and b and both not in (a, b) and np.prod(both) > max(np.prod(a), np.prod(b)) else None
    if len(shapes) == 1 and len(node.shape) == 2 and node.shape[0] == node.shape[1] > 1:
        n = node.shape[0]
        return tuple(node.shape) if shapes[0] in ((n,), (n, 1)) else None
    return None


def _dead(graph: Graph) -> Iterator[Finding]:
    for node in graph.named("relu"):
        y = saved(node).get("y")
        if y is not None and np.size(y) > 1 and not bool((numpy(y) > 0).any()):
            yield Finding("warning", f"a dead ReLU layer: all {np.size(y)} outputs are 0", graph.where(node),
                          "Its inputs are all negative, for the whole batch. Where ReLU is 0 its slope is 0 too, so "
                          "nothing before it gets a gradient, and it cannot recover.",
                          "Lower the learning rate, look at the bias and scale of the layer before, normalize its "
                          "input, or use leaky_relu or gelu.")
    for node in graph.named("sigmoid", "tanh"):
        y = saved(node).get("y")
        if y is None or np.size(y) < 8 or node.number in graph.tail:
            continue
        y = numpy(y).astype(np.float64)
        slope = y * (1 - y) if node.op.name == "sigmoid" else 1 - y * y
        if float(slope.max()) < SATURATED:
            yield Finding("warning", f"a saturated {node.op.name} layer: no slope is above {slope.max():.1g}",
                          graph.where(node), "Its inputs are far from 0, where it is flat: gradients vanish in it.",
                          "Smaller initial weights, normalized inputs, or another activation.")


def _norms(graph: Graph) -> Iterator[Finding]:
    useless: list[str] = []
    for node in graph.named("batch_norm_train"):
        x = saved(node).get("x")
        if x is not None and x.ndim >= 2 and x.shape[0] == 1 and _of_batch_norm(graph, node):
            yield Finding("warning", f"batch norm over a batch of one, {tuple(x.shape)}", graph.where(node),
                          "Mean and variance are those of the one sample, which then loses its own; the running "
                          "statistics of evaluation are others.",
                          "A larger batch (drop_last=True in the DataLoader), or GroupNorm or LayerNorm.")
        before = node.inputs[0]
        if isinstance(before, Node) and before.op.name in LAYERS and "bias" in before.op.params:
            i = before.op.params.index("bias")
            bias = before.inputs[i] if i < len(before.inputs) else None
            if isinstance(bias, Tensor) and id(bias) in graph.names:
                useless.append(graph.names[id(bias)])
    if useless:
        yield Finding("note", "a bias before batch norm does nothing", listed(useless),
                      "Batch norm subtracts the mean, and the bias with it; its gradient is but rounding.",
                      "bias=False in that layer: batch norm has a bias of its own.")


def _of_batch_norm(graph: Graph, node: Node) -> bool:
    """Whether it is not an instance norm, which is computed by the same op over a batch of one."""
    return node.inputs[0] is None or not isinstance(node.inputs[0], Node) or node.inputs[0].op.name not in (
        "view", "reshape", "flatten")


def _targets(graph: Graph) -> Iterator[Finding]:
    for node in graph.named(*CROSS_ENTROPY):
        kept = saved(node)
        x = kept.get("x")
        if x is not None and x.ndim >= 2 and x.shape[1] == 1:
            yield Finding("error", "cross_entropy over a single class", graph.where(node),
                          "The softmax of one number is 1, so the loss is always 0 and nothing is learned.",
                          "For two classes use two outputs, or one with binary_cross_entropy_with_logits.")
    for node in graph.named("bernoulli_entropy_of_logits"):
        t = saved(node).get("t")
        if t is not None and t.size and (t.min() < 0 or t.max() > 1):
            yield Finding("error", f"targets of {float(t.min()):g} to {float(t.max()):g} in "
                          "binary_cross_entropy_with_logits", graph.where(node),
                          "They are probabilities: outside of [0, 1] the loss has no smallest value.",
                          "Labels 0 and 1 as floats; for several classes use cross_entropy.")


def _sums(graph: Graph) -> Iterator[Finding]:
    node: Any = graph.root
    name = getattr(getattr(node, "op", None), "name", "")
    summed = saved(node).get("reduction") == "sum" if name.endswith("_classes") else \
        name == "sum" and any(np.prod(getattr(e, "shape", ())) > 1 for e in node.inputs if e is not None)
    if summed:
        yield Finding("note", "the loss is a sum, not a mean", graph.where(node),
                      "Its gradient grows with the batch, and so does the step that a learning rate makes.",
                      "Use the mean, unless the learning rate is chosen for this batch size.")
