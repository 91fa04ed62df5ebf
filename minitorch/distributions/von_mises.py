"""The von Mises distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..engine import no_grad
from ..op import OPS
from ..ops.choose import where
from ..ops.creation import empty, zeros
from ..ops.random import rand
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["VonMises"]

i0e, i1e = OPS["i0e"].call, OPS["i1e"].call  # exp(-x) I0(x), exp(-x) I1(x), of the modified Bessel functions


class VonMises(Distribution):
    """Angles in radians around `loc`, with density proportional to exp(concentration cos(x - loc)).

    >>> from minitorch import tensor
    >>> VonMises(tensor(0.0), tensor(1.0)).log_prob(tensor(0.0))
    tensor(-1.0738)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = property(lambda self: self.loc)
    mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I1 / I0."""
        k = self.concentration
        return 1 - i1e(k) / i0e(k)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return k * ((value - self.loc).cos() - 1) - (2 * math.pi * i0e(k)).log()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Rejection from a wrapped Cauchy distribution, in float64.

        D. J. Best and N. I. Fisher, Efficient simulation of the von Mises distribution, Appl. Statist. 28 (1979) 152.
        """
        with no_grad():
            loc, k = self.loc.double(), self.concentration.double()
            tau = 1 + (1 + 4 * k**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))
            x = empty(self._extended_shape(sample_shape), dtype=loc.dtype, device=loc.device)
            done = zeros(x.shape, dtype=bool, device=loc.device)
            while not done.all():
                u1, u2, u3 = rand((3, *x.shape), dtype=loc.dtype, device=loc.device).unbind()
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accepted = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                x = where(accepted, (u3 - 0.5).sign() * f.acos(), x)  # accepted anew, done or not, as PyTorch does it
                done = done | accepted
            return ((x + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)
