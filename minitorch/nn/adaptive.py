"""Softmax over very many classes, of which few are frequent. Grave, Joulin, Cissé, Grangier and Jégou 2017."""
from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from ..op import FUNCTIONS
from ..tensor import Tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """The head knows the classes below cutoffs[0], the most frequent, and a place for each cluster of the others.

    Cluster i, of the classes cutoffs[i] ... cutoffs[i + 1] - 1, sees the input through in_features / div_value^(i + 1)
    features. Gives (log-probability of each target, mean loss).
    """

    def __init__(self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
                 head_bias: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs or cutoffs != sorted(set(cutoffs)) or min(cutoffs) <= 0 or max(cutoffs) > n_classes - 1 or \
                any(int(c) != c for c in cutoffs):
            raise ValueError("cutoffs should be a sequence of unique, positive integers sorted in an increasing order, "
                             f"where each value is between 1 and n_classes-1, got {cutoffs} and {n_classes}")
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i, (first, end) in enumerate(zip(self.cutoffs, self.cutoffs[1:]), 1):
            hidden = int(in_features // div_value ** i)
            self.tail.append(Sequential(Linear(in_features, hidden, False, device, dtype),
                                        Linear(hidden, end - first, False, device, dtype)))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        tail: Any = self.tail
        for first, second in tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> _ASMoutput:
        if (input.ndim, target.ndim) not in ((2, 1), (1, 0)) or (input.ndim == 2 and len(input) != len(target)):
            raise RuntimeError("AdaptiveLogSoftmaxWithLoss: Input and target should have the same size in the batch "
                               f"dimension, got shapes {tuple(input.shape)} and {tuple(target.shape)}")
        x, t = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
        if len(t) and not 0 <= int(t.min()) <= int(t.max()) < self.n_classes:
            raise RuntimeError(f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                               f"[{int(t.min())}, {int(t.max())}] were found.")
        place = t.clone()  # in the head
        output = FUNCTIONS["zeros"](len(t), dtype=x.dtype, device=x.device)
        for i, (first, end) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            rows = ((t >= first) & (t < end)).nonzero().squeeze(1)
            if not len(rows):
                continue
            place[rows] = self.shortlist_size + i
            inside = F.log_softmax(self.tail[i](x[rows]), 1)
            output = output.index_add(0, rows, inside.gather(1, (t[rows] - first).unsqueeze(1)).squeeze(1))
        output = output + F.log_softmax(self.head(x), 1).gather(1, place.unsqueeze(1)).squeeze(1)
        output = output if input.ndim == 2 else output.squeeze(0)
        return _ASMoutput(output, (-output).mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, :self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = self.shortlist_size + i
            parts.append(F.log_softmax(tail(input), 1) + head[:, cluster:cluster + 1])
        return FUNCTIONS["cat"](parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each item."""
        return self.log_prob(input).argmax(1)
