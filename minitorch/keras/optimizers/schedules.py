"""Keras's learning rates that depend on the step."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import absent_from
from ..serialization import Configured, constructor
from ..serialization import deserialize as deserialize
from ..serialization import serialize as serialize


class LearningRateSchedule(Configured):
    """`schedule(step)` is the learning rate of that step, counted from 0."""

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__}: a schedule defines __call__(step)")


def _class(name: str, rate: Any, doc: str, /, **defaults: Any) -> Any:
    """The schedule rate(self, step), whose attributes are its arguments; `...` stands for those that are needed."""
    return type(name, (LearningRateSchedule,), {
        "__init__": constructor(lambda self, values: self.__dict__.update(values), **_named(name, defaults)),
        "__call__": rate, "__doc__": doc, "__module__": __name__})


def _named(name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    return defaults if "name" in defaults else {**defaults, "name": name}


def _passed(self: Any, step: int) -> float:
    return math.floor(step / self.decay_steps) if self.staircase else step / self.decay_steps


def _polynomial(self, step):
    period = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
    left = 1 - min(step, period) / period
    return (self.initial_learning_rate - self.end_learning_rate) * left ** self.power + self.end_learning_rate


def _cosine(self, step):
    top = self.initial_learning_rate
    if self.warmup_target is not None:
        if step <= self.warmup_steps:
            return top + (self.warmup_target - top) * step / max(self.warmup_steps, 1)
        top, step = self.warmup_target, step - self.warmup_steps
    return top * _half_cosine(min(step, self.decay_steps) / self.decay_steps, self.alpha)


def _restarts(self, step):
    length, height, step = float(self.first_decay_steps), 1.0, float(step)
    while step >= length:
        step, length, height = step - length, length * self.t_mul, height * self.m_mul
    return self.initial_learning_rate * _half_cosine(step / length, self.alpha, height)


def _half_cosine(share: float, alpha: float, height: float = 1.0) -> float:
    return (1 - alpha) * height * (1 + math.cos(math.pi * share)) / 2 + alpha


ExponentialDecay = _class(
    "ExponentialDecay", lambda self, step: self.initial_learning_rate * self.decay_rate ** _passed(self, step),
    """initial_learning_rate decay_rate ^ (step / decay_steps), with `staircase` whole powers only.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """, initial_learning_rate=..., decay_steps=..., decay_rate=..., staircase=False)
InverseTimeDecay = _class(
    "InverseTimeDecay", lambda self, step: self.initial_learning_rate / (1 + self.decay_rate * _passed(self, step)),
    "initial_learning_rate / (1 + decay_rate step / decay_steps).", initial_learning_rate=..., decay_steps=...,
    decay_rate=..., staircase=False)
PolynomialDecay = _class(
    "PolynomialDecay", _polynomial,
    "(initial - end) (1 - step / decay_steps) ^ power + end; with `cycle` it begins anew, each time longer.",
    initial_learning_rate=..., decay_steps=..., end_learning_rate=0.0001, power=1.0, cycle=False)
CosineDecay = _class(
    "CosineDecay", _cosine,
    "Half a cosine from the initial rate to alpha times it, after a linear rise to `warmup_target` where given.",
    initial_learning_rate=..., decay_steps=..., alpha=0.0, name="CosineDecay", warmup_target=None, warmup_steps=0)
CosineDecayRestarts = _class(
    "CosineDecayRestarts", _restarts,
    "Cosines one after the other: each t_mul times as long and m_mul times as high as the one before (SGDR).",
    initial_learning_rate=..., first_decay_steps=..., t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay")


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], then the last of the values."""

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError("The length of boundaries should be 1 less than the length of values. Received: "
                             f"boundaries={boundaries} of length {len(boundaries)}, values={values} of length "
                             f"{len(values)}.")
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step):
        return self.values[sum(step > b for b in self.boundaries)]


__getattr__ = absent_from("keras.optimizers.schedules", lambda: globals())
