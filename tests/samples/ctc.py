"""Samples of connectionist temporal classification: the reference sums over every path there is."""
from __future__ import annotations

from itertools import groupby, product

import numpy as np

from . import OpCase, Sample, register
from .loss import _unwrapped


def ctc_losses(x, labels, inputs, lengths, blank):
    """-log of the summed probability of all paths that say the target once repeats and blanks are taken out."""
    losses = []
    for n in range(x.shape[1]):
        target = list(labels[n][1:2 * lengths[n]:2])
        paths = [path for path in product(range(x.shape[2]), repeat=int(inputs[n]))
                 if [label for label, _ in groupby(path) if label != blank] == target]
        logs = [sum(x[t, n, label] for t, label in enumerate(path)) for path in paths]
        losses.append(-np.log(np.sum(np.exp(logs))) if logs else np.inf)
    return np.array(losses)


def log_probs(rng, frames, batch, classes):
    x = rng.standard_normal((frames, batch, classes))
    return x - np.log(np.exp(x).sum(2, keepdims=True))


def stretched(*targets, blank=0):
    """Targets of one length with blanks around each label."""
    rows = []
    for target in targets:
        row = [blank]
        for label in target:
            row += [label, blank]
        rows.append(row)
    return np.array(rows)


register(OpCase("ctc_losses", ctc_losses, [
    Sample(lambda rng: (log_probs(rng, 4, 2, 3), stretched([1, 2], [2, 2]), np.array([4, 3]), np.array([2, 2]), 0),
           name="a repeated label, inputs of different lengths"),
    Sample(lambda rng: (log_probs(rng, 3, 1, 2), stretched([0], blank=1), np.array([3]), np.array([1]), 1),
           name="the last class is the blank"),
    Sample(lambda rng: (log_probs(rng, 3, 2, 3), stretched([1, 2], [1, 0]), np.array([3, 2]), np.array([2, 1]), 0),
           name="targets of different lengths"),
    Sample(lambda rng: (log_probs(rng, 1, 1, 3), stretched([1, 2]), np.array([1]), np.array([2]), 0), grad=False,
           name="too long a target"),
], call=_unwrapped("ctc_losses"), second=False, dtypes=("float64", "float32"), torch=None))
