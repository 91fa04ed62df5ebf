"""Keras's learning rates that depend on the step."""
from __future__ import annotations

import math
from collections.abc import Sequence

from ...errors import absent_from
from ..serialization import Configured
from ..serialization import deserialize as deserialize
from ..serialization import serialize as serialize


class LearningRateSchedule(Configured):
    """`schedule(step)` is the learning rate of that step, counted from 0."""

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__}: a schedule defines __call__(step)")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate decay_rate ^ (step / decay_steps), with `staircase` whole powers only.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
                 name: str = "ExponentialDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def passed(self, step: int) -> float:
        return math.floor(step / self.decay_steps) if self.staircase else step / self.decay_steps

    def __call__(self, step):
        return self.initial_learning_rate * self.decay_rate ** self.passed(step)


class InverseTimeDecay(ExponentialDecay):
    """initial_learning_rate / (1 + decay_rate step / decay_steps)."""

    def __call__(self, step):
        return self.initial_learning_rate / (1 + self.decay_rate * self.passed(step))


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


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) (1 - step / decay_steps) ^ power + end; with `cycle` it begins anew, each time longer."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001,
                 power: float = 1.0, cycle: bool = False, name: str = "PolynomialDecay"):
        self.initial_learning_rate, self.decay_steps, self.end = initial_learning_rate, decay_steps, end_learning_rate
        self.power, self.cycle, self.name = power, cycle, name

    def __call__(self, step):
        period = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, period) / period
        return (self.initial_learning_rate - self.end) * left ** self.power + self.end


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it, after a linear rise to `warmup_target` where given."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str = "CosineDecay",
                 warmup_target: float | None = None, warmup_steps: int = 0):
        self.initial_learning_rate, self.decay_steps, self.alpha, self.name = initial_learning_rate, decay_steps, \
            alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step):
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step <= self.warmup_steps:
                return top + (self.warmup_target - top) * step / max(self.warmup_steps, 1)
            top, step = self.warmup_target, step - self.warmup_steps
        cosine = (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps)) / 2
        return top * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosines one after the other: each t_mul times as long and m_mul times as high as the one before (SGDR)."""

    def __init__(self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0,
                 alpha: float = 0.0, name: str = "SGDRDecay"):
        self.initial_learning_rate, self.first_decay_steps, self.name = initial_learning_rate, first_decay_steps, name
        self.t_mul, self.m_mul, self.alpha = t_mul, m_mul, alpha

    def __call__(self, step):
        length, height, step = float(self.first_decay_steps), 1.0, float(step)
        while step >= length:
            step, length, height = step - length, length * self.t_mul, height * self.m_mul
        cosine = height * (1 + math.cos(math.pi * step / length)) / 2
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


__getattr__ = absent_from("keras.optimizers.schedules", lambda: globals())
